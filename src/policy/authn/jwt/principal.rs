//! From the claims of a trusted token to a principal.

use std::sync::Arc;

use serde_json::Value;

use super::{ClaimPaths, IssuerTerms, Trusted};
use crate::{
    model::{Claims, CredentialKind, IssuerName, Permission, PlanName, Principal, Role},
    policy::{
        accounts::{ApiKey, User},
        authz::RoleGraph,
        decision::TokenFault,
    },
};

/// What an issuer may assert: names, or a beginning and `*`.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Roles.
    pub roles: Vec<String>,
    /// Permissions.
    pub permissions: Vec<String>,
}

impl IssuerTerms {
    /// The principal that a token speaks for: with what the token says of it, or with what `user`,
    /// an account of ours, has now. Made once for a token as long as terms and user stay.
    ///
    /// A token of our own that was narrowed by `scope` (RFC 6749, section 3.3) carries that claim;
    /// of its user's present permissions only those count which it names, and no role does.
    ///
    /// # Errors
    /// If roles, permissions, plan or scope are of a type that says nothing.
    pub fn principal(
        self: &Arc<Self>,
        token: Trusted<'_>,
        user: Option<&Arc<User>>,
        roles: &RoleGraph,
    ) -> Result<Arc<Principal>, TokenFault> {
        if let Some(principal) = token.verified.made(self, user) {
            return Ok(principal);
        }
        let claims = &token.verified.claims;
        let standing = match user {
            Some(user) => {
                self.of_account(claims, (&user.roles, &user.permissions, &user.plan), roles)?
            }
            None => {
                let says = Says { who: &self.name, grants: self.grants.as_ref(), claims };
                says.standing(&self.claims, roles)?
            }
        };
        let principal = Arc::new(Principal {
            issuer: self.principal_issuer.clone(),
            subject: token.subject.into(),
            roles: standing.roles,
            permissions: standing.permissions,
            effective_roles: standing.effective_roles,
            plan: standing.plan,
            method: CredentialKind::Jwt,
            claims: Arc::clone(claims),
            api_key: None,
            expires: token.verified.expires,
        });
        token.verified.remember(self, user, &principal);
        Ok(principal)
    }

    /// The principal of a token that was issued to an API key: with what the key has now, narrowed as
    /// the token is. It stays the key's: a limit by `api_key` counts both together.
    ///
    /// # Errors
    /// If the scope is of a type that says nothing.
    pub fn principal_of_key(
        &self,
        token: Trusted<'_>,
        key: &ApiKey,
        roles: &RoleGraph,
    ) -> Result<Arc<Principal>, TokenFault> {
        let claims = &token.verified.claims;
        let standing = self.of_account(claims, (&key.roles, &key.permissions, &key.plan), roles)?;
        Ok(Arc::new(Principal {
            issuer: self.principal_issuer.clone(),
            subject: token.subject.into(),
            roles: standing.roles,
            permissions: standing.permissions,
            effective_roles: standing.effective_roles,
            plan: standing.plan,
            method: CredentialKind::Jwt,
            claims: Arc::clone(claims),
            api_key: Some(Arc::clone(&key.id)),
            expires: token.verified.expires,
        }))
    }

    fn of_account(
        &self,
        claims: &Claims,
        (own_roles, own, plan): (&Arc<[Role]>, &[Permission], &Option<PlanName>),
        graph: &RoleGraph,
    ) -> Result<Standing, TokenFault> {
        let (effective_roles, permissions) = graph.effective(own_roles, own);
        let plan = plan.clone();
        let scope = if self.is_own() { claims.members().get("scope") } else { None };
        match scope {
            None => {
                Ok(Standing { roles: Arc::clone(own_roles), effective_roles, permissions, plan })
            }
            Some(scope) => {
                let named = words(scope)?;
                let kept = permissions.iter().filter(|one| named.contains(&one.as_str()));
                let permissions = kept.cloned().collect();
                let none: Arc<[Role]> = Arc::new([]);
                Ok(Standing { roles: none.clone(), effective_roles: none, permissions, plan })
            }
        }
    }
}

/// What somebody says of a principal in claims.
pub(in crate::policy::authn) struct Says<'c> {
    /// Who says it.
    pub who: &'c IssuerName,
    /// What of it counts.
    pub grants: Option<&'c Grants>,
    /// What is said.
    pub claims: &'c Claims,
}

impl Says<'_> {
    /// What the principal has by it.
    ///
    /// # Errors
    /// If roles, permissions or plan are of a type that says nothing.
    pub fn standing(&self, paths: &ClaimPaths, graph: &RoleGraph) -> Result<Standing, TokenFault> {
        let roles = self.granted(&paths.roles, self.grants.map(|all| &*all.roles))?;
        let own = self.granted(&paths.permissions, self.grants.map(|all| &*all.permissions))?;
        let roles: Vec<Role> = roles.into_iter().map(Role::from).collect();
        let own: Vec<Permission> = own.into_iter().map(Permission::from).collect();
        let (effective_roles, permissions) = graph.effective(&roles, &own);
        let plan = match self.claims.find(&paths.plan) {
            None | Some(Value::Null) => None,
            Some(Value::String(plan)) => Some(PlanName::from(plan.as_str())),
            Some(_) => return Err(TokenFault::ClaimType),
        };
        Ok(Standing { roles: roles.into(), effective_roles, permissions, plan })
    }

    /// The names at this path that may be asserted; the others are ignored and logged.
    fn granted(&self, path: &str, bounds: Option<&[String]>) -> Result<Vec<&str>, TokenFault> {
        let Some(value) = self.claims.find(path) else { return Ok(Vec::new()) };
        let mut names = words(value)?;
        if let Some(bounds) = bounds {
            let asserted = names.len();
            names.retain(|name| bounds.iter().any(|bound| within(bound, name)));
            let ignored = asserted - names.len();
            if ignored > 0 {
                tracing::warn!(issuer = %self.who, claim = path, ignored, "an issuer asserts more than its `grants`");
            }
        }
        Ok(names)
    }
}

/// What a principal has, whoever says so.
pub(in crate::policy::authn) struct Standing {
    /// As granted.
    pub roles: Arc<[Role]>,
    /// With all that they include.
    pub effective_roles: Arc<[Role]>,
    /// In effect.
    pub permissions: Arc<[Permission]>,
    /// Which quota.
    pub plan: Option<PlanName>,
}

fn within(bound: &str, name: &str) -> bool {
    match bound.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => bound == name,
    }
}

/// Names in any of the forms that issuers write: a list, one name, or names with spaces between.
fn words(value: &Value) -> Result<Vec<&str>, TokenFault> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(text.split_ascii_whitespace().collect()),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().ok_or(TokenFault::ClaimType)).collect()
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Err(TokenFault::ClaimType),
    }
}
