//! The one reading of a request that is both judged and forwarded.

use std::net::IpAddr;

use http::{HeaderMap, Method};

use super::authn::ClientCertificate;

/// A request as the judge sees it. Borrowed from what was received: the same bytes go upstream.
#[derive(Clone, Debug)]
pub struct RequestFacts<'r> {
    /// The method as sent.
    pub method: &'r Method,
    /// The path as received, from its first `/` up to `?`; never decoded.
    pub path: &'r str,
    /// What stands behind `?`, as received.
    pub query: Option<&'r str>,
    /// The `Host` header (or authority) as sent; it always rules the routing.
    pub host: &'r str,
    /// The headers as received.
    pub headers: &'r HeaderMap,
    /// The address of the connection's other end, canonical.
    pub peer: IpAddr,
    /// Whether that other end is one of `server.trusted_proxies`.
    pub peer_trusted: bool,
    /// The client's address: the peer, or what trusted proxies say of it.
    pub client: IpAddr,
    /// How the client came, as far as the peer may tell.
    pub scheme: Scheme,
    /// The host that the client asked for, as a trusted peer says, else `host`.
    pub forwarded_host: &'r str,
    /// The request's id: a valid incoming one or a fresh one.
    pub request_id: &'r str,
    /// Whether this is a complete WebSocket handshake (RFC 6455, section 4.1).
    pub websocket: bool,
    /// The port that the client asked for, as a trusted peer or `forwarded_host` says.
    pub port: u16,
    /// The certificate that the client showed and the listener verified.
    pub certificate: Option<&'r ClientCertificate>,
}

/// How the client came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// By TLS.
    Https,
}

impl Scheme {
    /// As it stands in `X-Forwarded-Proto`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
