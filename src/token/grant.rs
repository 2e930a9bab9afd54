//! What a token grants, and the claims that say so. Pure: time and randomness are arguments.

use serde_json::{Map, Value, json};

use crate::{
    model::{Permission, Role, Timestamp},
    policy::{
        accounts::{ApiKey, User},
        authz::RoleGraph,
        issuing::IssuingTerms,
    },
};

/// The scope asks for what its holder does not have, or is no scope (RFC 6749, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the scope asks for more than there is")]
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

/// Whose token it is.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'h> {
    /// Whom it speaks for.
    pub subject: &'h str,
    /// Roles as granted.
    pub roles: &'h [Role],
    /// Permissions beside those of the roles.
    pub permissions: &'h [Permission],
    /// The login that it is of, if that can be refreshed.
    pub family: Option<&'h str>,
    /// The API key that it is issued to.
    pub key: Option<&'h str>,
    /// What it must not outlive.
    pub ends: Option<Timestamp>,
    /// The number of the latest change of the store that had been heard of when he was looked up.
    pub heard: Option<i64>,
}

impl<'h> Holder<'h> {
    /// A user who has logged in.
    pub fn user(user: &'h User, family: Option<&'h str>) -> Self {
        let User { subject, roles, permissions, .. } = user;
        Self { subject, roles, permissions, family, key: None, ends: None, heard: None }
    }

    /// An API client that has shown its key.
    pub fn key(key: &'h ApiKey) -> Self {
        let ApiKey { id, subject, roles, permissions, expires, .. } = key;
        let (key, ends) = (Some(&**id), *expires);
        Self { subject, roles, permissions, family: None, key, ends, heard: None }
    }
}

/// What of everything that its holder has a token grants.
#[derive(Clone, Copy, Debug)]
pub enum Narrowing<'s> {
    /// All of it, with the roles.
    Nothing,
    /// The permissions that are asked for, all of which must be there, and no roles.
    Asked(&'s str),
    /// Those of the permissions that were asked for once and are still there, and no roles.
    Kept(&'s str),
}

impl<'s> Narrowing<'s> {
    /// As a form asks for it.
    pub fn asked(scope: Option<&'s str>) -> Self {
        scope.map_or(Self::Nothing, Self::Asked)
    }
}

/// Grants a token: with roles and with all permissions of the holder, or with some of its
/// permissions and no roles.
///
/// A token that was narrowed carries `scope` beside the usual claims (RFC 9068, section 2.2.3), so
/// that it stays narrow where the holder's present permissions count. One of a login that can be
/// refreshed carries the login's id as `sid`, one of an API key the key's as `client_id`. Where there is
/// a store, `rev` is the number of the latest change that was heard of.
///
/// # Errors
/// If the scope names a permission that the holder lacks.
pub fn issue(
    terms: &IssuingTerms,
    holder: &Holder<'_>,
    roles: &RoleGraph,
    narrowing: Narrowing<'_>,
    now: Timestamp,
    jti: &str,
) -> Result<Granted, ScopeFault> {
    let (_, effective) = roles.effective(holder.roles, holder.permissions);
    let (roles, permissions): (&[Role], Vec<&Permission>) = match narrowing {
        Narrowing::Nothing => (holder.roles, effective.iter().collect()),
        Narrowing::Asked(scope) => (&[], narrowed(&effective, scope)?),
        Narrowing::Kept(scope) => {
            let names: Vec<&str> = words(scope).collect();
            let kept = effective.iter().filter(|one| names.contains(&one.as_str()));
            (&[], kept.collect())
        }
    };
    let permissions: Vec<&str> = permissions.into_iter().map(Permission::as_str).collect();
    let granted = permissions.join(" ");
    let issued_at = now.seconds();
    let left = holder.ends.map(|ends| ends.seconds().saturating_sub(issued_at));
    let left = left.map_or(u64::MAX, |left| u64::try_from(left).unwrap_or(0));
    let expires_in = terms.access_ttl.as_secs().min(left);
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
        ("sub".to_owned(), json!(holder.subject)),
    ]);
    if !matches!(narrowing, Narrowing::Nothing) {
        claims.insert("scope".to_owned(), json!(granted));
    }
    for (name, id) in [("sid", holder.family), ("client_id", holder.key)] {
        claims.extend(id.map(|id| (name.to_owned(), json!(id))));
    }
    claims.extend(holder.heard.map(|revision| ("rev".to_owned(), json!(revision))));
    Ok(Granted { claims, scope: granted, expires_in })
}

/// The scope of a refresh: not more than the login was narrowed to (RFC 6749, section 6).
///
/// # Errors
/// If it asks for more.
pub fn within<'s>(
    login: Option<&'s str>,
    asked: Option<&'s str>,
) -> Result<Narrowing<'s>, ScopeFault> {
    match (login, asked) {
        (None, asked) => Ok(Narrowing::asked(asked)),
        (Some(login), None) => Ok(Narrowing::Kept(login)),
        (Some(login), Some(asked)) => {
            let had: Vec<&str> = words(login).collect();
            let more = words(asked).any(|name| !had.contains(&name));
            if more { Err(ScopeFault) } else { Ok(Narrowing::Asked(asked)) }
        }
    }
}

/// The permissions that a scope names, each once, in the order of `held`.
fn narrowed<'p>(held: &'p [Permission], scope: &str) -> Result<Vec<&'p Permission>, ScopeFault> {
    let names: Vec<&str> = words(scope).collect();
    let lacking = names.iter().any(|name| !held.iter().any(|one| one.as_str() == *name));
    if names.is_empty() || lacking {
        return Err(ScopeFault);
    }
    Ok(held.iter().filter(|one| names.contains(&one.as_str())).collect())
}

fn words(scope: &str) -> impl Iterator<Item = &str> {
    scope.split(' ').filter(|name| !name.is_empty())
}
