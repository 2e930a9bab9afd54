//! Many users at once, or none: a list is put beside the users in small pieces, and taken in by one
//! statement. So a long list holds nobody up who takes something back or logs in meanwhile.

use std::time::{Duration, Instant};

use ring::rand::{SecureRandom as _, SystemRandom};
use sqlx::Row as _;

use super::{Author, Entry, Store, StoreFault, UserTerms, keys, lists, names, users, within};
use crate::model::{Permission, Role, Timestamp, folded_username};

/// Users of one piece.
const PIECE: usize = 500;

/// How long others have between two pieces: as long as the piece took, and not longer than this.
const PAUSE: Duration = Duration::from_millis(25);

/// How long the statement that takes a list in may run: about a second for a hundred thousand users.
const TAKING_IN: Duration = Duration::from_secs(25);

/// How long a list lies there that nobody took in, as after a crash.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);

/// What is wrong, with the index of the user at fault if it is one.
type Fault = (Option<usize>, StoreFault);

impl Store {
    /// Adds many users, or none.
    ///
    /// # Errors
    /// With the index of the user at fault, if it is one: its subject or its username is taken.
    pub async fn import_users(
        &self,
        users: &[UserTerms],
        by: &Author<'_>,
        progress: impl FnMut(usize),
    ) -> Result<(), Fault> {
        let mut bytes = [0; 32];
        let random = SystemRandom::new().fill(&mut bytes);
        random.map_err(|_| (None, StoreFault::Randomness))?;
        let list = lists::hex(&bytes);
        let done = match self.stage(&list, users, by.at, progress).await {
            Ok(()) => self.take_in(&list, users.len(), by).await,
            Err(fault) => Err(fault),
        };
        // What stays because this failed goes with what has expired.
        let _ = self.unstage(&list, users.len()).await;
        done
    }

    async fn stage(
        &self,
        list: &str,
        users: &[UserTerms],
        now: Timestamp,
        mut progress: impl FnMut(usize),
    ) -> Result<(), Fault> {
        let mut done = 0;
        for piece in users.chunks(PIECE) {
            let begun = Instant::now();
            let staged = tokio::time::timeout(TAKING_IN, self.stage_piece(list, done, piece, now));
            staged.await.unwrap_or(Err((None, StoreFault::Slow)))?;
            done += piece.len();
            progress(done);
            tokio::time::sleep(begun.elapsed().min(PAUSE)).await;
        }
        Ok(())
    }

