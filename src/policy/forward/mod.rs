//! What becomes of a request on its way up and of a response on its way down.

pub mod assertion;
mod cookies;
pub mod cors;
mod edits;
pub mod fold;
pub mod path;
pub mod query;
pub mod request;
pub mod response;
pub mod template;

pub use assertion::AssertionTerms;
pub use cors::Cors;
pub use fold::{IdentityDefinition, IdentityTerms, told_by_route};
pub use template::Template;

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

/// One change to a header block. Later ones see the work of earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Stands beside what is there.
    Append(HeaderName, HeaderValue),
    /// Goes, in every spelling of its letter case and every repetition.
    Remove(HeaderName),
    /// Replaces what is there.
    Set(HeaderName, HeaderValue),
}

/// What goes upstream, decided in full before an upstream is contacted.
#[derive(Debug, Default)]
pub struct ForwardPlan {
    /// The request target, if it differs from the received bytes.
    pub target: Option<String>,
    /// Changes to the received headers, in order; hop-by-hop headers were worked out on what
    /// came in.
    pub edits: Vec<HeaderEdit>,
    /// How many headers were removed, by kind, for the metrics.
    pub stripped: Stripped,
}

/// How many headers were removed, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stripped {
    /// Other spellings of names that matter.
    pub alias: u32,
    /// The forwarding set.
    pub forwarding: u32,
    /// Hop-by-hop headers.
    pub hop: u32,
    /// Names by which an upstream is told who the client is.
    pub identity: u32,
}

/// What is done to the response, whoever makes it.
#[derive(Debug, Default)]
pub struct ResponsePlan {
    /// Whether what the upstream says of other origins (`Access-Control-*`) goes.
    pub replaces_cors: bool,
    /// Changes in order, after the security headers.
    pub edits: Vec<HeaderEdit>,
    /// Security headers of the route, set over the upstream's.
    pub security_headers: Option<Arc<[(HeaderName, HeaderValue)]>>,
    /// Those of the edits that the route itself asks for, see
    /// [`ResponsePlan::forget_route_headers`].
    route: std::ops::Range<usize>,
}
