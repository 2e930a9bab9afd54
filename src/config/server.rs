//! `server`: where the gateway listens, and the bounds on what it accepts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{
    DnsServer, FilePath, ListenAddress, OneOrMany, Period, Size, SocketPath, Workers, enums,
};
use crate::model::Cidr;

/// Where the gateway listens, and the bounds on what it accepts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The addresses to serve on, one or more. Default: `127.0.0.1:8080`.
    pub listen: Option<OneOrMany<Listener>>,
    /// Whether clients may speak HTTP/2: by TLS where they ask for it (ALPN), in clear where they
    /// begin with it.
    pub http2: bool,
    /// How many threads serve: `auto` is one a core.
    pub workers: Workers,
    /// Networks whose members may speak for the client in `X-Forwarded-For`, `X-Forwarded-Proto`
    /// and `X-Forwarded-Host`. Default: nobody.
    pub trusted_proxies: Vec<Cidr>,
    /// Who is asked for the addresses of upstreams' names, one or more DNS servers. Default: those of
    /// the system.
    pub resolver: Option<OneOrMany<DnsServer>>,
    /// Bounds on what a request may bring.
    pub limits: Limits,
    /// How much longer requests are accepted once the gateway has been told to stop, so that
    /// load balancers notice.
    pub drain_delay: Period,
    /// How long running requests may take to end after that.
    pub drain_timeout: Period,
    /// Where a process started with `--upgrade` waits for the sockets of this one, which hands them
    /// over when it gets SIGQUIT. Its directory must be this user's alone, and is made so if it is not
    /// there.
    pub upgrade_socket: Option<SocketPath>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: None,
            http2: true,
            workers: Workers::Auto(enums::Auto::Auto),
            trusted_proxies: Vec::new(),
            resolver: None,
            limits: Limits::default(),
            drain_delay: Period::seconds(0),
            drain_timeout: Period::seconds(30),
            upgrade_socket: None,
        }
    }
}

/// An address to serve on: `127.0.0.1:8080`, or `{ address: 127.0.0.1:8080 }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Listener {
    /// The address alone.
    Short(ListenAddress),
    /// With settings of its own.
    Long(ListenerSettings),
}

impl Listener {
    /// The address.
    pub fn address(&self) -> ListenAddress {
        match self {
            Self::Short(address) => *address,
            Self::Long(settings) => settings.address,
        }
    }

    /// How it speaks TLS, if it does.
    pub fn tls(&self) -> Option<&Tls> {
        self.settings()?.tls.as_ref()
    }

    /// Its settings, where it has any beside the address.
    pub fn settings(&self) -> Option<&ListenerSettings> {
        match self {
            Self::Short(_) => None,
            Self::Long(settings) => Some(settings),
        }
    }
}

/// A listener.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerSettings {
    /// Address and port; port 0 is any free one, and the log says which.
    pub address: ListenAddress,
    /// Serves by TLS 1.2 and 1.3 instead of in clear.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Sends clients to the same place by `https`, of a listener without `tls`: `true` to the first
    /// listener with it; a number to that port, where clients reach it by another.
    #[serde(default)]
    pub redirect_https: Option<RedirectHttps>,
    /// Whether trusted proxies begin each connection with a header of the PROXY protocol, version 1
    /// or 2, that says whom it is from. They must then; who is no trusted proxy may not.
    #[serde(default)]
    pub proxy_protocol: bool,
}

/// Where clients are sent that came in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RedirectHttps {
    /// To the first listener with `tls`, or nowhere.
    Word(bool),
    /// To this port.
    Port(#[schemars(range(min = 1, max = 65535))] u16),
}

/// A listener's TLS. Its files are read again when they change.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificates, chosen by the name that a client asks for (SNI, RFC 6066, section 3): one for
    /// exactly that name, else one for `*.` above it, else the first.
    #[schemars(length(min = 1))]
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients show certificates of their own.
    #[serde(default)]
    pub client_auth: Option<ClientAuth>,
}

/// A certificate and its key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// PEM: the certificate, and what leads from it to an authority, in that order.
    pub cert: FilePath,
    /// PEM: its private key, not encrypted.
    pub key: FilePath,
}

/// Certificates of clients.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientAuth {
    /// PEM: the authorities that clients' certificates are signed by.
    pub ca: FilePath,
    /// Whether a client may do without.
    #[serde(default)]
    pub mode: ClientAuthMode,
}

/// Whether a client may do without a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMode {
    /// It may; one that it shows must be good.
    Optional,
    /// It may not.
    #[default]
    Required,
}

/// Bounds on what a request may bring.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// All header lines together; more is answered with 431.
    pub header_bytes: Size,
    /// The number of header lines; more is answered with 431.
    #[schemars(range(min = 1, max = 10_000))]
    pub header_count: u32,
    /// The request target; a longer one is answered with 414.
    pub uri_bytes: Size,
    /// The request's body; a longer one is answered with 413. A route's `request.body_limit`
    /// goes before it.
    pub body: Size,
    /// How long a request's header may take to arrive.
    pub header_timeout: Period,
    /// How long a connection may stay without a request.
    pub idle_timeout: Period,
    /// Clients' connections that are open at a time, over all listeners; more are closed as they
    /// come.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections: u32,
    /// Of them those of one address, of IPv6 one /64; trusted proxies may have any number. Default:
    /// as many as `connections`.
    #[schemars(range(min = 1, max = 10_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections_per_ip: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: Size::kib(32),
            header_count: 100,
            uri_bytes: Size::kib(8),
            body: Size::mib(10),
            header_timeout: Period::seconds(10),
            idle_timeout: Period::seconds(60),
            connections: 50_000,
            connections_per_ip: None,
        }
    }
}
