//! Texts that are one of a few words, some with a name behind a colon.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Header, Label, ValueFault, Written, written};
use crate::{
    config::suggest,
    model::{IssuerName, Secret},
};

/// A signature algorithm (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Algorithm(pub jsonwebtoken::Algorithm);

const ALGORITHMS: [(&str, jsonwebtoken::Algorithm); 12] = [
    ("HS256", jsonwebtoken::Algorithm::HS256),
    ("HS384", jsonwebtoken::Algorithm::HS384),
    ("HS512", jsonwebtoken::Algorithm::HS512),
    ("RS256", jsonwebtoken::Algorithm::RS256),
    ("RS384", jsonwebtoken::Algorithm::RS384),
    ("RS512", jsonwebtoken::Algorithm::RS512),
    ("PS256", jsonwebtoken::Algorithm::PS256),
    ("PS384", jsonwebtoken::Algorithm::PS384),
    ("PS512", jsonwebtoken::Algorithm::PS512),
    ("ES256", jsonwebtoken::Algorithm::ES256),
    ("ES384", jsonwebtoken::Algorithm::ES384),
    ("EdDSA", jsonwebtoken::Algorithm::EdDSA),
];

impl Algorithm {
    /// Its name in a JOSE header.
    pub fn as_str(self) -> &'static str {
        let named = ALGORITHMS.iter().find(|(_, algorithm)| *algorithm == self.0);
        named.map_or("", |(name, _)| name)
    }
}

impl Serialize for Algorithm {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl Written for Algorithm {
    const FORMAT: &'static str = "jws-algorithm";
    const EXPECTS: &'static str = "an algorithm such as `RS256`, `ES256` or `EdDSA`";
    const PATTERN: Option<&'static str> = Some("^((HS|RS|PS)(256|384|512)|ES256|ES384|EdDSA)$");

    fn read(text: &str) -> Result<Self, ValueFault> {
        let named = ALGORITHMS.iter().find(|(name, _)| *name == text);
        named.map(|(_, algorithm)| Self(*algorithm)).ok_or_else(|| match text {
            "none" => ValueFault::because("a token without a signature is never accepted"),
            "ES512" => ValueFault::because("the algorithm ES512 is not supported"),
            _ => unknown_word(text, ALGORITHMS.iter().map(|(name, _)| *name)),
        })
    }
}

/// A way to authenticate, as a route lists it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// `api_key`: a key under `authentication.api_keys`.
    ApiKey,
    /// `basic`: a user's name and password.
    Basic,
    /// `client_cert`: a certificate that the client shows.
    ClientCert,
    /// `forward_auth:NAME`: whatever this service knows the sender by.
    ForwardAuth(IssuerName),
    /// `introspection:NAME`: a token that this provider is asked about.
    Introspection(IssuerName),
    /// `jwt`: a token of any issuer, the gateway's own included.
    Jwt,
    /// `jwt:NAME`: a token of this issuer.
    JwtFrom(IssuerName),
    /// `jwt:token`: a token that the gateway issued.
    JwtOwn,
}

impl Written for AuthMethod {
    const FORMAT: &'static str = "auth-method";
    const EXPECTS: &'static str = "a method: `jwt`, `jwt:NAME`, `jwt:token`, `api_key`, `basic`, `client_cert`, `introspection:NAME` or `forward_auth:NAME`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        match text.split_once(':') {
            None => match text {
                "api_key" => Ok(Self::ApiKey),
                "basic" => Ok(Self::Basic),
                "jwt" => Ok(Self::Jwt),
                "client_cert" => Ok(Self::ClientCert),
                "none" | "optional" => Err(ValueFault::because(format!(
                    "`{text}` stands alone: it is not one of several methods"
                ))
                .help(match text {
                    "none" => "write `auth: none`",
                    _ => "write `auth: optional`, or `auth: { optional: [jwt] }`",
                })),
                _ => {
                    Err(unknown_word(text, ["jwt", "api_key", "basic", "client_cert", "jwt:token"]))
                }
            },
            Some(("jwt", "token")) => Ok(Self::JwtOwn),
            Some(("jwt", name)) => IssuerName::read(name).map(Self::JwtFrom),
            Some(("introspection", name)) => IssuerName::read(name).map(Self::Introspection),
            Some(("forward_auth", name)) => IssuerName::read(name).map(Self::ForwardAuth),
            Some(_) => {
                Err(unknown_word(text, ["jwt", "api_key", "basic", "client_cert", "jwt:token"]))
            }
        }
    }
}

