//! Bodies that the gateway reads itself, always bounded.

use std::time::{Duration, Instant};

use pingora::{Result, proxy::Session};

use super::{exchange::Exchange, framing::Body, onward};
use crate::policy::Denial;

/// Room that is made for a body before it is there.
const LARGEST: usize = 16 << 10;

/// A body that was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Its beginning.
    pub bytes: Vec<u8>,
    /// Its whole length.
    pub length: u64,
}

/// Reads the body: at most `limit` bytes of it, of which the first `kept` are kept, in `time` all
/// told if that is bounded.
pub(super) async fn read(
    session: &mut Session,
    exchange: &mut Exchange,
    kept: usize,
    limit: u64,
    time: Option<Duration>,
) -> Result<std::result::Result<Read, Denial>> {
    let body = exchange.head.as_ref().map_or(Body::None, |head| head.body);
    match body {
        Body::None => return Ok(Ok(Read::default())),
        Body::Length(length) if length > limit => return Ok(Err(Denial::BodyTooLarge)),
        Body::Chunked | Body::Length(_) => {}
    }
    let expected = onward::expects_continue(&session.req_header().headers);
    let keepalive = session.get_keepalive();
    let began = Instant::now();
    let whole = whole(session, kept, limit, expected);
    let outcome = match time {
        None => whole.await,
        Some(time) => match tokio::time::timeout(time, whole).await {
            Ok(outcome) => outcome,
            Err(_) => Ok(Err(Denial::RequestTimeout)),
        },
    };
    exchange.waited += began.elapsed();
    if expected && matches!(outcome, Ok(Ok(_))) {
        // The interim answer had switched it off, since it came before the body.
        session.set_keepalive(keepalive);
    }
    // Whatever is wrong with it, the client sent it.
    outcome.map_err(|error| error.into_down())
}

async fn whole(
    session: &mut Session,
    kept: usize,
    limit: u64,
    expected: bool,
) -> Result<std::result::Result<Read, Denial>> {
    if expected {
        session.write_continue_response().await?;
    }
    // Made once at its full size: what grows leaves copies behind, and a form holds a password.
    let mut read = Read { bytes: Vec::with_capacity(kept.min(LARGEST)), length: 0 };
    while let Some(piece) = session.read_request_body().await? {
        read.length = read.length.saturating_add(piece.len() as u64);
        if read.length > limit {
            return Ok(Err(Denial::BodyTooLarge));
        }
        let room = kept.saturating_sub(read.bytes.len()).min(piece.len());
        read.bytes.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
    Ok(Ok(read))
}
