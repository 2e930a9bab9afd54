//! Names that the file gives to things.

use super::{ValueFault, Written, written};
use crate::model::{IssuerName, Permission, PlanName, Role, RouteName, UpstreamName};

const LONGEST: usize = 200;

/// Whether a text can stand in a log line, a metric's label and an error: no control characters,
/// no spaces at its ends.
fn shown(text: &str) -> Result<&str, ValueFault> {
    if text.is_empty() {
        return Err(ValueFault::because("a name has at least one character"));
    }
    if text.len() > LONGEST {
        return Err(ValueFault::because(format!("a name has at most {LONGEST} bytes")));
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(ValueFault::because(
            "a name has no control characters, and no spaces at its ends",
        ));
    }
    Ok(text)
}

/// A name of letters, digits, `-`, `_` and `.`, for what is referred to with `:` or in a URL.
fn plain(text: &str) -> Result<&str, ValueFault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if shown(text)?.bytes().all(plain) {
        return Ok(text);
    }
    Err(ValueFault::because(
        "the name has a character other than letters, digits, `-`, `_` and `.`",
    ))
}

macro_rules! name {
    ($name:ty, $format:literal, $expects:literal, $judge:path) => {
        impl Written for $name {
            const FORMAT: &'static str = $format;
            const EXPECTS: &'static str = $expects;

            fn read(text: &str) -> Result<Self, ValueFault> {
                $judge(text).map(Self::from)
            }
        }
        written!($name);
    };
}

name!(UpstreamName, "upstream-name", "the name of an upstream", plain);
name!(PlanName, "plan-name", "the name of a plan", shown);
name!(Role, "role", "the name of a role", shown);
name!(RouteName, "route-name", "the name of a route", shown);
name!(IssuerName, "issuer-name", "the name of an issuer", issuer);
name!(Permission, "permission", "a permission such as `read:items`", permission);

fn issuer(text: &str) -> Result<&str, ValueFault> {
    match plain(text)? {
        "token" => Err(ValueFault::because("`token` is the name of the gateway's own issuer")
            .help("choose another name")),
        "local" => {
            Err(ValueFault::because("`local` is the issuer of what the gateway itself vouches for")
                .help("choose another name"))
        }
        name => Ok(name),
    }
}

/// A scope token of RFC 6749, section 3.3: it travels in `scope` and in header lists.
fn permission(text: &str) -> Result<&str, ValueFault> {
    let scope = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    if shown(text)?.bytes().all(scope) {
        return Ok(text);
    }
    Err(ValueFault::because("a permission is visible ASCII without spaces, `\"` and `\\`"))
}

/// Any other short text: a subject, an id, an audience, a username.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub String);

impl Label {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl serde::Serialize for Label {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl Written for Label {
    const FORMAT: &'static str = "label";
    const EXPECTS: &'static str = "text";

    fn read(text: &str) -> Result<Self, ValueFault> {
        if text.is_empty() || text.len() > 2048 || text.chars().any(char::is_control) {
            return Err(ValueFault::because(
                "the text is empty, over 2048 bytes, or has control characters",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A protection space (RFC 9110, section 11.5); it stands in quotes in `WWW-Authenticate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealmText(pub String);

impl serde::Serialize for RealmText {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl Written for RealmText {
    const FORMAT: &'static str = "realm";
    const EXPECTS: &'static str = "a realm of visible ASCII and spaces, without `\"` and `\\`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        let quotable = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(quotable) {
            return Err(ValueFault::malformed());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A SHA-256 digest in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha256Hex(pub [u8; 32]);

impl Written for Sha256Hex {
    const FORMAT: &'static str = "sha256";
    const EXPECTS: &'static str = "a SHA-256 digest of 64 hexadecimal digits";
    const NUMERIC: bool = true;
    const PATTERN: Option<&'static str> = Some("^[0-9A-Fa-f]{64}$");

    fn read(text: &str) -> Result<Self, ValueFault> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let mut digest = [0; 32];
        if pairs.len() != digest.len() || !rest.is_empty() {
            return Err(ValueFault::malformed());
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(ValueFault::malformed()),
            };
        }
        Ok(Self(digest))
    }
}

written!(Label, RealmText, Sha256Hex);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_own_issuer_names_are_taken() {
        assert!(IssuerName::read("corp").is_ok());
        assert!(IssuerName::read("token").is_err());
        assert!(IssuerName::read("local").is_err());
        assert!(IssuerName::read("a:b").is_err());
    }

    #[test]
    fn a_permission_is_a_scope_token() {
        assert!(Permission::read("read:items").is_ok());
        assert!(Permission::read("https://example.com/read").is_ok());
        for text in ["", "a b", "a\"", "a\\", "\u{e9}", " a"] {
            assert!(Permission::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_role_may_have_spaces_inside() {
        assert!(Role::read("Domain Admins").is_ok());
        assert!(Role::read("admin ").is_err());
        assert!(Role::read("a\nb").is_err());
    }

    #[test]
    fn a_digest_has_64_digits() {
        let digest = Sha256Hex::read(&"aB".repeat(32)).unwrap();
        assert_eq!(digest.0, [0xab; 32]);
        for text in ["", &"a".repeat(63), &"a".repeat(65), &"g".repeat(64), &"\u{e9}".repeat(32)] {
            assert!(Sha256Hex::read(text).is_err(), "{text}");
        }
    }
}
