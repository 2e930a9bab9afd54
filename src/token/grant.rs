//! What a token grants, and the claims that say so. Pure: time and randomness are arguments.

use serde_json::{Map, Value, json};

use crate::{
    model::{Permission, Role, Timestamp},
    policy::{accounts::User, authz::RoleGraph, issuing::IssuingTerms},
};

/// The scope asks for what the user does not have, or is no scope (RFC 6749, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the scope asks for more than the user has")]
pub struct ScopeFault;

/// A token to be signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// Its claims.
    pub claims: Map<String, Value>,
    /// Its permissions as a scope (RFC 6749, section 3.3).
    pub scope: String,
    /// Seconds that it lives.
    pub expires_in: u64,
}

/// Grants a user a token: with his roles and with all permissions that he has, or, where a scope
/// is asked for, with the permissions that it names and no roles.
///
/// A token that was narrowed carries `scope` beside the usual claims (RFC 9068, section 2.2.3), so
/// that it stays narrow where the user's present permissions count.
///
/// # Errors
/// If the scope names a permission that the user lacks.
pub fn issue(
    terms: &IssuingTerms,
    user: &User,
    roles: &RoleGraph,
    scope: Option<&str>,
    now: Timestamp,
    jti: &str,
) -> Result<Granted, ScopeFault> {
    let (_, effective) = roles.effective(&user.roles, &user.permissions);
    let (roles, permissions): (&[Role], Vec<&Permission>) = match scope {
        None => (&user.roles, effective.iter().collect()),
        Some(scope) => (&[], narrowed(&effective, scope)?),
    };
    let permissions: Vec<&str> = permissions.into_iter().map(Permission::as_str).collect();
    let granted = permissions.join(" ");
    let issued_at = now.seconds();
    let expires_in = terms.access_ttl.as_secs();
    let expires = issued_at.saturating_add_unsigned(expires_in);
    let roles: Vec<&str> = roles.iter().map(Role::as_str).collect();
    let mut claims = Map::from_iter([
        ("aud".to_owned(), json!(terms.audience)),
        ("exp".to_owned(), json!(expires)),
        ("iat".to_owned(), json!(issued_at)),
        ("iss".to_owned(), json!(terms.issuer)),
        ("jti".to_owned(), json!(jti)),
        ("nbf".to_owned(), json!(issued_at)),
        ("permissions".to_owned(), json!(permissions)),
        ("roles".to_owned(), json!(roles)),
        ("sub".to_owned(), json!(&*user.subject)),
    ]);
    if scope.is_some() {
        claims.insert("scope".to_owned(), json!(granted));
    }
    Ok(Granted { claims, scope: granted, expires_in })
}

/// The permissions that a scope names, each once, in the order of `held`.
fn narrowed<'p>(held: &'p [Permission], scope: &str) -> Result<Vec<&'p Permission>, ScopeFault> {
    let names: Vec<&str> = scope.split(' ').filter(|name| !name.is_empty()).collect();
    let lacking = names.iter().any(|name| !held.iter().any(|one| one.as_str() == *name));
    if names.is_empty() || lacking {
        return Err(ScopeFault);
    }
    Ok(held.iter().filter(|one| names.contains(&one.as_str())).collect())
}
