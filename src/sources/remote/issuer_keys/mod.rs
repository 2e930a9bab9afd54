//! The keys that an issuer publishes: asked for in the background, and kept while it is down.
//!
//! Nobody waits for the issuer but who has a token that no known key could have signed, and all of
//! those wait for one fetch together. Fetches are at least half a minute apart whatever asks for
//! them, so that made-up key ids cost the issuer nothing.

mod fetch;
mod last_good;
mod pace;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use parking_lot::Mutex;
use reqwest::Url;
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{Notify, watch};

use super::Fault;
use crate::{
    model::IssuerName,
    observe::metrics::RefreshMetrics,
    policy::authn::{
        jwt::IssuerTerms,
        keys::{KeySet, KeyWarning, Keyring, Publication},
    },
};
pub use fetch::{Client, client};
use last_good::{Kept, LastGood, Owner};

/// What one issuer publishes, as far as it is known.
#[derive(Debug)]
pub struct Published {
    name: IssuerName,
    owner: Owner,
    publication: Publication,
    algorithms: Vec<Algorithm>,
    client: Client,
    last_good: Option<LastGood>,
    held: ArcSwapOption<Held>,
    /// The outcome of the first fetch is known.
    tried: AtomicBool,
    followed: AtomicBool,
    state: Mutex<State>,
    /// Grows by one with the end of each fetch.
    fetches: watch::Sender<u64>,
    /// Somebody needs keys that are not there.
    wanted: Arc<Notify>,
    counters: Option<RefreshMetrics>,
    tempo: Tempo,
}

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tempo {
    /// Between two fetches at least.
    pub spacing: Duration,
    /// For a fetch at most, all of it.
    pub patience: Duration,
}

impl Tempo {
    /// That of a gateway that serves.
    pub const SERVING: Self = Self { spacing: pace::SPACING, patience: Duration::from_secs(10) };
    /// That of somebody who sits before a terminal.
    pub const INQUIRING: Self = Self { spacing: pace::SPACING, patience: Duration::from_secs(3) };

    /// What somebody who waits for a fetch waits at most: it ends by itself before.
    fn longest_wait(self) -> Duration {
        self.patience + Duration::from_secs(1)
    }
}

/// An issuer's keys, as they were last published.
#[derive(Debug)]
pub struct Held {
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// The key set they are from, without what is private in it.
    document: Vec<u8>,
    /// When they were asked for.
    fetched: SystemTime,
    warnings: Vec<KeyWarning>,
}

#[derive(Debug, Default)]
struct State {
    /// When the last fetch began.
    began: Option<Instant>,
    /// When the next is due.
    due: Option<Instant>,
    /// A fetch is under way.
    under_way: bool,
    /// Where the key set is, as metadata said.
    address: Option<Url>,
    /// Why the last fetch failed, if it did.
    fault: Option<String>,
}

/// How an issuer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Its name.
    pub name: IssuerName,
    /// Whether its first fetch has been tried.
    pub tried: bool,
    /// How old its keys are; none if there are none.
    pub age: Option<Duration>,
    /// Why the last fetch failed, if it did.
    pub fault: Option<String>,
}

impl Published {
    /// What an issuer publishes, nothing of it fetched yet: with the keys of the last good copy, or
    /// those that were known before a reload, as far as they are from the same address.
    pub(super) fn new(
        terms: &IssuerTerms,
        publication: &Publication,
        client: Client,
        state: Option<&Path>,
        before: Option<&Self>,
        tempo: Tempo,
        counters: Option<RefreshMetrics>,
    ) -> Self {
        let owner = Owner {
            name: terms.name.to_string(),
            iss: terms.issuer.clone(),
            place: publication.place.clone(),
        };
        let last_good = state.map(|folder| LastGood::new(folder, owner.clone()));
        let known = before.filter(|before| before.owner == owner);
        let known = known.and_then(|before| before.held.load_full());
        let known =
            known.map(|held| Kept { document: held.document.clone(), fetched: held.fetched });
        let known = known.or_else(|| last_good.as_ref().and_then(LastGood::read));
        let published = Self {
            name: terms.name.clone(),
            owner,
            publication: publication.clone(),
            algorithms: terms.algorithms.clone(),
            client,
            last_good,
            held: ArcSwapOption::empty(),
            tried: AtomicBool::new(false),
            followed: AtomicBool::new(false),
            state: Mutex::default(),
            fetches: watch::Sender::new(0),
            wanted: Arc::default(),
            counters,
            tempo,
        };
        if let Some(Kept { document, fetched }) = known
            && let Ok(held) = published.read(document, fetched)
        {
            published.held.store(Some(Arc::new(held)));
        }
        published
    }

