//! `roles`: what each includes and permits, and who refers to which.

use std::collections::HashSet;

use super::{
    Input,
    faults::{Faults, undefined},
};
use crate::{
    config::{codes, document::Site},
    model::Role,
    policy::authz::{RoleDefinition, RoleGraph},
};

/// The roles of the file.
pub(super) struct Roles<'c> {
    /// Closed over what they include.
    pub graph: RoleGraph,
    /// Those that are defined, in the order of the file; absent if the file defines none, so that
    /// any may be named.
    defined: Option<Vec<&'c Role>>,
    known: HashSet<&'c Role>,
}

/// Closes the roles.
pub(super) fn compile<'c>(input: &Input<'c>, faults: &mut Faults) -> Roles<'c> {
    let Some(settings) = &input.config.roles else {
        return Roles { graph: RoleGraph::default(), defined: None, known: HashSet::new() };
    };
    let defined: Vec<&Role> = settings.names().collect();
    let known = defined.iter().copied().collect();
    let mut roles = Roles { graph: RoleGraph::default(), defined: Some(defined), known };
    let place = input.root().key("roles");
    for (role, setting) in settings.iter() {
        roles.refer_all(&setting.includes, place.key(role.as_str()).key("includes"), faults);
    }
    let definitions = settings.iter().map(|(role, setting)| RoleDefinition {
        role: role.clone(),
        includes: setting.includes.clone(),
        permissions: setting.permissions.clone(),
    });
    match RoleGraph::build(definitions) {
        Ok(graph) => roles.graph = graph,
        Err(cycle) => {
            let first = cycle.roles.first().map_or("", Role::as_str);
            faults
                .fault(codes::ROLE_CYCLE, place.key(first).key("includes"), cycle.to_string())
                .help("remove one of the inclusions on the way round");
        }
    }
    roles
}

impl Roles<'_> {
    /// Refuses a reference to a role that the file does not define, if it defines any.
    pub fn refer(&self, role: &Role, at: Site<'_>, faults: &mut Faults) {
        let Some(defined) = &self.defined else { return };
        if self.known.contains(role) {
            return;
        }
        let names = defined.iter().map(|role| role.as_str());
        faults
            .fault(codes::UNKNOWN_ROLE, at, format!("role `{role}` is not defined"))
            .help(undefined(role.as_str(), names, "Roles are defined under `roles`"));
    }

    /// The same for a list of references.
    pub fn refer_all(&self, roles: &[Role], at: Site<'_>, faults: &mut Faults) {
        for (index, role) in roles.iter().enumerate() {
            self.refer(role, at.item(index), faults);
        }
    }
}
