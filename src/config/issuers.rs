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
    /// Where its tokens are looked for.
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
    vec![TokenPlace::Authorization]
}

/// Where the claims stand that make a principal: dotted paths to an array, a string, or words
/// with spaces between.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// The subject.
    pub subject: ClaimPath,
    /// The roles.
    pub roles: ClaimPath,
    /// The permissions.
    pub permissions: ClaimPath,
    /// The plan.
    pub plan: ClaimPath,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: "sub".into(),
            roles: "roles".into(),
            permissions: "permissions".into(),
            plan: "plan".into(),
        }
    }
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
