//! pingora: sockets in, sockets out. The only room that names it. It reads a request, lets the
//! judge decide on it, and carries the decision out; it decides nothing.

mod announcement;
mod body;
mod clock;
mod connection;
mod crowd;
mod door;
mod echo;
mod endpoints;
mod errors;
mod exchange;
mod facts;
mod frames;
pub(crate) mod framing;
mod guarded;
pub mod handover;
mod handshake;
mod http2;
mod journey;
mod lease;
pub mod listen;
mod onward;
mod opening;
mod patient;
mod peer;
mod progress;
mod redirect;
mod reply;
mod request_line;
pub mod serve;
mod settle;
mod spelling;
mod tls;

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    modules::http::HttpModules,
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session},
    upstreams::peer::HttpPeer,
};

use crate::{
    gateway::{Gateway, Snapshot, health},
    policy::{Denial, Verdict, upstream::Service},
};
use clock::Phase;
use errors::Failure;
use exchange::Exchange;
use journey::NoPlace;
use reply::Connection;

/// Log targets of the libraries beneath that write a line per failed request.
pub const CHATTY: &[&str] =
    &["pingora_proxy", "pingora_core::protocols", "pingora_core::connectors"];

/// The phases of a request, as pingora calls them.
struct Phases {
    gateway: Arc<Gateway>,
    prepared: peer::Prepared,
}

