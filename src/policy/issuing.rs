//! The token endpoint's terms, as data.

use std::time::Duration;

use super::authn::keys::SigningKey;

/// The gateway as issuer (`token`).
#[derive(Debug)]
pub struct IssuingTerms {
    /// Where tokens are asked for; absent is nowhere.
    pub path: Option<String>,
    /// Where tokens are taken back (RFC 7009); absent is nowhere.
    pub revoke_path: Option<String>,
    /// Where keys are published, for asymmetric algorithms.
    pub jwks_path: Option<String>,
    /// The `iss` of what is issued.
    pub issuer: String,
    /// The `aud` of what is issued.
    pub audience: String,
    /// How long an access token lives.
    pub access_ttl: Duration,
    /// How long a login can be refreshed, counted from it; absent is not at all.
    pub refresh_ttl: Option<Duration>,
    /// Whether API clients are given tokens for their keys: only where there can be keys.
    pub for_clients: bool,
    /// The key that signs.
    pub key: SigningKey,
}
