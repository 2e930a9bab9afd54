//! Keys that verify and sign tokens: parsed from secrets, PEM and JWK sets, bound to a type.
//!
//! A key knows the algorithms that it may be used with: those of its type, of its own `alg`, and of
//! the configuration. What a token says of its algorithm only chooses among them (RFC 8725,
//! section 3.1).

mod der;
mod fault;
mod jwks;
mod keyring;
mod pem;
mod public;
mod secret;
mod signing;
#[cfg(test)]
mod tests;

use std::fmt;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};

pub use fault::{KeyFault, KeyWarning, LEAST_SECRET, MOST_KEYS};
pub use keyring::{KeyPlace, Keyring, Keys, Publication};
pub use public::{Curve, PublicKey};
pub use signing::published;

use super::algorithm_name;
use crate::{model::Secret, policy::digest::Digest};

/// The keys of one issuer.
#[derive(Clone, Default)]
pub struct KeySet {
    /// In the order of the file or the set.
    pub keys: Vec<VerifyingKey>,
}

/// One key that verifies.
#[derive(Clone)]
pub struct VerifyingKey {
    /// Its id, a plain map key and nothing else.
    pub kid: Option<String>,
    /// The algorithms it may be used with: of its type, of its own `alg` if it has one, and of the
    /// configuration.
    pub algorithms: Vec<Algorithm>,
    /// The key itself.
    pub key: DecodingKey,
}

/// The key that signs what the gateway issues.
#[derive(Clone)]
pub struct SigningKey {
    /// Its id: the RFC 7638 thumbprint; none for HMAC.
    pub kid: Option<String>,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The key itself.
    pub key: EncodingKey,
    verifies: DecodingKey,
    public: Option<PublicKey>,
}

impl KeySet {
    /// A set of these keys.
    pub fn new(keys: Vec<VerifyingKey>) -> Self {
        Self { keys }
    }

    /// The keys of a JSON Web Key set that are for verifying, of a type that we know, and fit one
    /// of the algorithms; with a warning for each that is left out.
    ///
    /// # Errors
    /// If it is no key set, holds too many, or no key of it can be used.
    pub fn from_jwks(
        text: &[u8],
        algorithms: &[Algorithm],
    ) -> Result<(Self, Vec<KeyWarning>), KeyFault> {
        jwks::parse(text, algorithms)
    }

    /// A key set without the keys that have something private in them, or could not be published
    /// without being given away: what of it may be kept. None if it is no key set.
    pub fn without_private(text: &[u8]) -> Option<Vec<u8>> {
        jwks::without_private(text)
    }

    /// The keys that may vouch for a token with this algorithm and this `kid`: a `kid` on both
    /// sides must be the same one; where either has none, the type decides.
    pub fn candidates<'k>(
        &'k self,
        algorithm: Algorithm,
        kid: Option<&'k str>,
    ) -> impl Iterator<Item = &'k VerifyingKey> {
        self.keys.iter().filter(move |key| {
            key.algorithms.contains(&algorithm)
                && kid.zip(key.kid.as_deref()).is_none_or(|(token, key)| token == key)
        })
    }

    /// Tells this issuer with these keys from any other: the name, and each key with its id and
    /// algorithms, each with its length. The order of the keys does not matter.
    pub fn fingerprint(&self, issuer: &str) -> Digest {
        let mut keys: Vec<Digest> = self.keys.iter().map(VerifyingKey::fingerprint).collect();
        keys.sort_unstable();
        let mut text = Vec::new();
        part(&mut text, issuer.as_bytes());
        for key in &keys {
            part(&mut text, key.bytes());
        }
        Digest::of(&text)
    }
}

/// Adds bytes with their length, so that no two lists of parts make one text.
fn part(text: &mut Vec<u8>, bytes: &[u8]) {
    text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    text.extend_from_slice(bytes);
}

impl VerifyingKey {
    pub(super) fn new(kid: Option<String>, algorithms: Vec<Algorithm>, key: DecodingKey) -> Self {
        Self { kid, algorithms, key }
    }

    fn fingerprint(&self) -> Digest {
        let mut text = Vec::new();
        part(&mut text, &[u8::from(self.kid.is_some())]);
        part(&mut text, self.kid.as_deref().unwrap_or_default().as_bytes());
        part(&mut text, &(self.algorithms.len() as u64).to_be_bytes());
        for algorithm in &self.algorithms {
            part(&mut text, algorithm_name(*algorithm).as_bytes());
        }
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => part(&mut text, bytes),
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                part(&mut text, n);
                part(&mut text, e);
            }
        }
        Digest::of(&text)
    }

    /// An HMAC secret, for those of the algorithms that are HMACs.
    ///
    /// # Errors
    /// If it is shorter than 32 bytes, known to everybody, or a key of another kind (PEM, DER, JWK,
    /// SSH), or if none of the algorithms is an HMAC.
    pub fn from_secret(secret: &Secret, algorithms: &[Algorithm]) -> Result<Self, KeyFault> {
        secret::examine(secret)?;
        let key = DecodingKey::from_secret(secret.expose());
        let fitting = of_family(algorithms, AlgorithmFamily::Hmac);
        if fitting.is_empty() {
            return Err(KeyFault::Algorithm { kind: "a secret", algorithms: algorithms.to_vec() });
        }
        Ok(Self::new(None, fitting, key))
    }

    /// A public key or certificate in PEM, for those of the algorithms that its type can verify.
    ///
    /// # Errors
    /// If it is no public key, of a type that we do not know, too short, or fits none of the
    /// algorithms.
    pub fn from_pem(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyFault> {
        let key = pem::public(text)?;
        let of_type = key.algorithms();
        let fitting: Vec<Algorithm> =
            algorithms.iter().copied().filter(|one| of_type.contains(one)).collect();
        if fitting.is_empty() {
            return Err(KeyFault::Algorithm { kind: key.kind(), algorithms: algorithms.to_vec() });
        }
        Ok(Self::new(None, fitting, key.decoding_key()))
    }
}

fn of_family(algorithms: &[Algorithm], family: AlgorithmFamily) -> Vec<Algorithm> {
    algorithms.iter().copied().filter(|one| one.family() == family).collect()
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}
