//! When keys were used and users logged in, until it is written.

use std::{collections::HashMap, sync::Arc};

use ahash::RandomState;
use parking_lot::Mutex;

use crate::model::Timestamp;

/// Notes that wait at most; what comes beyond is not noted before its next minute.
const MOST: usize = 100_000;

/// Names with a time.
type Taken = Vec<(String, Timestamp)>;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Notes {
    uses: Mutex<HashMap<Arc<str>, Timestamp, RandomState>>,
    logins: Mutex<HashMap<Arc<str>, Timestamp, RandomState>>,
}

impl Notes {
    /// A key was used, for the first time in this minute.
    pub fn key_used(&self, id: &Arc<str>, at: Timestamp) {
        let minute = Timestamp::from_seconds(at.seconds().div_euclid(60) * 60);
        note(&self.uses, id, minute);
    }

    /// A user logged in.
    pub fn logged_in(&self, subject: &Arc<str>, at: Timestamp) {
        note(&self.logins, subject, at);
    }

    /// What waits, and no longer does.
    pub fn take(&self) -> (Taken, Taken) {
        (taken(&self.uses), taken(&self.logins))
    }
}

fn note(notes: &Mutex<HashMap<Arc<str>, Timestamp, RandomState>>, name: &Arc<str>, at: Timestamp) {
    let mut notes = notes.lock();
    if notes.len() < MOST || notes.contains_key(name) {
        notes.insert(Arc::clone(name), at);
    }
}

fn taken(notes: &Mutex<HashMap<Arc<str>, Timestamp, RandomState>>) -> Taken {
    let taken = std::mem::take(&mut *notes.lock());
    taken.into_iter().map(|(name, at)| (name.as_ref().to_owned(), at)).collect()
}
