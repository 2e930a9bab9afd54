//! Cross-origin requests, with a well-known framework's middleware as the measure.

use std::collections::BTreeSet;

use crate::harness::{Answer, App, Call, Gateway, Recorder};
use crate::people::PEOPLE;

/// The terms of `apps/guarded.py`.
const ROUTES: &str = r#"
upstreams: { app: '@APP@' }
defaults:
  auth: [api_key]
  cors: { allow_origins: ["https://app.example.com", "https://*.trusted.example"], allow_credentials: true, allow_methods: [GET, POST, PUT, DELETE], allow_headers: ["*"] }
routes:
  - { name: public, match: { path: /public, methods: [GET, PUT] }, upstream: app, auth: none }
  - { name: known, match: { path: /known }, upstream: app }
  - { name: own, match: { path: /own }, upstream: app, auth: none, cors: upstream }
  - { name: off, match: { path: /off }, upstream: app, auth: none, cors: false }
"#;

fn gateway(upstream: &Recorder) -> Gateway {
    Gateway::with(&format!("{PEOPLE}{ROUTES}")).put("APP", &upstream.url()).start()
}

fn set(answer: &Answer, header: &str) -> BTreeSet<String> {
    let value = answer.header(header).unwrap_or_default();
    value
        .split(',')
        .map(|item| item.trim().to_ascii_lowercase())
        .filter(|item| !item.is_empty())
        .collect()
}

fn preflight(call: Call, origin: &str, method: &str, headers: Option<&str>) -> Answer {
    let call = call.header("origin", origin).header("access-control-request-method", method);
    match headers {
        Some(headers) => call.header("access-control-request-headers", headers).send(),
        None => call.send(),
    }
}

#[test]
fn a_preflight_says_what_the_frameworks_middleware_says() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let measure = App::shared("guarded", &[]);
    for (origin, method, headers) in [
        ("https://app.example.com", "GET", None),
        ("https://app.example.com", "PUT", Some("x-custom, authorization")),
        ("https://evil.example", "GET", None),
        ("https://app.example.com.evil.example", "GET", None),
        ("http://app.example.com", "GET", None),
        ("null", "GET", None),
    ] {
        let ours = preflight(gateway.call("OPTIONS", "/public"), origin, method, headers);
        let theirs = preflight(measure.call("OPTIONS", "/public"), origin, method, headers);
        let case = format!(
            "{origin} {method} {headers:?}: {:?} against {:?}",
            ours.headers, theirs.headers
        );
        assert_eq!(ours.status, 204, "{case}");
        let allowed = theirs.status == 200;
        let name = "access-control-allow-origin";
        assert_eq!(ours.header(name), theirs.header(name).filter(|_| allowed), "{case}");
        if allowed {
            let name = "access-control-allow-credentials";
            assert_eq!(ours.header(name), theirs.header(name), "{case}");
            let methods = set(&ours, "access-control-allow-methods");
            assert!(methods.contains(&method.to_ascii_lowercase()), "{case}");
            assert!(methods.is_subset(&set(&theirs, "access-control-allow-methods")), "{case}");
            for header in
                headers.unwrap_or_default().split(", ").filter(|header| !header.is_empty())
            {
                assert!(set(&ours, "access-control-allow-headers").contains(header), "{case}");
                assert!(set(&theirs, "access-control-allow-headers").contains(header), "{case}");
            }
        }
        let vary = ours.lines("vary").join(",").to_ascii_lowercase();
        for name in ["origin", "access-control-request-method", "access-control-request-headers"] {
            assert!(vary.contains(name), "{case}");
        }
    }
    assert_eq!(upstream.contacts(), 0, "a preflight is answered here");
}

#[test]
fn a_preflight_needs_no_credential_and_opens_no_method_of_another_route() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let answer =
        preflight(gateway.call("OPTIONS", "/known"), "https://a.trusted.example", "DELETE", None);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.trusted.example"));
    let answer =
        preflight(gateway.call("OPTIONS", "/public"), "https://app.example.com", "DELETE", None);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let plain =
        gateway.call("OPTIONS", "/known").header("origin", "https://app.example.com").send();
    plain.refused(401, "missing_credentials");
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn an_answer_is_shared_with_allowed_origins_alone() {
    let upstream = Recorder::answering(
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\nContent-Length: 0\r\n\r\n",
    );
    let gateway = gateway(&upstream);
    for (target, origin, shared) in [
        ("/public", Some("https://app.example.com"), Some("https://app.example.com")),
        ("/public", Some("https://evil.example"), None),
        ("/public", Some("https://eviltrusted.example"), None),
        ("/public", None, None),
        ("/known", Some("https://app.example.com"), Some("https://app.example.com")),
        ("/nowhere", Some("https://app.example.com"), Some("https://app.example.com")),
        ("/own", Some("https://evil.example"), Some("*")),
        ("/off", Some("https://evil.example"), Some("*")),
    ] {
        let call = gateway.get(target);
        let answer = origin.map_or(call.clone(), |origin| call.header("origin", origin)).send();
        let case = format!("{target} from {origin:?}: {} {:?}", answer.status, answer.headers);
        assert_eq!(answer.header("access-control-allow-origin"), shared, "{case}");
        if !matches!(target, "/own" | "/off") {
            let vary = answer.lines("vary").join(",").to_ascii_lowercase();
            assert!(vary.contains("origin"), "{case}");
        }
    }
}

#[test]
fn a_page_can_read_why_its_request_was_not_even_looked_at() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    for (target, status) in [("x".repeat(9000), 414), ("public#x".to_owned(), 400)] {
        let mut raw = gateway.raw();
        raw.send(format!(
            "GET /{target} HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example.com\r\n\r\n"
        ));
        let answer = raw.answer();
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (status, Some("https://app.example.com"))
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[test]
fn where_the_application_does_it_itself_the_preflight_goes_there() {
    let upstream =
        Recorder::answering("HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: *\r\n\r\n");
    let gateway = gateway(&upstream);
    let answer = preflight(gateway.call("OPTIONS", "/own"), "https://evil.example", "GET", None);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(upstream.count(), 1);
}