impl Phases {
    fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, prepared: peer::Prepared::default() }
    }

    /// While the gateway drains, every answer is the last on its connection, and says so: a client
    /// that sent another request would see the connection close under it. And on a connection whose
    /// terms are others by now.
    fn part(&self, session: &mut Session, now: &Snapshot) {
        let is_outdated = |line: &connection::Line| line.entrance.is_outdated(now);
        if self.gateway.readiness().phase() == health::Phase::Draining
            || connection::line(session, is_outdated) == Some(true)
        {
            session.set_keepalive(None);
        }
    }

    /// Reads the request, has it judged, and answers unless it goes upstream.
    async fn judge(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        let decision = match facts::read(session, exchange) {
            Ok(()) => facts::decide(session, exchange).await,
            Err(denial) => Err(denial),
        };
        let decision = match decision {
            Ok(decision) => decision,
            Err(denial) => {
                facts::stray(session, exchange);
                settle::refused(exchange, &denial);
                reply::refuse(session, exchange, &denial, facts::afterwards(&denial)).await?;
                return Ok(true);
            }
        };
        settle::decided(&self.gateway, exchange, &decision);
        match exchange.decided(decision) {
            Verdict::Answer(answer) => {
                reply::send(session, exchange, &answer, Connection::Keep).await?;
            }
            Verdict::Deny(denial) => {
                // Where a head is malformed, its end may be elsewhere too.
                let malformed = matches!(denial, Denial::BadRequest { .. });
                let connection = if malformed { Connection::Close } else { Connection::Keep };
                reply::refuse(session, exchange, &denial, connection).await?;
            }
            Verdict::Serve(endpoint) => {
                endpoints::serve(session, exchange, endpoint).await?;
            }
            Verdict::Forward(permit) => {
                exchange.admitted(permit);
                return self.go_on(session, exchange).await;
            }
        }
        Ok(true)
    }

    /// Sends an admitted request on its way, or to the echo.
    async fn go_on(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        let websocket = exchange.head.as_ref().is_some_and(|head| head.websocket);
        onward::settle_connection(session.req_header_mut(), websocket)?;
        if let Err(denial) = exchange.judge_protocol(session.req_header()) {
            reply::refuse(session, exchange, &denial, Connection::Keep).await?;
            return Ok(true);
        }
        exchange.begin_call();
        let forwarding = exchange.leave().and_then(exchange::Admitted::forwarding);
        if forwarding.is_none_or(|forwarding| forwarding.upstream.service != Service::Echo) {
            return Ok(false);
        }
        let limit = exchange.body_limit();
        endpoints::echo(session, exchange, limit).await?;
        Ok(true)
    }
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        let in_flight = self.gateway.in_flight();
        Exchange::new(self.gateway.snapshot(), SystemTime::now().into(), in_flight)
    }

    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        exchange.clock = connection::line(session, |line| line.clock.clone());
        // HTTP/1.0 knows no interim answers (RFC 9110, section 15.2).
        let is_old = session.req_header().version == Version::HTTP_10;
        session.set_ignore_info_resp(is_old);
        self.part(session, &exchange.snapshot);
        exchange.wait(Phase::Body, exchange.snapshot.limits().idle_timeout);
        self.judge(session, exchange).await
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
    ) -> Result<Box<HttpPeer>> {
        if let Err(none) = exchange.enter_upstream(session).await {
            if let NoPlace::Left(Some(error)) = none {
                return Err(error.into_down());
            }
            if let Some(admitted) = exchange.on_its_way() {
                admitted.failed = Some(Denial::Overloaded);
            }
            return Err(Error::explain(ErrorType::InternalError, "no place at the upstream"));
        }
        let (address, rest) = (exchange.next_address(session), exchange.rest());
        let new = exchange.cause().needs_new_connection();
        let websocket = exchange.head.as_ref().is_some_and(|head| head.websocket);
        let clock = exchange.clock.clone().filter(|_| websocket);
        let Some(admitted) = exchange.on_its_way() else {
            return Err(Error::explain(ErrorType::InternalError, "no permit"));
        };
        let found = admitted.forwarding().zip(admitted.target()).zip(address);
        let found = found.map(|((one, target), address)| {
            peer::at(address, target, &one.timeouts, &one.upstream, &self.prepared, rest)
        });
        let found =
            found.map(|peer| if websocket { peer::for_websocket(peer, clock) } else { peer });
        let found = found.map(|peer| if new { peer::for_new_connection(peer) } else { peer });
        let Some(peer) = found else {
            admitted.failed = Some(Denial::NoUpstream);
            return Err(Error::explain(ErrorType::InternalError, "no address"));
        };
        let now = Instant::now();
        admitted.left.get_or_insert(now);
        admitted.sent = Some(now);
        // Each attempt sends the body from its beginning.
        exchange.body_left = exchange.body_limit();
        Ok(Box::new(peer))
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        // A handshake that failed is no fault of ours.
        error.as_up();
        let target = exchange.leave().map_or(0, exchange::Admitted::target_place);
        settle::unanswered(exchange, target, &error);
        error.set_retry(exchange.pass_over_address(session));
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        header: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        exchange.onward(session.req_header(), header)?;
        // Nobody says so once more when a request without a body goes out by HTTP/2.
        if header.version == Version::HTTP_2 && session.is_body_empty() {
            exchange.wait_for_response(session);
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if session.was_upgraded() {
            return Ok(());
        }
        exchange.charge_body(body.as_ref().map_or(0, Bytes::len))?;
        if end {
            exchange.wait_for_response(session);
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        header: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        exchange.expects(header)?;
        if !header.status.is_informational() {
            let status = header.status.as_u16();
            exchange.note_answer(status);
            if exchange.gives_up(status, session) {
                let error = Error::explain(ErrorType::HTTPStatus(status), "tried again");
                return Err(error.into_up());
            }
        }
        exchange.responded(header);
        onward::from_upstream(header)?;
        spelling::forget(header)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        header: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if session.req_header().version == Version::HTTP_10 {
            onward::unchunk(session, header);
        }
        self.part(session, &exchange.snapshot);
        onward::response(header, &exchange.response)
    }

    fn upstream_response_body_filter(
        &self,
        _: &mut Session,
        _: &mut Option<Bytes>,
        _: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<std::time::Duration>> {
        exchange.alive();
        Ok(None)
    }

    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        exchange: &mut Exchange,
        reused: bool,
    ) -> Box<Error> {
        let target = exchange.leave().map_or(0, exchange::Admitted::target_place);
        let again = exchange.tries_again(session, &mut error, reused);
        error.set_retry(again);
        // An answer that was given up has been counted as what it was.
        if exchange.cause().is_given_up() {
            return error;
        }
        if settle::is_clients_doing(exchange, &error) {
            return error;
        }
        // A kept connection that had been closed says nothing of the target.
        if settle::unanswered(exchange, target, &error) && !(again && reused) {
            exchange.note_failure(target);
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        exchange: &mut Exchange,
    ) -> FailToProxy {
        let error_code = match errors::judge(error, exchange) {
            Failure::ClientClosed => {
                exchange.client_closed();
                0
            }
            Failure::Cut(reason) => {
                exchange.reason = reason;
                if exchange.call {
                    reply::end_call(session, exchange).await;
                }
                // What is left to be said is written on the way.
                session.shutdown().await;
                0
            }
            Failure::Told(denial) => {
                exchange.failed(&denial);
                let answered =
                    session.response_written().is_some_and(|head| !head.status.is_informational());
                if !answered {
                    tracing::debug!(error = %error, "a request failed");
                    // Fails only if the client is gone, and then nobody is left to be told.
                    let _ = reply::tell(session, exchange, &denial, Connection::Close).await;
                    session.shutdown().await;
                } else if session.as_downstream().is_custom() {
                    // A stream of HTTP/2 that ends early must not look as if it were whole.
                    session.shutdown().await;
                }
                denial.problem().status.as_u16()
            }
        };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, exchange: &mut Exchange) {
        settle::finished(&self.gateway, session, exchange);
    }

    fn suppress_error_log(&self, _: &Session, _: &Exchange, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Exchange,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
