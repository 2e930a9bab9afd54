//! The access log: one line per request, without the query string and without a credential.

use std::{io::Write as _, net::IpAddr, time::Duration};

use serde::{Serialize, Serializer};
use tracing_appender::non_blocking::NonBlocking;

use super::{
    logging::{self, Format},
    metrics::Outcome,
};
use crate::{
    model::{Principal, Timestamp},
    policy::rules::Route,
};

/// What became of one request.
#[derive(Debug)]
pub struct Entry<'e> {
    /// When its header had arrived.
    pub time: Timestamp,
    /// Its id.
    pub request_id: &'e str,
    /// The client's address.
    pub client_ip: IpAddr,
    /// Its method as sent.
    pub method: &'e str,
    /// Its `Host` as sent.
    pub host: &'e str,
    /// Its path as received, without the query.
    pub path: &'e [u8],
    /// The route that governed it.
    pub route: Option<&'e Route>,
    /// The status that was sent; 499 where the client went away before any was.
    pub status: u16,
    /// What was decided.
    pub outcome: Outcome,
    /// The exact cause of a refusal or a failure; `ok` where there is none.
    pub reason: &'static str,
    /// Who sent it.
    pub principal: Option<&'e Principal>,
    /// The upstream that it went to.
    pub upstream: Option<&'e str>,
    /// The address of it.
    pub target: Option<&'e str>,
    /// From its header to the end of the response.
    pub duration: Duration,
    /// From going upstream to the head of the response.
    pub upstream_duration: Option<Duration>,
    /// Bytes of its body.
    pub request_bytes: u64,
    /// Bytes of the response's body.
    pub response_bytes: u64,
    /// `HTTP/1.1`, …
    pub protocol: &'static str,
    /// The trace that it belongs to (W3C Trace Context).
    pub trace_id: Option<&'e str>,
}

/// Where lines go: a bounded queue that never holds a request up; what does not fit is dropped and
/// counted.
#[derive(Clone, Debug)]
pub struct AccessLog {
    writer: NonBlocking,
}

impl AccessLog {
    /// Writes into this queue.
    pub const fn new(writer: NonBlocking) -> Self {
        Self { writer }
    }

    /// Writes one line; `identity` says whether it tells who the principal is.
    pub fn write(&self, entry: &Entry<'_>, format: Format, identity: bool) {
        let mut line = Vec::with_capacity(640);
        match format {
            Format::Json => json_line(entry, identity, &mut line),
            Format::Text => text_line(entry, identity, &mut line),
        }
        // The queue drops and counts what it cannot take.
        let _ = self.writer.clone().write_all(&line);
    }
}

#[derive(Serialize)]
struct Line<'e> {
    time: String,
    request_id: &'e str,
    client_ip: IpAddr,
    method: &'e str,
    host: &'e str,
    path: &'e str,
    route: Option<&'e str>,
    status: u16,
    outcome: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Option<&'e str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<Option<&'e str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Names<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Names<'e>>,
    auth_method: Option<&'static str>,
    upstream: Option<&'e str>,
    target: Option<&'e str>,
    duration_ms: f64,
    upstream_ms: Option<f64>,
    request_bytes: u64,
    response_bytes: u64,
    protocol: &'static str,
    trace_id: Option<&'e str>,
}

enum Names<'e> {
    Permissions(Option<&'e Principal>),
    Roles(Option<&'e Principal>),
}

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Permissions(who) => serializer.collect_seq(
                who.iter().flat_map(|who| who.permissions.iter()).map(|name| name.as_str()),
            ),
            Self::Roles(who) => serializer
                .collect_seq(who.iter().flat_map(|who| who.roles.iter()).map(|name| name.as_str())),
        }
    }
}

fn json_line(entry: &Entry<'_>, identity: bool, line: &mut Vec<u8>) {
    let who = entry.principal;
    let written = Line {
        time: logging::rfc3339(entry.time),
        request_id: entry.request_id,
        client_ip: entry.client_ip,
        method: entry.method,
        host: entry.host,
        path: &String::from_utf8_lossy(entry.path),
        route: entry.route.map(|route| route.name.as_str()),
        status: entry.status,
        outcome: entry.outcome.as_str(),
        reason: entry.reason,
        principal: identity.then(|| who.map(|who| &*who.subject)),
        issuer: identity.then(|| who.map(|who| who.issuer.as_str())),
        roles: identity.then_some(Names::Roles(who)),
        permissions: identity.then_some(Names::Permissions(who)),
        auth_method: who.map(|who| who.method.as_str()),
        upstream: entry.upstream,
        target: entry.target,
        duration_ms: milliseconds(entry.duration),
        upstream_ms: entry.upstream_duration.map(milliseconds),
        request_bytes: entry.request_bytes,
        response_bytes: entry.response_bytes,
        protocol: entry.protocol,
        trace_id: entry.trace_id,
    };
    // Numbers, strings and lists of them always have a JSON form.
    let _ = serde_json::to_writer(&mut *line, &written);
    line.push(b'\n');
}

fn text_line(entry: &Entry<'_>, identity: bool, line: &mut Vec<u8>) {
    let who = entry.principal.filter(|_| identity).map_or("-", |who| &*who.subject);
    let route = entry.route.map_or("-", |route| route.name.as_str());
    // Writing to memory cannot fail.
    let _ = writeln!(
        line,
        "{} {} \"{} {}\" {} {} {} route={route} principal={} request_id={}",
        logging::rfc3339(entry.time),
        entry.client_ip,
        entry.method.escape_default(),
        entry.path.escape_ascii(),
        entry.status,
        entry.reason,
        format_args!("{:.3}ms", milliseconds(entry.duration)),
        who.escape_default(),
        entry.request_id,
    );
}

/// To the microsecond.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

#[cfg(test)]
mod tests;
