//! The tables, version by version, and how a store comes to the latest.
//!
//! The runner is our own: the one row of `portcullis_state` is the lock on both databases, where
//! SQLite has none that would hold two processes that start at once apart.

use ring::rand::{SecureRandom as _, SystemRandom};
use sqlx::{AnyPool, Row as _};

use super::{StoreFault, names};

/// What makes each version of the one before it. What was released is never changed.
const VERSIONS: &[&[&str]] = &[FIRST, NAMES, LISTS, OWNERS];

const FIRST: &[&str] = &[
    "CREATE TABLE portcullis_users (
        subject TEXT NOT NULL PRIMARY KEY,
        username TEXT NOT NULL UNIQUE,
        password TEXT,
        roles TEXT NOT NULL,
        permissions TEXT NOT NULL,
        plan TEXT,
        disabled BIGINT NOT NULL,
        created BIGINT NOT NULL,
        last_login BIGINT,
        revision BIGINT NOT NULL
    )",
    "CREATE INDEX portcullis_users_revision ON portcullis_users (revision, subject)",
    "CREATE TABLE portcullis_keys (
        id TEXT NOT NULL PRIMARY KEY,
        sha256 TEXT NOT NULL UNIQUE,
        previous_sha256 TEXT UNIQUE,
        previous_until BIGINT,
        name TEXT,
        owner TEXT,
        roles TEXT NOT NULL,
        permissions TEXT NOT NULL,
        plan TEXT,
        networks TEXT NOT NULL,
        expires BIGINT,
        disabled BIGINT NOT NULL,
        revoked BIGINT,
        created BIGINT NOT NULL,
        last_used BIGINT,
        revision BIGINT NOT NULL
    )",
    "CREATE INDEX portcullis_keys_revision ON portcullis_keys (revision, id)",
    "CREATE INDEX portcullis_keys_owner ON portcullis_keys (owner)",
    // A user that is gone, so that whoever follows hears of it.
    "CREATE TABLE portcullis_removals (
        subject TEXT NOT NULL PRIMARY KEY,
        revision BIGINT NOT NULL
    )",
    "CREATE INDEX portcullis_removals_revision ON portcullis_removals (revision)",
    "CREATE TABLE portcullis_families (
        id TEXT NOT NULL PRIMARY KEY,
        subject TEXT NOT NULL,
        scope TEXT,
        issued BIGINT NOT NULL,
        expires BIGINT NOT NULL,
        ended BIGINT
    )",
    "CREATE INDEX portcullis_families_subject ON portcullis_families (subject)",
    "CREATE INDEX portcullis_families_expires ON portcullis_families (expires)",
    "CREATE TABLE portcullis_refresh_tokens (
        sha256 TEXT NOT NULL PRIMARY KEY,
        family TEXT NOT NULL,
        issued BIGINT NOT NULL,
        used BIGINT
    )",
    "CREATE INDEX portcullis_refresh_tokens_family ON portcullis_refresh_tokens (family)",
    "CREATE TABLE portcullis_revocations (
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        at BIGINT NOT NULL,
        until BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        PRIMARY KEY (kind, name)
    )",
    "CREATE INDEX portcullis_revocations_revision ON portcullis_revocations (revision)",
    "CREATE INDEX portcullis_revocations_until ON portcullis_revocations (until)",
    "CREATE TABLE portcullis_audit (
        revision BIGINT NOT NULL PRIMARY KEY,
        nonce BIGINT NOT NULL,
        at BIGINT NOT NULL,
        who TEXT NOT NULL,
        origin TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        detail TEXT NOT NULL
    )",
];

/// Names that are unique without letter case.
const NAMES: &[&str] = &[
    "CREATE TABLE portcullis_names (
        folded TEXT NOT NULL PRIMARY KEY,
        subject TEXT NOT NULL
    )",
    "CREATE INDEX portcullis_names_subject ON portcullis_names (subject)",
];

/// Lists of users that are being imported.
const LISTS: &[&str] = &[
    "CREATE TABLE portcullis_staged_users (
        list TEXT NOT NULL,
        place BIGINT NOT NULL,
        staged BIGINT NOT NULL,
        folded TEXT NOT NULL,
        subject TEXT NOT NULL,
        username TEXT NOT NULL,
        password TEXT,
        roles TEXT NOT NULL,
        permissions TEXT NOT NULL,
        plan TEXT,
        disabled BIGINT NOT NULL,
        PRIMARY KEY (list, place),
        UNIQUE (list, subject),
        UNIQUE (list, folded)
    )",
    "CREATE INDEX portcullis_staged_users_staged ON portcullis_staged_users (staged)",
];

/// Whose owner is a user, and a way to the oldest lines of the audit log.
const OWNERS: &[&str] = &[
    "ALTER TABLE portcullis_keys ADD COLUMN is_users BIGINT NOT NULL DEFAULT 0",
    "UPDATE portcullis_keys SET is_users = 1
     WHERE owner IN (SELECT subject FROM portcullis_users)",
    "CREATE INDEX portcullis_audit_at ON portcullis_audit (at)",
];

/// The latest version that this program knows.
fn known() -> i64 {
    i64::try_from(VERSIONS.len()).unwrap_or(i64::MAX)
}

/// Makes the state's table and its row. Two processes may try at once; one of them is told so by
/// PostgreSQL, and finds the table at its second try.
async fn found(pool: &AnyPool) -> Result<(), StoreFault> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| StoreFault::Randomness)?;
    let epoch: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS portcullis_state (
            id BIGINT NOT NULL PRIMARY KEY,
            version BIGINT NOT NULL,
            revision BIGINT NOT NULL,
            epoch TEXT NOT NULL
        )",
    )
    .execute(pool)
    .await?;
    let sql = "INSERT INTO portcullis_state (id, version, revision, epoch) VALUES (1, 0, 0, $1)
               ON CONFLICT (id) DO NOTHING";
    sqlx::query(sql).bind(epoch).execute(pool).await?;
    Ok(())
}

/// Brings the store to our version, one process at a time.
///
/// # Errors
/// The store is away, or newer than this program.
pub(super) async fn bring_up(pool: &AnyPool) -> Result<(), StoreFault> {
    if found(pool).await.is_err() {
        found(pool).await?;
    }
    let mut transaction = pool.begin().await?;
    // The lock: the row is written, so whoever comes meanwhile waits.
    let sql = "UPDATE portcullis_state SET version = version WHERE id = 1 RETURNING version";
    let row = sqlx::query(sql).fetch_one(&mut *transaction).await?;
    let version: i64 = row.try_get(0)?;
    if version > known() {
        return Err(StoreFault::Newer { found: version, known: known() });
    }
    let done = usize::try_from(version).unwrap_or(0);
    for statements in VERSIONS.iter().skip(done) {
        for statement in *statements {
            sqlx::query(*statement).execute(&mut *transaction).await?;
        }
        if *statements == NAMES {
            names::fill(&mut transaction).await?;
        }
    }
    sqlx::query("UPDATE portcullis_state SET version = $1 WHERE id = 1")
        .bind(known())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(())
}
