//! Two twins: an application that guards itself as its framework teaches, and the same one naked behind the gateway. A client
//! must not be able to tell them apart, but for the differences in `docs/differences.md`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Answer, App, Call, Gateway};
use crate::people::{hs256, now};

/// What `guarded.py` does in code.
const YAML: &str = r#"
upstreams: { app: '@APP@' }
authentication:
  api_keys:
    header: X-API-Key
    query: api_key
    reject_status: 403
    keys: [{ id: twin, sha256: 0d64afbe47f722069eed10c42ea40785a7e2a278062971fe7f7f50219fad92f8, subject: robot }]
users:
  - { id: alice, username: alice, password: "$2b$04$YcP2VkJJEpEHXix8pvxxd.lGdIRcXl.lPQmH.vHenCQeMPfLAtcIS", roles: [admin] }
  - { id: bob, username: bob, password: "$2b$04$FN.Af7es.rDrHzosnoDf1OsaVXfHvSHJTXLXhopKeOtpE6JathpaW", roles: [moderator] }
  - { id: carol, username: carol, password: "$2b$04$.jEcWtvdYyMGGUq/ECpmh.nPjKULeQ3FnrKR4E6FiTQF90himJd9q", roles: [user] }
token: { path: /auth/token, secret: the-secret-of-both-twins-is-a-test-secret }
roles:
  user: { permissions: [read:items] }
  moderator: { includes: [user], permissions: [write:items] }
  admin: { includes: [moderator], permissions: [delete:users, write:users] }
defaults:
  auth: [jwt]
  cors: { allow_origins: ["https://app.example.com"], allow_credentials: true, allow_methods: [GET, POST, PUT, DELETE], allow_headers: ["*"] }
routes:
  - { name: public, match: { path: /public }, upstream: app, auth: none }
  - { name: me, match: { path: /users/me }, upstream: app }
  - { name: data, match: { path: /data }, upstream: app, auth: [api_key] }
  - { name: moderation, match: { path: /moderation }, upstream: app, allow: { roles: [admin, moderator] } }
  - { name: delete, match: { path: "/users/{user_id}", methods: [DELETE] }, upstream: app, allow: { permissions: [delete:users, write:users] } }
  - { name: limited, match: { path: /limited }, upstream: app, auth: none, rate_limit: { limit: 10/minute, by: client_ip } }
"#;

const SECRET: &str = "the-secret-of-both-twins-is-a-test-secret";

struct Twins {
    guarded: Arc<App>,
    naked: Arc<App>,
    gateway: Gateway,
}

impl Twins {
    fn start() -> Self {
        let (guarded, naked) = (App::shared("guarded", &[]), App::shared("naked", &[]));
        let gateway = Gateway::with(YAML).put("APP", &naked.url()).start();
        Self { guarded, naked, gateway }
    }

    /// The same request to the one and to the other.
    fn both(&self, method: &str, target: &str, finish: impl Fn(Call) -> Call) -> (Answer, Answer) {
        let theirs = finish(self.guarded.call(method, target)).send();
        let ours = finish(self.gateway.call(method, target)).send();
        (theirs, ours)
    }

    /// Fails unless both answers have the same status, and the same `detail` or the same body.
    #[track_caller]
    fn agree(&self, method: &str, target: &str, finish: impl Fn(Call) -> Call) -> (Answer, Answer) {
        let (theirs, ours) = self.both(method, target, finish);
        assert_eq!(ours.status, theirs.status, "{} against {}", ours.text(), theirs.text());
        if theirs.status < 400 {
            assert_eq!(ours.json(), theirs.json());
        } else {
            let (theirs, ours) = (theirs.json()["detail"].take(), ours.json()["detail"].take());
            assert_eq!(words(&ours), words(&theirs));
        }
        (theirs, ours)
    }

    fn tokens(&self, username: &str, password: &str) -> (String, String) {
        let form = [("username", username), ("password", password)];
        let (theirs, ours) = self.both("POST", "/auth/token", |call| call.form(&form));
        let token =
            |answer: Answer| answer.ok().json()["access_token"].as_str().unwrap().to_owned();
        (token(theirs), token(ours))
    }
}

/// A detail as what it says and the set that it names.
fn words(detail: &Value) -> (String, BTreeSet<String>) {
    let text = detail.as_str().unwrap_or_default();
    let (says, names) = text.split_once(": ").unwrap_or((text, ""));
    (says.to_owned(), names.split(", ").map(str::to_owned).collect())
}

