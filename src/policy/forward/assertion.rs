//! What the gateway asserts to an upstream about a principal, as claims that are yet to be signed.

use std::time::Duration;

use http::HeaderName;
use serde_json::{Map, Value, json};
use smallvec::SmallVec;

use crate::{
    model::{Permission, Principal, Role, Timestamp},
    policy::{authn::keys::SigningKey, digest::Digest},
};

/// The JOSE `typ` of an assertion. Nothing with it is ever accepted as a token.
pub const ASSERTION_TYPE: &str = "portcullis-assertion+jwt";

/// What is asserted to upstreams (`identity.assertion`).
#[derive(Debug)]
pub struct AssertionTerms {
    /// The header it is sent in.
    pub header: HeaderName,
    /// Its `iss`.
    pub issuer: String,
    /// Its `aud`.
    pub audience: String,
    /// How long an upstream may believe it.
    pub ttl: Duration,
    /// The key that signs.
    pub key: SigningKey,
    /// Its line in the file.
    pub line: u32,
}

impl AssertionTerms {
    /// How long an assertion is used again: half of its life, so that the other half is left to
    /// every upstream that gets it.
    pub fn reused_for(&self) -> Duration {
        self.ttl / 2
    }

    /// Tells what is asserted of a principal under these terms from everything else that could be:
    /// of two with the same digest one assertion serves both. Every part stands with its length.
    pub fn digest(&self, principal: &Principal) -> Digest {
        let mut text = SmallVec::<[u8; 512]>::new();
        let mut part = |bytes: &[u8]| {
            text.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            text.extend_from_slice(bytes);
        };
        part(self.key.kid.as_deref().unwrap_or_default().as_bytes());
        part(self.issuer.as_bytes());
        part(self.audience.as_bytes());
        part(&self.ttl.as_micros().to_be_bytes());
        part(principal.issuer.as_str().as_bytes());
        part(principal.subject.as_bytes());
        part(principal.method.as_str().as_bytes());
        part(&(principal.roles.len() as u64).to_be_bytes());
        principal.roles.iter().for_each(|role| part(role.as_str().as_bytes()));
        principal.permissions.iter().for_each(|one| part(one.as_str().as_bytes()));
        Digest::of(&text)
    }

    /// The claims that assert who a principal is. Pure: time and the unique name are arguments.
    pub fn claims(&self, principal: &Principal, now: Timestamp, jti: &str) -> Map<String, Value> {
        let issued_at = now.seconds();
        let expires = issued_at.saturating_add_unsigned(self.ttl.as_secs());
        let roles: Vec<&str> = principal.roles.iter().map(Role::as_str).collect();
        let permissions: Vec<&str> = principal.permissions.iter().map(Permission::as_str).collect();
        Map::from_iter([
            ("aud".to_owned(), json!(self.audience)),
            ("auth_method".to_owned(), json!(principal.method.as_str())),
            ("exp".to_owned(), json!(expires)),
            ("iat".to_owned(), json!(issued_at)),
            ("iss".to_owned(), json!(self.issuer)),
            ("jti".to_owned(), json!(jti)),
            ("permissions".to_owned(), json!(permissions)),
            ("roles".to_owned(), json!(roles)),
            ("source".to_owned(), json!(principal.issuer.as_str())),
            ("sub".to_owned(), json!(&*principal.subject)),
        ])
    }
}
