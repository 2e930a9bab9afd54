//! The shape of a file of policy tests.

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::{
    config::values::{Header, Label, List, Named, OneOrMany, Switch},
    model::{CredentialKind, Permission, PlanName, Role, RouteName, Timestamp, UpstreamName},
};

/// Policy tests: requests, and what becomes of them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// The cases.
    pub cases: List<Case>,
}

/// A request, whose it is, and what becomes of it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is shown, as a sentence.
    pub name: Label,
    /// The request.
    pub request: Request,
    /// Whose it is; nobody is asked for a credential.
    pub principal: Option<Principal>,
    /// The credential that it brings; authentication is run as well.
    pub credentials: Option<Credentials>,
    /// What becomes of it.
    pub expect: Expectation,
}

/// A request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its method. Default: GET.
    pub method: Option<String>,
    /// Its path with the query, as it stands on the wire; or a URL.
    pub path: String,
    /// Headers by name; a list is the same header several times.
    #[serde(default)]
    pub headers: Named<Header, OneOrMany<String>>,
    /// The address of the connection's other end. Default: 127.0.0.1.
    pub client_ip: Option<String>,
    /// When it comes. Default: now.
    pub at: Option<Timestamp>,
}

/// Who sends a request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The subject.
    pub subject: Label,
    /// The name of the issuer. Default: `local`, which is the gateway itself.
    pub issuer: Option<Label>,
    /// Roles as granted.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Permissions beside those of the roles.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// The plan.
    pub plan: Option<PlanName>,
    /// What it was established by. Default: `jwt`.
    #[serde(default)]
    pub method: Established,
    /// The claims of its token.
    #[serde(default)]
    pub claims: ClaimSet,
}

/// What a principal was established by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Established {
    /// An API key.
    ApiKey,
    /// Username and password.
    Basic,
    /// A certificate.
    ClientCert,
    /// Whatever another service was asked about.
    ForwardAuth,
    /// A token that its provider was asked about.
    Introspection,
    /// A token.
    #[default]
    Jwt,
}

impl From<Established> for CredentialKind {
    fn from(by: Established) -> Self {
        match by {
            Established::ApiKey => Self::ApiKey,
            Established::Basic => Self::Basic,
            Established::ClientCert => Self::ClientCert,
            Established::ForwardAuth => Self::ForwardAuth,
            Established::Introspection => Self::Introspection,
            Established::Jwt => Self::Jwt,
        }
    }
}

/// Claims by name, of any type.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct ClaimSet(pub BTreeMap<String, serde_json::Value>);

impl JsonSchema for ClaimSet {
    fn schema_name() -> Cow<'static, str> {
        "claims".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": true })
    }
}

/// What a request presents, put where the configuration looks for it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Credentials {
    /// A bearer token, behind `Authorization` if any route looks there.
    pub bearer: Option<String>,
    /// An API key, in its header, or in the query if there is none.
    pub api_key: Option<String>,
    /// `Authorization: Basic`.
    pub basic: Option<Login>,
    /// A certificate that names this subject where `authentication.client_cert` looks for it.
    pub client_cert: Option<String>,
    /// A token as the gateway would issue it to the user of this name.
    pub token_for: Option<Label>,
}

/// Username and password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The username.
    pub username: String,
    /// The password.
    pub password: String,
}

/// What becomes of a request. Only what is named is compared.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Expectation {
    /// Whether it is let through.
    pub allowed: Option<bool>,
    /// The status that the gateway answers. No upstream runs: of a request that goes to one, a
    /// status below 400 says that it is let through.
    pub status: Option<u16>,
    /// The code of the refusal.
    pub code: Option<String>,
    /// What the refusal says.
    pub detail: Option<String>,
    /// The exact reason of the refusal, as in the log.
    pub reason: Option<String>,
    /// The code of a refusal that `mode: shadow` let through.
    pub shadow: Option<Switch<String>>,
    /// The name of the route; `false` is none.
    pub route: Option<Switch<RouteName>>,
    /// The upstream that it goes to.
    pub upstream: Option<UpstreamName>,
    /// The path with the query that goes upstream.
    pub path: Option<String>,
    /// The subject of the principal; `false` is nobody.
    pub subject: Option<Switch<Label>>,
    /// Headers that go upstream; `false` is none of this name.
    pub headers: Named<Header, Switch<String>>,
    /// Headers that the gateway puts on the answer; `false` is none of this name.
    pub response_headers: Named<Header, Switch<String>>,
}
