//! What later versions bring. It is refused by name, never ignored: whoever writes `tracing` must not
//! end up without.

/// What a later version brings.
enum Later {
    /// A key.
    Key,
}

/// Paths of keys, without indexes; `*` is any key of a map.
const LATER: &[(&str, Later)] = &[
    ("server.limits.connections", Later::Key),
    ("server.limits.connections_per_ip", Later::Key),
    ("server.listen.proxy_protocol", Later::Key),
    ("server.listen.redirect_https", Later::Key),
    ("server.resolver", Later::Key),
    ("shared_state", Later::Key),
    ("tracing", Later::Key),
    ("upstreams.*.limits", Later::Key),
    ("upstreams.*.slow_start", Later::Key),
];

/// Whether a later version knows this key.
pub(super) fn brings_key(path: &[&str]) -> bool {
    LATER.iter().any(|(pattern, later)| matches!(later, Later::Key) && fits(pattern, path))
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
        assert!(brings_key(&["upstreams", "app", "limits"]));
        assert!(!brings_key(&["upstreams", "limits"]));
        assert!(!brings_key(&["upstreams", "app", "timeouts"]));
    }
}
