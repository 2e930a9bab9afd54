//! Where an admitted request goes. Only a permit leads here.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;
use pingora::{
    protocols::{TcpKeepalive, tls::CaType},
    upstreams::peer::{HttpPeer, PeerOptions},
    utils::tls::{CertKey, WrappedX509, parse_x509},
};

use super::{clock::Clock, patient::Patience};
use crate::policy::upstream::{Protocol, Target, Timeouts, Upstream, UpstreamTls};

/// How long an upstream's connection is kept without a request: shorter than the five seconds
/// after which common application servers close theirs, so that none is closed under a request.
const KEPT: Duration = Duration::from_secs(4);

/// The longest silence on a connection to an upstream. The client's clock judges each phase before
/// that; this holds where the client's connection may not be watched because more than a header
/// comes by it. Where nothing more does, no timer is set up for each answer.
const SILENCE: Duration = Duration::from_secs(600);

/// Terms of TLS in the form that pingora wants, made once.
#[derive(Default)]
pub(super) struct Prepared(RwLock<HashMap<u64, Terms>>);

#[derive(Clone, Default)]
struct Terms {
    authorities: Option<Arc<CaType>>,
    identity: Option<Arc<CertKey>>,
}

/// Terms that are kept; more than that are left from files that are no longer live.
const MOST: usize = 256;

impl Prepared {
    fn terms(&self, tls: &UpstreamTls) -> Terms {
        if tls.authorities.is_none() && tls.identity.is_none() {
            return Terms::default();
        }
        if let Some(known) = self.0.read().get(&tls.fingerprint) {
            return known.clone();
        }
        let authority = |der: &Vec<u8>| WrappedX509::new(der.clone(), parse_x509);
        let terms = Terms {
            authorities: tls.authorities.as_ref().map(|all| all.iter().map(authority).collect()),
            identity: tls.identity.as_ref().map(|identity| {
                Arc::new(CertKey::new(identity.chain.clone(), identity.key.expose().to_vec()))
            }),
        };
        let mut known = self.0.write();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(tls.fingerprint, terms.clone());
        terms
    }
}

/// What a client sends after its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing: its connection is watched from here to the end of the answer.
    Nothing,
    /// A body, or another protocol.
    Something,
}

/// The peer at an address of this target.
pub(super) fn at(
    address: SocketAddr,
    target: &Target,
    timeouts: &Timeouts,
    upstream: &Upstream,
    prepared: &Prepared,
    rest: Rest,
) -> HttpPeer {
    // Routes share connections, and none may be given up sooner than its route expects.
    let stalled = timeouts.response.max(upstream.timeouts.response);
    let name = target.secure.as_deref().unwrap_or_default();
    let mut peer = HttpPeer::new(address, target.secure.is_some(), name.to_owned());
    if target.secure.is_some() {
        let tls = &upstream.tls;
        let terms = prepared.terms(tls);
        peer.options.ca = terms.authorities;
        peer.client_cert_key = terms.identity;
        peer.options.verify_cert = !tls.unverified;
        peer.options.verify_hostname = !tls.unverified;
        // Whom a connection was checked against is no part of what pingora shares it by.
        peer.group_key = tls.fingerprint;
    }
    let options = &mut peer.options;
    options.connection_timeout = Some(timeouts.connect);
    options.total_connection_timeout = Some(timeouts.connect);
    options.read_timeout = match rest {
        Rest::Nothing => None,
        Rest::Something => Some(SILENCE.max(timeouts.response).max(timeouts.idle)),
    };
    options.write_timeout = Some(timeouts.response);
    options.idle_timeout = Some(KEPT);
    options.tcp_keepalive = Some(keepalive(stalled));
    if upstream.protocol == Protocol::Http2 {
        speak_http2(options);
    }
    peer
}

/// Requests that share a connection to an upstream.
const SHARING: usize = 100;

/// Bytes of an answer that an upstream may send ahead of what its client takes, and of all answers of a
/// connection: so much that no client which takes nothing keeps the others from theirs.
const WINDOW: u32 = 128 << 10;
const ALL_WINDOWS: u32 = 16 << 20;

/// How long such a connection is kept without a request: its end is announced, and what it takes with
/// it is sent again.
const KEPT_HTTP2: Duration = Duration::from_secs(60);

fn speak_http2(options: &mut PeerOptions) {
    options.set_http_version(2, 2);
    options.max_h2_streams = SHARING;
    options.h2_stream_window_size = Some(WINDOW);
    options.h2_connection_window_size = Some(ALL_WINDOWS);
    options.idle_timeout = Some(KEPT_HTTP2);
}

/// The same for the handshake of a WebSocket: a connection of its own, made with patience, which ends
/// when the client's clock says so.
pub(super) fn for_websocket(mut peer: HttpPeer, clock: Option<Arc<Clock>>) -> HttpPeer {
    peer.options.custom_l4 = Some(Arc::new(Patience(clock)));
    // None that is kept for other requests is taken.
    peer.group_key = !peer.group_key;
    peer
}

/// The same, over a connection that is not kept from before.
pub(super) fn for_new_connection(mut peer: HttpPeer) -> HttpPeer {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Spread like the fingerprints of terms of TLS, and none comes twice.
    peer.group_key ^= NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
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
