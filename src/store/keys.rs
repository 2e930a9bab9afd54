//! API keys. A key itself is nowhere kept; its SHA-256 is.

use sqlx::{Row as _, any::AnyRow};

use super::{
    Author, Change, Entry, Revocation, RevocationKind, Store, StoreFault, lists, revocations, said,
    users,
};
use crate::model::{Cidr, Permission, PlanName, Role, Timestamp};

/// What is settled of a key, when it is made and by whoever changes it.
#[derive(Clone, Debug)]
pub struct KeyTerms {
    /// Its public id, which never changes and is never used again.
    pub id: String,
    /// The SHA-256 of the whole key.
    pub sha256: [u8; 32],
    /// What people call it.
    pub name: Option<String>,
    /// The subject that it speaks for; its id if absent.
    pub owner: Option<String>,
    /// Whether the owner was a user when the key was made: it is worth nothing while he is none.
    pub is_users: bool,
    /// Roles as granted.
    pub roles: Vec<Role>,
    /// Its own permissions.
    pub permissions: Vec<Permission>,
    /// Its plan.
    pub plan: Option<PlanName>,
    /// Where it may be used from; empty is anywhere.
    pub networks: Vec<Cidr>,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// A key as it is kept.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// What is settled of it.
    pub terms: KeyTerms,
    /// The key that this one replaced, until its date.
    pub previous: Option<Previous>,
    /// Whether it is shut out. A row that cannot be read is.
    pub disabled: bool,
    /// When it was revoked, for good.
    pub revoked: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// The minute of its last use.
    pub last_used: Option<Timestamp>,
    /// The number of its latest change.
    pub revision: i64,
}

/// A key that was replaced and is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Until when it is good.
    pub until: Timestamp,
}

/// What is to be changed of a key; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// What people call it.
    pub name: Option<Option<String>>,
    /// Roles.
    pub roles: Option<Vec<Role>>,
    /// Permissions.
    pub permissions: Option<Vec<Permission>>,
    /// Its plan, or none.
    pub plan: Option<Option<PlanName>>,
    /// Where it may be used from.
    pub networks: Option<Vec<Cidr>>,
    /// When it ends, or never.
    pub expires: Option<Option<Timestamp>>,
    /// Whether it is shut out.
    pub disabled: Option<bool>,
}

impl KeyChange {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        let Self { name, roles, permissions, plan, networks, expires, disabled } = self;
        name.is_none()
            && roles.is_none()
            && permissions.is_none()
            && plan.is_none()
            && networks.is_none()
            && expires.is_none()
            && disabled.is_none()
    }
}

