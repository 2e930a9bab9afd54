//! The registry, and handles into it that are resolved when a configuration is loaded, so that a
//! request formats no label and looks none up.

mod handles;
mod named;
mod series;
mod totals;

use std::sync::Arc;

pub use handles::{
    AuthorityMetrics, CacheMetrics, Outcome, RefreshMetrics, RouteMetrics, UpstreamMetrics,
};
pub use named::Named;
use prometheus::{
    Encoder as _, Error, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Registry, TextEncoder,
};
use series::{Lazy, Series};
use totals::{Authentications, StrippedCounters};

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
    connections_refused: IntCounterVec,
    store_up: IntGaugeVec,
    cache_requests: IntCounterVec,
    cache_entries: IntGaugeVec,
    authentications: Authentications,
    stripped: StrippedCounters,
    authority_requests: IntCounterVec,
    authority_duration: HistogramVec,
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
            connections_refused: add.counters(&families::CONNECTIONS_REFUSED)?,
            store_up: add.gauges(&families::STORE_UP)?,
            cache_requests: add.counters(&families::CACHE_REQUESTS)?,
            cache_entries: add.gauges(&families::CACHE_ENTRIES)?,
            authentications: Authentications::new(&add.counters(&families::AUTHENTICATIONS)?),
            stripped: StrippedCounters::new(&add.counters(&families::HEADERS_STRIPPED)?),
            authority_requests: add.counters(&families::AUTHORITY_REQUESTS)?,
            authority_duration: add.histograms(&families::AUTHORITY_DURATION)?,
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

    /// The counter of a listener's connections that were closed as they came, for this reason.
    pub fn connections_refused(&self, listener: &str, reason: &str) -> IntCounter {
        self.connections_refused.with_label_values(&[listener, reason])
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

    /// The handles of somebody who is asked what credentials are worth.
    pub fn authority(&self, method: CredentialKind, name: &str) -> AuthorityMetrics {
        let method = method.as_str();
        let requests =
            |outcome| self.authority_requests.with_label_values(&[method, name, outcome]);
        AuthorityMetrics {
            accepted: requests("accepted"),
            refused: requests("refused"),
            failed: requests("error"),
            duration: self.authority_duration.with_label_values(&[method, name]),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

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
