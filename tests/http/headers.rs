//! What the application is told, and what nobody can tell it in the gateway's place.

use crate::harness::{App, Gateway, Raw, Recorder};
use crate::people::{KEY, PEOPLE};

const ROUTES: &str = r#"
upstreams: { app: '@APP@' }
defaults: { auth: [api_key] }
routes:
  - { name: open, match: { path: /open }, upstream: app, auth: none }
  - { name: known, match: { path: /known }, upstream: app }
  - name: dressed
    match: { path: "/dressed/{what}" }
    upstream: app
    auth: none
    request: { headers: { set: { X-What: "{path.what}", X-Constant: yes }, add: { X-More: more }, remove: [X-Gone] } }
    response: { headers: { set: { X-Answer: "{request.id}" }, remove: [X-Powered-By] } }
    security_headers: { X-Frame-Options: SAMEORIGIN }
  - { name: moved, match: { path: "/api/{rest*}" }, upstream: app, auth: none, request: { strip_prefix: /api } }
  - { name: rewritten, match: { path: "/old/{rest*}" }, upstream: app, auth: none, request: { rewrite: "/new/{path.rest}" } }
"#;

fn gateway(app: &str) -> Gateway {
    Gateway::with(&format!("{PEOPLE}{ROUTES}")).put("APP", app).start()
}

/// Letters and digits in one case, everything else one dash: what servers of the CGI kind make of a name.
fn folded(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect()
}

#[test]
fn no_spelling_of_an_identity_header_reaches_a_wsgi_application() {
    let app = App::start("environ", &[]);
    let gateway = gateway(&app.url());
    let names = [
        "X-User-Id",
        "X-User-Roles",
        "X-Auth-Method",
        "Remote-User",
        "X-Forwarded-User",
        "X-Real-IP",
    ];
    let mut taken = 0;
    for separator in ('!'..='~').filter(|c| !c.is_ascii_alphanumeric()) {
        for name in names {
            for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                let name = name.replace('-', &separator.to_string());
                for target in ["/open", "/known"] {
                    let mut raw = gateway.raw();
                    raw.send(format!(
                        "GET {target} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n{name}: forged\r\nConnection: close\r\n\r\n"
                    ));
                    let answer = raw.answer();
                    if answer.status == 400 {
                        continue;
                    }
                    taken += 1;
                    let seen = answer.ok().json();
                    for (variable, value) in seen.as_object().unwrap() {
                        let is_identity = names
                            .iter()
                            .any(|n| folded(variable.trim_start_matches("HTTP_")) == folded(n));
                        let forged = value.as_str().unwrap().contains("forged");
                        assert!(!(is_identity && forged), "{name} on {target}: {seen}");
                    }
                    let known = seen.get("HTTP_X_USER_ID").and_then(|value| value.as_str());
                    assert_eq!(
                        known,
                        (target == "/known").then_some("robot"),
                        "{name} on {target}"
                    );
                }
            }
        }
    }
    assert!(taken > 15 * names.len(), "only {taken} spellings got past the parser");
}

#[test]
fn a_client_cannot_have_the_gateways_own_headers_removed() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    for list in [
        "x-user-id",
        "X-USER-ID, keep-alive",
        "close, x-user-roles,x-user-id",
        "x-forwarded-for, x-real-ip",
    ] {
        let mut raw = gateway.raw();
        raw.send(format!(
            "GET /known HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nConnection: {list}\r\nKeep-Alive: timeout=9\r\n\r\n"
        ));
        raw.answer().ok();
        let seen = upstream.last();
        assert_eq!(seen.header("x-user-id"), Some("robot"), "{list}");
        assert_eq!(seen.header("x-user-roles"), Some("user"), "{list}");
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"), "{list}");
        assert!(
            seen.all("keep-alive").is_empty()
                && seen.all("connection").iter().all(|c| !c.contains("x-"))
        );
    }
}

