//! Keys that verify and sign tokens: parsed from secrets, PEM and JWK sets, bound to a type.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

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
    /// The algorithms it may be used with: of its type, and of its own `alg` if it has one.
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
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}
