//! What a decision and an answer cause afterwards: counters and the access log.

use std::{borrow::Cow, time::Duration};

use http::HeaderMap;
use pingora::{Error, ErrorType, proxy::Session};

use super::{
    clock::Overdue,
    echo, errors,
    exchange::{Admitted, Exchange, protocol},
};
use crate::{
    gateway::Gateway,
    observe::{
        Entry,
        metrics::{Outcome, UpstreamMetrics},
    },
    policy::{Decision, Denial, Verdict, upstream::Service},
};

/// Counts a decision.
pub(super) fn decided(gateway: &Gateway, exchange: &Exchange, decision: &Decision) {
    let metrics = gateway.metrics();
    let route = exchange.snapshot.route_metrics(decision.route.as_ref());
    let denial = match &decision.verdict {
        Verdict::Deny(denial) => Some(denial),
        Verdict::Answer(_) | Verdict::Forward(_) | Verdict::Serve(_) => None,
    };
    let principal = decision.principal.as_ref().map(|principal| principal.method);
    metrics.authenticated(principal, denial);
    let (outcome, reason) = match (denial, &decision.shadow) {
        (Some(denial), _) => (Outcome::Denied, denial.reason()),
        (None, Some(denial)) => (Outcome::ShadowDenied, denial.reason()),
        (None, None) => (Outcome::Allowed, super::exchange::OK),
    };
    route.decided(outcome, reason);
    if let Some(Denial::RateLimited { limit, .. }) = denial.or(decision.shadow.as_ref()) {
        route.limited(limit);
    }
    if let Verdict::Forward(permit) = &decision.verdict {
        metrics.stripped(&permit.plan().stripped);
    }
}

/// Counts a refusal that needed no judge.
pub(super) fn refused(exchange: &Exchange, denial: &Denial) {
    exchange.snapshot.route_metrics(None).decided(Outcome::Denied, denial.reason());
}

/// Whether the client is why an attempt came to nothing: it let the target wait for a body that it then
/// did not get. The client is told so, and the target is not to blame.
pub(super) fn is_clients_doing(exchange: &mut Exchange, error: &Error) -> bool {
    let unanswered = exchange.leave().is_some_and(|admitted| admitted.status.is_none());
    let of_upstream = *error.esource() == pingora::ErrorSource::Upstream;
    if !unanswered || !of_upstream || !exchange.is_clients_doing() {
        return false;
    }
    if exchange.is_client_silent()
        && let Some(admitted) = exchange.on_its_way()
    {
        admitted.failed = Some(Denial::RequestTimeout);
    }
    true
}

/// Counts an attempt at an upstream that came to nothing; whether it was the upstream's fault.
pub(super) fn unanswered(exchange: &Exchange, target: usize, error: &Error) -> bool {
    let Some(admitted) = exchange.leave() else { return false };
    if admitted.status.is_some() {
        return false;
    }
    let overdue = exchange.clock.as_ref().and_then(|clock| clock.overdue());
    let timed_out = overdue == Some(Overdue::Upstream)
        || matches!(error.etype(), ErrorType::ConnectTimedout | ErrorType::ReadTimedout);
    let of_upstream = timed_out || *error.esource() == pingora::ErrorSource::Upstream;
    if !of_upstream {
        return false;
    }
    let status = if timed_out { UpstreamMetrics::TIMEOUT } else { UpstreamMetrics::ERROR };
    answered(exchange, target, status, None);
    true
}

/// Counts an answer of a target, or what stands for none.
pub(super) fn answered(exchange: &Exchange, target: usize, status: u16, took: Option<Duration>) {
    if let Some(metrics) = exchange.pool().and_then(|pool| pool.metrics(target)) {
        metrics.answered(status, took);
    }
}

/// Counts a request that is over, and writes its line.
pub(super) fn finished(gateway: &Gateway, session: &Session, exchange: &Exchange) {
    let header = session.req_header();
    let took = exchange.arrived.elapsed();
    let written = session.response_written().filter(|head| {
        !head.status.is_informational() || head.status == http::StatusCode::SWITCHING_PROTOCOLS
    });
    let status = written.map_or(errors::CLIENT_CLOSED, |head| head.status.as_u16());
    let route = exchange.snapshot.route_metrics(exchange.route.as_ref());
    route.answered(&header.method, status, took);
    let metrics = gateway.metrics();
    metrics.overhead.observe(overhead(exchange, took).as_secs_f64());
    let admitted = exchange.leave();
    if let Some((admitted, Some(status))) = admitted.map(|admitted| (admitted, admitted.status)) {
        answered(exchange, admitted.target_place(), status, admitted.took);
    }
    let log = exchange.snapshot.log();
    if !log.access {
        return;
    }
    let (upstream, target) = admitted.and_then(whither).unzip();
    let (path, host) = match &exchange.head {
        Some(head) => (Cow::Borrowed(head.path()), head.host()),
        None => (without_query(header.raw_path()), ""),
    };
    let principal = exchange.principal.as_deref();
    gateway.access_log().write(
        &Entry {
            time: exchange.time,
            request_id: exchange.request_id.as_str(),
            client_ip: exchange.client.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()),
            method: header.method.as_str(),
            host,
            path: path.as_bytes(),
            route: exchange.route.as_deref(),
            status,
            outcome: exchange.outcome,
            reason: exchange.reason,
            principal,
            upstream,
            target,
            duration: took,
            upstream_duration: admitted.and_then(|admitted| admitted.took),
            request_bytes: session.body_bytes_read() as u64,
            response_bytes: session.body_bytes_sent() as u64,
            protocol: protocol(header.version),
            trace_id: trace_id(&header.headers),
        },
        log.format,
        log.identity,
    );
}

/// What a request took on our side: until it went upstream or to its end, but for the waiting.
fn overhead(exchange: &Exchange, took: Duration) -> Duration {
    let ours = match exchange.leave().and_then(|admitted| admitted.left) {
        Some(left) => left.saturating_duration_since(exchange.arrived),
        None => took,
    };
    ours.saturating_sub(exchange.waited)
}

fn whither(admitted: &Admitted) -> Option<(&str, &str)> {
    let upstream = &admitted.forwarding()?.upstream;
    let target = match (&upstream.service, admitted.target()) {
        (Service::Echo, _) => echo::TARGET,
        (Service::Targets(_), Some(target)) => target.authority.as_str(),
        // None of them took it.
        (Service::Targets(_), None) => "",
    };
    Some((upstream.name.as_str(), target))
}

/// Of a target that could not be read.
fn without_query(target: &[u8]) -> Cow<'_, str> {
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    String::from_utf8_lossy(target.get(..end).unwrap_or_default())
}

/// The trace that a request belongs to (W3C Trace Context, section 3.2).
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let sound = version.len() == 2
        && version != "ff"
        && trace.len() == 32
        && is_hex(trace)
        && trace.bytes().any(|byte| byte != b'0');
    sound.then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_told_only_if_it_is_one() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            trace_id(&headers).map(str::to_owned)
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(), Some(id));
        assert_eq!(of("00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
        assert_eq!(of("00-XYZ-00f067aa0ba902b7-01"), None);
    }

    #[test]
    fn a_target_that_cannot_be_read_is_logged_without_its_query() {
        assert_eq!(without_query(b"x?token=secret"), "x");
    }
}
