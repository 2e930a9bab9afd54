//! Tests of who may pass, and of what a refusal says.

use std::sync::Arc;

use http::HeaderMap;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    model::{CredentialKind, Principal},
    policy::{
        authn::{AuthRule, Challenges},
        forward::request::tests::route as plain_route,
        scope::sample::{alice, facts, scope},
    },
};

const NOW: Timestamp = Timestamp::from_seconds(1_772_440_200);

fn block() -> Block {
    Block { line: 7, networks: None, roles: None, permissions: None, owner: None, when: None }
}

fn networks(nets: &[&str]) -> Option<Vec<Cidr>> {
    Some(nets.iter().map(|net| net.parse().unwrap()).collect())
}

fn roles(names: &[&str]) -> Option<Vec<Role>> {
    Some(names.iter().map(|name| Role::from(*name)).collect())
}

fn permissions(names: &[&str]) -> Option<Vec<Permission>> {
    Some(names.iter().map(|name| Permission::from(*name)).collect())
}

fn owner(parameter: &str, issuers: &[&str]) -> Option<Owner> {
    let issuers = issuers.iter().map(|name| IssuerName::from(*name)).collect();
    Some(Owner { parameter: parameter.into(), issuers })
}

fn when(source: &str) -> Option<Condition> {
    Some(Condition::compile(source, &["id"]).unwrap())
}

fn challenges() -> Arc<Challenges> {
    Arc::new(Challenges { lines: vec![], only: None })
}

fn route(allow: Vec<Block>, deny: Vec<Block>) -> Route {
    let rule =
        AuthRule { methods: vec![], challenges: challenges(), written: String::new(), line: 1 };
    Route { allow, deny, access: Access::IfPresented(rule), ..plain_route(None) }
}

fn judge(route: &Route, principal: Option<&Principal>, id: &str) -> Result<(), Denial> {
    let headers = HeaderMap::new();
    let facts = facts(&headers);
    let params = [("id", id)];
    authorize(route, &scope(principal, &facts, &params), NOW, &mut Trail::unread())
}

/// Alice in front of `allow`.
fn allows(allow: Vec<Block>) -> Result<(), Denial> {
    judge(&route(allow, vec![]), Some(&alice(json!({"tenant": "acme"}))), "alice")
}

/// Alice in front of `deny`.
fn denies(block: Block) -> bool {
    let alice = alice(json!({"tenant": "acme"}));
    let outcome = judge(&route(vec![], vec![block]), Some(&alice), "alice");
    assert!(matches!(outcome, Ok(()) | Err(Denial::Denied)));
    outcome.is_err()
}

/// Nobody in front of both.
fn nobody(allow: Vec<Block>, deny: Vec<Block>) -> Result<(), Denial> {
    judge(&route(allow, deny), None, "alice")
}

fn condition_failed(which: Unmet) -> Result<(), Denial> {
    Err(Denial::ConditionFailed { which })
}

fn asked_who_it_is() -> Result<(), Denial> {
    Err(Denial::MissingCredentials { challenges: challenges() })
}

#[test]
fn without_blocks_every_principal_passes() {
    assert_eq!(allows(vec![]), Ok(()));
}

#[test]
fn one_role_of_those_named_is_enough_granted_or_included() {
    assert_eq!(allows(vec![Block { roles: roles(&["admin", "user"]), ..block() }]), Ok(()));
    assert_eq!(allows(vec![Block { roles: roles(&["reader"]), ..block() }]), Ok(()));
    let required = vec![Role::from("admin"), Role::from("moderator")];
    assert_eq!(
        allows(vec![Block { roles: Some(required.clone()), ..block() }]),
        Err(Denial::MissingRole { required, bearer: true })
    );
}

#[test]
fn all_permissions_are_needed_and_all_missing_ones_named() {
    let needed = permissions(&["write:items", "read:items", "delete:users"]);
    let missing = vec![Permission::from("write:items"), Permission::from("delete:users")];
    assert_eq!(
        allows(vec![Block { permissions: needed, ..block() }]),
        Err(Denial::MissingPermissions { missing, bearer: true })
    );
    assert_eq!(
        allows(vec![Block { permissions: permissions(&["read:items"]), ..block() }]),
        Ok(())
    );
}

#[test]
fn an_api_keys_refusal_is_not_a_bearers() {
    let key = Principal { method: CredentialKind::ApiKey, ..alice(json!({})) };
    let allow = vec![Block { roles: roles(&["admin"]), ..block() }];
    let denial = judge(&route(allow, vec![]), Some(&key), "alice").unwrap_err();
    assert!(matches!(denial, Denial::MissingRole { bearer: false, .. }));
}

