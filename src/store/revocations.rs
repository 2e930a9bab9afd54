//! What was taken back before its time.

use sqlx::{Row as _, any::AnyRow};

use super::{Author, Change, Entry, Store, StoreFault};
use crate::model::Timestamp;

/// What a revocation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RevocationKind {
    /// All tokens of one login, by the family's id.
    Family,
    /// All tokens that were issued to an API key until then, by the key's id.
    Key,
    /// All tokens that were issued to a subject until then.
    Subject,
    /// One token, by its `jti`.
    Token,
}

impl RevocationKind {
    const ALL: [Self; 4] = [Self::Family, Self::Key, Self::Subject, Self::Token];

    /// As it stands in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Family => "family",
            Self::Key => "key",
            Self::Subject => "subject",
            Self::Token => "token",
        }
    }
}

/// What was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What it is about.
    pub kind: RevocationKind,
    /// Which one.
    pub name: String,
    /// When: what was issued at this second or before is void.
    pub at: Timestamp,
    /// When nothing that it voids is alive any more, so that it may be forgotten.
    pub until: Timestamp,
    /// The number of the change that took it back, once there is one: what was issued by somebody
    /// who had not heard of that change is void, whatever its time.
    pub revision: i64,
}

impl Revocation {
    /// The longest that a token lives, and so a mark on all tokens of a subject or a key.
    const LONGEST_TOKEN: std::time::Duration = std::time::Duration::from_secs(3650 * 86_400);

    /// Voids everything that was issued until now, or without having heard of this change.
    pub fn of_all(kind: RevocationKind, name: &str, now: Timestamp, revision: i64) -> Self {
        Self { kind, name: name.to_owned(), at: now, until: now + Self::LONGEST_TOKEN, revision }
    }
}

impl Store {
    /// Takes something back. The number of the change.
    ///
    /// # Errors
    /// The store is away.
    pub async fn revoke(
        &self,
        revocation: &Revocation,
        entry: &Entry<'_>,
        by: &Author<'_>,
    ) -> Result<i64, StoreFault> {
        self.within(async {
            let mut change = self.change(by, entry).await?;
            add(&mut change, revocation).await?;
            change.commit().await
        })
        .await
    }

    /// What was taken back after this revision, in order; at most so many, and those that share
    /// the last one's revision. With the revision up to which that is.
    ///
    /// # Errors
    /// The store is away.
    pub async fn revocations_since(&self, revision: i64) -> Result<Vec<Revocation>, StoreFault> {
        self.within(async {
            let sql = "SELECT kind, name, at, until, revision FROM portcullis_revocations
                       WHERE revision > $1 ORDER BY revision";
            let rows = sqlx::query(sql).bind(revision).fetch_all(&self.pool).await?;
            rows.iter().map(read).collect()
        })
        .await
    }
}

/// Adds a revocation to a change. Of two about the same the later times stand, since the clocks of two
/// machines may differ.
pub(super) async fn add(change: &mut Change, revocation: &Revocation) -> Result<(), StoreFault> {
    let sql = "INSERT INTO portcullis_revocations (kind, name, at, until, revision)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (kind, name) DO UPDATE
               SET at = CASE WHEN excluded.at > portcullis_revocations.at
                             THEN excluded.at ELSE portcullis_revocations.at END,
                   until = CASE WHEN excluded.until > portcullis_revocations.until
                                THEN excluded.until ELSE portcullis_revocations.until END,
                   revision = excluded.revision";
    sqlx::query(sql)
        .bind(revocation.kind.as_str())
        .bind(revocation.name.clone())
        .bind(revocation.at.seconds())
        .bind(revocation.until.seconds())
        .bind(change.revision)
        .execute(&mut *change.transaction)
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Revocation, StoreFault> {
    let kind: String = row.try_get(0)?;
    let kind = RevocationKind::ALL.into_iter().find(|known| known.as_str() == kind);
    Ok(Revocation {
        kind: kind.ok_or(StoreFault::Unreadable { what: "revocation" })?,
        name: row.try_get(1)?,
        at: Timestamp::from_seconds(row.try_get(2)?),
        until: Timestamp::from_seconds(row.try_get(3)?),
        revision: row.try_get(4)?,
    })
}
