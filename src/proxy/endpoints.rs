//! What the gateway answers itself after it has read the request: its own endpoints and the echo.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use pingora::{Result, proxy::Session};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    body, echo,
    exchange::Exchange,
    reply::{self, Connection},
};
use crate::{
    observe::metrics::Outcome,
    policy::{
        Denial,
        decision::Endpoint,
        metadata::{MetadataTerms, Origin},
    },
    token::{Body, Desk, TokenRequest, endpoint::LONGEST_FORM},
};

/// How long a form may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(10);

/// Answers for one of the gateway's own endpoints.
pub(super) async fn serve(
    session: &mut Session,
    exchange: &mut Exchange,
    endpoint: Endpoint,
) -> Result<()> {
    match endpoint {
        Endpoint::AuthorizationServer => {
            let answer = document(exchange, |terms, origin| {
                terms.server.as_ref().map(|server| server.document(origin))
            });
            publish(session, exchange, answer).await
        }
        Endpoint::ProtectedResource => {
            let answer = document(exchange, |terms, origin| Some(terms.resource(origin)));
            publish(session, exchange, answer).await
        }
        Endpoint::Revoke => form(session, exchange, Ask::Revoke).await,
        Endpoint::Token => form(session, exchange, Ask::Issue).await,
    }
}

/// What a document says to whoever asked for it.
fn document(
    exchange: &Exchange,
    make: impl FnOnce(&MetadataTerms, Origin<'_>) -> Option<Value>,
) -> Option<Value> {
    let terms = exchange.snapshot.policy().metadata.as_deref()?;
    make(terms, exchange.origin()?)
}

async fn publish(
    session: &mut Session,
    exchange: &mut Exchange,
    document: Option<Value>,
) -> Result<()> {
    match document {
        Some(document) => {
            let answer = reply::json(StatusCode::OK, &document);
            reply::send(session, exchange, &answer, Connection::Keep).await
        }
        None => {
            let denial = Denial::BadRequest { why: "the request has no host" };
            reply::refuse(session, exchange, &denial, Connection::Keep).await
        }
    }
}

/// Which of the endpoints that read a form.
#[derive(Clone, Copy)]
enum Ask {
    Issue,
    Revoke,
}

async fn form(session: &mut Session, exchange: &mut Exchange, ask: Ask) -> Result<()> {
    let read =
        body::read(session, exchange, LONGEST_FORM, LONGEST_FORM as u64, Some(FORM_TIME)).await?;
    let (form, connection) = match read {
        Ok(read) => (Some(Zeroizing::new(read.bytes)), Connection::Keep),
        Err(Denial::BodyTooLarge) => (None, Connection::Close),
        Err(denial) => return reply::refuse(session, exchange, &denial, Connection::Close).await,
    };
    let Some(client) = exchange.client else {
        let denial = Denial::Internal { why: "the client has no address" };
        return reply::refuse(session, exchange, &denial, Connection::Close).await;
    };
    let snapshot = exchange.snapshot.clone();
    let request = TokenRequest {
        headers: &session.req_header().headers,
        body: form.as_ref().map_or(Body::TooLarge, |form| Body::Whole(form)),
        client,
        request_id: exchange.request_id.as_str(),
    };
    let desk = Desk {
        request,
        policy: snapshot.policy(),
        sources: &snapshot.sources(),
        records: snapshot.memory().records.as_deref(),
        now: SystemTime::now().into(),
    };
    let answer = match ask {
        Ask::Issue => desk.issue().await,
        Ask::Revoke => desk.revoke().await,
    };
    if let Some(reason) = answer.reason {
        exchange.outcome = Outcome::Denied;
        exchange.reason = reason;
    }
    reply::send(session, exchange, &answer.reply, connection).await
}

/// Answers with what an upstream would have received.
pub(super) async fn echo(session: &mut Session, exchange: &mut Exchange, limit: u64) -> Result<()> {
    let body = match body::read(session, exchange, echo::KEPT, limit, None).await? {
        Ok(body) => body,
        Err(denial) => return reply::refuse(session, exchange, &denial, Connection::Close).await,
    };
    let mut header = session.req_header().clone();
    exchange.onward(session.req_header(), &mut header)?;
    let answer = echo::answer(&header, &body, exchange.client);
    if let Some(admitted) = exchange.on_its_way() {
        admitted.status = Some(answer.status.as_u16());
    }
    reply::send(session, exchange, &answer, Connection::Keep).await
}
