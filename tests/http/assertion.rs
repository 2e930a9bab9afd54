//! What an app is told in signed form: what stands in it, who can make one, and whether the verifiers that the documentation
//! shows let in anything else.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::harness::{App, Gateway, Recorder, root};
use crate::people::{ALICE, BOB, KEY, PEOPLE, ed25519, eddsa, hs256, now};

const HEADER: &str = "x-identity-assertion";

/// Tokens and assertions differ in nothing but their type: the same issuer, audience and place of the keys.
const TOKEN: &str = "token: { path: /auth/token, algorithm: EdDSA, private_key_file: token.key, audience: app, jwks_path: /.well-known/jwks.json }";

const ROUTES: &str = "
upstreams: { app: '@APP@' }
identity: { assertion: { audience: app, private_key_file: assertion.key, jwks_path: /.well-known/jwks.json } }
defaults: { auth: [jwt, api_key, basic] }
routes:
  - { name: me, match: { path: /me }, upstream: app }
  - { name: public, match: { path: /public }, upstream: app, auth: none }
  - { name: perhaps, match: { path: /perhaps }, upstream: app, auth: optional }
";

struct Keys {
    assertion: (Ed25519KeyPair, String),
    token: (Ed25519KeyPair, String),
}

impl Keys {
    fn new() -> Self {
        Self { assertion: ed25519(), token: ed25519() }
    }

    fn gateway(&self, upstream: &str) -> Gateway {
        let (people, _) = PEOPLE.split_once("token:").unwrap();
        let (_, roles) = PEOPLE.split_once("roles:\n").unwrap();
        Gateway::with(&format!("{people}{TOKEN}\nroles:\n{roles}{ROUTES}"))
            .put("APP", upstream)
            .file("assertion.key", &self.assertion.1)
            .file("token.key", &self.token.1)
            .start()
    }
}

fn part(text: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Header and claims, once the signature has been found to be of this key.
fn read(assertion: &str, key: &Ed25519KeyPair) -> (Value, Value) {
    let (message, signature) = assertion.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref());
    public.verify(message.as_bytes(), &signature).unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    (part(header), part(claims))
}

fn published(gateway: &Gateway, path: &str) -> Vec<Value> {
    let answer = gateway.get(path).send();
    answer.ok().json()["keys"].as_array().unwrap().clone()
}

/// The thumbprint of RFC 7638, section 3, of an Ed25519 key.
fn kid(key: &Ed25519KeyPair) -> String {
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let text = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()))
}

#[test]
fn an_app_is_told_who_calls_whatever_the_client_says_of_itself() {
    let keys = Keys::new();
    let upstream = Recorder::start();
    let gateway = keys.gateway(&upstream.url());
    let token = gateway.login(ALICE.0, ALICE.1);
    let calls = [
        (gateway.get("/me").bearer(&token), "1", "jwt", json!(["admin"])),
        (gateway.get("/me").header("X-API-Key", KEY), "robot", "api_key", json!(["user"])),
        (gateway.get("/perhaps").bearer(&token), "1", "jwt", json!(["admin"])),
    ];
    for (call, subject, method, roles) in calls {
        let forged =
            [HEADER, "X-Identity_Assertion", "X.Identity.Assertion", "X_IDENTITY_ASSERTION"];
        let call = forged.iter().fold(call, |call, name| call.header(name, "forged"));
        call.send().ok();
        let seen = upstream.last();
        let told: Vec<_> = seen
            .lines()
            .into_iter()
            .filter(|(name, _)| name.to_lowercase().replace(['_', '.'], "-") == HEADER)
            .collect();
        let [(_, assertion)] = told[..] else { panic!("{told:?}") };
        let (header, claims) = read(assertion, &keys.assertion.0);
        assert_eq!(
            header,
            json!({"typ": "portcullis-assertion+jwt", "alg": "EdDSA", "kid": kid(&keys.assertion.0)})
        );
        assert_eq!(
            (&claims["sub"], &claims["auth_method"], &claims["roles"]),
            (&json!(subject), &json!(method), &roles)
        );
        assert_eq!(
            (&claims["iss"], &claims["aud"], &claims["source"]),
            (&json!("portcullis"), &json!("app"), &json!("local"))
        );
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
        let told = seen.header("x-user-permissions").unwrap().split(',').collect::<Vec<_>>();
        assert_eq!(claims["permissions"], json!(told));
        assert_eq!(claims.as_object().unwrap().len(), 10);
    }
    for path in ["/public", "/perhaps"] {
        gateway.get(path).header(HEADER, "forged").send().ok();
        assert!(upstream.last().all(HEADER).is_empty(), "nobody is asserted, and nobody asserts");
    }
}

