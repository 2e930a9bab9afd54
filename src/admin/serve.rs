//! The admin listener's connections: few, and none for long without a request.

use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Extension;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::sync::Semaphore;

use super::{guard::Called, records::Peer};
use crate::{gateway::Gateway, observe::trouble::Trouble};

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 256;

/// How long a connection may take to send a request's header.
const HEADER_TIME: Duration = Duration::from_secs(30);

/// How long a connection lasts; the next request comes on another.
const LIFETIME: Duration = Duration::from_secs(600);

/// Bytes of a request's header.
const HEADER_BYTES: usize = 16 << 10;

/// Serves until the process ends.
///
/// # Errors
/// A socket that cannot be served on.
pub async fn serve(gateway: Arc<Gateway>, socket: TcpListener) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let routes = super::routes(gateway.clone(), listener.local_addr()?);
    let gauge = gateway.metrics().connections("admin");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut trouble = Trouble::default();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => {
                if let Some(times) = trouble.is_over() {
                    tracing::info!(event = "accept_recovered", times);
                }
                accepted
            }
            Err(error) => {
                if let Some(times) = trouble.came(Instant::now()) {
                    tracing::warn!(event = "accept_failed", %error, times, "connections cannot be accepted");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(called) = stream.local_addr() else { continue };
        let service = TowerToHyperService::new(
            routes.clone().layer(Extension(Called(called))).layer(Extension(Peer(peer))),
        );
        let gauge = gauge.clone();
        tokio::spawn(async move {
            gauge.inc();
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME)
                .max_buf_size(HEADER_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            if tokio::time::timeout(LIFETIME, connection.as_mut()).await.is_err() {
                connection.as_mut().graceful_shutdown();
                // Whoever has not taken its answer by then gets no more of it.
                let _ = tokio::time::timeout(HEADER_TIME, connection).await;
            }
            gauge.dec();
            drop(place);
        });
    }
}
