//! Requests that another service knows the sender of: an application with sessions of its own, and services that fail.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Answer, App, Gateway, Mood, Peer, Recorder, Reply, Setting};

const CONFIG: &str = "
upstreams: { app: { builtin: echo }, doorman: '@DOORMAN@' }
authentication:
  forward_auth:
    legacy:
      url: '@SERVICE@/check'
      send: [Authorization, Cookie]
      take: [X-User, X-Groups]
      subject: X-User
      roles: X-Groups
      timeout: '@TIMEOUT@'
      cache: '@CACHE@'
roles: { staff: { permissions: ['read:items'] } }
routes:
  - { name: doorman, match: { path: [/login, /logout] }, upstream: doorman, auth: none }
  - { name: items, match: { path: /items }, upstream: app, auth: ['forward_auth:legacy'] }
  - { name: staff, match: { path: /staff }, upstream: app, auth: ['forward_auth:legacy'], allow: { permissions: ['read:items'] } }
  - { name: vault, match: { path: '/vault/{rest*}' }, upstream: app, auth: ['forward_auth:legacy'] }
  - { name: legacy, match: { path: /legacy }, upstream: app, auth: ['forward_auth:legacy'], forward_credentials: true }
  - { name: perhaps, match: { path: /perhaps }, upstream: app, auth: { optional: ['forward_auth:legacy'] } }
  - { name: open, match: { path: /open }, upstream: app, auth: none }
";

fn setting(service: &str) -> Setting {
    Gateway::with(CONFIG)
        .put("DOORMAN", service)
        .put("SERVICE", service)
        .put("TIMEOUT", "5s")
        .put("CACHE", "0s")
}

