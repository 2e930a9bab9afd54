//! Serving, from the first connection to the last.

use std::{future::Future, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use pingora::{
    apps::HttpServerApp as _,
    protocols::{ALPN, l4::listener::Listener},
    proxy::HttpProxy,
    server::{ShutdownWatch, configuration::ServerConf},
};
use prometheus::IntGauge;
use tokio::sync::{mpsc, watch};

use super::{
    Phases,
    connection::{self, Handshake},
    http2,
    listen::Bound,
    opening::{self, Protocol},
    tls,
};
use crate::{
    compile::{Listen, TlsTerms},
    gateway::{Gateway, Snapshot},
};

/// Connections to upstreams that are kept for reuse, over all targets. Too few of them are the
/// costliest mistake there is: a connection per request.
const POOL: usize = 16 << 10;

/// Attempts at the addresses of a target.
const TRIES: usize = 8;

/// How long accepting rests when the process has no file descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Clean,
    /// Requests were cut off: the time was over, or the operator had no patience.
    Cut,
}

/// What a process that serves is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// To end.
    Stop,
    /// That another serves on its sockets.
    Replaced,
}

/// How long connections without a request are kept open when another process has taken over: a client
/// that is about to send its next is told on its answer that it was the last here.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long connections that were just accepted have to begin a request before those without one end.
const LAST_MOMENT: Duration = Duration::from_millis(50);

/// Serves on these sockets until it is told to stop, then drains; told again, it ends at once.
///
/// # Errors
/// A socket that cannot be served on.
pub async fn serve(
    gateway: Arc<Gateway>,
    sockets: Vec<Bound>,
    mut stop: mpsc::Receiver<Word>,
) -> std::io::Result<Drained> {
    let proxy = Arc::new(proxy(&gateway));
    let (close, closed) = watch::channel(false);
    let (tell, told) = watch::channel(false);
    let (alive, mut gone) = mpsc::channel::<()>(1);
    let (listen, http2) = (gateway.begun_with().listen.clone(), gateway.begun_with().http2);
    for (bound, begun) in sockets.into_iter().zip(listen) {
        let door = Door {
            security: Security::new(begun),
            http2,
            listener: tokio::net::TcpListener::from_std(bound.socket)?.into(),
            gauge: gateway.metrics().connections(&bound.address.to_string()),
            proxy: proxy.clone(),
            gateway: gateway.clone(),
            close: closed.clone(),
            stop: told.clone(),
            alive: alive.clone(),
        };
        tokio::spawn(door.accept());
    }
    drop(alive);
    let closing = proxy;
    gateway.readiness().serving();

    let word = told_to(&mut stop).await;
    gateway.readiness().draining();
    let snapshot = gateway.snapshot();
    let (mut delay, timeout) = (snapshot.serving().drain_delay, snapshot.serving().drain_timeout);
    drop(snapshot);
    if word == Word::Replaced {
        close.send_replace(true);
        delay = delay.max(FAREWELL);
    }
    tracing::info!(event = "draining", ?delay, ?timeout);
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        _ = told_to(&mut stop) => return Ok(Drained::Cut),
    }
    close.send_replace(true);
    // Whoever was let in at the last moment has a request on its way.
    tokio::time::sleep(LAST_MOMENT).await;
    tell.send_replace(true);
    closing.http_cleanup().await;
    Ok(tokio::select! {
        _ = gone.recv() => Drained::Clean,
        () = tokio::time::sleep(timeout) => Drained::Cut,
        _ = told_to(&mut stop) => Drained::Cut,
    })
}

/// Waits for the next word to stop; for ever if nobody is left to give it.
async fn told_to(stop: &mut mpsc::Receiver<Word>) -> Word {
    match stop.recv().await {
        Some(word) => word,
        None => std::future::pending().await,
    }
}

fn proxy(gateway: &Arc<Gateway>) -> HttpProxy<Phases> {
    let conf = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: POOL,
        max_retries: TRIES,
        // The system's authorities are for upstreams without any of their own. That there are none
        // is no reason not to start: such an upstream is then not believed.
        ca_file: rustls_native_certs::load_native_certs()
            .certs
            .is_empty()
            .then(|| "/dev/null".to_owned()),
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(Phases::new(gateway.clone()), Arc::new(conf));
    proxy.handle_init_modules();
    proxy
}

