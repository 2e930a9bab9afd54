//! The registry, and handles into it that are resolved when a configuration is loaded, so that a
//! request formats no label and looks none up.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::Method;
use parking_lot::RwLock;
use prometheus::{
    Encoder as _, Error, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use super::families::{self, Register};
use crate::{
    model::CredentialKind,
    policy::{Denial, forward::Stripped},
};

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    decisions: IntCounterVec,
    rate_limited: IntCounterVec,
    upstream_requests: IntCounterVec,
    upstream_duration: HistogramVec,
    upstream_healthy: IntGaugeVec,
    connections: IntGaugeVec,
    store_up: IntGaugeVec,
    cache_requests: IntCounterVec,
    cache_entries: IntGaugeVec,
    authentications: Authentications,
    stripped: StrippedCounters,
    jwks_refreshes: IntCounterVec,
    jwks_age: GaugeVec,
    reload_success: IntCounter,
    reload_failure: IntCounter,
    last_reload_successful: IntGauge,
    last_reload_success: Gauge,
    certificate_expiry: GaugeVec,
    log_lines_dropped: IntCounter,
    /// Requests being answered now.
    pub in_flight: IntGauge,
    /// Time not spent waiting for the upstream or the client.
    pub overhead: Histogram,
    /// Counters held in memory.
    pub rate_limit_keys: IntGauge,
}

