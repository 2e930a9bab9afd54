//! One password against one hash.

use std::hint::black_box;

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};

use crate::{model::Secret, policy::password::HashKind};

/// bcrypt sees no more of a password, and no more of it than up to a NUL in some of its
/// implementations.
const BCRYPT_SEES: usize = 72;

/// Whether the password is that of the hash.
pub(super) fn matches(hash: &Secret, kind: HashKind, password: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(hash.expose()) else { return false };
    match kind {
        HashKind::Argon2id { .. } => PasswordHash::new(text)
            .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
        HashKind::Bcrypt { .. } => {
            // The library would cut the password off and compare what is left.
            let fits = password.len() <= BCRYPT_SEES && !password.contains(&0);
            bcrypt::verify(password, text).unwrap_or(false) && fits
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
        HashKind::Argon2id { memory, passes, lanes, length } => {
            let length = length as usize;
            let Ok(params) = Params::new(memory, passes, lanes, Some(length)) else { return };
            let mut digest = vec![0; length];
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let done = argon2.hash_password_into(password, &SALT, &mut digest);
            let _ = black_box((done, digest));
        }
        HashKind::Bcrypt { cost } => {
            let _ = black_box(bcrypt::hash_with_salt_bytes(password, cost, SALT));
        }
    }
}

const SALT: [u8; 16] = *b"nobody's own one";
