//! `defaults`: for every route that does not say otherwise.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    access::AuthRule,
    cors::CorsRule,
    headers::SecurityHeaders,
    limits::LimitRule,
    streams::Streams,
    upstreams::Timeouts,
    values::{OneOrMany, Switch},
};

/// For every route that does not say otherwise. On a route, maps merge over these and lists
/// replace them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Defaults {
    /// How clients say who they are. Default: the one method that is configured.
    pub auth: Option<AuthRule>,
    /// Headers on every response, or `false` for none.
    pub security_headers: Option<Switch<SecurityHeaders>>,
    /// Which pages of other origins may read answers, or `false` for none.
    pub cors: Option<CorsRule>,
    /// How often requests may come, or `false` for any number. All routes that inherit it share
    /// one count.
    pub rate_limit: Option<Switch<OneOrMany<LimitRule>>>,
    /// How long upstreams may take.
    pub timeouts: Timeouts,
    /// How long WebSocket connections and event streams may last.
    pub streams: Streams,
}
