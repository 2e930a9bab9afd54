//! The admin listener, the metrics and the access log, as an operator meets them.

use serde_json::json;

use crate::harness::{Gateway, Raw, Recorder};
use crate::people::{BOB, KEY, PEOPLE};

const ROUTES: &str = "
upstreams: { app: '@APP@' }
defaults: { auth: [api_key] }
routes:
  - { name: known, match: { path: '/known/{id}', methods: [GET, POST] }, upstream: app }
";

fn gateway(upstream: &Recorder) -> Gateway {
    Gateway::with(&format!("{PEOPLE}{ROUTES}")).put("APP", &upstream.url()).start()
}

#[test]
fn health_readiness_and_metrics_need_nothing() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    gateway.wait_until_ready();
    for target in ["/healthz", "/readyz", "/metrics"] {
        let answer = gateway.admin("GET", target).header("x-any", "thing").send();
        answer.ok();
        let mut raw = Raw::connect(gateway.admin_address());
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: anything.example\r\n\r\n")).answer().ok();
    }
    let metrics = gateway.admin("GET", "/metrics").send();
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    for family in
        ["portcullis_build_info{", "process_resident_memory_bytes", "portcullis_requests_in_flight"]
    {
        assert!(metrics.text().contains(family), "{family}");
    }
    gateway.get("/healthz").send().refused(404, "no_route");
}

#[test]
fn the_api_is_guarded_against_foreign_hosts_and_origins() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let ask = |head: &str| {
        let mut raw = Raw::connect(gateway.admin_address());
        raw.send(format!("{head}\r\n\r\n")).answer()
    };
    ask(&format!("GET /api/v1/status HTTP/1.1\r\nHost: {}", gateway.admin_address())).ok();
    ask("GET /api/v1/status HTTP/1.1\r\nHost: localhost").ok();
    ask("GET http://rebound.example/api/v1/status HTTP/1.1\r\nHost: localhost")
        .refused(421, "misdirected");
    ask("GET /api/v1/status HTTP/1.1\r\nHost: rebound.example").refused(421, "misdirected");
    ask("POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nContent-Length: 0")
        .refused(403, "cross_site");
}

#[test]
fn with_a_token_the_api_opens_to_that_token_alone() {
    let upstream = Recorder::start();
    let yaml = format!("{}{PEOPLE}{ROUTES}", crate::harness::PORTS).replacen(
        "admin: {",
        "admin: { token: a-token-for-the-admin-api, ",
        1,
    );
    let gateway = Gateway::with_whole(&yaml).put("APP", &upstream.url()).start();
    let status = || gateway.admin("GET", "/api/v1/status");
    assert_eq!(status().send().status, 401);
    assert_eq!(status().bearer("another-token-altogether").send().status, 401);
    status().bearer("a-token-for-the-admin-api").send().ok();
    gateway.admin("POST", "/api/v1/reload").bearer("a-token-for-the-admin-api").send().ok();
    assert!(!gateway.output().contains("a-token-for-the-admin-api"));
}

#[test]
fn every_request_leaves_one_line_that_says_what_happened() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let call = gateway.call("POST", "/known/7?secret=query").header("x-api-key", KEY);
    call.header("x-request-id", "first").body("hello").send().ok();
    let line = gateway.wait_for_log("the line", |line| line["request_id"] == "first");
    for (field, value) in [
        ("method", json!("POST")),
        ("path", json!("/known/7")),
        ("route", json!("known")),
        ("status", json!(200)),
        ("outcome", json!("allowed")),
        ("principal", json!("robot")),
        ("issuer", json!("local")),
        ("auth_method", json!("api_key")),
        ("client_ip", json!("127.0.0.1")),
        ("upstream", json!("app")),
        ("request_bytes", json!(5)),
        ("response_bytes", json!(2)),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert!(line["duration_ms"].is_number() && line["time"].is_string(), "{line}");
    assert!(!line.to_string().contains("secret"), "the query stays out of the log");

    gateway
        .get("/known/7")
        .header("x-request-id", "second")
        .send()
        .refused(401, "missing_credentials");
    let line = gateway.wait_for_log("the refusal", |line| line["request_id"] == "second");
    assert_eq!(
        (&line["outcome"], &line["reason"]),
        (&json!("denied"), &json!("missing_credentials")),
        "{line}"
    );
}

#[test]
fn an_access_log_without_identity_names_nobody() {
    let upstream = Recorder::start();
    let yaml = format!("log: {{ identity: false }}\n{PEOPLE}{ROUTES}");
    let gateway = Gateway::with(&yaml).put("APP", &upstream.url()).start();
    gateway.get("/known/7").header("x-api-key", KEY).header("x-request-id", "one").send().ok();
    let line = gateway.wait_for_log("the line", |line| line["request_id"] == "one");
    for field in ["principal", "issuer", "roles", "permissions"] {
        assert!(line.get(field).is_none_or(serde_json::Value::is_null), "{field} in {line}");
    }
}

#[test]
fn requests_are_counted_under_labels_of_the_configuration_alone() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    gateway.get("/known/1").header("x-api-key", KEY).send().ok();
    gateway.get("/known/2").header("x-api-key", KEY).send().ok();
    gateway.get("/known/1").send();
    for path in ["/a", "/b", "/c"] {
        gateway.call("BREW", path).send();
    }
    gateway.login(BOB.0, BOB.1);
    let count = |labels: &str| gateway.metric(&format!("portcullis_requests_total{{{labels}}}"));
    assert_eq!(count(r#"method="GET",route="known",status="200""#), 2.0);
    assert_eq!(count(r#"method="GET",route="known",status="401""#), 1.0);
    assert_eq!(count(r#"method="other",route="-",status="404""#), 3.0);
    let decided = r#"portcullis_decisions_total{outcome="denied",reason="missing_credentials",route="known"}"#;
    assert_eq!(gateway.metric(decided), 1.0);
    let asked = format!(
        r#"portcullis_upstream_requests_total{{status="200",target="{}",upstream="app"}}"#,
        upstream.address()
    );
    assert_eq!(gateway.metric(&asked), 2.0);
}