/// A listener and what it hands its connections to.
struct Door {
    listener: Listener,
    security: Security,
    /// Whether clients may speak HTTP/2.
    http2: bool,
    gauge: IntGauge,
    proxy: Arc<HttpProxy<Phases>>,
    gateway: Arc<Gateway>,
    /// Says when no more connections are taken.
    close: ShutdownWatch,
    /// Says when connections without a request are to end.
    stop: ShutdownWatch,
    /// Held by every connection: who waits for the last of them waits for all to be dropped.
    alive: mpsc::Sender<()>,
}

impl Door {
    async fn accept(mut self) {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok(stream) => self.let_in(stream),
                    Err(error) => self.refused(&error).await,
                },
                _ = self.close.changed() => break,
            }
        }
        // Whoever the system has let in already is served.
        while let Some(Ok(stream)) = ready(self.listener.accept()).await {
            self.let_in(stream);
        }
    }

    fn let_in(&self, mut stream: pingora::protocols::l4::stream::Stream) {
        if let Err(error) = stream.set_nodelay() {
            tracing::debug!(%error, "a connection was gone before it was served");
            return;
        }
        let held = (Open::new(&self.gauge), self.alive.clone());
        let (proxy, gateway) = (self.proxy.clone(), self.gateway.clone());
        let mut stop = self.stop.clone();
        let http2 = self.http2;
        let Some(terms) = self.security.terms(&gateway.snapshot()) else {
            tokio::spawn(async move {
                let protocol = match http2 {
                    false => Some(Protocol::Http1),
                    true => {
                        let snapshot = gateway.snapshot();
                        let limits = snapshot.limits();
                        let (idle, header) = (limits.idle_timeout, limits.header_timeout);
                        drop(snapshot);
                        opening::protocol(&mut stream, idle, header, &mut stop).await
                    }
                };
                match protocol {
                    Some(Protocol::Http1) => {
                        connection::serve(Box::new(stream), proxy, gateway, stop, None).await;
                    }
                    Some(Protocol::Http2) => {
                        http2::serve(Box::new(stream), proxy, gateway, stop, None).await;
                    }
                    None => {}
                }
                drop(held);
            });
            return;
        };
        tokio::spawn(async move {
            let limit = gateway.snapshot().limits().header_timeout;
            let config = terms.config(http2);
            if let Some(stream) = tls::accept(stream, config, limit, &mut stop).await {
                let handshake = Some(Arc::new(Handshake::of(&stream, terms.asks_clients)));
                if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
                    http2::serve(stream, proxy, gateway, stop, handshake).await;
                } else {
                    connection::serve(stream, proxy, gateway, stop, handshake).await;
                }
            }
            drop(held);
        });
    }

    async fn refused(&self, error: &std::io::Error) {
        tracing::warn!(event = "accept_failed", %error, "a connection could not be accepted");
        // Without a descriptor left the next attempt would fail at once, and so for ever.
        tokio::time::sleep(EXHAUSTED).await;
    }
}

/// Whether a listener speaks TLS, and how.
struct Security {
    /// As the socket was made.
    begun: Listen,
    /// The last terms that a configuration had for it.
    last: ArcSwapOption<TlsTerms>,
}

impl Security {
    fn new(begun: Listen) -> Self {
        Self { last: ArcSwapOption::new(begun.tls.clone()), begun }
    }

    /// The terms of a handshake that begins now: those of the live configuration. Where it has no such
    /// listener any more, which waits for a restart, the last that there were: what was withdrawn
    /// since the start stays withdrawn.
    fn terms(&self, live: &Snapshot) -> Option<Arc<TlsTerms>> {
        let Some(now) = live.serving().listen.iter().find(|now| now.is_like(&self.begun)) else {
            return self.last.load_full();
        };
        if let Some(terms) = &now.tls
            && !self.last.load().as_ref().is_some_and(|last| Arc::ptr_eq(last, terms))
        {
            self.last.store(Some(terms.clone()));
        }
        now.tls.clone()
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
