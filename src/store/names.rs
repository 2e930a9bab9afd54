//! Usernames in the one spelling that stands for all of a name's: a name that only its letter case
//! keeps apart from another's is refused. Twins that were there before live on.

use sqlx::{Any, Row as _, Transaction};

use super::{Change, StoreFault};
use crate::model::folded_username;

/// What is taken where only the letter case keeps two names apart.
pub(super) const TWIN: &str = "username, but for its letter case,";

const CLAIM: &str = "INSERT INTO portcullis_names (folded, subject) VALUES ($1, $2)";

/// Claims the names of all users, the oldest first.
pub(super) async fn fill(transaction: &mut Transaction<'_, Any>) -> Result<(), StoreFault> {
    let sql = "SELECT subject, username FROM portcullis_users ORDER BY created, subject";
    let rows = sqlx::query(sql).fetch_all(&mut **transaction).await?;
    let sql = "INSERT INTO portcullis_names (folded, subject) VALUES ($1, $2)
               ON CONFLICT (folded) DO NOTHING";
    for row in rows {
        let (subject, username): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let claim = sqlx::query(sql).bind(folded_username(&username)).bind(subject);
        claim.execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Claims a name for a user.
///
/// # Errors
/// Another user has a name that is spelled like it.
pub(super) async fn claim(
    change: &mut Change,
    subject: &str,
    username: &str,
) -> Result<(), StoreFault> {
    let claim = sqlx::query(CLAIM).bind(folded_username(username)).bind(subject.to_owned());
    let claimed = claim.execute(&mut *change.transaction).await;
    let taken = |error| StoreFault::taken(error, TWIN);
    claimed.map(drop).map_err(taken)
}

/// Gives up the name of a user.
pub(super) async fn release(change: &mut Change, subject: &str) -> Result<(), StoreFault> {
    let sql = "DELETE FROM portcullis_names WHERE subject = $1";
    sqlx::query(sql).bind(subject.to_owned()).execute(&mut *change.transaction).await?;
    Ok(())
}
