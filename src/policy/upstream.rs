//! The service behind a route, as data.

use std::{net::SocketAddr, time::Duration};

use super::route::Distinguishes;
use crate::model::UpstreamName;

/// A service behind the gateway.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name, or the URL of a route that names none.
    pub name: UpstreamName,
    /// Where it is.
    pub service: Service,
    /// What its `Host` header says.
    pub host: HostHeader,
    /// Differences between paths that it keeps apart.
    pub distinguishes: Distinguishes,
    /// How long it may take.
    pub timeouts: Timeouts,
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Built in: answers with what it received.
    Echo,
    /// One address.
    Target(Target),
}

/// One address of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The authority as written, for `host: target`, logs and metrics.
    pub authority: String,
    /// Where to connect. A name is looked up when the file is loaded.
    pub addresses: Vec<SocketAddr>,
    /// The name that was looked up and may come to mean other addresses, with the port.
    pub name: Option<(String, u16)>,
}

/// What the upstream's `Host` header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// What the client sent.
    Preserve,
    /// The target's own authority.
    Target,
    /// Always this.
    Literal(String),
}

/// How long an upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect.
    pub connect: Duration,
    /// Until the response head.
    pub response: Duration,
    /// Between bytes of ordinary responses.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}
