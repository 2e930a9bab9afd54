//! HTTP Basic (RFC 7617) against users' passwords, in UTF-8.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::Attempt;
use crate::{
    model::{CredentialKind, Principal},
    policy::{
        Sources,
        accounts::User,
        authz::RoleGraph,
        decision::Denial,
        sources::{Occasion, PasswordAttempt, PasswordCheck},
    },
};

/// Authenticates by a user name and password as they were presented.
pub(super) async fn authenticate(
    attempt: &Attempt<'_>,
    presented: &[u8],
    sources: &impl Sources,
) -> Result<Arc<Principal>, Denial> {
    attempt.judge_origin()?;
    let refused =
        || Denial::InvalidCredentials { challenges: Arc::clone(&attempt.rule.challenges) };
    let pair = decoded(presented).ok_or_else(refused)?;
    let (username, password) = pair.split_once(':').ok_or_else(refused)?;
    let attempt_at = PasswordAttempt {
        occasion: Occasion::Request,
        username,
        password: password.as_bytes(),
        client: attempt.facts.client,
        now: attempt.now,
    };
    match sources.password(&attempt_at).await {
        PasswordCheck::Right(user) => {
            Ok(Arc::new(principal(&user, &attempt.policy.roles, CredentialKind::Basic)))
        }
        PasswordCheck::Wrong => Err(refused()),
        PasswordCheck::Limited(standing) => Err(Denial::limited(&standing)),
        PasswordCheck::Unavailable(what) => Err(Denial::Unavailable(what)),
    }
}

/// The principal of a user who gave the right password.
pub fn principal(user: &User, roles: &RoleGraph, method: CredentialKind) -> Principal {
    let (effective_roles, permissions) = roles.effective(&user.roles, &user.permissions);
    Principal {
        issuer: Principal::local(),
        subject: Arc::clone(&user.subject),
        roles: Arc::clone(&user.roles),
        permissions,
        effective_roles,
        plan: user.plan.clone(),
        method,
        claims: Principal::no_claims(),
        api_key: None,
        expires: None,
    }
}

/// User and password with the colon between; nothing if it is not what RFC 7617, section 2 says:
/// padded base64 of UTF-8 without control characters.
fn decoded(presented: &[u8]) -> Option<Zeroizing<String>> {
    let bytes = Zeroizing::new(STANDARD.decode(presented).ok()?);
    let text = std::str::from_utf8(&bytes).ok()?;
    let clean = !text.chars().any(char::is_control);
    clean.then(|| Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_padded_base64_of_clean_utf_8_is_read() {
        let read = |text: &str| decoded(text.as_bytes()).map(|text| text.to_string());
        assert_eq!(read("dGVzdDoxMjPCow=="), Some("test:123\u{a3}".to_owned()));
        for bad in [
            "dGVzdDoxMjPCow",
            "dGVzdDoxMjPCow=",
            "dGVzdDoxMjPCox==",
            "dGVz dDox",
            "dGVzdDoxMjP_",
            "/w==",
            "YQA6",
            "Ogo=",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(read(""), Some(String::new()));
    }
}
