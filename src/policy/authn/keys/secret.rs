//! HMAC secrets: long enough, not known to everybody, and not a key of another kind.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    der,
    fault::{KeyFault, LEAST_SECRET},
};
use crate::{model::Secret, policy::digest::Digest};

/// Whether these bytes may verify tokens.
///
/// # Errors
/// If they are short, known, easily guessed, or key material that may be public.
pub(super) fn examine(secret: &Secret) -> Result<(), KeyFault> {
    let bytes = secret.expose();
    if let Some(what) = key_material(bytes) {
        return Err(KeyFault::KeyAsSecret { what });
    }
    if bytes.len() < LEAST_SECRET {
        return Err(KeyFault::ShortSecret { bytes: bytes.len() });
    }
    if is_monotonous(bytes) || is_known(bytes) {
        return Err(KeyFault::TrivialSecret);
    }
    Ok(())
}

/// What kind of key the bytes are, if they are one. Whoever verifies HMACs with a public key lets
/// everybody sign who can read it.
fn key_material(bytes: &[u8]) -> Option<&'static str> {
    if der::looks_like_a_container(bytes) {
        return Some("a key in DER");
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if text.contains("-----BEGIN ") {
        return Some("a key in PEM");
    }
    let ssh =
        ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2", "PuTTY-User-Key-File"];
    if ssh.iter().any(|prefix| text.starts_with(prefix)) {
        return Some("an SSH key");
    }
    if text.starts_with('{') && (text.contains("\"kty\"") || text.contains("\"keys\"")) {
        return Some("a JSON Web Key");
    }
    let compact: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = STANDARD.decode(compact).ok()?;
    der::looks_like_a_container(&decoded).then_some("the inside of a PEM file")
}

/// Fewer different bytes than any random secret of this length has, in hexadecimal or not.
fn is_monotonous(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in bytes {
        if let Some(slot) = seen.get_mut(usize::from(*byte)) {
            *slot = true;
        }
    }
    seen.iter().filter(|seen| **seen).count() < 6
}

fn is_known(bytes: &[u8]) -> bool {
    let trimmed = bytes.trim_ascii();
    let digest = Digest::of(trimmed).to_string();
    KNOWN.contains(&digest.as_str())
}

