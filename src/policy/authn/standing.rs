//! What becomes of a principal after it was let in: a stream lasts long enough for its credential to
//! be taken back meanwhile.

use crate::{
    model::{CredentialKind, Principal},
    policy::{
        Policy, Sources,
        authn::jwt::UserRule,
        sources::{Issued, Unavailable},
    },
};

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
    match principal.method {
        CredentialKind::ApiKey => match &principal.api_key {
            Some(id) => is_key_gone(id, &principal.subject, sources),
            None => Ok(false),
        },
        CredentialKind::Basic | CredentialKind::ClientCert => {
            is_shut_out(&principal.subject, sources).await
        }
        // Whoever vouched for it is asked about requests, and not told of what goes on.
        CredentialKind::ForwardAuth | CredentialKind::Introspection => Ok(false),
        CredentialKind::Jwt => {
            let name = &principal.issuer;
            let issuer = policy.issuers.iter().find(|one| one.principal_issuer == *name);
            let Some(issuer) = issuer else { return Ok(false) };
            if issuer.is_own() {
                let issued = Issued::of(&principal.claims, &principal.subject);
                if sources.is_revoked(&issued)? {
                    return Ok(true);
                }
                if let (UserRule::Require, Some(id)) = (issuer.users, issued.key) {
                    return is_key_gone(id, &principal.subject, sources);
                }
            }
            match issuer.users {
                UserRule::Ignore => Ok(false),
                UserRule::Require => is_shut_out(&principal.subject, sources).await,
            }
        }
    }
}

fn is_key_gone(id: &str, subject: &str, sources: &impl Sources) -> Result<bool, Unavailable> {
    let key = sources.key(id)?;
    Ok(key.is_none_or(|key| key.disabled || *key.subject != *subject))
}

async fn is_shut_out(subject: &str, sources: &impl Sources) -> Result<bool, Unavailable> {
    let user = sources.user(subject).await?;
    Ok(user.is_none_or(|user| user.disabled))
}
