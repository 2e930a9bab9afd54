//! The audit log: who changed what, when, from where.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use sqlx::{Row as _, any::AnyRow};

use super::{Change, Store, StoreFault};
use crate::model::Timestamp;

/// Who changes something, from where, and when.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// Who: `admin`, a user of the machine, a user's subject.
    pub who: &'a str,
    /// From where: an address, `cli`.
    pub origin: &'a str,
    /// When, by the clock of whoever changes it.
    pub at: Timestamp,
}

/// What is changed.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// One of a fixed set of words such as `user.disable`.
    pub action: &'static str,
    /// The subject, the key's id or the family that it is about.
    pub target: &'a str,
    /// What else there is to say; never a secret.
    pub detail: &'a str,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The change's number.
    pub revision: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// From where.
    pub origin: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
    /// What else there is to say.
    pub detail: String,
}

/// Adds the line of a change to the log, in the change's own transaction.
pub(super) async fn note(
    change: &mut Change,
    by: &Author<'_>,
    entry: &Entry<'_>,
) -> Result<(), StoreFault> {
    let mut nonce = [0; 8];
    SystemRandom::new().fill(&mut nonce).map_err(|_| StoreFault::Randomness)?;
    let sql = "INSERT INTO portcullis_audit
               (revision, nonce, at, who, origin, action, target, detail)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(sql)
        .bind(change.revision)
        .bind(i64::from_le_bytes(nonce))
        .bind(by.at.seconds())
        .bind(by.who.to_owned())
        .bind(by.origin.to_owned())
        .bind(entry.action)
        .bind(entry.target.to_owned())
        .bind(entry.detail.to_owned())
        .execute(&mut *change.transaction)
        .await?;
    Ok(())
}

/// How long a line of the log is kept: more than a year, whatever its days.
pub const KEPT_FOR: Duration = Duration::from_secs(400 * 86_400);

/// Lines that are forgotten at a time.
const PIECE: i64 = 1000;

impl Store {
    /// Forgets the lines that are too old, some at a time. The latest line stays: by it a store is told
    /// from its copies.
    pub(super) async fn forget_lines(&self, now: Timestamp) -> Result<(), StoreFault> {
        let sql = "DELETE FROM portcullis_audit WHERE revision IN
                   (SELECT revision FROM portcullis_audit WHERE at < $1 AND revision <
                    (SELECT revision FROM portcullis_state WHERE id = 1) ORDER BY at LIMIT $2)";
        let before = (now - KEPT_FOR).seconds();
        loop {
            let gone = sqlx::query(sql).bind(before).bind(PIECE).execute(&self.pool).await?;
            if gone.rows_affected() < PIECE.unsigned_abs() {
                return Ok(());
            }
        }
    }

    /// Leaves a line of what changes nothing in the store.
    ///
    /// # Errors
    /// The store is away.
    pub async fn note(&self, entry: &Entry<'_>, by: &Author<'_>) -> Result<(), StoreFault> {
        self.within(async { self.change(by, entry).await?.commit().await.map(drop) }).await
    }

    /// The latest lines of the audit log before this revision, the latest first.
    ///
    /// # Errors
    /// The store is away.
    pub async fn audit(&self, before: i64, most: u32) -> Result<Vec<Logged>, StoreFault> {
        self.within(async {
            let sql = "SELECT revision, at, who, origin, action, target, detail
                       FROM portcullis_audit WHERE revision < $1 ORDER BY revision DESC LIMIT $2";
            let rows = sqlx::query(sql).bind(before).bind(i64::from(most));
            rows.fetch_all(&self.pool).await?.iter().map(logged).collect()
        })
        .await
    }
}

fn logged(row: &AnyRow) -> Result<Logged, StoreFault> {
    Ok(Logged {
        revision: row.try_get(0)?,
        at: Timestamp::from_seconds(row.try_get(1)?),
        who: row.try_get(2)?,
        origin: row.try_get(3)?,
        action: row.try_get(4)?,
        target: row.try_get(5)?,
        detail: row.try_get(6)?,
    })
}
