//! Authentication: which credential counts, and whose it is.
//!
//! Every listed method looks for its credential, and the first listed that finds one decides. A
//! credential that comes twice decides nothing.

mod api_key;
mod basic;
mod bearer;
mod certificate;
mod client_cert;
mod cookie;
mod credential;
pub mod forward_auth;
pub mod introspection;
pub mod jwt;
pub mod keys;
mod place;
mod query;
mod standing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use jsonwebtoken::Algorithm;

pub use basic::principal as principal_of_user;
pub use bearer::{Origin as TokenOrigin, Refused, judge as judge_token};
pub use certificate::ClientCertificate;
pub use cookie::{Cookie, cookies};
pub use place::TokenPlace;
pub use query::{Parameter, parameters};
pub use standing::is_taken_back;

use super::{
    Denial, Policy, RequestFacts, Sources, Trail,
    decide::overrides,
    forward::cors::is_cross_site,
    rules::{CorsRule, CrossSite, Route},
    trail::Outcome,
};
use crate::model::{CredentialKind, Principal, Timestamp};
use forward_auth::ForwardAuthTerms;
use introspection::IntrospectionTerms;
use jwt::IssuerTerms;

/// Establishes who sent the request, by the first method of the rule whose credential is there.
/// Nobody if none is.
///
/// # Errors
/// If a credential comes twice, or the one that decides does not stand.
pub async fn authenticate(
    policy: &Policy,
    route: &Route,
    rule: &AuthRule,
    facts: &RequestFacts<'_>,
    sources: &impl Sources,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<Option<Arc<Principal>>, Denial> {
    let attempt = Attempt { policy, route, rule, facts, now };
    let found = attempt.find().inspect_err(|_| {
        trail.note("credential", Outcome::Refused, rule.line, || "it comes twice".to_owned());
    })?;
    let Some((method, presented)) = found else {
        trail.note("credential", Outcome::Skipped, rule.line, || {
            format!("none for {}", rule.written)
        });
        return Ok(None);
    };
    let kind = method.kind();
    trail.note("credential", Outcome::Passed, rule.line, || {
        match presented.place.filter(|place| !place.is_authorization()) {
            None => kind.as_str().to_owned(),
            Some(place) => format!("{}, in {place}", kind.as_str()),
        }
    });
    let principal = match method {
        Method::ApiKey(_) => api_key::authenticate(&attempt, &presented.value, sources).await,
        Method::Basic(_) => basic::authenticate(&attempt, &presented.value, sources).await,
        Method::ClientCert(terms) => client_cert::authenticate(&attempt, terms, sources).await,
        Method::ForwardAuth(terms) => {
            forward_auth::authenticate(&attempt, terms, sources, trail).await
        }
        Method::Jwt(rule) => bearer::authenticate(&attempt, rule, &presented, sources, trail).await,
    };
    match &principal {
        Ok(who) => trail.note("authentication", Outcome::Passed, rule.line, || {
            format!("{} of {}", who.subject, who.issuer)
        }),
        Err(denial) => {
            trail.note("authentication", Outcome::Refused, rule.line, || match denial {
                Denial::Unavailable(what) => what.to_string(),
                denial => denial.reason().to_owned(),
            });
        }
    }
    principal.map(Some)
}

/// One request in front of one rule.
struct Attempt<'a> {
    policy: &'a Policy,
    route: &'a Route,
    rule: &'a AuthRule,
    facts: &'a RequestFacts<'a>,
    now: Timestamp,
}

impl<'a> Attempt<'a> {
    /// The credential that decides. All methods look, so that one which comes twice is noticed
    /// whichever decides.
    fn find(&self) -> Result<Option<(&'a Method, credential::Presented<'a>)>, Denial> {
        let mut first = None;
        for method in &self.rule.methods {
            let presented = credential::find(method, self.facts)?;
            first = first.or_else(|| presented.map(|presented| (method, presented)));
        }
        Ok(first)
    }

    /// A credential that browsers send by themselves does not count on a request that another site
    /// could have caused.
    fn judge_origin(&self) -> Result<(), Denial> {
        if self.could_be_forged() && self.is_foreign() {
            return Err(Denial::CrossSite);
        }
        Ok(())
    }

