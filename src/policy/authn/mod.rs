//! Authentication: which credential counts, and whose it is.

pub mod jwt;
pub mod keys;

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use jsonwebtoken::Algorithm;

use jwt::IssuerTerms;

/// An algorithm's name as it stands in a token's header and in the configuration (RFC 7518,
/// section 3.1).
pub const fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::EdDSA => "EdDSA",
        Algorithm::HS256 => "HS256",
        Algorithm::HS384 => "HS384",
        Algorithm::HS512 => "HS512",
        Algorithm::PS256 => "PS256",
        Algorithm::PS384 => "PS384",
        Algorithm::PS512 => "PS512",
        Algorithm::RS256 => "RS256",
        Algorithm::RS384 => "RS384",
        Algorithm::RS512 => "RS512",
        // The library may learn more; a configuration cannot name what we do not know.
        _ => "unknown",
    }
}

/// Which credentials a route looks for, in the order that decides.
#[derive(Debug)]
pub struct AuthRule {
    /// The methods, the first listed that is present decides.
    pub methods: Vec<Method>,
    /// What a refusal asks for.
    pub challenges: Arc<Challenges>,
    /// As written, for `explain`.
    pub written: String,
    /// Its line in the file.
    pub line: u32,
}

/// One way to authenticate.
#[derive(Debug)]
pub enum Method {
    /// An API key.
    ApiKey(Arc<ApiKeyTerms>),
    /// HTTP Basic.
    Basic(Arc<BasicTerms>),
    /// A bearer token of one of these issuers.
    Jwt(JwtRule),
}

/// Which issuers' tokens a route takes.
#[derive(Debug)]
pub struct JwtRule {
    /// In the order of the file. At most one is without `issuer`.
    pub issuers: Vec<Arc<IssuerTerms>>,
}

/// Where API keys are looked for (`authentication.api_keys`).
#[derive(Debug)]
pub struct ApiKeyTerms {
    /// The header.
    pub header: Option<HeaderName>,
    /// The query parameter.
    pub query: Option<String>,
}

/// HTTP Basic (RFC 7617).
#[derive(Debug)]
pub struct BasicTerms {
    /// The realm.
    pub realm: String,
}

/// What a 401 asks for: one `WWW-Authenticate` line a scheme (RFC 9110, section 11.6.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Challenges {
    /// The lines, ready to be sent.
    pub lines: Vec<HeaderValue>,
    /// The status where an API key is the only method: 401, or 403 for clients of apps that
    /// answered so.
    pub key_only: Option<StatusCode>,
}
