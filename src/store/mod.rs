//! Users, keys, grants, revocations and the audit log on disk: SQLite and PostgreSQL by one text.
//!
//! Knows the tables and what must happen in one transaction; knows nothing of what an answer is
//! worth to a request. Every statement is a literal and runs on both databases: `$1`, `TEXT`,
//! `BIGINT` (flags are 0 and 1, times are seconds since 1970), lists as JSON.
//!
//! **One revision.** Each change takes the next number of one counter, in its own transaction and
//! as its first statement. The row that holds the counter is locked until the transaction ends, so
//! numbers appear in the order of the commits and none is skipped: whoever has seen revision n asks
//! for what is later and misses nothing. That first statement is a write, so SQLite never has to
//! make a writer of a reader.

mod audit;
mod fault;
mod families;
mod import;
mod keys;
mod lists;
mod minted;
mod names;
mod open;
mod revocations;
mod said;
mod schema;
mod users;

use std::{path::PathBuf, sync::Arc, time::Duration};

use sqlx::{Any, AnyPool, Row as _, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use audit::{Author, Entry, Logged};
pub use families::{Family, MOST_FAMILIES, NewFamily, Use};
pub use fault::StoreFault;
pub use keys::{KEYS_ID, KeyChange, KeyTerms, Previous, StoredKey, USERS_ID};
pub use minted::{MintedKey, is_intact, is_key_id};
pub use revocations::{Revocation, RevocationKind};
pub use users::{PasswordSet, StoredUser, UserChange, UserTerms};

/// How long a question may take, and each statement of a change.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store that is open and of our schema.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    /// Changes at once: others wait for a turn, so that a change that waits for somebody else's leaves
    /// connections to whoever asks what is new.
    turns: Arc<Semaphore>,
    file: Option<OpenFile>,
}

/// Which file a store of SQLite is, whatever has its name by now.
#[derive(Clone, Debug)]
struct OpenFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// How far the store has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Random, made with the store: another one is another store.
    pub epoch: String,
    /// The number of the latest change.
    pub revision: i64,
    /// Random, made with that change: another one under the same number is another history, as after
    /// a copy was restored.
    pub nonce: Option<i64>,
}

impl Store {
    /// How far the store has come. Cheap: one row.
    ///
    /// # Errors
    /// The store is away.
    pub async fn position(&self) -> Result<Position, StoreFault> {
        self.within(async {
            let sql = "SELECT s.epoch, s.revision, a.nonce FROM portcullis_state s
                       LEFT JOIN portcullis_audit a ON a.revision = s.revision WHERE s.id = 1";
            let row = sqlx::query(sql).fetch_one(&self.pool).await?;
            let (epoch, revision, nonce) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(Position { epoch, revision, nonce })
        })
        .await
    }

    /// Whether what has happened since continues from this place.
    ///
    /// # Errors
    /// The store is away.
    pub async fn continues(&self, from: &Position) -> Result<bool, StoreFault> {
        self.within(async {
            let sql = "SELECT nonce FROM portcullis_audit WHERE revision = $1";
            let row = sqlx::query(sql).bind(from.revision).fetch_optional(&self.pool).await?;
            let nonce = row.map(|row| row.try_get(0)).transpose()?;
            Ok(nonce == from.nonce)
        })
        .await
    }

    /// Whether a store in a file is still the one that has the file's name.
    pub fn is_in_its_place(&self) -> bool {
        self.file.as_ref().is_none_or(OpenFile::is_in_its_place)
    }

    /// Closes its connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Begins a change: takes the next revision, and notes who changes what.
    async fn change(&self, by: &Author<'_>, entry: &Entry<'_>) -> Result<Change, StoreFault> {
        let (turn, mut transaction) = self.begin().await?;
        let sql =
            "UPDATE portcullis_state SET revision = revision + 1 WHERE id = 1 RETURNING revision";
        let row = sqlx::query(sql).fetch_one(&mut *transaction).await?;
        let mut change = Change { transaction, revision: row.try_get(0)?, _turn: turn };
        audit::note(&mut change, by, entry).await?;
        Ok(change)
    }

    /// Begins to write, in turn.
    async fn begin(&self) -> Result<(OwnedSemaphorePermit, Transaction<'static, Any>), StoreFault> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| StoreFault::Slow)?;
        Ok((turn, self.pool.begin().await?))
    }

    /// A bound on the time that the store may take.
    async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreFault>>,
    ) -> Result<T, StoreFault> {
        within(PATIENCE, answer).await
    }
}

async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, StoreFault>>,
) -> Result<T, StoreFault> {
    tokio::time::timeout(patience, answer).await.unwrap_or(Err(StoreFault::Slow))
}

/// A change that is being made. Dropped without a commit, it never happened.
struct Change {
    transaction: Transaction<'static, Any>,
    revision: i64,
    _turn: OwnedSemaphorePermit,
}

impl Change {
    /// Makes it so. The revision that it took.
    async fn commit(self) -> Result<i64, StoreFault> {
        self.transaction.commit().await?;
        Ok(self.revision)
    }
}
