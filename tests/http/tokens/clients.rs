//! Tokens of API clients: for a key, worth what the key is.

use std::time::Duration;

use portcullis::model::{Role, Timestamp};
use portcullis::store::KeyTerms;
use serde_json::{Value, json};

use super::{
    Place, ask, by, elsewhere, error, on_both, reload, start, start_patient, until_refused, yaml,
};
use crate::harness::{Answer, Gateway, Recorder, eventually};
use crate::people::{ALICE, KEY};

on_both! {
    an_api_client_gets_tokens_for_its_key
    a_key_that_is_revoked_takes_its_tokens_along_within_a_second
    a_key_that_is_revoked_where_clocks_are_behind_takes_tokens_along_that_count_alone
}

fn basic(gateway: &Gateway, id: &str, secret: &str, scope: &str) -> Answer {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    gateway
        .call("POST", "/auth/token")
        .header("Authorization", &format!("Basic {pair}"))
        .form(&form)
        .send()
}

fn in_form(gateway: &Gateway, id: &str, secret: &str) -> Answer {
    ask(
        gateway,
        &[("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)],
    )
}

fn an_api_client_gets_tokens_for_its_key(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start(&upstream, place);
    for answer in [basic(&gateway, "ci", KEY, ""), in_form(&gateway, "ci", KEY)] {
        let body = answer.ok().json();
        assert_eq!((&body["scope"], body.get("refresh_token")), (&json!("read:items"), None));
        gateway.get("/items").bearer(body["access_token"].as_str().unwrap()).send().ok();
        let seen = upstream.last();
        assert_eq!(
            (seen.header("x-user-id"), seen.header("x-user-roles")),
            (Some("robot"), Some("user"))
        );
    }
    let narrow = basic(&gateway, "ci", KEY, "read:items").ok().json();
    gateway.get("/items").bearer(narrow["access_token"].as_str().unwrap()).send().ok();
    assert_eq!(upstream.last().header("x-user-roles"), None, "a scope takes the roles away");
    assert_eq!(
        error(&basic(&gateway, "ci", KEY, "delete:users")),
        (400, "invalid_scope".to_owned())
    );

    let refused = (401, "invalid_client".to_owned());
    for answer in [
        basic(&gateway, "ci", "wrong", ""),
        basic(&gateway, "other", KEY, ""),
        in_form(&gateway, "ci", "wrong"),
        in_form(&gateway, "robot", KEY),
        ask(&gateway, &[("grant_type", "client_credentials")]),
        ask(&gateway, &[("grant_type", "client_credentials"), ("client_id", "ci")]),
    ] {
        assert_eq!(error(&answer), refused);
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    // A client says once who it is, and for other grants nobody asks.
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("ci:{KEY}"));
    let both = gateway
        .call("POST", "/auth/token")
        .header("Authorization", &format!("Basic {pair}"))
        .form(&[("grant_type", "client_credentials"), ("client_id", "ci"), ("client_secret", KEY)])
        .send();
    assert_eq!(error(&both), (400, "invalid_request".to_owned()));
    let login = gateway
        .call("POST", "/auth/token")
        .header("Authorization", "Basic bm9ib2R5Ong=")
        .form(&[
            ("username", ALICE.0),
            ("password", ALICE.1),
            ("client_id", "x"),
            ("client_secret", "y"),
        ])
        .send();
    login.ok();
}

fn stored_key(id: &str, secret: &[u8], networks: &[&str]) -> KeyTerms {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret);
    KeyTerms {
        id: id.into(),
        sha256: digest.as_ref().try_into().unwrap(),
        name: None,
        owner: None,
        is_users: false,
        roles: vec![Role::from("user")],
        permissions: vec![],
        plan: None,
        networks: networks.iter().map(|one| one.parse().unwrap()).collect(),
        expires: None,
    }
}

fn a_key_that_is_revoked_where_clocks_are_behind_takes_tokens_along_that_count_alone(
    place: &Place,
) {
    let upstream = Recorder::start();
    let text = yaml(place)
        .replace("authentication:\n", "authentication:\n  failure_limit: false\n")
        .replace("refresh_ttl: 14d", "refresh_ttl: 14d, users: ignore");
    let gateway = Gateway::with(&text).put("APP", &upstream.url()).start();
    elsewhere(place, async |store, now| {
        for id in ["one", "two"] {
            let key = stored_key(id, id.as_bytes(), &[]);
            store.add_key(&key, &by(now)).await.unwrap();
        }
    });
    let [one, two] = ["one", "two"].map(|id| {
        let body = eventually("a key that was made elsewhere", || {
            let answer = in_form(&gateway, id, id);
            (answer.status == 200).then(|| answer.json())
        });
        body["access_token"].as_str().unwrap().to_owned()
    });
    gateway.get("/items").bearer(&one).send().ok();
    elsewhere(place, async |store, now| {
        let behind = Timestamp::from_seconds(now.seconds() - 3600);
        store.revoke_key("one", &by(behind)).await.unwrap()
    });
    let took = until_refused(|| gateway.get("/items").bearer(&one).send());
    assert!(took < Duration::from_secs(1), "{took:?}");
    gateway.get("/items").bearer(&two).send().ok();
}

fn a_key_that_is_revoked_takes_its_tokens_along_within_a_second(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start_patient(&upstream, place);
    elsewhere(place, async |store, now| {
        for key in [
            stored_key("job", b"job-secret", &[]),
            stored_key("far", b"far-secret", &["192.0.2.0/24"]),
        ] {
            store.add_key(&key, &by(now)).await.unwrap();
        }
    });
    let body = eventually("a key that was made elsewhere", || {
        let answer = in_form(&gateway, "job", "job-secret");
        (answer.status == 200).then(|| answer.json())
    });
    let token = body["access_token"].as_str().unwrap().to_owned();
    gateway.get("/items").bearer(&token).send().ok();
    assert_eq!(upstream.last().header("x-user-id"), Some("job"));
    // Where the key is of no use, it gets no token.
    assert_eq!(error(&in_form(&gateway, "far", "far-secret")), (401, "invalid_client".to_owned()));

    elsewhere(place, async |store, now| store.revoke_key("job", &by(now)).await.unwrap());
    let took = until_refused(|| gateway.get("/items").bearer(&token).send());
    assert!(took < Duration::from_secs(1), "{took:?}");
    // Its tokens and itself are heard of one after the other.
    let took = took + until_refused(|| in_form(&gateway, "job", "job-secret"));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(error(&in_form(&gateway, "job", "job-secret")), (401, "invalid_client".to_owned()));

    // A key of the file, by a reload.
    let body: Value = in_form(&gateway, "ci", KEY).ok().json();
    let token = body["access_token"].as_str().unwrap().to_owned();
    gateway.get("/items").bearer(&token).send().ok();
    reload(&gateway, 1.0, |text| {
        text.replace("{ id: ci, ", "{ id: ci, networks: [192.0.2.0/24], ")
    });
    gateway.get("/items").bearer(&token).send().refused(401, "invalid_token");
    gateway.wait_for_log("the reason", |line| line["reason"] == "client");
    reload(&gateway, 2.0, |text| text.replace("networks: [192.0.2.0/24]", "permissions: [fly]"));
    gateway.get("/items").bearer(&token).send().ok();
    assert!(
        upstream.last().header("x-user-permissions").unwrap().contains("fly"),
        "what the key has now"
    );
    reload(&gateway, 3.0, |text| text.replace("permissions: [fly]", "disabled: true"));
    gateway.get("/items").bearer(&token).send().refused(401, "invalid_token");
}
