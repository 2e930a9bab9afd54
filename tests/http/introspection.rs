//! Tokens that a provider is asked about: one by a library that people use, and one that behaves as a test says.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{App, Gateway, Mood, Peer, Recorder, Reply, Setting, eventually};

const CONFIG: &str = "
upstreams: { app: { builtin: echo } }
authentication:
  introspection:
    partner: { url: '@PROVIDER@/introspect', client_id: gw, client_secret: gateway-secret, cache: '@CACHE@', timeout: '@TIMEOUT@' }
  failure_limit: '@FAILURES@'
routes:
  - { name: read, match: { path: /items }, upstream: app, auth: ['introspection:partner'], allow: { permissions: ['read:items'] } }
  - { name: write, match: { path: /items/new }, upstream: app, auth: ['introspection:partner'], allow: { permissions: ['write:items'] } }
";

const ASKED: &str = r#"portcullis_authority_requests_total{authority="partner",method="introspection",outcome="@"}"#;

fn asked(gateway: &Gateway, outcome: &str) -> f64 {
    gateway.metric(&ASKED.replace('@', outcome))
}

fn setting(provider: &str, cache: &str) -> Setting {
    Gateway::with(CONFIG)
        .put("PROVIDER", provider)
        .put("CACHE", cache)
        .put("TIMEOUT", "5s")
        .put("FAILURES", "100000/hour")
}

fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

/// A token of the provider's, issued to an API client of its own.
fn issued(provider: &App, scope: &str) -> String {
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    let call =
        provider.call("POST", "/token").header("authorization", &basic("shop", "shop-secret"));
    let answer = call.form(&form).send();
    answer.ok().json()["access_token"].as_str().unwrap().to_owned()
}

fn revoke(provider: &App, token: &str) {
    let call =
        provider.call("POST", "/revoke").header("authorization", &basic("shop", "shop-secret"));
    call.form(&[("token", token)]).send().ok();
}

/// A provider for which the token says who is meant, and that can be made to behave otherwise.
fn provider() -> Peer {
    Peer::start(|request| {
        let form = String::from_utf8_lossy(&request.body);
        let token = form.split('&').find_map(|pair| pair.strip_prefix("token="));
        let token = token.unwrap_or_default();
        let active = !token.starts_with("bad");
        let said = json!({"active": active, "sub": token, "scope": "read:items"});
        Reply("200 OK", String::new(), said.to_string())
    })
}

fn says(provider: &Peer, status: &'static str, lines: &str, body: &str) {
    provider.is(Mood::Says(Reply(status, lines.to_owned(), body.to_owned()).bytes()));
}

#[test]
fn a_providers_token_lets_its_bearer_in_until_it_is_taken_back() {
    let provider = App::start("provider", &[]);
    let gateway = setting(&provider.url(), "0s").start();
    let token = issued(&provider, "read:items");
    let answer = gateway.get("/items").bearer(&token).send();
    let headers = &answer.ok().json()["headers"];
    assert_eq!(headers["x-user-id"], "shop");
    assert_eq!(headers["x-user-permissions"], "read:items");
    assert_eq!(headers["x-auth-method"], "introspection");
    assert!(headers.get("authorization").is_none(), "the app has no use for it");
    let refused = gateway.get("/items/new").bearer(&token).send();
    refused.refused(403, "missing_permissions");
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"write:items\"")
    );
    revoke(&provider, &token);
    let refused = gateway.get("/items").bearer(&token).send();
    refused.refused(401, "invalid_token");
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    gateway.wait_for_log("the exact reason", |line| line["reason"] == "inactive");
    let line = gateway.logged(|line| line["auth_method"] == "introspection").unwrap();
    assert_eq!((&line["principal"], &line["issuer"]), (&json!("shop"), &json!("partner")));
    gateway.get("/items").send().refused(401, "missing_credentials");
    let counted = |outcome: &str| {
        let labels = format!("method=\"introspection\",outcome=\"{outcome}\"");
        gateway.metric(&format!("portcullis_authentications_total{{{labels}}}"))
    };
    assert_eq!((counted("success"), counted("failure")), (2.0, 1.0));
    assert!(asked(&gateway, "accepted") > 1.5 && asked(&gateway, "refused") > 0.5);
}

