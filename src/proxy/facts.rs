//! From the received bytes to what the judge is shown.

use http::{HeaderName, HeaderValue, Version};
use pingora::proxy::Session;

use super::{
    connection,
    exchange::{Exchange, ReadHead},
    framing::{self, Body},
    guarded::Guarded,
    http2, redirect,
    reply::Connection,
};
use crate::{
    gateway::RequestId,
    model::canonical,
    policy::{
        self, Decision, Denial, RequestFacts, Trail,
        client::{self, Received},
        forward::HeaderEdit,
        grpc,
        request::Scheme,
        rules::CorsRule,
    },
};

/// Reads the head of a request into the exchange.
///
/// # Errors
/// Its framing is ambiguous, or it is too large.
pub(super) fn read(session: &mut Session, exchange: &mut Exchange) -> Result<(), Denial> {
    let header = session.req_header();
    exchange.call = header.version == Version::HTTP_2 && grpc::is_call(&header.headers);
    if let Some(id) = client::request_id(&header.headers) {
        exchange.request_id = RequestId::from(id);
    }
    let peer = session.client_addr().and_then(|address| address.as_inet());
    exchange.peer = peer.map(|peer| canonical(peer.ip()));
    exchange.client = exchange.peer;
    let local = session.server_addr().and_then(|address| address.as_inet()).copied();
    exchange.port = local.map_or(0, |local| local.port());
    connection::line(session, |line| {
        exchange.https = line.entrance.https;
        if line.entrance.handshake.is_some() {
            exchange.scheme = Scheme::Https;
        }
    });
    let head = if session.req_header().version == Version::HTTP_2 {
        http2::join_cookies(session.req_header_mut());
        let ended = session.is_body_done();
        http2::read_head(session.req_header(), ended, exchange.snapshot.limits())?
    } else {
        if connection::of(session).is_some_and(Guarded::has_spaced_target) {
            return Err(Denial::BadRequest { why: "the request line does not have three parts" });
        }
        let raw = session.as_downstream().to_h1_raw();
        ReadHead::keep(&raw, &framing::read(&raw, exchange.snapshot.limits())?)
    };
    let local = local.map(|local| local.ip());
    let (now, host) = (exchange.time, head.host());
    let judged = connection::line(session, |line| match &line.entrance.handshake {
        Some(handshake) => handshake.judge(&exchange.snapshot, now, host, local),
        None => Ok(None),
    });
    if let Some(judged) = judged {
        exchange.certificate = judged?;
    }
    exchange.head = Some(head);
    Ok(())
}

/// Whether a connection can go on after a head that was refused: not if where it ends is in doubt.
pub(super) fn afterwards(denial: &Denial) -> Connection {
    let is_sound = matches!(
        denial,
        Denial::AmbiguousPath { .. }
            | Denial::HeadersTooLarge
            | Denial::MethodNotAllowed { .. }
            | Denial::UriTooLong
    );
    if is_sound { Connection::Keep } else { Connection::Close }
}

/// Has a request judged whose head was read.
///
/// # Errors
/// It cannot be judged.
pub(super) async fn decide(session: &Session, exchange: &mut Exchange) -> Result<Decision, Denial> {
    let snapshot = exchange.snapshot.clone();
    let header = session.req_header();
    let (Some(head), Some(peer)) = (&mut exchange.head, exchange.peer) else {
        return Err(Denial::Internal { why: "the client has no address" });
    };
    let bodiless = head.body == Body::None;
    let received = Received {
        method: &header.method,
        version: header.version,
        path: head.path(),
        query: head.query(),
        host: head.host(),
        headers: &header.headers,
        peer,
        scheme: exchange.scheme,
        port: exchange.port,
        certificate: exchange.certificate.as_deref(),
    };
    let mut facts =
        RequestFacts::read(&received, &snapshot.policy().server, exchange.request_id.as_str());
    facts.websocket &= bodiless;
    let (client, websocket, scheme) = (facts.client, facts.websocket, facts.scheme);
    let decision = match exchange.https.filter(|_| facts.scheme == Scheme::Http) {
        Some(port) => redirect::decide(snapshot.policy(), &facts, port),
        None => {
            let (policy, sources) = (snapshot.policy(), snapshot.sources());
            policy::decide(policy, &facts, &sources, exchange.time, &mut Trail::unread()).await
        }
    };
    head.websocket = websocket;
    exchange.client = Some(client);
    exchange.scheme = scheme;
    Ok(decision)
}

/// What is done to the response of a request that could not be read.
pub(super) fn stray(session: &Session, exchange: &mut Exchange) {
    let policy = exchange.snapshot.policy();
    if let CorsRule::On(cors) = &policy.default_cors {
        cors.edit(&session.req_header().headers, &mut exchange.response.edits);
    }
    exchange.response.security_headers = Some(policy.default_security_headers.clone());
    if let Ok(id) = HeaderValue::from_str(exchange.request_id.as_str()) {
        let name = HeaderName::from_static("x-request-id");
        exchange.response.edits.push(HeaderEdit::Set(name, id));
    }
}
