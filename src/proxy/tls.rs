//! TLS with clients: the handshake, and whom it was for.

use std::{net::IpAddr, sync::Arc, time::Duration};

use pingora::{
    listeners::tls::Acceptor,
    protocols::{Stream, l4, tls::TlsRef},
    server::ShutdownWatch,
};
use rustls::ServerConfig;

use super::opening::stopped;
use crate::policy::authn::ClientCertificate;

/// How much longer a handshake may take, or whatever comes before it, once the gateway has been told
/// to stop.
const PATIENCE: Duration = Duration::from_secs(1);

/// Does the handshake; none if it fails, takes too long, or the gateway stops meanwhile.
pub(super) async fn accept(
    stream: l4::stream::Stream,
    config: Arc<ServerConfig>,
    limit: Duration,
    stop: &mut ShutdownWatch,
) -> Option<Stream> {
    let acceptor = Acceptor::from_server_config(config);
    tokio::select! {
        made = acceptor.tls_handshake(stream) => match made {
            Ok(stream) => Some(Box::new(stream)),
            Err(error) => {
                tracing::debug!(event = "handshake_failed", %error, "a client and the gateway found no common terms");
                None
            }
        },
        () = tokio::time::sleep(limit) => None,
        () = patience(stop) => None,
    }
}

/// Lasts for as long as somebody who has not made a request yet is waited for: until the gateway is
/// told to stop, and a moment longer.
pub(super) async fn patience(stop: &mut ShutdownWatch) {
    stopped(stop).await;
    tokio::time::sleep(PATIENCE).await;
}

/// The certificate that the client showed, which the handshake verified.
pub(super) fn shown(stream: &Stream) -> Option<Arc<ClientCertificate>> {
    let der = stream.get_ssl().and_then(TlsRef::peer_certificate_der)?;
    Some(Arc::new(ClientCertificate::read(der)))
}

/// Whether a request for this host belongs on a connection whose handshake named `asked`. Who asks
/// for an address names nobody (RFC 6066, section 3).
pub(super) fn is_for(host: &str, asked: Option<&str>) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match asked {
        Some(asked) => bare(asked) == bare(name),
        None => name.parse::<IpAddr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_for;

    #[test]
    fn a_request_belongs_to_the_name_of_its_handshake() {
        for host in ["api.example", "API.example:8443", "api.example."] {
            assert!(is_for(host, Some("api.example")), "{host}");
        }
        for host in ["other.example", "api.example.evil", "", "127.0.0.1"] {
            assert!(!is_for(host, Some("api.example")), "{host}");
        }
        assert!(is_for("127.0.0.1:8443", None));
        assert!(is_for("[::1]:8443", None));
        assert!(!is_for("api.example", None));
    }
}
