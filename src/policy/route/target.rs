//! The request target as it was received, cut into path and query.

use super::{Ambiguity, RouteFault};

/// Path and query of a request target, as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'r> {
    /// Begins with `/`; `*` for `OPTIONS *`, which no route matches.
    pub path: &'r [u8],
    /// What follows the first `?`.
    pub query: Option<&'r [u8]>,
}

impl<'r> Target<'r> {
    /// Reads the target of a request line. An absolute URI is reduced to its path and query.
    ///
    /// # Errors
    /// A target that is none, `#`, and bytes outside ASCII in the path.
    pub fn parse(raw: &'r [u8]) -> Result<Self, RouteFault> {
        if raw.contains(&b'#') {
            return Err(Ambiguity::Fragment.into());
        }
        let mut halves = raw.splitn(2, |byte| *byte == b'?');
        let path = halves.next().unwrap_or_default();
        let query = halves.next();
        if !path.is_ascii() {
            return Err(Ambiguity::NonAscii.into());
        }
        if path.starts_with(b"/") || raw == b"*" {
            return Ok(Self { path, query });
        }
        let uri = std::str::from_utf8(path).map_err(|_| RouteFault::MalformedTarget)?;
        let path = path_of_uri(uri).ok_or(RouteFault::MalformedTarget)?;
        Ok(Self { path: path.as_bytes(), query })
    }
}

/// The path of `http://authority/path`, `/` if it has none.
fn path_of_uri(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    // A backslash ends the authority for some parsers and not for others.
    let clean = !authority.is_empty() && !authority.contains(['\\', '@', ' ']);
    clean.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(raw: &str) -> Result<(&str, Option<&str>), RouteFault> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        Target::parse(raw.as_bytes()).map(|target| (text(target.path), target.query.map(text)))
    }

    #[test]
    fn a_target_is_cut_at_its_first_question_mark() {
        assert_eq!(parts("/a?b?c"), Ok(("/a", Some("b?c"))));
        assert_eq!(parts("/a?"), Ok(("/a", Some(""))));
        assert_eq!(parts("/?/../x"), Ok(("/", Some("/../x"))));
        assert_eq!(parts("*"), Ok(("*", None)));
    }

    #[test]
    fn an_absolute_uri_is_reduced_to_its_path() {
        assert_eq!(parts("http://a/b?c"), Ok(("/b", Some("c"))));
        assert_eq!(parts("HTTPS://a:8443"), Ok(("/", None)));
        assert_eq!(parts("http://a?b/c"), Ok(("/", Some("b/c"))));
        assert_eq!(parts("http://a//b"), Ok(("//b", None)));
    }

    #[test]
    fn a_fragment_is_refused_even_in_the_query() {
        for raw in ["/a#b", "/a?b#c", "#", "http://a/#b"] {
            assert_eq!(parts(raw), Err(Ambiguity::Fragment.into()), "{raw}");
        }
    }

    #[test]
    fn bytes_outside_ascii_are_refused() {
        assert_eq!(parts("/ä"), Err(Ambiguity::NonAscii.into()));
        assert_eq!(Target::parse(b"/a\xff"), Err(Ambiguity::NonAscii.into()));
        assert_eq!(parts("/a?ä"), Ok(("/a", Some("ä"))));
        assert!(Target::parse(b"/a?\xff").is_ok());
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for raw in [
            "",
            "a",
            "?a",
            "a/b",
            "%20/x",
            "*a",
            "ftp://a/b",
            "http:/a",
            "http:///a",
            "http://a\\b/c",
            "http://u@a/b",
            "javascript:x",
        ] {
            assert_eq!(parts(raw), Err(RouteFault::MalformedTarget), "{raw}");
        }
        assert_eq!(parts("*?a"), Err(RouteFault::MalformedTarget));
    }
}
