//! The targets of upstreams as they are now: which of them takes a request, which are left out, and
//! what may be tried again.
//!
//! How a target stands outlives a reload, as long as the upstream keeps its name and the target its
//! address; so does what retries may still cost, as long as the upstream keeps its name.

mod gate;
mod pick;
pub(super) mod probe;
mod standing;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use prometheus::IntGauge;

use crate::{
    model::Timestamp,
    observe::{Metrics, metrics::UpstreamMetrics},
    policy::upstream::{Service, Upstream},
};
use gate::Gate;
pub use gate::{Full, Place};
pub use pick::{Tried, key_of};
use standing::Standing;

/// What the one target of a built-in service is called.
const BUILT_IN: &str = "echo";

/// A retry costs so much of a budget; each request adds its share of it.
const RETRY: i64 = 100;

/// So many retries are allowed before requests have paid for them.
const ADVANCE: i64 = 10;

/// The targets of one upstream.
#[derive(Debug)]
pub struct Pool {
    upstream: Arc<Upstream>,
    targets: Vec<Entry>,
    /// Targets by their weight, in the order in which they take turns.
    turns: Vec<u16>,
    turn: Arc<AtomicU64>,
    /// What retries may cost now.
    budget: Arc<AtomicI64>,
    gate: Arc<Gate>,
    /// Held by whoever leaves a target out, so that two do not leave out one too many.
    ejecting: Mutex<()>,
}

/// A target of a pool.
#[derive(Debug)]
struct Entry {
    standing: Arc<Standing>,
    metrics: Arc<UpstreamMetrics>,
    healthy: IntGauge,
}

/// A target that a request is at; it counts as one under way until this is dropped.
#[derive(Debug)]
pub struct Visit {
    /// Its place among the upstream's targets.
    pub target: usize,
    /// At which of its addresses it begins.
    pub turn: usize,
    standing: Arc<Standing>,
}

impl Visit {
    fn begin(target: usize, turn: usize, standing: &Arc<Standing>) -> Self {
        standing.under_way.fetch_add(1, Relaxed);
        Self { target, turn, standing: standing.clone() }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.standing.under_way.fetch_sub(1, Relaxed);
    }
}

impl Pool {
    fn new(upstream: &Arc<Upstream>, metrics: &Metrics, old: Option<&Self>) -> Self {
        let name = upstream.name.as_str();
        let entry = |authority: &str| Entry {
            standing: old
                .and_then(|old| old.entry(authority))
                .map_or_else(|| Arc::new(Standing::new(authority)), |entry| entry.standing.clone()),
            metrics: old
                .and_then(|old| old.entry(authority))
                .map_or_else(|| metrics.upstream(name, authority), |entry| entry.metrics.clone()),
            healthy: metrics.upstream_healthy(name, authority),
        };
        let targets: Vec<Entry> = match &upstream.service {
            Service::Echo => vec![entry(BUILT_IN)],
            Service::Targets(targets) => {
                targets.iter().map(|target| entry(&target.authority)).collect()
            }
        };
        let weights: Vec<u32> = upstream.service.targets().iter().map(|one| one.weight).collect();
        Self {
            upstream: upstream.clone(),
            targets,
            turns: pick::turns(&weights),
            turn: old.map(|old| old.turn.clone()).unwrap_or_default(),
            // What was spent stays spent, whatever is read anew.
            budget: old.map_or_else(
                || Arc::new(AtomicI64::new(RETRY * ADVANCE)),
                |old| old.budget.clone(),
            ),
            gate: old.map(|old| old.gate.clone()).unwrap_or_default(),
            ejecting: Mutex::new(()),
        }
    }

    fn entry(&self, authority: &str) -> Option<&Entry> {
        self.targets.iter().find(|entry| &*entry.standing.authority == authority)
    }

    /// The upstream.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The handles of a target, or of what is built in.
    pub fn metrics(&self, target: usize) -> Option<&Arc<UpstreamMetrics>> {
        self.targets.get(target).map(|entry| &entry.metrics)
    }

