//! API keys: looked up by the digest of the whole key.

use std::sync::Arc;

use super::Attempt;
use crate::{
    model::{CredentialKind, Principal},
    policy::{
        Sources,
        accounts::ApiKey,
        decision::{ApiKeyFault, Denial},
        digest::Digest,
    },
};

/// Authenticates by a key as it was presented.
pub(super) async fn authenticate(
    attempt: &Attempt<'_>,
    key: &[u8],
    sources: &impl Sources,
) -> Result<Arc<Principal>, Denial> {
    let refused = |fault| {
        let challenges = Arc::clone(&attempt.rule.challenges);
        Denial::InvalidApiKey { fault, challenges }
    };
    if key.is_empty() || key.iter().any(u8::is_ascii_control) {
        return Err(refused(ApiKeyFault::Malformed));
    }
    let (client, now) = (attempt.facts.client, attempt.now);
    let found = sources.api_key(&Digest::of(key)).await.map_err(Denial::Unavailable)?;
    let Some(key) = found else {
        sources.count_failure(client, now);
        return Err(refused(ApiKeyFault::Unknown));
    };
    if key.disabled {
        return Err(refused(ApiKeyFault::Disabled));
    }
    if key.is_over(now) {
        return Err(refused(ApiKeyFault::Expired));
    }
    if !key.serves_at(client) {
        return Err(refused(ApiKeyFault::Network));
    }
    Ok(Arc::new(principal(attempt, &key)))
}

fn principal(attempt: &Attempt<'_>, key: &ApiKey) -> Principal {
    let (effective_roles, permissions) =
        attempt.policy.roles.effective(&key.roles, &key.permissions);
    Principal {
        issuer: Principal::local(),
        subject: Arc::clone(&key.subject),
        roles: Arc::clone(&key.roles),
        permissions,
        effective_roles,
        plan: key.plan.clone(),
        method: CredentialKind::ApiKey,
        claims: Principal::no_claims(),
        api_key: Some(Arc::clone(&key.id)),
        expires: key.expires,
    }
}
