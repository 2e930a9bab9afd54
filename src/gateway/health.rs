//! Whether the gateway takes requests.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// What a gateway is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not there yet.
    Starting,
    /// At work.
    Serving,
    /// Ending: what runs is brought to its end, load balancers should look elsewhere.
    Draining,
}

impl Phase {
    /// As health checks tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

/// What the gateway is up to. It only goes forward.
#[derive(Debug, Default)]
pub struct Readiness {
    phase: AtomicU8,
    issuers: AtomicBool,
}

impl Readiness {
    /// Requests are taken from now on.
    pub fn serving(&self) {
        self.phase.fetch_max(1, Ordering::Relaxed);
    }

    /// The end has begun.
    pub fn draining(&self) {
        self.phase.fetch_max(2, Ordering::Relaxed);
    }

    /// Whether every issuer has been asked for its keys once. That it was so is enough: an issuer
    /// that a reload adds does not take the gateway out of service.
    pub fn issuers_tried(&self, now: bool) -> bool {
        self.issuers.fetch_or(now, Ordering::Relaxed) || now
    }

    /// What the gateway is up to.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_drains_never_becomes_ready_again() {
        let readiness = Readiness::default();
        assert_eq!(readiness.phase(), Phase::Starting);
        readiness.serving();
        readiness.draining();
        readiness.serving();
        assert_eq!(readiness.phase(), Phase::Draining);
    }
}
