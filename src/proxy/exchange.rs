//! The state of one request, from its header to its log line.

use std::{
    net::IpAddr,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Version};

use super::{clock::Clock, framing::Body, journey::Journey, lease::Lease};
use crate::{
    gateway::{InFlight, RequestId, Snapshot},
    model::{Principal, Timestamp},
    observe::metrics::Outcome,
    policy::{
        Decision, Denial, Permit, Verdict,
        authn::ClientCertificate,
        forward::ResponsePlan,
        metadata::{MetadataTerms, Origin},
        request::Scheme,
        rules::{Action, Forwarding, Route},
    },
};

/// One request. The snapshot that it began with decides on it to its end.
#[derive(Debug)]
pub(super) struct Exchange {
    /// What is live when the request begins.
    pub snapshot: Arc<Snapshot>,
    /// When its header had arrived.
    pub arrived: Instant,
    /// The same, by the calendar.
    pub time: Timestamp,
    /// Its id.
    pub request_id: RequestId,
    /// What was read of its head; absent where that failed.
    pub head: Option<ReadHead>,
    /// The connection's other end.
    pub peer: Option<IpAddr>,
    /// The client's address, or the connection's other end.
    pub client: Option<IpAddr>,
    /// The port of the listener that it came in by.
    pub port: u16,
    /// How the listener was reached; once the request is decided on, how the client came.
    pub scheme: Scheme,
    /// The port at which the client finds the same by `https`, if it is to go there.
    pub https: Option<u16>,
    /// The certificate that the client showed.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// Whether it is a call of gRPC, and told of its failure in those terms.
    pub call: bool,
    /// The clock of its connection, or of its stream.
    pub clock: Option<Arc<Clock>>,
    /// The route that governs it.
    pub route: Option<Arc<Route>>,
    /// Who sent it.
    pub principal: Option<Arc<Principal>>,
    /// What is done to its response, whoever makes it.
    pub response: ResponsePlan,
    /// What was decided, for the log and the metrics.
    pub outcome: Outcome,
    /// The exact cause of a refusal or a failure.
    pub reason: &'static str,
    /// Bytes of the body that may still come.
    pub body_left: u64,
    /// Time spent waiting for the client, or for a place at the upstream, before it left.
    pub waited: Duration,
    /// How far it has come.
    pub stage: Stage,
    /// What watches over a response that is a stream.
    pub lease: Option<Lease>,
    /// Counts it among the requests being answered.
    _in_flight: InFlight,
}

/// What stays of a request's head when its borrowed reading is over.
#[derive(Debug)]
pub(super) struct ReadHead {
    /// The header as received.
    raw: Bytes,
    path: Range<usize>,
    query: Option<Range<usize>>,
    host: Range<usize>,
    /// How the body is delimited.
    pub body: Body,
    /// Whether the target was an absolute URI.
    pub absolute: bool,
    /// Whether it is a complete WebSocket handshake.
    pub websocket: bool,
}

impl ReadHead {
    /// Keeps a reading of these bytes.
    pub fn keep(raw: &Bytes, head: &super::framing::Head<'_>) -> Self {
        Self {
            path: place(raw, head.path),
            query: head.query.map(|query| place(raw, query)),
            host: place(raw, head.host),
            body: head.body,
            absolute: head.absolute,
            websocket: false,
            raw: raw.clone(),
        }
    }

    /// See [`super::framing::Head::path`].
    pub fn path(&self) -> &str {
        // Only the `/` of a target without a path stands nowhere in it.
        if self.path.is_empty() { "/" } else { self.text(&self.path) }
    }

