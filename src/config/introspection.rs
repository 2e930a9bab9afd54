//! `authentication.introspection`: providers that are asked what a token is worth.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    issuers::Grants,
    values::{ClaimPath, Label, Period, RemoteUrl, SecretSource},
};

/// A provider that is asked what a bearer token is worth (RFC 7662): one that is no JWT, or a JWT of
/// no issuer that the route lists.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// Its introspection endpoint.
    pub url: RemoteUrl,
    /// As whom the gateway asks, by HTTP Basic (RFC 6749, section 2.3.1).
    pub client_id: Label,
    /// The gateway's own secret there.
    pub client_secret: SecretSource,
    /// How long it is remembered that a token is active, never beyond the token's own end. So long a
    /// token goes on that was taken back. Default: `0s`, every request asks.
    #[serde(default = "never")]
    pub cache: Period,
    /// How long the provider may take to answer, at most `30s`.
    #[serde(default = "one_second")]
    pub timeout: Period,
    /// The exact `iss` that answers must have. Absent takes any, and none.
    pub issuer: Option<Label>,
    /// One of these must be in the answer's `aud`; none takes tokens for anybody.
    #[serde(default)]
    pub audiences: Vec<Label>,
    /// Where the members of the answer stand that make a principal.
    #[serde(default)]
    pub claims: IntrospectedClaims,
    /// What this provider may assert. The rest is ignored and logged. Absent is anything.
    pub grants: Option<Grants>,
}

pub(super) fn never() -> Period {
    Period::seconds(0)
}

pub(super) fn one_second() -> Period {
    Period::seconds(1)
}

/// Where the members of an answer stand that make a principal: dotted paths to an array, a string, or
/// words with spaces between.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IntrospectedClaims {
    /// The subject.
    pub subject: ClaimPath,
    /// The roles.
    pub roles: ClaimPath,
    /// The permissions. Default: `permissions`, and where an answer has no such member, `scope`.
    pub permissions: Option<ClaimPath>,
    /// The plan.
    pub plan: ClaimPath,
}

impl Default for IntrospectedClaims {
    fn default() -> Self {
        Self {
            subject: "sub".into(),
            roles: "roles".into(),
            permissions: None,
            plan: "plan".into(),
        }
    }
}