#[test]
fn the_twins_answer_alike() {
    let twins = Twins::start();
    let plain = |call: Call| call;

    // The login.
    let (theirs, ours) = twins.both("POST", "/auth/token", |call| {
        call.form(&[("username", "alice"), ("password", "wonderland")])
    });
    assert_eq!((theirs.status, ours.status), (200, 200));
    assert_eq!(ours.json()["token_type"], theirs.json()["token_type"]);
    for (username, password) in [("alice", "wrong"), ("nobody", "wonderland")] {
        let form = [("username", username), ("password", password)];
        let (theirs, ours) = twins.agree("POST", "/auth/token", |call| call.form(&form));
        assert_eq!(ours.header("www-authenticate"), theirs.header("www-authenticate"));
    }

    // The token.
    let claims = |subject: &str, expires: u64| {
        json!({
            "iss": "portcullis", "aud": "portcullis", "sub": subject, "iat": now() - 600, "exp": expires,
            "roles": ["admin"], "permissions": ["delete:users", "write:users"],
        })
    };
    let expired = hs256(&claims("alice", now() - 10), SECRET);
    let deleted = hs256(&claims("ghost", now() + 600), SECRET);
    let foreign = hs256(&claims("alice", now() + 600), "another-secret-of-more-than-32-bytes");
    let missing = twins.agree("GET", "/users/me", plain);
    assert_eq!(missing.0.header("www-authenticate"), Some("Bearer"));
    let asked = missing.1.header("www-authenticate").unwrap();
    let (scheme, pointer) = asked.split_once(' ').unwrap();
    assert_eq!((scheme, pointer.starts_with("resource_metadata=")), ("Bearer", true));
    for token in ["garbled", "a.b.c", &expired, &deleted, &foreign] {
        let (_, ours) = twins.agree("GET", "/users/me", |call| call.bearer(token));
        assert!(ours.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    let mine = hs256(&claims("alice", now() + 600), SECRET);
    twins.agree("GET", "/users/me", |call| call.bearer(&mine));

    // The key.
    twins.agree("GET", "/data", plain);
    twins.agree("GET", "/data", |call| call.header("x-api-key", "wrong"));
    twins.agree("GET", "/data?api_key=wrong", plain);
    twins.agree("GET", "/data", |call| call.header("x-api-key", "twin-api-key"));
    twins.agree("GET", "/data?api_key=twin-api-key", plain);

    // No need of either.
    twins.agree("GET", "/public", plain);
    let (theirs, ours) = twins.both("GET", "/nowhere", plain);
    assert_eq!((theirs.status, ours.status), (404, 404));
    assert!(!twins.naked.said().contains("ERROR"), "{}", twins.naked.said());
}

#[test]
fn the_twins_allow_the_same_people_the_same_things() {
    let twins = Twins::start();
    for (username, password) in [("alice", "wonderland"), ("bob", "builder"), ("carol", "singer")] {
        let (theirs, ours) = twins.tokens(username, password);
        for (method, target) in
            [("GET", "/users/me"), ("GET", "/moderation"), ("DELETE", "/users/7")]
        {
            // Each with its own token, as its own client would.
            let theirs = twins.guarded.call(method, target).bearer(&theirs).send();
            let ours = twins.gateway.call(method, target).bearer(&ours).send();
            let case =
                format!("{username} {method} {target}: {} against {}", ours.text(), theirs.text());
            assert_eq!(ours.status, theirs.status, "{case}");
            if theirs.status == 200 {
                assert_eq!(ours.json(), theirs.json(), "{case}");
            } else {
                assert_eq!(
                    words(&ours.json()["detail"]),
                    words(&theirs.json()["detail"]),
                    "{case}"
                );
            }
        }
    }
}

#[test]
fn the_twins_wear_the_same_headers() {
    let twins = Twins::start();
    for target in ["/public", "/users/me", "/data"] {
        let (theirs, ours) =
            twins.both("GET", target, |call| call.header("origin", "https://app.example.com"));
        for name in [
            "x-content-type-options",
            "x-frame-options",
            "x-xss-protection",
            "strict-transport-security",
            "access-control-allow-origin",
            "access-control-allow-credentials",
        ] {
            assert_eq!(ours.header(name), theirs.header(name), "{name} on {target}");
            assert!(ours.header(name).is_some(), "{name} on {target}");
        }
    }
    let (theirs, ours) = twins.both("OPTIONS", "/users/me", |call| {
        call.header("origin", "https://app.example.com")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
    });
    for name in ["access-control-allow-origin", "access-control-allow-credentials"] {
        assert_eq!(ours.header(name), theirs.header(name), "{name}");
    }
    assert!(ours.status < 300 && theirs.status < 300);
}

#[test]
fn both_twins_refuse_the_eleventh_call_of_a_minute() {
    let twins = Twins::start();
    for _ in 0..10 {
        twins.agree("GET", "/limited", |call| call);
    }
    let (theirs, ours) = twins.both("GET", "/limited", |call| call);
    assert_eq!((theirs.status, ours.status), (429, 429));
    assert_eq!(
        ours.json()["detail"],
        theirs.json()["error"],
        "the words are the same under another name"
    );
}

#[test]
fn the_twins_differ_where_the_documents_say_so() {
    let twins = Twins::start();
    let (theirs, ours) =
        twins.both("GET", "/data?api_key=wrong", |call| call.header("x-api-key", "twin-api-key"));
    assert_eq!(theirs.status, 200);
    ours.refused(400, "ambiguous_credentials");
    let (theirs, ours) =
        twins.both("POST", "/auth/token", |call| call.form(&[("username", "alice")]));
    assert_eq!((theirs.status, ours.status), (422, 400));
    assert_eq!(ours.json()["error"], "invalid_request");
    let (theirs, ours) = twins.both("OPTIONS", "/public", |call| {
        call.header("origin", "https://evil.example").header("access-control-request-method", "GET")
    });
    assert_eq!((theirs.status, ours.status), (400, 204));
}

#[test]
fn the_naked_twin_believes_anybody_and_the_gateway_lets_nobody_tell_it_tales() {
    let twins = Twins::start();
    let (_, token) = twins.tokens("carol", "singer");
    let forged = |call: Call| call.header("x-user-id", "alice").header("x_user_id", "alice");
    assert_eq!(forged(twins.naked.get("/users/me")).send().json()["id"], "alice");
    assert_eq!(
        forged(twins.gateway.get("/users/me").bearer(&token)).send().ok().json()["id"],
        "carol"
    );
}
