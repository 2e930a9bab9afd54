//! One client's connection of HTTP/1: requests one after the other, until either side has enough. And
//! what is known of a request's connection, whatever its protocol.

use std::sync::Arc;

use pingora::{
    apps::HttpServerApp as _,
    protocols::{Stream, http::ServerSession},
    proxy::{HttpProxy, Session},
    server::ShutdownWatch,
};

use super::{Phases, clock::Clock, guarded::Guarded, handshake::Handshake};
use crate::gateway::{Gateway, Snapshot};

/// The time that keep-alive may last, as far as pingora is concerned: the connection's own clock
/// judges it.
const UNTIMED: Option<u64> = Some(0);

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: Stream,
    proxy: Arc<HttpProxy<Phases>>,
    gateway: Arc<Gateway>,
    stop: ShutdownWatch,
    entrance: Entrance,
) {
    let snapshot = gateway.snapshot();
    let limits = snapshot.limits();
    let clock = Arc::new(Clock::new(limits.idle_timeout, limits.header_timeout));
    drop(snapshot);
    let mut stream: Stream = Box::new(Guarded::new(stream, clock.clone(), entrance));
    let mut settings = None;
    loop {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(UNTIMED);
        if let Some(settings) = settings.take() {
            pingora::apps::HttpPersistentSettings::apply_to_session(settings, &mut session);
        }
        session.set_read_timeout(None);
        session.set_pipelining_enabled(true);
        let serving = proxy.process_new_http(session, &stop);
        let Some(reused) = clock.to_the_end(serving).await else { return };
        (stream, settings) = reused.consume();
        let snapshot = gateway.snapshot();
        clock.rest(snapshot.limits().idle_timeout, snapshot.limits().header_timeout);
    }
}

/// How a connection came in.
#[derive(Clone, Debug, Default)]
pub(super) struct Entrance {
    /// How it was secured; absent in clear.
    pub handshake: Option<Arc<Handshake>>,
    /// The port at which the client finds the same by `https`, where it is sent there.
    pub https: Option<u16>,
}

impl Entrance {
    /// Whether its terms are others by now, so that the connection should end.
    pub fn is_outdated(&self, now: &Snapshot) -> bool {
        self.handshake.as_ref().is_some_and(|handshake| handshake.is_outdated(now))
    }
}

/// What is known of the connection that a request came by.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// How long it may wait: for HTTP/1 the connection's clock, for HTTP/2 that of the stream.
    pub clock: Arc<Clock>,
    /// How it came in.
    pub entrance: Entrance,
}

/// The connection of HTTP/1 that a session is on.
pub(super) fn of(session: &Session) -> Option<&Guarded> {
    session.as_downstream().stream()?.as_ref().as_any().downcast_ref()
}

tokio::task_local! {
    /// What is known of the connection that the request of this task came by, where a session cannot
    /// say: in HTTP/2 each request has a task of its own.
    pub(super) static LINE: Line;
}

/// Looks at what is known of the connection that a session is on.
pub(super) fn line<T>(session: &Session, look: impl FnOnce(&Line) -> T) -> Option<T> {
    match of(session) {
        Some(guarded) => Some(look(guarded.line())),
        None => LINE.try_with(look).ok(),
    }
}
