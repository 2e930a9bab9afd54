//! Who gets in.

use proptest::{prelude::*, sample::select};

use portcullis::policy::Denial;

use super::{
    cases,
    gate::{Gate, NOW, admitted, denial},
    world::{Auth, Block, PERMISSIONS, Request, Shown, World, asked},
};

fn admits(world: &World, requests: &[Request]) -> Vec<bool> {
    let gate = Gate::of(&world.yaml());
    requests.iter().map(|request| admitted(&gate.live(&request.ask(), NOW)).is_some()).collect()
}

/// Whether all that the second admits, the first admits too.
fn narrows(wide: &World, narrow: &World, requests: &[Request]) -> Result<(), TestCaseError> {
    let (before, after) = (admits(wide, requests), admits(narrow, requests));
    for (request, (before, after)) in requests.iter().zip(before.into_iter().zip(after)) {
        prop_assert!(
            before || !after,
            "let in only now: {request:?}\n{}\n{}",
            wide.yaml(),
            narrow.yaml()
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn nobody_goes_upstream_unknown_where_a_principal_is_required((world, requests) in asked()) {
        let gate = Gate::of(&world.yaml());
        for request in &requests {
            let decision = gate.live(&request.ask(), NOW);
            if admitted(&decision).is_none() || world.routes[request.route].auth != Auth::Required {
                continue;
            }
            let Shown::Key(index) = request.shown else {
                return Err(TestCaseError::fail(format!("{request:?} is let in")));
            };
            let principal = decision.principal.as_ref().map(|one| one.subject.to_string());
            prop_assert_eq!(principal, Some(format!("p{index}")));
        }
    }

    #[test]
    fn whoever_the_file_lets_in_goes_upstream_and_nobody_else((world, requests) in asked()) {
        let gate = Gate::of(&world.yaml());
        for request in &requests {
            let decision = gate.live(&request.ask(), NOW);
            let expected = world.expects(request);
            prop_assert_eq!(
                admitted(&decision).is_some(),
                expected.is_ok(),
                "{:?}: {:?}\n{}",
                request,
                decision.verdict,
                world.yaml()
            );
            if let Ok(who) = expected {
                let principal = decision.principal.as_ref().map(|one| one.subject.to_string());
                prop_assert_eq!(principal, who.map(|index| format!("p{index}")));
            }
        }
    }

    #[test]
    fn a_permission_more_on_a_route_admits_nobody_more(
        (world, requests) in asked(),
        route in any::<prop::sample::Index>(),
        block in any::<prop::sample::Index>(),
        permission in select(&PERMISSIONS[..]),
    ) {
        let mut narrow = world.clone();
        let count = narrow.routes.len();
        let route = &mut narrow.routes[route.index(count)];
        // Where nobody is asked who they are, a permission is a fault of the file.
        prop_assume!(route.auth != Auth::Nobody);
        if route.allow.is_empty() {
            route.allow.push(Block::default());
        }
        let count = route.allow.len();
        route.allow[block.index(count)].permissions.insert(permission);
        narrows(&world, &narrow, &requests)?;
    }

    #[test]
    fn a_role_or_permission_less_admits_a_principal_nowhere_more(
        (mut world, requests) in asked(),
        person in any::<prop::sample::Index>(),
    ) {
        // Rules that shut rights out, as `deny: { roles: [suspended] }` does, are made to do the contrary.
        for route in &mut world.routes {
            route.deny.retain(|block| !block.reads_rights());
            for block in &mut route.allow {
                if block.when == Some(super::world::When::NotInRole) {
                    block.when = Some(super::world::When::InRole);
                }
            }
        }
        let index = person.index(world.people.len());
        let person = world.people[index].clone();
        for role in &person.roles {
            let mut narrow = world.clone();
            narrow.people[index].roles.remove(role);
            narrows(&world, &narrow, &requests)?;
        }
        for permission in &person.permissions {
            let mut narrow = world.clone();
            narrow.people[index].permissions.remove(permission);
            narrows(&world, &narrow, &requests)?;
        }
    }

    #[test]
    fn a_route_in_shadow_refuses_nobody_by_its_rules_and_keeps_what_it_would_have_said(
        (world, requests) in asked(),
    ) {
        let mut shadow = world.clone();
        shadow.routes.iter_mut().for_each(|route| route.shadow = true);
        let (enforcing, shadowing) = (Gate::of(&world.yaml()), Gate::of(&shadow.yaml()));
        for request in &requests {
            let enforced = enforcing.live(&request.ask(), NOW);
            let shadowed = shadowing.live(&request.ask(), NOW);
            match denial(&enforced) {
                None => {
                    prop_assert!(admitted(&shadowed).is_some());
                    prop_assert_eq!(&shadowed.shadow, &None);
                }
                Some(
                    by_rule @ (Denial::ConditionFailed { .. }
                    | Denial::Denied
                    | Denial::MissingPermissions { .. }
                    | Denial::MissingRole { .. }),
                ) => {
                    prop_assert!(admitted(&shadowed).is_some(), "{:?}", shadowed.verdict);
                    prop_assert_eq!(shadowed.shadow.as_ref(), Some(by_rule));
                }
                // Where somebody who is not known could have been let in, the rules ask for a credential.
                Some(Denial::MissingCredentials { .. })
                    if world.routes[request.route].auth == Auth::Optional =>
                {
                    prop_assert!(admitted(&shadowed).is_some(), "{:?}", shadowed.verdict);
                }
                Some(other) => prop_assert_eq!(denial(&shadowed), Some(other)),
            }
        }
    }
}