impl Metrics {
    /// A fresh registry with every family in it.
    ///
    /// # Errors
    /// A family that is defined twice or wrongly; a fault of this program.
    pub fn new(version: &str, revision: &str) -> Result<Arc<Self>, Error> {
        let registry = Registry::new();
        let add = Register(&registry);
        let reloads = add.counters(&families::RELOADS)?;
        let build: GaugeVec = add.floats(&families::BUILD)?;
        build.with_label_values(&[version, revision]).set(1.0);
        let metrics = Self {
            requests: add.counters(&families::REQUESTS)?,
            request_duration: add.histograms(&families::REQUEST_DURATION)?,
            decisions: add.counters(&families::DECISIONS)?,
            rate_limited: add.counters(&families::RATE_LIMITED)?,
            upstream_requests: add.counters(&families::UPSTREAM_REQUESTS)?,
            upstream_duration: add.histograms(&families::UPSTREAM_DURATION)?,
            upstream_healthy: add.gauges(&families::UPSTREAM_HEALTHY)?,
            connections: add.gauges(&families::CONNECTIONS)?,
            store_up: add.gauges(&families::STORE_UP)?,
            cache_requests: add.counters(&families::CACHE_REQUESTS)?,
            cache_entries: add.gauges(&families::CACHE_ENTRIES)?,
            authentications: Authentications::new(&add.counters(&families::AUTHENTICATIONS)?),
            stripped: StrippedCounters::new(&add.counters(&families::HEADERS_STRIPPED)?),
            jwks_refreshes: add.counters(&families::JWKS_REFRESHES)?,
            jwks_age: add.floats(&families::JWKS_AGE)?,
            reload_success: reloads.with_label_values(&["success"]),
            reload_failure: reloads.with_label_values(&["failure"]),
            last_reload_successful: add.gauge(&families::LAST_RELOAD_SUCCESSFUL)?,
            last_reload_success: add.float(&families::LAST_RELOAD_SUCCESS)?,
            certificate_expiry: add.floats(&families::CERTIFICATE_EXPIRY)?,
            log_lines_dropped: add.counter(&families::LOG_LINES_DROPPED)?,
            in_flight: add.gauge(&families::IN_FLIGHT)?,
            overhead: add.histogram(&families::OVERHEAD)?,
            rate_limit_keys: add.gauge(&families::RATE_LIMIT_KEYS)?,
            registry: registry.clone(),
        };
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Arc::new(metrics))
    }

    /// The handles of a route; `-` is for requests without one.
    pub fn route(&self, name: &str) -> Arc<RouteMetrics> {
        Arc::new(RouteMetrics {
            name: name.into(),
            requests: Series::new(self.requests.clone()),
            decisions: Series::new(self.decisions.clone()),
            rate_limited: Series::new(self.rate_limited.clone()),
            duration: Lazy::new(self.request_duration.clone()),
        })
    }

    /// The handles of an upstream's target.
    pub fn upstream(&self, name: &str, target: &str) -> Arc<UpstreamMetrics> {
        Arc::new(UpstreamMetrics {
            name: name.into(),
            target: target.into(),
            requests: Series::new(self.upstream_requests.clone()),
            duration: Lazy::new(self.upstream_duration.clone()),
        })
    }

    /// The gauge of a target's health.
    pub fn upstream_healthy(&self, name: &str, target: &str) -> IntGauge {
        self.upstream_healthy.with_label_values(&[name, target])
    }

    /// Forgets the gauges of targets, which may be others now.
    pub fn forget_upstream_health(&self) {
        self.upstream_healthy.reset();
    }

    /// The gauge of open connections of a listener.
    pub fn connections(&self, listener: &str) -> IntGauge {
        self.connections.with_label_values(&[listener])
    }

    /// The handles of a cache.
    pub fn cache(&self, name: &str) -> CacheMetrics {
        CacheMetrics {
            hits: self.cache_requests.with_label_values(&[name, "hit"]),
            misses: self.cache_requests.with_label_values(&[name, "miss"]),
            entries: self.cache_entries.with_label_values(&[name]),
        }
    }

    /// Says whether the store is heard.
    pub fn store_up(&self, up: bool) {
        self.store_up.with_label_values::<&str>(&[]).set(i64::from(up));
    }

    /// The counters of fetches of an issuer's keys.
    pub fn jwks_refreshes(&self, issuer: &str) -> RefreshMetrics {
        RefreshMetrics {
            success: self.jwks_refreshes.with_label_values(&[issuer, "success"]),
            failure: self.jwks_refreshes.with_label_values(&[issuer, "failure"]),
        }
    }

    /// Says how old the keys of issuers are, in seconds; of no others anything is said.
    pub fn jwks_ages<'n>(&self, ages: impl IntoIterator<Item = (&'n str, f64)>) {
        self.jwks_age.reset();
        for (issuer, age) in ages {
            self.jwks_age.with_label_values(&[issuer]).set(age);
        }
    }

    /// Counts what authentication came to.
    pub fn authenticated(&self, principal: Option<CredentialKind>, denial: Option<&Denial>) {
        self.authentications.count(principal, denial);
    }

    /// Counts headers that did not go upstream.
    pub fn stripped(&self, stripped: &Stripped) {
        self.stripped.count(stripped);
    }

    /// Counts a reload that took effect, at this Unix time.
    pub fn reloaded(&self, at: f64) {
        self.reload_success.inc();
        self.loaded(at);
    }

    /// Notes that a configuration went live, at this Unix time.
    pub fn loaded(&self, at: f64) {
        self.last_reload_successful.set(1);
        self.last_reload_success.set(at);
    }

    /// Says when certificates end (Unix time), by their name; of several with one name the first to
    /// end counts.
    pub fn certificates<'n>(&self, ends: impl Iterator<Item = (&'n str, f64)>) {
        self.certificate_expiry.reset();
        for (name, end) in ends {
            let gauge = self.certificate_expiry.with_label_values(&[name]);
            if gauge.get() == 0.0 || end < gauge.get() {
                gauge.set(end);
            }
        }
    }

    /// Counts a reload that was refused.
    pub fn reload_failed(&self) {
        self.reload_failure.inc();
        self.last_reload_successful.set(0);
    }

    /// Brings the counter of dropped log lines up to this total.
    pub fn log_lines_dropped(&self, total: u64) {
        self.log_lines_dropped.inc_by(total.saturating_sub(self.log_lines_dropped.get()));
    }

    /// Everything in the text exposition format.
    ///
    /// # Errors
    /// A family that cannot be written; a fault of this program.
    pub fn exposition(&self) -> Result<Vec<u8>, Error> {
        let mut text = Vec::with_capacity(16 << 10);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// The handles of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    name: Box<str>,
    requests: Series<(u8, u16)>,
    decisions: Series<(Outcome, &'static str)>,
    rate_limited: Series<Arc<str>>,
    duration: Lazy,
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

    /// Counts a refusal by a limit.
    pub fn limited(&self, limit: &Arc<str>) {
        self.rate_limited
            .count(limit.clone(), |family| family.with_label_values(&[&*self.name, &**limit]));
    }
}

/// The handles of one target of an upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    name: Box<str>,
    target: Box<str>,
    requests: Series<u16>,
    duration: Lazy,
}

impl UpstreamMetrics {
    /// The status that stands for an upstream that did not answer.
    pub const ERROR: u16 = 0;
    /// The status that stands for an upstream that did not answer in time.
    pub const TIMEOUT: u16 = 1;

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
    hits: IntCounter,
    misses: IntCounter,
    entries: IntGauge,
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

/// Counters of one family that were needed so far, each looked up by its labels once.
#[derive(Debug)]
struct Series<K> {
    family: IntCounterVec,
    // A handful of entries: what one route answers. A scan is quicker than any hash.
    known: RwLock<Vec<(K, IntCounter)>>,
}

impl<K: PartialEq> Series<K> {
    const fn new(family: IntCounterVec) -> Self {
        Self { family, known: RwLock::new(Vec::new()) }
    }

