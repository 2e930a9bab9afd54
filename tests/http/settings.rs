//! Settings of the process to other than their defaults, each with what it changes.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::harness::{Gateway, Raw, Recorder, root};
use crate::people::{ALICE, BOB};

const YAML: &str = r#"
version: 1
server: { listen: [{ address: '127.0.0.1:0' }], drain_delay: 1ms, drain_timeout: 1s }
admin: { listen: '127.0.0.1:0', hosts: [gateway.example], token: the-token-of-the-admin-api }
log: { access: false, identity: false, level: warn, format: json }
upstreams: { app: { protocol: http1, targets: [{ url: '@APP@', weight: 1 }] } }
authentication:
  failure_limit: 2/minute
  basic: {}
users:
  - { username: alice, password: "$2b$04$YcP2VkJJEpEHXix8pvxxd.lGdIRcXl.lPQmH.vHenCQeMPfLAtcIS" }
  - { username: bob, password: "$2b$04$FN.Af7es.rDrHzosnoDf1OsaVXfHvSHJTXLXhopKeOtpE6JathpaW" }
token:
  path: /auth/token
  issuer: shop
  audience: shoppers
  algorithm: EdDSA
  private_key_file: token.pem
  jwks_path: /keys
  access_ttl: 5m
  login_limit: 1/minute
rate_limits: { keys: 1200 }
routes:
  - { name: known, match: { path: /known }, upstream: app, auth: [jwt, basic] }
  - { name: counted, match: { path: /counted }, upstream: app, auth: none, rate_limit: { limit: 5/hour, by: 'header:X-Tenant' } }
"#;

fn gateway(upstream: &Recorder) -> Gateway {
    let key = std::fs::read(root().join("tests/fixtures/keys/ed25519.pem")).unwrap();
    Gateway::with_whole(YAML).put("APP", &upstream.url()).file("token.pem", key).start()
}

#[test]
fn a_token_is_signed_with_the_published_key_for_the_audience_and_time_of_the_file() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let form = [("grant_type", "password"), ("username", ALICE.0), ("password", ALICE.1)];
    let answer = gateway.call("POST", "/auth/token").form(&form).send();
    assert_eq!(answer.ok().json()["expires_in"], 300);
    let token = answer.json()["access_token"].clone();
    let keys = gateway.get("/keys").send();
    let key = &keys.ok().json()["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert!(key.get("d").is_none(), "the private half is nobody's business");
    gateway.get("/known").bearer(token.as_str().unwrap()).send().ok();
    assert_eq!(upstream.last().header("x-user-id"), Some("alice"));
    let parts: Vec<&str> = token.as_str().unwrap().split('.').collect();
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let json = |part: &str| serde_json::from_slice::<Value>(&decoded(part)).unwrap();
    let (header, claims) = (json(parts[0]), json(parts[1]));
    assert_eq!((&header["alg"], &header["kid"]), (&json!("EdDSA"), &key["kid"]));
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("shop"), &json!("shoppers")));
    let point = decoded(key["x"].as_str().unwrap());
    let message = format!("{}.{}", parts[0], parts[1]);
    UnparsedPublicKey::new(&ED25519, point)
        .verify(message.as_bytes(), &decoded(parts[2]))
        .expect("the published key verifies the token");
}

#[test]
fn failed_logins_and_credentials_are_counted_as_the_file_says() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let login = |password| {
        let form = [("grant_type", "password"), ("username", BOB.0), ("password", password)];
        gateway.call("POST", "/auth/token").form(&form).send().status
    };
    assert_eq!([login("wrong"), login("wrong"), login(BOB.1)], [401, 429, 429]);
    let basic = |text: &str| {
        let value = format!("Basic {}", STANDARD.encode(text));
        gateway.get("/known").header("authorization", &value).send().status
    };
    // One of the two failures was the login.
    assert_eq!([basic("alice:x"), basic("alice:x"), basic("alice:wonderland")], [401, 429, 429]);
}

#[test]
fn the_admin_listener_answers_to_names_of_the_file_alone() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let status = |host| {
        let token = "Authorization: Bearer the-token-of-the-admin-api";
        let request = format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\n{token}\r\n\r\n");
        Raw::connect(gateway.admin_address()).send(request).answer().status
    };
    assert_eq!([status("gateway.example"), status("evil.example")], [200, 421]);
}

#[test]
fn without_an_access_log_no_request_is_told_of() {
    let upstream = Recorder::start();
    let mut gateway = gateway(&upstream);
    gateway.get("/counted").header("x-request-id", "not-to-be-told").send().ok();
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(!gateway.output().contains("not-to-be-told"), "{}", gateway.output());
}

#[test]
fn counters_are_bounded_whatever_clients_choose() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut raw = gateway.raw();
    for tenant in 0..1800 {
        let request = format!("GET /counted HTTP/1.1\r\nHost: x\r\nX-Tenant: t{tenant}\r\n\r\n");
        assert_eq!(raw.send(request).answer().status, 200);
    }
    let held = gateway.metric("portcullis_rate_limit_keys");
    assert!(held > 1000.0 && held <= 1200.0, "{held} counters");
}
