//! One client's connection: requests one after the other, until either side has enough.

use std::sync::Arc;

use pingora::{
    apps::HttpServerApp as _,
    protocols::{Stream, http::ServerSession},
    proxy::{HttpProxy, Session},
    server::ShutdownWatch,
};

use super::{Phases, clock::Clock, guarded::Guarded};
use crate::{gateway::Gateway, policy::authn::ClientCertificate};

/// The time that keep-alive may last, as far as pingora is concerned: the connection's own clock
/// judges it.
const UNTIMED: Option<u64> = Some(0);

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: Stream,
    proxy: Arc<HttpProxy<Phases>>,
    gateway: Arc<Gateway>,
    stop: ShutdownWatch,
    handshake: Option<Handshake>,
) {
    let snapshot = gateway.snapshot();
    let limits = snapshot.limits();
    let clock = Arc::new(Clock::new(limits.idle_timeout, limits.header_timeout));
    drop(snapshot);
    let mut stream: Stream = Box::new(Guarded::new(stream, clock.clone(), handshake));
    let mut settings = None;
    loop {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive(UNTIMED);
        if let Some(settings) = settings.take() {
            pingora::apps::HttpPersistentSettings::apply_to_session(settings, &mut session);
        }
        session.set_read_timeout(None);
        session.set_pipelining_enabled(true);
        let Some(reused) = proxy.process_new_http(session, &stop).await else { return };
        (stream, settings) = reused.consume();
        let snapshot = gateway.snapshot();
        clock.rest(snapshot.limits().idle_timeout, snapshot.limits().header_timeout);
    }
}

/// What a connection's handshake was.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    /// Whether the client was asked for a certificate.
    pub asks_client: bool,
    /// The certificate that it showed.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// The connection that a session is on.
pub(super) fn of(session: &Session) -> Option<&Guarded> {
    session.as_downstream().stream()?.as_ref().as_any().downcast_ref()
}