/// SHA-256 of secrets that stand in tutorials, standards and starter projects; the file holds none
/// of them in clear.
const KNOWN: &[&str] = &[
    // the secret of a well-known web framework's security tutorial
    "570dad43de1af4c925f92c16a68a50936da42b7dd6fdeb24850507a1199aac89",
    // the same tutorial's older secret
    "dc9994738bbd6300c86b7c630592ad080fca89c8a346deb195206a717392c447",
    // the example of a token debugger
    "465d9ad5d5528ebe287b5dce4fb51620833d09b290e49ddcc70ca6c4a0aea01b",
    // the same, for 384 bits
    "730d21a80e61a8de82d12cb4c0b8057cff5a30e2dec50ce7a773513374f9164a",
    // the same, for 512 bits
    "db6833593279d7373592ef70e51f3daf048c04475739f8ed024b0821fd9e7fde",
    // placeholders of tutorials and starter projects
    "40072d61eaecd7b8309ffbe4aa3826c30969711106c3ee0072719d97ae3d92c9",
    "1453cea2dc3799e9026e42b3e465e455256d5a149582e4c5b92d4c8d604731a2",
    "a064b502e61d27e94b8717290e5e1b32e36720e9fbdf952ec81a84c07128cb37",
    "0d356ede0ba49981912e357d2b5ef4a870a721fd186a5b0881e7425f08b68e13",
    "c99758db33af70fbf3588833c77678baa8d763407fcb82c58509e6332a63e21c",
    "62fc2dc531806040d4679ee9cbd4a1eb14a6e8f35d5189092e99778125564f43",
    "54bdb0aece41970e7f4c435cedbfd79ffa829e3e56ae33ea00a2c3717daeb916",
    "8eecb3bfd5965e5c85eb857e30d98587a543c6c4139a66efb12163a10a02fb80",
    "103ab5dd9769664c34bb4dcecdbe1aa52a55f75a4a62243238c9abb3bc3d9e02",
    "074337dc15c16b74a873232606bc465fc87449ca5f584d9e581e0ee899feb270",
    "0f9967e7838beff723bdfc3fb14aa7ffb13ec85b79a5962f0a1432585606d96b",
    "03e0d1ff6a48214ad0117e482f047bce1440e3328b84e3e23a10e0a1468612f5",
    "a24934109e44b59cf78d8c73297a76faac8a6da2feb0e9550f43353b5fa88303",
    "662565f3338e55b42d3081622a81ef74f231bcfc6bd0054fe06db4dffe0c20aa",
    "7d5f5ad0674ec2f2960b1a34f33370a0f71471fa0e3ef0c0a692977d276dafe8",
    "4f6247d3302488b2e483cdc67a5027a6de127b09903954787428e30faf83eb49",
    "410abeda2232b65193b49c646fbea07c47cef2775464ad27d416ceeef6440567",
    "f083507a84a2be5f61a1e3ab488998da180baab9cbfbff7ab1acae925e16c882",
    "a6cfbf4588963fb0e48c9373c3a8b7138f372539e9b2562aaf2c68424c77f617",
    "0132b23d48e45ade97a8cda58aea57d99642a1b972b1bd7ac662cb2de927967c",
    "919d58462e635d755c2a103b3579676ad1637b8b6928285843875c9923d64277",
    "9b07c4c9003d07e664b464489bd3ac4c800d07a4c77cf42bfb813c77d867f665",
    // runs of digits and letters
    "3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9",
    "a8ae6e6ee929abea3afcfc5258c8ccd6f85273e0d4626d26c7279f3250f77c8e",
    "cd6c1f7d1dc6717d6371d2647910ca71ba3bf0b611083d322466b8843b4285b6",
    "e1b85b27d6bcb05846c18e6a48f118e89f0c0587140de9fb3359f8370d0dba08",
    "861009ec4d599fab1f40abc76e6f89880cff5833c79c548c99f9045f191cd90b",
    "f6d527e6d01865481134f29788be2afe7fc3c702e1a55d7ceafac5f35199e8dc",
    "653bb1245e828fcda4fa53fcd5a3def5bd7654e651f54b4132b73d74e64435c4",
    "cfd2f1fad75a1978da0a444883db7251414b139f31f5a04704c291fdb0e175e6",
    "d04e8d908c81e30da865f7b1fabce26d6026a0e57a0f35e96e9b9f14cbcf39d0",
    "1ea604f64a8a5084cb916142866daf06cdb5f69c716f7ba286dc0c1eb2c2209a",
    "a5c6c1a104cf7da7890a5dda2afbed0f73d3a2430412bf813e614c896512d0f6",
    // the octet key of RFC 7517's appendix A.3, base64url as printed
    "8b1b17a9740c068accab5c3d0d652c8e3cc13206e70bb73b42ea41d4c2de3c12",
    // its bytes, which are the key of RFC 7515's appendix A.1 too
    "c8ecc9361a05e285f04c26f9572131a6deab07e9e2b865053c6f75a4d8bd2b32",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: impl Into<Vec<u8>>) -> KeyFault {
        examine(&Secret::new(bytes)).unwrap_err()
    }

    #[test]
    fn a_random_secret_of_32_bytes_is_taken_and_one_of_31_is_not() {
        assert_eq!(examine(&Secret::new("8f2c1e9b7a6d5043f1e2d3c4b5a69788")), Ok(()));
        assert_eq!(fault("8f2c1e9b7a6d5043f1e2d3c4b5a6978"), KeyFault::ShortSecret { bytes: 31 });
    }

    #[test]
    fn a_published_or_monotonous_secret_is_refused() {
        for secret in [
            "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
            "a-string-secret-at-least-256-bits-long",
            "a-string-secret-at-least-256-bits-long\n",
            "00000000000000000000000000000000",
            "abababababababababababababababababab",
        ] {
            assert_eq!(fault(secret), KeyFault::TrivialSecret, "{secret}");
        }
    }

    #[test]
    fn a_key_of_another_kind_is_no_secret() {
        let pem = include_str!("../../../../tests/fixtures/keys/rsa.pub.pem");
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(&body).unwrap();
        let jwks = include_str!("../../../../tests/fixtures/jwks.json");
        let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKdx demo@example.com";
        for (secret, what) in [
            (pem.as_bytes().to_vec(), "a key in PEM"),
            (format!(" \n{pem}").into_bytes(), "a key in PEM"),
            (der, "a key in DER"),
            (body.into_bytes(), "the inside of a PEM file"),
            (jwks.as_bytes().to_vec(), "a JSON Web Key"),
            (
                b"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMko\"}".to_vec(),
                "a JSON Web Key",
            ),
            (ssh.as_bytes().to_vec(), "an SSH key"),
        ] {
            assert_eq!(fault(secret), KeyFault::KeyAsSecret { what });
        }
    }
}
