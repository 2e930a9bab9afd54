//! Bearer JWTs (RFC 6750, RFC 7519): an issuer's terms, and what its tokens are judged by.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;

use super::keys::KeySet;
use crate::{
    model::{Claims, IssuerName, Timestamp},
    policy::digest::Digest,
};

/// Bytes of a `kid` at most.
pub const LONGEST_KID: usize = 256;

/// What one issuer's tokens are judged by.
#[derive(Debug)]
pub struct IssuerTerms {
    /// Its name under `authentication.jwt`; `token` is the gateway's own.
    pub name: IssuerName,
    /// The issuer of the principals it makes: its name, or `local` for the gateway's own.
    pub principal_issuer: IssuerName,
    /// The exact `iss`; absent takes what no other issuer claims.
    pub issuer: Option<String>,
    /// One of these must be in `aud`; empty takes any.
    pub audiences: Vec<String>,
    /// Never taken from the token.
    pub algorithms: Vec<Algorithm>,
    /// Its keys.
    pub keys: KeySet,
    /// Tells this issuer with these keys from any other, for what is cached about its tokens:
    /// [`KeySet::fingerprint`] of its name.
    pub fingerprint: Digest,
    /// Grace on `exp` and `nbf`.
    pub leeway: Duration,
    /// Claims that must be there.
    pub require: Vec<String>,
    /// Accepted JOSE `typ` values, lower case, without `application/`; an empty string is absence.
    pub token_types: Vec<String>,
    /// Where the claims that make a principal stand.
    pub claims: ClaimPaths,
    /// What the issuer may assert; absent is anything.
    pub grants: Option<Grants>,
    /// Whether the subject must be a user of ours.
    pub users: UserRule,
}

/// Where the claims that make a principal stand, as dotted paths.
#[derive(Clone, Debug)]
pub struct ClaimPaths {
    /// The subject.
    pub subject: String,
    /// The roles.
    pub roles: String,
    /// The permissions.
    pub permissions: String,
    /// The plan.
    pub plan: String,
}

impl Default for ClaimPaths {
    fn default() -> Self {
        Self {
            subject: "sub".into(),
            roles: "roles".into(),
            permissions: "permissions".into(),
            plan: "plan".into(),
        }
    }
}

/// What an issuer may assert: names, or a prefix before `*`.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Roles.
    pub roles: Vec<String>,
    /// Permissions.
    pub permissions: Vec<String>,
}

/// Whether a token's subject must be a user of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRule {
    /// The token alone counts.
    Ignore,
    /// It must be an enabled user, whose present roles and permissions count.
    Require,
}

/// A token that parses as a JWS in compact form, its signature not yet looked at.
#[derive(Debug)]
pub struct Jws<'r> {
    /// The token as it came.
    pub token: &'r str,
    /// The digest it is remembered by.
    pub digest: Digest,
    /// What its header says.
    pub header: JoseHeader,
    /// Its unverified `iss`, by which an issuer is chosen and nothing else.
    pub issuer: Option<String>,
}

/// The members of a JOSE header that matter. A header with `crit`, `cty` or `b64` is refused
/// before this is made; `jwk`, `jku`, `x5u` and `x5c` are never looked at.
#[derive(Clone, Debug, Default)]
pub struct JoseHeader {
    /// The algorithm it claims, one that we know.
    pub algorithm: Option<Algorithm>,
    /// The key it claims.
    pub kid: Option<String>,
    /// Its type, lower case, without `application/`; empty if absent.
    pub typ: String,
}

/// The facts of a token whose signature is good. Only a signature check makes one.
#[derive(Debug)]
pub struct Verified {
    /// Whose keys vouched for it.
    pub issuer: IssuerName,
    /// Which issuer with which keys, see [`IssuerTerms::fingerprint`].
    pub fingerprint: Digest,
    /// Its JOSE type, as in [`JoseHeader::typ`].
    pub typ: String,
    /// All of its claims.
    pub claims: Arc<Claims>,
    /// `exp`, if it is there and a number.
    pub expires: Option<Timestamp>,
    /// `nbf`, if it is there and a number.
    pub not_before: Option<Timestamp>,
}
