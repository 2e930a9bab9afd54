//! Users.

use sqlx::{Row as _, any::AnyRow};

use super::{
    Author, Change, Entry, Revocation, RevocationKind, Store, StoreFault, keys, lists, names,
    revocations, said,
};
use crate::model::{Permission, PlanName, Role, Secret, Timestamp};

/// What is settled of a user, when it is added and by whoever changes it.
#[derive(Clone, Debug)]
pub struct UserTerms {
    /// Its subject, which never changes.
    pub subject: String,
    /// The name it logs in by.
    pub username: String,
    /// The hash of its password.
    pub password: Option<Secret>,
    /// Roles as granted.
    pub roles: Vec<Role>,
    /// Its own permissions.
    pub permissions: Vec<Permission>,
    /// Its plan.
    pub plan: Option<PlanName>,
    /// Whether it is shut out. A row that cannot be read is.
    pub disabled: bool,
}

/// A user as it is kept.
#[derive(Clone, Debug)]
pub struct StoredUser {
    /// What is settled of it.
    pub terms: UserTerms,
    /// When it was added.
    pub created: Timestamp,
    /// When it last logged in.
    pub last_login: Option<Timestamp>,
    /// The number of its latest change.
    pub revision: i64,
}

/// What becomes of a password.
#[derive(Clone, Debug)]
pub enum PasswordSet {
    /// This is its hash.
    To(Secret),
    /// There is none: the user cannot log in.
    Nothing,
}

/// What is to be changed of a user; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The name it logs in by.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<PasswordSet>,
    /// Roles.
    pub roles: Option<Vec<Role>>,
    /// Permissions.
    pub permissions: Option<Vec<Permission>>,
    /// Its plan, or none.
    pub plan: Option<Option<PlanName>>,
    /// Whether it is shut out.
    pub disabled: Option<bool>,
}

