//! Serving, from the first connection to the last.

use std::{sync::Arc, time::Duration};

use pingora::{apps::HttpServerApp as _, proxy::HttpProxy, server::configuration::ServerConf};
use tokio::sync::{mpsc, watch};

use super::{
    Phases,
    crowd::Crowd,
    door::{Counts, Door, Place},
    listen::Bound,
};
use crate::gateway::Gateway;

/// Connections to upstreams that are kept for reuse, over all targets. Too few of them are the
/// costliest mistake there is: a connection per request.
const POOL: usize = 16 << 10;

/// Attempts at the addresses of a target.
const TRIES: usize = 8;

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request was answered.
    Clean,
    /// Requests were cut off: the time was over, or the operator had no patience.
    Cut,
    /// The same, after another process had taken over: what it serves goes on.
    Replaced,
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
    let crowd = Arc::new(Crowd::default());
    for (index, bound) in sockets.into_iter().enumerate() {
        let Some(place) = Place::new(&listen, index) else { break };
        let door = Door {
            place: Arc::new(place),
            http2,
            listener: tokio::net::TcpListener::from_std(bound.socket)?.into(),
            counts: Counts::new(gateway.metrics(), &bound.address.to_string()),
            crowd: crowd.clone(),
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
    let cut = if word == Word::Replaced { Drained::Replaced } else { Drained::Cut };
    tracing::info!(event = "draining", ?delay, ?timeout);
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        _ = told_to(&mut stop) => return Ok(cut),
    }
    close.send_replace(true);
    // Whoever was let in at the last moment has a request on its way.
    tokio::time::sleep(LAST_MOMENT).await;
    tell.send_replace(true);
    closing.http_cleanup().await;
    Ok(tokio::select! {
        _ = gone.recv() => Drained::Clean,
        () = tokio::time::sleep(timeout) => cut,
        _ = told_to(&mut stop) => cut,
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
