//! `claims`: where the claims of a token stand, by what the file says and by what is known of a
//! provider.

use crate::{
    config::{
        issuers::{ClaimNames, Preset},
        values::ClaimPath,
    },
    policy::authn::jwt::ClaimPaths,
};

/// The paths of the file over those of its preset.
pub(super) fn paths(written: &ClaimNames) -> ClaimPaths {
    let layout = written.preset.map(layout).unwrap_or_default();
    let or = |path: &Option<ClaimPath>, usual: String| {
        path.as_ref().map_or(usual, |path| path.as_str().to_owned())
    };
    ClaimPaths {
        subject: or(&written.subject, layout.subject),
        roles: or(&written.roles, layout.roles),
        permissions: or(&written.permissions, layout.permissions),
        plan: or(&written.plan, layout.plan),
        audience: or(&written.audience, layout.audience),
        purpose: layout.purpose,
    }
}

/// How a provider's access tokens are laid out. Where one key signs tokens of several purposes, and
/// their audiences do not tell them apart, a claim does.
fn layout(preset: Preset) -> ClaimPaths {
    let usual = ClaimPaths::default;
    let text = str::to_owned;
    match preset {
        // `roles` is a name that Auth0 reserves: who puts roles into a token chooses a name for them.
        Preset::Auth0 => usual(),
        Preset::Cognito => ClaimPaths {
            roles: text("cognito:groups"),
            permissions: text("scope"),
            // An access token has no `aud` unless its client asked for a resource.
            audience: text("client_id"),
            purpose: Some((text("token_use"), text("access"))),
            ..usual()
        },
        // `sub` is another one for each application that a user comes by; `oid` is the same.
        Preset::Entra => ClaimPaths { subject: text("oid"), permissions: text("scp"), ..usual() },
        Preset::Keycloak => ClaimPaths {
            roles: text("realm_access.roles"),
            permissions: text("scope"),
            purpose: Some((text("typ"), text("Bearer"))),
            ..usual()
        },
        Preset::Okta => ClaimPaths { roles: text("groups"), permissions: text("scp"), ..usual() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_file_wins_over_the_preset() {
        let written = ClaimNames {
            preset: Some(Preset::Keycloak),
            roles: Some("resource_access.orders.api.roles".into()),
            ..ClaimNames::default()
        };
        let paths = paths(&written);
        assert_eq!(paths.roles, "resource_access.orders.api.roles");
        assert_eq!(paths.permissions, "scope");
        assert_eq!(paths.purpose, Some(("typ".to_owned(), "Bearer".to_owned())));
    }

    #[test]
    fn without_a_preset_the_claims_have_their_plain_names() {
        assert_eq!(paths(&ClaimNames::default()), ClaimPaths::default());
    }
}
