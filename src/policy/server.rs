//! Listeners, limits and trusted proxies, as data.

use std::time::Duration;

use crate::model::Cidr;

/// What `server` says of every request.
#[derive(Clone, Debug)]
pub struct ServerTerms {
    /// Who may speak for the client.
    pub trusted_proxies: Vec<Cidr>,
    /// Bounds on a request.
    pub limits: RequestLimits,
    /// Bounds on clients' connections.
    pub connections: ConnectionLimits,
}

/// How many connections clients may have open (`server.limits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Over all listeners.
    pub total: u32,
    /// From one address, of IPv6 one /64, that is no trusted proxy's.
    pub per_address: Option<u32>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 50_000, per_address: None }
    }
}

/// Bounds on a request (`server.limits`).
#[derive(Clone, Debug)]
pub struct RequestLimits {
    /// Bytes of the header block, the request line included.
    pub header_bytes: u64,
    /// Header lines.
    pub header_count: u64,
    /// Bytes of the request target.
    pub uri_bytes: u64,
    /// Bytes of a body, where the route says nothing.
    pub body: u64,
    /// From the first byte of a request to the end of its header.
    pub header_timeout: Duration,
    /// Between two requests, and between two pieces of a body.
    pub idle_timeout: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            header_bytes: 32 << 10,
            header_count: 100,
            uri_bytes: 8 << 10,
            body: 10 << 20,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}