const STRICT: &str = "
upstreams: { app: { builtin: echo } }
authentication:
  introspection:
    partner:
      url: '@PROVIDER@/introspect'
      client_id: gw
      client_secret: gateway-secret
      issuer: https://id.example.com
      audiences: [orders]
      claims: { subject: username, roles: realm.roles, permissions: can, plan: tier }
      grants: { roles: ['partner-*'], permissions: ['read:*'] }
routes: [{ name: all, match: { path: /** }, upstream: app }]
";

#[test]
fn every_option_of_a_provider_is_heeded() {
    let provider = provider();
    let gateway = Gateway::with(STRICT).put("PROVIDER", &provider.url()).start();
    let ask = |changes: Value| {
        let mut said = json!({
            "active": true, "iss": "https://id.example.com", "aud": ["orders"], "username": "alice",
            "realm": {"roles": ["partner-a", "admin"]}, "can": "read:a delete:a", "tier": "pro",
        });
        for (name, value) in changes.as_object().unwrap() {
            said[name] = value.clone();
        }
        let body = said.to_string();
        says(&provider, "200 OK", "", &body);
        gateway.get("/").bearer("x").send()
    };
    let headers = ask(json!({})).ok().json()["headers"].clone();
    assert_eq!(headers["x-user-id"], "alice");
    assert_eq!(headers["x-user-roles"], "partner-a");
    assert_eq!(headers["x-user-permissions"], "read:a");
    for (changes, reason) in [
        (json!({"iss": "https://other.example.com"}), "issuer"),
        (json!({"aud": "other"}), "audience"),
        (json!({"exp": 1_000_000_000}), "expired"),
        (json!({"nbf": 4_000_000_000_u64}), "not_yet_valid"),
        (json!({"username": null, "sub": "alice"}), "missing_claim"),
        (json!({"token_type": "DPoP"}), "type"),
    ] {
        let code = if reason == "expired" { "expired_token" } else { "invalid_token" };
        ask(changes).refused(401, code);
        gateway.wait_for_log("the exact reason", |line| line["reason"] == reason);
    }
}

const CERTIFIED: &str = "
upstreams: { app: { builtin: echo } }
authentication:
  introspection:
    id:
      url: '@ISSUER@/token/introspection'
      client_id: gateway
      client_secret: 'the-secret-of-the-gateway: a+b'
      issuer: '@ISSUER@'
      audiences: [orders]
      claims: { subject: client_id, roles: realm_access.roles }
routes: [{ name: items, match: { path: /items }, upstream: app, allow: { permissions: ['read:items'] } }]
";

#[test]
fn a_certified_provider_is_asked_about_its_opaque_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let provider = App::node(directory.path(), "provider", include_str!("apps/provider.mjs"));
    let robot = basic("robot", "the-secret-of-the-robot");
    let ask = |path: &str, form: &[(&str, &str)]| {
        provider.call("POST", path).header("authorization", &robot).form(form).send()
    };
    let form =
        [("grant_type", "client_credentials"), ("scope", "read:items"), ("resource", "urn:opaque")];
    let token = ask("/token", &form).ok().json()["access_token"].as_str().unwrap().to_owned();
    assert!(!token.contains('.'), "{token}");
    let setting = Gateway::with(CERTIFIED).put("ISSUER", &provider.url());
    let gateway = setting.start();
    let headers = gateway.get("/items").bearer(&token).send().ok().json()["headers"].clone();
    assert_eq!(
        (&headers["x-user-id"], &headers["x-user-roles"]),
        (&json!("robot"), &json!("user"))
    );
    assert_eq!(headers["x-user-permissions"], "read:items");
    gateway.get("/items").bearer("made-up").send().refused(401, "invalid_token");
    ask("/token/revocation", &[("token", &token)]).ok();
    gateway.get("/items").bearer(&token).send().refused(401, "invalid_token");
    gateway.wait_for_log("the exact reason", |line| line["reason"] == "inactive");
}

#[test]
fn a_remembered_answer_is_a_fact_that_each_route_judges_for_itself() {
    let provider = provider();
    let gateway = setting(&provider.url(), "1h").start();
    for _ in 0..3 {
        gateway.get("/items").bearer("alice").send().ok();
        gateway.get("/items/new").bearer("alice").send().refused(403, "missing_permissions");
    }
    assert_eq!(provider.count(), 1);
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    std::fs::write(gateway.config(), text.replace("name: write", "name: other")).unwrap();
    gateway.wait_for_log("the reload", |line| line["event"] == "reloaded");
    provider.is(Mood::Down);
    gateway.get("/items").bearer("alice").send().ok();
    gateway.get("/items").bearer("bob").send().refused(503, "unavailable");
    assert!(
        gateway.metric(r#"portcullis_cache_requests_total{cache="introspection",outcome="hit"}"#)
            > 5.5
    );
}

#[test]
fn a_provider_that_is_down_takes_nobody_in_and_is_met_again() {
    let provider = provider();
    let gateway = setting(&provider.url(), "0s").start();
    let state = || {
        gateway.admin("GET", "/readyz").send().ok().json()["checks"]["introspection:partner"]
            .clone()
    };
    gateway.wait_until_ready();
    assert_eq!(state(), "ok");
    gateway.get("/items").bearer("alice").send().ok();
    provider.is(Mood::Down);
    let refused = gateway.get("/items").bearer("alice").send();
    refused.refused(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(state(), "degraded");
    let line = gateway.wait_for_log("why", |line| line["event"] == "authority_failed");
    assert!(line["why"].as_str().unwrap().contains("it answered 503"), "{line}");
    provider.is(Mood::Well);
    gateway.get("/items").bearer("alice").send().ok();
    assert_eq!(state(), "ok");
    assert!(asked(&gateway, "error") > 0.5);
}

#[test]
fn an_answer_that_is_no_literal_yes_lets_nobody_in() {
    let provider = provider();
    let gateway = setting(&provider.url(), "1h").start();
    let answer = |body: &str| {
        says(&provider, "200 OK", "", body);
        gateway.get("/items").bearer("alice").send()
    };
    for body in [
        r#"{"active":"true","sub":"alice","scope":"read:items"}"#,
        r#"{"active":1,"sub":"alice","scope":"read:items"}"#,
        r#"{"sub":"alice","scope":"read:items"}"#,
        r#"{"active":false,"sub":"alice","scope":"read:items"}"#,
    ] {
        answer(body).refused(401, "invalid_token");
    }
    for body in [
        r#"{"active":false,"active":true,"sub":"alice","scope":"read:items"}"#,
        "<html>active</html>",
        "",
    ] {
        answer(body).refused(503, "unavailable");
    }
    let huge = format!(
        r#"{{"active":true,"sub":"alice","scope":"read:items","x":"{}"}}"#,
        "y".repeat(1 << 20)
    );
    answer(&huge).refused(503, "unavailable");
    answer(r#"{"active":true,"sub":"alice","scope":"read:items"}"#).ok();
}

#[test]
fn the_gateways_credential_goes_to_nobody_whom_the_file_does_not_name() {
    let (provider, other) = (provider(), Recorder::start());
    let gateway = setting(&provider.url(), "0s").start();
    let elsewhere = format!("Location: {}/introspect\r\n", other.url());
    says(&provider, "307 Temporary Redirect", &elsewhere, "");
    gateway.get("/items").bearer("alice").send().refused(503, "unavailable");
    assert_eq!(other.contacts(), 0);
}

#[test]
fn a_provider_that_drips_or_says_nothing_is_given_up_in_time() {
    let drips = provider();
    drips.is(Mood::Drips(Duration::from_millis(100)));
    let gateway = Gateway::with(CONFIG)
        .put("PROVIDER", &drips.url())
        .put("CACHE", "0s")
        .put("TIMEOUT", "300ms")
        .put("FAILURES", "100000/hour")
        .start();
    let began = Instant::now();
    gateway.get("/items").bearer("alice").send().refused(503, "unavailable");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn a_thousand_random_tokens_leave_nothing_behind_and_cost_no_more_than_the_failure_limit() {
    let provider = provider();
    let gateway = setting(&provider.url(), "1h").start();
    gateway.get("/items").bearer("alice").send().ok();
    let held =
        |gateway: &Gateway| gateway.metric(r#"portcullis_cache_entries{cache="introspection"}"#);
    for number in 0..1_000 {
        let token = format!("bad-{number:04}-{}", "x".repeat(1_000));
        gateway.get("/items").bearer(&token).send().refused(401, "invalid_token");
    }
    assert_eq!(held(&gateway), 1.0, "refusals are not kept");
    assert_eq!(provider.count(), 1_001);
    let limited = Gateway::with(CONFIG)
        .put("PROVIDER", &provider.url())
        .put("CACHE", "0s")
        .put("TIMEOUT", "5s")
        .put("FAILURES", "20/hour")
        .start();
    limited.get("/items").bearer("alice").send().ok();
    let before = provider.count();
    for number in 0..200 {
        let answer = limited.get("/items").bearer(&format!("bad-{number}")).send();
        assert!(matches!(answer.status, 401 | 429), "{}", answer.status);
    }
    assert_eq!(provider.count(), before + 20);
    limited.get("/items").bearer("carol").send().refused(429, "rate_limited");
    limited.get("/items").bearer("alice").send().ok();
}

#[test]
fn requests_at_once_for_one_token_are_one_question() {
    let provider = provider();
    provider.is(Mood::Held);
    let gateway = setting(&provider.url(), "1h").start();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| gateway.get("/items").bearer("one").send().status))
            .collect();
        provider.wait_for(1);
        eventually("all of them to wait", || {
            (gateway.metric("portcullis_requests_in_flight") > 19.5).then_some(())
        });
        provider.is(Mood::Well);
        assert!(calls.into_iter().all(|call| call.join().unwrap() == 200));
    });
    assert_eq!(provider.count(), 1);
}

#[test]
fn whoever_inquires_is_told_who_is_asked_and_a_policy_test_asks_nobody() {
    let provider = provider();
    let gateway = setting(&provider.url(), "1h").start();
    let explained =
        gateway.portcullis(&["explain", "GET", "/items", "-H", "Authorization: Bearer alice"]);
    let text = String::from_utf8(explained.stdout).unwrap();
    assert_eq!(explained.status.code(), Some(0), "{text}");
    assert!(text.contains("`partner` is asked, at http://127.0.0.1:"), "{text}");
    assert!(text.contains("alice of partner"), "{text}");
    let inspected = gateway.portcullis(&["token", "inspect", "alice"]);
    let text = String::from_utf8(inspected.stdout).unwrap();
    assert_eq!(inspected.status.code(), Some(0), "{text}");
    assert!(text.contains("accepted as `alice` of `partner`"), "{text}");
    let inspected = gateway.portcullis(&["token", "inspect", "--format", "json", "bad"]);
    let told: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!((inspected.status.code(), &told["reason"]), (Some(3), &json!("inactive")));
    assert_eq!(provider.count(), 3);
    let cases = gateway.config().with_file_name("cases.yaml");
    let case = "cases: [{ name: x, request: { path: /items }, credentials: { bearer: alice }, expect: { status: 200 } }]";
    std::fs::write(&cases, case).unwrap();
    let tested = gateway.portcullis(&["test", cases.to_str().unwrap()]);
    let text = String::from_utf8(tested.stdout).unwrap();
    assert_eq!(tested.status.code(), Some(1), "{text}");
    assert!(text.contains("by others, who are not asked here, is unavailable"), "{text}");
    assert_eq!(provider.count(), 3, "nobody was asked");
    provider.is(Mood::Down);
    let told = gateway.portcullis(&["token", "inspect", "alice"]);
    assert_eq!(told.status.code(), Some(3));
    let text = String::from_utf8(told.stderr).unwrap();
    assert!(text.contains("`introspection:partner`: it answered 503"), "{text}");
}