#[test]
fn an_owner_is_the_subject_byte_for_byte() {
    let owned = |issuers: &[&str]| vec![Block { owner: owner("id", issuers), ..block() }];
    let judged = |id: &str| judge(&route(owned(&[]), vec![]), Some(&alice(json!({}))), id);
    assert_eq!(judged("alice"), Ok(()));
    for id in ["Alice", "alice ", "alice/", "", "al\u{0131}ce", "alice\0"] {
        assert_eq!(judged(id), condition_failed(Unmet::Owner), "{id:?}");
    }
    assert_eq!(allows(owned(&["corp", "local"])), Ok(()));
    // The same subject of another issuer is somebody else.
    assert_eq!(allows(owned(&["local"])), condition_failed(Unmet::Owner));
    let elsewhere = vec![Block { owner: owner("gone", &[]), ..block() }];
    assert_eq!(allows(elsewhere), condition_failed(Unmet::Owner));
}

#[test]
fn networks_and_expressions_hold_or_not() {
    assert_eq!(allows(vec![Block { networks: networks(&["192.0.2.0/24"]), ..block() }]), Ok(()));
    assert_eq!(
        allows(vec![Block { networks: networks(&["10.0.0.0/8"]), ..block() }]),
        condition_failed(Unmet::Networks)
    );
    assert_eq!(allows(vec![Block { when: when("claims.tenant == 'acme'"), ..block() }]), Ok(()));
    for source in ["claims.tenant == 'other'", "claims.gone == 'x'", "claims.tenant"] {
        assert_eq!(
            allows(vec![Block { when: when(source), ..block() }]),
            condition_failed(Unmet::When),
            "{source}"
        );
    }
}

#[test]
fn the_first_condition_that_fails_is_named_in_the_order_of_the_rules() {
    let mut all = Block {
        networks: networks(&["10.0.0.0/8"]),
        roles: roles(&["admin"]),
        permissions: permissions(&["delete:users"]),
        owner: owner("gone", &[]),
        when: when("false"),
        ..block()
    };
    let reason = |all: Block| {
        let denial = allows(vec![all]).unwrap_err();
        denial.reason()
    };
    let again = |all: &Block| Block {
        networks: all.networks.clone(),
        roles: all.roles.clone(),
        permissions: all.permissions.clone(),
        owner: all.owner.as_ref().and_then(|one| owner(&one.parameter, &[])),
        when: when("false"),
        ..block()
    };
    assert_eq!(reason(again(&all)), "networks");
    all.networks = None;
    assert_eq!(reason(again(&all)), "missing_role");
    all.roles = None;
    assert_eq!(reason(again(&all)), "missing_permissions");
    all.permissions = None;
    assert_eq!(reason(again(&all)), "owner");
    all.owner = None;
    assert_eq!(reason(all), "when");
}

#[test]
fn one_block_that_holds_is_enough_and_the_first_that_fails_is_named() {
    let admin = || Block { roles: roles(&["admin"]), ..block() };
    let own = || Block { owner: owner("id", &[]), ..block() };
    let never = || Block { when: when("false"), ..block() };
    assert_eq!(allows(vec![admin(), own()]), Ok(()));
    let denial = allows(vec![never(), admin()]).unwrap_err();
    assert_eq!(denial, Denial::ConditionFailed { which: Unmet::When });
}

#[test]
fn a_deny_block_that_holds_denies_whatever_allow_says() {
    let everybody = || vec![Block { roles: roles(&["user"]), ..block() }];
    let alice = alice(json!({}));
    let deny = vec![Block { roles: roles(&["reader"]), ..block() }];
    assert_eq!(judge(&route(everybody(), deny), Some(&alice), "alice"), Err(Denial::Denied));
    let other = vec![Block { roles: roles(&["suspended"]), ..block() }];
    assert_eq!(judge(&route(everybody(), other), Some(&alice), "alice"), Ok(()));
}

#[test]
fn a_deny_block_that_cannot_be_told_denies() {
    for source in ["claims.gone == 'x'", "claims.tenant + 1 == 2", "claims.tenant"] {
        assert!(denies(Block { when: when(source), ..block() }), "{source}");
    }
    assert!(!denies(Block { when: when("claims.tenant == 'other'"), ..block() }));
    // What stands before it in the block already says that it does not hold.
    let out = Block { roles: roles(&["admin"]), when: when("claims.gone == 'x'"), ..block() };
    assert!(!denies(out));
}

#[test]
fn a_long_list_denies_in_either_place() {
    let long = alice(json!({"groups": (0..300).collect::<Vec<_>>()}));
    let asks = || Block { when: when("1 in claims.groups"), ..block() };
    let not = || Block { when: when("!(1 in claims.groups)"), ..block() };
    for block in [asks(), not()] {
        let outcome = judge(&route(vec![block], vec![]), Some(&long), "alice");
        assert_eq!(outcome, condition_failed(Unmet::When));
    }
    for block in [asks(), not()] {
        let outcome = judge(&route(vec![], vec![block]), Some(&long), "alice");
        assert_eq!(outcome, Err(Denial::Denied));
    }
}

