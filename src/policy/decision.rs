//! What a decision is: a permit to go upstream, an answer of our own, or a denial that knows its
//! exact cause.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::{
    authn::Challenges,
    forward::{ForwardPlan, ResponsePlan},
    limit::Standing,
    rules::Route,
    sources::Unavailable,
};
use crate::model::{CredentialKind, Permission, Principal, Role};

/// The outcome of judging one request.
#[derive(Debug)]
pub struct Decision {
    /// The route that governs the request, once it was found.
    pub route: Option<Arc<Route>>,
    /// Who sent it, once that was established.
    pub principal: Option<Arc<Principal>>,
    /// What is to be done to the response, whoever makes it.
    pub response: ResponsePlan,
    /// What the log says of an answer beside its status: `cors` for a preflight that asked for
    /// what is not allowed.
    pub remark: Option<&'static str>,
    /// What `mode: shadow` let through although its rules said no.
    pub shadow: Option<Denial>,
    /// The verdict.
    pub verdict: Verdict,
}

/// What happens to the request.
#[derive(Debug)]
pub enum Verdict {
    /// The gateway answers itself: preflights, `respond`, `redirect`.
    Answer(Reply),
    /// Refused.
    Deny(Denial),
    /// Leave to go upstream.
    Forward(Permit),
    /// One of the gateway's own endpoints.
    Serve(Endpoint),
}

/// Leave to contact an upstream. Only the judge makes one.
#[derive(Debug)]
pub struct Permit {
    route: Arc<Route>,
    plan: ForwardPlan,
}

impl Permit {
    pub(super) fn new(route: Arc<Route>, plan: ForwardPlan) -> Self {
        Self { route, plan }
    }

    /// The route that admitted the request.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// What goes upstream.
    pub fn plan(&self) -> &ForwardPlan {
        &self.plan
    }
}

/// The gateway's own endpoints on the proxy listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// What the gateway is as an authorization server (RFC 8414).
    AuthorizationServer,
    /// What stands behind the gateway, and whose tokens it takes (RFC 9728).
    ProtectedResource,
    /// The revocation endpoint (RFC 7009).
    Revoke,
    /// The token endpoint (RFC 6749, section 3.2).
    Token,
}

/// An answer that the gateway makes itself.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without framing.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: bytes::Bytes,
}

impl Reply {
    /// Sends the client elsewhere.
    pub fn redirect(status: StatusCode, to: HeaderValue) -> Self {
        Self { status, headers: vec![(header::LOCATION, to)], body: bytes::Bytes::new() }
    }
}

/// Why a request is refused. Each variant knows its status, code and text (`policy::problem`).
#[derive(Clone, Debug, PartialEq)]
pub enum Denial {
    /// The same credential came twice.
    AmbiguousCredentials {
        /// Which one.
        kind: CredentialKind,
    },
    /// The method that a header or parameter names falls under another route.
    AmbiguousMethod,
    /// Readings of the path fall under different routes, or a reading is refused by itself.
    AmbiguousPath {
        /// Which rule it breaks, for the log.
        why: &'static str,
    },
    /// Framing or syntax.
    BadRequest {
        /// What is wrong, for the log and the client.
        why: &'static str,
    },
    /// The body is longer than the route takes.
    BodyTooLarge,
    /// `networks`, `owner` or `when` did not hold.
    ConditionFailed {
        /// Which, for the log.
        which: Condition,
    },
    /// A credential that browsers send by themselves came from another site.
    CrossSite,
    /// A block of `deny` held.
    Denied,
    /// The header block is larger than `server.limits` takes.
    HeadersTooLarge,
    /// Something in the gateway failed.
    Internal {
        /// What, for the log.
        why: &'static str,
    },
    /// The API key is unknown, expired, disabled or from a wrong network.
    InvalidApiKey {
        /// Why exactly, for the log.
        fault: ApiKeyFault,
        /// The route's schemes.
        challenges: Arc<Challenges>,
    },
    /// The client's certificate is good, but names nobody who may come.
    InvalidCertificate {
        /// Why exactly, for the log.
        fault: CertificateFault,
        /// The route's schemes.
        challenges: Arc<Challenges>,
    },
    /// Wrong user or password by HTTP Basic.
    InvalidCredentials {
        /// The route's schemes.
        challenges: Arc<Challenges>,
    },
    /// The bearer token does not stand.
    InvalidToken {
        /// Why exactly, for the log.
        fault: TokenFault,
        /// Whether its signature or its provider was to say what it is worth.
        kind: CredentialKind,
        /// The route's schemes.
        challenges: Arc<Challenges>,
    },
    /// The path has a route, but not for this method.
    MethodNotAllowed {
        /// What `Allow` says.
        allow: Vec<Method>,
    },
    /// The request is for another name than its TLS handshake was.
    Misdirected,
    /// No credential was presented.
    MissingCredentials {
        /// The route's schemes.
        challenges: Arc<Challenges>,
    },
    /// Permissions are missing.
    MissingPermissions {
        /// Those that are.
        missing: Vec<Permission>,
        /// Whether the principal came by a bearer token.
        bearer: bool,
    },
    /// None of the roles is held.
    MissingRole {
        /// Those that would have done.
        required: Vec<Role>,
        /// Whether the principal came by a bearer token.
        bearer: bool,
    },
    /// No route takes the request.
    NoRoute,
    /// No target can take the request.
    NoUpstream,
    /// The upstream has as many requests as it is given at a time.
    Overloaded,
    /// A limit is exhausted.
    RateLimited {
        /// The limit's policy name, as in `RateLimit-Policy`.
        limit: Arc<str>,
        /// Its quota, as in "10 per 1 minute".
        quota: Arc<str>,
        /// Seconds until it has room, at least 1.
        retry_after: u64,
    },
    /// The service that was asked by `forward_auth` does not vouch for the request.
    RefusedElsewhere {
        /// Why, for the log.
        fault: ForwardAuthFault,
        /// What that service asks for: its own `WWW-Authenticate` lines.
        asks: Vec<HeaderValue>,
        /// The route's schemes.
        challenges: Arc<Challenges>,
    },
    /// The request did not arrive in time.
    RequestTimeout,
    /// Something that the answer depends on is away.
    Unavailable(Unavailable),
    /// The upstream could not be reached or answered nonsense.
    UpstreamError {
        /// What happened, for the log.
        why: &'static str,
    },
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The target is longer than `server.limits.uri_bytes`.
    UriTooLong,
}

