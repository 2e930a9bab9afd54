//! Where clients learn how to get a token, and by which keys it can be verified while those change.

use std::fs;

use serde_json::json;

use crate::harness::{Gateway, Recorder, ask, eventually};
use crate::people::{ALICE, PEOPLE, ed25519};

const ROUTES: &str = "
upstreams: { app: '@APP@' }
defaults: { auth: [jwt] }
routes:
  - { name: me, match: { path: /me }, upstream: app }
  - { name: admins, match: { path: /admins }, upstream: app, allow: { roles: [root] } }
  - { name: key, match: { path: /key }, upstream: app, auth: api_key }
";

fn gateway(yaml: &str) -> Gateway {
    let upstream = Recorder::start();
    Gateway::with(
        &format!("{yaml}{ROUTES}").replace("roles: [root]", "roles: [admin], permissions: [fly]"),
    )
    .put("APP", &upstream.url())
    .start()
}

#[test]
fn a_refusal_says_where_to_learn_of_tokens_and_the_document_is_there() {
    let gateway = gateway(PEOPLE);
    let here = format!("http://{}", gateway.address());
    let pointer = format!("resource_metadata=\"{here}/.well-known/oauth-protected-resource\"");
    let challenge =
        |answer: &crate::harness::Answer| answer.header("www-authenticate").unwrap().to_owned();

    let missing = gateway.get("/me").send();
    missing.refused(401, "missing_credentials");
    assert_eq!(challenge(&missing), format!("Bearer {pointer}"));
    let invalid = gateway.get("/me").bearer("x").send();
    assert_eq!(
        challenge(&invalid),
        format!(
            "Bearer error=\"invalid_token\", error_description=\"The token is invalid\", {pointer}"
        )
    );
    let token = gateway.login(ALICE.0, ALICE.1);
    let lacking = gateway.get("/admins").bearer(&token).send();
    lacking.refused(403, "missing_permissions");
    assert_eq!(challenge(&lacking), "Bearer error=\"insufficient_scope\", scope=\"fly\"");
    // Where no token helps, none is spoken of.
    let key = gateway.get("/key").send();
    assert!(!challenge(&key).contains("resource_metadata"));

    let resource = gateway.get("/.well-known/oauth-protected-resource").send();
    assert_eq!(resource.header("cache-control"), Some("no-store"));
    assert_eq!(
        resource.ok().json(),
        json!({"resource": here, "authorization_servers": [here, "https://id.example.com/"],
               "bearer_methods_supported": ["header"]})
    );
    let server = gateway.get("/.well-known/oauth-authorization-server").send().ok().json();
    assert_eq!(
        (&server["issuer"], &server["token_endpoint"]),
        (&json!(here), &json!(format!("{here}/auth/token")))
    );
    assert!(server.get("jwks_uri").is_none(), "a secret has no public key");
}

#[test]
fn nobody_is_told_of_a_host_but_the_one_that_he_asked() {
    let gateway = gateway(PEOPLE);
    for (name, value) in [
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "host=evil.example"),
        ("X-Original-Host", "evil.example"),
    ] {
        for path in [
            "/me",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-authorization-server",
        ] {
            let answer = gateway.get(path).header(name, value).send();
            let told = format!("{:?}{}", answer.headers, answer.text());
            assert!(!told.contains("evil"), "{path} {told}");
            assert!(told.contains(&gateway.address().to_string()), "{path} {told}");
        }
    }
    // What cannot stand in a URL does not come to stand in a header.
    let mut raw = gateway.raw();
    let answer = raw.send("GET /me HTTP/1.1\r\nHost: a.example:8080\r\n\r\n").answer();
    assert!(answer.header("www-authenticate").unwrap().contains("http://a.example:8080/"));
}

#[test]
fn an_app_that_tells_of_itself_is_left_to() {
    let upstream = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown");
    let route = "  - { name: own, match: { path: /.well-known/oauth-authorization-server }, upstream: app, auth: none }\n";
    let gateway = Gateway::with(
        &format!("{PEOPLE}{ROUTES}{route}").replace("roles: [root]", "roles: [admin]"),
    )
    .put("APP", &upstream.url())
    .start();
    assert_eq!(gateway.get("/.well-known/oauth-authorization-server").send().ok().text(), "own");
    gateway.get("/.well-known/oauth-protected-resource").send().ok();
}

#[test]
fn without_an_issuer_with_an_address_there_is_nothing_to_tell() {
    let secret = "authentication: { jwt: { corp: { issuer: corp, audiences: [a], algorithms: [HS256], secret: a-secret-of-the-corporation-for-tests } } }
routes: [{ name: me, match: { path: /me }, upstream: app }]
upstreams: { app: { builtin: echo } }
";
    let gateway = Gateway::with(secret).start();
    assert_eq!(gateway.get("/me").send().header("www-authenticate"), Some("Bearer"));
    gateway.get("/.well-known/oauth-protected-resource").send().refused(404, "no_route");
}

const RELOADED: &str = r#"portcullis_config_reloads_total{outcome="success"}"#;

#[test]
fn a_signing_key_changes_without_a_token_being_refused_before_its_time() {
    let upstream = Recorder::start();
    let (old, new) = (ed25519().1, ed25519().1);
    let (people, rest) = PEOPLE.split_once("token:").unwrap();
    let (_, roles) = rest.split_once('\n').unwrap();
    let yaml = |keys: &str| {
        let token = format!(
            "token: {{ path: /auth/token, algorithm: EdDSA, private_key_file: {keys}, jwks_path: /keys }}\n"
        );
        format!("{people}{token}{roles}{ROUTES}").replace("roles: [root]", "roles: [admin]")
    };
    let gateway = Gateway::with(&yaml("[old.key]"))
        .put("APP", &upstream.url())
        .file("old.key", old)
        .file("new.key", new)
        .start();
    let kids = || -> Vec<String> {
        let keys = gateway.get("/keys").send().ok().json()["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    };
    let mut reloads = 0.0;
    let mut reload = |keys: &str| {
        let text = fs::read_to_string(gateway.config()).unwrap();
        let (ports, _) = text.split_once(people).unwrap();
        let text = format!("{ports}{}", yaml(keys)).replace("@APP@", &upstream.url());
        fs::write(gateway.config(), text).unwrap();
        reloads += 1.0;
        eventually("a reload", || (gateway.metric(RELOADED) >= reloads).then_some(()));
    };
    let signed_by = |token: &str| {
        let read = ask("tokens", &json!({"token": token, "kid": true}));
        read["headers"]["kid"].as_str().unwrap().to_owned()
    };
    let of_old = gateway.login(ALICE.0, ALICE.1);
    gateway.get("/me").bearer(&of_old).send().ok();
    let [first] = &kids()[..] else { panic!() };

    reload("[new.key, old.key]");
    let both = kids();
    assert_eq!(
        (both.len(), &both[1]),
        (2, first),
        "the new one signs, the old one is still published"
    );
    let of_new = gateway.login(ALICE.0, ALICE.1);
    assert_eq!((signed_by(&of_old), signed_by(&of_new)), (both[1].clone(), both[0].clone()));
    gateway.get("/me").bearer(&of_old).send().ok();
    gateway.get("/me").bearer(&of_new).send().ok();

    reload("[new.key]");
    assert_eq!(kids(), [both[0].clone()]);
    gateway.get("/me").bearer(&of_new).send().ok();
    gateway.get("/me").bearer(&of_old).send().refused(401, "invalid_token");
    gateway.wait_for_log("the reason", |line| line["reason"] == "unknown_kid");
}