    fn count(&self, key: K, resolve: impl FnOnce(&IntCounterVec) -> IntCounter) {
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
struct Lazy {
    family: HistogramVec,
    made: OnceLock<Histogram>,
}

impl Lazy {
    const fn new(family: HistogramVec) -> Self {
        Self { family, made: OnceLock::new() }
    }

    fn observe(&self, label: &str, took: Duration) {
        let histogram = self.made.get_or_init(|| self.family.with_label_values(&[label]));
        histogram.observe(took.as_secs_f64());
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

#[derive(Debug)]
struct Authentications {
    api_key: [IntCounter; 2],
    basic: [IntCounter; 2],
    jwt: [IntCounter; 2],
    missing: IntCounter,
}

impl Authentications {
    fn new(family: &IntCounterVec) -> Self {
        let both = |method: CredentialKind| {
            ["success", "failure"]
                .map(|outcome| family.with_label_values(&[method.as_str(), outcome]))
        };
        Self {
            api_key: both(CredentialKind::ApiKey),
            basic: both(CredentialKind::Basic),
            jwt: both(CredentialKind::Jwt),
            missing: family.with_label_values(&["none", "missing"]),
        }
    }

    fn of(&self, kind: CredentialKind) -> &[IntCounter; 2] {
        match kind {
            CredentialKind::ApiKey => &self.api_key,
            CredentialKind::Basic => &self.basic,
            CredentialKind::Jwt => &self.jwt,
        }
    }

    fn count(&self, principal: Option<CredentialKind>, denial: Option<&Denial>) {
        if let Some(kind) = principal {
            let [success, _] = self.of(kind);
            return success.inc();
        }
        let Some(denial) = denial else { return };
        let kind = if matches!(denial, Denial::InvalidApiKey { .. }) {
            CredentialKind::ApiKey
        } else if matches!(denial, Denial::InvalidCredentials { .. }) {
            CredentialKind::Basic
        } else if matches!(denial, Denial::InvalidToken { .. }) {
            CredentialKind::Jwt
        } else {
            if matches!(denial, Denial::MissingCredentials { .. }) {
                self.missing.inc();
            }
            return;
        };
        let [_, failure] = self.of(kind);
        failure.inc();
    }
}

#[derive(Debug)]
struct StrippedCounters {
    alias: IntCounter,
    forwarding: IntCounter,
    hop: IntCounter,
    identity: IntCounter,
}

impl StrippedCounters {
    fn new(family: &IntCounterVec) -> Self {
        let kind = |kind: &str| family.with_label_values(&[kind]);
        Self {
            alias: kind("alias"),
            forwarding: kind("forwarding"),
            hop: kind("hop"),
            identity: kind("identity"),
        }
    }

    fn count(&self, stripped: &Stripped) {
        let Stripped { alias, forwarding, hop, identity } = *stripped;
        for (counter, number) in [
            (&self.alias, alias),
            (&self.forwarding, forwarding),
            (&self.hop, hop),
            (&self.identity, identity),
        ] {
            if number > 0 {
                counter.inc_by(u64::from(number));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.exposition().unwrap()).unwrap()
    }

    #[test]
    fn a_request_is_counted_under_its_route_method_and_status() {
        let metrics = Metrics::new("1", "r").unwrap();
        let route = metrics.route("read");
        for method in [Method::GET, Method::GET, Method::from_bytes(b"BREW").unwrap()] {
            route.answered(&method, 200, Duration::from_millis(3));
        }
        let text = text(&metrics);
        assert!(
            text.contains(
                "portcullis_requests_total{method=\"GET\",route=\"read\",status=\"200\"} 2"
            )
        );
        assert!(text.contains(
            "portcullis_requests_total{method=\"other\",route=\"read\",status=\"200\"} 1"
        ));
        assert!(text.contains("portcullis_request_duration_seconds_count{route=\"read\"} 3"));
    }

    #[test]
    fn a_route_that_survives_a_reload_goes_on_counting() {
        let metrics = Metrics::new("1", "r").unwrap();
        for _ in 0..2 {
            metrics.route("read").decided(Outcome::Denied, "expired");
        }
        assert!(text(&metrics).contains(
            "portcullis_decisions_total{outcome=\"denied\",reason=\"expired\",route=\"read\"} 2"
        ));
    }

    #[test]
    fn dropped_lines_are_a_running_total() {
        let metrics = Metrics::new("1", "r").unwrap();
        metrics.log_lines_dropped(3);
        metrics.log_lines_dropped(5);
        assert!(text(&metrics).contains("portcullis_log_lines_dropped_total 5"));
    }

    #[test]
    fn every_family_is_registered_under_its_own_name() {
        let mut names: Vec<_> = families::ALL.iter().map(|family| family.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), families::ALL.len());
        Metrics::new("1", "r").unwrap();
    }
}