impl std::fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ApiKey => f.write_str("api_key"),
            Self::Basic => f.write_str("basic"),
            Self::ClientCert => f.write_str("client_cert"),
            Self::ForwardAuth(service) => write!(f, "forward_auth:{service}"),
            Self::Introspection(provider) => write!(f, "introspection:{provider}"),
            Self::Jwt => f.write_str("jwt"),
            Self::JwtFrom(issuer) => write!(f, "jwt:{issuer}"),
            Self::JwtOwn => f.write_str("jwt:token"),
        }
    }
}

/// What requests are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// `api_key`: the id of the API key.
    ApiKey,
    /// `client_ip`: the client's address, of IPv6 its /64.
    ClientIp,
    /// `header:NAME`: the value of a header.
    Header(Header),
    /// `principal`: issuer and subject.
    Principal,
    /// `route`: all requests of the route together.
    Route,
}

impl Written for LimitKey {
    const FORMAT: &'static str = "limit-key";
    const EXPECTS: &'static str =
        "a key: `client_ip`, `principal`, `api_key`, `header:NAME` or `route`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        match text {
            "api_key" => Ok(Self::ApiKey),
            "client_ip" => Ok(Self::ClientIp),
            "principal" => Ok(Self::Principal),
            "route" => Ok(Self::Route),
            _ => match text.strip_prefix("header:") {
                Some(name) => Header::read(name).map(Self::Header),
                None => Err(unknown_word(text, ["client_ip", "principal", "api_key", "route"])),
            },
        }
    }
}

/// Where a bearer token is looked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenPlace {
    /// `cookie:NAME`.
    Cookie(String),
    /// `header:NAME`.
    Header(Header),
    /// `query:NAME`.
    Query(Label),
}

impl TokenPlace {
    /// `header:Authorization`.
    pub fn authorization() -> Self {
        Self::Header(Header("Authorization".to_owned()))
    }
}

impl Written for TokenPlace {
    const FORMAT: &'static str = "token-place";
    const EXPECTS: &'static str = "a place: `header:NAME`, `cookie:NAME` or `query:NAME`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        match text.split_once(':') {
            // A cookie's name is a token, like a header's (RFC 6265, section 4.1.1).
            Some(("cookie", name)) => Header::read(name).map(|name| Self::Cookie(name.0)),
            Some(("header", name)) => Header::read(name).map(Self::Header),
            Some(("query", name)) => Label::read(name).map(Self::Query),
            _ => Err(ValueFault::malformed()),
        }
    }
}

impl Serialize for TokenPlace {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Cookie(name) => to.collect_str(&format_args!("cookie:{name}")),
            Self::Header(name) => to.collect_str(&format_args!("header:{}", name.0)),
            Self::Query(name) => to.collect_str(&format_args!("query:{}", name.as_str())),
        }
    }
}

/// The `Host` that an upstream is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// Always this one.
    Literal(String),
    /// `preserve`: the client's.
    Preserve,
    /// `target`: that of the target's URL.
    Target,
}

impl Written for HostHeader {
    const FORMAT: &'static str = "host-header";
    const EXPECTS: &'static str = "`preserve`, `target` or a host such as `app.internal:8080`";

