//! Handles into the registry of what a configuration names: routes, targets, caches, issuers.

use std::{sync::Arc, time::Duration};

use http::Method;
use prometheus::{Histogram, IntCounter, IntGauge};

use super::series::{Lazy, Series};

/// The handles of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    pub(super) name: Box<str>,
    pub(super) requests: Series<(u8, u16)>,
    pub(super) decisions: Series<(Outcome, &'static str)>,
    pub(super) rate_limited: Series<Arc<str>>,
    pub(super) duration: Lazy,
}

impl RouteMetrics {
    /// Counts an answered request.
    pub fn answered(&self, method: &Method, status: u16, took: Duration) {
        let verb = verb(method);
        self.requests.count((verb, status), |family| {
            let name = VERBS.get(usize::from(verb)).copied().unwrap_or(OTHER);
            status_label(status, |status| family.with_label_values(&[&*self.name, name, status]))
        });
        self.duration.observe(&self.name, took);
    }

    /// Counts a decision.
    pub fn decided(&self, outcome: Outcome, reason: &'static str) {
        self.decisions.count((outcome, reason), |family| {
            family.with_label_values(&[&*self.name, outcome.as_str(), reason])
        });
    }

    /// The route is named no more. Requests that it still governs are counted no longer: what they
    /// would count by is forgotten, and nothing would ever take it away again.
    pub fn retire(&self) {
        self.requests.admit(Some(Vec::new()));
        self.decisions.admit(Some(Vec::new()));
        self.rate_limited.admit(Some(Vec::new()));
        self.duration.retire();
    }

    /// The route has these limits and no others; any if `None`.
    pub fn has_limits(&self, limits: Option<Vec<Arc<str>>>) {
        self.rate_limited.admit(limits);
    }

    /// The route's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a refusal by a limit.
    pub fn limited(&self, limit: &Arc<str>) {
        self.rate_limited
            .count(limit.clone(), |family| family.with_label_values(&[&*self.name, &**limit]));
    }
}

/// The handles of one target of an upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    pub(super) name: Box<str>,
    pub(super) target: Box<str>,
    pub(super) requests: Series<u16>,
    pub(super) duration: Lazy,
}

impl UpstreamMetrics {
    /// The status that stands for an upstream that did not answer.
    pub const ERROR: u16 = 0;
    /// The status that stands for an upstream that did not answer in time.
    pub const TIMEOUT: u16 = 1;

    /// The target is named no more: see [`RouteMetrics::retire`].
    pub fn retire(&self) {
        self.requests.admit(Some(Vec::new()));
        self.duration.retire();
    }

    /// Counts an answer, or that none came.
    pub fn answered(&self, status: u16, took: Option<Duration>) {
        self.requests.count(status, |family| {
            let with =
                |status: &str| family.with_label_values(&[&*self.name, &*self.target, status]);
            match status {
                Self::ERROR => with("error"),
                Self::TIMEOUT => with("timeout"),
                _ => status_label(status, with),
            }
        });
        if let Some(took) = took {
            self.duration.observe(&self.name, took);
        }
    }
}

/// The handles of one cache.
#[derive(Clone, Debug)]
pub struct CacheMetrics {
    pub(super) hits: IntCounter,
    pub(super) misses: IntCounter,
    pub(super) entries: IntGauge,
}

impl CacheMetrics {
    /// Takes over what the cache counted itself.
    pub fn tell(&self, hits: u64, misses: u64, entries: u64) {
        self.hits.inc_by(hits.saturating_sub(self.hits.get()));
        self.misses.inc_by(misses.saturating_sub(self.misses.get()));
        self.entries.set(i64::try_from(entries).unwrap_or(i64::MAX));
    }
}

/// The counters of fetches of one issuer's keys.
#[derive(Clone, Debug)]
pub struct RefreshMetrics {
    /// Fetches that brought keys.
    pub success: IntCounter,
    /// Fetches that did not.
    pub failure: IntCounter,
}

/// The handles of somebody who is asked what credentials are worth.
#[derive(Clone, Debug)]
pub struct AuthorityMetrics {
    /// Answers that vouch for a credential.
    pub accepted: IntCounter,
    /// Answers that do not.
    pub refused: IntCounter,
    /// No answer, or one that cannot be used.
    pub failed: IntCounter,
    /// How long the answers took.
    pub duration: Histogram,
}

/// What a decision came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Let through.
    Allowed,
    /// Refused.
    Denied,
    /// Refused by a route in shadow mode, and let through.
    ShadowDenied,
}

impl Outcome {
    /// As in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::ShadowDenied => "shadow_denied",
        }
    }
}

const OTHER: &str = "other";
const VERBS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER];

fn verb(method: &Method) -> u8 {
    let position = VERBS.iter().position(|verb| *verb == method.as_str());
    position.and_then(|position| u8::try_from(position).ok()).unwrap_or(7)
}

fn status_label<T>(status: u16, with: impl FnOnce(&str) -> T) -> T {
    if (100..600).contains(&status) { with(&status.to_string()) } else { with(OTHER) }
}