    fn is_foreign(&self) -> bool {
        let cors = match &self.route.cors {
            CorsRule::On(cors) => Some(&**cors),
            CorsRule::Off | CorsRule::Upstream => None,
        };
        self.route.cross_site == CrossSite::Deny && is_cross_site(self.facts, cors)
    }

    /// Whether another site could profit from having made the browser send this request with
    /// credentials that it sends by itself.
    fn could_be_forged(&self) -> bool {
        let safe = |name: &str| ["GET", "HEAD", "OPTIONS"].contains(&name);
        // What an app is asked to do instead counts as if it were the method.
        let overridden =
            || overrides(self.facts).iter().any(|name| !safe(&name.trim().to_ascii_uppercase()));
        !safe(self.facts.method.as_str()) || self.facts.websocket || overridden()
    }
}

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
    /// The client's TLS certificate.
    ClientCert(ClientCertTerms),
    /// Whatever another service knows the sender by.
    ForwardAuth(Arc<ForwardAuthTerms>),
    /// A bearer token: of one of these issuers, or for their introspection.
    Jwt(JwtRule),
}

impl Method {
    /// The kind of its credential.
    pub const fn kind(&self) -> CredentialKind {
        match self {
            Self::ApiKey(_) => CredentialKind::ApiKey,
            Self::Basic(_) => CredentialKind::Basic,
            Self::ClientCert(_) => CredentialKind::ClientCert,
            Self::ForwardAuth(_) => CredentialKind::ForwardAuth,
            Self::Jwt(_) => CredentialKind::Jwt,
        }
    }
}

/// Who says what a route's bearer tokens are worth. A bearer token is one credential whoever checks
/// it.
#[derive(Debug)]
pub struct JwtRule {
    /// Those whose signature says it, in the order of the file. At most one is without `issuer`.
    pub issuers: Vec<Arc<IssuerTerms>>,
    /// Where a token is looked for: every place of one of them, each once.
    pub places: Vec<TokenPlace>,
    /// Who is asked about what none of them takes, if it stands in `Authorization`.
    pub introspection: Option<Arc<IntrospectionTerms>>,
}

impl JwtRule {
    /// Takes the tokens of these issuers, each in its places.
    pub fn of(issuers: Vec<Arc<IssuerTerms>>) -> Self {
        let mut rule = Self { issuers: Vec::new(), places: Vec::new(), introspection: None };
        issuers.into_iter().for_each(|issuer| rule.add(issuer));
        rule
    }

    /// Takes those of one more.
    pub fn add(&mut self, issuer: Arc<IssuerTerms>) {
        for place in &issuer.take_from {
            if !self.places.contains(place) {
                self.places.push(place.clone());
            }
        }
        self.issuers.push(issuer);
    }

    /// Asks a provider about the rest.
    pub fn ask(&mut self, provider: Arc<IntrospectionTerms>) {
        if !self.places.iter().any(TokenPlace::is_authorization) {
            self.places.push(TokenPlace::authorization());
        }
        self.introspection = Some(provider);
    }
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

/// What of a client's certificate is the subject (`authentication.client_cert`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCertTerms {
    /// The place that names it.
    pub subject: CertSubject,
}

/// A place in a certificate that names its owner (RFC 5280, sections 4.1.2.6 and 4.2.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertSubject {
    /// The common name of its subject.
    CommonName,
    /// A DNS name among its subject alternative names.
    DnsName,
    /// A URI among its subject alternative names.
    Uri,
}

/// What a 401 asks for: one `WWW-Authenticate` line a scheme (RFC 9110, section 11.6.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Challenges {
    /// The lines, ready to be sent.
    pub lines: Vec<HeaderValue>,
    /// The only method, where it has an answer of its own.
    pub only: Option<OnlyMethod>,
}

/// A method that, alone on a route, is refused otherwise than several are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnlyMethod {
    /// An API key, with the status: 401, or 403 for clients of apps that answered so.
    ApiKey(StatusCode),
    /// A client's certificate: 403, for nothing that a client could send now would help.
    ClientCert,
}
