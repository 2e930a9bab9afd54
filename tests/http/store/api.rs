//! Users, keys and the audit log by the admin API: what is changed through a gateway counts there before
//! it is answered.

use serde_json::{Value, json};

use super::{FILE, SQLITE, login, on_both, with_key};
use crate::harness::{Answer, Gateway, PORTS};

on_both! {
    a_change_made_through_the_gateway_counts_before_it_is_answered
    a_user_is_managed_by_the_api_and_every_change_is_in_the_log
}

const TOKEN: &str = "the-token-of-the-admin-api";

fn gateway(store: &str) -> Gateway {
    let admin = format!("admin: {{ listen: '127.0.0.1:0', token: {TOKEN} }}");
    let ports = PORTS.replace("admin: { listen: '127.0.0.1:0' }", &admin);
    Gateway::with_whole(&format!("{ports}{FILE}")).put("STORE", store).put("STALE", "10m").start()
}

fn ask(gateway: &Gateway, method: &str, path: &str, body: &Value) -> Answer {
    let call = gateway.admin(method, path).header("Authorization", &format!("Bearer {TOKEN}"));
    let call = if body.is_null() { call } else { call.body(body.to_string()) };
    call.send()
}

fn a_change_made_through_the_gateway_counts_before_it_is_answered(store: &str) {
    let gateway = gateway(store);
    for round in 0..20 {
        let id = format!("k{round}");
        let made = ask(&gateway, "POST", "/api/v1/keys", &json!({ "id": id, "roles": ["user"] }));
        assert_eq!(made.status, 201, "{}", made.text());
        let key = made.json()["key"].as_str().unwrap().to_owned();
        assert_eq!(with_key(&gateway, &key), 200, "at once");
        let path = format!("/api/v1/keys/{id}");
        if round % 2 == 0 {
            ask(&gateway, "DELETE", &path, &Value::Null).ok();
        } else {
            ask(&gateway, "PATCH", &path, &json!({ "disabled": true })).ok();
        }
        assert_eq!(with_key(&gateway, &key), 401, "at once");
        let shown = ask(&gateway, "GET", &path, &Value::Null);
        assert!(!shown.ok().text().contains("sha256") && !shown.text().contains(&key));
    }
    let listed = ask(&gateway, "GET", "/api/v1/keys?limit=15", &Value::Null);
    let listed = listed.ok().json();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 15);
    let next = listed["next"].as_str().unwrap();
    let rest = ask(&gateway, "GET", &format!("/api/v1/keys?after={next}"), &Value::Null);
    assert_eq!(rest.ok().json()["keys"].as_array().unwrap().len(), 5);
    let rotated = json!({ "id": "r" });
    let old =
        ask(&gateway, "POST", "/api/v1/keys", &rotated).json()["key"].as_str().unwrap().to_owned();
    let new = ask(&gateway, "POST", "/api/v1/keys/r/rotate", &json!({ "keep_old": "1h" }));
    let new = new.ok().json()["key"].as_str().unwrap().to_owned();
    assert_eq!([with_key(&gateway, &old), with_key(&gateway, &new)], [200, 200]);
}

