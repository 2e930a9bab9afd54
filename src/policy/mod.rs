//! What is allowed, and the judge. No I/O of its own: what only the outside knows it asks through
//! [`Sources`].

pub mod accounts;
pub mod authn;
pub mod authz;
#[cfg(test)]
mod bare;
pub mod client;
mod decide;
pub mod decision;
pub mod digest;
pub mod forward;
pub mod grpc;
pub mod issuing;
pub mod limit;
pub mod lookalike;
pub mod metadata;
pub mod password;
pub mod problem;
pub mod request;
pub mod route;
pub mod rules;
pub mod scope;
pub mod server;
pub mod sources;
pub mod trail;
pub mod upstream;

use std::sync::Arc;

pub use decide::{decide, decide_as};
pub use decision::{Decision, Denial, Permit, Verdict};
pub use request::RequestFacts;
pub use sources::Sources;
pub use trail::Trail;

use accounts::Accounts;
use authn::{forward_auth::ForwardAuthTerms, introspection::IntrospectionTerms, jwt::IssuerTerms};

/// The compiled file: immutable, nothing left to parse.
#[derive(Debug)]
pub struct Policy {
    /// What `server` says of every request.
    pub server: server::ServerTerms,
    /// The routes by their index in the table; the gateway's own endpoints among them.
    pub routes: Vec<Arc<rules::Route>>,
    /// Finds a route's index.
    pub table: route::RouteTable,
    /// Every upstream that a route leads to.
    pub upstreams: Vec<Arc<upstream::Upstream>>,
    /// Every issuer, the gateway's own included.
    pub issuers: Vec<Arc<IssuerTerms>>,
    /// Every provider that is asked about tokens.
    pub providers: Vec<Arc<IntrospectionTerms>>,
    /// Every service that is asked about requests.
    pub services: Vec<Arc<ForwardAuthTerms>>,
    /// Users and keys of the file.
    pub accounts: Arc<Accounts>,
    /// What each role includes and permits.
    pub roles: authz::RoleGraph,
    /// What upstreams are told, and what no client may tell them.
    pub identity: forward::IdentityTerms,
    /// The gateway as issuer.
    pub issuing: Option<Arc<issuing::IssuingTerms>>,
    /// What clients are told of where tokens come from.
    pub metadata: Option<Arc<metadata::MetadataTerms>>,
    /// Failed credentials per client address.
    pub failure_limit: Option<Arc<limit::Limit>>,
    /// Logins per address and username.
    pub login_limit: Option<limit::LoginLimit>,
    /// Bound on counters in memory.
    pub counters: usize,
    /// Cross-origin rules of answers that belong to no route.
    pub default_cors: rules::CorsRule,
    /// Security headers of answers that belong to no route.
    pub default_security_headers: Arc<[(http::HeaderName, http::HeaderValue)]>,
}
