//! What a credential rests on beside itself: a user, a key, that nobody took it back. Looked at when a
//! request comes, and again while a stream lasts.

use std::sync::Arc;

use super::bearer::Refused;
use crate::{
    model::{CredentialKind, Principal},
    policy::{
        Policy, Sources,
        accounts::{ApiKey, User},
        authn::jwt::{IssuerTerms, UserRule},
        decision::TokenFault,
        sources::{Issued, Unavailable},
    },
};

/// What a token rests on, as it is now.
pub(super) enum Footing {
    /// Nothing but itself.
    Itself,
    /// The key that it was issued to.
    Key(Arc<ApiKey>),
    /// The user that it speaks for.
    User(Arc<User>),
}

/// What a token of this issuer rests on. `issued` is what a token of the gateway's own says of how it
/// was issued.
///
/// # Errors
/// It was taken back, or what it rests on is gone, or that cannot be asked.
pub(super) async fn of_token<'t>(
    policy: &Policy,
    issuer: &IssuerTerms,
    subject: &str,
    issued: impl FnOnce() -> Issued<'t>,
    sources: &impl Sources,
) -> Result<Footing, Refused> {
    if issuer.is_own() {
        let issued = issued();
        if sources.is_revoked(&issued).map_err(Refused::Unavailable)? {
            return Err(TokenFault::Revoked.into());
        }
        let outdated = |login| policy.accounts.has_changed_since(issued.subject, login);
        if issued.family.is_some_and(outdated) {
            return Err(TokenFault::Revoked.into());
        }
        if let (UserRule::Require, Some(id)) = (issuer.users, issued.key) {
            let key = sources.key(id).map_err(Refused::Unavailable)?;
            let key = key.filter(|key| stands(key, subject));
            return key.map(Footing::Key).ok_or_else(|| TokenFault::Client.into());
        }
    }
    match issuer.users {
        UserRule::Ignore => Ok(Footing::Itself),
        UserRule::Require => {
            let user = sources.user(subject).await.map_err(Refused::Unavailable)?;
            let user = user.ok_or(TokenFault::UnknownUser)?;
            if user.disabled {
                return Err(TokenFault::DisabledUser.into());
            }
            Ok(Footing::User(user))
        }
    }
}

/// Whether a key is still what it was for this subject.
fn stands(key: &ApiKey, subject: &str) -> bool {
    !key.disabled && *key.subject == *subject
}

/// Whether the credential that established this principal was taken back since: the token, its
/// login or the key was revoked, or the user that it speaks for is no longer let in. Not asked is
/// whether it has ended by itself ([`Principal::expires`]), nor anything of others.
///
/// # Errors
/// If what it depends on cannot be asked: then nothing is known against it.
pub async fn is_taken_back(
    policy: &Policy,
    principal: &Principal,
    sources: &impl Sources,
) -> Result<bool, Unavailable> {
    let subject = &principal.subject;
    match principal.method {
        CredentialKind::ApiKey => match &principal.api_key {
            Some(id) => Ok(sources.key(id)?.is_none_or(|key| !stands(&key, subject))),
            None => Ok(false),
        },
        CredentialKind::Basic | CredentialKind::ClientCert => {
            Ok(sources.user(subject).await?.is_none_or(|user| user.disabled))
        }
        // Whoever vouched for it is asked about requests, and not told of what goes on.
        CredentialKind::ForwardAuth | CredentialKind::Introspection => Ok(false),
        CredentialKind::Jwt => {
            let name = &principal.issuer;
            let issuer = policy.issuers.iter().find(|one| one.principal_issuer == *name);
            let Some(issuer) = issuer else { return Ok(false) };
            let issued = || Issued::of(&principal.claims, subject);
            match of_token(policy, issuer, subject, issued, sources).await {
                Ok(_) => Ok(false),
                Err(Refused::Unavailable(what)) => Err(what),
                Err(Refused::ByProvider(_) | Refused::Denied(_) | Refused::Fault(_)) => Ok(true),
            }
        }
    }
}
