//! `authentication.jwt`: issuers of bearer tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{
    Algorithm, ClaimPath, FilePath, Label, Period, RemoteUrl, SecretSource, TokenPlace,
};

/// An issuer of bearer tokens. It has exactly one of `discovery`, `jwks_url`, `jwks_file`,
/// `public_key_file` and `secret`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The exact `iss` of its tokens. Absent takes what no other issuer claims.
    pub issuer: Option<Label>,
    /// One of these must be in `aud`; none takes tokens for anybody.
    #[serde(default)]
    pub audiences: Vec<Label>,
    /// The signature algorithms that are accepted. The token has no say in it.
    #[schemars(length(min = 1))]
    pub algorithms: Vec<Algorithm>,
    /// Whether its keys are found by its metadata: those of OpenID Connect Discovery, else those of
    /// RFC 8414. `issuer` is where they are asked for.
    #[serde(default)]
    pub discovery: bool,
    /// Where it publishes its keys as a JWK set (RFC 7517).
    pub jwks_url: Option<RemoteUrl>,
    /// How long published keys are used before they are asked for again; less if the issuer says
    /// so. A token with an unknown key asks sooner, at most once in 30 seconds. Default: `10m`.
    pub refresh: Option<Period>,
    /// A file with its keys as a JWK set (RFC 7517).
    pub jwks_file: Option<FilePath>,
    /// A file with its public key in PEM.
    pub public_key_file: Option<FilePath>,
    /// The secret shared with it, for HS256, HS384 and HS512: 32 bytes or more.
    pub secret: Option<SecretSource>,
    /// Grace on `exp` and `nbf`, for clocks that differ.
    #[serde(default = "leeway")]
    pub leeway: Period,
    /// Claims that must be there. Without a subject nobody is a principal.
    #[serde(default = "require")]
    pub require: Vec<ClaimPath>,
    /// The `typ` values accepted in the token's header. Default: absent, `JWT` and `at+jwt`.
    #[schemars(length(min = 1))]
    pub token_types: Option<Vec<Label>>,
    /// Where the claims stand that make a principal.
    #[serde(default)]
    pub claims: ClaimNames,
    /// What this issuer may assert. The rest is ignored and logged. Absent is anything.
    pub grants: Option<Grants>,
    /// Whether the subject must be a user of this file.
    #[serde(default = "UserRule::ignore")]
    pub users: UserRule,
    /// Where its tokens are looked for: `header:Authorization`, where they stand behind `Bearer`,
    /// another header, `cookie:NAME` or `query:NAME`. A token in two places of a route is refused.
    #[serde(default = "take_from")]
    #[schemars(length(min = 1))]
    pub take_from: Vec<TokenPlace>,
}

fn leeway() -> Period {
    Period::seconds(30)
}

fn require() -> Vec<ClaimPath> {
    vec!["exp".into(), "sub".into()]
}

fn take_from() -> Vec<TokenPlace> {
    vec![TokenPlace::authorization()]
}

/// Where the claims stand that make a principal: dotted paths to an array, a string, or words
/// with spaces between. A name that has dots itself is written as it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// The layout of a provider's access tokens. A path beside it wins over the preset's.
    pub preset: Option<Preset>,
    /// The subject. Default: `sub`.
    pub subject: Option<ClaimPath>,
    /// The roles. Default: `roles`.
    pub roles: Option<ClaimPath>,
    /// The permissions. Default: `permissions`.
    pub permissions: Option<ClaimPath>,
    /// The plan. Default: `plan`.
    pub plan: Option<ClaimPath>,
    /// Whom the token is for, one of `audiences`. Default: `aud`.
    pub audience: Option<ClaimPath>,
}

/// A provider whose tokens have a layout of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Auth0.
    Auth0,
    /// Amazon Cognito user pools.
    Cognito,
    /// Microsoft Entra ID.
    Entra,
    /// Keycloak.
    Keycloak,
    /// Okta's custom authorization servers.
    Okta,
}

/// What an issuer may assert: names, or a beginning and `*`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Roles, such as `partner` or `partner-*`.
    pub roles: Vec<Label>,
    /// Permissions, such as `read:*`.
    pub permissions: Vec<Label>,
}

/// Whether a token's subject must be a user of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserRule {
    /// The token alone counts.
    Ignore,
    /// The subject must be an enabled user, whose present roles and permissions count.
    Require,
}

impl UserRule {
    pub(super) fn ignore() -> Self {
        Self::Ignore
    }
}
