//! Parameters of a query as applications may take them: what one server reads as two another reads as
//! one, and a name that differs in case, in brackets or in what follows a NUL is the same to some.

use percent_encoding::percent_decode;

/// The values, as written, of all that some application takes for the parameter of this name.
///
/// Read as widely as frameworks do: split at `&` and `;`, the name decoded, without case, up to a NUL,
/// also as a list or a member of one (`name[]`, `name[0]`), and with `.`, space and a lone `[` for `_`.
pub fn lookalikes<'q>(query: &'q [u8], name: &str) -> impl Iterator<Item = &'q [u8]> {
    query.split(|byte| matches!(byte, b'&' | b';')).filter_map(move |pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let written = halves.next().unwrap_or_default();
        could_be(written, name).then(|| halves.next().unwrap_or_default())
    })
}

/// Decodes as a form is decoded.
#[must_use]
pub fn form_decoded(text: &[u8]) -> String {
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

fn could_be(written: &[u8], name: &str) -> bool {
    // Cheap for the many parameters that are something else.
    if written.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return written.len() == name.len()
            && folded(name).as_bytes().eq_ignore_ascii_case(written);
    }
    let decoded = form_decoded(written);
    let whole = decoded.split('\0').next().unwrap_or_default().trim_start();
    let bare = match whole.split_once('[') {
        None | Some(("", _)) => whole,
        Some((bare, _)) => bare,
    };
    let wanted = folded(name);
    folded(bare) == wanted || folded(whole) == wanted
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace(['.', ' ', '['], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(query: &str, name: &str) -> Vec<String> {
        lookalikes(query.as_bytes(), name).map(form_decoded).collect()
    }

    #[test]
    fn whatever_an_application_could_take_for_a_parameter_is_one() {
        for query in [
            "tenant=a",
            "x=1&tenant=a",
            "x=1;tenant=a",
            "Tenant=a",
            "+tenant=a",
            "t%65nant=a",
            "tenant%00=a",
            "tenant[]=a",
            "tenant%5B0%5D=a",
        ] {
            assert_eq!(values(query, "tenant"), ["a"], "{query}");
        }
        for query in ["", "tenants=a", "x-tenant=a", "x=tenant", "ten_ant=a", "[tenant=a"] {
            assert_eq!(values(query, "tenant").len(), 0, "{query}");
        }
        assert_eq!(values("user.id=a&user+id=b&user%5Bid=c&USER_ID=d", "user_id").len(), 4);
        assert_eq!(values("user_id=a", "user.id"), ["a"]);
    }
}
