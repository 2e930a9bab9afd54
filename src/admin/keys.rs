//! API keys of the store. A key is shown once, in the answer that makes it.

use axum::{
    Json,
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;

use super::records::{
    Asked, Kept, Named, Page, Refusal, judge_name, judge_roles, key as shown, present, read,
};
use crate::{
    config::values::Period,
    model::{Cidr, Permission, PlanName, Role, Timestamp},
    store::{KeyChange, KeyTerms, MintedKey, StoreFault, USERS_ID, is_key_id},
};

/// A key to be made.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    id: Option<String>,
    name: Option<String>,
    owner: Option<String>,
    roles: Vec<Role>,
    permissions: Vec<Permission>,
    plan: Option<PlanName>,
    networks: Vec<Cidr>,
    expires: Option<Timestamp>,
}

/// What is to be changed; `null` takes a name, a plan or an end away.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changed {
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    roles: Option<Vec<Role>>,
    permissions: Option<Vec<Permission>>,
    #[serde(default, deserialize_with = "present")]
    plan: Option<Option<PlanName>>,
    networks: Option<Vec<Cidr>>,
    #[serde(default, deserialize_with = "present")]
    expires: Option<Option<Timestamp>>,
    disabled: Option<bool>,
}

/// How long the old key stays good.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotation {
    keep_old: Period,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { keep_old: Period::seconds(86_400) }
    }
}

pub(super) async fn list(kept: Kept, Asked(page): Asked<Page>) -> Result<Response, Refusal> {
    let keys = kept.records.store()?.keys_after(&page.after, page.limit()).await?;
    Ok(page.answer("keys", keys.iter().map(|key| shown(key, kept.now)).collect()))
}

pub(super) async fn show(kept: Kept, Named(id): Named) -> Result<Response, Refusal> {
    let key = kept.records.store()?.key(&id).await?;
    let key = key.ok_or_else(|| Refusal::absent("key"))?;
    Ok(Json(shown(&key, kept.now)).into_response())
}

pub(super) async fn make(kept: Kept, body: Bytes) -> Result<Response, Refusal> {
    let (minted, key) = new_key(&kept, &body)?;
    let added = kept.records.add_key(&key, &kept.author()).await?;
    let handed = handed_over(&minted, shown(&added, kept.now));
    Ok((StatusCode::CREATED, Json(handed)).into_response())
}

fn new_key(kept: &Kept, body: &[u8]) -> Result<(MintedKey, KeyTerms), Refusal> {
    let wanted: Wanted = read(if body.is_empty() { b"{}" } else { body })?;
    if wanted.id.as_deref().is_some_and(|id| !is_key_id(id)) {
        return Err(Refusal::invalid("An id has 1 to 64 letters, digits and hyphens"));
    }
    for name in [&wanted.name, &wanted.owner].into_iter().flatten() {
        judge_name(name)?;
    }
    judge_roles(&kept.snapshot, &wanted.roles)?;
    let minted = MintedKey::mint(wanted.id.as_deref())?;
    if kept.snapshot.policy().accounts.has_key(&minted.id) {
        return Err(Refusal::invalid("The file has such a key already"));
    }
    let owner = wanted.owner.as_ref().unwrap_or(&minted.id);
    let is_users = kept.snapshot.policy().accounts.user(owner).is_some();
    if is_users && wanted.owner.is_none() {
        return Err(StoreFault::Taken { what: USERS_ID }.into());
    }
    let key = KeyTerms {
        id: minted.id.clone(),
        sha256: minted.sha256,
        name: wanted.name,
        owner: wanted.owner,
        is_users,
        roles: wanted.roles,
        permissions: wanted.permissions,
        plan: wanted.plan,
        networks: wanted.networks,
        expires: wanted.expires,
    };
    Ok((minted, key))
}

pub(super) async fn change(kept: Kept, Named(id): Named, body: Bytes) -> Result<Response, Refusal> {
    let wanted = changes(&kept, &body)?;
    let changed = kept.records.change_key(&id, &wanted, &kept.author()).await?;
    Ok(Json(shown(&changed, kept.now)).into_response())
}

fn changes(kept: &Kept, body: &[u8]) -> Result<KeyChange, Refusal> {
    let Changed { name, roles, permissions, plan, networks, expires, disabled } = read(body)?;
    if let Some(Some(name)) = &name {
        judge_name(name)?;
    }
    judge_roles(&kept.snapshot, roles.as_deref().unwrap_or_default())?;
    let wanted = KeyChange { name, roles, permissions, plan, networks, expires, disabled };
    if wanted.is_empty() { Err(Refusal::invalid("Nothing is to be changed")) } else { Ok(wanted) }
}

pub(super) async fn revoke(kept: Kept, Named(id): Named) -> Result<Response, Refusal> {
    let revoked = kept.records.revoke_key(&id, &kept.author()).await?;
    Ok(Json(shown(&revoked, kept.now)).into_response())
}

pub(super) async fn rotate(kept: Kept, Named(id): Named, body: Bytes) -> Result<Response, Refusal> {
    let rotation: Rotation = read(if body.is_empty() { b"{}" } else { &body })?;
    let minted = MintedKey::mint(Some(&id))?;
    let until = kept.now + rotation.keep_old.0;
    let rotated = kept.records.rotate_key(&id, &minted.sha256, until, &kept.author()).await?;
    Ok(Json(handed_over(&minted, shown(&rotated, kept.now))).into_response())
}

/// A key and, this once, its text.
fn handed_over(minted: &MintedKey, mut key: Value) -> Value {
    if let Some(members) = key.as_object_mut() {
        members.insert("key".to_owned(), String::from_utf8_lossy(minted.text.expose()).into());
    }
    key
}
