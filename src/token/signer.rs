//! From claims to a signed token.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value};

use super::grant::{self, Granted, JTI_BYTES, ScopeFault};
use crate::{
    model::Timestamp,
    policy::{
        accounts::User,
        authn::{jwt::LONGEST_TOKEN, keys::SigningKey},
        authz::RoleGraph,
        issuing::IssuingTerms,
    },
    sources::provider,
};

/// Why no token could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintFault {
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Randomness,
    /// The scope asks for what the user does not have.
    #[error(transparent)]
    Scope(#[from] ScopeFault),
    /// The key does not sign.
    #[error("the key does not sign")]
    Signing,
    /// What the user has does not fit into a token that would be taken.
    #[error("the token has more than {LONGEST_TOKEN} bytes")]
    TooLarge,
}

/// A token for a user, with what is to be said about it.
#[derive(Clone, Debug)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// What it grants.
    pub granted: Granted,
}

/// Mints a token for a user.
///
/// # Errors
/// If the scope asks for what the user lacks, or the token cannot be made.
pub fn mint(
    terms: &IssuingTerms,
    user: &User,
    roles: &RoleGraph,
    scope: Option<&str>,
    now: Timestamp,
) -> Result<Minted, MintFault> {
    let granted = grant::issue(terms, user, roles, scope, now, &jti()?)?;
    let token = sign(&terms.key, &granted.claims)?;
    if token.len() > LONGEST_TOKEN {
        return Err(MintFault::TooLarge);
    }
    Ok(Minted { token, granted })
}

/// Signs claims as a JWT (RFC 7519) with the key's algorithm and id.
///
/// # Errors
/// If the key does not sign.
pub fn sign(key: &SigningKey, claims: &Map<String, Value>) -> Result<String, MintFault> {
    provider::install();
    let mut header = Header::new(key.algorithm);
    header.kid.clone_from(&key.kid);
    let key: &EncodingKey = &key.key;
    jsonwebtoken::encode(&header, claims, key).map_err(|_| MintFault::Signing)
}

/// A name that no other token has.
fn jti() -> Result<String, MintFault> {
    let mut bytes = [0; JTI_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| MintFault::Randomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
