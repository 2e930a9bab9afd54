//! What later versions bring. It is refused by name, never ignored: whoever writes `tracing` must not
//! end up without.

/// Paths of keys, without indexes; `*` is any key of a map.
const LATER: &[&str] = &["shared_state", "tracing"];

/// Whether a later version knows this key.
pub(super) fn brings_key(path: &[&str]) -> bool {
    LATER.iter().any(|pattern| fits(pattern, path))
}

fn fits(pattern: &str, path: &[&str]) -> bool {
    let steps = || pattern.split('.');
    steps().count() == path.len()
        && steps().zip(path).all(|(step, key)| step == "*" || step == *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_one_key() {
        assert!(fits("upstreams.*.limits", &["upstreams", "app", "limits"]));
        assert!(!fits("upstreams.*.limits", &["upstreams", "limits"]));
        assert!(!fits("upstreams.*.limits", &["upstreams", "app", "timeouts"]));
        assert!(brings_key(&["tracing"]));
    }
}
