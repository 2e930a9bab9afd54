//! What the store holds, held in memory and followed.
//!
//! A request never waits for the store: users, keys and revocations are all in memory. A change made
//! through this process counts before whoever made it is answered; one made elsewhere is heard of
//! when the store is asked next, several times a second.
//!
//! **While the store is away** what is known serves for `store_max_stale`, then nothing that depends
//! on it is answered. What is not known is not answered at all: somebody may have made it
//! meanwhile. How long ago the store was last heard is measured where the question is asked, so a
//! follower that hangs or died makes answers stale, never good. Nothing here is an answer to a
//! question that the file's own accounts answer.

mod change;
mod follow;
mod keys;
mod marks;
mod notes;
mod strengthen;
#[cfg(test)]
mod tests;
mod users;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use parking_lot::RwLock;

use self::{keys::Keys, marks::Marks, notes::Notes, strengthen::Strengthening, users::Users};
use crate::{
    model::{StoreLocation, Timestamp},
    policy::{
        accounts::{Accounts, ApiKey, User},
        digest::Digest,
        password::HashKind,
        sources::{Issued, Unavailable},
    },
    store::{Position, RevocationKind, Store},
};

pub use follow::Followed;

/// After so long without a word the store counts as away.
const SILENCE: Duration = Duration::from_secs(3);

/// What the store holds, held in memory and followed.
#[derive(Debug)]
pub struct Records {
    location: StoreLocation,
    /// The store, once it is open. Another one if its file was replaced.
    store: RwLock<Option<Store>>,
    /// Whether it ever was.
    was_open: AtomicBool,
    known: RwLock<Known>,
    /// How far memory has come. Held while memory is brought on, and not while the store is changed
    /// from here: a change may wait long for others.
    place: tokio::sync::Mutex<Place>,
    contact: Contact,
    notes: Notes,
    strengthening: Strengthening,
}

/// What is known of the store.
#[derive(Debug, Default)]
struct Known {
    keys: Keys,
    marks: Marks,
    users: Users,
    /// The number of the latest change all of which is here.
    revision: i64,
}

/// How far memory has come.
#[derive(Debug, Default)]
struct Place {
    /// Every change up to here is in memory.
    position: Option<Position>,
    /// Rows beyond it that this process has changed itself and put there before their time, with the
    /// number of the change: only for as long as the store does not answer.
    ahead: HashMap<Row, i64>,
}

/// What a change puts in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Row {
    Key(String),
    Mark(String),
    User(String),
}

impl Place {
    /// Whether this change is in memory in its turn.
    fn has(&self, revision: i64) -> bool {
        self.position.as_ref().is_some_and(|here| revision <= here.revision)
    }

    /// Notes that a row is put before its time. Whether there is no later one.
    fn is_latest(&mut self, row: Row, revision: i64) -> bool {
        let there = self.ahead.entry(row).or_insert(revision);
        *there = (*there).max(revision);
        *there == revision
    }
}

/// When the store was last heard.
#[derive(Debug)]
struct Contact {
    begun: Instant,
    /// Milliseconds from `begun` to the beginning of the latest question that was answered and whose
    /// answer is in memory, and one; 0 is never.
    heard: AtomicU64,
    /// Whether the latest question had no answer.
    failing: AtomicBool,
    max_stale: AtomicU64,
}

/// What memory is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: the store was never heard, or not for too long.
    Away,
    /// It is the store's.
    Current,
    /// It was the store's a while ago: what is known serves, what is not known is not answered.
    Stale,
}

impl Records {
    /// The store is away.
    pub const AWAY: Unavailable = Unavailable { what: "the store" };

    /// Nothing known yet, of a store at this place.
    pub fn new(location: StoreLocation, max_stale: Duration) -> Self {
        let records = Self {
            location,
            store: RwLock::default(),
            was_open: AtomicBool::new(false),
            known: RwLock::default(),
            place: tokio::sync::Mutex::default(),
            contact: Contact {
                begun: Instant::now(),
                heard: AtomicU64::new(0),
                failing: AtomicBool::new(false),
                max_stale: AtomicU64::new(0),
            },
            notes: Notes::default(),
            strengthening: Strengthening::default(),
        };
        records.serve_stale_for(max_stale);
        records
    }

    /// Changes how long what is known serves while the store is away.
    pub fn serve_stale_for(&self, max_stale: Duration) {
        let millis = u64::try_from(max_stale.as_millis()).unwrap_or(u64::MAX);
        self.contact.max_stale.store(millis, Ordering::Relaxed);
    }

    /// What memory is worth now.
    pub fn standing(&self) -> Standing {
        self.contact.standing(Instant::now())
    }

    /// The API key with this digest. Its use is noted if `used` says when it is.
    ///
    /// # Errors
    /// The store is away, and the key is not known or has not been heard of for too long.
    pub fn api_key(
        &self,
        digest: &Digest,
        file: &Accounts,
        used: Option<Timestamp>,
    ) -> Result<Option<ApiKey>, Unavailable> {
        let standing = self.answering()?;
        let known = self.known.read();
        let Some(mut found) = known.keys.find(digest, used) else { return nobody(standing) };
        known.judge_owner(&mut found, file);
        drop(known);
        if found.is_fresh_use
            && let Some(at) = used
        {
            self.notes.key_used(&found.key.id, at);
        }
        Ok(Some(found.key))
    }

