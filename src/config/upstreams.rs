//! `upstreams`: the services behind the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{
    FilePath, HashKey, HostHeader, OneOrMany, Percent, Period, ProbePath, ServerName, Status,
    TargetUrl,
};

/// A service behind the gateway: its URL, or its settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Upstream {
    /// The URL alone.
    Short(TargetUrl),
    /// With settings of its own.
    Long(Box<UpstreamSettings>),
}

/// A service behind the gateway. It has either `builtin` or `targets`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamSettings {
    /// A service that is part of the gateway, for trying things out.
    pub builtin: Option<Builtin>,
    /// Its addresses.
    #[schemars(length(min = 1))]
    pub targets: Option<Vec<Target>>,
    /// Which of them a request goes to. Default: `round_robin`.
    pub load_balance: Option<LoadBalance>,
    /// How it is spoken to by TLS, where a target's URL is `https`.
    pub tls: Option<UpstreamTls>,
    /// The protocol spoken to it. Default: `http1`.
    pub protocol: Option<Protocol>,
    /// The `Host` it is sent: `preserve` is the client's, `target` that of the URL, anything else
    /// is sent as it is. Default: `preserve`.
    pub host: Option<HostHeader>,
    /// Differences between paths that this app keeps apart, so that the gateway need not refuse
    /// them as ambiguous.
    pub distinguishes: Vec<Distinction>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Asks every target now and then whether it is well; absent is never.
    pub health_check: Option<HealthCheck>,
    /// Leaves a target out for a while whose requests fail; absent is never.
    pub ejection: Option<Ejection>,
    /// Tries a request again that failed, at another target if there is one; absent is never.
    pub retries: Option<Retries>,
    /// How many requests it is given at a time; absent is any number.
    pub limits: Option<UpstreamLimits>,
    /// How long a target that comes back takes to get its full share of the requests again; absent is
    /// no time.
    pub slow_start: Option<Period>,
}

/// How many requests an upstream is given at a time. What is beyond is answered with 503.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamLimits {
    /// So many.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrent: u32,
    /// So many more may wait for one of them to end. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub queue: u32,
    /// How long they may wait. Default: 1s.
    pub queue_timeout: Option<Period>,
}

/// How an upstream is spoken to by TLS. Its files are read again when they change.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamTls {
    /// PEM: the authorities that its certificate may be signed by. Default: those of the system.
    pub ca: Option<FilePath>,
    /// The name that it is asked for, and that its certificate must be for. Default: that of the
    /// target's URL.
    pub sni: Option<ServerName>,
    /// PEM: the certificate that the gateway shows, and what leads from it to an authority.
    pub client_cert: Option<FilePath>,
    /// PEM: its private key, not encrypted.
    pub client_key: Option<FilePath>,
    /// Whether its certificate is checked. `false` trusts whoever answers.
    pub verify: bool,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self { ca: None, sni: None, client_cert: None, client_key: None, verify: true }
    }
}

/// Which target a request goes to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LoadBalance {
    /// By a rule that knows no request.
    Word(Balance),
    /// The same target for the same key, as long as it is well.
    Hash(HashBalance),
}

/// Which target a request goes to, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Of two taken at random the one with fewer requests under way.
    LeastRequests,
    /// Any, by weight.
    Random,
    /// One after the other, by weight.
    RoundRobin,
}

/// The same target for the same key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HashBalance {
    /// `client_ip`, `principal` or `header:NAME`; a request without it goes by its client's address.
    pub hash: HashKey,
}

/// How targets are asked whether they are well.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheck {
    /// What is asked for: an answer by HTTP or gRPC, or a connection.
    #[serde(rename = "type")]
    pub kind: ProbeKind,
    /// Path and query of the request. Default: `/`.
    pub path: Option<ProbePath>,
    /// Between two questions.
    pub interval: Period,
    /// How long an answer may take.
    pub timeout: Period,
    /// So many bad answers in a row make a target unhealthy.
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: u32,
    /// So many good answers in a row make it healthy again.
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: u32,
    /// The statuses of a healthy target. Default: 200.
    pub expect: Option<OneOrMany<Status>>,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            kind: ProbeKind::Http,
            path: None,
            interval: Period::seconds(5),
            timeout: Period::seconds(1),
            unhealthy_after: 3,
            healthy_after: 2,
            expect: None,
        }
    }
}

/// What a health check asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// An answer to the health checking protocol of gRPC, which only upstreams of HTTP/2 give.
    Grpc,
    /// An answer to `GET`.
    Http,
    /// A connection.
    Tcp,
}

/// When a target is left out. Never more than half of an upstream's targets are at a time.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ejection {
    /// After so many requests in a row that it did not answer, or with 502, 503 or 504.
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_failures: u32,
    /// For so long.
    #[serde(rename = "for")]
    pub period: Period,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { consecutive_failures: 5, period: Period::seconds(10) }
    }
}

/// When a request is tried again: only one whose method may be repeated (RFC 9110, section 9.2.2),
/// and never once its response began. Where nothing could be connected to, any method's is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// How often.
    #[schemars(range(min = 1, max = 5))]
    pub attempts: u32,
    /// After what: `connect` is no connection, or one that broke before an answer; or statuses.
    /// Default: all of them.
    #[schemars(length(min = 1))]
    pub on: Option<Vec<RetryOn>>,
    /// How many of all requests may be tried again, so that a service in trouble is not asked twice
    /// as much. Default: 20%.
    pub budget: Percent,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 1, on: None, budget: Percent(20) }
    }
}

/// What a request is tried again after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RetryOn {
    /// No connection.
    Word(RetryWord),
    /// A status.
    Status(#[schemars(range(min = 500, max = 599))] u16),
}

/// What a request is tried again after, beside statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryWord {
    /// No connection, or one that broke before an answer.
    Connect,
}

/// A service that is part of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Answers with what it received, as JSON.
    Echo,
}

/// One address of an upstream: its URL, or its settings.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Target {
    /// The URL alone.
    Short(TargetUrl),
    /// With settings of its own.
    Long(TargetSettings),
}

impl Target {
    /// The address.
    pub fn url(&self) -> &TargetUrl {
        match self {
            Self::Short(url) => url,
            Self::Long(settings) => &settings.url,
        }
    }

    /// Its share of the requests, against that of the others.
    pub fn weight(&self) -> u32 {
        match self {
            Self::Short(_) => 1,
            Self::Long(settings) => settings.weight.unwrap_or(1),
        }
    }
}

/// One address of an upstream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetSettings {
    /// The address.
    pub url: TargetUrl,
    /// Its share of the requests, against that of the others. Default: 1.
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<u32>,
}

/// The protocol spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, as gRPC needs it.
    Http2,
}

/// A difference between two paths that an app keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distinction {
    /// `/A` and `/a`.
    Case,
    /// `/%2561` and `/%61`: nothing is decoded twice.
    DoubleEncoding,
    /// `/a//b` and `/a/b`.
    EmptySegments,
    /// `/a%2fb` and `/a/b`.
    EncodedSlash,
    /// `/a;x` and `/a`.
    Parameters,
}

/// How long an upstream may take. What is absent comes from the next wider place: route,
/// `defaults`, upstream, and at last 1s, 30s and 60s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until a connection stands. Default: 1s.
    pub connect: Option<Period>,
    /// Until the head of the response is there. Default: 30s.
    pub response: Option<Period>,
    /// Between two pieces of an ordinary response's body. Default: 60s.
    pub idle: Option<Period>,
}
