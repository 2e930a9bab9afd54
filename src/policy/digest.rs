//! The full SHA-256 by which credentials are looked up and remembered.

use std::fmt;

use ring::digest::{SHA256, digest};

/// A SHA-256, never cut short.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(out)
    }

    /// Takes a digest that was made elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse_hex(text: &str) -> Option<Self> {
        if text.len() != 64 {
            return None;
        }
        let mut out = [0; 32];
        for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(out))
    }

    /// The bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Several things of which one digest is made: each with its length before it, so that what ends one
/// cannot begin the next. It does not print.
#[derive(Default)]
pub struct Parts(Vec<u8>);

impl Parts {
    /// Adds a thing.
    pub fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
    }

    /// Adds a thing that may be absent, which is not the same as empty.
    pub fn add_option(&mut self, part: Option<&str>) {
        self.add_all(part);
    }

    /// Adds a list, which is not the same as its items.
    pub fn add_all<'p>(&mut self, parts: impl IntoIterator<Item = &'p str>) {
        let mut inner = Self::default();
        parts.into_iter().for_each(|part| inner.add(part.as_bytes()));
        self.add(&inner.0);
    }

    /// The digest of all of them.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_digest_is_the_one_of_fips_180() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), text);
        assert_eq!(Digest::parse_hex(text), Some(Digest::of(b"")));
        assert_eq!(Digest::parse_hex("+0"), None);
    }

    #[test]
    fn what_ends_one_part_does_not_begin_the_next() {
        let of = |parts: &[&str]| {
            let mut all = Parts::default();
            parts.iter().for_each(|part| all.add(part.as_bytes()));
            all.digest()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a", ""]), of(&["a"]));
        let list = |items: &[&str], then: &str| {
            let mut all = Parts::default();
            all.add_all(items.iter().copied());
            all.add(then.as_bytes());
            all.digest()
        };
        assert_ne!(list(&["a"], "b"), list(&["a", "b"], ""));
        assert_ne!(list(&[], ""), list(&[""], ""));
    }
}
