//! A client's HTTP/2 connection (RFC 9113): many requests at once, each in a stream of its own.
//!
//! The frames are read and written by the libraries beneath. Here is what they leave open: how long a
//! connection may rest, what becomes of it when the gateway stops, and how much of what is given up
//! again a client may begin.

mod head;
mod stream;
mod tally;

use std::{sync::Arc, time::Duration};

use pingora::{
    apps::HttpServerApp as _,
    protocols::{
        Digest, Stream as Wire,
        http::{
            ServerSession,
            v2::server::{self, H2Accept, H2Options, HttpSession},
        },
    },
    proxy::HttpProxy,
    server::ShutdownWatch,
};
use tokio::time::Instant;

use super::{
    Phases,
    clock::Clock,
    connection::{Entrance, LINE, Line},
    opening::stopped,
};
use crate::{gateway::Gateway, policy::server::RequestLimits};
pub(super) use head::{join_cookies, read as read_head};
use stream::Stream;
use tally::Tally;

/// Requests that a client may have under way on a connection.
pub(super) const STREAMS: u32 = 100;

/// The least room for a request's header, counted as HTTP/2 counts it. What is within it and beyond
/// `server.limits` gets an answer of ours.
const LEAST_HEADER: u64 = 64 << 10;

/// Bytes of a request's body that a client may send ahead.
const STREAM_WINDOW: u32 = 64 << 10;

/// The same for all requests of a connection.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Bytes of an answer that wait for a client that does not take them.
const SEND_BUFFER: usize = 128 << 10;

/// Malformed requests after which a connection ends.
const MALFORMED: u32 = 32;

/// How long a client may take to acknowledge that its resting connection ends.
const PARTING: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(super) async fn serve(
    wire: Wire,
    proxy: Arc<HttpProxy<Phases>>,
    gateway: Arc<Gateway>,
    mut stop: ShutdownWatch,
    entrance: Entrance,
) {
    let snapshot = gateway.snapshot();
    let limits = snapshot.limits().clone();
    drop(snapshot);
    let digest = Arc::new(Digest {
        ssl_digest: wire.get_ssl_digest(),
        timing_digest: wire.get_timing_digest(),
        proxy_digest: wire.get_proxy_digest(),
        socket_digest: wire.get_socket_digest(),
    });
    let connection = tokio::select! {
        made = server::handshake(wire, Some(options(&limits))) => made,
        () = tokio::time::sleep(limits.header_timeout) => return,
        () = stopped(&mut stop) => return,
    };
    let Ok(mut connection) = connection else { return };
    let tally = Arc::new(Tally::default());
    let mut malformed = 0;
    let (mut leaving, mut until) = (false, None);
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = HttpSession::from_h2_conn(&mut connection, digest.clone()) => accepted,
            () = stopped(&mut stop), if !leaving => {
                connection.graceful_shutdown();
                leaving = true;
                continue;
            }
            () = tally.rest(limits.idle_timeout), if !leaving => {
                connection.graceful_shutdown();
                leaving = true;
                until = Some(Instant::now() + PARTING);
                continue;
            }
            () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return,
        };
        match accepted {
            Err(_) | Ok(None) => return,
            Ok(Some(H2Accept::Rejected)) => {
                malformed += 1;
                if malformed == MALFORMED {
                    return cut("malformed_requests");
                }
            }
            Ok(Some(H2Accept::Session(session))) => {
                if tally.is_abused() {
                    return cut("requests_given_up");
                }
                if !leaving && entrance.is_outdated(&gateway.snapshot()) {
                    connection.graceful_shutdown();
                    leaving = true;
                }
                begin(session, &proxy, &stop, &limits, entrance.clone(), &tally);
            }
        }
    }
}

/// Serves one request in a task of its own.
fn begin(
    mut session: HttpSession,
    proxy: &Arc<HttpProxy<Phases>>,
    stop: &ShutdownWatch,
    limits: &RequestLimits,
    entrance: Entrance,
    tally: &Arc<Tally>,
) {
    let clock = Arc::new(Clock::new(limits.idle_timeout, limits.header_timeout));
    let line = Line { clock: clock.clone(), entrance };
    session.set_write_timeout(Some(limits.idle_timeout));
    let under_way = Tally::begin(tally);
    let stream = Stream::new(session, clock.clone(), tally.clone());
    let (proxy, stop) = (proxy.clone(), stop.clone());
    tokio::spawn(async move {
        let session = ServerSession::new_custom(Box::new(stream));
        LINE.scope(line, clock.to_the_end(proxy.process_new_http(session, &stop))).await;
        drop(under_way);
    });
}

fn options(limits: &RequestLimits) -> H2Options {
    let mut options = server::default_h2_options();
    let header = limits.header_bytes.saturating_mul(2).max(LEAST_HEADER);
    options
        .max_header_list_size(u32::try_from(header).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER);
    options
}

/// Ends a connection whose client misbehaves.
fn cut(why: &'static str) {
    tracing::info!(event = "connection_cut", why, "a client misused HTTP/2");
}
