//! Memory is brought on to where the store is.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::{Known, Place, Records, Standing, now};
use crate::{
    model::Timestamp,
    store::{Position, Store, StoreFault},
};

/// How often the store is asked whether something has changed: so that a change made elsewhere
/// counts within a second, with a slow answer in between.
const PERIOD: Duration = Duration::from_millis(250);

/// How often uses of keys and logins are written.
const NOTES: Duration = Duration::from_secs(15);

/// How often what has expired is deleted.
const FORGETTING: Duration = Duration::from_secs(600);

/// How long after its end it is kept: a clock that is set back by less than that revives nothing that
/// was revoked.
const KEPT_AFTER_END: Duration = Duration::from_secs(3600);

/// Rows of one question.
const PAGE: u32 = 5000;

/// Pages that are held until all have come.
const FEW: usize = 8;

/// How often it is looked in one round whether more changed while that was read.
const MOST_STEPS: usize = 8;

/// What became of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Nothing was new.
    Nothing,
    /// Changes were taken over.
    Changes,
    /// Everything was read.
    Everything,
}

impl Records {
    /// Opens the store and reads everything; whoever serves waits for it. A store that is away is
    /// not waited for: it is followed once it is there.
    ///
    /// # Errors
    /// The store is of a newer schema, or its file cannot be made or opened: somebody has to act.
    pub async fn begin(&self) -> Result<(), StoreFault> {
        match self.follow().await {
            Ok(_) => Ok(()),
            Err(fault @ (StoreFault::File(_) | StoreFault::Newer { .. })) => Err(fault),
            Err(fault) => {
                // SQLite is no service that may come later: without a file there is nothing.
                let is_file = matches!(self.location, crate::model::StoreLocation::Sqlite(_));
                if is_file { Err(fault) } else { Ok(()) }
            }
        }
    }

    /// Follows the store for as long as the process lives. Nothing else is done in between, so that
    /// nothing makes it late.
    pub async fn keep_following(&self) {
        let mut period = ticks(PERIOD);
        loop {
            period.tick().await;
            // A fault is logged there.
            let _ = self.follow().await;
        }
    }

    /// Writes notes and deletes what has expired for as long as the process lives.
    pub async fn keep_tidy(&self) {
        let (mut notes, mut forgetting) = (ticks(NOTES), ticks(FORGETTING));
        loop {
            tokio::select! {
                _ = notes.tick() => self.write_notes().await,
                _ = forgetting.tick() => self.forget(now()).await,
            }
        }
    }

    pub(super) async fn forget(&self, now: Timestamp) {
        let ended = now - KEPT_AFTER_END;
        self.sweep(ended);
        if let Ok(store) = self.store()
            && let Err(fault) = store.forget(ended).await
        {
            tracing::warn!(event = "store_not_swept", %fault);
        }
    }

    /// Asks the store once what is new. A change of its state is logged.
    ///
    /// # Errors
    /// The store is away.
    pub async fn follow(&self) -> Result<Followed, StoreFault> {
        let mut place = self.place.lock().await;
        self.catch_up(&mut place).await
    }

    pub(super) async fn catch_up(&self, place: &mut Place) -> Result<Followed, StoreFault> {
        let was = self.standing();
        match self.bring_on(place).await {
            Ok(followed) => {
                if was != Standing::Current {
                    tracing::info!(event = "store_up", store = %self.location);
                }
                Ok(followed)
            }
            Err(fault) => {
                if self.contact.failed() {
                    tracing::error!(event = "store_down", store = %self.location, %fault);
                }
                Err(fault)
            }
        }
    }

    async fn bring_on(&self, place: &mut Place) -> Result<Followed, StoreFault> {
        let store = &self.opened(place).await?;
        let followed = self.step(store, place).await?;
        // What changed while it was read is known by now without its number, and a token that is issued
        // meanwhile is void from its beginning: that moment is not left to last until the next turn.
        let mut last = followed;
        for _ in 0..MOST_STEPS {
            if last == Followed::Nothing {
                break;
            }
            last = self.step(store, place).await?;
        }
        Ok(followed)
    }

    /// Goes as far as the store was when it was asked.
    async fn step(&self, store: &Store, place: &mut Place) -> Result<Followed, StoreFault> {
        let asked = Instant::now();
        let there = store.position().await?;
        let followed = match place.position.as_ref() {
            Some(here) if *here == there => Followed::Nothing,
            Some(here) if continues(store, here, &there).await? => {
                self.take_over(store, here.revision, there.revision).await?;
                Followed::Changes
            }
            _ => {
                self.read_everything(store, there.revision).await?;
                Followed::Everything
            }
        };
        place.position = Some(there);
        // What was put there before its time is there in its turn.
        place.ahead.clear();
        self.contact.heard(asked);
        Ok(followed)
    }

