//! A route as compiled: whom it lets in, under which limits, and what becomes of the request.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

use super::{
    authn::AuthRule,
    authz::Block,
    decision::{Endpoint, Reply},
    forward::{Cors, Template, path::PathPlan},
    limit::Limit,
    upstream::Upstream,
};
use crate::model::RouteName;

/// A route, ready to be judged by.
#[derive(Debug)]
pub struct Route {
    /// Its name, unique in the file.
    pub name: RouteName,
    /// Its line in the file; 0 for the gateway's own endpoints.
    pub line: u32,
    /// What becomes of an admitted request.
    pub action: Action,
    /// Who is asked for a credential.
    pub access: Access,
    /// Blocks of which one that holds denies.
    pub deny: Vec<Block>,
    /// Blocks of which one must hold; empty lets any principal in.
    pub allow: Vec<Block>,
    /// Whether its rules count.
    pub mode: Mode,
    /// Limits charged before authentication.
    pub early_limits: Vec<Arc<Limit>>,
    /// Limits that need the principal.
    pub late_limits: Vec<Arc<Limit>>,
    /// Cross-origin rules.
    pub cors: CorsRule,
    /// What the response carries beside.
    pub response: HeaderTerms,
    /// Security headers, set once over the upstream's.
    pub security_headers: Arc<[(HeaderName, HeaderValue)]>,
    /// Whether browsers' own credentials count from other sites.
    pub cross_site: CrossSite,
}

/// What becomes of an admitted request.
#[derive(Debug)]
pub enum Action {
    /// It goes upstream.
    Forward(Box<Forwarding>),
    /// It is answered from the file.
    Respond(Reply),
    /// It is sent elsewhere.
    Redirect {
        /// Where to.
        to: Template,
        /// With which status.
        status: http::StatusCode,
    },
    /// It is one of the gateway's own endpoints.
    Serve(Endpoint),
}

/// How a route's requests go upstream.
#[derive(Debug)]
pub struct Forwarding {
    /// Where to.
    pub upstream: Arc<Upstream>,
    /// What becomes of the path.
    pub path: PathPlan,
    /// What becomes of the headers.
    pub headers: HeaderTerms,
    /// Whether the upstream sees the credentials.
    pub credentials: Credentials,
    /// Bytes of a body.
    pub body_limit: u64,
    /// Bytes of what a call of gRPC sends, where the route itself says so.
    pub call_limit: Option<u64>,
    /// How long the upstream may take, the route's word over the upstream's.
    pub timeouts: super::upstream::Timeouts,
    /// How long what never ends by itself may last.
    pub streams: StreamTerms,
}

/// How long a WebSocket connection or an event stream may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamTerms {
    /// How long it may be silent on both sides.
    pub idle: Duration,
    /// How much longer it may last than the credential that opened it; absent: as long as it will.
    pub grace: Option<Duration>,
}

impl Default for StreamTerms {
    fn default() -> Self {
        Self { idle: Duration::from_secs(600), grace: Some(Duration::from_secs(10)) }
    }
}

/// Whether the upstream sees the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// They go upstream as they came.
    Keep,
    /// Every place that the route looks in is emptied.
    Strip,
}

/// Who is asked for a credential. A rule about principals where nobody is asked cannot be built.
#[derive(Debug)]
pub enum Access {
    /// Nobody.
    Anyone,
    /// A credential may be absent; one that is there must be good.
    IfPresented(AuthRule),
    /// Everybody.
    Required(AuthRule),
}

impl Access {
    /// The rule by which credentials are looked for, if they are.
    pub fn rule(&self) -> Option<&AuthRule> {
        match self {
            Self::Anyone => None,
            Self::IfPresented(rule) | Self::Required(rule) => Some(rule),
        }
    }
}

/// Whether a route's rules count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Enforce,
    /// They are decided, counted and logged, and let through.
    Shadow,
}

/// Cross-origin rules of a route.
#[derive(Clone, Debug)]
pub enum CorsRule {
    /// None: the upstream's headers are left alone.
    Off,
    /// The gateway answers.
    On(Arc<Cors>),
    /// Preflights go to the app, unauthenticated.
    Upstream,
}

/// Whether a credential that browsers send by themselves counts when another site caused the
/// request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossSite {
    /// It does.
    Allow,
    /// It does not.
    Deny,
}

/// Headers that a route sets, adds and removes.
#[derive(Debug, Default)]
pub struct HeaderTerms {
    /// Replace what is there.
    pub set: Vec<(HeaderName, Template)>,
    /// Stand beside what is there.
    pub add: Vec<(HeaderName, Template)>,
    /// Go.
    pub remove: Vec<HeaderName>,
    /// Of a request: what the route's rules read. It arrives as it was read: other spellings of its
    /// name do not, and `Connection` cannot take it out.
    pub read: Vec<HeaderName>,
}