#[test]
fn what_belongs_to_one_connection_stays_on_it() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    raw.send(
        "GET /open HTTP/1.1\r\nHost: x\r\nConnection: x-private\r\nX-Private: 1\r\nProxy-Connection: keep-alive\r\n\
         Proxy-Authorization: Basic eDp5\r\nTE: trailers\r\nX-Kept: 2\r\n\r\n",
    );
    raw.answer().ok();
    let seen = upstream.last();
    for name in ["x-private", "proxy-connection", "proxy-authorization", "te"] {
        assert!(seen.all(name).is_empty(), "{name} in {}", seen.text());
    }
    assert_eq!(seen.header("x-kept"), Some("2"));
}

#[test]
fn where_a_request_came_from_is_told_by_the_gateway_alone() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    gateway
        .get("/open")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-port", "443")
        .header("x-forwarded-prefix", "/evil")
        .header("x-real-ip", "203.0.113.9")
        .header("x-original-url", "/admin")
        .header("x-rewrite-url", "/admin")
        .header("forwarded", "for=203.0.113.9")
        .header("proxy", "http://evil.example")
        .send()
        .ok();
    let seen = upstream.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some(gateway.address().to_string().as_str()));
    assert_eq!(
        seen.header("x-forwarded-port"),
        Some(gateway.address().port().to_string().as_str())
    );
    assert!(!seen.header("forwarded").unwrap().contains("203.0.113.9"));
    for name in ["x-original-url", "x-rewrite-url", "x-forwarded-prefix", "proxy"] {
        assert!(seen.all(name).is_empty(), "{name} in {}", seen.text());
    }
}

#[test]
fn a_trusted_proxy_speaks_for_its_client_up_to_the_last_hop_it_can_vouch_for() {
    let upstream = Recorder::start();
    let yaml = "
version: 1
server: { listen: [{ address: '127.0.0.1:0' }], trusted_proxies: [127.0.0.0/8, 10.0.0.0/8] }
admin: { listen: '127.0.0.1:0' }
upstreams: { app: '@APP@' }
routes: [{ name: open, match: { path: /open }, upstream: app, auth: none }]
";
    let gateway = Gateway::with_whole(yaml).put("APP", &upstream.url()).start();
    for (list, client) in [
        ("203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("1.1.1.1, nonsense, 10.0.0.7", "10.0.0.7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[2001:db8::1]:80, 10.0.0.7", "2001:db8::1"),
    ] {
        gateway.get("/open").header("x-forwarded-for", list).send().ok();
        assert_eq!(upstream.last().header("x-real-ip"), Some(client), "{list}");
    }
}

#[test]
fn a_request_keeps_a_proper_id_and_gets_one_otherwise() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    let answer = gateway.get("/open").header("x-request-id", "abc-1_2.3").send();
    assert_eq!(answer.header("x-request-id"), Some("abc-1_2.3"));
    assert_eq!(upstream.last().header("x-request-id"), Some("abc-1_2.3"));
    for improper in ["a b", "x\"y", &"a".repeat(129)] {
        let answer = gateway.get("/open").header("x-request-id", improper).send();
        let id = answer.header("x-request-id").unwrap();
        assert_ne!(id, improper);
        assert_eq!(upstream.last().header("x-request-id"), Some(id));
    }
    let refused = gateway.get("/known").header("x-request-id", "abc").send();
    assert_eq!(refused.header("x-request-id"), Some("abc"));
    assert_eq!(refused.json()["request_id"], "abc");
    gateway.wait_for_log("the refusal's line", |line| {
        line["request_id"] == "abc" && line["status"] == 401
    });
}

