//! Series that are made when they are first needed, and then found without formatting a label.

use std::{sync::OnceLock, time::Duration};

use parking_lot::RwLock;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

/// Counters of one family that were needed so far, each looked up by its labels once.
#[derive(Debug)]
pub(super) struct Series<K> {
    family: IntCounterVec,
    known: RwLock<Known<K>>,
}

#[derive(Debug)]
struct Known<K> {
    // A handful of entries: what one route answers. A scan is quicker than any hash.
    counters: Vec<(K, IntCounter)>,
    /// What may be counted; anything if absent.
    admitted: Option<Vec<K>>,
}

impl<K> Known<K>
where
    K: PartialEq,
{
    fn find(&self, key: &K) -> Option<&IntCounter> {
        self.counters.iter().find_map(|(known, counter)| (known == key).then_some(counter))
    }

    fn admits(&self, key: &K) -> bool {
        self.admitted.as_ref().is_none_or(|admitted| admitted.contains(key))
    }
}

impl<K: PartialEq> Series<K> {
    pub(super) const fn new(family: IntCounterVec) -> Self {
        Self { family, known: RwLock::new(Known { counters: Vec::new(), admitted: None }) }
    }

    pub(super) fn count(&self, key: K, resolve: impl FnOnce(&IntCounterVec) -> IntCounter) {
        if let Some(counter) = self.known.read().find(&key) {
            return counter.inc();
        }
        // Made under the lock, so that none is made once it is no longer admitted.
        let mut known = self.known.write();
        if let Some(counter) = known.find(&key) {
            return counter.inc();
        }
        if known.admits(&key) {
            let counter = resolve(&self.family);
            counter.inc();
            known.counters.push((key, counter));
        }
    }

    /// From now on these alone are counted; anything if `None`.
    pub(super) fn admit(&self, admitted: Option<Vec<K>>) {
        let mut known = self.known.write();
        known.admitted = admitted;
        let Known { counters, admitted } = &mut *known;
        if let Some(admitted) = admitted {
            counters.retain(|(key, _)| admitted.contains(key));
        }
    }
}

/// A histogram with one label that is made when it is first needed: of ten thousand routes most
/// are seldom asked for, and each has its buckets.
#[derive(Debug)]
pub(super) struct Lazy {
    family: HistogramVec,
    /// Nothing for what was given up before it was needed.
    made: OnceLock<Option<Histogram>>,
}

impl Lazy {
    pub(super) const fn new(family: HistogramVec) -> Self {
        Self { family, made: OnceLock::new() }
    }

    pub(super) fn observe(&self, label: &str, took: Duration) {
        let made = self.made.get_or_init(|| Some(self.family.with_label_values(&[label])));
        if let Some(histogram) = made {
            histogram.observe(took.as_secs_f64());
        }
    }

    /// None is made from now on.
    pub(super) fn retire(&self) {
        let _ = self.made.get_or_init(|| None);
    }
}
