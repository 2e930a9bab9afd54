//! Authorization: whether a principal may do this.
//!
//! `deny` comes first: one block that holds, or that cannot be told to hold or not, refuses. Then
//! one block of `allow` must hold. The denial names the first condition of the first block that
//! does not.

pub mod condition;
pub mod roles;

pub use condition::{Condition, ConditionFault, ConditionFaultKind, Unevaluable};
pub use roles::{RoleCycle, RoleDefinition, RoleGraph};

use super::{
    Denial, Trail,
    decision::Condition as Unmet,
    rules::{Access, Route},
    scope::Scope,
    trail::Outcome,
};
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
    pub when: Option<Condition>,
}

/// Ownership: a path parameter is the principal's subject.
#[derive(Debug)]
pub struct Owner {
    /// The parameter.
    pub parameter: String,
    /// Principals of these issuers only; empty where the route accepts one source.
    pub issuers: Vec<IssuerName>,
}

/// Judges a request by a route's rules.
///
/// # Errors
/// The denial, if a block of `deny` holds or cannot be told, or none of `allow` holds.
pub fn authorize(
    route: &Route,
    scope: &Scope<'_>,
    now: Timestamp,
    trail: &mut Trail,
) -> Result<(), Denial> {
    for block in &route.deny {
        match block.judge(scope, now) {
            Ok(()) => {
                trail.note("deny", Outcome::Refused, block.line, || "it holds".to_owned());
                return Err(Denial::Denied);
            }
            Err(Failing::Unevaluable(why)) => {
                trail.note("deny", Outcome::Refused, block.line, || {
                    format!("`when` cannot be told: {why}")
                });
                return Err(Denial::Denied);
            }
            Err(failing) => {
                trail.note("deny", Outcome::Passed, block.line, || failing.to_string());
            }
        }
    }
    let mut first = None;
    for block in &route.allow {
        match block.judge(scope, now) {
            Ok(()) => {
                trail.note("allow", Outcome::Passed, block.line, || "it holds".to_owned());
                return Ok(());
            }
            Err(failing) => {
                trail.note("allow", Outcome::Refused, block.line, || failing.to_string());
                first = first.or(Some(failing));
            }
        }
    }
    match first {
        None => Ok(()),
        Some(failing) => Err(refusal(route, failing, scope, now)),
    }
}

/// What of a block does not hold.
#[derive(Debug)]
enum Failing<'b> {
    Networks,
    Roles(&'b [Role]),
    Permissions(Vec<Permission>),
    Owner,
    When,
    Unevaluable(Unevaluable),
}

impl std::fmt::Display for Failing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Networks => f.write_str("the client is in none of `networks`"),
            Self::Roles(_) => f.write_str("none of `roles` is held"),
            Self::Permissions(missing) => {
                let missing: Vec<&str> = missing.iter().map(Permission::as_str).collect();
                write!(f, "`permissions` are missing: {}", missing.join(", "))
            }
            Self::Owner => f.write_str("`owner` is somebody else"),
            Self::When => f.write_str("`when` does not hold"),
            Self::Unevaluable(why) => write!(f, "`when` cannot be told: {why}"),
        }
    }
}

impl Block {
    /// Whether all conditions hold; the first that does not.
    fn judge(&self, scope: &Scope<'_>, now: Timestamp) -> Result<(), Failing<'_>> {
        self.judge_networks(scope)?;
        let principal = scope.principal;
        if let Some(roles) = &self.roles {
            let held = |role: &Role| principal.is_some_and(|principal| principal.has_role(role));
            if !roles.iter().any(held) {
                return Err(Failing::Roles(roles));
            }
        }
        if let Some(permissions) = &self.permissions {
            let held = |permission: &&Permission| {
                principal.is_some_and(|principal| principal.has_permission(permission))
            };
            let missing: Vec<_> = permissions.iter().filter(|one| !held(one)).cloned().collect();
            if !missing.is_empty() {
                return Err(Failing::Permissions(missing));
            }
        }
        if self.owner.as_ref().is_some_and(|owner| !owner.holds(scope)) {
            return Err(Failing::Owner);
        }
        self.judge_when(scope, now)
    }

    fn judge_networks(&self, scope: &Scope<'_>) -> Result<(), Failing<'_>> {
        let client = scope.facts.client;
        match &self.networks {
            Some(networks) if !Cidr::any_contains(networks, client) => Err(Failing::Networks),
            _ => Ok(()),
        }
    }

    fn judge_when(&self, scope: &Scope<'_>, now: Timestamp) -> Result<(), Failing<'_>> {
        let Some(when) = &self.when else { return Ok(()) };
        if when.needs_principal() && scope.principal.is_none() {
            return Err(Failing::When);
        }
        match when.holds(scope, now) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failing::When),
            Err(why) => Err(Failing::Unevaluable(why)),
        }
    }

    /// Whether all that does not ask about the principal holds, so that some principal could
    /// make the block hold.
    fn some_principal_could_pass(&self, scope: &Scope<'_>, now: Timestamp) -> bool {
        let asks = self.when.as_ref().is_some_and(Condition::needs_principal);
        self.judge_networks(scope).is_ok() && (asks || self.judge_when(scope, now).is_ok())
    }
}

impl Owner {
    /// Byte for byte: two spellings of a subject are two subjects.
    fn holds(&self, scope: &Scope<'_>) -> bool {
        let (Some(principal), Some(value)) = (scope.principal, scope.params.value(&self.parameter))
        else {
            return false;
        };
        *value == *principal.subject
            && (self.issuers.is_empty() || self.issuers.contains(&principal.issuer))
    }
}

/// The denial for the first condition that does not hold. Where nobody is known and somebody could
/// have passed, the client is asked who it is.
fn refusal(route: &Route, failing: Failing<'_>, scope: &Scope<'_>, now: Timestamp) -> Denial {
    if scope.principal.is_none()
        && let Access::IfPresented(rule) | Access::Required(rule) = &route.access
        && route.allow.iter().any(|block| block.some_principal_could_pass(scope, now))
    {
        return Denial::MissingCredentials { challenges: rule.challenges.clone() };
    }
    let bearer = scope.principal.is_some_and(|who| who.method.is_bearer());
    match failing {
        Failing::Networks => Denial::ConditionFailed { which: Unmet::Networks },
        Failing::Roles(roles) => Denial::MissingRole { required: roles.to_vec(), bearer },
        Failing::Permissions(missing) => Denial::MissingPermissions { missing, bearer },
        Failing::Owner => Denial::ConditionFailed { which: Unmet::Owner },
        Failing::When | Failing::Unevaluable(_) => Denial::ConditionFailed { which: Unmet::When },
    }
}

#[cfg(test)]
mod tests;