impl UserChange {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        let Self { username, password, roles, permissions, plan, disabled } = self;
        username.is_none()
            && password.is_none()
            && roles.is_none()
            && permissions.is_none()
            && plan.is_none()
            && disabled.is_none()
    }

    /// What the audit log calls it.
    const fn action(&self) -> &'static str {
        match self.disabled {
            Some(true) => "user.disable",
            Some(false) => "user.enable",
            None => "user.set",
        }
    }

    /// Whether everything that the user was issued ends with it.
    pub fn cuts_off(&self) -> bool {
        self.disabled == Some(true) || self.password.is_some()
    }
}

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    /// The subject or the username is taken; the store is away.
    pub async fn add_user(
        &self,
        user: &UserTerms,
        by: &Author<'_>,
    ) -> Result<StoredUser, StoreFault> {
        self.within(async {
            let detail = said::of_user(user);
            let entry = Entry { action: "user.add", target: &user.subject, detail: &detail };
            let mut change = self.change(by, &entry).await?;
            insert(&mut change, user, by.at).await?;
            let added = required(&mut change, &user.subject).await?;
            change.commit().await?;
            Ok(added)
        })
        .await
    }

    /// Changes a user. Shutting it out and another password end all its refresh tokens and void
    /// what it was issued until now.
    ///
    /// # Errors
    /// There is no such user; the username is taken; the store is away.
    pub async fn change_user(
        &self,
        subject: &str,
        wanted: &UserChange,
        by: &Author<'_>,
    ) -> Result<StoredUser, StoreFault> {
        self.within(async {
            let detail = said::of_user_change(wanted);
            let entry = Entry { action: wanted.action(), target: subject, detail: &detail };
            let mut change = self.change(by, &entry).await?;
            let mut user = required(&mut change, subject).await?;
            let username = &user.terms.username;
            if let Some(name) = wanted.username.as_ref().filter(|name| *name != username) {
                names::release(&mut change, subject).await?;
                names::claim(&mut change, subject, name).await?;
            }
            apply(&mut user.terms, wanted);
            let terms = &user.terms;
            let sql = "UPDATE portcullis_users SET username = $2, password = $3, roles = $4,
                       permissions = $5, plan = $6, disabled = $7, revision = $8
                       WHERE subject = $1";
            sqlx::query(sql)
                .bind(subject.to_owned())
                .bind(terms.username.clone())
                .bind(text(terms.password.as_ref()))
                .bind(lists::written(terms.roles.iter().map(Role::as_str)))
                .bind(lists::written(terms.permissions.iter().map(Permission::as_str)))
                .bind(terms.plan.as_ref().map(|plan| plan.as_str().to_owned()))
                .bind(i64::from(terms.disabled))
                .bind(change.revision)
                .execute(&mut *change.transaction)
                .await
                .map_err(|error| StoreFault::taken(error, "username"))?;
            if wanted.cuts_off() {
                cut_off(&mut change, subject, by.at).await?;
            }
            user.revision = change.revision;
            change.commit().await?;
            Ok(user)
        })
        .await
    }

    /// Removes a user, revokes the keys that it owns, and voids what it was issued. The number of
    /// the change.
    ///
    /// # Errors
    /// There is no such user; the store is away.
    pub async fn remove_user(&self, subject: &str, by: &Author<'_>) -> Result<i64, StoreFault> {
        self.within(async {
            let entry = Entry { action: "user.remove", target: subject, detail: "" };
            let mut change = self.change(by, &entry).await?;
            let sql = "DELETE FROM portcullis_users WHERE subject = $1";
            let gone =
                sqlx::query(sql).bind(subject.to_owned()).execute(&mut *change.transaction).await?;
            if gone.rows_affected() == 0 {
                return Err(StoreFault::Absent { what: "user" });
            }
            let sql = "INSERT INTO portcullis_removals (subject, revision) VALUES ($1, $2)
                       ON CONFLICT (subject) DO UPDATE SET revision = excluded.revision";
            sqlx::query(sql)
                .bind(subject.to_owned())
                .bind(change.revision)
                .execute(&mut *change.transaction)
                .await?;
            names::release(&mut change, subject).await?;
            keys::revoke_owned(&mut change, subject, by.at).await?;
            cut_off(&mut change, subject, by.at).await?;
            change.commit().await
        })
        .await
    }

    /// Replaces the hash of a password that was found right, unless it has changed meanwhile.
    /// Whether it was replaced.
    ///
    /// # Errors
    /// The store is away.
    pub async fn upgrade_password(
        &self,
        subject: &str,
        old: &Secret,
        new: &Secret,
        by: &Author<'_>,
    ) -> Result<bool, StoreFault> {
        self.within(async {
            let entry = Entry { action: "user.rehash", target: subject, detail: "" };
            let mut change = self.change(by, &entry).await?;
            let sql = "UPDATE portcullis_users SET password = $3, revision = $4
                       WHERE subject = $1 AND password = $2";
            let replaced = sqlx::query(sql)
                .bind(subject.to_owned())
                .bind(text(Some(old)))
                .bind(text(Some(new)))
                .bind(change.revision)
                .execute(&mut *change.transaction)
                .await?;
            if replaced.rows_affected() == 0 {
                return Ok(false);
            }
            change.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Notes when users last logged in. No change that anybody follows.
    ///
    /// # Errors
    /// The store is away.
    pub async fn note_logins(&self, logins: &[(String, Timestamp)]) -> Result<(), StoreFault> {
        self.within(async {
            let (_turn, mut transaction) = self.begin().await?;
            for (subject, at) in logins {
                let sql = "UPDATE portcullis_users SET last_login = $2 WHERE subject = $1
                           AND (last_login IS NULL OR last_login < $2)";
                sqlx::query(sql)
                    .bind(subject.clone())
                    .bind(at.seconds())
                    .execute(&mut *transaction)
                    .await?;
            }
            Ok(transaction.commit().await?)
        })
        .await
    }

    /// The user with this subject.
    ///
    /// # Errors
    /// The store is away.
    pub async fn user(&self, subject: &str) -> Result<Option<StoredUser>, StoreFault> {
        self.within(async {
            let row = sqlx::query(BY_SUBJECT).bind(subject.to_owned());
            row.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
        })
        .await
    }

    /// The user who logs in by this name.
    ///
    /// # Errors
    /// The store is away.
    pub async fn user_by_name(&self, username: &str) -> Result<Option<StoredUser>, StoreFault> {
        self.within(async {
            let sql = "SELECT subject, username, password, roles, permissions, plan, disabled,
                       created, last_login, revision FROM portcullis_users WHERE username = $1";
            let row = sqlx::query(sql).bind(username.to_owned());
            row.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
        })
        .await
    }

    /// Users in the order of their subjects, after this one.
    ///
    /// # Errors
    /// The store is away.
    pub async fn users_after(
        &self,
        subject: &str,
        most: u32,
    ) -> Result<Vec<StoredUser>, StoreFault> {
        self.within(async {
            let sql = "SELECT subject, username, password, roles, permissions, plan, disabled,
                       created, last_login, revision FROM portcullis_users
                       WHERE subject > $1 ORDER BY subject LIMIT $2";
            let rows = sqlx::query(sql).bind(subject.to_owned()).bind(i64::from(most));
            rows.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// Users that changed after this place, in the order of their changes.
    ///
    /// # Errors
    /// The store is away.
    pub async fn users_changed(
        &self,
        after: (i64, &str),
        most: u32,
    ) -> Result<Vec<StoredUser>, StoreFault> {
        self.within(async {
            let sql = "SELECT subject, username, password, roles, permissions, plan, disabled,
                       created, last_login, revision FROM portcullis_users
                       WHERE (revision, subject) > ($1, $2) ORDER BY revision, subject LIMIT $3";
            let rows =
                sqlx::query(sql).bind(after.0).bind(after.1.to_owned()).bind(i64::from(most));
            rows.fetch_all(&self.pool).await?.iter().map(read).collect()
        })
        .await
    }

    /// The subjects of users that were removed after this revision.
    ///
    /// # Errors
    /// The store is away.
    pub async fn removals_since(&self, revision: i64) -> Result<Vec<String>, StoreFault> {
        self.within(async {
            let sql = "SELECT subject FROM portcullis_removals WHERE revision > $1";
            let rows = sqlx::query(sql).bind(revision).fetch_all(&self.pool).await?;
            rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
        })
        .await
    }
}

const BY_SUBJECT: &str = "SELECT subject, username, password, roles, permissions, plan, disabled,
                          created, last_login, revision FROM portcullis_users WHERE subject = $1";

async fn required(change: &mut Change, subject: &str) -> Result<StoredUser, StoreFault> {
    let row = sqlx::query(BY_SUBJECT).bind(subject.to_owned());
    let row = row.fetch_optional(&mut *change.transaction).await?;
    read(&row.ok_or(StoreFault::Absent { what: "user" })?)
}

/// Whether this is a user's subject.
pub(super) async fn is_there(change: &mut Change, subject: &str) -> Result<bool, StoreFault> {
    let sql = "SELECT 1 FROM portcullis_users WHERE subject = $1";
    let user = sqlx::query(sql).bind(subject.to_owned());
    Ok(user.fetch_optional(&mut *change.transaction).await?.is_some())
}

async fn insert(change: &mut Change, user: &UserTerms, now: Timestamp) -> Result<(), StoreFault> {
    if keys::speaks_as(change, &user.subject).await? {
        return Err(StoreFault::Taken { what: keys::KEYS_ID });
    }
    let sql = "INSERT INTO portcullis_users
               (subject, username, password, roles, permissions, plan, disabled, created, revision)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    sqlx::query(sql)
        .bind(user.subject.clone())
        .bind(user.username.clone())
        .bind(text(user.password.as_ref()))
        .bind(lists::written(user.roles.iter().map(Role::as_str)))
        .bind(lists::written(user.permissions.iter().map(Permission::as_str)))
        .bind(user.plan.as_ref().map(|plan| plan.as_str().to_owned()))
        .bind(i64::from(user.disabled))
        .bind(now.seconds())
        .bind(change.revision)
        .execute(&mut *change.transaction)
        .await
        .map_err(|error| StoreFault::taken(error, "username or id"))?;
    names::claim(change, &user.subject, &user.username).await
}

fn apply(user: &mut UserTerms, wanted: &UserChange) {
    let UserChange { username, password, roles, permissions, plan, disabled } = wanted.clone();
    user.username = username.unwrap_or_else(|| std::mem::take(&mut user.username));
    match password {
        Some(PasswordSet::To(hash)) => user.password = Some(hash),
        Some(PasswordSet::Nothing) => user.password = None,
        None => {}
    }
    user.roles = roles.unwrap_or_else(|| std::mem::take(&mut user.roles));
    user.permissions = permissions.unwrap_or_else(|| std::mem::take(&mut user.permissions));
    user.plan = plan.unwrap_or_else(|| user.plan.take());
    user.disabled = disabled.unwrap_or(user.disabled);
}

/// Ends all families of a subject, and voids everything that it was issued until now.
async fn cut_off(change: &mut Change, subject: &str, now: Timestamp) -> Result<(), StoreFault> {
    let sql = "UPDATE portcullis_families SET ended = $2 WHERE subject = $1 AND ended IS NULL";
    sqlx::query(sql)
        .bind(subject.to_owned())
        .bind(now.seconds())
        .execute(&mut *change.transaction)
        .await?;
    let mark = Revocation::of_all(RevocationKind::Subject, subject, now, change.revision);
    revocations::add(change, &mark).await
}

pub(super) fn text(hash: Option<&Secret>) -> Option<String> {
    hash.map(|hash| String::from_utf8_lossy(hash.expose()).into_owned())
}

fn read(row: &AnyRow) -> Result<StoredUser, StoreFault> {
    let subject: String = row.try_get(0)?;
    let roles = lists::read(row.try_get(3)?, "user's roles", |role| Some(Role::from(role)));
    let permissions = lists::read(row.try_get(4)?, "user's permissions", |permission| {
        Some(Permission::from(permission))
    });
    let disabled: i64 = row.try_get(6)?;
    // Whoever lacks a role may be let in where a rule refuses that role: such a row admits nobody.
    let damaged = roles.is_err() || permissions.is_err();
    if damaged {
        tracing::error!(event = "store_damaged", subject, "a user's row cannot be read");
    }
    let password: Option<String> = row.try_get(2)?;
    let plan: Option<String> = row.try_get(5)?;
    Ok(StoredUser {
        terms: UserTerms {
            subject,
            username: row.try_get(1)?,
            password: password.map(Secret::new),
            roles: roles.unwrap_or_default(),
            permissions: permissions.unwrap_or_default(),
            plan: plan.map(PlanName::from),
            disabled: damaged || disabled != 0,
        },
        created: Timestamp::from_seconds(row.try_get(7)?),
        last_login: lists::time(row, 8)?,
        revision: row.try_get(9)?,
    })
}
