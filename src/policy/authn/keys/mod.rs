//! Keys that verify and sign tokens: parsed from secrets, PEM and JWK sets, bound to a type.
//!
//! A key knows the algorithms that it may be used with: those of its type, of its own `alg`, and of
//! the configuration. What a token says of its algorithm only chooses among them (RFC 8725,
//! section 3.1).

mod der;
mod fault;
mod jwks;
mod pem;
mod public;
mod secret;
mod signing;
#[cfg(test)]
mod tests;

use std::fmt;

use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};

pub use fault::{KeyFault, KeyWarning, LEAST_SECRET, MOST_KEYS};
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
    /// algorithms, each with its length.
    pub fn fingerprint(&self, issuer: &str) -> Digest {
        let mut text = Vec::new();
        let mut part = |bytes: &[u8]| {
            text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            text.extend_from_slice(bytes);
        };
        part(issuer.as_bytes());
        for key in &self.keys {
            part(&[u8::from(key.kid.is_some())]);
            part(key.kid.as_deref().unwrap_or_default().as_bytes());
            for algorithm in &key.algorithms {
                part(algorithm_name(*algorithm).as_bytes());
            }
            match key.key.kind() {
                DecodingKeyKind::SecretOrDer(bytes) => part(bytes),
                DecodingKeyKind::RsaModulusExponent { n, e } => {
                    part(n);
                    part(e);
                }
            }
        }
        Digest::of(&text)
    }
}

impl VerifyingKey {
    pub(super) fn new(kid: Option<String>, algorithms: Vec<Algorithm>, key: DecodingKey) -> Self {
        Self { kid, algorithms, key }
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
