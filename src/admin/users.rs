//! Users of the store.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::records::{
    Asked, Kept, Named, Page, Refusal, judge_name, judge_roles, present, read, user as shown,
};
use crate::{
    config::values::PasswordHash,
    gateway::Gateway,
    model::{Permission, PlanName, Role, Secret},
    policy::password::HashKind,
    sources::passwords::{LONGEST_PASSWORD, Passwords},
    store::{KEYS_ID, PasswordSet, StoreFault, UserChange, UserTerms},
};

/// A user to be added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    id: Option<String>,
    username: String,
    password: Option<String>,
    password_hash: Option<PasswordHash>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    permissions: Vec<Permission>,
    plan: Option<PlanName>,
    #[serde(default)]
    disabled: bool,
}

/// What is to be changed; `null` takes a plan or a password away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changed {
    username: Option<String>,
    #[serde(default, deserialize_with = "present")]
    password: Option<Option<String>>,
    password_hash: Option<PasswordHash>,
    roles: Option<Vec<Role>>,
    permissions: Option<Vec<Permission>>,
    #[serde(default, deserialize_with = "present")]
    plan: Option<Option<PlanName>>,
    disabled: Option<bool>,
}

pub(super) async fn list(kept: Kept, Asked(page): Asked<Page>) -> Result<Response, Refusal> {
    let users = kept.records.store()?.users_after(&page.after, page.limit()).await?;
    Ok(page.answer("users", users.iter().map(shown).collect()))
}

pub(super) async fn show(kept: Kept, Named(id): Named) -> Result<Response, Refusal> {
    let user = kept.records.store()?.user(&id).await?;
    let user = user.ok_or_else(|| Refusal::absent("user"))?;
    Ok(Json(shown(&user)).into_response())
}

pub(super) async fn add(
    State(gateway): State<Arc<Gateway>>,
    kept: Kept,
    body: Bytes,
) -> Result<Response, Refusal> {
    let wanted = new_user(&gateway, &kept, &body).await?;
    let added = kept.records.add_user(&wanted, &kept.author()).await?;
    Ok((StatusCode::CREATED, Json(shown(&added))).into_response())
}

async fn new_user(gateway: &Gateway, kept: &Kept, body: &[u8]) -> Result<UserTerms, Refusal> {
    let wanted: Wanted = read(body)?;
    let subject = wanted.id.unwrap_or_else(|| wanted.username.clone());
    judge_name(&wanted.username)?;
    judge_name(&subject)?;
    judge_twins(kept, Some(&subject), &wanted.username)?;
    judge_roles(&kept.snapshot, &wanted.roles)?;
    let password =
        hash(&gateway.snapshot().memory().passwords, wanted.password, wanted.password_hash).await?;
    Ok(UserTerms {
        subject,
        username: wanted.username,
        password,
        roles: wanted.roles,
        permissions: wanted.permissions,
        plan: wanted.plan,
        disabled: wanted.disabled,
    })
}

pub(super) async fn change(
    State(gateway): State<Arc<Gateway>>,
    kept: Kept,
    Named(id): Named,
    body: Bytes,
) -> Result<Response, Refusal> {
    let wanted = changes(&gateway, &kept, &body).await?;
    let changed = kept.records.change_user(&id, &wanted, &kept.author()).await?;
    Ok(Json(shown(&changed)).into_response())
}

async fn changes(gateway: &Gateway, kept: &Kept, body: &[u8]) -> Result<UserChange, Refusal> {
    let Changed { username, password, password_hash, roles, permissions, plan, disabled } =
        read(body)?;
    if let Some(username) = &username {
        judge_name(username)?;
        judge_twins(kept, None, username)?;
    }
    judge_roles(&kept.snapshot, roles.as_deref().unwrap_or_default())?;
    let taken_away = matches!(password, Some(None)) && password_hash.is_none();
    let made =
        hash(&gateway.snapshot().memory().passwords, password.flatten(), password_hash).await?;
    let password = match made {
        Some(hash) => Some(PasswordSet::To(hash)),
        None => taken_away.then_some(PasswordSet::Nothing),
    };
    let wanted = UserChange { username, password, roles, permissions, plan, disabled };
    if wanted.is_empty() { Err(Refusal::invalid("Nothing is to be changed")) } else { Ok(wanted) }
}

pub(super) async fn remove(kept: Kept, Named(id): Named) -> Result<Response, Refusal> {
    kept.records.remove_user(&id, &kept.author()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A user of the file goes before one of the store, who would be its shadow.
fn judge_twins(kept: &Kept, subject: Option<&str>, username: &str) -> Result<(), Refusal> {
    let accounts = &kept.snapshot.policy().accounts;
    let taken = accounts.user_spelled_like(username).is_some()
        || subject.is_some_and(|subject| accounts.user(subject).is_some());
    if taken {
        return Err(Refusal::invalid("The file has such a user already"));
    }
    if subject.is_some_and(|subject| accounts.has_key_alone(subject)) {
        return Err(StoreFault::Taken { what: KEYS_ID }.into());
    }
    Ok(())
}

async fn hash(
    passwords: &Passwords,
    password: Option<String>,
    hash: Option<PasswordHash>,
) -> Result<Option<Secret>, Refusal> {
    match (password, hash) {
        (Some(_), Some(_)) => {
            Err(Refusal::invalid("`password` and `password_hash` exclude each other"))
        }
        (None, None) => Ok(None),
        (None, Some(hash)) => match HashKind::judge(&hash.0) {
            Ok(_) => Ok(Some(hash.0)),
            Err(why) => Err(Refusal::invalid(format!("The password's hash cannot be used: {why}"))),
        },
        (Some(password), None) => {
            // It is wiped when it is dropped.
            let password = Secret::new(password);
            if !(1..=LONGEST_PASSWORD).contains(&password.expose().len()) {
                return Err(Refusal::invalid("A password has 1 to 1024 bytes"));
            }
            let made = passwords.hash(password.expose()).await;
            made.map(Some)
                .ok_or_else(|| Refusal::unavailable("There is no room to hash a password now"))
        }
    }
}
