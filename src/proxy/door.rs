//! A listener's door: who is let in, as whom, and by what handshake.

use std::{
    future::Future,
    net::SocketAddr,
    os::fd::AsRawFd as _,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use pingora::{
    protocols::{
        ALPN, GetSocketDigest as _, SocketDigest,
        l4::{listener::Listener, stream::Stream},
    },
    proxy::HttpProxy,
    server::ShutdownWatch,
};
use prometheus::{IntCounter, IntGauge};
use tokio::sync::mpsc;

use super::{
    Phases, announcement,
    connection::{self, Entrance},
    crowd::{Crowd, Full, Seat},
    handshake::Handshake,
    http2,
    opening::{self, Protocol},
    tls,
};
use crate::{
    compile::{HttpsPort, Listen, TlsTerms},
    gateway::{Gateway, Snapshot},
    model::Cidr,
    observe::{Metrics, trouble::Trouble},
    policy::server::ServerTerms,
};

/// How long accepting rests when the process has no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A listener and what it hands its connections to.
pub(super) struct Door {
    pub listener: Listener,
    pub place: Arc<Place>,
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
    pub counts: Counts,
    pub crowd: Arc<Crowd>,
    pub proxy: Arc<HttpProxy<Phases>>,
    pub gateway: Arc<Gateway>,
    /// Says when no more connections are taken.
    pub close: ShutdownWatch,
    /// Says when connections without a request are to end.
    pub stop: ShutdownWatch,
    /// Held by every connection: who waits for the last of them waits for all to be dropped.
    pub alive: mpsc::Sender<()>,
}

impl Door {
    /// Lets clients in until it is told to stop.
    pub async fn accept(mut self) {
        let mut trouble = Trouble::default();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(stream) => {
                        if let Some(times) = trouble.is_over() {
                            tracing::info!(event = "accept_recovered", times);
                        }
                        self.let_in(stream);
                    }
                    Err(error) => {
                        if let Some(times) = trouble.came(Instant::now()) {
                            tracing::warn!(event = "accept_failed", %error, times, "connections cannot be accepted");
                        }
                        // Without a descriptor left the next attempt would fail at once, and so for ever.
                        tokio::time::sleep(EXHAUSTED).await;
                    }
                },
                _ = self.close.changed() => break,
            }
        }
        // Whoever the system has let in already is served.
        while let Some(Ok(stream)) = ready(self.listener.accept()).await {
            self.let_in(stream);
        }
    }

    fn let_in(&self, mut stream: Stream) {
        if let Err(error) = stream.set_nodelay() {
            tracing::debug!(%error, "a connection was gone before it was served");
            return;
        }
        let Some(peer) = peer(&stream) else { return };
        let snapshot = self.gateway.snapshot();
        let (listen, server) = (self.place.listen(&snapshot), &snapshot.policy().server);
        let Ok(mut seat) = self.crowd.enter(server.connections.total) else {
            self.counts.total.inc();
            return;
        };
        if count(&mut seat, peer, server).is_err() {
            self.counts.address.inc();
            return;
        }
        let visit = Visit {
            announced: listen.announced && is_trusted(peer, server),
            place: self.place.clone(),
            tls: listen.tls.clone(),
            http2: self.http2,
            https: listen.redirect.and_then(|port| self.place.port(port, &self.gateway)),
            counts: self.counts.clone(),
            proxy: self.proxy.clone(),
            gateway: self.gateway.clone(),
            stop: self.stop.clone(),
            seat,
            _open: Open::new(&self.counts.open),
            _alive: self.alive.clone(),
        };
        drop(snapshot);
        tokio::spawn(visit.receive(stream));
    }
}

/// A connection that was let in, until it ends.
struct Visit {
    /// Whether the other end says first whom it speaks for.
    announced: bool,
    place: Arc<Place>,
    tls: Option<Arc<TlsTerms>>,
    http2: bool,
    https: Option<u16>,
    counts: Counts,
    proxy: Arc<HttpProxy<Phases>>,
    gateway: Arc<Gateway>,
    stop: ShutdownWatch,
    seat: Seat,
    _open: Open,
    _alive: mpsc::Sender<()>,
}

impl Visit {
    async fn receive(mut self, mut stream: Stream) {
        let snapshot = self.gateway.snapshot();
        let (idle, limit) = (snapshot.limits().idle_timeout, snapshot.limits().header_timeout);
        drop(snapshot);
        if self.announced && self.hear(&mut stream, limit).await.is_none() {
            return;
        }
        let Self {
            place, tls, http2, https, proxy, gateway, mut stop, seat, _open, _alive, ..
        } = self;
        let mut entrance = Entrance { https, handshake: None };
        let (stream, protocol): (pingora::protocols::Stream, _) = match tls {
            None => {
                let protocol = match http2 {
                    false => Some(Protocol::Http1),
                    true => opening::protocol(&mut stream, idle, limit, &mut stop).await,
                };
                let Some(protocol) = protocol else { return };
                (Box::new(stream), protocol)
            }
            Some(terms) => {
                let secured = tls::accept(stream, terms.config(http2), limit, &mut stop).await;
                let Some(stream) = secured else { return };
                entrance.handshake = Some(Arc::new(Handshake::of(&stream, &terms, place)));
                let is_second = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
                (stream, if is_second { Protocol::Http2 } else { Protocol::Http1 })
            }
        };
        match protocol {
            Protocol::Http1 => connection::serve(stream, proxy, gateway, stop, entrance).await,
            Protocol::Http2 => http2::serve(stream, proxy, gateway, stop, entrance).await,
        }
        drop((seat, _open, _alive));
    }

