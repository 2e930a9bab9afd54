//! Families of refresh tokens: one a login, each token used once.
//!
//! A token is kept as its SHA-256 alone. The family's row is locked while one of its tokens is used
//! and while it is ended, so that of two uses one comes first, and none comes after the end.
//!
//! **At once or again.** Two tabs of one client use one token at the same moment, and nobody has a copy.
//! A use that came before the first one was answered, or within a second of that, has lost to it
//! and ends nothing; it is given nothing either. What comes later is a use of something that was
//! used up.

use std::time::Instant;

use sqlx::{Any, Row as _, Transaction, any::AnyRow};

use super::{Author, Entry, Revocation, RevocationKind, Store, StoreFault, lists, revocations};
use crate::model::{Secret, Timestamp};

/// A family that a login opens.
#[derive(Clone, Copy, Debug)]
pub struct NewFamily<'a> {
    /// Its id: random, unique, and no secret.
    pub id: &'a str,
    /// Whom it speaks for.
    pub subject: &'a str,
    /// To what the login was narrowed; absent is everything that the subject has.
    pub scope: Option<&'a str>,
    /// When all its tokens end, counted from the login.
    pub expires: Timestamp,
    /// The hash of the password that opened it, where the user is the store's: if it is another by
    /// now, or he is shut out or gone, the family is not opened.
    pub password: Option<&'a Secret>,
    /// The SHA-256 of its first token.
    pub first: &'a [u8; 32],
}

/// A family as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its id.
    pub id: String,
    /// Whom it speaks for.
    pub subject: String,
    /// To what the login was narrowed.
    pub scope: Option<String>,
    /// When the login was.
    pub issued: Timestamp,
    /// When all its tokens end.
    pub expires: Timestamp,
    /// When it was ended before its time.
    pub ended: Option<Timestamp>,
}

/// What became of a token that was presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// It was not used before. Where it was used now, the next token is in its place.
    First(Family),
    /// Its family has ended or expired; nothing was changed.
    Over(Family),
    /// It was used at the same moment, and the other use came first; nothing was changed.
    Late(Family),
    /// It was used before, in a family that is alive; nothing was changed.
    Reused {
        /// Its family, which whoever calls ends.
        family: Family,
        /// When it was used first.
        used: Timestamp,
    },
    /// There is no such token.
    Unknown,
}

/// Families of one subject that are kept: of more, those that have ended are forgotten first, and then
/// the oldest.
pub const MOST_FAMILIES: u32 = 100;

/// Seconds after its first use was answered in which a token that comes again has only lost to it.
/// Times are kept in whole seconds, so that it may be almost one more.
const AT_ONCE: i64 = 1;

/// How long a use may wait for its turn, and clocks of gateways may differ.
const WAITING: i64 = 10;