impl Denial {
    /// A limit of which this is the standing is exhausted.
    pub fn limited(standing: &Standing) -> Self {
        Self::RateLimited {
            limit: Arc::clone(standing.rule.name()),
            quota: Arc::clone(standing.rule.told()),
            retry_after: standing.retry_after(),
        }
    }
}

/// Which condition of a block did not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `networks`.
    Networks,
    /// `owner`.
    Owner,
    /// `when`.
    When,
}

/// Why an API key does not stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyFault {
    /// It is shut out.
    Disabled,
    /// Its time is over.
    Expired,
    /// Empty, or bytes that no key has.
    Malformed,
    /// It may not be used from there.
    Network,
    /// No such key.
    Unknown,
}

impl ApiKeyFault {
    /// The reason as the log and the metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::Network => "network",
            Self::Unknown => "unknown_key",
        }
    }
}

/// Why a client's certificate does not stand, although an authority vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// It has several names of the kind that is asked for.
    Ambiguous,
    /// The user it names is disabled.
    DisabledUser,
    /// Its time is over by now.
    Expired,
    /// Its name has bytes that are no visible ASCII, or is too long; or it cannot be read at all.
    Malformed,
    /// It has no name of the kind that is asked for, or an empty one.
    NoSubject,
    /// Its time has not come.
    NotYetValid,
    /// The user it names is unknown.
    UnknownUser,
}

impl CertificateFault {
    /// The reason as the log and the metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous_subject",
            Self::DisabledUser => "disabled_user",
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::NoSubject => "no_subject",
            Self::NotYetValid => "not_yet_valid",
            Self::UnknownUser => "unknown_user",
        }
    }
}

/// Why a service that was asked by `forward_auth` does not vouch for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardAuthFault {
    /// It answered 403.
    Forbidden,
    /// It said yes, and not to whom.
    NoSubject,
    /// It answered 401.
    Unauthorized,
}

impl ForwardAuthFault {
    /// The reason as the log and the metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forward_auth_forbidden",
            Self::NoSubject => "forward_auth_no_subject",
            Self::Unauthorized => "forward_auth_unauthorized",
        }
    }
}

/// Why a token does not stand. The client learns "expired" or "invalid", the log this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// An algorithm that the issuer does not use.
    Algorithm,
    /// Not for us.
    Audience,
    /// The API key that it was issued to is unknown, shut out, over, or not for that address.
    Client,
    /// A member of the claim set has the wrong type.
    ClaimType,
    /// The JOSE header has `crit`, `cty` or `b64` (RFC 7515, section 4.1.11).
    Critical,
    /// The user it speaks for is disabled.
    DisabledUser,
    /// A claim that policy reads stands twice.
    DuplicateClaim,
    /// Its time is over.
    Expired,
    /// Its provider says that it is not active (RFC 7662), or does not say that it is.
    Inactive,
    /// No listed issuer takes its `iss`.
    Issuer,
    /// Not a JWS in compact form, or not JSON inside.
    Malformed,
    /// A claim that must be there is not.
    MissingClaim,
    /// Its time has not come.
    NotYetValid,
    /// It stands where its issuer's tokens are not looked for.
    Place,
    /// It was taken back.
    Revoked,
    /// The signature is wrong.
    Signature,
    /// Longer than any token we decode.
    TooLarge,
    /// A JOSE `typ` that the issuer does not take.
    Type,
    /// No key with its `kid`.
    UnknownKey,
    /// The user it speaks for is unknown.
    UnknownUser,
}

impl TokenFault {
    /// The reason as the log and the metrics name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Algorithm => "algorithm",
            Self::Audience => "audience",
            Self::Client => "client",
            Self::ClaimType => "claim_type",
            Self::Critical => "critical",
            Self::DisabledUser => "disabled_user",
            Self::DuplicateClaim => "duplicate_claim",
            Self::Expired => "expired",
            Self::Inactive => "inactive",
            Self::Issuer => "issuer",
            Self::Malformed => "malformed",
            Self::MissingClaim => "missing_claim",
            Self::NotYetValid => "not_yet_valid",
            Self::Place => "place",
            Self::Revoked => "revoked",
            Self::Signature => "signature",
            Self::TooLarge => "too_large",
            Self::Type => "type",
            Self::UnknownKey => "unknown_kid",
            Self::UnknownUser => "unknown_user",
        }
    }

    /// Whether `failure_limit` counts it: what a guesser would cause, not what a client with an
    /// outdated but genuine token does.
    pub const fn counts_as_failure(self) -> bool {
        match self {
            Self::Inactive | Self::Malformed | Self::Signature => true,
            Self::Algorithm
            | Self::Audience
            | Self::Client
            | Self::ClaimType
            | Self::Critical
            | Self::DisabledUser
            | Self::DuplicateClaim
            | Self::Expired
            | Self::Issuer
            | Self::MissingClaim
            | Self::NotYetValid
            | Self::Place
            | Self::Revoked
            | Self::TooLarge
            | Self::Type
            | Self::UnknownKey
            | Self::UnknownUser => false,
        }
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
