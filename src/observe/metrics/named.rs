//! What a configuration names. Series of anything else go away with the configuration that named it,
//! so that there are never more than the one that is live accounts for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use prometheus::core::{Collector as _, MetricVec, MetricVecBuilder};

use super::{
    Metrics,
    families::{self, Family},
};
use crate::model::CredentialKind;

/// What the live configuration names.
#[derive(Debug, Default)]
pub struct Named<'n> {
    /// Routes, each with its limits. `-` need not be among them.
    pub routes: HashMap<&'n str, Vec<Arc<str>>>,
    /// Upstreams with their targets.
    pub targets: HashSet<(&'n str, &'n str)>,
    /// Issuers.
    pub issuers: HashSet<&'n str>,
    /// Whoever is asked what credentials are worth, by the method that asks.
    pub authorities: HashSet<(CredentialKind, &'n str)>,
}

impl Metrics {
    /// Forgets the series of whatever is not named.
    pub fn keep(&self, named: &Named<'_>) {
        let upstreams: HashSet<&str> =
            named.targets.iter().map(|(upstream, _)| *upstream).collect();
        let authorities: HashSet<_> =
            named.authorities.iter().map(|(method, name)| (method.as_str(), *name)).collect();
        let route = |labels: &[&str]| match labels {
            ["-", ..] => true,
            [route, ..] => named.routes.contains_key(route),
            [] => true,
        };
        let limit = |labels: &[&str]| match labels {
            ["-", _] => true,
            [route, limit] => {
                let limits = named.routes.get(route);
                limits.is_some_and(|limits| limits.iter().any(|known| **known == **limit))
            }
            _ => true,
        };
        let target = |labels: &[&str]| match labels {
            [upstream, target, ..] => named.targets.contains(&(*upstream, *target)),
            _ => true,
        };
        let upstream = |labels: &[&str]| labels.iter().all(|name| upstreams.contains(name));
        let issuer = |labels: &[&str]| match labels {
            [issuer, ..] => named.issuers.contains(issuer),
            [] => true,
        };
        let authority = |labels: &[&str]| match labels {
            [method, name, ..] => authorities.contains(&(*method, *name)),
            _ => true,
        };
        forget(&self.requests, &families::REQUESTS, route);
        forget(&self.request_duration, &families::REQUEST_DURATION, route);
        forget(&self.decisions, &families::DECISIONS, route);
        forget(&self.rate_limited, &families::RATE_LIMITED, limit);
        forget(&self.upstream_requests, &families::UPSTREAM_REQUESTS, target);
        forget(&self.upstream_duration, &families::UPSTREAM_DURATION, upstream);
        forget(&self.jwks_refreshes, &families::JWKS_REFRESHES, issuer);
        forget(&self.authority_requests, &families::AUTHORITY_REQUESTS, authority);
        forget(&self.authority_duration, &families::AUTHORITY_DURATION, authority);
    }
}

/// Removes the series whose labels, in the order of their family, are not to be kept. Whoever holds
/// a handle of one counts on where nobody looks.
fn forget<B: MetricVecBuilder>(
    series: &MetricVec<B>,
    family: &Family,
    kept: impl Fn(&[&str]) -> bool,
) {
    for gathered in series.collect() {
        for metric in gathered.get_metric() {
            let value = |label: &&str| {
                let pair = metric.get_label().iter().find(|pair| pair.name() == *label);
                pair.map_or("", |pair| pair.value())
            };
            let labels: Vec<&str> = family.labels.iter().map(value).collect();
            if !kept(&labels) {
                let _ = series.remove_label_values(&labels);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;
    use crate::observe::metrics::{Outcome, UpstreamMetrics};

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.exposition().unwrap()).unwrap()
    }

    fn named<'n>(route: &'n str, upstream: &'n str, limit: &str) -> Named<'n> {
        Named {
            routes: [(route, vec![limit.into()])].into(),
            targets: [(upstream, "10.0.0.1:80")].into(),
            issuers: [route].into(),
            authorities: [(CredentialKind::Introspection, route)].into(),
        }
    }

    #[test]
    fn what_is_named_no_more_is_forgotten_in_every_family() {
        let metrics = Metrics::new("1", "r").unwrap();
        for number in 0..30 {
            let name = format!("n{number}");
            let route = metrics.route(&name);
            route.answered(&Method::GET, 200, Duration::ZERO);
            route.decided(Outcome::Denied, "expired");
            route.limited(&name.as_str().into());
            let upstream = metrics.upstream(&name, "10.0.0.1:80");
            upstream.answered(200, Some(Duration::ZERO));
            metrics.jwks_refreshes(&name).success.inc();
            metrics.authority(CredentialKind::Introspection, &name).accepted.inc();
            metrics.keep(&named(&name, &name, &name));
            route.retire();
            upstream.retire();
        }
        let text = text(&metrics);
        assert!(!text.contains("\"n28\""), "{text}");
        for family in ["requests", "decisions", "rate_limited", "upstream_requests"] {
            let family = format!("portcullis_{family}_total{{");
            let lines: Vec<_> = text.lines().filter(|line| line.starts_with(&family)).collect();
            assert!(matches!(&lines[..], [one] if one.contains("\"n29\"")), "{lines:?}");
        }
        for family in ["jwks_refreshes", "authority_requests"] {
            assert!(text.contains(&format!("portcullis_{family}_total{{")), "{text}");
        }
    }

    #[test]
    fn a_request_of_a_route_that_is_gone_brings_no_series_back() {
        let metrics = Metrics::new("1", "r").unwrap();
        let (route, upstream) = (metrics.route("old"), metrics.upstream("old", "10.0.0.1:80"));
        route.answered(&Method::GET, 200, Duration::ZERO);
        route.retire();
        upstream.retire();
        metrics.keep(&named("new", "new", "x"));
        // One that it counted by already, and others.
        route.answered(&Method::GET, 200, Duration::ZERO);
        route.answered(&Method::PUT, 503, Duration::ZERO);
        route.decided(Outcome::Allowed, "ok");
        route.limited(&"x".into());
        upstream.answered(UpstreamMetrics::ERROR, Some(Duration::ZERO));
        assert!(!text(&metrics).contains("\"old\""), "{}", text(&metrics));
    }

    #[test]
    fn a_limit_that_was_changed_is_forgotten_and_counted_anew_when_it_comes_back() {
        let metrics = Metrics::new("1", "r").unwrap();
        let route = metrics.route("read");
        let line = |limit: &str| {
            format!("portcullis_rate_limited_total{{limit=\"{limit}\",route=\"read\"}} 1")
        };
        for (limit, other) in [("a", "b"), ("b", "a"), ("a", "b")] {
            route.has_limits(Some(vec![limit.into()]));
            metrics.keep(&named("read", "u", limit));
            route.limited(&limit.into());
            route.limited(&other.into());
            let text = text(&metrics);
            assert!(text.contains(&line(limit)) && !text.contains(&line(other)), "{text}");
        }
    }

    #[test]
    fn requests_without_a_route_are_always_counted() {
        let metrics = Metrics::new("1", "r").unwrap();
        metrics.route("-").decided(Outcome::Denied, "no_route");
        metrics.keep(&Named::default());
        assert!(text(&metrics).contains("reason=\"no_route\",route=\"-\"} 1"));
    }
}
