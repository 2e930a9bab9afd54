//! The token endpoint: a name and a password in, a token out, and nothing behind it is troubled.

use serde_json::json;

use crate::harness::{Answer, Gateway, Recorder, ask};
use crate::people::{ALICE, BOB, PEOPLE};

const ROUTES: &str = "
upstreams: { app: '@APP@' }
defaults: { auth: [jwt] }
routes:
  - { name: me, match: { path: /me }, upstream: app }
  - { name: items, match: { path: /items }, upstream: app, allow: { permissions: [write:items] } }
";

fn gateway(upstream: &Recorder) -> Gateway {
    Gateway::with(&format!("{PEOPLE}{ROUTES}")).put("APP", &upstream.url()).start()
}

fn login(gateway: &Gateway, fields: &[(&str, &str)]) -> Answer {
    gateway.call("POST", "/auth/token").form(fields).send()
}

fn password<'a>((username, password): (&'a str, &'a str)) -> [(&'a str, &'a str); 3] {
    [("grant_type", "password"), ("username", username), ("password", password)]
}

#[test]
fn a_login_gives_a_token_and_the_application_hears_who_it_is() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let answer = login(&gateway, &password(ALICE));
    let body = answer.ok().json();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(1800)));
    assert!(body.get("refresh_token").is_none());
    assert_eq!(upstream.contacts(), 0, "a login is the gateway's own business");

    let token = body["access_token"].as_str().unwrap();
    gateway.get("/me").bearer(token).send().ok();
    let seen = upstream.last();
    assert_eq!(seen.header("x-user-id"), Some("1"));
    assert_eq!(seen.header("x-user-roles"), Some("admin"));
    assert_eq!(seen.header("x-auth-method"), Some("jwt"));
    let mut permissions: Vec<&str> =
        seen.header("x-user-permissions").unwrap().split(',').collect();
    permissions.sort_unstable();
    assert_eq!(permissions, ["delete:users", "read:items", "write:items"]);
    assert!(seen.all("authorization").is_empty(), "the token stays with the gateway");
}

#[test]
fn the_token_is_one_that_another_library_reads() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let token = gateway.login(BOB.0, BOB.1);
    let read = ask(
        "tokens",
        &json!({
            "token": token,
            "key": "the-secret-of-the-gateway-itself-for-tests",
            "algorithms": ["HS256"],
            "audience": "portcullis",
            "issuer": "portcullis",
        }),
    );
    let claims = &read["claims"];
    assert_eq!((&claims["sub"], &claims["roles"]), (&json!("2"), &json!(["user"])), "{read}");
    assert_eq!(claims["permissions"], json!(["read:items"]));
    assert!(claims["jti"].as_str().is_some_and(|id| id.len() >= 16));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 1800);
    assert!(claims["nbf"].as_u64() <= claims["iat"].as_u64());
    assert!(read["headers"].get("kid").is_none(), "a digest of the secret is nobody's business");
}

#[test]
fn nobody_can_tell_an_unknown_user_from_a_wrong_password() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let answers = [("alice", "wrong"), ("nobody", "wrong"), ("carol", "singer")]
        .map(|attempt| login(&gateway, &password(attempt)));
    for answer in &answers {
        let body = answer.json();
        assert_eq!(answer.status, 401);
        assert_eq!(body["detail"], "Incorrect username or password");
        assert_eq!(body["error"], "invalid_grant");
        assert!(body["error_description"].is_string());
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let same = |answer: &Answer| {
        let mut body = answer.json();
        body["request_id"].take();
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        (body, names)
    };
    assert_eq!(same(&answers[0]), same(&answers[1]));
    assert_eq!(same(&answers[0]), same(&answers[2]));
}

#[test]
fn a_form_that_does_not_say_its_grant_means_the_password() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    login(&gateway, &password(ALICE)[1..]).ok();
}

#[test]
fn a_malformed_form_is_answered_as_oauth_says() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let post = || gateway.call("POST", "/auth/token");
    let form = "application/x-www-form-urlencoded";
    let whole = "grant_type=password&username=alice&password=wonderland";
    let cases = [
        (
            "unsupported_grant_type",
            post().form(&[("grant_type", "authorization_code"), ("code", "x")]),
        ),
        (
            "invalid_request",
            post().header("content-type", form).body(format!("{whole}&username=bob")),
        ),
        (
            "invalid_request",
            post().header("content-type", form).body("grant_type=password&username=alice"),
        ),
        (
            "invalid_request",
            post().header("content-type", "application/json").body(r#"{"username":"alice"}"#),
        ),
        (
            "invalid_request",
            post()
                .header("content-type", form)
                .body(format!("{whole}&x={}", "y".repeat(16 * 1024))),
        ),
        (
            "invalid_request",
            gateway.call("POST", &format!("/auth/token?{whole}")).header("content-type", form),
        ),
        (
            "invalid_scope",
            post().header("content-type", form).body(format!("{whole}&scope=launch:missiles")),
        ),
    ];
    for (error, call) in cases {
        let answer = call.send();
        let body = answer.text().to_owned();
        assert_eq!((answer.status, &answer.json()["error"]), (400, &json!(error)), "{body}");
        assert!(answer.json()["error_description"].is_string());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn a_scope_narrows_what_the_token_may_do() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut form = password(ALICE).to_vec();
    form.push(("scope", "read:items"));
    let body = login(&gateway, &form).ok().json();
    assert_eq!(body["scope"], "read:items");
    let token = body["access_token"].as_str().unwrap();
    gateway.get("/me").bearer(token).send().ok();
    assert_eq!(upstream.last().header("x-user-permissions"), Some("read:items"));
    assert_eq!(upstream.last().header("x-user-roles"), None, "a narrowed token has no roles");
    gateway.get("/items").bearer(token).send().refused(403, "missing_permissions");
}

#[test]
fn the_endpoint_takes_post_alone() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let answer = gateway.get("/auth/token").send();
    answer.refused(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[test]
fn a_sixth_wrong_guess_has_to_wait_and_right_ones_do_not_count() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    for _ in 0..8 {
        login(&gateway, &password(BOB)).ok();
    }
    for _ in 0..5 {
        assert_eq!(login(&gateway, &password(("alice", "guess"))).status, 401);
    }
    // Spelled otherwise it is the same name, and the right password is not looked at any more.
    for attempt in [("alice", "wonderland"), ("ALICE", "wonderland")] {
        let answer = login(&gateway, &password(attempt));
        answer.refused(429, "rate_limited");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait));
    }
    login(&gateway, &password(BOB)).ok();
}

#[test]
fn a_disabled_users_token_opens_nothing() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let claims = json!({
        "iss": "portcullis", "aud": "portcullis", "sub": "3", "exp": crate::people::now() + 600, "roles": ["admin"],
    });
    let token = crate::people::hs256(&claims, "the-secret-of-the-gateway-itself-for-tests");
    gateway.get("/me").bearer(&token).send().refused(401, "invalid_token");
    assert_eq!(upstream.contacts(), 0);
}