    /// The API key with this id.
    ///
    /// # Errors
    /// As [`Records::api_key`].
    pub fn key_by_id(&self, id: &str, file: &Accounts) -> Result<Option<ApiKey>, Unavailable> {
        let standing = self.answering()?;
        let known = self.known.read();
        let Some(mut found) = known.keys.find_by_id(id) else { return nobody(standing) };
        known.judge_owner(&mut found, file);
        Ok(Some(found.key))
    }

    /// The user with this subject.
    ///
    /// # Errors
    /// The store is away, and the user is not known or has not been heard of for too long.
    pub fn user(&self, subject: &str) -> Result<Option<Arc<User>>, Unavailable> {
        let standing = self.answering()?;
        match self.known.read().users.find(subject) {
            None => nobody(standing),
            Some(user) => Ok(Some(Arc::clone(user))),
        }
    }

    /// The user who logs in by this name.
    ///
    /// # Errors
    /// The store is away, and the user is not known or has not been heard of for too long.
    pub fn user_by_name(&self, username: &str) -> Result<Option<Arc<User>>, Unavailable> {
        let standing = self.answering()?;
        match self.known.read().users.find_by_name(username) {
            None => nobody(standing),
            Some(user) => Ok(Some(Arc::clone(user))),
        }
    }

    /// Whether what was issued then, under this name, was taken back: for [`RevocationKind::Key`]
    /// and [`RevocationKind::Subject`] what was issued in that second or before, for a family or a
    /// token whatever the time.
    ///
    /// # Errors
    /// The store has not been heard for too long.
    pub fn is_revoked(
        &self,
        kind: RevocationKind,
        name: &str,
        issued: Timestamp,
    ) -> Result<bool, Unavailable> {
        self.answering()?;
        Ok(self.known.read().marks.voids(kind, name, issued, None))
    }

    /// Whether a token of the gateway's own was taken back, by whatever it can be.
    ///
    /// # Errors
    /// The store has not been heard for too long.
    pub fn is_void(&self, issued: &Issued<'_>) -> Result<bool, Unavailable> {
        self.answering()?;
        let known = self.known.read();
        let voids = |kind, name: Option<&str>| {
            name.is_some_and(|name| known.marks.voids(kind, name, issued.at, issued.heard))
        };
        Ok(known.marks.len() > 0
            && (voids(RevocationKind::Token, issued.token)
                || voids(RevocationKind::Subject, Some(issued.subject))
                || voids(RevocationKind::Family, issued.family)
                || voids(RevocationKind::Key, issued.key)))
    }

    /// The number of the latest change that has been heard of: whoever asks before he looks somebody
    /// up knows of him at least as much.
    pub fn revision(&self) -> i64 {
        self.known.read().revision
    }

    /// Notes that a user has logged in.
    pub fn logged_in(&self, user: &User, at: Timestamp) {
        self.notes.logged_in(&user.subject, at);
    }

    /// The kinds of password hashes in the store.
    pub fn kinds(&self) -> Vec<HashKind> {
        self.known.read().users.kinds().collect()
    }

    /// Digests of keys and revocations that are held.
    pub fn held(&self) -> (usize, usize) {
        let known = self.known.read();
        (known.keys.len(), known.marks.len())
    }

    /// Forgets revocations that void nothing any more.
    pub fn sweep(&self, now: Timestamp) {
        self.known.write().marks.sweep(now);
    }

    /// Whether memory answers anything.
    fn answering(&self) -> Result<Standing, Unavailable> {
        match self.standing() {
            Standing::Away => Err(Records::AWAY),
            standing => Ok(standing),
        }
    }
}

impl Known {
    /// A key is worth no more than the user that it speaks for, be it under its own id; one that was a
    /// user's is worth nothing without him.
    fn judge_owner(&self, found: &mut keys::Found, file: &Accounts) {
        let subject = &found.key.subject;
        let owner = file.user(subject).or_else(|| self.users.find(subject));
        found.key.disabled |= owner.map_or(found.is_users, |user| user.disabled);
    }
}

/// The answer where nobody is known: nobody is there, or nobody has been heard of yet.
fn nobody<T>(standing: Standing) -> Result<Option<T>, Unavailable> {
    match standing {
        Standing::Current => Ok(None),
        Standing::Away | Standing::Stale => Err(Records::AWAY),
    }
}

impl Contact {
    fn standing(&self, now: Instant) -> Standing {
        let heard = self.heard.load(Ordering::Acquire);
        if heard == 0 {
            return Standing::Away;
        }
        let silent = self.millis(now).saturating_sub(heard);
        let failing = self.failing.load(Ordering::Relaxed);
        if !failing && u128::from(silent) <= SILENCE.as_millis() {
            Standing::Current
        } else if silent <= self.max_stale.load(Ordering::Relaxed) {
            Standing::Stale
        } else {
            Standing::Away
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        let millis = at.saturating_duration_since(self.begun).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX - 1) + 1
    }

    /// The question that was asked then is answered, and memory holds the answer.
    fn heard(&self, asked: Instant) {
        self.heard.fetch_max(self.millis(asked), Ordering::Release);
        self.failing.store(false, Ordering::Relaxed);
    }

    /// Whether it was not failing before.
    fn failed(&self) -> bool {
        !self.failing.swap(true, Ordering::Relaxed)
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}
