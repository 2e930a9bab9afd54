//! Roles and permissions that are named on one side only: what nobody holds, nobody can use.

use std::collections::BTreeSet;

use super::{
    Input,
    faults::{Faults, undefined},
    roles::Roles,
};
use crate::{
    config::{codes, document::Site, issuers::UserRule},
    model::{Permission, Role},
};

/// Who could hold what, beside the users and keys of the file.
struct Outside<'c> {
    /// What others may assert: `None` is anything.
    grants: Option<Vec<&'c str>>,
}

/// Warns of roles that nobody holds and of permissions that nobody has.
pub(super) fn warn(input: &Input<'_>, roles: &Roles<'_>, faults: &mut Faults) {
    let held = held(input);
    let granted: Vec<Role> = held.roles.iter().map(|role| (*role).clone()).collect();
    let (effective, _) = roles.graph.effective(&granted, &[]);
    let place = input.root().key("roles");
    let outside = outside(input, |grants| &grants.roles);
    for role in input.config.roles.iter().flat_map(|roles| roles.names()) {
        if effective.binary_search(role).is_ok() || outside.may(role.as_str()) {
            continue;
        }
        faults
            .warning(
                codes::UNHELD_ROLE,
                place.key(role.as_str()),
                format!("nobody holds the role `{role}`"),
            )
            .help("give it to a user or an API key, include it in another role, or remove it");
    }
    warn_of_permissions(input, &held, faults);
}

/// What users and keys of the file hold.
struct Held<'c> {
    roles: BTreeSet<&'c Role>,
    permissions: BTreeSet<&'c Permission>,
}

fn held<'c>(input: &Input<'c>) -> Held<'c> {
    let users = input.config.users.iter().map(|(_, user)| (&user.roles, &user.permissions));
    let keys = input.config.authentication.api_keys.iter().flat_map(|keys| keys.keys.iter());
    let keys = keys.map(|(_, key)| (&key.roles, &key.permissions));
    let mut held = Held { roles: BTreeSet::new(), permissions: BTreeSet::new() };
    for (roles, permissions) in users.chain(keys) {
        held.roles.extend(roles);
        held.permissions.extend(permissions);
    }
    held
}

fn warn_of_permissions(input: &Input<'_>, held: &Held<'_>, faults: &mut Faults) {
    let outside = outside(input, |grants| &grants.permissions);
    let of_roles = input.config.roles.iter().flat_map(|roles| roles.iter());
    let of_roles = of_roles.flat_map(|(_, settings)| &settings.permissions);
    let known: BTreeSet<&Permission> = held.permissions.iter().copied().chain(of_roles).collect();
    let place = input.root().key("routes");
    for (index, route) in input.config.routes.iter() {
        let blocks = route.allow.iter().flat_map(|blocks| blocks.as_slice()).enumerate();
        for (block, written) in blocks {
            for (item, permission) in written.permissions.iter().flatten().enumerate() {
                if known.contains(permission) || outside.may(permission.as_str()) {
                    continue;
                }
                let at: Site<'_> = place.item(index).key("allow").item(block);
                let names = known.iter().map(|known| known.as_str());
                faults
                    .warning(
                        codes::UNHELD_PERMISSION,
                        at.key("permissions").item(item),
                        format!("nobody has the permission `{permission}`"),
                    )
                    .help(undefined(
                        permission.as_str(),
                        names,
                        "Permissions come from `roles`, users and API keys",
                    ));
            }
        }
    }
}

fn outside<'c>(
    input: &Input<'c>,
    of: impl Fn(&'c crate::config::issuers::Grants) -> &'c Vec<crate::config::values::Label>,
) -> Outside<'c> {
    // Whoever is in the store may hold anything.
    if input.config.store.is_some() {
        return Outside { grants: None };
    }
    // Nothing bounds what a service says of clients.
    if !input.config.authentication.forward_auth.is_empty() {
        return Outside { grants: None };
    }
    let mut grants = Vec::new();
    for (_, issuer) in input.config.authentication.jwt.iter() {
        if issuer.users == UserRule::Require {
            continue;
        }
        match &issuer.grants {
            None => return Outside { grants: None },
            Some(bounds) => grants.extend(of(bounds).iter().map(|label| label.as_str())),
        }
    }
    for (_, provider) in input.config.authentication.introspection.iter() {
        match &provider.grants {
            None => return Outside { grants: None },
            Some(bounds) => grants.extend(of(bounds).iter().map(|label| label.as_str())),
        }
    }
    Outside { grants: Some(grants) }
}

impl Outside<'_> {
    fn may(&self, name: &str) -> bool {
        let Some(grants) = &self.grants else { return true };
        grants.iter().any(|grant| match grant.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => *grant == name,
        })
    }
}
