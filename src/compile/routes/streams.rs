//! `streams`: how long what never ends by itself may last.

use crate::{
    compile::faults::Faults,
    config::{codes, document::Site, streams::Streams},
    policy::rules::StreamTerms,
};

/// Refuses a time that no stream would survive.
pub(super) fn judge(written: &Streams, at: Site<'_>, faults: &mut Faults) {
    if written.idle.is_some_and(|idle| idle.0.is_zero()) {
        faults
            .fault(codes::OUT_OF_RANGE, at.key("idle"), "`idle` of nothing would end every stream")
            .help("there is no word for any length of time: write a long one such as `24h`");
    }
}

/// A route's word, then that of `defaults`.
pub(super) fn terms(route: &Streams, defaults: &Streams) -> StreamTerms {
    let default = StreamTerms::default();
    let closes = route.close_at_expiry.or(defaults.close_at_expiry).unwrap_or(true);
    let grace = route.grace.or(defaults.grace).map(|grace| grace.0).or(default.grace);
    StreamTerms {
        idle: route.idle.or(defaults.idle).map_or(default.idle, |idle| idle.0),
        grace: grace.filter(|_| closes),
    }
}
