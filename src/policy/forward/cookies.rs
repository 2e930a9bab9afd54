//! Cookies taken out of a request, the others left byte for byte.

use http::{HeaderMap, HeaderValue, header};

use crate::policy::authn::{Cookie, cookies};

/// The `Cookie` lines without the cookies of these names; nothing if none of them is there. Other
/// pieces keep their bytes and their order, whatever they are; a line of which nothing is left is no
/// more.
pub fn without(headers: &HeaderMap, names: &[&str]) -> Option<Vec<HeaderValue>> {
    // The same reading by which the credential was found.
    let named = |cookie: &Cookie<'_>| names.iter().any(|name| cookie.is_named(name));
    let lines = || headers.get_all(header::COOKIE).iter();
    let goes = |line: &HeaderValue| cookies(line.as_bytes()).any(|cookie| named(&cookie));
    if names.is_empty() || !lines().any(goes) {
        return None;
    }
    let rest = |line: &HeaderValue| {
        if !goes(line) {
            return Some(line.clone());
        }
        let kept = cookies(line.as_bytes()).filter(|cookie| !named(cookie));
        let kept: Vec<&[u8]> = kept.map(|cookie| cookie.written()).collect();
        let kept = kept.join(&b';');
        // The space in front of what has become the first.
        HeaderValue::from_bytes(kept.trim_ascii()).ok().filter(|line| !line.is_empty())
    };
    Some(lines().filter_map(rest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(lines: &[&str], names: &[&str]) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let text = |line: HeaderValue| String::from_utf8(line.as_bytes().to_vec()).unwrap();
        Some(without(&headers, names)?.into_iter().map(text).collect())
    }

    #[test]
    fn the_cookie_goes_and_the_others_keep_their_bytes_and_order() {
        for (line, rest) in [
            ("a=1; s=t; b=2", "a=1; b=2"),
            ("s=t; a=1", "a=1"),
            ("a=1; s=t", "a=1"),
            ("a=1;s=t;b", "a=1;b"),
            ("a = \"x y\" ;  s = \"t\";b==;ü", "a = \"x y\" ;b==;ü"),
            ("s=t; s; S=t; =s; s2=t; as=t", "s; S=t; =s; s2=t; as=t"),
            ("s=1; a=1; s=2; s=3", "a=1"),
            ("a=1;; s=t; ;b=2", "a=1;; ;b=2"),
            ("a=\"x; s=t; y\"", "a=\"x; y\""),
        ] {
            assert_eq!(left(&[line], &["s"]).unwrap(), [rest], "{line}");
        }
    }

    #[test]
    fn of_several_lines_each_loses_its_own() {
        let lines = ["s=t", "a=1; s=u", " b = 2 ;", "s=v; t=1"];
        assert_eq!(left(&lines, &["s"]).unwrap(), ["a=1", " b = 2 ;", "t=1"]);
        assert_eq!(left(&lines, &["s", "t"]).unwrap(), ["a=1", " b = 2 ;"]);
        assert!(left(&["s=t", "s=u"], &["s"]).unwrap().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn whatever_else_stands_in_a_line_is_left_as_it_is(line in "[as=; \"t%,é]{0,24}") {
            // Another reading of RFC 6265, section 5.4, by text alone.
            let is_ours = |piece: &&str| {
                piece.split_once('=').is_some_and(|(name, _)| name.trim_matches(' ') == "s")
            };
            let kept: Vec<&str> = line.split(';').filter(|piece| !is_ours(piece)).collect();
            let kept = kept.join(";").trim_matches(' ').to_owned();
            let expected = line.split(';').any(|piece| is_ours(&piece)).then(|| {
                if kept.is_empty() { vec![] } else { vec![kept] }
            });
            proptest::prop_assert_eq!(left(&[&line], &["s"]), expected);
        }
    }

    #[test]
    fn lines_without_the_cookie_are_left_alone() {
        for line in ["", "a=1", "S=t", "s", "%73=t", ";;", "a=s=t"] {
            assert_eq!(left(&[line], &["s"]), None, "{line}");
        }
        assert_eq!(left(&["s=t"], &[]), None);
        assert_eq!(left(&[], &["s"]), None);
    }
}