    async fn stage_piece(
        &self,
        list: &str,
        first: usize,
        piece: &[UserTerms],
        now: Timestamp,
    ) -> Result<(), Fault> {
        let (_turn, mut transaction) = self.begin().await.map_err(|fault| (None, fault))?;
        for (index, user) in (first..).zip(piece) {
            let sql = "INSERT INTO portcullis_staged_users (list, place, staged, folded, subject,
                       username, password, roles, permissions, plan, disabled)
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
            sqlx::query(sql)
                .bind(list.to_owned())
                .bind(place(index))
                .bind(now.seconds())
                .bind(folded_username(&user.username))
                .bind(user.subject.clone())
                .bind(user.username.clone())
                .bind(users::text(user.password.as_ref()))
                .bind(lists::written(user.roles.iter().map(Role::as_str)))
                .bind(lists::written(user.permissions.iter().map(Permission::as_str)))
                .bind(user.plan.as_ref().map(|plan| plan.as_str().to_owned()))
                .bind(i64::from(user.disabled))
                .execute(&mut *transaction)
                .await
                .map_err(|error| (Some(index), StoreFault::taken(error, TAKEN)))?;
        }
        transaction.commit().await.map_err(|error| (None, error.into()))
    }

    async fn take_in(&self, list: &str, length: usize, by: &Author<'_>) -> Result<(), Fault> {
        let taken_in = within(TAKING_IN, async {
            let detail = format!("{length} users");
            let entry = Entry { action: "user.import", target: "", detail: &detail };
            let mut change = self.change(by, &entry).await?;
            let sql = "INSERT INTO portcullis_users (subject, username, password, roles,
                       permissions, plan, disabled, created, revision)
                       SELECT subject, username, password, roles, permissions, plan, disabled,
                       CAST($2 AS BIGINT), CAST($3 AS BIGINT)
                       FROM portcullis_staged_users WHERE list = $1";
            sqlx::query(sql)
                .bind(list.to_owned())
                .bind(by.at.seconds())
                .bind(change.revision)
                .execute(&mut *change.transaction)
                .await
                .map_err(|error| StoreFault::taken(error, TAKEN))?;
            let sql = "SELECT 1 FROM portcullis_staged_users s JOIN portcullis_keys k
                       ON k.id = s.subject AND k.owner IS NULL AND k.revoked IS NULL
                       WHERE s.list = $1 LIMIT 1";
            let key = sqlx::query(sql).bind(list.to_owned());
            if key.fetch_optional(&mut *change.transaction).await?.is_some() {
                return Err(StoreFault::Taken { what: keys::KEYS_ID });
            }
            let sql = "INSERT INTO portcullis_names (folded, subject)
                       SELECT folded, subject FROM portcullis_staged_users WHERE list = $1";
            sqlx::query(sql)
                .bind(list.to_owned())
                .execute(&mut *change.transaction)
                .await
                .map_err(|error| StoreFault::taken(error, names::TWIN))?;
            change.commit().await.map(drop)
        });
        match taken_in.await {
            Ok(()) => Ok(()),
            Err(fault @ StoreFault::Taken { .. }) => {
                let whose = within(TAKING_IN, self.first_twin(list)).await;
                Err((whose.unwrap_or_default(), fault))
            }
            Err(fault) => Err((None, fault)),
        }
    }

    /// The first of a list whose name or subject is somebody's.
    async fn first_twin(&self, list: &str) -> Result<Option<usize>, StoreFault> {
        let sql = "SELECT s.place FROM portcullis_staged_users s WHERE s.list = $1 AND
                   (EXISTS (SELECT 1 FROM portcullis_users u WHERE u.subject = s.subject) OR
                    EXISTS (SELECT 1 FROM portcullis_users u WHERE u.username = s.username) OR
                    EXISTS (SELECT 1 FROM portcullis_names n WHERE n.folded = s.folded) OR
                    EXISTS (SELECT 1 FROM portcullis_keys k WHERE k.id = s.subject
                            AND k.owner IS NULL AND k.revoked IS NULL))
                   ORDER BY s.place LIMIT 1";
        let row = sqlx::query(sql).bind(list.to_owned()).fetch_optional(&self.pool).await?;
        let place: Option<i64> = row.map(|row| row.try_get(0)).transpose()?;
        Ok(place.and_then(|place| usize::try_from(place).ok()))
    }

    async fn unstage(&self, list: &str, length: usize) -> Result<(), StoreFault> {
        for first in (0..length).step_by(PIECE) {
            let begun = Instant::now();
            let sql = "DELETE FROM portcullis_staged_users WHERE list = $1 AND place < $2";
            self.within(async {
                let (_turn, mut transaction) = self.begin().await?;
                sqlx::query(sql)
                    .bind(list.to_owned())
                    .bind(place(first + PIECE))
                    .execute(&mut *transaction)
                    .await?;
                Ok(transaction.commit().await?)
            })
            .await?;
            tokio::time::sleep(begun.elapsed().min(PAUSE)).await;
        }
        Ok(())
    }

    /// Forgets lists that nobody took in.
    pub(super) async fn forget_lists(&self, now: Timestamp) -> Result<(), StoreFault> {
        let sql = "DELETE FROM portcullis_staged_users WHERE staged < $1";
        let before = now.seconds() - i64::try_from(FORGOTTEN_AFTER.as_secs()).unwrap_or(i64::MAX);
        sqlx::query(sql).bind(before).execute(&self.pool).await?;
        Ok(())
    }
}

const TAKEN: &str = "username or id";

fn place(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
