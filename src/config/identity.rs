//! `identity`: what upstreams are told about a principal.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{
    Algorithm, FilePath, Header, Label, Named, OneOrMany, Period, RequestPath, Template,
};

/// What upstreams are told about a principal.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Headers set on every forwarded request. A name that is set here is removed from what
    /// clients send. Default: `X-User-Id: "{principal.subject}"`, `X-User-Roles:
    /// "{principal.roles}"`, `X-User-Permissions: "{principal.permissions}"` and `X-Auth-Method:
    /// "{principal.method}"`.
    pub headers: Option<Named<Header, Template>>,
    /// A signed statement about the principal, for apps that others than the gateway can reach.
    pub assertion: Option<Assertion>,
    /// Whether upstreams see the credential itself.
    pub forward_credentials: bool,
    /// Names of the built-in identity set that clients may send after all.
    pub accept: Vec<Header>,
    /// More names that no client may send.
    pub strip: Vec<Header>,
}

/// A signed JWT that tells the upstream who the principal is. Its JOSE `typ` is
/// `portcullis-assertion+jwt`; its claims are `iss`, `aud`, `sub`, `iat`, `exp`, `jti`, `roles`,
/// `permissions`, `auth_method` and `source`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// The header it is sent in. No client may send it.
    #[serde(default = "header")]
    pub header: Header,
    /// Its `iss`.
    #[serde(default = "issuer")]
    pub issuer: Label,
    /// Its `aud`: what an app must insist on.
    pub audience: Label,
    /// EdDSA or ES256.
    #[serde(default = "algorithm")]
    pub algorithm: Algorithm,
    /// The private key in PEM (PKCS #8), another one than the token's. Of a list the first signs
    /// and all are published.
    pub private_key_file: OneOrMany<FilePath>,
    /// How long an app may believe it. One is used again for half of that.
    #[serde(default = "ttl")]
    pub ttl: Period,
    /// Where the public keys are served as a JWK set. It may be `token.jwks_path`, which then
    /// serves both. Absent: nowhere.
    pub jwks_path: Option<RequestPath>,
}

fn header() -> Header {
    Header("X-Identity-Assertion".to_owned())
}

fn issuer() -> Label {
    "portcullis".into()
}

fn algorithm() -> Algorithm {
    Algorithm(jsonwebtoken::Algorithm::EdDSA)
}

fn ttl() -> Period {
    Period::seconds(60)
}