    fn read(text: &str) -> Result<Self, ValueFault> {
        match text {
            "preserve" => Ok(Self::Preserve),
            "target" => Ok(Self::Target),
            _ => match super::http::split_port(text) {
                Some((host, _)) if super::http::is_host(host) => Ok(Self::Literal(text.to_owned())),
                _ => Err(ValueFault::malformed()),
            },
        }
    }
}

impl Serialize for HostHeader {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match self {
            Self::Literal(host) => host,
            Self::Preserve => "preserve",
            Self::Target => "target",
        })
    }
}

/// The hash of a user's password: bcrypt or argon2id, in its usual text form.
#[derive(Clone, Debug)]
pub struct PasswordHash(pub Secret);

impl Written for PasswordHash {
    const FORMAT: &'static str = "password-hash";
    const EXPECTS: &'static str = "a bcrypt or argon2id hash";
    const SECRET: bool = true;
    const IN_CLEAR: bool = false;

    fn read(text: &str) -> Result<Self, ValueFault> {
        let kinds = ["$2a$", "$2b$", "$2y$", "$argon2id$"];
        if !kinds.iter().any(|kind| text.starts_with(kind)) {
            return Err(ValueFault::because("the password is not a bcrypt or argon2id hash")
                .help("`portcullis hash-password` makes one"));
        }
        Ok(Self(Secret::new(text)))
    }
}

/// How many threads serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Workers {
    /// One a core.
    Auto(Auto),
    /// This many.
    Number(#[schemars(range(min = 1, max = 1024))] u16),
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auto {
    /// Found out at the start.
    Auto,
}

/// A word that is none of the known ones, with the nearest offered.
fn unknown_word<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> ValueFault {
    let fault = ValueFault::malformed();
    match suggest::nearest(text, known.into_iter().map(Cow::Borrowed)) {
        Some(near) => fault.help(format!("did you mean `{near}`?")),
        None => fault,
    }
}

written!(Algorithm, AuthMethod, HostHeader, LimitKey, PasswordHash, TokenPlace);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsigned_token_cannot_be_configured() {
        assert!(Algorithm::read("none").is_err());
        assert!(Algorithm::read("hs256").is_err(), "names are exact");
        for (name, _) in ALGORITHMS {
            assert_eq!(Algorithm::read(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_place_of_tokens_is_a_header_a_cookie_or_a_parameter() {
        let cookie = TokenPlace::Cookie("__Host-session".into());
        assert_eq!(TokenPlace::read("cookie:__Host-session"), Ok(cookie));
        let parameter = TokenPlace::Query(Label("access:token".into()));
        assert_eq!(TokenPlace::read("query:access:token"), Ok(parameter));
        assert!(TokenPlace::read("header:authorization").is_ok());
        for text in ["", "header", "cookie:", "cookie:a b", "cookie:a=b", "query:", "body:token"] {
            assert!(TokenPlace::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_method_near_to_a_known_one_is_offered() {
        assert_eq!(AuthMethod::read("jwt:token"), Ok(AuthMethod::JwtOwn));
        for text in ["jwt:corp", "introspection:partner", "forward_auth:legacy"] {
            assert_eq!(AuthMethod::read(text).unwrap().to_string(), text);
        }
        let fault = AuthMethod::read("apikey").unwrap_err();
        assert_eq!(fault.help.as_deref(), Some("did you mean `api_key`?"));
        assert!(AuthMethod::read("none").unwrap_err().reason.unwrap().contains("stands alone"));
    }

    #[test]
    fn a_limit_counts_by_a_header() {
        let tenant = LimitKey::Header(Header("X-Tenant".into()));
        assert_eq!(LimitKey::read("header:X-Tenant"), Ok(tenant));
        assert!(LimitKey::read("header:").is_err());
    }

    #[test]
    fn a_password_in_clear_is_refused() {
        assert!(PasswordHash::read("hunter2").is_err());
        assert!(PasswordHash::read("$2b$12$abc").is_ok());
    }
}