#[test]
fn one_signature_serves_many_requests() {
    let keys = Keys::new();
    let upstream = Recorder::start();
    let gateway = keys.gateway(&upstream.url());
    let (alice, bob) = (gateway.login(ALICE.0, ALICE.1), gateway.login(BOB.0, BOB.1));
    let told = |token: &str| {
        gateway.get("/me").bearer(token).send().ok();
        upstream.last().header(HEADER).unwrap().to_owned()
    };
    let first = told(&alice);
    for _ in 0..10 {
        assert_eq!(told(&alice), first);
    }
    // Another token of the same principal says nothing else of it.
    assert_eq!(told(&gateway.login(ALICE.0, ALICE.1)), first);
    assert_ne!(told(&bob), first);
    let signed = r#"portcullis_cache_requests_total{cache="assertions",outcome="miss"}"#;
    assert_eq!(gateway.metric(signed), 2.0);
}

#[test]
fn an_assertion_is_no_token() {
    let keys = Keys::new();
    let upstream = Recorder::start();
    let gateway = keys.gateway(&upstream.url());
    gateway.get("/me").bearer(&gateway.login(ALICE.0, ALICE.1)).send().ok();
    let assertion = upstream.last().header(HEADER).unwrap().to_owned();
    gateway.get("/me").bearer(&assertion).send().refused(401, "invalid_token");
    // Nor would one be that the token's own key had signed.
    let (mut header, claims) = read(&assertion, &keys.assertion.0);
    header["kid"] = json!(kid(&keys.token.0));
    let forged = eddsa(&header, &claims, &keys.token.0);
    gateway.get("/me").bearer(&forged).send().refused(401, "invalid_token");
    gateway.wait_for_log("the reason", |line| line["reason"] == "type");
}

#[test]
fn keys_are_published_where_the_file_says_and_nothing_private_with_them() {
    let keys = Keys::new();
    let upstream = Recorder::start();
    let gateway = keys.gateway(&upstream.url());
    let answer = gateway.get("/.well-known/jwks.json").send();
    assert_eq!(answer.header("content-type"), Some("application/jwk-set+json"));
    let kids: Vec<_> = published(&gateway, "/.well-known/jwks.json");
    let expected = [&keys.token.0, &keys.assertion.0].map(|key| {
        let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig", "alg": "EdDSA", "kid": kid(key)})
    });
    assert_eq!(kids, expected);
    let apart = Gateway::with(
        "
identity: { assertion: { audience: app, private_key_file: [new.key, old.key], jwks_path: /keys } }
authentication: { basic: {} }
",
    )
    .file("new.key", &keys.assertion.1)
    .file("old.key", &keys.token.1)
    .start();
    let kids: Vec<_> = published(&apart, "/keys").iter().map(|key| key["kid"].clone()).collect();
    assert_eq!(
        kids,
        [kid(&keys.assertion.0), kid(&keys.token.0)],
        "the first signs, all are published"
    );
    apart.call("POST", "/keys").send().refused(405, "method_not_allowed");
}

/// The code beneath this heading.
fn documented(heading: &str) -> String {
    let page = fs::read_to_string(root().join("docs/assertion.md")).unwrap();
    let (_, section) = page.split_once(&format!("\n### {heading}\n")).expect(heading);
    let (_, code) = section.split_once("\n```").expect(heading);
    let (_, code) = code.split_once('\n').unwrap();
    code.split_once("\n```").unwrap().0.to_owned() + "\n"
}

const SERVED: &str = "
const server = app.listen(0, '127.0.0.1', () => console.log(`listening 127.0.0.1:${server.address().port}`))
process.stdin.on('end', () => process.exit(0)).resume()
";

