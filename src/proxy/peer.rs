//! Where an admitted request goes. Only a permit leads here.

use std::{net::SocketAddr, time::Duration};

use pingora::{protocols::TcpKeepalive, upstreams::peer::HttpPeer};

use crate::policy::upstream::{Timeouts, Upstream};

/// How long an upstream's connection is kept without a request: shorter than the five seconds
/// after which common application servers close theirs, so that none is closed under a request.
const KEPT: Duration = Duration::from_secs(4);

/// The longest silence on a connection to an upstream. The client's clock judges each phase before
/// that; this holds where the client's connection cannot be watched because it sent ahead.
const SILENCE: Duration = Duration::from_secs(600);

/// The peer at an address.
pub(super) fn at(address: SocketAddr, timeouts: &Timeouts, upstream: &Upstream) -> HttpPeer {
    // Routes share connections, and none may be given up sooner than its route expects.
    let stalled = timeouts.response.max(upstream.timeouts.response);
    let mut peer = HttpPeer::new(address, false, String::new());
    let options = &mut peer.options;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect);
    options.read_timeout = Some(SILENCE.max(timeouts.response).max(timeouts.idle));
    options.write_timeout = Some(timeouts.response);
    options.idle_timeout = Some(KEPT);
    options.tcp_keepalive = Some(keepalive(stalled));
    peer
}

/// A stalled body ends the wait for its bytes but not the wait for an answer, and the client is not
/// read from meanwhile, so that no clock runs: the system gives such a connection up.
fn keepalive(stalled: Duration) -> TcpKeepalive {
    TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: stalled,
    }
}
