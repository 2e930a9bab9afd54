//! Which route governs a request, and whether the request can be read as another one.
//!
//! Knows templates, hosts, methods and the spellings of a path. Does not know what a route
//! demands: a route is its index in the list the table was built from.
//!
//! The way of a request: [`Target::parse`] cuts the path out of the request target,
//! [`RouteTable::find`] judges its spelling, finds the route and refuses what another reading of
//! the same bytes would put under another route.

mod fault;
mod forest;
mod host;
mod hosts;
mod literals;
mod matched;
mod method;
mod overlap;
mod pattern;
mod readings;
pub(in crate::policy) mod spelling;
mod survey;
mod table;
mod target;

pub use fault::{Ambiguity, RouteFault};
pub use host::{Host, HostFault, HostPattern};
pub use matched::{Match, Params};
pub use method::{MethodFault, MethodSet, is_override_header, overrides_in_query, parse_method};
pub use overlap::{Overlap, OverlapKind};
pub use pattern::{PathPattern, PatternFault, Segment, Tail};
pub use readings::{Difference, Distinguishes};
pub use survey::{Covered, Shadow};
pub use table::{Entry, RouteTable};
pub use target::Target;

#[cfg(test)]
mod tests;
