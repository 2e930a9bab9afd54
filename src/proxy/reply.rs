//! The gateway's own answers, written to the client.

use std::time::Duration;

use http::{StatusCode, header};
use pingora::{Result, http::ResponseHeader, protocols::http::HttpTask, proxy::Session};

use super::{
    exchange::{Exchange, is_bodiless},
    framing::Body,
    onward, spelling,
};
use crate::policy::{Denial, decision::Reply, grpc};

/// A body up to this length is read and dropped after an answer, so that the connection can be
/// used again.
const DRAINED: u64 = 64 << 10;

/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// It ends.
    Close,
    /// It is kept if what is left of the request allows it.
    Keep,
}

/// Writes an answer with the exchange's response plan on it.
pub(super) async fn send(
    session: &mut Session,
    exchange: &mut Exchange,
    reply: &Reply,
    connection: Connection,
) -> Result<()> {
    exchange.answered();
    match connection {
        Connection::Close => session.set_keepalive(None),
        Connection::Keep => keep(session, exchange),
    }
    if let (Some(clock), false) = (&exchange.clock, session.is_body_done()) {
        clock.leave_unread();
    }
    let status = reply.status.as_u16();
    let trailers_only = exchange.call && reply.body.is_empty();
    let has_length = !matches!(status, 204 | 304) && !trailers_only;
    let mut header = ResponseHeader::build_no_case(reply.status, Some(reply.headers.len() + 16))?;
    spelling::change_response(&mut header, |headers| {
        for (name, value) in &reply.headers {
            headers.append(name, value.clone());
        }
        if has_length {
            headers.insert(header::CONTENT_LENGTH, reply.body.len().into());
        }
    })?;
    onward::response(&mut header, &exchange.response)?;
    let silent = reply.body.is_empty() || is_bodiless(&session.req_header().method, status);
    if silent && session.as_downstream().is_custom() {
        // In HTTP/2 the end stands in the frame of the header.
        let task = HttpTask::Header(Box::new(header), true);
        session.as_downstream_mut().response_duplex_vec(vec![task]).await?;
        return Ok(());
    }
    session.write_response_header(Box::new(header), silent).await?;
    if !silent {
        session.write_response_body(Some(reply.body.clone()), true).await?;
    }
    Ok(())
}

/// Writes a refusal.
pub(super) async fn refuse(
    session: &mut Session,
    exchange: &mut Exchange,
    denial: &Denial,
    connection: Connection,
) -> Result<()> {
    exchange.refused(denial);
    tell(session, exchange, denial, connection).await
}

/// Writes what a client is told of a denial.
pub(super) async fn tell(
    session: &mut Session,
    exchange: &mut Exchange,
    denial: &Denial,
    connection: Connection,
) -> Result<()> {
    let problem = denial.problem();
    if exchange.call {
        return send(session, exchange, &problem.trailers_only(), connection).await;
    }
    let problem = problem.pointing_to(|| exchange.resource_metadata());
    let reply = problem.reply(exchange.request_id.as_str());
    send(session, exchange, &reply, connection).await
}

/// Ends a call of gRPC whose credential is worth nothing any more. Fails only if the client is gone, and
/// then nobody is left to be told.
pub(super) async fn end_call(session: &mut Session, exchange: &mut Exchange) {
    if let Some(clock) = &exchange.clock {
        clock.last_words();
    }
    if session.response_written().is_none() {
        let _ = send(session, exchange, &grpc::ended(), Connection::Keep).await;
        return;
    }
    let trailers = grpc::ended().headers.into_iter().filter(|(name, _)| grpc::is_trailer(name));
    let _ = session.write_response_trailers(trailers.collect()).await;
}

/// Lets the rest of a small body be read after the answer. Whoever waits for `100 Continue` sends
/// none, and what comes next could be taken for it: that connection ends.
fn keep(session: &mut Session, exchange: &Exchange) {
    let body = exchange.head.as_ref().map_or(Body::None, |head| head.body);
    let small = matches!(body, Body::Length(length) if length <= DRAINED);
    if small && !onward::expects_continue(&session.req_header().headers) {
        session.set_close_on_response_before_downstream_finish(false);
        session.set_total_drain_timeout(Some(DRAIN_TIME));
    }
}

/// An answer in JSON that no cache keeps.
pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Reply {
    Reply {
        status,
        headers: vec![
            (header::CONTENT_TYPE, http::HeaderValue::from_static("application/json")),
            (header::CACHE_CONTROL, http::HeaderValue::from_static("no-store")),
        ],
        body: value.to_string().into(),
    }
}
