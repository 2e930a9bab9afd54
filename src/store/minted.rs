//! The text of a new API key: `pk_ID_SECRET_CHECKSUM`.
//!
//! The id is public: it stands in logs and lists. The secret is 27 letters and digits at random, so
//! 160 bits. The checksum is the CRC-32 (that of ISO-HDLC, as zip files have it) of everything before
//! its underscore, as six digits of base 62 (`0-9A-Za-z`): who scans code for secrets tells a key from
//! what only looks like one without asking anybody. It proves nothing, and nothing relies on it.

use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};

use super::StoreFault;
use crate::model::Secret;

/// What every key begins with.
const PREFIX: &str = "pk_";

/// Letters and digits of a secret: 27 · log₂ 62 is 160 bits.
const SECRET: usize = 27;

/// Letters and digits of an id that nobody chose.
const ID: usize = 12;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key that was just made. Its text is shown once and kept nowhere.
#[derive(Debug)]
pub struct MintedKey {
    /// Its public id.
    pub id: String,
    /// The key itself.
    pub text: Secret,
    /// The SHA-256 of the key.
    pub sha256: [u8; 32],
}

impl MintedKey {
    /// A key with this id, or with one at random.
    ///
    /// # Errors
    /// No random bytes could be had.
    pub fn mint(id: Option<&str>) -> Result<Self, StoreFault> {
        let random = SystemRandom::new();
        let id = match id {
            Some(id) => id.to_owned(),
            None => letters(&random, ID)?,
        };
        let mut text = format!("{PREFIX}{id}_{}", letters(&random, SECRET)?);
        let checksum = base62(crc32(text.as_bytes()));
        text.push('_');
        text.push_str(&checksum);
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Ok(Self { id, text: Secret::new(text), sha256 })
    }
}

/// Whether a text can be the id of a key: letters, digits and hyphens, at most 64.
pub fn is_key_id(text: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(usual)
}

/// Whether a text is a key whose checksum is right. It says nothing of whether there is such a key.
pub fn is_intact(text: &str) -> bool {
    let Some((body, checksum)) = text.rsplit_once('_') else { return false };
    let parts = body.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once('_'));
    let usual = parts.is_some_and(|(id, secret)| is_key_id(id) && secret.len() == SECRET);
    usual && base62(crc32(body.as_bytes())) == checksum
}

/// Letters and digits at random, each as likely as any other.
fn letters(random: &SystemRandom, count: usize) -> Result<String, StoreFault> {
    let mut text = String::with_capacity(count);
    let mut bytes = [0; 64];
    while text.len() < count {
        random.fill(&mut bytes).map_err(|_| StoreFault::Randomness)?;
        // Of 256 values 248 are four times the digits; the rest would favour some of them.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let digits = fair.filter_map(|byte| DIGITS.get(usize::from(byte % 62)));
        text.extend(digits.take(count - text.len()).map(|digit| char::from(*digit)));
    }
    Ok(text)
}

/// Six digits, which hold any 32 bits.
fn base62(mut number: u32) -> String {
    let mut digits = [b'0'; 6];
    for place in digits.iter_mut().rev() {
        *place = DIGITS.get((number % 62) as usize).copied().unwrap_or(b'0');
        number /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_zip_files() {
        // The check value of the catalogue of CRCs.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(base62(0), "000000");
        assert_eq!(base62(u32::MAX), "4gfFC3");
    }

    #[test]
    fn a_key_says_its_id_and_is_intact() {
        let key = MintedKey::mint(Some("ci-2")).unwrap();
        let text = String::from_utf8(key.text.expose().to_vec()).unwrap();
        assert!(text.starts_with("pk_ci-2_") && is_intact(&text), "{text}");
        assert_eq!(text.len(), "pk_ci-2_".len() + 27 + 7);
        assert_eq!(key.sha256, *crate::policy::digest::Digest::of(text.as_bytes()).bytes());
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_intact(std::str::from_utf8(&other).unwrap()), "{at}");
        }
        let other = MintedKey::mint(None).unwrap();
        assert!(other.id.len() == 12 && is_key_id(&other.id));
        assert!(!is_key_id("a_b") && !is_key_id(""));
    }
}
