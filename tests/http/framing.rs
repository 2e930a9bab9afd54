//! What is not a request, or could be two: refused on the raw socket, the connection closed, nobody behind asked.

use crate::harness::{Gateway, Recorder};

const YAML: &str = "
version: 1
server: { listen: [{ address: '127.0.0.1:0' }], limits: { uri_bytes: 1KiB, header_bytes: 4KiB, header_count: 20 } }
admin: { listen: '127.0.0.1:0' }
upstreams: { app: '@APP@' }
routes: [{ name: all, match: { path: '/**' }, upstream: app, auth: none }]
";

fn gateway(upstream: &Recorder) -> Gateway {
    Gateway::with_whole(YAML).put("APP", &upstream.url()).start()
}

/// A request in pieces that would be a second one if anybody disagreed about where the first ends.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn ambiguous_or_malformed_framing_is_refused_and_the_connection_closed() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let cases = [
        (
            "both lengths",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "two equal lengths",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 36\r\n\r\n",
        ),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0\r\n\r\n"),
        ("a signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n"),
        ("a negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
        ("a length in hex", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0\r\n\r\n"),
        (
            "a length beyond counting",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        ),
        ("an empty length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n"),
        ("another coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n"),
        ("identity", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n"),
        (
            "a second coding",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked twice",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked on two lines",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked misspelled",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked in quotes",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        ),
        (
            "a tab before chunked's end",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked to an old server",
            "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        ("a host with a path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n"),
        ("a host with a user", "GET / HTTP/1.1\r\nHost: a@x\r\n\r\n"),
        ("a host with a space", "GET / HTTP/1.1\r\nHost: x y\r\n\r\n"),
        ("a host of dots", "GET / HTTP/1.1\r\nHost: ..\r\n\r\n"),
        ("a bad port", "GET / HTTP/1.1\r\nHost: x:y\r\n\r\n"),
        ("a folded line", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n"),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost: x\r\nX-A : a\r\n\r\n"),
        ("a space in a name", "GET / HTTP/1.1\r\nHost: x\r\nX A: a\r\n\r\n"),
        ("no name", "GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n"),
        ("a bare LF", "GET / HTTP/1.1\nHost: x\n\n"),
        ("one bare LF", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\nX-B: b\r\n\r\n"),
        ("a bare CR", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\rX-B: b\r\n\r\n"),
        ("a NUL", "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\0b\r\n\r\n"),
        ("no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a target without a slash", "GET x HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a target of a query", "GET ?a HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("two spaces behind the target", "GET /  HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a space in the path", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a space in the query", "GET /?a b HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a version in the target", "GET / HTTP/1.1 x HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("another version", "GET / HTTP/2.7\r\nHost: x\r\n\r\n"),
        ("no HTTP at all", "nonsense\r\n\r\n"),
    ];
    for (what, request) in cases {
        let mut raw = gateway.raw();
        raw.send(request);
        raw.offer(SMUGGLED);
        let answer = raw.head();
        assert_eq!(answer.status, 400, "{what}");
        let rest = raw.rest();
        assert!(
            !String::from_utf8_lossy(&rest).contains("HTTP/1.1"),
            "{what}: answered a second time"
        );
        assert_eq!(upstream.contacts(), 0, "{what} reached the upstream");
    }
}

#[test]
fn a_broken_chunk_never_becomes_a_request() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    for chunk in [
        "x\r\n",
        "-1\r\n",
        "0x1\r\na\r\n",
        "ffffffffffffffffff\r\n",
        "2\r\nabc\r\n",
        "1\r\na0\r\n\r\n",
        "1 \n",
    ] {
        let mut raw = gateway.raw();
        raw.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        raw.offer(chunk);
        raw.offer(SMUGGLED);
        raw.finish();
        let rest = raw.rest();
        let answers = String::from_utf8_lossy(&rest).matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{chunk:?}: {answers} answers");
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"), "{chunk:?}");
    }
    assert!(upstream.received().iter().all(|seen| seen.target() != "/smuggled"));
}

#[test]
fn what_is_too_large_is_named() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let long = "x".repeat(1025);
    let many: String = (0..21).map(|n| format!("X-{n}: y\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "y".repeat(4096));
    for (request, status, code) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 414, "uri_too_long"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 431, "headers_too_large"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{large}\r\n"), 431, "headers_too_large"),
    ] {
        gateway.raw().send(request).answer().refused(status, code);
    }
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn methods_that_would_turn_the_connection_are_not_allowed() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    for request in [
        "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let mut raw = gateway.raw();
        assert_eq!(raw.send(request).head().status, 405, "{request}");
    }
    let answer = gateway.raw().send("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n").head();
    assert!(
        answer.header("allow").is_some_and(|allow| allow.contains("GET")),
        "{:?}",
        answer.headers
    );
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn an_absolute_target_is_reduced_to_its_path_and_may_not_name_another_host() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut raw = gateway.raw();
    raw.send("GET http://x.example/a%20b?c HTTP/1.1\r\nHost: x.example\r\n\r\n");
    raw.answer().ok();
    let seen = upstream.last();
    assert_eq!(seen.target(), "/a%20b?c");
    assert_eq!(seen.header("host"), Some("x.example"));
    let mut raw = gateway.raw();
    raw.send("GET http://other.example/ HTTP/1.1\r\nHost: x.example\r\n\r\n");
    assert_eq!(raw.head().status, 400);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_space_in_a_target_that_is_sent_ahead_is_a_space_for_everybody() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    // The parser encodes it before anything is decided, and what was decided upon is what goes on.
    let mut raw = gateway.raw();
    raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /a b HTTP/1.1\r\nHost: x\r\n\r\n");
    raw.answer().ok();
    let second = raw.answer();
    assert!(matches!(second.status, 200 | 400), "{}", second.status);
    if second.status == 200 {
        assert_eq!(upstream.last().target(), "/a%20b");
    }
    // What follows a request that ended is looked at as it came.
    let mut raw = gateway.raw();
    raw.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer().ok();
    assert_eq!(raw.send("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n").head().status, 400);
}

#[test]
fn an_upgrade_that_is_no_websocket_handshake_is_dropped() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    for upgrade in [
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ] {
        let mut raw = gateway.raw();
        raw.send(upgrade).answer().ok();
        assert!(upstream.last().all("upgrade").is_empty(), "{}", upstream.last().text());
    }
}
