//! The service behind a route, as data.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderName;

use super::route::Distinguishes;
use crate::model::{Secret, UpstreamName};

/// A service behind the gateway.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name, or the URL of a route that names none.
    pub name: UpstreamName,
    /// Where it is.
    pub service: Service,
    /// What is spoken to it.
    pub protocol: Protocol,
    /// What its `Host` header says.
    pub host: HostHeader,
    /// Differences between paths that it keeps apart.
    pub distinguishes: Distinguishes,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// How it is spoken to by TLS, at targets that are.
    pub tls: Arc<UpstreamTls>,
    /// Which of its targets a request goes to.
    pub balance: Balance,
    /// How its targets are asked whether they are well.
    pub health_check: Option<HealthCheck>,
    /// When a target is left out for what became of its requests.
    pub ejection: Option<Ejection>,
    /// When a request is tried again.
    pub retries: Option<Retries>,
    /// How many requests it is given at a time.
    pub bounds: Option<Bounds>,
    /// How long a target that comes back takes to get its full share.
    pub slow_start: Option<Duration>,
}

/// How many requests an upstream is given at a time (`limits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// So many.
    pub concurrent: u32,
    /// So many more may wait for one of them to end.
    pub queue: u32,
    /// For so long.
    pub queue_timeout: Duration,
}

/// What is spoken to a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Built in: answers with what it received.
    Echo,
    /// At these targets; at least one.
    Targets(Vec<Target>),
}

impl Service {
    /// Its targets; none of what is built in.
    pub fn targets(&self) -> &[Target] {
        match self {
            Self::Echo => &[],
            Self::Targets(targets) => targets,
        }
    }
}

/// One target of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The authority as written, for `host: target`, logs and metrics.
    pub authority: String,
    /// Where to connect. A name is looked up when the file is loaded.
    pub addresses: Vec<SocketAddr>,
    /// The name that was looked up and may come to mean other addresses, with the port.
    pub name: Option<(String, u16)>,
    /// Its share of the requests, against that of the others.
    pub weight: u32,
    /// The name to ask for by TLS, and to find in its certificate; absent in clear.
    pub secure: Option<Arc<str>>,
}

/// How an upstream is spoken to by TLS.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTls {
    /// The authorities that its certificate may be signed by, as DER; those of the system if
    /// absent.
    pub authorities: Option<Vec<Vec<u8>>>,
    /// What the gateway shows.
    pub identity: Option<Identity>,
    /// Whether its certificate is not checked.
    pub unverified: bool,
    /// Different for different terms: connections are shared by nobody who has others.
    pub fingerprint: u64,
}

/// A certificate with its key, as DER.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, and what leads from it to an authority.
    pub chain: Vec<Vec<u8>>,
    /// Its private key.
    pub key: Secret,
}

/// Which target a request goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other, by weight.
    #[default]
    RoundRobin,
    /// Of two taken at random the one with fewer requests under way.
    LeastRequests,
    /// Any, by weight.
    Random,
    /// The same for the same, as long as it is well.
    Hash(HashBy),
}

/// What `load_balance: { hash: … }` goes by; a request without it goes by its client's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The client's address.
    ClientIp,
    /// A header's value.
    Header(HeaderName),
    /// The principal.
    Principal,
}

/// How targets are asked whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for.
    pub probe: Probe,
    /// Between two questions.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// So many bad answers in a row make a target unhealthy.
    pub unhealthy_after: u32,
    /// So many good ones make it healthy again.
    pub healthy_after: u32,
}

/// What a health check asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The word of a gRPC service that it serves.
    Grpc,
    /// An answer to `GET` with one of these statuses.
    Http {
        /// Path and query.
        path: String,
        /// The statuses of a healthy target.
        expect: Vec<u16>,
    },
    /// A connection.
    Tcp,
}

/// When a target is left out for what became of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// So many failures in a row.
    pub consecutive_failures: u32,
    /// For so long.
    pub period: Duration,
}

/// When a request is tried again, at another target if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often.
    pub attempts: u32,
    /// After a failure to connect, or a connection that broke before an answer.
    pub on_connect: bool,
    /// After these statuses.
    pub on_status: Vec<u16>,
    /// Of a hundred requests so many may be tried again.
    pub budget: u32,
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