    /// A request is about to go to one of these targets: pays its share of the retries' budget.
    pub fn begin(&self) {
        let Some(retries) = &self.upstream.retries else { return };
        let share = i64::from(retries.budget);
        // A race adds a share too many or too few.
        if self.budget.load(Relaxed) < RETRY * ADVANCE {
            self.budget.fetch_add(share, Relaxed);
        }
    }

    /// Takes a place at the upstream for a request; waits for one as the upstream's limits say.
    /// Nothing where it has none.
    ///
    /// # Errors
    /// No place is free, or became so in time.
    pub async fn enter(&self) -> Result<Option<Place>, Full> {
        match &self.upstream.bounds {
            None => Ok(None),
            Some(bounds) => self.gate.enter(bounds).await.map(Some),
        }
    }

    /// Whether a request may be tried again, as far as the budget goes; takes what that costs.
    pub fn afford_retry(&self) -> bool {
        let take = |left: i64| (left >= RETRY).then_some(left - RETRY);
        self.budget.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// A target answered with this status.
    pub fn answered(&self, target: usize, status: u16, now: Timestamp) {
        if matches!(status, 502..=504) {
            self.failed(target, now);
        } else if let Some(entry) = self.targets.get(target) {
            entry.standing.succeeded();
        }
    }

    /// A target did not answer.
    pub fn failed(&self, target: usize, now: Timestamp) {
        let (Some(entry), Some(ejection)) = (self.targets.get(target), &self.upstream.ejection)
        else {
            return;
        };
        if entry.standing.count_failure() < ejection.consecutive_failures {
            return;
        }
        let _alone = self.ejecting.lock();
        let out = self.targets.iter().filter(|one| one.standing.is_ejected(now)).count();
        // Never more than half of them.
        if !entry.standing.is_ejected(now) && (out + 1) * 2 <= self.targets.len() {
            entry.standing.eject(now, ejection.period);
            tracing::warn!(
                event = "target_ejected",
                upstream = %self.upstream.name,
                target = %entry.standing.authority,
                "its requests failed, and it is left out for a while"
            );
        }
    }

    /// Tells the metrics how targets stand.
    fn measure(&self, now: Timestamp) {
        for entry in &self.targets {
            let well = entry.standing.is_healthy() && !entry.standing.is_ejected(now);
            entry.healthy.set(i64::from(well));
        }
    }
}

/// The pools of all upstreams, found by an upstream's place in memory: nothing is hashed by its
/// name while a request waits.
#[derive(Debug)]
pub(super) struct Pools(HashMap<usize, Arc<Pool>, ahash::RandomState>);

impl Pools {
    pub fn new(upstreams: &[Arc<Upstream>], metrics: &Metrics, old: Option<&Self>) -> Self {
        let old: HashMap<&str, &Arc<Pool>> = old
            .into_iter()
            .flat_map(|old| old.0.values())
            .map(|pool| (pool.upstream.name.as_str(), pool))
            .collect();
        metrics.forget_upstream_health();
        let pool = |upstream: &Arc<Upstream>| {
            let old = old.get(upstream.name.as_str()).map(|pool| &***pool);
            (Arc::as_ptr(upstream) as usize, Arc::new(Pool::new(upstream, metrics, old)))
        };
        Self(upstreams.iter().map(pool).collect())
    }

    pub fn find(&self, upstream: &Arc<Upstream>) -> Option<&Arc<Pool>> {
        self.0.get(&(Arc::as_ptr(upstream) as usize))
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.0.values()
    }

    /// Upstreams with their targets, by name.
    pub fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().map(|(name, entry)| (name, &*entry.standing.authority))
    }

    /// Stops counting by targets that are not among these.
    pub fn retire_others(&self, named: &HashSet<(&str, &str)>) {
        let gone =
            |(name, entry): &(&str, &Entry)| !named.contains(&(*name, &*entry.standing.authority));
        self.entries().filter(gone).for_each(|(_, entry)| entry.metrics.retire());
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.all()
            .flat_map(|pool| pool.targets.iter().map(|entry| (pool.upstream.name.as_str(), entry)))
    }

    /// Tells the metrics how targets stand.
    pub fn measure(&self, now: Timestamp) {
        self.all().for_each(|pool| pool.measure(now));
    }
}
