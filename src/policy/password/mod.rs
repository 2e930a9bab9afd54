//! Kinds of password hashes: which function with which parameters, and so what checking one costs.

mod fault;
mod text;

use std::fmt;

use crate::model::Secret;

pub use text::{Pbkdf2Text, ScryptText};

/// How a password hash was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashKind {
    /// Argon2i (RFC 9106), version 1.3, of systems before ours.
    Argon2i(Argon2),
    /// Argon2id (RFC 9106), version 1.3.
    Argon2id(Argon2),
    /// bcrypt, `$2a$`, `$2b$` or `$2y$`.
    Bcrypt {
        /// Binary logarithm of its rounds.
        cost: u32,
    },
    /// PBKDF2 (RFC 8018) with HMAC-SHA-256.
    Pbkdf2 {
        /// Iterations.
        iterations: u32,
    },
    /// scrypt (RFC 7914).
    Scrypt {
        /// Binary logarithm of N.
        log_n: u8,
        /// The block size.
        block: u32,
        /// The parallelization.
        lanes: u32,
        /// Bytes of the digest.
        length: u32,
    },
}

/// The parameters of an Argon2 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Argon2 {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// Bytes of the digest.
    pub length: u32,
}

impl HashKind {
    /// What `portcullis hash-password` makes, and what is computed where nobody has a password.
    pub const USUAL: Self =
        Self::Argon2id(Argon2 { memory: 19_456, passes: 2, lanes: 1, length: 32 });

    /// What checking one costs, in microseconds of a processor of our days, by and large.
    pub fn cost(self) -> u64 {
        match self {
            Self::Argon2i(Argon2 { memory, passes, .. })
            | Self::Argon2id(Argon2 { memory, passes, .. }) => {
                u64::from(memory) * u64::from(passes) * 4 / 5
            }
            Self::Bcrypt { cost } => 56_u64.checked_shl(cost).unwrap_or(u64::MAX),
            Self::Pbkdf2 { iterations } => u64::from(iterations) / 4,
            Self::Scrypt { log_n, block, lanes, .. } => {
                let blocks = u64::from(block).saturating_mul(u64::from(lanes));
                1_u64.checked_shl(log_n.into()).unwrap_or(u64::MAX).saturating_mul(blocks) * 2 / 5
            }
        }
    }

    /// Whether a new hash of the same password would be better.
    pub fn is_weak(self) -> bool {
        match self {
            Self::Argon2id(_) => self.cost() < Self::USUAL.cost(),
            Self::Argon2i(_) | Self::Bcrypt { .. } | Self::Pbkdf2 { .. } | Self::Scrypt { .. } => {
                true
            }
        }
    }

    /// The kind of a hash in the usual text form; nothing if it is none that we check.
    pub fn of(hash: &Secret) -> Option<Self> {
        let text = std::str::from_utf8(hash.expose()).ok()?;
        if let Some(pbkdf2) = Pbkdf2Text::parse(text) {
            return Some(Self::Pbkdf2 { iterations: pbkdf2.iterations });
        }
        if let Some(ScryptText { log_n, block, lanes, digest, .. }) = ScryptText::parse(text) {
            let length = u32::try_from(digest.len()).ok()?;
            return Some(Self::Scrypt { log_n, block, lanes, length });
        }
        let mut parts = text.strip_prefix('$')?.split('$');
        match parts.next()? {
            "2a" | "2b" | "2y" if text.len() == 60 => {
                let cost = parts.next().filter(|cost| cost.len() == 2)?.parse().ok()?;
                Some(Self::Bcrypt { cost })
            }
            name @ ("argon2i" | "argon2id") => {
                let (version, terms) = (parts.next()?, parts.next()?);
                let digest = parts.nth(1)?;
                if version != "v=19" || parts.next().is_some() {
                    return None;
                }
                let length = u32::try_from(digest.len() * 3 / 4).ok()?;
                let argon2 = argon2(terms, length)?;
                Some(if name == "argon2i" { Self::Argon2i(argon2) } else { Self::Argon2id(argon2) })
            }
            _ => None,
        }
    }

    /// The kind of a hash that is whole and not too dear to check.
    ///
    /// # Errors
    /// Why no password could ever match it, or why it would cost too much to try.
    pub fn judge(hash: &Secret) -> Result<Self, &'static str> {
        if let Some(why) = fault::of(hash) {
            return Err(why);
        }
        Self::of(hash).ok_or("it is of no kind that is known")
    }
}

fn argon2(terms: &str, length: u32) -> Option<Argon2> {
    let (mut memory, mut passes, mut lanes) = (None, None, None);
    for term in terms.split(',') {
        let (name, value) = term.split_once('=')?;
        let place = match name {
            "m" => &mut memory,
            "p" => &mut lanes,
            "t" => &mut passes,
            _ => return None,
        };
        if place.replace(value.parse().ok()?).is_some() {
            return None;
        }
    }
    Some(Argon2 { memory: memory?, passes: passes?, lanes: lanes?, length })
}

/// As in logs: `bcrypt-12`, `argon2id-19456-2-1`.
impl fmt::Display for HashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argon2i(Argon2 { memory, passes, lanes, .. }) => {
                write!(f, "argon2i-{memory}-{passes}-{lanes}")
            }
            Self::Argon2id(Argon2 { memory, passes, lanes, .. }) => {
                write!(f, "argon2id-{memory}-{passes}-{lanes}")
            }
            Self::Bcrypt { cost } => write!(f, "bcrypt-{cost:02}"),
            Self::Pbkdf2 { iterations } => write!(f, "pbkdf2-{iterations}"),
            Self::Scrypt { log_n, block, lanes, .. } => {
                write!(f, "scrypt-{log_n}-{block}-{lanes}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<HashKind> {
        HashKind::of(&Secret::new(text))
    }

    #[test]
    fn the_kind_is_read_from_the_text() {
        let bcrypt = "$2b$12$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu";
        assert_eq!(bcrypt.len(), 60);
        assert_eq!(kind(bcrypt), Some(HashKind::Bcrypt { cost: 12 }));
        assert_eq!(kind(&bcrypt.replace("2b", "2y")), Some(HashKind::Bcrypt { cost: 12 }));
        let argon2 = "$argon2id$v=19$m=19456,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo+Tnjn4bQFlcVhekFGCWbSs/kQqTmDS4";
        assert_eq!(kind(argon2), Some(HashKind::USUAL));
        assert_eq!(kind(argon2).unwrap().to_string(), "argon2id-19456-2-1");
    }

    #[test]
    fn what_we_do_not_check_has_no_kind() {
        for text in [
            "",
            "plain",
            "$2x$12$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
            "$2b$12$short",
            "$argon2d$v=19$m=19456,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo",
            "pbkdf2_sha1$1000$salt$6lX3FkYwbSWg1F0UeOXyVN0LY7E=",
            "$argon2id$v=16$m=19456,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo",
            "$argon2id$v=19$m=19456,t=2$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo",
            "$argon2id$v=19$m=1,m=2,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo",
            "$argon2id$v=19$m=19456,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ",
        ] {
            assert_eq!(kind(text), None, "{text}");
        }
    }
}
