//! How one target stands.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use crate::{model::Timestamp, policy::upstream::HealthCheck};

/// How one target stands. Its parts change one by one: a request that sees one change and not yet
/// another goes where it could have gone a moment earlier.
#[derive(Debug)]
pub(super) struct Standing {
    /// Its address as written.
    pub authority: Box<str>,
    /// Requests under way.
    pub under_way: AtomicU32,
    failures: AtomicU32,
    ejected_from: AtomicI64,
    ejected_until: AtomicI64,
    unhealthy: AtomicBool,
    /// When it came back, or will; far in the past if it never was away.
    returns: AtomicI64,
    /// How often it was gone to, for those of its addresses that take turns.
    pub visits: AtomicUsize,
    /// Health checks in a row that say otherwise than `unhealthy` does.
    against: AtomicU32,
}

impl Standing {
    pub fn new(authority: &str) -> Self {
        Self {
            authority: authority.into(),
            under_way: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejected_from: AtomicI64::new(i64::MIN),
            ejected_until: AtomicI64::new(i64::MIN),
            unhealthy: AtomicBool::new(false),
            returns: AtomicI64::new(i64::MIN),
            visits: AtomicUsize::new(0),
            against: AtomicU32::new(0),
        }
    }

    /// Whether health checks find it well, or none are made.
    pub fn is_healthy(&self) -> bool {
        !self.unhealthy.load(Relaxed)
    }

    /// Whether it is left out for what became of its requests. A clock that was set back by more than
    /// that takes ends it.
    pub fn is_ejected(&self, now: Timestamp) -> bool {
        let until = self.ejected_until.load(Relaxed);
        now.micros() < until && self.ejected_from.load(Relaxed) <= now.micros()
    }

    pub fn eject(&self, now: Timestamp, period: Duration) {
        let until = now + period;
        self.failures.store(0, Relaxed);
        // Threads that read the clock in one order and come here in the other find it ejected.
        self.ejected_from.store((now - period).micros(), Relaxed);
        self.ejected_until.store(until.micros(), Relaxed);
        self.returns.store(until.micros(), Relaxed);
    }

    /// A request was answered.
    pub fn succeeded(&self) {
        // Most have nothing to forget, and need not write.
        if self.failures.load(Relaxed) > 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// A request was not. How many in a row that makes.
    pub fn count_failure(&self) -> u32 {
        self.failures.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// How long it has been back; nothing if it never was away, or the clock was set back since.
    pub fn back_for(&self, now: Timestamp, most: Duration) -> Option<Duration> {
        let returns = self.returns.load(Relaxed);
        let is_sane = returns > i64::MIN && (now + most).micros() >= returns;
        is_sane.then(|| now.since(Timestamp::from_micros(returns)))
    }

    /// A health check was answered well or not; whether that turned it.
    pub fn checked(&self, well: bool, terms: &HealthCheck, now: Timestamp) -> bool {
        let healthy = self.is_healthy();
        if well == healthy {
            self.against.store(0, Relaxed);
            return false;
        }
        let needed = if healthy { terms.unhealthy_after } else { terms.healthy_after };
        if self.against.fetch_add(1, Relaxed) + 1 < needed {
            return false;
        }
        self.against.store(0, Relaxed);
        if well {
            self.returns.store(now.micros(), Relaxed);
        }
        self.unhealthy.store(!well, Relaxed);
        true
    }

    /// Nobody asks any more whether it is well.
    pub fn unchecked(&self) {
        self.unhealthy.store(false, Relaxed);
        self.against.store(0, Relaxed);
    }
}
