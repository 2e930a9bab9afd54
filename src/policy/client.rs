//! What the connection and its trusted proxies say of a request: who the client is, how it came,
//! and how large a request may be.
//!
//! A header speaks for the client only if the connection's other end is a trusted proxy, and of
//! what several proxies wrote, the right-most word counts: it is the one that the nearest, trusted
//! one wrote itself.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, Method, Version, header};

use super::{
    Denial, RequestFacts,
    authn::ClientCertificate,
    request::Scheme,
    server::{RequestLimits, ServerTerms},
};
use crate::model::{Cidr, canonical, parse_hop};

/// A request as the listener hands it over.
#[derive(Clone, Debug)]
pub struct Received<'r> {
    /// The method as sent.
    pub method: &'r Method,
    /// The protocol's version.
    pub version: Version,
    /// See [`RequestFacts::path`].
    pub path: &'r str,
    /// See [`RequestFacts::query`].
    pub query: Option<&'r str>,
    /// The `Host` header, or the authority of an HTTP/2 request.
    pub host: &'r str,
    /// The headers as received.
    pub headers: &'r HeaderMap,
    /// The address of the connection's other end.
    pub peer: IpAddr,
    /// How the listener was reached.
    pub scheme: Scheme,
    /// The listener's port.
    pub port: u16,
    /// See [`RequestFacts::certificate`].
    pub certificate: Option<&'r ClientCertificate>,
}

impl<'r> RequestFacts<'r> {
    /// Reads what is to be judged out of what was received. `request_id` is what [`request_id`]
    /// found, or a fresh one.
    pub fn read(received: &Received<'r>, server: &ServerTerms, request_id: &'r str) -> Self {
        let headers = received.headers;
        let peer = canonical(received.peer);
        let proxies = server.trusted_proxies.as_slice();
        let peer_trusted = Cidr::any_contains(proxies, peer);
        let said = |name: &HeaderName| if peer_trusted { last_entry(headers, name) } else { None };

        let scheme = said(&X_FORWARDED_PROTO).and_then(scheme).unwrap_or(received.scheme);
        let forwarded_host =
            said(&X_FORWARDED_HOST).filter(|host| is_authority(host)).unwrap_or(received.host);
        let port = said(&X_FORWARDED_PORT)
            .and_then(|port| port.parse().ok())
            .or_else(|| port_asked_for(forwarded_host, scheme))
            .unwrap_or(received.port);
        Self {
            method: received.method,
            path: received.path,
            query: received.query,
            host: received.host,
            headers,
            peer,
            peer_trusted,
            client: client(headers, peer, proxies),
            scheme,
            forwarded_host,
            request_id,
            websocket: is_websocket_handshake(received.method, received.version, headers),
            port,
            certificate: received.certificate,
        }
    }
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client's address: the right-most hop that is no trusted proxy, the left-most where all
/// are. A hop that is no address ends the walk, and the last good one is the client.
fn client(headers: &HeaderMap, peer: IpAddr, proxies: &[Cidr]) -> IpAddr {
    let mut client = peer;
    let lines = headers.get_all(&X_FORWARDED_FOR).into_iter().rev();
    for hop in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
        if !Cidr::any_contains(proxies, client) {
            break;
        }
        match std::str::from_utf8(hop).ok().and_then(parse_hop) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// The last entry of the last line of this name.
fn last_entry<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r str> {
    let line = headers.get_all(name).into_iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next().map(|entry| entry.trim_matches([' ', '\t']))
}

fn scheme(text: &str) -> Option<Scheme> {
    let is = |name: &str| text.eq_ignore_ascii_case(name);
    if is("https") || is("wss") {
        Some(Scheme::Https)
    } else if is("http") || is("ws") {
        Some(Scheme::Http)
    } else {
        None
    }
}

fn port_asked_for(authority: &str, scheme: Scheme) -> Option<u16> {
    let port = match authority.rsplit_once(':') {
        Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => port,
        _ => "",
    };
    match (port, scheme) {
        _ if authority.is_empty() => None,
        ("", Scheme::Http) => Some(80),
        ("", Scheme::Https) => Some(443),
        (port, _) => port.parse().ok(),
    }
}

/// Whether a text is a host with an optional port (RFC 3986, section 3.2), without user
/// information and percent-encodings.
pub fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            let fits = address.parse::<std::net::Ipv6Addr>().is_ok();
            match rest.strip_prefix(':') {
                _ if !fits => return false,
                Some(port) => ("", port),
                None => return rest.is_empty(),
            }
        }
        None => match text.split_once(':') {
            Some(("", _)) => return false,
            Some((host, port)) => (host, port),
            None if text.is_empty() => return false,
            None => (text, ""),
        },
    };
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        && (port.is_empty() || is_port(port))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// The request's incoming id, if it is one: at most 128 of letters, digits, `.`, `_` and `-`,
/// sent once.
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(&X_REQUEST_ID).into_iter();
    let (Some(id), None) = (lines.next()?.to_str().ok(), lines.next()) else { return None };
    let fits = (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    fits.then_some(id)
}

/// Whether these make a complete WebSocket handshake (RFC 6455, section 4.1): anything less is
/// an ordinary request whose `Upgrade` is dropped.
fn is_websocket_handshake(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    if *method != Method::GET || version != Version::HTTP_11 {
        return false;
    }
    let Some(upgrade) = headers.get(header::UPGRADE) else { return false };
    let key = || {
        let mut lines = headers.get_all(header::SEC_WEBSOCKET_KEY).into_iter();
        let (Some(key), None) = (lines.next(), lines.next()) else { return false };
        STANDARD.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16)
    };
    upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
        && headers.get_all(header::UPGRADE).iter().count() == 1
        && has_token(headers, &header::CONNECTION, b"upgrade")
        && key()
}

/// Whether a comma-separated list header holds the token, whatever its letter case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    let lines = headers.get_all(name).into_iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|entry| entry.trim_ascii().eq_ignore_ascii_case(token))
}

impl RequestLimits {
    /// Refuses a request whose target, number of header lines or whole header block, the request
    /// line included, is too large.
    pub fn admit(
        &self,
        target_bytes: u64,
        header_bytes: u64,
        header_count: u64,
    ) -> Result<(), Denial> {
        if target_bytes > self.uri_bytes {
            return Err(Denial::UriTooLong);
        }
        if header_bytes > self.header_bytes || header_count > self.header_count {
            return Err(Denial::HeadersTooLarge);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
