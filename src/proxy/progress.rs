//! An exchange on its way to an upstream and back.

use std::time::{Duration, Instant};

use http::{StatusCode, Version, header};
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    proxy::Session,
};

use super::{
    clock::{Dawdling, Phase},
    errors,
    exchange::{Admitted, Exchange, ReadHead, Stage},
    framing::Body,
    lease::Lease,
    onward,
    peer::Rest,
};
use crate::{
    observe::metrics::Outcome,
    policy::{Denial, grpc, rules::StreamTerms, upstream::Protocol},
};

/// A client that let its target wait for the body longer than this in all, and then has not sent it to its
/// end, may be why the target gave up.
const PATIENCE: Duration = Duration::from_millis(100);

/// One that was silent for longer than this when the target gave up is told so.
const SILENCE: Duration = Duration::from_millis(250);

/// How long a place at an upstream may be waited for as far as the clock goes: the upstream's own
/// bounds say how long.
const UNTIMED: Duration = Duration::from_secs(24 * 60 * 60);

impl Exchange {
    /// Waits for something else from now on.
    pub fn wait(&self, phase: Phase, limit: Duration) {
        if let Some(clock) = &self.clock {
            clock.enter(phase, limit);
        }
    }

    /// Whether the request is there to its end.
    fn whole(&self, whole: bool) {
        if let Some(clock) = &self.clock {
            clock.whole(whole);
        }
    }

    /// The upstream gave a sign of life.
    pub fn alive(&self) {
        if let Some(clock) = &self.clock {
            clock.touch();
        }
    }

    /// Whether somebody took too long.
    pub fn is_overdue(&self) -> bool {
        self.clock.as_ref().is_some_and(|clock| clock.overdue().is_some())
    }

    /// Whether what the upstream does now may be owed to the client, who let it wait for the body: many
    /// servers close a connection on which a request does not get on. A target that can be blamed for
    /// that could be had left out by anybody.
    pub fn is_clients_doing(&self) -> bool {
        self.dawdling().whole > PATIENCE
    }

    /// Whether the client has been silent for too long to be told anything else.
    pub fn is_client_silent(&self) -> bool {
        self.dawdling().silence > SILENCE
    }

    fn dawdling(&self) -> Dawdling {
        let clock = self.clock.as_ref();
        clock.map_or(Dawdling::default(), |clock| clock.dawdling(Instant::now()))
    }

    /// Waits for a place at the upstream: nobody waits for the client now.
    pub fn wait_for_place(&self) {
        self.wait(Phase::Place, UNTIMED);
    }

    /// Has its place: the body is waited for again.
    pub fn has_place(&self) {
        let calls = self.leave().and_then(Admitted::forwarding).filter(|_| self.call);
        let limit = match calls {
            Some(forwarding) => forwarding.streams.idle,
            None => self.snapshot.limits().idle_timeout,
        };
        self.wait(Phase::Body, limit);
    }

    /// What the client sends after its header.
    pub fn rest(&self) -> Rest {
        let alone = |head: &ReadHead| head.body == Body::None && !head.websocket;
        if self.head.as_ref().is_some_and(alone) { Rest::Nothing } else { Rest::Something }
    }

    /// Whether the upstream can take it, told apart from what the policy allows.
    ///
    /// # Errors
    /// Its protocol cannot carry the request.
    pub fn judge_protocol(&self, received: &RequestHeader) -> std::result::Result<(), Denial> {
        let upstream = self.leave().and_then(Admitted::forwarding).map(|one| &one.upstream);
        let protocol = upstream.map_or(Protocol::Http1, |upstream| upstream.protocol);
        let websocket = self.head.as_ref().is_some_and(|head| head.websocket);
        if websocket && protocol == Protocol::Http2 {
            return Err(Denial::BadRequest { why: "a WebSocket needs an upstream of HTTP/1.1" });
        }
        let carried = self.call && protocol == Protocol::Http2;
        if grpc::is_call(&received.headers) && !carried {
            return Err(Denial::BadRequest { why: "gRPC needs HTTP/2 on both sides" });
        }
        Ok(())
    }

    /// A call of gRPC may be silent for longer than the sending of a body, and lasts no longer than the
    /// credential that opened it.
    pub fn begin_call(&mut self) {
        if !self.call {
            return;
        }
        let Some(forwarding) = self.leave().and_then(Admitted::forwarding) else { return };
        let terms = forwarding.streams;
        self.wait(Phase::Body, terms.idle);
        self.lease(terms, false);
    }

