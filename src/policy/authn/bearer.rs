//! Bearer tokens (RFC 6750): which issuer's they are, and whether they stand.

use std::{net::IpAddr, sync::Arc};

use super::{
    Attempt, JwtRule, TokenPlace,
    credential::Presented,
    jwt::{IssuerTerms, Jws, LONGEST_TOKEN, Trusted, UserRule, Verified},
};
use crate::{
    model::{Principal, Timestamp},
    policy::{
        Policy, Sources,
        accounts::{ApiKey, User},
        decision::{Denial, TokenFault},
        digest::Digest,
        sources::{Unavailable, Unverified},
    },
};

/// Authenticates by a token as it was presented.
pub(super) async fn authenticate(
    attempt: &Attempt<'_>,
    rule: &JwtRule,
    presented: &Presented<'_>,
    sources: &impl Sources,
) -> Result<Arc<Principal>, Denial> {
    if let Some(TokenPlace::Cookie(_)) = presented.place {
        attempt.judge_origin()?;
    }
    let from = Origin { client: Some(attempt.facts.client), place: presented.place };
    match judge(attempt.policy, rule, &presented.value, from, sources, attempt.now).await {
        Ok(principal) => Ok(principal),
        Err(Refused::Unavailable(what)) => Err(Denial::Unavailable(what)),
        Err(Refused::Fault(fault)) => {
            if fault.counts_as_failure() {
                sources.count_failure(attempt.facts.client, attempt.now);
            }
            Err(Denial::InvalidToken { fault, challenges: Arc::clone(&attempt.rule.challenges) })
        }
    }
}

/// Where a token comes from. What is absent is not held against it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'r> {
    /// The client's address.
    pub client: Option<IpAddr>,
    /// Its place in the request.
    pub place: Option<&'r TokenPlace>,
}

/// Judges a token by the issuers of a rule.
///
/// # Errors
/// If it does not stand, or what it depends on cannot be asked.
pub async fn judge(
    policy: &Policy,
    rule: &JwtRule,
    token: &[u8],
    from: Origin<'_>,
    sources: &impl Sources,
    now: Timestamp,
) -> Result<Arc<Principal>, Refused> {
    if token.len() > LONGEST_TOKEN {
        return Err(TokenFault::TooLarge.into());
    }
    let token = std::str::from_utf8(token).map_err(|_| TokenFault::Malformed)?;
    let (issuer, verified) = verified(policy, rule, token, sources).await?;
    if from.place.is_some_and(|place| !issuer.take_from.contains(place)) {
        return Err(TokenFault::Place.into());
    }
    let trusted = issuer.judge(&verified, now)?;
    if issuer.is_own() {
        let issued = trusted.issued();
        if sources.is_revoked(&issued).map_err(Refused::Unavailable)? {
            return Err(TokenFault::Revoked.into());
        }
        if let (UserRule::Require, Some(id)) = (issuer.users, issued.key) {
            let key = client_of(id, trusted, from.client, sources, now)?;
            return Ok(issuer.principal_of_key(trusted, &key, &policy.roles)?);
        }
    }
    let user = user(issuer, trusted, sources).await?;
    Ok(issuer.principal(trusted, user.as_ref(), &policy.roles)?)
}

/// The token's facts and the issuer that vouches for them. What was remembered counts only for the
/// same issuer with the same keys.
async fn verified<'a>(
    policy: &Policy,
    rule: &'a JwtRule,
    token: &str,
    sources: &impl Sources,
) -> Result<(&'a Arc<IssuerTerms>, Arc<Verified>), Refused> {
    let digest = Digest::of(token.as_bytes());
    let all = &policy.issuers;
    if let Some(verified) = sources.recall(&digest) {
        let issuer = rule.issuer_of(verified.claimed_issuer(), all);
        if let Some(issuer) = issuer.filter(|issuer| sources.vouches(issuer, &verified)) {
            return Ok((issuer, verified));
        }
    }
    let jws = Jws::parse(token, digest)?;
    let issuer = rule.issuer_of(jws.issuer()?, all).ok_or(TokenFault::Issuer)?;
    match sources.verify(issuer, &jws).await {
        Ok(verified) => Ok((issuer, verified)),
        Err(Unverified::Fault(fault)) => Err(fault.into()),
        Err(Unverified::Unavailable(what)) => Err(Refused::Unavailable(what)),
    }
}

/// The user that the token speaks for, where the issuer's tokens speak for users.
async fn user(
    issuer: &IssuerTerms,
    token: Trusted<'_>,
    sources: &impl Sources,
) -> Result<Option<Arc<User>>, Refused> {
    match issuer.users {
        UserRule::Ignore => Ok(None),
        UserRule::Require => {
            let user = sources.user(token.subject()).await.map_err(Refused::Unavailable)?;
            let user = user.ok_or(TokenFault::UnknownUser)?;
            if user.disabled { Err(TokenFault::DisabledUser.into()) } else { Ok(Some(user)) }
        }
    }
}

/// The API key that a token was issued to, as it is now: its token is worth no more than itself.
fn client_of(
    id: &str,
    token: Trusted<'_>,
    client: Option<IpAddr>,
    sources: &impl Sources,
    now: Timestamp,
) -> Result<Arc<ApiKey>, Refused> {
    let key = sources.key(id).map_err(Refused::Unavailable)?;
    let key = key.filter(|key| {
        let from_there = client.is_none_or(|client| key.serves_at(client));
        !key.disabled && *key.subject == *token.subject() && !key.is_over(now) && from_there
    });
    key.ok_or(TokenFault::Client.into())
}

impl JwtRule {
    /// The listed issuer that takes tokens with this `iss`: the one with exactly that name, or one
    /// without a name if no issuer of the policy, listed or not, claims it.
    fn issuer_of(&self, iss: Option<&str>, all: &[Arc<IssuerTerms>]) -> Option<&Arc<IssuerTerms>> {
        let claims = |issuer: &&Arc<IssuerTerms>| iss.is_some() && issuer.issuer.as_deref() == iss;
        if let Some(exact) = self.issuers.iter().find(claims) {
            return Some(exact);
        }
        if all.iter().any(|issuer| claims(&issuer)) {
            return None;
        }
        self.issuers.iter().find(|issuer| issuer.issuer.is_none())
    }
}

/// Why a token does not authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not stand.
    Fault(TokenFault),
    /// What it depends on could not be asked.
    Unavailable(Unavailable),
}

impl From<TokenFault> for Refused {
    fn from(fault: TokenFault) -> Self {
        Self::Fault(fault)
    }
}