    /// The store that is open, if its file is still the one that has its name. A file that was put in
    /// its place is opened and read from its beginning; where there is none, none is made, since whoever
    /// took it away brings another.
    async fn opened(&self, place: &mut Place) -> Result<Store, StoreFault> {
        let open = self.store.read().clone();
        if let Some(store) = open {
            if store.is_in_its_place() {
                return Ok(store);
            }
            tracing::error!(
                event = "store_replaced",
                store = %self.location,
                "the store's file was replaced or taken away: it is opened anew"
            );
            *self.store.write() = None;
            place.position = None;
            // Before the other is opened: the files beside it have the same names.
            store.close().await;
        }
        let store = if self.was_open.load(Ordering::Relaxed) {
            Store::open_again(&self.location).await?
        } else {
            Store::open(&self.location).await?
        };
        self.was_open.store(true, Ordering::Relaxed);
        *self.store.write() = Some(store.clone());
        Ok(store)
    }

    async fn read_everything(&self, store: &Store, revision: i64) -> Result<(), StoreFault> {
        let mut known = Known { revision, ..Known::default() };
        pages(store, -1, &mut |page| page.put_into(&mut known)).await?;
        let old = std::mem::replace(&mut *self.known.write(), known);
        // A million entries take their time: nobody waits for the lock meanwhile.
        drop(old);
        Ok(())
    }

    async fn take_over(&self, store: &Store, since: i64, until: i64) -> Result<(), StoreFault> {
        let removed = store.removals_since(since).await?;
        {
            let mut known = self.known.write();
            removed.iter().for_each(|subject| known.users.remove(subject));
        }
        let mut held = Vec::new();
        pages(store, since, &mut |page| {
            held.push(page);
            if held.len() > FEW {
                let mut known = self.known.write();
                held.drain(..).for_each(|page| page.put_into(&mut known));
            }
        })
        .await?;
        // The usual change comes in one piece with its number.
        let mut known = self.known.write();
        held.into_iter().for_each(|page| page.put_into(&mut known));
        known.revision = until;
        Ok(())
    }

    /// Writes when keys were used and users logged in.
    pub async fn write_notes(&self) {
        let (uses, logins) = self.notes.take();
        let Ok(store) = self.store() else { return };
        // Some at a time: nobody else can write to SQLite meanwhile. What is lost is a minute.
        for some in uses.chunks(500) {
            if let Err(fault) = store.note_uses(some).await {
                tracing::warn!(event = "uses_not_noted", %fault);
                return;
            }
        }
        for some in logins.chunks(500) {
            if let Err(fault) = store.note_logins(some).await {
                tracing::warn!(event = "logins_not_noted", %fault);
                return;
            }
        }
    }
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut period = tokio::time::interval(period);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    period
}

/// Whether `there` is the same history as `here`, and later.
async fn continues(store: &Store, here: &Position, there: &Position) -> Result<bool, StoreFault> {
    let later = here.epoch == there.epoch && here.revision < there.revision;
    Ok(later && store.continues(here).await?)
}

/// Some rows that changed.
enum Page {
    Keys(Vec<crate::store::StoredKey>),
    Revocations(Vec<crate::store::Revocation>),
    Users(Vec<crate::store::StoredUser>),
}

impl Page {
    fn put_into(self, known: &mut Known) {
        match self {
            Self::Keys(keys) => keys.iter().for_each(|key| known.keys.put(key)),
            Self::Revocations(marks) => marks.iter().for_each(|mark| known.marks.put(mark)),
            Self::Users(users) => users.into_iter().for_each(|user| known.users.put(user)),
        }
    }
}

/// The place before the first row of the next revision: no name is empty.
fn after(revision: i64) -> (i64, String) {
    (revision.saturating_add(1), String::new())
}

/// Everything that changed after a revision. What is taken back comes first.
async fn pages(store: &Store, since: i64, take: &mut impl FnMut(Page)) -> Result<(), StoreFault> {
    take(Page::Revocations(store.revocations_since(since).await?));
    let mut place = after(since);
    loop {
        let users = store.users_changed((place.0, &place.1), PAGE).await?;
        let Some(last) = users.last() else { break };
        place = (last.revision, last.terms.subject.clone());
        take(Page::Users(users));
    }
    let mut place = after(since);
    loop {
        let keys = store.keys_changed((place.0, &place.1), PAGE).await?;
        let Some(last) = keys.last() else { break };
        place = (last.revision, last.terms.id.clone());
        take(Page::Keys(keys));
    }
    Ok(())
}
