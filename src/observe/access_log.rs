//! The access log: one line per request, without the query string and without a credential.

use std::{cell::RefCell, io::Write as _, net::IpAddr, time::Duration};

use super::{line, logging::Format, metrics::Outcome, queue::Queue};
use crate::{
    model::{JsonObject, Principal, Timestamp},
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
    queue: Queue,
}

impl AccessLog {
    /// Writes into this queue.
    pub const fn new(queue: Queue) -> Self {
        Self { queue }
    }

    /// Writes one line; `identity` says whether it tells who the principal is.
    pub fn write(&self, entry: &Entry<'_>, format: Format, identity: bool) {
        /// Bytes of memory that a thread keeps for its next line.
        const KEPT: usize = 16 << 10;
        thread_local! {
            static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        LINE.with_borrow_mut(|line| {
            match format {
                Format::Json => json_line(entry, identity, line),
                Format::Text => text_line(entry, identity, line),
            }
            self.queue.push(line);
            line.clear();
            line.shrink_to(KEPT);
        });
    }
}

fn json_line(entry: &Entry<'_>, identity: bool, line: &mut Vec<u8>) {
    let who = entry.principal;
    let mut object = JsonObject::begin(line);
    let time = object.member("time");
    time.push(b'"');
    line::push_rfc3339(entry.time, time);
    time.push(b'"');
    object.text("request_id", entry.request_id);
    object.address("client_ip", entry.client_ip);
    object.text("method", entry.method);
    object.text("host", entry.host);
    object.text("path", &*String::from_utf8_lossy(entry.path));
    object.text("route", entry.route.map(|route| route.name.as_str()));
    object.number("status", entry.status.into());
    object.text("outcome", entry.outcome.as_str());
    object.text("reason", entry.reason);
    if identity {
        let roles = who.iter().flat_map(|who| who.roles.iter());
        let permissions = who.iter().flat_map(|who| who.permissions.iter());
        object.text("principal", who.map(|who| &*who.subject));
        object.text("issuer", who.map(|who| who.issuer.as_str()));
        object.texts("roles", roles.map(|role| role.as_str()));
        object.texts("permissions", permissions.map(|permission| permission.as_str()));
    }
    object.text("auth_method", who.map(|who| who.method.as_str()));
    object.text("upstream", entry.upstream);
    object.text("target", entry.target);
    line::push_milliseconds(entry.duration, object.member("duration_ms"));
    let upstream = object.member("upstream_ms");
    match entry.upstream_duration {
        Some(took) => line::push_milliseconds(took, upstream),
        None => upstream.extend_from_slice(b"null"),
    }
    object.number("request_bytes", entry.request_bytes);
    object.number("response_bytes", entry.response_bytes);
    object.text("protocol", entry.protocol);
    object.text("trace_id", entry.trace_id);
    object.end();
    line.push(b'\n');
}

fn text_line(entry: &Entry<'_>, identity: bool, line: &mut Vec<u8>) {
    let who = entry.principal.filter(|_| identity).map_or("-", |who| &*who.subject);
    let route = entry.route.map_or("-", |route| route.name.as_str());
    line::push_rfc3339(entry.time, line);
    // Writing to memory cannot fail.
    let _ = write!(
        line,
        " {} \"{} {}\" {} {} ",
        entry.client_ip,
        entry.method.escape_default(),
        entry.path.escape_ascii(),
        entry.status,
        entry.reason,
    );
    line::push_milliseconds(entry.duration, line);
    let _ = writeln!(
        line,
        "ms route={route} principal={} request_id={}",
        who.escape_default(),
        entry.request_id,
    );
}

#[cfg(test)]
mod tests;