    /// Turns the received header into the one that goes upstream.
    pub fn onward(&mut self, received: &RequestHeader, header: &mut RequestHeader) -> Result<()> {
        let (Stage::Admitted(admitted), Some(head)) = (&self.stage, &self.head) else {
            return Err(Error::explain(ErrorType::InternalError, "no permit"));
        };
        let Some(forwarding) = admitted.forwarding() else {
            return Err(Error::explain(ErrorType::InternalError, "a permit for no upstream"));
        };
        let target = admitted.target();
        if forwarding.upstream.protocol == Protocol::Http2 && header.version != Version::HTTP_2 {
            let error = Error::explain(ErrorType::InvalidH2, "it speaks no HTTP/2");
            return Err(error.into_up());
        }
        onward::request(header, head, &admitted.permit, &forwarding.upstream, target)?;
        onward::keep_te(received, header)
    }

    /// Bytes that the body may have.
    pub fn body_limit(&self) -> u64 {
        let Some(forwarding) = self.leave().and_then(Admitted::forwarding) else { return 0 };
        if self.call {
            return forwarding.call_limit.unwrap_or(u64::MAX);
        }
        forwarding.body_limit
    }

    /// Takes bytes of the body off what may come.
    pub fn charge_body(&mut self, bytes: usize) -> Result<()> {
        match self.body_left.checked_sub(bytes as u64) {
            Some(left) => {
                self.body_left = left;
                Ok(())
            }
            None => {
                if let Some(admitted) = self.on_its_way() {
                    admitted.failed = Some(Denial::BodyTooLarge);
                }
                Err(Error::explain(ErrorType::HTTPStatus(413), "the body is too large").into_down())
            }
        }
    }

    /// The request has gone upstream whole: the wait for the response begins, unless that is
    /// there already.
    pub fn wait_for_response(&mut self, session: &Session) {
        self.whole(true);
        let answered =
            session.response_written().is_some_and(|head| !head.status.is_informational());
        let Stage::Admitted(admitted) = &mut self.stage else { return };
        if answered || admitted.status.is_some() {
            return;
        }
        admitted.sent = Some(Instant::now());
        let limit = admitted.forwarding().map(|forwarding| forwarding.timeouts.response);
        if let Some(limit) = limit {
            self.wait(Phase::Response, limit);
        }
    }

    /// Whether a response may be an answer to this request.
    ///
    /// # Errors
    /// It changes the protocol of a connection that nobody asked it to change.
    pub fn expects(&self, head: &ResponseHeader) -> Result<()> {
        let asked = self.head.as_ref().is_some_and(|head| head.websocket);
        if head.status == StatusCode::SWITCHING_PROTOCOLS && !asked {
            let error = Error::explain(ErrorType::InvalidHTTPHeader, "a 101 that nobody asked for");
            return Err(error.into_up());
        }
        Ok(())
    }

    /// The head of a response is there.
    pub fn responded(&mut self, head: &ResponseHeader) {
        let upgraded = head.status == StatusCode::SWITCHING_PROTOCOLS;
        if head.status.is_informational() && !upgraded {
            return self.alive();
        }
        if upgraded {
            self.whole(false);
        }
        let Stage::Admitted(admitted) = &mut self.stage else { return };
        admitted.status = Some(head.status.as_u16());
        admitted.took = admitted.sent.map(|sent| sent.elapsed());
        let Some(forwarding) = admitted.forwarding() else { return };
        let (idle, terms) = (forwarding.timeouts.idle, forwarding.streams);
        if self.call {
            self.wait(Phase::Relay, terms.idle);
        } else if upgraded || is_event_stream(head) {
            self.wait(Phase::Relay, terms.idle);
            self.lease(terms, upgraded);
        } else {
            self.wait(Phase::Relay, idle);
        }
    }

    /// The response is a stream, which lasts no longer than the credential that opened it.
    fn lease(&mut self, terms: StreamTerms, websocket: bool) {
        if let (Some(clock), Some(principal)) = (&self.clock, &self.principal) {
            clock.stream(websocket);
            let (snapshot, principal) = (self.snapshot.clone(), principal.clone());
            self.lease = Some(Lease::new(snapshot, principal, terms, clock.clone()));
        }
    }

    /// It was let through and came to nothing. That is a denial only if the request is to blame.
    pub fn failed(&mut self, denial: &Denial) {
        if denial.problem().status.is_client_error() {
            self.outcome = Outcome::Denied;
        }
        self.reason = denial.reason();
    }

    /// The client went away.
    pub fn client_closed(&mut self) {
        self.reason = errors::CLIENT_CLOSED_REASON;
    }
}

fn is_event_stream(head: &ResponseHeader) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    kind.and_then(|kind| kind.get(..17))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}