    /// What stands behind `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_ref().map(|query| self.text(query))
    }

    /// See [`super::framing::Head::host`].
    pub fn host(&self) -> &str {
        self.text(&self.host)
    }

    fn text(&self, range: &Range<usize>) -> &str {
        let bytes = self.raw.get(range.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Where a part of these bytes stands in them; empty for what is no part of them, such as the
/// path of a target that has none.
fn place(raw: &[u8], part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(raw.as_ptr() as usize);
    let end = start.wrapping_add(part.len());
    if start <= end && end <= raw.len() { start..end } else { 0..0 }
}

/// How far a request has come. What a phase needs is in its stage, so that none can use what is
/// not there yet.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its header is there.
    Arrived,
    /// It has leave to go upstream.
    Admitted(Box<Admitted>),
    /// It was answered by the gateway, perhaps after it had leave.
    Answered(Option<Box<Admitted>>),
}

/// A request on its way upstream.
#[derive(Debug)]
pub(super) struct Admitted {
    /// The leave.
    pub permit: Permit,
    /// Where it is, or was last.
    pub journey: Journey,
    /// When it first left for the upstream.
    pub left: Option<Instant>,
    /// When it had gone upstream whole.
    pub sent: Option<Instant>,
    /// How long the head of the response took.
    pub took: Option<Duration>,
    /// The status of the response.
    pub status: Option<u16>,
    /// Why it failed on our side, where the libraries' error cannot say.
    pub failed: Option<Denial>,
}

impl Admitted {
    /// Where the request goes, and on what terms.
    pub fn forwarding(&self) -> Option<&Forwarding> {
        match &self.permit.route().action {
            Action::Forward(forwarding) => Some(forwarding),
            Action::Redirect { .. } | Action::Respond(_) | Action::Serve(_) => None,
        }
    }
}

impl Exchange {
    /// A request that has just arrived.
    pub fn new(snapshot: Arc<Snapshot>, now: Timestamp, in_flight: InFlight) -> Self {
        Self {
            snapshot,
            arrived: Instant::now(),
            time: now,
            request_id: RequestId::fresh(),
            head: None,
            peer: None,
            client: None,
            port: 0,
            scheme: Scheme::Http,
            https: None,
            certificate: None,
            call: false,
            clock: None,
            route: None,
            principal: None,
            response: ResponsePlan::default(),
            outcome: Outcome::Allowed,
            reason: OK,
            body_left: 0,
            waited: Duration::ZERO,
            stage: Stage::Arrived,
            lease: None,
            _in_flight: in_flight,
        }
    }

    /// Where the client asked, as far as that can be told in a URL.
    pub fn origin(&self) -> Option<Origin<'_>> {
        Origin::new(self.scheme, self.head.as_ref()?.host())
    }

    /// Where a client that is asked for a token learns whose.
    pub fn resource_metadata(&self) -> Option<String> {
        self.snapshot.policy().metadata.as_ref()?;
        self.origin().map(MetadataTerms::resource_metadata)
    }

    /// Takes up a decision, and hands on its verdict.
    pub fn decided(&mut self, decision: Decision) -> Verdict {
        let Decision { route, principal, response, remark, shadow, verdict } = decision;
        self.reason = remark.unwrap_or(OK);
        if let Some(denial) = &shadow {
            self.outcome = Outcome::ShadowDenied;
            self.reason = denial.reason();
        }
        if let Verdict::Deny(denial) = &verdict {
            self.refused(denial);
        }
        self.route = route;
        self.principal = principal;
        self.response = response;
        verdict
    }

    /// Notes a refusal or a failure.
    pub fn refused(&mut self, denial: &Denial) {
        self.outcome = Outcome::Denied;
        self.reason = denial.reason();
    }

    /// Goes upstream with this leave.
    pub fn admitted(&mut self, permit: Permit) {
        self.stage = Stage::Admitted(Box::new(Admitted {
            permit,
            journey: Journey::default(),
            left: None,
            sent: None,
            took: None,
            status: None,
            failed: None,
        }));
    }

    /// The request on its way upstream, if it has leave.
    pub fn on_its_way(&mut self) -> Option<&mut Admitted> {
        match &mut self.stage {
            Stage::Admitted(admitted) => Some(admitted),
            Stage::Answered(_) | Stage::Arrived => None,
        }
    }

    /// The leave that it has or had.
    pub fn leave(&self) -> Option<&Admitted> {
        match &self.stage {
            Stage::Admitted(admitted) | Stage::Answered(Some(admitted)) => Some(admitted),
            Stage::Answered(None) | Stage::Arrived => None,
        }
    }

    /// From here on the gateway answers; nothing goes upstream any more.
    pub fn answered(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Arrived) {
            Stage::Arrived => Stage::Answered(None),
            Stage::Admitted(admitted) => Stage::Answered(Some(admitted)),
            answered @ Stage::Answered(_) => answered,
        };
    }
}

/// The reason of a request that nothing was wrong with.
pub(super) const OK: &str = "ok";

/// As the log names the protocol.
pub(super) const fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Whether a response to this never has a body (RFC 9112, section 6.3).
pub(super) fn is_bodiless(method: &Method, status: u16) -> bool {
    *method == Method::HEAD || matches!(status, 100..=199 | 204 | 304)
}

#[cfg(test)]
mod tests {
    use super::{super::framing, ReadHead};
    use crate::policy::server::RequestLimits;
    use bytes::Bytes;

    #[test]
    fn what_was_read_can_be_kept() {
        let raw = Bytes::from_static(b"GET http://h.example?q HTTP/1.1\r\nHost: h.example\r\n\r\n");
        let head = framing::read(&raw, &RequestLimits::default()).unwrap();
        let kept = ReadHead::keep(&raw, &head);
        assert_eq!(kept.host(), "h.example");
        assert_eq!(kept.query(), Some("q"));
        assert_eq!(kept.path(), "/");
    }
}
