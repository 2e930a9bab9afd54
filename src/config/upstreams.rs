//! `upstreams`: the services behind the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{HostHeader, Period, TargetUrl};

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
    /// Its addresses; this version takes one.
    #[schemars(length(min = 1, max = 1))]
    pub targets: Option<Vec<Target>>,
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
