//! Bearer JWTs (RFC 6750, RFC 7519): an issuer's terms, and what its tokens are judged by.
//!
//! A token goes through three types: [`Jws`] parses, nothing more; [`Verified`] has a signature
//! that one of the issuer's keys made; [`Trusted`] stands now, by the issuer's terms. What is kept
//! between requests is the second, so that time and policy are judged anew on each.

mod jws;
mod principal;
mod verified;

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
use serde_json::Value;

pub(super) use jws::issuer_of;
pub use jws::{JoseHeader, Jws, LONGEST_TOKEN, normal_type};
pub use principal::Grants;
pub(super) use principal::Says;
pub use verified::Verified;
pub(super) use verified::date;

use super::{TokenPlace, keys::Keys};
use crate::{
    model::{Claims, IssuerName, Timestamp},
    policy::{decision::TokenFault, sources::Issued},
};

/// Bytes of a `kid` at most.
pub const LONGEST_KID: usize = 256;

/// What one issuer's tokens are judged by. It belongs to one policy: a reload makes new ones.
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
    /// Where its keys come from.
    pub keys: Keys,
    /// Grace on `exp` and `nbf`; none for the gateway's own tokens.
    pub leeway: Duration,
    /// Claims that must be there.
    pub require: Vec<String>,
    /// Accepted JOSE `typ` values, as [`normal_type`] writes them; an empty string is absence.
    pub token_types: Vec<String>,
    /// Where the claims that make a principal stand.
    pub claims: ClaimPaths,
    /// What the issuer may assert; absent is anything.
    pub grants: Option<Grants>,
    /// Whether the subject must be a user of ours.
    pub users: UserRule,
    /// Where its tokens may stand.
    pub take_from: Vec<TokenPlace>,
}

/// Where the claims that make a principal stand, as dotted paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPaths {
    /// The subject.
    pub subject: String,
    /// The roles.
    pub roles: String,
    /// The permissions.
    pub permissions: String,
    /// The plan.
    pub plan: String,
    /// Whom a token is for.
    pub audience: String,
    /// What an access token says of its purpose, and where, if its issuer signs others that would
    /// pass for one.
    pub purpose: Option<(String, String)>,
}

impl Default for ClaimPaths {
    fn default() -> Self {
        Self {
            subject: "sub".into(),
            roles: "roles".into(),
            permissions: "permissions".into(),
            plan: "plan".into(),
            audience: "aud".into(),
            purpose: None,
        }
    }
}

/// Whether a token's subject must be a user of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserRule {
    /// The token alone counts.
    Ignore,
    /// It must be an enabled user, whose present roles and permissions count.
    Require,
}

/// A verified token that stands now, by its issuer's terms. Only [`IssuerTerms::judge`] makes one.
#[derive(Clone, Copy, Debug)]
pub struct Trusted<'v> {
    verified: &'v Arc<Verified>,
    subject: &'v str,
}

impl<'v> Trusted<'v> {
    /// Whom it speaks for.
    pub fn subject(&self) -> &'v str {
        self.subject
    }

    /// By what it can be taken back, if it is one of the gateway's own.
    pub fn issued(&self) -> Issued<'v> {
        Issued::of(&self.verified.claims, self.subject)
    }
}

impl IssuerTerms {
    /// The name of the gateway's own issuer.
    pub const OWN: &'static str = "token";

    /// The JOSE types that are accepted where nothing is said: none, `JWT`, `at+jwt` (RFC 9068).
    pub fn usual_types() -> Vec<String> {
        ["", "jwt", "at+jwt"].map(str::to_owned).to_vec()
    }

    /// Whether the gateway itself is the issuer.
    pub fn is_own(&self) -> bool {
        self.name.as_str() == Self::OWN
    }

    /// Judges a token whose signature is good, by this moment and these terms.
    ///
    /// # Errors
    /// The first of its type, issuer, audience, times and required claims that does not stand.
    pub fn judge<'v>(
        &self,
        verified: &'v Arc<Verified>,
        now: Timestamp,
    ) -> Result<Trusted<'v>, TokenFault> {
        let claims = &verified.claims;
        // Neither its claims nor these terms change, so only time can have changed the judgement.
        let stood = verified.stood_by(self);
        if !stood {
            if !self.token_types.contains(&verified.typ) {
                return Err(TokenFault::Type);
            }
            // Whoever presents it would have to prove that the key is his, which nobody asks for.
            if is_bound(claims.find("cnf")) {
                return Err(TokenFault::Type);
            }
            if let Some((path, value)) = &self.claims.purpose
                && claims.find(path).and_then(Value::as_str) != Some(value)
            {
                return Err(TokenFault::Type);
            }
            if let Some(issuer) = &self.issuer
                && jws::issuer_of(claims)? != Some(issuer)
            {
                return Err(TokenFault::Issuer);
            }
            judge_audience(&self.audiences, &self.claims.audience, claims)?;
        }
        if verified.expires.is_some_and(|expires| expires + self.leeway <= now) {
            return Err(TokenFault::Expired);
        }
        if verified.not_before.is_some_and(|begins| begins - self.leeway > now) {
            return Err(TokenFault::NotYetValid);
        }
        let absent = |path: &String| claims.find(path).is_none_or(Value::is_null);
        if !stood && self.require.iter().any(absent) {
            return Err(TokenFault::MissingClaim);
        }
        let subject = subject_of(claims, &self.claims.subject)?;
        Ok(Trusted { verified, subject })
    }
}

/// Whether `cnf` binds a token to a key (RFC 7800), by whatever it says.
pub(super) fn is_bound(confirmation: Option<&Value>) -> bool {
    confirmation.is_some_and(|said| !said.is_null())
}

/// Whether one of these is meant by the claim at this path; with none of them, whoever is.
pub(super) fn judge_audience(
    audiences: &[String],
    path: &str,
    claims: &Claims,
) -> Result<(), TokenFault> {
    if audiences.is_empty() {
        return Ok(());
    }
    let ours = |name: &str| audiences.iter().any(|audience| audience == name);
    let meant = match claims.find(path) {
        None => false,
        Some(Value::String(name)) => ours(name),
        Some(Value::Array(names)) => {
            let mut found = false;
            for name in names {
                found |= ours(name.as_str().ok_or(TokenFault::ClaimType)?);
            }
            found
        }
        Some(_) => return Err(TokenFault::ClaimType),
    };
    if meant { Ok(()) } else { Err(TokenFault::Audience) }
}

/// Whom the claim at this path names.
pub(super) fn subject_of<'c>(claims: &'c Claims, path: &str) -> Result<&'c str, TokenFault> {
    match claims.find(path) {
        None | Some(Value::Null) => Err(TokenFault::MissingClaim),
        Some(Value::String(subject)) if subject.is_empty() => Err(TokenFault::MissingClaim),
        Some(Value::String(subject)) => Ok(subject),
        Some(_) => Err(TokenFault::ClaimType),
    }
}
