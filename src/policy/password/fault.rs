//! What is wrong with a hash.

use super::{Pbkdf2Text, ScryptText};
use crate::model::Secret;

/// Why no password could ever match the hash, or why it would cost too much to try.
pub(super) fn of(hash: &Secret) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(hash.expose()) else { return Some("it is not text") };
    if text.starts_with("$argon2") {
        return of_argon2(text);
    }
    if text.starts_with("pbkdf2_") {
        return of_pbkdf2(text);
    }
    if text.starts_with("scrypt$") || text.starts_with("$scrypt$") {
        return of_scrypt(text);
    }
    // `$2b$12$` and 53 characters of salt and digest.
    let mut parts = text.split('$').skip(2);
    let (Some(cost), Some(rest), None) = (parts.next(), parts.next(), parts.next()) else {
        return Some("it is not `$2b$COST$…`");
    };
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    if cost.len() != 2 || rest.len() != 53 || !rest.bytes().all(alphabet) {
        return Some("a bcrypt hash has a cost of two digits and 53 characters");
    }
    match cost.parse::<u32>() {
        Ok(4..=16) => None,
        Ok(_) => Some("the cost is between 4 and 16"),
        Err(_) => Some("its cost is not a number"),
    }
}

fn of_argon2(text: &str) -> Option<&'static str> {
    let Ok(hash) = argon2::PasswordHash::new(text) else {
        return Some("it is not `$argon2id$v=19$m=…,t=…,p=…$SALT$DIGEST`");
    };
    if hash.hash.is_none() || hash.salt.is_none() {
        return Some("its salt or its digest is missing");
    }
    let Ok(parameters) = argon2::Params::try_from(&hash) else {
        return Some("its parameters are out of range");
    };
    // One check may take 256 MiB and some seconds at most.
    let dear =
        parameters.m_cost() > 256 << 10 || parameters.t_cost() > 16 || parameters.p_cost() > 16;
    dear.then_some("checking it would take more than 256 MiB, 16 passes or 16 lanes")
}

fn of_pbkdf2(text: &str) -> Option<&'static str> {
    let Some(hash) = Pbkdf2Text::parse(text) else {
        return Some("it is not `pbkdf2_sha256$ITERATIONS$SALT$DIGEST` with 32 bytes of digest");
    };
    // Three seconds or so.
    let usual = (1..=10_000_000).contains(&hash.iterations);
    (!usual).then_some("it has more than ten million iterations, or none")
}

fn of_scrypt(text: &str) -> Option<&'static str> {
    let Some(hash) = ScryptText::parse(text) else {
        return Some("it is not `scrypt$SALT$N$R$P$DIGEST` or `$scrypt$ln=…,r=…,p=…$SALT$DIGEST`");
    };
    let memory = 128_u64.checked_shl(hash.log_n.into()).unwrap_or(u64::MAX);
    let memory = memory.saturating_mul(hash.block.into());
    let usual = (1..=20).contains(&hash.log_n)
        && (1..=32).contains(&hash.block)
        && (1..=16).contains(&hash.lanes);
    if !usual || memory > 256 << 20 {
        return Some("checking it would take more than 256 MiB, or its parameters are none");
    }
    (!(16..=64).contains(&hash.digest.len())).then_some("its digest has 16 to 64 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_no_password_matches_is_malformed() {
        let salted = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        for text in [
            "$2b$12$short".to_owned(),
            format!("$2b$99${salted}"),
            format!("$2b$1${salted}"),
            format!("$2b$12${salted}$more"),
            "$argon2id$v=19$m=19456,t=2,p=1".to_owned(),
            "$argon2id$nonsense".to_owned(),
            "pbkdf2_sha256$0$salt$47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            "pbkdf2_sha256$99999999$salt$47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            "pbkdf2_sha1$1000$salt$6lX3FkYwbSWg1F0UeOXyVN0LY7E=".to_owned(),
            "scrypt$salt$16384$8$1$AA==".to_owned(),
            "scrypt$salt$16385$8$1$47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            "scrypt$salt$1048576$32$1$47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            "$scrypt$ln=63,r=8,p=1$c2FsdA$47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".to_owned(),
            "$argon2id$v=19$m=4194304,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo+Tnjn4bQFlcVhekFGCWbSs/kQqTmDS4".to_owned(),
        ] {
            assert!(of(&Secret::new(text.as_str())).is_some(), "{text}");
        }
        for text in [
            format!("$2b$12${salted}"),
            "pbkdf2_sha256$600000$salt$47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            "scrypt$salt$16384$8$5$47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".to_owned(),
            "$scrypt$ln=17,r=8,p=1$c2FsdA$47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".to_owned(),
            "$argon2id$v=19$m=19456,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo+Tnjn4bQFlcVhekFGCWbSs/kQqTmDS4".to_owned(),
        ] {
            assert_eq!(of(&Secret::new(text.as_str())), None, "{text}");
        }
    }
}