#[test]
fn every_answer_wears_the_security_headers_once() {
    let upstream = Recorder::answering(
        "HTTP/1.1 200 OK\r\nX-Frame-Options: ALLOWALL\r\nX-Powered-By: an app\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    );
    let gateway = gateway(&upstream.url());
    let answers = [
        gateway.get("/open").send(),
        gateway.get("/known").send(),
        gateway.get("/nowhere").send(),
        gateway.call("POST", "/auth/token").body("x").send(),
    ];
    for answer in &answers {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{}", answer.status);
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{}", answer.status);
        assert_eq!(answer.header("x-xss-protection"), Some("1; mode=block"), "{}", answer.status);
        let hsts = answer.header("strict-transport-security");
        assert_eq!(hsts, Some("max-age=31536000; includeSubDomains"), "{}", answer.status);
    }
    assert_eq!(answers[0].lines("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answers[0].header("x-powered-by"), Some("an app"));
}

#[test]
fn a_route_dresses_its_requests_and_answers() {
    let upstream =
        Recorder::answering("HTTP/1.1 200 OK\r\nX-Powered-By: an app\r\nContent-Length: 0\r\n\r\n");
    let gateway = gateway(&upstream.url());
    let answer = gateway
        .get("/dressed/a%C3%A9%25b")
        .header("x-what", "forged")
        .header("x_what", "forged")
        .header("x-constant", "forged")
        .header("x-more", "mine")
        .header("x-gone", "1")
        .send();
    answer.ok();
    let seen = upstream.last();
    assert_eq!(seen.header("x-what"), Some("a%C3%A9%25b"), "{}", seen.text());
    assert_eq!(seen.header("x-constant"), Some("yes"));
    assert_eq!(seen.all("x-more"), ["mine", "more"]);
    assert!(seen.all("x-gone").is_empty() && !seen.text().contains("forged"), "{}", seen.text());
    assert_eq!(answer.header("x-answer"), answer.header("x-request-id"));
    assert_eq!(answer.header("x-powered-by"), None);
    assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
}

#[test]
fn a_path_is_forwarded_as_it_came_or_as_the_route_rewrites_it() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    for (asked, forwarded) in [
        ("/open?a=%2f&&b", "/open?a=%2f&&b"),
        ("/open/", "/open/"),
        ("/api/x/%20y?z", "/x/%20y?z"),
        ("/old/x/%20y?z", "/new/x/%20y?z"),
    ] {
        gateway.get(asked).send().ok();
        assert_eq!(upstream.last().target(), forwarded);
    }
    let contacts = upstream.count();
    for hostile in ["/api/../known", "/api//known", "/old/..%2fknown"] {
        let mut raw: Raw = gateway.raw();
        raw.send(format!("GET {hostile} HTTP/1.1\r\nHost: x\r\n\r\n"));
        raw.answer().refused(400, "ambiguous_path");
    }
    assert_eq!(upstream.count(), contacts);
}

#[test]
fn an_answer_whose_end_cannot_be_told_for_sure_is_broken() {
    for framing in [
        "Transfer-Encoding: xchunked\r\nContent-Length: 2",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: 2, 2",
    ] {
        let upstream =
            Recorder::answering(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n0\r\n\r\n"));
        let gateway = Gateway::with(
            "upstreams: { app: '@APP@' }\nroutes: [{ match: { path: '/**' }, upstream: app, auth: none }]",
        )
        .put("APP", &upstream.url())
        .start();
        gateway.get("/x").send().refused(502, "upstream_error");
    }
}

#[test]
fn whatever_an_application_says_of_other_origins_is_replaced_where_the_gateway_does() {
    let upstream = Recorder::answering(
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Foo: bar\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = Gateway::with(
        "upstreams: { app: '@APP@' }
routes:
  - { match: { path: /told }, upstream: app, auth: none, cors: { allow_origins: [https://a.example] } }
  - { match: { path: /left }, upstream: app, auth: none }",
    )
    .put("APP", &upstream.url())
    .start();
    let told = gateway.get("/told").header("Origin", "https://a.example").send();
    assert_eq!(told.header("access-control-foo"), None);
    assert_eq!(told.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(gateway.get("/left").send().header("access-control-foo"), Some("bar"));
}