fn a_user_is_managed_by_the_api_and_every_change_is_in_the_log(store: &str) {
    let gateway = gateway(store);
    let bob = json!({ "id": "8", "username": "bob", "password": "builder", "roles": ["user"] });
    let added = ask(&gateway, "POST", "/api/v1/users", &bob);
    assert_eq!(added.status, 201, "{}", added.text());
    assert!(!added.text().contains("$argon2"), "{}", added.text());
    assert_eq!(login(&gateway, "bob", "builder"), 200);
    ask(&gateway, "POST", "/api/v1/users", &bob).refused(409, "conflict");
    ask(&gateway, "POST", "/api/v1/users", &json!({ "username": "BOB" })).refused(409, "conflict");
    for (body, why) in [
        (json!({ "username": "alice" }), "a user of the file"),
        (json!({ "username": "Alice" }), "the same, spelled otherwise"),
        (json!({ "username": "x", "roles": ["admn"] }), "a role that is not defined"),
        (json!({ "username": "x", "pasword": "hunter2" }), "an unknown member"),
        (json!({ "username": "" }), "an empty name"),
        (json!({ "username": "x", "id": "1" }), "the subject of a user of the file"),
        (json!({ "username": "x", "password_hash": "$2b$31$short" }), "a hash that is none"),
    ] {
        let refused = ask(&gateway, "POST", "/api/v1/users", &body);
        refused.refused(422, "invalid_request");
        assert!(!refused.text().contains("hunter2"), "{why}");
    }
    // Nobody is spoken for by an id alone, be he of the file or of the store.
    for (path, body) in [
        ("/api/v1/keys", json!({ "id": "1" })),
        ("/api/v1/keys", json!({ "id": "8" })),
        ("/api/v1/users", json!({ "username": "file" })),
    ] {
        ask(&gateway, "POST", path, &body).refused(409, "conflict");
    }
    ask(&gateway, "PATCH", "/api/v1/users/8", &json!({ "password": "carpenter" })).ok();
    assert_eq!(login(&gateway, "bob", "builder"), 401);
    assert_eq!(login(&gateway, "bob", "carpenter"), 200);
    let token = gateway.login("bob", "carpenter");
    ask(&gateway, "PATCH", "/api/v1/users/8", &json!({ "disabled": true })).ok();
    let bearer = format!("Bearer {token}");
    assert_eq!(gateway.get("/token").header("Authorization", &bearer).send().status, 401);
    assert_eq!(ask(&gateway, "DELETE", "/api/v1/users/8", &Value::Null).status, 204);
    ask(&gateway, "GET", "/api/v1/users/8", &Value::Null).refused(404, "not_found");
    let log = ask(&gateway, "GET", "/api/v1/audit", &Value::Null).ok().json();
    let lines = log["audit"].as_array().unwrap();
    let actions: Vec<_> = lines.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["user.remove", "user.disable", "user.set", "user.add"]);
    assert_eq!((&lines[0]["who"], &lines[0]["from"]), (&json!("admin"), &json!("127.0.0.1")));
    assert_eq!(lines[2]["detail"], r#"{"password":"set"}"#);
}

#[test]
fn what_a_query_cannot_say_is_a_problem_like_any_other() {
    let gateway = Gateway::with(FILE).put("STORE", SQLITE).put("STALE", "10m").start();
    for path in [
        "/api/v1/users?limit=many",
        "/api/v1/users?limit=-1",
        "/api/v1/users?page=2",
        "/api/v1/users?after=a&after=b",
        "/api/v1/users/%ff",
        "/api/v1/keys?limit=",
        "/api/v1/keys/%c3%28",
        "/api/v1/audit?before=yesterday",
        "/api/v1/audit?limit=99999999999",
    ] {
        gateway.admin("GET", path).send().refused(422, "invalid_request");
    }
    gateway.admin("GET", "/api/v1/users?limit=1&after=%C3%A4").send().ok();
}

#[test]
fn without_a_token_the_api_reads_and_changes_nothing() {
    let gateway = Gateway::with(FILE).put("STORE", SQLITE).put("STALE", "10m").start();
    gateway.admin("GET", "/api/v1/users").send().ok();
    gateway.admin("GET", "/api/v1/audit").send().ok();
    for (method, path) in [
        ("POST", "/api/v1/users"),
        ("PATCH", "/api/v1/users/8"),
        ("DELETE", "/api/v1/users/8"),
        ("POST", "/api/v1/keys"),
        ("POST", "/api/v1/keys/k/rotate"),
        ("DELETE", "/api/v1/keys/k"),
    ] {
        gateway.admin(method, path).send().refused(403, "admin_token_required");
    }
}