#[test]
fn nobody_is_asked_who_it_is_where_somebody_could_pass() {
    for one in [
        Block { roles: roles(&["user"]), ..block() },
        Block { permissions: permissions(&["a"]), ..block() },
        Block { owner: owner("id", &[]), ..block() },
        Block { when: when("claims.tenant == 'acme'"), ..block() },
        Block { when: when("!(principal.subject == 'x')"), ..block() },
        Block { roles: roles(&["user"]), networks: networks(&["192.0.2.1"]), ..block() },
        Block { roles: roles(&["user"]), when: when("request.method == 'GET'"), ..block() },
    ] {
        assert_eq!(nobody(vec![one], vec![]), asked_who_it_is());
    }
}

#[test]
fn nobody_is_refused_where_no_principal_could_pass() {
    let elsewhere = || networks(&["10.0.0.0/8"]);
    assert_eq!(
        nobody(vec![Block { networks: elsewhere(), ..block() }], vec![]),
        condition_failed(Unmet::Networks)
    );
    assert_eq!(
        nobody(vec![Block { networks: elsewhere(), roles: roles(&["user"]), ..block() }], vec![]),
        condition_failed(Unmet::Networks)
    );
    let post = || when("request.method == 'POST'");
    assert_eq!(
        nobody(vec![Block { when: post(), ..block() }], vec![]),
        condition_failed(Unmet::When)
    );
    let role_first = Block { roles: roles(&["user"]), when: post(), ..block() };
    let denial = nobody(vec![role_first], vec![]).unwrap_err();
    assert!(matches!(denial, Denial::MissingRole { bearer: false, .. }));
    // One block that somebody could pass is enough to ask.
    let blocks = vec![
        Block { networks: elsewhere(), ..block() },
        Block { roles: roles(&["user"]), ..block() },
    ];
    assert_eq!(nobody(blocks, vec![]), asked_who_it_is());
}

#[test]
fn nobody_passes_where_nothing_is_asked_of_a_principal() {
    assert_eq!(nobody(vec![], vec![]), Ok(()));
    let here = Block { networks: networks(&["192.0.2.0/24"]), ..block() };
    assert_eq!(nobody(vec![here], vec![]), Ok(()));
    let get = Block { when: when("request.method == 'GET'"), ..block() };
    assert_eq!(nobody(vec![get], vec![]), Ok(()));
}

#[test]
fn a_deny_block_about_a_principal_does_not_hold_for_nobody() {
    for one in [
        Block { roles: roles(&["suspended"]), ..block() },
        Block { when: when("claims.banned == true"), ..block() },
        Block { when: when("principal.subject != 'root'"), ..block() },
    ] {
        assert_eq!(nobody(vec![], vec![one]), Ok(()));
    }
    let here = Block { networks: networks(&["192.0.2.0/24"]), ..block() };
    assert_eq!(nobody(vec![], vec![here]), Err(Denial::Denied));
    let broken = Block { when: when("headers['x-gone'] == 'x'"), ..block() };
    assert_eq!(nobody(vec![], vec![broken]), Err(Denial::Denied));
}

#[test]
fn nobody_is_asked_for_on_a_public_route() {
    let allow = vec![Block { networks: networks(&["10.0.0.0/8"]), ..block() }];
    let route = Route { access: Access::Anyone, ..route(allow, vec![]) };
    assert_eq!(judge(&route, None, "alice"), condition_failed(Unmet::Networks));
}

#[test]
fn the_trail_tells_of_each_block_with_its_line() {
    let allow = vec![
        Block { permissions: permissions(&["a", "b"]), ..block() },
        Block { line: 9, roles: roles(&["user"]), ..block() },
    ];
    let deny = vec![Block { line: 3, when: when("claims.x == 1"), ..block() }];
    let (headers, alice) = (HeaderMap::new(), alice(json!({"x": 2})));
    let facts = facts(&headers);
    let params = [("id", "alice")];
    let mut trail = Trail::kept();
    let scope = scope(Some(&alice), &facts, &params);
    authorize(&route(allow, deny), &scope, NOW, &mut trail).unwrap();
    let steps: Vec<_> =
        trail.steps().iter().map(|one| (one.step, one.outcome, one.line, &*one.detail)).collect();
    assert_eq!(
        steps,
        [
            ("deny", Outcome::Passed, Some(3), "`when` does not hold"),
            ("allow", Outcome::Refused, Some(7), "`permissions` are missing: a, b"),
            ("allow", Outcome::Passed, Some(9), "it holds"),
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn asking_for_one_more_permission_never_admits_more(
        held in prop::collection::btree_set("[a-d]", 0..4),
        asked in prop::collection::vec("[a-e]", 1..4),
        more in "[a-e]",
    ) {
        let held: Vec<_> = held.iter().map(|name| Permission::from(name.as_str())).collect();
        let who = Principal { permissions: held.into(), ..alice(json!({})) };
        let passes = |asked: &[String]| {
            let names: Vec<&str> = asked.iter().map(String::as_str).collect();
            let allow = vec![Block { permissions: permissions(&names), ..block() }];
            judge(&route(allow, vec![]), Some(&who), "alice").is_ok()
        };
        let mut longer = asked.clone();
        longer.push(more);
        prop_assert!(!passes(&longer) || passes(&asked));
    }
}
