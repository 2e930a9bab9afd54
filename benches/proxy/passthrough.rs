//! A bare pingora pass-through: the floor that portcullis is measured against. Same runtime, same
//! pool, same allocator and profile as the product; no policy at all.

use std::{net::TcpListener, os::fd::IntoRawFd, sync::Arc};

use async_trait::async_trait;
use pingora::{
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Fds, configuration::ServerConf},
    services::Service,
    upstreams::peer::HttpPeer,
};

use crate::Outcome;

/// The environment variable that makes this process the pass-through; its value is the upstream's
/// address.
pub const ROLE: &str = "PORTCULLIS_BENCH_PASSTHROUGH";

struct Passthrough(std::net::SocketAddr);

#[async_trait]
impl ProxyHttp for Passthrough {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}

/// Serves until the process is ended; prints its port first.
pub fn serve(upstream: &str) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?.to_string();
    println!("{address}");
    let mut fds = Fds::new();
    fds.add(address.clone(), listener.into_raw_fd());
    let conf = ServerConf { upstream_keepalive_pool_size: 16 << 10, ..ServerConf::default() };
    let mut service = http_proxy_service(&Arc::new(conf), Passthrough(upstream.parse()?));
    service.add_tcp(&address);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async move {
        let (_stop, watch) = tokio::sync::watch::channel(false);
        let fds = Arc::new(parking_lot::Mutex::new(fds));
        service.start_service(Some(fds), watch, 1).await;
    });
    Ok(())
}
