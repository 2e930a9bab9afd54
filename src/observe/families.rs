//! Every metric family: its name, kind, labels and meaning. The registry and the reference are both
//! made from this list.

use prometheus::{
    Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};

/// What a family counts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Seconds, in buckets.
    Histogram,
}

impl Kind {
    /// As the exposition format names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its full name.
    pub name: &'static str,
    /// What it counts with.
    pub kind: Kind,
    /// Its labels; every value comes from the configuration or from a fixed set.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! families {
    ($($ident:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $ident: Family = Family {
                name: concat!("portcullis_", $name),
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// All families, in the order of the reference.
        pub const ALL: &[Family] = &[$($ident),*];
    };
}

families! {
    REQUESTS = Counter "requests_total" ["route", "method", "status"]
        "Requests answered; a request without a route is `-`, an unusual method `other`.";
    REQUEST_DURATION = Histogram "request_duration_seconds" ["route"]
        "From the end of a request's header to the end of its response.";
    IN_FLIGHT = Gauge "requests_in_flight" []
        "Requests being answered now.";
    OVERHEAD = Histogram "gateway_overhead_seconds" []
        "Time of a request not spent waiting for the upstream or the client.";
    DECISIONS = Counter "decisions_total" ["route", "outcome", "reason"]
        "Decisions: allowed, denied, or shadow_denied where `mode: shadow` let a refusal through.";
    AUTHENTICATIONS = Counter "authentications_total" ["method", "outcome"]
        "Credentials looked at: success or failure by method; none was presented: `none`, missing.";
    RATE_LIMITED = Counter "rate_limited_total" ["route", "limit"]
        "Requests refused by a limit.";
    UPSTREAM_REQUESTS = Counter "upstream_requests_total" ["upstream", "target", "status"]
        "Answers of upstreams; `error` and `timeout` where none came.";
    UPSTREAM_DURATION = Histogram "upstream_duration_seconds" ["upstream"]
        "From the request's going upstream to the head of the response.";
    UPSTREAM_HEALTHY = Gauge "upstream_healthy" ["upstream", "target"]
        "1 if a target takes requests, 0 if health checks or its failures keep them from it.";
    CONNECTIONS = Gauge "connections" ["listener"]
        "Open connections by listener address.";
    CONNECTIONS_REFUSED = Counter "connections_refused_total" ["listener", "reason"]
        "Connections closed as they came: total or address, too many are open; announcement, a wrong or missing header of the PROXY protocol.";
    RELOADS = Counter "config_reloads_total" ["outcome"]
        "Reloads of the configuration: success or failure.";
    LAST_RELOAD_SUCCESSFUL = Gauge "config_last_reload_successful" []
        "1 if the last reload took effect, 0 if the last good configuration was kept.";
    LAST_RELOAD_SUCCESS = Gauge "config_last_success_timestamp_seconds" []
        "When the configuration that is live was loaded (Unix time).";
    STORE_UP = Gauge "store_up" []
        "1 while the store is heard, 0 while it is away; absent without a store.";
    JWKS_REFRESHES = Counter "jwks_refreshes_total" ["issuer", "outcome"]
        "Fetches of an issuer's keys: success or failure.";
    JWKS_AGE = Gauge "jwks_age_seconds" ["issuer"]
        "How long ago the keys were fetched by which an issuer's tokens are verified.";
    AUTHORITY_REQUESTS = Counter "authority_requests_total" ["method", "authority", "outcome"]
        "Questions to those who say what credentials are worth (`introspection`, `forward_auth`): accepted, refused, or error where no answer could be used.";
    AUTHORITY_DURATION = Histogram "authority_duration_seconds" ["method", "authority"]
        "How long they took to answer.";
    CACHE_REQUESTS = Counter "cache_requests_total" ["cache", "outcome"]
        "Look-ups in caches: hit or miss.";
    CACHE_ENTRIES = Gauge "cache_entries" ["cache"]
        "Entries held by caches.";
    RATE_LIMIT_KEYS = Gauge "rate_limit_keys" []
        "Counters held in memory.";
    HEADERS_STRIPPED = Counter "headers_stripped_total" ["kind"]
        "Request headers that did not go upstream: identity, forwarding, alias, hop.";
    CERTIFICATE_EXPIRY = Gauge "certificate_expiry_timestamp_seconds" ["name"]
        "When the certificate that listeners show for a name ends (Unix time).";
    LOG_LINES_DROPPED = Counter "log_lines_dropped_total" []
        "Log lines dropped because the writer did not keep up.";
    BUILD = Gauge "build_info" ["version", "revision"]
        "Always 1; what is running.";
}

/// From half a millisecond to half a minute.
const BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// From five microseconds to a tenth of a second: what the gateway itself takes.
const FINE_BUCKETS: &[f64] = &[
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005,
    0.01, 0.025, 0.1,
];

impl Family {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn histogram_opts(&self) -> HistogramOpts {
        let buckets = if self.name == OVERHEAD.name { FINE_BUCKETS } else { BUCKETS };
        HistogramOpts::new(self.name, self.help).buckets(buckets.to_vec())
    }
}

/// Makes the collectors of a registry from their families.
pub(super) struct Register<'r>(pub &'r Registry);

impl Register<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, made: C) -> Result<C, Error> {
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    pub fn counter(&self, family: &Family) -> Result<IntCounter, Error> {
        self.add(IntCounter::with_opts(family.opts())?)
    }

    pub fn counters(&self, family: &Family) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(family.opts(), family.labels)?)
    }

    pub fn gauge(&self, family: &Family) -> Result<IntGauge, Error> {
        self.add(IntGauge::with_opts(family.opts())?)
    }

    pub fn gauges(&self, family: &Family) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(family.opts(), family.labels)?)
    }

    pub fn float(&self, family: &Family) -> Result<Gauge, Error> {
        self.add(Gauge::with_opts(family.opts())?)
    }

    pub fn floats(&self, family: &Family) -> Result<GaugeVec, Error> {
        self.add(GaugeVec::new(family.opts(), family.labels)?)
    }

    pub fn histogram(&self, family: &Family) -> Result<Histogram, Error> {
        self.add(Histogram::with_opts(family.histogram_opts())?)
    }

    pub fn histograms(&self, family: &Family) -> Result<HistogramVec, Error> {
        self.add(HistogramVec::new(family.histogram_opts(), family.labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_a_row_for_each_family() {
        let page = include_str!("../../docs/operations.md");
        for family in ALL {
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let row = format!(
                "| `{}` | {} | {} | {} |\n",
                family.name,
                family.kind.as_str(),
                labels.join(", "),
                family.help
            );
            assert!(page.contains(&row), "docs/operations.md lacks this row:\n{row}");
        }
        assert_eq!(page.matches("\n| `portcullis_").count(), ALL.len());
    }
}
