//! The token endpoint's terms, as data.

use std::time::Duration;

use super::authn::keys::SigningKey;

/// The gateway as issuer (`token`).
#[derive(Debug)]
pub struct IssuingTerms {
    /// Where tokens are asked for; absent is nowhere.
    pub path: Option<String>,
    /// Where keys are published, for asymmetric algorithms.
    pub jwks_path: Option<String>,
    /// The `iss` of what is issued.
    pub issuer: String,
    /// The `aud` of what is issued.
    pub audience: String,
    /// How long an access token lives.
    pub access_ttl: Duration,
    /// The key that signs.
    pub key: SigningKey,
}