    /// Hears whom a trusted proxy speaks for, who is from then on the other end of the connection.
    /// Nothing if it is to end: what the proxy says is not sound, or too late, or its client has
    /// too many connections.
    async fn hear(&mut self, stream: &mut Stream, limit: Duration) -> Option<()> {
        let heard = tokio::select! {
            heard = announcement::read(stream) => heard.ok(),
            () = tokio::time::sleep(limit) => None,
            () = tls::patience(&mut self.stop) => return None,
        };
        let Some(client) = heard else {
            tracing::debug!(
                event = "announcement_failed",
                "a proxy did not say whom it speaks for"
            );
            self.counts.announcement.inc();
            return None;
        };
        let Some(client) = client else { return Some(()) };
        let snapshot = self.gateway.snapshot();
        if count(&mut self.seat, client, &snapshot.policy().server).is_err() {
            self.counts.address.inc();
            return None;
        }
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        // It was just made, and holds nobody.
        let _ = digest.peer_addr.set(Some(client.into()));
        stream.set_socket_digest(digest);
        Some(())
    }
}

/// Counts a connection with those of its other end, unless that is a proxy of ours.
fn count(seat: &mut Seat, peer: SocketAddr, server: &ServerTerms) -> Result<(), Full> {
    if is_trusted(peer, server) {
        return Ok(());
    }
    seat.count_with(peer.ip(), server.connections.per_address)
}

fn is_trusted(peer: SocketAddr, server: &ServerTerms) -> bool {
    Cidr::any_contains(&server.trusted_proxies, peer.ip())
}

fn peer(stream: &Stream) -> Option<SocketAddr> {
    stream.get_socket_digest()?.peer_addr()?.as_inet().copied()
}

/// Which listener it is.
#[derive(Debug)]
pub(super) struct Place {
    /// As the socket was made.
    begun: Listen,
    /// How many before it are like it: port 0 may stand there more than once.
    before: usize,
    last: ArcSwap<Last>,
}

/// A listener as a configuration last had it.
#[derive(Debug)]
struct Last {
    /// The latest configuration that was looked at.
    generation: u64,
    listen: Arc<Listen>,
}

impl Place {
    /// That at this place of those that were begun with.
    pub fn new(all: &[Listen], index: usize) -> Option<Self> {
        let begun = all.get(index)?.clone();
        let before = all.iter().take(index).filter(|other| other.is_like(&begun)).count();
        let listen = Arc::new(begun.clone());
        Some(Self { last: ArcSwap::from_pointee(Last { generation: 0, listen }), before, begun })
    }

    /// Its terms now: those of the live configuration. Where it has no such listener any more, which
    /// waits for a restart, the last that there were: what was withdrawn since the start stays
    /// withdrawn. So it does for a request that began before it was.
    pub fn listen(&self, live: &Snapshot) -> Arc<Listen> {
        let generation = live.generation();
        let last = self.last.load();
        if last.generation >= generation {
            return last.listen.clone();
        }
        let mut alike = live.serving().listen.iter().filter(|now| now.is_like(&self.begun));
        let now = alike.nth(self.before);
        let listen = now.map_or_else(|| last.listen.clone(), |now| Arc::new(now.clone()));
        drop(last);
        let next = Arc::new(Last { generation, listen });
        self.last
            .rcu(|last| if last.generation < generation { next.clone() } else { last.clone() });
        self.last.load().listen.clone()
    }

    fn port(&self, port: HttpsPort, gateway: &Gateway) -> Option<u16> {
        match port {
            HttpsPort::Fixed(port) => Some(port),
            HttpsPort::Of(index) => gateway.listeners().get(index).map(SocketAddr::port),
        }
    }
}

/// What a listener counts.
#[derive(Clone)]
pub(super) struct Counts {
    open: IntGauge,
    address: IntCounter,
    announcement: IntCounter,
    total: IntCounter,
}

impl Counts {
    /// Of the listener at this address.
    pub fn new(metrics: &Metrics, listener: &str) -> Self {
        Self {
            open: metrics.connections(listener),
            address: metrics.connections_refused(listener, "address"),
            announcement: metrics.connections_refused(listener, "announcement"),
            total: metrics.connections_refused(listener, "total"),
        }
    }
}

/// What a future has at once, if it has something.
async fn ready<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}

/// Counts an open connection.
struct Open(IntGauge);

impl Open {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
