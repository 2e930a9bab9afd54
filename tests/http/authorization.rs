//! Who may do what: the refusals as a client sees them, and what the application hears of those let in.

use crate::harness::{Gateway, Recorder};
use crate::people::{ALICE, BOB, KEY, PEOPLE, corp_token};

const ROUTES: &str = r#"
upstreams: { app: '@APP@' }
defaults: { auth: [jwt, api_key] }
routes:
  - { name: role, match: { path: /role }, upstream: app, allow: { roles: [admin, moderator] } }
  - { name: permission, match: { path: /permission }, upstream: app, allow: { permissions: [read:items, delete:users] } }
  - { name: owner, match: { path: "/users/{id}" }, upstream: app, allow: [{ owner: { parameter: id, issuers: [local] } }, { roles: [admin] }] }
  - { name: condition, match: { path: "/tenants/{tenant}" }, upstream: app, auth: ["jwt:corp"], allow: { when: claims.sub == path.tenant } }
  - { name: network, match: { path: /network }, upstream: app, allow: { networks: [192.0.2.0/24] } }
  - { name: denied, match: { path: /denied }, upstream: app, deny: { roles: [user] } }
  - { name: shadow, match: { path: /shadow }, upstream: app, allow: { roles: [admin] }, mode: shadow }
"#;

fn gateway(upstream: &Recorder) -> Gateway {
    let roles = PEOPLE.replace("roles:\n", "roles:\n  moderator: {}\n");
    Gateway::with(&format!("{roles}{ROUTES}")).put("APP", &upstream.url()).start()
}

#[test]
fn a_refusal_names_what_is_missing_and_nobody_behind_hears_of_it() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let bob = gateway.login(BOB.0, BOB.1);

    let answer = gateway.get("/role").bearer(&bob).send();
    answer.refused(403, "missing_role");
    assert_eq!(answer.json()["detail"], "Required roles: admin, moderator");
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="insufficient_scope""#));

    let answer = gateway.get("/permission").bearer(&bob).send();
    answer.refused(403, "missing_permissions");
    assert_eq!(answer.json()["detail"], "Missing permissions: delete:users");
    let way = r#"Bearer error="insufficient_scope", scope="delete:users""#;
    assert_eq!(answer.header("www-authenticate"), Some(way));

    let answer = gateway.get("/role").header("x-api-key", KEY).send();
    answer.refused(403, "missing_role");
    assert_eq!(answer.header("www-authenticate"), None, "a key has no scope to widen");

    gateway.get("/users/1").bearer(&bob).send().refused(403, "condition_failed");
    gateway.get("/tenants/u2").bearer(&corp_token("u1")).send().refused(403, "condition_failed");
    gateway.get("/network").bearer(&bob).send().refused(403, "condition_failed");
    gateway.get("/denied").bearer(&bob).send().refused(403, "denied");
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn who_has_it_goes_through() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let (alice, bob) = (gateway.login(ALICE.0, ALICE.1), gateway.login(BOB.0, BOB.1));
    for target in ["/role", "/permission", "/users/2", "/users/1"] {
        gateway.get(target).bearer(&alice).send().ok();
        assert_eq!(upstream.last().header("x-user-id"), Some("1"));
    }
    gateway.get("/users/2").bearer(&bob).send().ok();
    gateway.get("/tenants/u1").bearer(&corp_token("u1")).send().ok();
}

#[test]
fn a_subject_of_another_issuer_owns_nothing_here() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    gateway.get("/users/2").bearer(&corp_token("2")).send().refused(403, "condition_failed");
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn a_shadow_route_lets_through_and_says_what_it_would_have_done() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let bob = gateway.login(BOB.0, BOB.1);
    gateway.get("/shadow").bearer(&bob).send().ok();
    gateway.get("/shadow").send().refused(401, "missing_credentials");
    let line = gateway.wait_for_log("the shadow's line", |line| {
        line["route"] == "shadow" && line["status"] == 200
    });
    assert_eq!(line["outcome"], "shadow_denied", "{line}");
    let series = r#"portcullis_decisions_total{outcome="shadow_denied",reason="missing_role",route="shadow"}"#;
    assert_eq!(gateway.metric(series), 1.0);
}
