//! A bounded list of the counters there are, which knows whom to drop for a newcomer.
//!
//! A newcomer looks at a handful of slots, the next ones each time, and takes the place of one that
//! is as good as fresh, else of the one unused for longest. So it costs the same however many there
//! are, and whoever floods the gateway with fresh keys pushes out his own idle ones sooner than a
//! counter that is in use, his own busy one included.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use crate::{model::Timestamp, policy::limit::State};

/// What is counted under one key.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) key: u128,
    used: AtomicI64,
    // Written under the lock of `tally` only.
    fresh_at: AtomicI64,
    pub(super) tally: Mutex<Tally>,
}

#[derive(Debug)]
pub(super) enum Tally {
    /// No longer the counter of its key: whoever still holds it must look the key up again.
    Evicted,
    Live(State),
}

impl Counter {
    pub(super) fn new(key: u128, now: Timestamp) -> Self {
        Self {
            key,
            used: AtomicI64::new(now.micros()),
            fresh_at: AtomicI64::new(i64::MIN),
            tally: Mutex::new(Tally::Live(State::Fresh)),
        }
    }

    /// Says that it is in use.
    pub(super) fn touch(&self, now: Timestamp) {
        // Not set back by a thread that read its clock long ago.
        if self.used.load(Relaxed) < now.micros() {
            self.used.store(now.micros(), Relaxed);
        }
    }

    /// Says from when on it is as good as a fresh one. The caller holds `tally`.
    pub(super) fn is_fresh_at(&self, time: Timestamp) {
        self.fresh_at.store(time.micros(), Relaxed);
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.fresh_at.load(Relaxed) <= now.micros()
    }

    // Somebody beside the map and the register holds it: a hint, for it may change at once.
    fn is_held(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 2
    }

    /// Marks it evicted, and calls `remove` so that nobody finds it any more. Leaves it alone if
    /// somebody has it locked, or, where only fresh ones may go, it is not.
    fn evict(&self, which: Victim, remove: &impl Fn(u128)) -> bool {
        // Never waits: whoever holds the lock of a counter may be waiting for nothing but further
        // counters, and must not be waited for by whoever holds a register.
        let Some(mut tally) = self.tally.try_lock() else { return false };
        if let Victim::FreshAt(now) = which
            && !self.is_fresh(now)
        {
            return false;
        }
        remove(self.key);
        *tally = Tally::Evicted;
        true
    }
}

#[derive(Clone, Copy)]
enum Victim {
    Any,
    FreshAt(Timestamp),
}

/// The counters of a share of all keys.
#[derive(Debug)]
pub(super) struct Register {
    slots: Vec<Arc<Counter>>,
    hand: usize,
    bound: usize,
}

impl Register {
    const SAMPLE: usize = 8;

    pub(super) fn new(bound: usize) -> Self {
        Self { slots: Vec::new(), hand: 0, bound }
    }

    /// Enters a counter. Where the register is full another is evicted; only if every other one
    /// were in use at this moment would there be one too many.
    pub(super) fn enter(&mut self, counter: Arc<Counter>, now: Timestamp, remove: &impl Fn(u128)) {
        let vacant = self.vacate(now, remove);
        match vacant.and_then(|index| self.slots.get_mut(index)) {
            Some(slot) => *slot = counter,
            None => self.slots.push(counter),
        }
    }

    /// Sets the bound, and evicts what is above it.
    pub(super) fn bound_to(&mut self, bound: usize, now: Timestamp, remove: &impl Fn(u128)) {
        self.bound = bound;
        while self.slots.len() > bound {
            let Some(index) = self.vacate(now, remove) else { return };
            self.slots.swap_remove(index);
        }
        self.slots.shrink_to(bound);
    }

    /// Evicts those of the `count` slots below `end` that are as good as fresh.
    pub(super) fn sweep(
        &mut self,
        end: usize,
        count: usize,
        now: Timestamp,
        remove: &impl Fn(u128),
    ) {
        let end = end.min(self.slots.len());
        // Downwards, so that what moves into a vacant slot has been looked at.
        for index in (end.saturating_sub(count)..end).rev() {
            let Some(counter) = self.slots.get(index) else { return };
            if !counter.is_held()
                && counter.is_fresh(now)
                && counter.evict(Victim::FreshAt(now), remove)
            {
                self.slots.swap_remove(index);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    // The index of a slot whose counter has been evicted; nothing if there is room without.
    fn vacate(&mut self, now: Timestamp, remove: &impl Fn(u128)) -> Option<usize> {
        let mut eldest: Option<(i64, usize)> = None;
        for _ in 0..Self::SAMPLE.min(self.slots.len()) {
            let index = self.advance();
            let counter = self.slots.get(index)?;
            if counter.is_held() {
                continue;
            }
            if counter.is_fresh(now) && counter.evict(Victim::FreshAt(now), remove) {
                return Some(index);
            }
            let used = counter.used.load(Relaxed);
            if eldest.is_none_or(|(other, _)| used < other) {
                eldest = Some((used, index));
            }
        }
        if self.slots.len() < self.bound {
            return None;
        }
        let evicted = |index: &usize| {
            let counter = self.slots.get(*index);
            counter.is_some_and(|counter| !counter.is_held() && counter.evict(Victim::Any, remove))
        };
        let eldest = eldest.map(|(_, index)| index).filter(evicted);
        // Only if the whole sample was in use.
        eldest.or_else(|| (0..self.slots.len()).find(evicted))
    }

    fn advance(&mut self) -> usize {
        let index = if self.hand < self.slots.len() { self.hand } else { 0 };
        self.hand = index + 1;
        index
    }
}