    /// Whether this is what these terms ask for.
    pub(super) fn is_for(&self, terms: &IssuerTerms, publication: &Publication) -> bool {
        self.name == terms.name
            && self.owner.iss == terms.issuer
            && self.publication == *publication
            && self.algorithms == terms.algorithms
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The keys that are held now, whatever their age. What was verified by them is remembered for
    /// as long as they are these.
    pub fn held(&self) -> arc_swap::Guard<Option<Arc<Held>>> {
        self.held.load()
    }

    /// The keys to verify by. Waits for the first fetch where nothing else is known that is young
    /// enough; none if there are no keys.
    pub async fn keys(&self) -> Option<Arc<Held>> {
        let held = self.held.load_full();
        if self.tried.load(Ordering::Acquire) || held.as_ref().is_some_and(|held| self.young(held))
        {
            return held;
        }
        if self.followed.load(Ordering::Acquire) {
            let mut fetches = self.fetches.subscribe();
            if !self.tried.load(Ordering::Acquire) {
                let _ = tokio::time::timeout(self.tempo.longest_wait(), fetches.changed()).await;
            }
        } else {
            // Nobody asks in the background: an inquiry without a server.
            self.fetch_if_due().await;
        }
        self.held.load_full()
    }

    /// Other keys than these, which lack one that a token names: if somebody has fetched them
    /// meanwhile, or a fetch may be made now. All who wait here wait for the same fetch.
    pub async fn other_than(&self, known: &Arc<Held>) -> Option<Arc<Held>> {
        let other = || self.held.load_full().filter(|held| !Arc::ptr_eq(held, known));
        let mut fetches = self.fetches.subscribe();
        if let Some(other) = other() {
            return Some(other);
        }
        if !self.followed.load(Ordering::Acquire) || !self.may_be_asked() {
            return None;
        }
        self.wanted.notify_one();
        let _ = tokio::time::timeout(self.tempo.longest_wait(), fetches.changed()).await;
        other()
    }

    /// How the issuer is.
    pub fn health(&self) -> Health {
        let held = self.held.load();
        Health {
            name: self.name.clone(),
            tried: self.tried.load(Ordering::Acquire),
            age: held.as_ref().map(|held| held.age()),
            fault: self.state.lock().fault.clone(),
        }
    }

    /// Begins to ask in the background, for as long as anybody holds this.
    pub(super) fn follow(self: &Arc<Self>) {
        if !self.followed.swap(true, Ordering::AcqRel) {
            tokio::spawn(keep_up(Arc::downgrade(self)));
        }
    }

    /// Whether a fetch is under way, or may begin.
    fn may_be_asked(&self) -> bool {
        let state = self.state.lock();
        state.under_way || state.began.is_none_or(|began| began.elapsed() >= self.tempo.spacing)
    }

    /// Whether the keys are as fresh as a running gateway's would be.
    fn young(&self, held: &Held) -> bool {
        held.fetched.elapsed().is_ok_and(|age| age <= self.publication.refresh)
    }

    /// Fetches the keys, unless that was done a moment ago.
    async fn fetch_if_due(&self) {
        let address = {
            let mut state = self.state.lock();
            let now = Instant::now();
            let spaced = state.began.is_none_or(|began| now >= began + self.tempo.spacing);
            if state.under_way || !spaced {
                return;
            }
            let scheduled = state.due.is_none_or(|due| now >= due);
            state.under_way = true;
            state.began = Some(now);
            // What metadata said may have changed; between two scheduled fetches it has not.
            state.address.clone().filter(|_| !scheduled)
        };
        // Also if whoever fetches gives up.
        let end = End(self);
        let fresh = self.conclude(self.fetch(address.as_ref()).await);
        drop(end);
        if let Some(fresh) = fresh {
            self.keep(&fresh).await;
        }
    }

    async fn fetch(&self, address: Option<&Url>) -> Result<(Held, Url, Option<Duration>), Fault> {
        let place = &self.publication.place;
        let fetched = self.client.fetch(place, address, self.tempo.patience).await?;
        let held = self.read(fetched.body, SystemTime::now())?;
        Ok((held, fetched.from, fetched.age))
    }

    fn read(&self, document: Vec<u8>, fetched: SystemTime) -> Result<Held, Fault> {
        let (keys, warnings) = KeySet::from_jwks(&document, &self.algorithms)?;
        let keyring = Arc::new(Keyring::new(keys, self.name.as_str()));
        let document = KeySet::without_private(&document).unwrap_or_default();
        Ok(Held { keyring, document, fetched, warnings })
    }

    /// Takes over what a fetch brought, and says when the next is due.
    fn conclude(&self, outcome: Result<(Held, Url, Option<Duration>), Fault>) -> Option<Arc<Held>> {
        let spacing = self.tempo.spacing;
        let (fresh, wait, address, fault) = match outcome {
            Ok((held, address, age)) => {
                let held = Arc::new(held);
                let before = self.held.swap(Some(Arc::clone(&held)));
                self.tell(before.as_deref(), &held, &address);
                let wait = pace::after_success(self.publication.refresh, age, spacing, jitter());
                (Some(held), wait, Some(address), None)
            }
            Err(fault) => {
                let why = fault.to_string();
                self.tell_failure(&why);
                (None, pace::after_failure(spacing, jitter()), None, Some(why))
            }
        };
        if let Some(RefreshMetrics { success, failure }) = &self.counters {
            if fault.is_none() { success.inc() } else { failure.inc() }
        }
        let mut state = self.state.lock();
        state.due = state.began.map(|began| began + wait);
        (state.address, state.fault) = (address, fault);
        fresh
    }

    fn tell_failure(&self, why: &str) {
        let issuer = self.name.as_str();
        let held = self.held.load();
        let age_seconds = held.as_ref().map(|held| held.age().as_secs());
        let meanwhile = match age_seconds {
            Some(_) => "the last good keys serve",
            None => "its tokens are answered 503",
        };
        tracing::warn!(event = "issuer_keys_failed", issuer, why, age_seconds, "{meanwhile}");
    }

    /// Says what is new, and what is odd about it.
    fn tell(&self, before: Option<&Held>, now: &Held, address: &Url) {
        let issuer = self.name.as_str();
        let same = |before: &Held| before.keyring.fingerprint == now.keyring.fingerprint;
        if !before.is_some_and(same) {
            let keys = now.keyring.keys.keys.len();
            tracing::info!(event = "issuer_keys", issuer, keys, from = %address, "the issuer's keys");
        }
        if before.is_none_or(|before| before.warnings != now.warnings) {
            for warning in &now.warnings {
                tracing::warn!(event = "issuer_key_left_out", issuer, "{warning}");
            }
        }
    }

    async fn keep(&self, held: &Arc<Held>) {
        // Whoever only inquires leaves nothing behind.
        if !self.followed.load(Ordering::Acquire) {
            return;
        }
        let Some(copy) = self.last_good.clone() else { return };
        let kept = Kept { document: held.document.clone(), fetched: held.fetched };
        let written = tokio::task::spawn_blocking(move || copy.write(&kept)).await;
        if let Ok(Err(error)) = written {
            let issuer = self.name.as_str();
            tracing::warn!(event = "issuer_copy", issuer, %error, "the keys are not kept for a restart");
        }
    }
}

impl Held {
    fn age(&self) -> Duration {
        self.fetched.elapsed().unwrap_or_default()
    }
}

/// The end of a fetch, however it ends.
struct End<'p>(&'p Published);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state.lock().under_way = false;
        self.0.tried.store(true, Ordering::Release);
        self.0.fetches.send_modify(|count| *count += 1);
    }
}

/// Asks when it is due or somebody needs it, for as long as anybody holds what is asked for.
async fn keep_up(published: Weak<Published>) {
    loop {
        let (due, wanted) = match published.upgrade() {
            None => return,
            Some(published) => (published.state.lock().due, Arc::clone(&published.wanted)),
        };
        if let Some(due) = due {
            let _ = tokio::time::timeout_at(due.into(), wanted.notified()).await;
        }
        let Some(published) = published.upgrade() else { return };
        published.fetch_if_due().await;
    }
}

/// A number from 0 to 1.
fn jitter() -> f64 {
    let mut bytes = [0; 4];
    // Without it gateways ask together; nothing else depends on it.
    let _ = SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}
