//! What a listener does before anything is served: who is sent elsewhere, and who is announced.

use std::net::SocketAddr;

use crate::harness::{Authority, Gateway, Guest, Raw, Recorder};

const YAML: &str = "
version: 1
server:
  listen:
    - { address: '127.0.0.1:0', redirect_https: true }
    - address: '127.0.0.1:0'
      proxy_protocol: true
      tls: { certificates: [{ cert: server.pem, key: server.key }] }
  trusted_proxies: [127.0.0.1]
admin: { listen: '127.0.0.1:0' }
upstreams: { app: '@APP@' }
routes:
  - { name: open, match: { hosts: [api.example.com], path: '/open/**' }, upstream: app, auth: none }
";

fn start(authority: &Authority, upstream: &Recorder, redirect: &str) -> (Gateway, SocketAddr) {
    let server = authority.issue(&["api.example.com"]);
    let yaml = YAML.replace("redirect_https: true", &format!("redirect_https: {redirect}"));
    let gateway = Gateway::with_whole(&yaml)
        .put("APP", &upstream.url())
        .file("server.pem", server.cert)
        .file("server.key", server.key)
        .start();
    let clear = gateway.address().to_string();
    let secured = gateway.wait_for_log("the second listener", |line| {
        line["listener"] == "proxy" && line["address"] != clear.as_str()
    });
    let secured = secured["address"].as_str().unwrap().parse().unwrap();
    (gateway, secured)
}

fn request(method: &str, host: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n{more}\r\n")
}

#[test]
fn listeners_that_are_written_alike_have_terms_of_their_own() {
    let upstream = Recorder::start();
    let listen = "    - { address: '127.0.0.1:0' }\n    - { address: '127.0.0.1:0', redirect_https: 8443 }\n";
    let (before, rest) = YAML.split_once("    - { address").unwrap();
    let (_, after) = rest.split_once("  trusted_proxies").unwrap();
    let yaml = format!("{before}{listen}  trusted_proxies{after}");
    let gateway = Gateway::with_whole(&yaml).put("APP", &upstream.url()).start();
    let first = gateway.address().to_string();
    let second = gateway.wait_for_log("the second listener", |line| {
        line["listener"] == "proxy" && line["address"] != first.as_str()
    });
    let second = second["address"].as_str().unwrap().parse().unwrap();
    let asked = request("GET", "api.example.com", "/open/a", "");
    assert_eq!(gateway.raw().send(&asked).answer().status, 200);
    assert_eq!(Raw::connect(second).send(&asked).answer().status, 308);
}

#[test]
fn who_comes_in_clear_is_sent_to_the_same_place_by_https() {
    let (authority, upstream) = (Authority::new(), Recorder::start());
    let (gateway, secured) = start(&authority, &upstream, "true");
    let port = gateway.address().port();
    let mut raw = gateway.raw();
    let asked = request("POST", &format!("api.example.com:{port}"), "/open/a%20b?x=1", "");
    let answer = raw.send(asked).answer();
    assert_eq!(answer.status, 308);
    let place = format!("https://api.example.com:{}/open/a%20b?x=1", secured.port());
    assert_eq!(answer.header("location"), Some(place.as_str()));
    // Nobody is sent to a host that is not served here.
    raw.send(request("GET", "evil.example", "/open/a", "")).answer().refused(404, "no_route");
    raw.send(request("GET", "api.example.com", "/open/../a", ""))
        .answer()
        .refused(400, "ambiguous_path");
    assert_eq!(upstream.count(), 0);
    let line = gateway.wait_for_log("the request", |line| line["status"] == 308);
    assert_eq!(line["reason"], "redirect_https");
}

#[test]
fn who_came_to_a_trusted_proxy_by_https_is_not_sent_round() {
    let (authority, upstream) = (Authority::new(), Recorder::start());
    let (gateway, _) = start(&authority, &upstream, "443");
    let ask = |more: &str| {
        gateway.raw().send(request("GET", "api.example.com", "/open/a", more)).answer()
    };
    assert_eq!(ask("").header("location"), Some("https://api.example.com/open/a"));
    ask("X-Forwarded-Proto: https\r\n").ok();
    assert_eq!(upstream.last().header("x-forwarded-proto"), Some("https"));
}

#[test]
fn a_client_is_announced_before_its_handshake() {
    let (authority, upstream) = (Authority::new(), Recorder::start());
    let (gateway, secured) = start(&authority, &upstream, "false");
    let connect = |before: &[u8]| {
        Guest { before, ..Guest::of(&authority) }.connect(secured, "api.example.com")
    };
    let announced = b"PROXY TCP6 2001:db8::9 2001:db8::1 49153 443\r\n";
    let mut raw = connect(announced).unwrap().raw();
    raw.send(request("GET", "api.example.com", "/open/a", "")).answer().ok();
    assert_eq!(upstream.last().header("x-forwarded-for"), Some("2001:db8::9"));
    let line = gateway.wait_for_log("the request", |line| line["route"] == "open");
    assert_eq!(line["client_ip"], "2001:db8::9");
    assert!(connect(b"").is_err(), "a handshake without an announcement goes on");
}
