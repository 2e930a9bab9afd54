//! What each role includes and permits, closed once at load so that a request only looks up.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::model::{Permission, Role};

/// One entry of `roles`.
#[derive(Clone, Debug)]
pub struct RoleDefinition {
    /// The role.
    pub role: Role,
    /// Roles that it includes.
    pub includes: Vec<Role>,
    /// Permissions of its own.
    pub permissions: Vec<Permission>,
}

/// A role that includes itself, by way of others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("role `{}` includes itself: {}", self.first(), self.path())]
pub struct RoleCycle {
    /// The way round: each includes the next, and the last the first.
    pub roles: Vec<Role>,
}

impl RoleCycle {
    fn first(&self) -> &str {
        self.roles.first().map_or("", Role::as_str)
    }

    fn path(&self) -> String {
        let again = self.roles.first();
        self.roles.iter().chain(again).map(Role::as_str).collect::<Vec<_>>().join(" → ")
    }
}

/// What each role includes and permits, closed over `includes`.
#[derive(Debug, Default)]
pub struct RoleGraph {
    roles: HashMap<Role, Closure>,
}

/// A role's reach: sorted, each once, itself among its roles.
#[derive(Debug)]
struct Closure {
    roles: Arc<[Role]>,
    permissions: Arc<[Permission]>,
}

impl RoleGraph {
    /// Closes the definitions. An included role without a definition stands for itself; of two
    /// definitions of one role the later counts (the compiler has refused both).
    pub fn build(definitions: impl IntoIterator<Item = RoleDefinition>) -> Result<Self, RoleCycle> {
        let definitions: HashMap<Role, RoleDefinition> =
            definitions.into_iter().map(|one| (one.role.clone(), one)).collect();
        // In the order of names, so that a file with several cycles is told of the same one twice.
        let names: BTreeSet<&Role> = definitions.keys().collect();
        let mut done = HashSet::new();
        for name in &names {
            refuse_cycle(&definitions, name, &mut done)?;
        }
        let roles = names.into_iter().map(|name| (name.clone(), close(&definitions, name)));
        Ok(Self { roles: roles.collect() })
    }

    /// Whether the role is defined.
    pub fn defines(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// The defined roles, in no order.
    pub fn names(&self) -> impl Iterator<Item = &Role> {
        self.roles.keys()
    }

    /// The roles in effect for these granted ones, and the permissions in effect for them and
    /// `own`: sorted, each once. One defined role without permissions beside it costs a look-up.
    pub fn effective(
        &self,
        granted: &[Role],
        own: &[Permission],
    ) -> (Arc<[Role]>, Arc<[Permission]>) {
        if let ([role], []) = (granted, own)
            && let Some(closure) = self.roles.get(role)
        {
            return (closure.roles.clone(), closure.permissions.clone());
        }
        let mut roles = Vec::with_capacity(granted.len());
        let mut permissions = own.to_vec();
        for role in granted {
            match self.roles.get(role) {
                Some(closure) => {
                    roles.extend_from_slice(&closure.roles);
                    permissions.extend_from_slice(&closure.permissions);
                }
                None => roles.push(role.clone()),
            }
        }
        (sorted(roles), sorted(permissions))
    }
}

fn sorted<T: Ord>(mut names: Vec<T>) -> Arc<[T]> {
    names.sort_unstable();
    names.dedup();
    names.into()
}

/// Walks depth first without recursion: a file may chain thousands of roles.
fn refuse_cycle<'d>(
    definitions: &'d HashMap<Role, RoleDefinition>,
    start: &'d Role,
    done: &mut HashSet<&'d Role>,
) -> Result<(), RoleCycle> {
    let included = |role: &Role| {
        definitions.get(role).map(|one| one.includes.as_slice()).unwrap_or_default().iter()
    };
    if done.contains(start) {
        return Ok(());
    }
    let mut path = vec![start];
    let mut on_path = HashSet::from([start]);
    let mut open = vec![included(start)];
    while let (Some(next), Some(&current)) = (open.last_mut().map(Iterator::next), path.last()) {
        match next {
            None => {
                done.insert(current);
                on_path.remove(current);
                path.pop();
                open.pop();
            }
            Some(role) if on_path.contains(role) => {
                let round = path.into_iter().skip_while(|one| *one != role).cloned();
                return Err(RoleCycle { roles: round.collect() });
            }
            Some(role) if done.contains(role) => {}
            Some(role) => {
                path.push(role);
                on_path.insert(role);
                open.push(included(role));
            }
        }
    }
    Ok(())
}

