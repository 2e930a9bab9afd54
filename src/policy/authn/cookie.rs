//! The cookies of a request (RFC 6265, section 4.2.1), read as applications read them: pieces between
//! semicolons, whatever stands in them.

/// What stands between two semicolons of a `Cookie` line. It may hold a credential, so it does not
/// print.
#[derive(Clone, Copy)]
pub struct Cookie<'h> {
    written: &'h [u8],
}

/// The cookies of a line in their order. A piece without `=` is one without a name.
pub fn cookies(line: &[u8]) -> impl Iterator<Item = Cookie<'_>> {
    line.split(|byte| *byte == b';').map(|written| Cookie { written })
}

impl<'h> Cookie<'h> {
    /// As it stands in the line, with the spaces around it.
    pub fn written(&self) -> &'h [u8] {
        self.written
    }

    /// Whether this is its name. Letter case matters, and nothing in a name is encoded.
    pub fn is_named(&self, name: &str) -> bool {
        self.split().is_some_and(|(found, _)| found == name.as_bytes())
    }

    /// Its value, without the quotes that may stand around it.
    pub fn value(&self) -> &'h [u8] {
        let value = self.split().map_or(&[][..], |(_, value)| value);
        let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        inner.unwrap_or(value)
    }

    fn split(&self) -> Option<(&'h [u8], &'h [u8])> {
        let end = self.written.iter().position(|byte| *byte == b'=')?;
        let (name, value) = self.written.split_at_checked(end)?;
        Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(line: &str, name: &str) -> Vec<String> {
        let found = cookies(line.as_bytes()).filter(|one| one.is_named(name));
        found.map(|one| String::from_utf8_lossy(one.value()).into_owned()).collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name() {
        for line in ["s=t", "a=1; s=t", "a=1;s=t;b", " s = t ;", "; ;s=\"t\"", "a=\"x; s=t"] {
            assert_eq!(named(line, "s"), ["t"], "{line}");
        }
        for line in ["", "s", "S=t", "as=t", "s2=t", "%73=t", "a=s=t", "=s", "=s=t", "\"s\"=t"] {
            assert!(named(line, "s").is_empty(), "{line}");
        }
    }

    #[test]
    fn a_value_goes_to_the_semicolon_and_loses_one_pair_of_quotes() {
        for (line, value) in [
            ("s=", ""),
            ("s=a=b==", "a=b=="),
            ("s=\"\"", ""),
            ("s=\"\"a\"\"", "\"a\""),
            ("s=\"a", "\"a"),
            ("s=\"", "\""),
            ("s=a b", "a b"),
            ("s=a%20b", "a%20b"),
        ] {
            assert_eq!(named(line, "s"), [value], "{line}");
        }
        assert_eq!(named("s=1; S=2; s=3", "s"), ["1", "3"]);
    }
}
