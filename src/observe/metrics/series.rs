//! Series that are made when they are first needed, and then found without formatting a label.

use std::{sync::OnceLock, time::Duration};

use parking_lot::RwLock;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

/// Counters of one family that were needed so far, each looked up by its labels once.
#[derive(Debug)]
pub(super) struct Series<K> {
    family: IntCounterVec,
    // A handful of entries: what one route answers. A scan is quicker than any hash.
    known: RwLock<Vec<(K, IntCounter)>>,
}

impl<K: PartialEq> Series<K> {
    pub(super) const fn new(family: IntCounterVec) -> Self {
        Self { family, known: RwLock::new(Vec::new()) }
    }

    pub(super) fn count(&self, key: K, resolve: impl FnOnce(&IntCounterVec) -> IntCounter) {
        if let Some((_, counter)) = self.known.read().iter().find(|(known, _)| *known == key) {
            return counter.inc();
        }
        let counter = resolve(&self.family);
        counter.inc();
        let mut known = self.known.write();
        if !known.iter().any(|(known, _)| *known == key) {
            known.push((key, counter));
        }
    }
}

/// A histogram with one label that is made when it is first needed: of ten thousand routes most
/// are seldom asked for, and each has its buckets.
#[derive(Debug)]
pub(super) struct Lazy {
    family: HistogramVec,
    made: OnceLock<Histogram>,
}

impl Lazy {
    pub(super) const fn new(family: HistogramVec) -> Self {
        Self { family, made: OnceLock::new() }
    }

    pub(super) fn observe(&self, label: &str, took: Duration) {
        let histogram = self.made.get_or_init(|| self.family.with_label_values(&[label]));
        histogram.observe(took.as_secs_f64());
    }
}