/// Logs in as a browser would, through the gateway; the cookie.
fn log_in(gateway: &Gateway, username: &str) -> String {
    let answer = gateway.call("POST", "/login").form(&[("username", username)]).send();
    let cookie = answer.ok().header("set-cookie").unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

fn told(answer: &Answer) -> Value {
    answer.ok().json()["headers"].clone()
}

/// A service that answers as a test says, and until then that this is alice of the staff.
fn service() -> Peer {
    let lines = "X-User: alice\r\nX-Groups: staff\r\n";
    Peer::start(move |_| Reply("200 OK", lines.to_owned(), String::new()))
}

fn answers(service: &Peer, status: &'static str, lines: &str, body: &str) {
    service.is(Mood::Says(Reply(status, lines.to_owned(), body.to_owned()).bytes()));
}

#[test]
fn a_session_of_an_old_application_opens_the_apps_behind_the_gateway() {
    let doorman = App::start("doorman", &[]);
    let gateway = setting(&doorman.url()).start();
    let cookie = log_in(&gateway, "alice");
    let headers = told(&gateway.get("/items?page=2").header("cookie", &cookie).send());
    assert_eq!(
        (&headers["x-user"], &headers["x-groups"]),
        (&json!("alice"), &json!("staff, Domain Admins"))
    );
    assert_eq!(
        (&headers["x-user-id"], &headers["x-auth-method"]),
        (&json!("alice"), &json!("forward_auth"))
    );
    assert_eq!(headers["x-user-roles"], "staff,Domain%20Admins");
    assert!(headers.get("cookie").is_none(), "the app has no use for it");
    let asked = doorman.get("/asked").send().json();
    let host = format!("127.0.0.1:{}", gateway.address().port());
    assert_eq!(
        asked[0],
        json!({"method": "GET", "Method": "GET", "Proto": "http", "Host": host, "Uri": "/items?page=2", "For": "127.0.0.1"})
    );
    gateway.get("/staff").header("cookie", &cookie).send().ok();
    let bob = log_in(&gateway, "bob");
    gateway.get("/staff").header("cookie", &bob).send().refused(403, "missing_permissions");
    gateway.get("/vault/1").header("cookie", &cookie).send().ok();
    gateway.get("/vault/1").header("cookie", &bob).send().refused(403, "denied");
    let stranger = gateway.get("/items").header("cookie", "session=forged").send();
    stranger.refused(401, "invalid_credentials");
    assert_eq!(
        stranger.lines("www-authenticate"),
        ["Cookie realm=\"doorman\", form-action=\"/login\""]
    );
    gateway.get("/items").send().refused(401, "missing_credentials");
    gateway.wait_for_log("why", |line| line["reason"] == "forward_auth_unauthorized");
    gateway.wait_for_log("why", |line| line["reason"] == "forward_auth_forbidden");
    let line = gateway.logged(|line| line["auth_method"] == "forward_auth").unwrap();
    assert_eq!((&line["principal"], &line["issuer"]), (&json!("alice"), &json!("legacy")));
    assert!(
        !gateway.output().contains(cookie.split('=').nth(1).unwrap()),
        "no credential in any log"
    );
    let counted = |outcome: &str| {
        let labels = format!("authority=\"legacy\",method=\"forward_auth\",outcome=\"{outcome}\"");
        gateway.metric(&format!("portcullis_authority_requests_total{{{labels}}}"))
    };
    assert_eq!((counted("accepted"), counted("refused")), (4.0, 2.0));
}

#[test]
fn what_a_client_says_in_the_place_of_the_service_reaches_no_app() {
    let service = service();
    let gateway = setting(&service.url()).start();
    answers(&service, "200 OK", "X-User: alice\r\n", "");
    let forged = |target: &str| {
        let call = gateway.get(target).header("x-user", "admin").header("x-groups", "admins");
        call.header("X_User", "admin").header("x_groups", "admins").header("x.groups", "admins")
    };
    let known = told(&forged("/items").header("cookie", "a=b").send());
    assert_eq!(known["x-user"], "alice");
    let open = told(&forged("/open").header("cookie", "a=b").send());
    let nobody = told(&forged("/perhaps").send());
    for (headers, user) in [(&known, Some("alice")), (&open, None), (&nobody, None)] {
        let named = |name: &str| name.replace(['_', '.'], "-").to_ascii_lowercase();
        for (name, value) in headers.as_object().unwrap() {
            match named(name).as_str() {
                "x-groups" => panic!("{name}: {value}"),
                "x-user" => assert_eq!(value.as_str(), user, "{name}"),
                _ => {}
            }
        }
    }
    let roles = known.get("x-user-roles");
    assert!(roles.is_none(), "the service named no group: {roles:?}");
    assert_eq!(open["cookie"], "a=b", "where nobody is asked nothing is taken away");
    let legacy =
        told(&gateway.get("/legacy").header("cookie", "a=b").header("x-user", "admin").send());
    assert_eq!((&legacy["cookie"], &legacy["x-user"]), (&json!("a=b"), &json!("alice")));
}

#[test]
fn a_service_that_is_down_slow_or_strange_lets_nobody_in() {
    let service = service();
    let gateway = Gateway::with(CONFIG)
        .put("DOORMAN", "http://127.0.0.1:1")
        .put("SERVICE", &service.url())
        .put("TIMEOUT", "300ms")
        .put("CACHE", "0s")
        .start();
    let ask = || gateway.get("/items").header("cookie", "a=b").send();
    let state = || {
        gateway.admin("GET", "/readyz").send().ok().json()["checks"]["forward_auth:legacy"].clone()
    };
    ask().ok();
    gateway.wait_until_ready();
    assert_eq!(state(), "ok");
    let other = Recorder::start();
    let elsewhere = format!("Location: {}/check\r\nX-User: admin\r\n", other.url());
    for (status, lines) in [
        ("500 Internal Server Error", "X-User: alice\r\n"),
        ("404 Not Found", "X-User: alice\r\n"),
        ("302 Found", &elsewhere),
        ("307 Temporary Redirect", &elsewhere),
        ("200 OK", "X-User: alice\r\nX-User: admin\r\n"),
    ] {
        answers(&service, status, lines, "");
        let refused = ask();
        refused.refused(503, "unavailable");
        assert!(refused.header("location").is_none());
    }
    assert_eq!(other.contacts(), 0);
    assert_eq!(state(), "degraded");
    answers(&service, "200 OK", "X-User: alice\r\n", &"a".repeat((64 << 10) + 1));
    ask().refused(503, "unavailable");
    answers(&service, "200 OK", "X-User: alice\r\n", &"a".repeat(64 << 10));
    ask().ok();
    service.is(Mood::Drips(Duration::from_millis(100)));
    let began = Instant::now();
    ask().refused(503, "unavailable");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    service.is(Mood::Well);
    ask().ok();
    assert_eq!(state(), "ok");
    answers(&service, "200 OK", "X-Groups: admins\r\n", "");
    ask().refused(401, "invalid_credentials");
    gateway.wait_for_log("why", |line| line["reason"] == "forward_auth_no_subject");
}

const ALL: &str = "
upstreams: { app: { builtin: echo } }
authentication:
  forward_auth:
    portal: { url: '@SERVICE@/check', send: [X-Session], subject: Remote-User, roles: Remote-Groups, permissions: Remote-Scopes, plan: Remote-Plan }
plans: { default: 1/hour, pro: 3/hour }
routes:
  - name: all
    match: { path: /** }
    upstream: app
    allow: { roles: [staff], permissions: ['read:items', 'write:items'], when: 'claims[\"remote-plan\"] == \"pro\"' }
    rate_limit: { limit: plan, by: principal }
";

#[test]
fn roles_permissions_and_plan_are_what_the_service_says() {
    let service = service();
    let gateway = Gateway::with(ALL).put("SERVICE", &service.url()).start();
    let lines = "Remote-User: alice\r\nRemote-Groups: Domain Users,staff\r\nRemote-Scopes: read:items write:items\r\nRemote-Plan: pro\r\n";
    answers(&service, "204 No Content", lines, "");
    let ask = || gateway.get("/").header("x-session", "s").header("cookie", "a=b").send();
    let headers = told(&ask());
    assert_eq!(headers["remote-groups"], "Domain Users,staff");
    assert_eq!((&headers["remote-plan"], &headers["cookie"]), (&json!("pro"), &json!("a=b")));
    assert!(headers.get("x-session").is_none());
    assert_eq!(service.last().header("cookie"), None, "it is not told of cookies");
    answers(&service, "200 OK", "Remote-User: alice\r\nRemote-Groups: staff\r\n", "");
    ask().refused(403, "missing_permissions");
    answers(&service, "200 OK", lines, "");
    ask().ok();
    ask().ok();
    ask().refused(429, "rate_limited");
}

#[test]
fn a_page_of_another_site_changes_nothing_with_somebodys_cookies() {
    let service = service();
    let gateway = setting(&service.url()).start();
    let post = |origin: &str| {
        let call = gateway.call("POST", "/items").header("cookie", "a=b").header("origin", origin);
        call.body("x").send()
    };
    post("https://evil.example").refused(403, "cross_site");
    post(&format!("http://127.0.0.1:{}", gateway.address().port())).ok();
    let handshake = gateway
        .get("/items")
        .header("cookie", "a=b")
        .header("origin", "https://evil.example")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    handshake.send().refused(403, "cross_site");
    assert_eq!(service.count(), 1, "nobody was asked about what does not count");
}

#[test]
fn an_answer_is_remembered_for_the_very_same_request() {
    let service = service();
    let gateway = Gateway::with(CONFIG)
        .put("DOORMAN", "http://127.0.0.1:1")
        .put("SERVICE", &service.url())
        .put("TIMEOUT", "5s")
        .put("CACHE", "1h")
        .start();
    let ask = |target: &str, cookie: &str| gateway.get(target).header("cookie", cookie).send();
    for _ in 0..3 {
        ask("/items", "a=b").ok();
    }
    assert_eq!(service.count(), 1);
    ask("/items?x=y", "a=b").ok();
    ask("/staff", "a=b").ok();
    answers(&service, "401 Unauthorized", "", "");
    ask("/items", "a=c").refused(401, "invalid_credentials");
    ask("/items", "a=b").ok();
    assert_eq!(service.count(), 4);
    assert!(
        gateway.metric(r#"portcullis_cache_requests_total{cache="forward_auth",outcome="hit"}"#)
            > 2.5
    );
}

#[test]
fn whoever_inquires_is_told_which_service_is_asked_and_a_policy_test_asks_none() {
    let service = service();
    let gateway = setting(&service.url()).start();
    let explained = gateway.portcullis(&["explain", "GET", "/items", "-H", "Cookie: a=b"]);
    let text = String::from_utf8(explained.stdout).unwrap();
    assert_eq!(explained.status.code(), Some(0), "{text}");
    assert!(text.contains("`legacy` is asked, at http://127.0.0.1:"), "{text}");
    assert!(!text.contains("a=b"), "{text}");
    let cases = gateway.config().with_file_name("cases.yaml");
    let case = "cases:
  - { name: nobody is asked, request: { path: /items, headers: { Cookie: a=b } }, expect: { status: 503, reason: unavailable } }
  - name: what the service would say
    request: { path: /items, headers: { X-User: admin, X-Groups: admins } }
    principal: { subject: alice, issuer: legacy, method: forward_auth, claims: { x-user: alice } }
    expect: { allowed: true, headers: { X-User: alice, X-Groups: false, X-Auth-Method: forward_auth } }
";
    std::fs::write(&cases, case).unwrap();
    let tested = gateway.portcullis(&["test", cases.to_str().unwrap()]);
    let text = String::from_utf8(tested.stdout).unwrap();
    assert_eq!(tested.status.code(), Some(0), "{text}");
    assert_eq!(service.count(), 1, "by `explain` alone");
}
