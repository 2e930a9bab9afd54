//! The certificates that listeners show: when they end, for the metrics and the log.

use super::seconds;
use crate::{
    compile::{Serving, Validity},
    model::Timestamp,
    observe::Metrics,
};

fn all(serving: &Serving) -> impl Iterator<Item = &Validity> {
    serving
        .listen
        .iter()
        .filter_map(|listen| listen.tls.as_deref())
        .flat_map(|tls| &tls.certificates)
}

/// Tells the metrics when they end.
pub(super) fn measure(serving: &Serving, metrics: &Metrics) {
    metrics.certificates(all(serving).map(|one| (&*one.name, seconds(one.ends))));
}

/// Warns of those that end soon or have ended.
pub(super) fn warn(serving: &Serving, now: Timestamp) {
    for one in all(serving) {
        if let Some(warning) = one.warning(now) {
            tracing::warn!(event = "certificate_expires", name = %one.name, "{warning}");
        }
    }
}
