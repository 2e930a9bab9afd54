//! `token`: the gateway as an issuer of its own.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    issuers::UserRule,
    values::{
        Algorithm, FilePath, Label, OneOrMany, Period, QuotaText, RequestPath, SecretSource, Switch,
    },
};

/// The gateway as an issuer: the password grant of OAuth 2.0 (RFC 6749, section 4.3). It has
/// exactly one of `secret` and `private_key_file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Token {
    /// Where clients log in, by POST. Absent: nowhere.
    pub path: Option<RequestPath>,
    /// The `iss` of its tokens.
    pub issuer: Label,
    /// The `aud` of its tokens.
    pub audience: Label,
    /// HS256 with `secret`; EdDSA, ES256 or RS256 with `private_key_file`.
    pub algorithm: Algorithm,
    /// The secret for HS256, 32 bytes or more. Of a list the first signs and all verify.
    pub secret: Option<OneOrMany<SecretSource>>,
    /// The private key in PEM (PKCS #8). Of a list the first signs and all verify.
    pub private_key_file: Option<OneOrMany<FilePath>>,
    /// How long a token is valid.
    pub access_ttl: Period,
    /// How long a login can be refreshed, counted from the login. Needs `store`. Absent: there are no
    /// refresh tokens.
    pub refresh_ttl: Option<Period>,
    /// Whether a token's subject must still be an enabled user, whose present roles and
    /// permissions count.
    pub users: UserRule,
    /// Where tokens are taken back, by POST (RFC 7009). Needs `store`. Absent: nowhere.
    pub revoke_path: Option<RequestPath>,
    /// Where the public keys are served as a JWK set, with an asymmetric algorithm. Absent:
    /// nowhere.
    pub jwks_path: Option<RequestPath>,
    /// How many failed logins one address has for one username, or `false` for any number; ten
    /// times that for an address, and for a username. Default: `5/minute`.
    pub login_limit: Option<Switch<QuotaText>>,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            path: None,
            issuer: "portcullis".into(),
            audience: "portcullis".into(),
            algorithm: Algorithm(jsonwebtoken::Algorithm::HS256),
            secret: None,
            private_key_file: None,
            access_ttl: Period::seconds(30 * 60),
            refresh_ttl: None,
            users: UserRule::Require,
            revoke_path: None,
            jwks_path: None,
            login_limit: None,
        }
    }
}
