//! One password against one hash.

use std::hint::black_box;

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use pbkdf2::sha2::Sha256;

use crate::{
    model::Secret,
    policy::password::{Argon2 as Argon2Terms, HashKind, Pbkdf2Text, ScryptText},
};

/// bcrypt sees no more of a password, and no more of it than up to a NUL in some of its
/// implementations.
const BCRYPT_SEES: usize = 72;

/// Whether the password is that of the hash.
pub(super) fn matches(hash: &Secret, kind: HashKind, password: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(hash.expose()) else { return false };
    match kind {
        HashKind::Argon2i(_) | HashKind::Argon2id(_) => PasswordHash::new(text)
            .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
        HashKind::Bcrypt { .. } => {
            // The library would cut the password off and compare what is left.
            let fits = password.len() <= BCRYPT_SEES && !password.contains(&0);
            bcrypt::verify(password, text).unwrap_or(false) && fits
        }
        HashKind::Pbkdf2 { iterations } => Pbkdf2Text::parse(text).is_some_and(|hash| {
            let made = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, hash.salt, iterations);
            is_same(&made, &hash.digest)
        }),
        HashKind::Scrypt { log_n, block, lanes, length } => {
            ScryptText::parse(text).is_some_and(|hash| {
                let made = scrypted(password, &hash.salt, (log_n, block, lanes), length);
                made.is_some_and(|made| is_same(&made, &hash.digest))
            })
        }
    }
}

/// The usual hash of a password.
pub(super) fn made(password: &[u8]) -> Option<Secret> {
    let hash = Argon2::default().hash_password(password).ok()?;
    Some(Secret::new(hash.to_string()))
}

/// Computes a hash of this kind for nothing but the time that it takes.
pub(super) fn waste(kind: HashKind, password: &[u8]) {
    match kind {
        HashKind::Argon2i(terms) => waste_argon2(Algorithm::Argon2i, terms, password),
        HashKind::Argon2id(terms) => waste_argon2(Algorithm::Argon2id, terms, password),
        HashKind::Bcrypt { cost } => {
            let _ = black_box(bcrypt::hash_with_salt_bytes(password, cost, SALT));
        }
        HashKind::Pbkdf2 { iterations } => {
            let made = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, &SALT, iterations);
            let _ = black_box(made);
        }
        HashKind::Scrypt { log_n, block, lanes, length } => {
            let _ = black_box(scrypted(password, &SALT, (log_n, block, lanes), length));
        }
    }
}

fn waste_argon2(algorithm: Algorithm, terms: Argon2Terms, password: &[u8]) {
    let Argon2Terms { memory, passes, lanes, length } = terms;
    let length = length as usize;
    let Ok(params) = Params::new(memory, passes, lanes, Some(length)) else { return };
    let mut digest = vec![0; length];
    let argon2 = Argon2::new(algorithm, Version::V0x13, params);
    let done = argon2.hash_password_into(password, &SALT, &mut digest);
    let _ = black_box((done, digest));
}

fn scrypted(
    password: &[u8],
    salt: &[u8],
    (log_n, block, lanes): (u8, u32, u32),
    length: u32,
) -> Option<Vec<u8>> {
    let params = scrypt::Params::new(log_n, block, lanes).ok()?;
    let mut digest = vec![0; length as usize];
    scrypt::scrypt(password, salt, &params, &mut digest).ok()?;
    Some(digest)
}

/// Compares in a time that tells nothing of where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let difference = one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b));
    one.len() == other.len() && black_box(difference) == 0
}

const SALT: [u8; 16] = *b"nobody's own one";
