//! What is done now and then: forgetting, and telling the metrics what is held.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Gateway, certificates};
use crate::{
    observe::Metrics,
    sources::{Memory, Remotes, records::Standing},
};

/// How often what is out of date is dropped.
const PERIOD: Duration = Duration::from_secs(60);

/// How often a certificate that ends soon is warned of.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Warns once a day of certificates that end soon, for as long as the gateway lives.
pub async fn warn_of_ends(gateway: Arc<Gateway>) {
    let mut days = tokio::time::interval_at(tokio::time::Instant::now() + DAY, DAY);
    loop {
        days.tick().await;
        certificates::warn(gateway.snapshot().serving(), SystemTime::now().into());
    }
}

/// Drops what is out of date for as long as the gateway lives.
pub async fn keep_up(gateway: Arc<Gateway>) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let snapshot = gateway.snapshot();
        let sweep = move || {
            let now = SystemTime::now().into();
            snapshot.memory().counters.sweep(now);
            snapshot.memory().signatures.sweep(now);
            snapshot.memory().assertions.sweep(now);
            snapshot.memory().introspections.sweep(now);
            snapshot.memory().vouched.sweep(now);
        };
        // A million entries take their time: not on a thread that serves.
        let _ = tokio::task::spawn_blocking(sweep).await;
    }
}

/// Tells the metrics what is held in memory.
pub(super) fn measure(memory: &Memory, metrics: &Metrics) {
    let keys = memory.counters.len();
    metrics.rate_limit_keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
    let recalls = memory.assertions.recalls();
    metrics.cache("assertions").tell(recalls.hits, recalls.misses, recalls.entries);
    let recalls = memory.signatures.recalls();
    metrics.cache("signatures").tell(recalls.hits, recalls.misses, recalls.entries);
    let recalls = memory.introspections.recalls();
    metrics.cache("introspection").tell(recalls.hits, recalls.misses, recalls.entries);
    let recalls = memory.vouched.recalls();
    metrics.cache("forward_auth").tell(recalls.hits, recalls.misses, recalls.entries);
    if let Some(records) = &memory.records {
        metrics.store_up(records.standing() == Standing::Current);
    }
}

/// Tells the metrics how old the keys of issuers are.
pub(super) fn measure_issuers(remotes: &Remotes, metrics: &Metrics) {
    let health: Vec<_> = remotes.issuers().map(|issuer| issuer.health()).collect();
    metrics.jwks_ages(
        health.iter().filter_map(|issuer| Some((issuer.name.as_str(), issuer.age?.as_secs_f64()))),
    );
}