/// The application of the page, which fetches its keys from this gateway.
fn app(heading: &str, gateway: &Gateway) -> App {
    let code = documented(heading);
    let place = "http://127.0.0.1:8080/.well-known/jwks.json";
    assert!(code.contains(place), "{heading}");
    let url = format!("http://{}/.well-known/jwks.json", gateway.address());
    let code = code.replace(place, &url);
    if heading == "Express" {
        return App::node(gateway.directory(), "documented", &(code + SERVED));
    }
    let file = gateway.directory().join("documented.py");
    fs::write(&file, code).unwrap();
    App::start("documented", &[file.to_str().unwrap()])
}

/// Puts a documented verifier before everything that somebody without the gateway's key could send it, and what the gateway signs
/// for others.
fn a_documented_verifier_lets_in_only_what_was_asserted_to_it(heading: &str) {
    let keys = Keys::new();
    let publisher = keys.gateway("http://127.0.0.1:1");
    let app = app(heading, &publisher);
    let gateway = keys.gateway(&app.url());
    let token = gateway.login(ALICE.0, ALICE.1);
    let who = gateway.get("/me").bearer(&token).send().ok().json();
    assert_eq!(
        (&who["sub"], &who["roles"], &who["source"]),
        (&json!("1"), &json!(["admin"]), &json!("local"))
    );

    let (key, token_key) = (&keys.assertion.0, &keys.token.0);
    let header = json!({"typ": "portcullis-assertion+jwt", "alg": "EdDSA", "kid": kid(key)});
    let claims = json!({"iss": "portcullis", "aud": "app", "sub": "1", "iat": now(), "exp": now() + 60, "roles": []});
    let with = |base: &Value, name: &str, value: Value| {
        let mut changed = base.clone();
        match value {
            Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
            value => changed[name] = value,
        }
        changed
    };
    let claim = |name: &str, value| eddsa(&header, &with(&claims, name, value), key);
    let good = eddsa(&header, &claims, key);
    let ask =
        |assertion: &str| app.get("/me").header("X-Identity-Assertion", assertion).send().status;
    assert_eq!(ask(&good), 200, "{heading}: {}", app.said());

    let other = ed25519().0;
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = message.split_once('.').unwrap();
    let admin = URL_SAFE_NO_PAD.encode(with(&claims, "roles", json!(["admin"])).to_string());
    let none = URL_SAFE_NO_PAD.encode(with(&header, "alg", json!("none")).to_string());
    let public = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    for (what, sent) in [
        ("nothing", String::new()),
        ("a token of the gateway for this app", token.clone()),
        (
            "an assertion signed by the token's key under its own name",
            eddsa(&header, &claims, token_key),
        ),
        ("a stranger's signature", eddsa(&header, &claims, &other)),
        ("a stranger's key", eddsa(&with(&header, "kid", json!(kid(&other))), &claims, &other)),
        ("another type", eddsa(&with(&header, "typ", json!("JWT")), &claims, key)),
        ("no type", eddsa(&with(&header, "typ", Value::Null), &claims, key)),
        ("another audience", claim("aud", json!("billing"))),
        ("no audience", claim("aud", Value::Null)),
        ("another issuer", claim("iss", json!("portcullis.example"))),
        ("no issuer", claim("iss", Value::Null)),
        ("one that is over", claim("exp", json!(now() - 60))),
        ("one without an end", claim("exp", Value::Null)),
        ("one about nobody", claim("sub", Value::Null)),
        ("one whose roles were changed", format!("{head}.{admin}.{signature}")),
        ("one without a signature", format!("{none}.{admin}.")),
        ("one with the public key for a secret", hs256(&claims, &public)),
        ("no JWT", "x".to_owned()),
    ] {
        assert_eq!(ask(&sent), 401, "{heading}: {what}");
    }
    assert_eq!(app.get("/me").send().status, 401, "{heading}: no header");
}

#[test]
fn the_fastapi_verifier_of_the_documentation_lets_in_only_what_was_asserted_to_it() {
    a_documented_verifier_lets_in_only_what_was_asserted_to_it("FastAPI");
}

#[test]
fn the_flask_verifier_of_the_documentation_lets_in_only_what_was_asserted_to_it() {
    a_documented_verifier_lets_in_only_what_was_asserted_to_it("Flask");
}

#[test]
fn the_express_verifier_of_the_documentation_lets_in_only_what_was_asserted_to_it() {
    a_documented_verifier_lets_in_only_what_was_asserted_to_it("Express");
}