impl Store {
    /// Opens a family with its first token, unless its user was changed meanwhile so that he would
    /// not be let in. Whether it was opened. The user's row is locked: whoever shuts him out comes
    /// either before, and is seen, or after, and ends this family too.
    ///
    /// # Errors
    /// The store is away.
    pub async fn open_family(
        &self,
        family: &NewFamily<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        self.within(async {
            let (_turn, mut transaction) = self.begin().await?;
            if let Some(password) = family.password {
                // A write that changes nothing: it locks the user.
                let sql = "UPDATE portcullis_users SET disabled = disabled
                           WHERE subject = $1 AND password = $2 AND disabled = 0";
                let same = sqlx::query(sql)
                    .bind(family.subject.to_owned())
                    .bind(String::from_utf8_lossy(password.expose()).into_owned())
                    .execute(&mut *transaction)
                    .await?;
                if same.rows_affected() != 1 {
                    return Ok(false);
                }
            }
            let sql = "INSERT INTO portcullis_families (id, subject, scope, issued, expires)
                       VALUES ($1, $2, $3, $4, $5)";
            sqlx::query(sql)
                .bind(family.id.to_owned())
                .bind(family.subject.to_owned())
                .bind(family.scope.map(str::to_owned))
                .bind(now.seconds())
                .bind(family.expires.seconds())
                .execute(&mut *transaction)
                .await?;
            sqlx::query(ADD_TOKEN)
                .bind(lists::hex(family.first))
                .bind(family.id.to_owned())
                .bind(now.seconds())
                .execute(&mut *transaction)
                .await?;
            forget_oldest(&mut transaction, family.subject).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Uses a token and puts the next one in its place. Of all uses of one token, at whatever
    /// gateway, one is the first.
    ///
    /// # Errors
    /// The store is away; whether the token was used is not known then.
    pub async fn use_refresh_token(
        &self,
        token: &[u8; 32],
        next: &[u8; 32],
        now: Timestamp,
    ) -> Result<Use, StoreFault> {
        let begun = Instant::now();
        self.within(async {
            let digest = lists::hex(token);
            let (_turn, mut transaction) = self.begin().await?;
            // A write that changes nothing: it locks the family.
            let sql = "UPDATE portcullis_families SET expires = expires
                       WHERE id = (SELECT family FROM portcullis_refresh_tokens WHERE sha256 = $1)
                       RETURNING id, subject, scope, issued, expires, ended";
            let row =
                sqlx::query(sql).bind(digest.clone()).fetch_optional(&mut *transaction).await?;
            let Some(row) = row else { return Ok(Use::Unknown) };
            let family = family(&row)?;
            if family.ended.is_some() || family.expires <= now {
                return Ok(Use::Over(family));
            }
            let sql = "UPDATE portcullis_refresh_tokens SET used = $2
                       WHERE sha256 = $1 AND used IS NULL";
            let used = sqlx::query(sql)
                .bind(digest.clone())
                .bind((now + begun.elapsed()).seconds())
                .execute(&mut *transaction)
                .await?;
            if used.rows_affected() != 1 {
                let sql = "SELECT used FROM portcullis_refresh_tokens WHERE sha256 = $1";
                let row = sqlx::query(sql).bind(digest).fetch_one(&mut *transaction).await?;
                let used = lists::time(&row, 0)?.unwrap_or_default();
                return Ok(Use::again(family, used, now));
            }
            sqlx::query(ADD_TOKEN)
                .bind(lists::hex(next))
                .bind(family.id.clone())
                .bind(now.seconds())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(Use::First(family))
        })
        .await
    }

    /// What would become of a token if it was used. Nothing is changed.
    ///
    /// # Errors
    /// The store is away.
    pub async fn look_at_refresh_token(
        &self,
        token: &[u8; 32],
        now: Timestamp,
    ) -> Result<Use, StoreFault> {
        self.within(async {
            let sql = "SELECT f.id, f.subject, f.scope, f.issued, f.expires, f.ended, t.used
                       FROM portcullis_refresh_tokens t
                       JOIN portcullis_families f ON f.id = t.family WHERE t.sha256 = $1";
            let row = sqlx::query(sql).bind(lists::hex(token)).fetch_optional(&self.pool).await?;
            let Some(row) = row else { return Ok(Use::Unknown) };
            let family = family(&row)?;
            if family.ended.is_some() || family.expires <= now {
                return Ok(Use::Over(family));
            }
            Ok(match lists::time(&row, 6)? {
                Some(used) => Use::again(family, used, now),
                None => Use::First(family),
            })
        })
        .await
    }

    /// The family that a token belongs to, used or not.
    ///
    /// # Errors
    /// The store is away.
    pub async fn family_of(&self, token: &[u8; 32]) -> Result<Option<Family>, StoreFault> {
        self.within(async {
            let sql = "SELECT id, subject, scope, issued, expires, ended FROM portcullis_families
                       WHERE id = (SELECT family FROM portcullis_refresh_tokens WHERE sha256 = $1)";
            let row = sqlx::query(sql).bind(lists::hex(token)).fetch_optional(&self.pool).await?;
            row.as_ref().map(family).transpose()
        })
        .await
    }

    /// Ends a family: none of its tokens is good for anything any more, and the revocation that
    /// is returned says so to whoever follows. Whether it had ended already does not matter.
    ///
    /// # Errors
    /// The store is away.
    pub async fn end_family(
        &self,
        family: &Family,
        entry: &Entry<'_>,
        by: &Author<'_>,
    ) -> Result<Revocation, StoreFault> {
        self.within(async {
            let now = by.at;
            let mut change = self.change(by, entry).await?;
            let sql = "UPDATE portcullis_families SET ended = $2 WHERE id = $1 AND ended IS NULL";
            sqlx::query(sql)
                .bind(family.id.clone())
                .bind(now.seconds())
                .execute(&mut *change.transaction)
                .await?;
            let revocation = Revocation {
                kind: RevocationKind::Family,
                name: family.id.clone(),
                at: now,
                until: family.expires,
                revision: change.revision,
            };
            revocations::add(&mut change, &revocation).await?;
            change.commit().await?;
            Ok(revocation)
        })
        .await
    }

    /// Forgets families that have expired, revocations that no token outlives, and the oldest lines of
    /// the audit log. Cheap if there is nothing to forget.
    ///
    /// # Errors
    /// The store is away.
    pub async fn forget(&self, now: Timestamp) -> Result<(), StoreFault> {
        self.within(async {
            let sql = "DELETE FROM portcullis_refresh_tokens WHERE family IN
                       (SELECT id FROM portcullis_families WHERE expires < $1)";
            sqlx::query(sql).bind(now.seconds()).execute(&self.pool).await?;
            let sql = "DELETE FROM portcullis_families WHERE expires < $1";
            sqlx::query(sql).bind(now.seconds()).execute(&self.pool).await?;
            let sql = "DELETE FROM portcullis_revocations WHERE until < $1";
            sqlx::query(sql).bind(now.seconds()).execute(&self.pool).await?;
            self.forget_lists(now).await?;
            self.forget_lines(now).await
        })
        .await
    }
}

impl Use {
    /// A token came again that was used then.
    fn again(family: Family, used: Timestamp, now: Timestamp) -> Self {
        let since = now.seconds() - used.seconds();
        if (-WAITING..=AT_ONCE).contains(&since) {
            Self::Late(family)
        } else {
            Self::Reused { family, used }
        }
    }
}

/// Forgets families of a subject beyond those that are kept. First the family and then its tokens, as
/// whoever uses one of them takes hold of both.
async fn forget_oldest(
    transaction: &mut Transaction<'static, Any>,
    subject: &str,
) -> Result<(), StoreFault> {
    let sql = "DELETE FROM portcullis_families WHERE id IN
               (SELECT id FROM portcullis_families WHERE subject = $1
                ORDER BY CASE WHEN ended IS NULL THEN 0 ELSE 1 END, issued DESC, id
                LIMIT 1000 OFFSET $2) RETURNING id";
    let gone = sqlx::query(sql).bind(subject.to_owned()).bind(i64::from(MOST_FAMILIES));
    for row in gone.fetch_all(&mut **transaction).await? {
        let id: String = row.try_get(0)?;
        let sql = "DELETE FROM portcullis_refresh_tokens WHERE family = $1";
        sqlx::query(sql).bind(id).execute(&mut **transaction).await?;
    }
    Ok(())
}

const ADD_TOKEN: &str =
    "INSERT INTO portcullis_refresh_tokens (sha256, family, issued) VALUES ($1, $2, $3)";

fn family(row: &AnyRow) -> Result<Family, StoreFault> {
    Ok(Family {
        id: row.try_get(0)?,
        subject: row.try_get(1)?,
        scope: row.try_get(2)?,
        issued: Timestamp::from_seconds(row.try_get(3)?),
        expires: Timestamp::from_seconds(row.try_get(4)?),
        ended: lists::time(row, 5)?,
    })
}
