//! Bearer tokens (RFC 6750): which issuer's they are, and whether they stand.

use std::{net::IpAddr, sync::Arc};

use super::{
    Attempt, JwtRule, TokenPlace,
    credential::Presented,
    introspection::{IntrospectionTerms, Opaque},
    jwt::{IssuerTerms, Jws, LONGEST_TOKEN, Verified},
    standing::{self, Footing},
};
use crate::{
    model::{CredentialKind, Principal, Timestamp},
    policy::{
        Policy, Sources, Trail,
        decision::{Denial, TokenFault},
        digest::Digest,
        sources::{Inspection, Unavailable, Untold, Unverified},
        trail::Outcome,
    },
};

/// Authenticates by a token as it was presented.
pub(super) async fn authenticate(
    attempt: &Attempt<'_>,
    rule: &JwtRule,
    presented: &Presented<'_>,
    sources: &impl Sources,
    trail: &mut Trail,
) -> Result<Arc<Principal>, Denial> {
    if let Some(TokenPlace::Cookie(_)) = presented.place {
        attempt.judge_origin()?;
    }
    if trail.is_kept() {
        announce(attempt, rule, &presented.value, trail);
    }
    let from = Origin { client: Some(attempt.facts.client), place: presented.place };
    match judge(attempt.policy, rule, &presented.value, from, sources, attempt.now).await {
        Ok(principal) => Ok(principal),
        Err(refused) => {
            let (fault, kind) = match refused {
                Refused::Denied(denial) => return Err(denial),
                Refused::Unavailable(what) => return Err(Denial::Unavailable(what)),
                Refused::Fault(fault) => (fault, CredentialKind::Jwt),
                Refused::ByProvider(fault) => (fault, CredentialKind::Introspection),
            };
            if fault.counts_as_failure() {
                sources.count_failure(attempt.facts.client, attempt.now);
            }
            let challenges = Arc::clone(&attempt.rule.challenges);
            Err(Denial::InvalidToken { fault, kind, challenges })
        }
    }
}

/// Says who is asked, for whoever wants to know before anybody is.
fn announce(attempt: &Attempt<'_>, rule: &JwtRule, token: &[u8], trail: &mut Trail) {
    let Some(provider) = &rule.introspection else { return };
    let text = std::str::from_utf8(token).unwrap_or_default();
    let parsed = rule.parsed(text, Digest::of(token), &attempt.policy.issuers);
    if parsed.is_err() {
        trail.note("introspection", Outcome::Passed, attempt.rule.line, || {
            format!("no listed issuer takes it: `{}` is asked, at {}", provider.name, provider.url)
        });
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
    let digest = Digest::of(token.as_bytes());
    let (issuer, verified) = match taker(policy, rule, token, digest, sources).await? {
        Taker::Issuer(issuer, verified) => (issuer, verified),
        Taker::Provider(provider) => {
            if from.place.is_some_and(|place| !place.is_authorization()) {
                return Err(Refused::ByProvider(TokenFault::Place));
            }
            let token = Opaque::new(token, digest).map_err(Refused::ByProvider)?;
            return introspected(policy, provider, token, from.client, sources, now).await;
        }
    };
    if from.place.is_some_and(|place| !issuer.take_from.contains(place)) {
        return Err(TokenFault::Place.into());
    }
    let trusted = issuer.judge(&verified, now)?;
    let subject = trusted.subject();
    match standing::of_token(policy, issuer, subject, || trusted.issued(), sources).await? {
        Footing::Itself => Ok(issuer.principal(trusted, None, &policy.roles)?),
        Footing::Key(key) => {
            // The token is worth no more than its key is here and now.
            let serves = from.client.is_none_or(|client| key.serves_at(client));
            if key.is_over(now) || !serves {
                return Err(TokenFault::Client.into());
            }
            Ok(issuer.principal_of_key(trusted, &key, &policy.roles)?)
        }
        Footing::User(user) => Ok(issuer.principal(trusted, Some(&user), &policy.roles)?),
    }
}

/// Who takes a token.
enum Taker<'a> {
    /// This issuer, which vouches for it.
    Issuer(&'a Arc<IssuerTerms>, Arc<Verified>),
    /// This provider, which is to be asked.
    Provider(&'a Arc<IntrospectionTerms>),
}

/// Who takes a token; of an issuer, with the token's facts. What was remembered counts only for the
/// same issuer with the same keys.
async fn taker<'a>(
    policy: &Policy,
    rule: &'a JwtRule,
    token: &str,
    digest: Digest,
    sources: &impl Sources,
) -> Result<Taker<'a>, Refused> {
    let all = &policy.issuers;
    if let Some(verified) = sources.recall(&digest) {
        let issuer = rule.issuer_of(verified.claimed_issuer(), all);
        if let Some(issuer) = issuer.filter(|issuer| sources.vouches(issuer, &verified)) {
            return Ok(Taker::Issuer(issuer, verified));
        }
    }
    let (jws, issuer) = match (rule.parsed(token, digest, all), &rule.introspection) {
        (Ok(taken), _) => taken,
        (Err(_), Some(provider)) => return Ok(Taker::Provider(provider)),
        (Err(fault), None) => return Err(fault.into()),
    };
    match sources.verify(issuer, &jws).await {
        Ok(verified) => Ok(Taker::Issuer(issuer, verified)),
        Err(Unverified::Fault(fault)) => Err(fault.into()),
        Err(Unverified::Unavailable(what)) => Err(Refused::Unavailable(what)),
    }
}

/// Whom a token speaks for, as its provider says.
async fn introspected(
    policy: &Policy,
    provider: &Arc<IntrospectionTerms>,
    token: Opaque<'_>,
    client: Option<IpAddr>,
    sources: &impl Sources,
    now: Timestamp,
) -> Result<Arc<Principal>, Refused> {
    match sources.introspect(provider, &Inspection { token, client, now }).await {
        Ok(said) => provider.principal(&said, now, &policy.roles).map_err(Refused::ByProvider),
        Err(Untold::Limited(standing)) => Err(Refused::Denied(Denial::limited(&standing))),
        Err(Untold::Refused(fault)) => Err(Refused::ByProvider(fault)),
        Err(Untold::Unavailable(what)) => Err(Refused::Unavailable(what)),
    }
}

impl JwtRule {
    /// The token as a JWS, with the listed issuer that takes it.
    fn parsed<'a, 't>(
        &'a self,
        token: &'t str,
        digest: Digest,
        all: &[Arc<IssuerTerms>],
    ) -> Result<(Jws<'t>, &'a Arc<IssuerTerms>), TokenFault> {
        let jws = Jws::parse(token, digest)?;
        let issuer = self.issuer_of(jws.issuer()?, all).ok_or(TokenFault::Issuer)?;
        Ok((jws, issuer))
    }

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
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// Its provider does not let it stand, or what that says of it does not.
    ByProvider(TokenFault),
    /// Nobody looked at it.
    Denied(Denial),
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