fn close(definitions: &HashMap<Role, RoleDefinition>, start: &Role) -> Closure {
    let mut roles = HashSet::from([start]);
    let mut permissions = Vec::new();
    let mut open = vec![start];
    while let Some(role) = open.pop() {
        let Some(definition) = definitions.get(role) else { continue };
        permissions.extend_from_slice(&definition.permissions);
        open.extend(definition.includes.iter().filter(|included| roles.insert(included)));
    }
    Closure {
        roles: sorted(roles.into_iter().cloned().collect()),
        permissions: sorted(permissions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, includes: &[&str], permissions: &[&str]) -> RoleDefinition {
        RoleDefinition {
            role: name.into(),
            includes: includes.iter().map(|one| Role::from(*one)).collect(),
            permissions: permissions.iter().map(|one| Permission::from(*one)).collect(),
        }
    }

    fn effective(graph: &RoleGraph, granted: &[&str], own: &[&str]) -> (Vec<String>, Vec<String>) {
        let granted: Vec<Role> = granted.iter().map(|one| Role::from(*one)).collect();
        let own: Vec<Permission> = own.iter().map(|one| Permission::from(*one)).collect();
        let (roles, permissions) = graph.effective(&granted, &own);
        (
            roles.iter().map(ToString::to_string).collect(),
            permissions.iter().map(ToString::to_string).collect(),
        )
    }

    fn staff() -> RoleGraph {
        RoleGraph::build([
            role("user", &[], &["read:items"]),
            role("moderator", &["user"], &["write:items"]),
            role("admin", &["moderator", "user"], &["delete:users"]),
        ])
        .unwrap()
    }

    #[test]
    fn a_role_counts_with_all_that_it_includes() {
        let (roles, permissions) = effective(&staff(), &["admin"], &[]);
        assert_eq!(roles, ["admin", "moderator", "user"]);
        assert_eq!(permissions, ["delete:users", "read:items", "write:items"]);
        assert_eq!(effective(&staff(), &["user"], &[]).0, ["user"]);
    }

    #[test]
    fn own_permissions_join_those_of_the_roles_each_once_and_sorted() {
        let (roles, permissions) =
            effective(&staff(), &["user", "moderator", "user"], &["z", "read:items", "a"]);
        assert_eq!(roles, ["moderator", "user"]);
        assert_eq!(permissions, ["a", "read:items", "write:items", "z"]);
    }

    #[test]
    fn a_role_without_a_definition_stands_for_itself() {
        assert_eq!(
            effective(&RoleGraph::default(), &["x", "b"], &[]),
            (vec!["b".into(), "x".into()], vec![])
        );
        let graph = RoleGraph::build([role("a", &["elsewhere"], &[])]).unwrap();
        assert_eq!(effective(&graph, &["a"], &[]).0, ["a", "elsewhere"]);
        assert!(!graph.defines("elsewhere"));
    }

    #[test]
    fn nobody_has_nothing() {
        assert_eq!(effective(&staff(), &[], &[]), (vec![], vec![]));
    }

    #[test]
    fn a_cycle_is_refused_with_the_way_round() {
        let fault = RoleGraph::build([
            role("a", &["b"], &[]),
            role("b", &["c"], &[]),
            role("c", &["b"], &[]),
        ])
        .unwrap_err();
        assert_eq!(fault.to_string(), "role `b` includes itself: b → c → b");
        let fault = RoleGraph::build([role("a", &["a"], &[])]).unwrap_err();
        assert_eq!(fault.to_string(), "role `a` includes itself: a → a");
    }

    #[test]
    fn a_diamond_is_no_cycle() {
        let graph = RoleGraph::build([
            role("top", &["left", "right"], &[]),
            role("left", &["bottom"], &[]),
            role("right", &["bottom"], &["r"]),
            role("bottom", &[], &["b"]),
        ])
        .unwrap();
        assert_eq!(effective(&graph, &["top"], &[]).1, ["b", "r"]);
    }

    #[test]
    fn a_long_chain_of_roles_does_not_exhaust_the_stack() {
        let name = |n: usize| format!("role-{n:05}");
        let chain = (0..20_000).map(|n| role(&name(n), &[&name(n + 1)], &[]));
        // Only the first is closed over the whole chain here: closing all is quadratic.
        let definitions: HashMap<_, _> = chain.map(|one| (one.role.clone(), one)).collect();
        let start = Role::from("role-00000");
        refuse_cycle(&definitions, &start, &mut HashSet::new()).unwrap();
        assert_eq!(close(&definitions, &start).roles.len(), 20_001);
    }
}