impl Store {
    /// Keeps a new key. Without an owner it speaks as its id, which then must be nobody else's.
    ///
    /// # Errors
    /// The id is taken; the store is away.
    pub async fn add_key(&self, key: &KeyTerms, by: &Author<'_>) -> Result<StoredKey, StoreFault> {
        self.within(async {
            let detail = said::of_key(key);
            let entry = Entry { action: "key.create", target: &key.id, detail: &detail };
            let mut change = self.change(by, &entry).await?;
            let subject = key.owner.as_ref().unwrap_or(&key.id);
            let is_users = users::is_there(&mut change, subject).await?;
            if is_users && key.owner.is_none() {
                return Err(StoreFault::Taken { what: USERS_ID });
            }
            let sql = "INSERT INTO portcullis_keys (id, sha256, name, owner, roles, permissions,
                       plan, networks, expires, disabled, created, revision, is_users)
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12)";
            sqlx::query(sql)
                .bind(key.id.clone())
                .bind(lists::hex(&key.sha256))
                .bind(key.name.clone())
                .bind(key.owner.clone())
                .bind(lists::written(key.roles.iter().map(Role::as_str)))
                .bind(lists::written(key.permissions.iter().map(Permission::as_str)))
                .bind(key.plan.as_ref().map(|plan| plan.as_str().to_owned()))
                .bind(lists::written(key.networks.iter().map(Cidr::to_string)))
                .bind(key.expires.map(Timestamp::seconds))
                .bind(by.at.seconds())
                .bind(change.revision)
                .bind(i64::from(is_users || (key.is_users && key.owner.is_some())))
                .execute(&mut *change.transaction)
                .await
                .map_err(|error| StoreFault::taken(error, "key's id"))?;
            let added = required(&mut change, &key.id).await?;
            change.commit().await?;
            Ok(added)
        })
        .await
    }

    /// Changes a key. Shutting it out voids what it was issued until now.
    ///
    /// # Errors
    /// There is no such key, or it was revoked; the store is away.
    pub async fn change_key(
        &self,
        id: &str,
        wanted: &KeyChange,
        by: &Author<'_>,
    ) -> Result<StoredKey, StoreFault> {
        self.within(async {
            let detail = said::of_key_change(wanted);
            let entry = Entry { action: "key.set", target: id, detail: &detail };
            let mut change = self.change(by, &entry).await?;
            let mut key = alive(&mut change, id).await?;
            apply(&mut key, wanted);
            let terms = &key.terms;
            let sql = "UPDATE portcullis_keys SET name = $2, roles = $3, permissions = $4,
                       plan = $5, networks = $6, expires = $7, disabled = $8, revision = $9
                       WHERE id = $1";
            sqlx::query(sql)
                .bind(id.to_owned())
                .bind(terms.name.clone())
                .bind(lists::written(terms.roles.iter().map(Role::as_str)))
                .bind(lists::written(terms.permissions.iter().map(Permission::as_str)))
                .bind(terms.plan.as_ref().map(|plan| plan.as_str().to_owned()))
                .bind(lists::written(terms.networks.iter().map(Cidr::to_string)))
                .bind(terms.expires.map(Timestamp::seconds))
                .bind(i64::from(key.disabled))
                .bind(change.revision)
                .execute(&mut *change.transaction)
                .await?;
            if wanted.disabled == Some(true) {
                let mark = Revocation::of_all(RevocationKind::Key, id, by.at, change.revision);
                revocations::add(&mut change, &mark).await?;
            }
            key.revision = change.revision;
            change.commit().await?;
            Ok(key)
        })
        .await
    }

    /// Puts a new key in the place of the old one, which stays good until its date. A third, older
    /// one ends at once.
    ///
    /// # Errors
    /// There is no such key, or it was revoked; the store is away.
    pub async fn rotate_key(
        &self,
        id: &str,
        sha256: &[u8; 32],
        until: Timestamp,
        by: &Author<'_>,
    ) -> Result<StoredKey, StoreFault> {
        self.within(async {
            let entry = Entry { action: "key.rotate", target: id, detail: "" };
            let mut change = self.change(by, &entry).await?;
            let mut key = alive(&mut change, id).await?;
            let sql = "UPDATE portcullis_keys SET previous_sha256 = $2, previous_until = $3,
                       sha256 = $4, revision = $5 WHERE id = $1";
            sqlx::query(sql)
                .bind(id.to_owned())
                .bind(lists::hex(&key.terms.sha256))
                .bind(until.seconds())
                .bind(lists::hex(sha256))
                .bind(change.revision)
                .execute(&mut *change.transaction)
                .await?;
            key.previous = Some(Previous { sha256: key.terms.sha256, until });
            key.terms.sha256 = *sha256;
            key.revision = change.revision;
            change.commit().await?;
            Ok(key)
        })
        .await
    }

    /// Revokes a key for good, and voids what it was issued until now. A key that was revoked
    /// before stays so.
    ///
    /// # Errors
    /// There is no such key; the store is away.
    pub async fn revoke_key(&self, id: &str, by: &Author<'_>) -> Result<StoredKey, StoreFault> {
        self.within(async {
            let entry = Entry { action: "key.revoke", target: id, detail: "" };
            let mut change = self.change(by, &entry).await?;
            let mut key = required(&mut change, id).await?;
            key.revoked = key.revoked.or(Some(by.at));
            key.revision = change.revision;
            let sql = "UPDATE portcullis_keys SET revoked = $2, revision = $3 WHERE id = $1";
            sqlx::query(sql)
                .bind(id.to_owned())
                .bind(key.revoked.map(Timestamp::seconds))
                .bind(change.revision)
                .execute(&mut *change.transaction)
                .await?;
            let mark = Revocation::of_all(RevocationKind::Key, id, by.at, change.revision);
            revocations::add(&mut change, &mark).await?;
            change.commit().await?;
            Ok(key)
        })
        .await
    }

    /// Notes when keys were last used. No change that anybody follows.
    ///
    /// # Errors
    /// The store is away.
    pub async fn note_uses(&self, uses: &[(String, Timestamp)]) -> Result<(), StoreFault> {
        self.within(async {
            let (_turn, mut transaction) = self.begin().await?;
            for (id, at) in uses {
                let sql = "UPDATE portcullis_keys SET last_used = $2 WHERE id = $1
                           AND (last_used IS NULL OR last_used < $2)";
                sqlx::query(sql)
                    .bind(id.clone())
                    .bind(at.seconds())
                    .execute(&mut *transaction)
                    .await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// The key with this id, revoked or not.
    ///
    /// # Errors
    /// The store is away.
    pub async fn key(&self, id: &str) -> Result<Option<StoredKey>, StoreFault> {
        self.within(async {
            let row = sqlx::query(BY_ID).bind(id.to_owned());
            row.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
        })
        .await
    }

    /// Keys in the order of their ids, after this one.
    ///
    /// # Errors
    /// The store is away.
    pub async fn keys_after(&self, id: &str, most: u32) -> Result<Vec<StoredKey>, StoreFault> {
        self.within(async {
            let sql = "SELECT id, sha256, previous_sha256, previous_until, name, owner, roles,
                       permissions, plan, networks, expires, disabled, revoked, created, last_used,
                       revision, is_users FROM portcullis_keys WHERE id > $1 ORDER BY id LIMIT $2";
            let rows = sqlx::query(sql).bind(id.to_owned()).bind(i64::from(most));
            rows.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// Keys that changed after this place, in the order of their changes.
    ///
    /// # Errors
    /// The store is away.
    pub async fn keys_changed(
        &self,
        after: (i64, &str),
        most: u32,
    ) -> Result<Vec<StoredKey>, StoreFault> {
        self.within(async {
            let sql = "SELECT id, sha256, previous_sha256, previous_until, name, owner, roles,
                       permissions, plan, networks, expires, disabled, revoked, created, last_used,
                       revision, is_users FROM portcullis_keys
                       WHERE (revision, id) > ($1, $2) ORDER BY revision, id LIMIT $3";
            let rows =
                sqlx::query(sql).bind(after.0).bind(after.1.to_owned()).bind(i64::from(most));
            rows.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }
}

/// What is taken where a key would speak as a user by its id alone: it would not be known for his.
pub const USERS_ID: &str = "key's id, by a user (name him as the owner if the key is his),";

/// What is taken where a user would have the name that a key without owner speaks under.
pub const KEYS_ID: &str = "id, by an API key without owner,";

/// Whether a key speaks under this name with no user behind it.
pub(super) async fn speaks_as(change: &mut Change, subject: &str) -> Result<bool, StoreFault> {
    let sql = "SELECT 1 FROM portcullis_keys WHERE id = $1 AND owner IS NULL AND revoked IS NULL";
    let key = sqlx::query(sql).bind(subject.to_owned());
    Ok(key.fetch_optional(&mut *change.transaction).await?.is_some())
}

/// Revokes all keys of a user that goes.
pub(super) async fn revoke_owned(
    change: &mut Change,
    owner: &str,
    now: Timestamp,
) -> Result<(), StoreFault> {
    let sql = "UPDATE portcullis_keys SET revoked = $2, revision = $3
               WHERE owner = $1 AND revoked IS NULL RETURNING id";
    let rows = sqlx::query(sql)
        .bind(owner.to_owned())
        .bind(now.seconds())
        .bind(change.revision)
        .fetch_all(&mut *change.transaction)
        .await?;
    for row in rows {
        let id: String = row.try_get(0)?;
        let mark = Revocation::of_all(RevocationKind::Key, &id, now, change.revision);
        revocations::add(change, &mark).await?;
    }
    Ok(())
}

const BY_ID: &str = "SELECT id, sha256, previous_sha256, previous_until, name, owner, roles,
                     permissions, plan, networks, expires, disabled, revoked, created, last_used,
                     revision, is_users FROM portcullis_keys WHERE id = $1";

async fn required(change: &mut Change, id: &str) -> Result<StoredKey, StoreFault> {
    let row = sqlx::query(BY_ID).bind(id.to_owned());
    let row = row.fetch_optional(&mut *change.transaction).await?;
    read(&row.ok_or(StoreFault::Absent { what: "key" })?)
}

async fn alive(change: &mut Change, id: &str) -> Result<StoredKey, StoreFault> {
    let key = required(change, id).await?;
    if key.revoked.is_some() { Err(StoreFault::Absent { what: "live key" }) } else { Ok(key) }
}

fn apply(key: &mut StoredKey, wanted: &KeyChange) {
    let KeyChange { name, roles, permissions, plan, networks, expires, disabled } = wanted.clone();
    let terms = &mut key.terms;
    terms.name = name.unwrap_or_else(|| terms.name.take());
    terms.roles = roles.unwrap_or_else(|| std::mem::take(&mut terms.roles));
    terms.permissions = permissions.unwrap_or_else(|| std::mem::take(&mut terms.permissions));
    terms.plan = plan.unwrap_or_else(|| terms.plan.take());
    terms.networks = networks.unwrap_or_else(|| std::mem::take(&mut terms.networks));
    terms.expires = expires.unwrap_or(terms.expires);
    key.disabled = disabled.unwrap_or(key.disabled);
}

fn read(row: &AnyRow) -> Result<StoredKey, StoreFault> {
    let id: String = row.try_get(0)?;
    let roles = lists::read(row.try_get(6)?, "key's roles", |role| Some(Role::from(role)));
    let permissions =
        lists::read(row.try_get(7)?, "key's permissions", |one| Some(Permission::from(one)));
    let networks = lists::read(row.try_get(9)?, "key's networks", |one| one.parse().ok());
    // No networks would be any network, and a role that is missing may be one that is refused: such
    // a row admits nobody.
    let damaged = roles.is_err() || permissions.is_err() || networks.is_err();
    if damaged {
        tracing::error!(event = "store_damaged", key = id, "a key's row cannot be read");
    }
    let disabled: i64 = row.try_get(11)?;
    let previous: Option<String> = row.try_get(2)?;
    let previous = match (previous, lists::time(row, 3)?) {
        (Some(sha256), Some(until)) => {
            Some(Previous { sha256: lists::digest(&sha256, "key's digest")?, until })
        }
        _ => None,
    };
    let plan: Option<String> = row.try_get(8)?;
    let is_users: i64 = row.try_get(16)?;
    Ok(StoredKey {
        terms: KeyTerms {
            sha256: lists::digest(row.try_get(1)?, "key's digest")?,
            name: row.try_get(4)?,
            owner: row.try_get(5)?,
            is_users: is_users != 0,
            roles: roles.unwrap_or_default(),
            permissions: permissions.unwrap_or_default(),
            plan: plan.map(PlanName::from),
            networks: networks.unwrap_or_default(),
            expires: lists::time(row, 10)?,
            id,
        },
        previous,
        disabled: damaged || disabled != 0,
        revoked: lists::time(row, 12)?,
        created: Timestamp::from_seconds(row.try_get(13)?),
        last_used: lists::time(row, 14)?,
        revision: row.try_get(15)?,
    })
}
