//! TLS with clients: the handshake, and whom it was for.

use std::{net::IpAddr, sync::Arc, time::Duration};

use pingora::{
    listeners::tls::Acceptor,
    protocols::{Stream, l4, tls::TlsRef},
    server::ShutdownWatch,
};
use rustls::ServerConfig;

use super::opening::stopped;
use crate::{model::canonical, policy::authn::ClientCertificate};

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
/// for an address names nobody (RFC 6066, section 3), and can mean the one that it reached.
pub(super) fn is_for(host: &str, asked: Option<&str>, local: Option<IpAddr>) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let bare = |name: &str| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match asked {
        Some(asked) => bare(asked) == bare(name),
        None => {
            let address = name.parse().ok().map(canonical);
            address.is_some() && address == local.map(canonical)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_for;

    #[test]
    fn a_request_belongs_to_the_name_of_its_handshake() {
        for host in ["api.example", "API.example:8443", "api.example."] {
            assert!(is_for(host, Some("api.example"), None), "{host}");
        }
        for host in ["other.example", "api.example.evil", "", "127.0.0.1"] {
            assert!(!is_for(host, Some("api.example"), None), "{host}");
        }
    }

    #[test]
    fn who_names_nobody_can_mean_the_address_that_it_reached_and_no_other() {
        let at = |host: &str, local: &str| is_for(host, None, Some(local.parse().unwrap()));
        assert!(at("127.0.0.1:8443", "127.0.0.1"));
        assert!(at("127.0.0.1", "::ffff:127.0.0.1"), "a socket of both versions");
        assert!(at("[::1]:8443", "::1"));
        assert!(!at("10.9.9.9", "127.0.0.1"));
        assert!(!at("[::2]", "::1"));
        assert!(!at("api.example", "127.0.0.1"));
        assert!(!is_for("api.example", None, None));
        assert!(!is_for("127.0.0.1", None, None));
    }
}
