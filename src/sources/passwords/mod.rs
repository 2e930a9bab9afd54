//! Passwords against their hashes, on few threads and at the same cost for every wrong answer.
//!
//! **Few threads.** Hashing takes a processor for a good part of a second. At most one check less
//! than there are processors runs at a time, on threads of its own; whoever finds no room within a
//! short wait is told to come again. A client that goes away frees nothing: its check holds its
//! place until it ends.
//!
//! **Same cost.** Whoever fails has had one hash of every kind in use computed, each with the same
//! parameters: his own or, where there is no user, no password or a user shut out, one that nothing
//! matches. In a user list of one kind that is exactly one. So the time of a failure tells nothing
//! of a user, and is no shorter than the costliest kind takes.
//!
//! **Checked lately.** HTTP Basic sends the password with each request. That one was right is
//! remembered until ten minutes after its last use, for that client's address alone: a fact that
//! cannot become wrong, because what is kept is a keyed hash, under a secret of this process, of the
//! address, the user, his stored hash and the password, each with its length. A changed password is
//! another entry, a user shut out is not asked about, and whoever reads the map alone has nothing to
//! try passwords against. For the address alone, because whoever guesses right passes the limits.

mod hash;
mod lately;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr, num::NonZero, sync::Arc, thread, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Semaphore, task, time::timeout};
use zeroize::Zeroizing;

pub use self::lately::Claim;
use self::lately::Lately;
use crate::{
    model::{Secret, Timestamp},
    policy::{accounts::User, password::HashKind, sources::Unavailable},
};

/// Bytes of a password at most.
pub const LONGEST_PASSWORD: usize = 1024;

/// How long a check waits for its turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// Checks passwords.
#[derive(Debug)]
pub struct Passwords {
    room: Arc<Semaphore>,
    patience: Duration,
    lately: Lately,
    checks: Arc<Mutex<BTreeMap<HashKind, u64>>>,
}

impl Default for Passwords {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self::new(processors.saturating_sub(1).max(1), PATIENCE)
    }
}

impl Passwords {
    /// Room for so many checks at a time, each of which waits so long for its turn.
    pub fn new(room: usize, patience: Duration) -> Self {
        Self {
            room: Arc::new(Semaphore::new(room)),
            patience,
            lately: Lately::new(),
            checks: Arc::default(),
        }
    }

    /// Whether this is the user's password. `user` is nobody where the name is unknown; `kinds` are
    /// those in use, of each of which one hash is computed before the answer is no.
    ///
    /// # Errors
    /// If there is no room now, or hashing failed.
    pub async fn check(
        &self,
        user: Option<&User>,
        password: &[u8],
        kinds: &[HashKind],
    ) -> Result<bool, Unavailable> {
        if password.len() > LONGEST_PASSWORD {
            return Ok(false);
        }
        let room = timeout(self.patience, Arc::clone(&self.room).acquire_owned()).await;
        let Ok(Ok(place)) = room else {
            return Err(Unavailable { what: "room to check passwords" });
        };
        let stored = user.filter(|user| !user.disabled).and_then(|user| user.password.clone());
        let password = Zeroizing::new(password.to_vec());
        let kinds = kinds.to_vec();
        let checks = Arc::clone(&self.checks);
        let check = task::spawn_blocking(move || {
            // It goes with the work, not with whoever waits for it.
            let _place = place;
            check(stored.as_ref(), &password, &kinds, &checks)
        });
        // A panic within ends here as well.
        check.await.map_err(|_| Unavailable { what: "the check of a password" })
    }

    /// Whether this is the user's password, found out on this thread and with no regard to the time
    /// that it takes: for whoever may know the answer.
    pub fn check_here(&self, user: &User, password: &[u8]) -> bool {
        let stored = user.password.as_ref().filter(|_| !user.disabled);
        password.len() <= LONGEST_PASSWORD && check(stored, password, &[], &self.checks)
    }

    /// Makes the usual hash of a password, if there is room now; nothing otherwise.
    pub fn hash(&self, password: &[u8]) -> impl Future<Output = Option<Secret>> + 'static {
        let room = Arc::clone(&self.room).try_acquire_owned();
        let password = Zeroizing::new(password.to_vec());
        async move {
            let place = room.ok()?;
            let made = task::spawn_blocking(move || {
                let _place = place;
                hash::made(&password)
            });
            made.await.ok().flatten()
        }
    }

    /// Who claims what, in the form that is remembered; nothing where there is no user with a
    /// password.
    pub fn claim(&self, client: IpAddr, user: Option<&User>, password: &[u8]) -> Option<Claim> {
        self.lately.claim(client, user, password)
    }

    /// Whether the very claim was found right, and was made within the last ten minutes.
    pub fn knows(&self, claim: &Claim, now: Timestamp) -> bool {
        self.lately.knows(claim, now)
    }

    /// Remembers that the claim was found right, or was made again.
    pub fn remember(&self, claim: Claim, now: Timestamp) {
        self.lately.remember(claim, now);
    }

    /// How many hashes of each kind were computed.
    pub fn checks(&self) -> BTreeMap<HashKind, u64> {
        self.checks.lock().clone()
    }
}

fn check(
    stored: Option<&Secret>,
    password: &[u8],
    kinds: &[HashKind],
    checks: &Mutex<BTreeMap<HashKind, u64>>,
) -> bool {
    let count = |kind: HashKind| *checks.lock().entry(kind).or_default() += 1;
    let own = stored.and_then(|hash| Some((HashKind::of(hash)?, hash)));
    if let Some((kind, hash)) = own {
        count(kind);
        if hash::matches(hash, kind, password) {
            return true;
        }
    }
    for kind in kinds {
        if own.is_none_or(|(own, _)| own != *kind) {
            count(*kind);
            hash::waste(*kind, password);
        }
    }
    false
}
