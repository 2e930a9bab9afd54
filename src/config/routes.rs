//! `routes`: which requests lead where, and who may make them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{
    access::{AuthRule, Block, CrossSite, Mode},
    cors::CorsRule,
    headers::{HeaderEdits, SecurityHeaders},
    limits::LimitRule,
    streams::Streams,
    upstreams::Timeouts,
    values::{
        Header, HeaderText, HostPattern, Method, Named, OneOrMany, PathTemplate, RequestPath, Size,
        Status, Switch, Template, UpstreamRef,
    },
};
use crate::model::RouteName;

/// Which requests lead where, and who may make them. A route has exactly one of `upstream`,
/// `respond` and `redirect`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name in logs, metrics and tests, unique. Default: the methods and the path.
    pub name: Option<RouteName>,
    /// The requests it is for.
    #[serde(rename = "match")]
    pub matches: Match,
    /// The upstream it leads to: a name under `upstreams`, or a URL.
    pub upstream: Option<UpstreamRef>,
    /// An answer of the gateway's own.
    pub respond: Option<Respond>,
    /// Where clients are sent.
    pub redirect: Option<Redirect>,
    /// How clients say who they are. Default: `defaults.auth`.
    pub auth: Option<AuthRule>,
    /// Who may pass: one block or a list of blocks, one of which must hold. Absent: any
    /// authenticated principal.
    pub allow: Option<OneOrMany<Block>>,
    /// Who may not, whatever `allow` says. A block that cannot be evaluated denies too.
    pub deny: Option<OneOrMany<Block>>,
    /// Whether refusals of `allow`, `deny` and `rate_limit` are carried out.
    #[serde(default)]
    pub mode: Mode,
    /// How often requests may come: one limit or a list; `false` for any number. Default:
    /// `defaults.rate_limit`.
    pub rate_limit: Option<Switch<OneOrMany<LimitRule>>>,
    /// What happens to the request on its way.
    #[serde(default)]
    pub request: RequestEdits,
    /// What happens to the response on its way.
    #[serde(default)]
    pub response: ResponseEdits,
    /// Which pages of other origins may read answers; merges over `defaults.cors`.
    pub cors: Option<CorsRule>,
    /// Headers on responses; merges over `defaults.security_headers`.
    pub security_headers: Option<Switch<SecurityHeaders>>,
    /// How long the upstream may take; merges over `defaults.timeouts`.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How long WebSocket connections and event streams may last; merges over `defaults.streams`.
    #[serde(default)]
    pub streams: Streams,
    /// Whether the upstream sees the credential itself. Default: `identity.forward_credentials`.
    pub forward_credentials: Option<bool>,
    /// What a cookie or Basic credential is worth on a request that another site caused. Default:
    /// `deny`.
    pub cross_site: Option<CrossSite>,
}

/// The requests a route is for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Hosts: exact, or `*.example.com` for one or more labels in front. Absent: any.
    #[schemars(length(min = 1))]
    pub hosts: Option<Vec<HostPattern>>,
    /// A path or a list of paths: `/users/{id}` is one segment, `/files/{rest*}` the remainder,
    /// `/admin/**` the path and everything beneath it.
    pub path: OneOrMany<PathTemplate>,
    /// Methods. Absent: any. `HEAD` is governed by `GET` unless it is named itself.
    #[schemars(length(min = 1))]
    pub methods: Option<Vec<Method>>,
}

/// An answer of the gateway's own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Respond {
    /// Default: 200.
    pub status: Option<Status>,
    /// Default: empty.
    pub body: String,
    /// Headers by name.
    pub headers: Named<Header, HeaderText>,
}

/// Where clients are sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// A path or a URL, as a template: `/x/{path.rest}`.
    pub to: Template,
    /// Default: 308.
    #[serde(default)]
    pub status: RedirectStatus,
}

/// The status of a redirect (RFC 9110, section 15.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RedirectStatus(pub u16);

impl RedirectStatus {
    const ALL: [u16; 5] = [301, 302, 303, 307, 308];
}

impl Default for RedirectStatus {
    fn default() -> Self {
        Self(308)
    }
}

impl<'de> Deserialize<'de> for RedirectStatus {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let status = u16::deserialize(from)?;
        if Self::ALL.contains(&status) {
            return Ok(Self(status));
        }
        Err(serde::de::Error::custom("expected 301, 302, 303, 307 or 308"))
    }
}

impl JsonSchema for RedirectStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "redirect-status".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "enum": Self::ALL })
    }
}

/// What happens to a request on its way.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestEdits {
    /// A beginning of the path that is taken off; what is left of it whole is `/`.
    pub strip_prefix: Option<RequestPath>,
    /// The path that is sent instead, as a template: `/v2/{path.rest}`.
    pub rewrite: Option<Template>,
    /// Headers.
    pub headers: HeaderEdits,
    /// The longest body. Default: `server.limits.body`.
    pub body_limit: Option<Size>,
}

/// What happens to a response on its way.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseEdits {
    /// Headers.
    pub headers: HeaderEdits,
}
