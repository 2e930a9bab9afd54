//! Authorization: whether a principal may do this.

pub mod roles;

pub use roles::{RoleCycle, RoleDefinition, RoleGraph};

use super::{Denial, Trail, rules::Route, scope::Scope};
use crate::model::{Cidr, IssuerName, Permission, Role, Timestamp};

/// Conditions that must all hold. Never empty.
#[derive(Debug)]
pub struct Block {
    /// Its line in the file.
    pub line: u32,
    /// The client's address is in one of them; absent asks nothing.
    pub networks: Option<Vec<Cidr>>,
    /// The principal holds one of them.
    pub roles: Option<Vec<Role>>,
    /// The principal holds all of them.
    pub permissions: Option<Vec<Permission>>,
    /// A path parameter is the principal's subject.
    pub owner: Option<Owner>,
    /// An expression.
    pub when: Option<When>,
}

/// Ownership: a path parameter is the principal's subject.
#[derive(Debug)]
pub struct Owner {
    /// The parameter.
    pub parameter: String,
    /// Principals of these issuers only; empty where the route accepts one source.
    pub issuers: Vec<IssuerName>,
}

/// A CEL expression, compiled at load.
#[derive(Debug)]
pub struct When {
    /// As written, for `explain`.
    pub source: String,
}

/// Whether the route's rules let this request in: `deny`, then `allow`.
pub fn authorize(
    route: &Route,
    scope: &Scope<'_>,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<(), Denial> {
    let _ = (route, scope, now, trail);
    Err(Denial::Internal { why: "placeholder until the authorization room lands" })
}
