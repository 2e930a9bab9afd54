//! The way through: bytes both ways, connections kept, and what is said when the application is not well.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use ring::digest::{Context, SHA256};
use serde_json::json;

use crate::harness::{After, App, Gateway, Recorder};

const YAML: &str = "
upstreams: { app: { targets: ['@APP@'], timeouts: { connect: 1s, response: 300ms, idle: 300ms } } }
routes:
  - { name: small, match: { path: /small }, upstream: app, auth: none, request: { body_limit: 1KiB } }
  - { name: upload, match: { path: /upload }, upstream: app, auth: none, timeouts: { response: 30s }, request: { body_limit: 64MiB } }
  - { name: download, match: { path: '/download/**' }, upstream: app, auth: none, timeouts: { response: 30s, idle: 30s } }
  - { name: all, match: { path: '/**' }, upstream: app, auth: none }
";

fn gateway(app: &str) -> Gateway {
    Gateway::with(YAML).put("APP", app).start()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_request_arrives_as_it_was_sent() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    raw.send("POST /a%2Fb;c?d=e&&f=%20 HTTP/1.1\r\nHost: app.example\r\nContent-Length: 4\r\nX-Case: aB\r\n\r\n\0\r\n\u{7f}");
    assert_eq!(raw.answer().text(), "ok");
    let seen = upstream.last();
    assert_eq!(seen.target(), "/a%2Fb;c?d=e&&f=%20");
    assert_eq!(seen.header("host"), Some("app.example"), "the host is kept");
    assert_eq!(seen.header("x-case"), Some("aB"));
    assert_eq!(seen.body, b"\0\r\n\x7f");
}

#[test]
fn a_chunked_body_stays_chunked_and_ends() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    raw.send("PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    raw.send("3\r\nabc\r\n").send("2\r\nde\r\n0\r\n\r\n");
    assert_eq!(raw.answer().text(), "ok");
    let seen = upstream.last();
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert!(seen.all("content-length").is_empty());
    let body = String::from_utf8(seen.body).unwrap();
    assert!(body.contains("abc") && body.contains("de") && body.ends_with("0\r\n\r\n"), "{body:?}");
}

#[test]
fn an_encoded_answer_passes_byte_by_byte() {
    let body = [31_u8, 139, 8, 0, 255, 13, 10, 0];
    let mut answer =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n".to_vec();
    answer.extend(body);
    let upstream = Recorder::answering(answer);
    let gateway = gateway(&upstream.url());
    let answer = gateway.get("/x").header("accept-encoding", "gzip, br").send();
    assert_eq!(
        (answer.header("content-encoding"), answer.body.as_slice()),
        (Some("gzip"), &body[..])
    );
    assert_eq!(upstream.last().header("accept-encoding"), Some("gzip, br"));
}

#[test]
fn the_answer_to_head_and_the_bodiless_ones_end_where_they_should() {
    let upstream = Recorder::scripted(|request, stream| {
        let answer = match request.target() {
            "/none" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/same" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
            _ if request.text().starts_with("HEAD") => {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
            }
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        };
        stream.write_all(answer.as_bytes()).unwrap();
        After::KeepOpen
    });
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    raw.send("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(raw.head().header("content-length"), Some("2"));
    raw.send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(raw.answer().status, 204);
    raw.send("GET /same HTTP/1.1\r\nHost: x\r\n\r\n");
    let same = raw.answer();
    assert_eq!((same.status, same.header("etag")), (304, Some("\"x\"")));
    raw.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(raw.answer().text(), "ok", "one connection served all four");
}

#[test]
fn a_client_that_asks_before_sending_is_told_to_go_on() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    raw.send("POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(raw.head().status, 100);
    assert_eq!(raw.send("hello").answer().text(), "ok");
    assert_eq!(upstream.last().body, b"hello");
}

#[test]
fn connections_are_kept_on_both_sides() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    for _ in 0..20 {
        assert_eq!(raw.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").answer().status, 200);
    }
    assert_eq!((upstream.count(), upstream.contacts()), (20, 1));
}

#[test]
fn an_old_client_is_served_and_the_connection_closed() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    raw.send("GET /x HTTP/1.0\r\nHost: x\r\n\r\n");
    assert_eq!(raw.answer().text(), "ok");
    raw.closed();
}

#[test]
fn an_old_client_is_told_nothing_that_it_cannot_read() {
    let upstream = Recorder::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    raw.send("GET /x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
    let head = raw.head();
    assert_eq!(head.status, 200, "no interim answer");
    assert_eq!(
        (head.header("transfer-encoding"), head.header("connection")),
        (None, Some("close")),
        "chunks are of HTTP/1.1"
    );
    assert_eq!(raw.rest(), b"ok");
}

#[test]
fn a_length_that_is_said_twice_is_passed_on_once() {
    let upstream =
        Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok");
    let gateway = gateway(&upstream.url());
    let answer = gateway.get("/x").send();
    assert_eq!((answer.text(), answer.lines("content-length")), ("ok", vec!["2"]));
}

#[test]
fn nobody_there_is_502_and_too_slow_is_504() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway_to_nobody = gateway(&format!("http://{closed}"));
    gateway_to_nobody.get("/x").send().refused(502, "upstream_error");

    let upstream = Recorder::scripted(|request, stream| match request.target() {
        "/garbage" => {
            stream.write_all(b"nonsense\r\n\r\n").unwrap();
            After::Close
        }
        "/hangup" => After::Close,
        "/half" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
            After::Close
        }
        // The answer never comes; the connection stays until the gateway has had enough.
        _ => After::KeepOpen,
    });
    let gateway = gateway(&upstream.url());
    for target in ["/garbage", "/hangup"] {
        let answer = gateway.get(target).send();
        answer.refused(502, "upstream_error");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(answer.header("x-request-id").is_some());
    }
    gateway.get("/slow").send().refused(504, "upstream_timeout");
    let mut raw = gateway.raw();
    raw.send("GET /half HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(raw.head().status, 200);
    assert_eq!(raw.rest(), b"half", "a broken answer ends early, and so does the connection");
    let line = gateway.wait_for_log("the slow one's line", |line| line["path"] == "/slow");
    assert_eq!((&line["status"], &line["upstream"]), (&json!(504), &json!("app")));
}

#[test]
fn an_upstream_whose_name_leads_nowhere_is_503() {
    // RFC 6761, section 6.4: nothing is ever called this.
    let gateway = gateway("http://nowhere.invalid:80");
    gateway.get("/x").send().refused(503, "no_upstream");
}

#[test]
fn a_client_that_sends_ahead_is_answered_in_order_and_in_time() {
    let upstream = Recorder::scripted(|request, stream| match request.target() {
        "/slow" => After::KeepOpen,
        target => {
            std::thread::sleep(Duration::from_millis(50));
            let length = target.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}");
            stream.write_all(answer.as_bytes()).unwrap();
            After::KeepOpen
        }
    });
    let gateway = gateway(&upstream.url());
    let long = format!("/{}", "b".repeat(2000));
    let mut raw = gateway.raw();
    raw.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    upstream.wait_for(1);
    raw.send(format!("GET {long} HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\n\r\n"));
    raw.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    for target in ["/a", &long, "/c"] {
        assert_eq!(raw.answer().text(), target);
    }
    upstream.wait_for(4);
    raw.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
    raw.answer().refused(504, "upstream_timeout");
    raw.closed();
    assert_eq!(upstream.count(), 4);
}

#[test]
fn an_application_that_takes_no_more_of_a_body_is_too_slow() {
    // Nobody accepts; the system takes as much as fits its buffers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = gateway(&format!("http://{}", listener.local_addr().unwrap()));
    let mut raw = gateway.raw();
    raw.send("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    // Not all of this fits, so that the gateway has to stop reading.
    let answer = std::thread::scope(|scope| {
        let mut sender = raw.other();
        scope.spawn(move || (0..150).all(|_| sender.offer(&chunk)));
        raw.answer()
    });
    answer.refused(504, "upstream_timeout");
}

#[test]
fn an_answer_that_stops_in_the_middle_is_cut_off() {
    let upstream = Recorder::scripted(|_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
        After::KeepOpen
    });
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    raw.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(raw.head().status, 200);
    assert_eq!(raw.rest(), b"half");
}

#[test]
fn a_body_over_the_limit_is_refused_before_anybody_sees_it() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream.url());
    gateway.call("POST", "/small").body(vec![b'x'; 1024]).send().ok();
    let mut raw = gateway.raw();
    raw.send("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n");
    raw.answer().refused(413, "body_too_large");
    assert_eq!(upstream.count(), 1);
    let mut raw = gateway.raw();
    raw.send("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    raw.offer(format!("400\r\n{}\r\n", "x".repeat(1024)));
    raw.offer(format!("400\r\n{}\r\n", "x".repeat(1024)));
    raw.offer("0\r\n\r\n");
    assert_eq!(raw.answer().status, 413);
    assert_eq!(upstream.count(), 1, "the application never saw the end of it");
}

#[test]
fn fifty_megabytes_go_up_and_come_down_unchanged() {
    const SIZE: usize = 50 * 1024 * 1024;
    let app = App::shared("streams", &[]);
    let gateway = gateway(&app.url());

    let body: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
    let mut digest = Context::new(&SHA256);
    digest.update(&body);
    let expected = json!({"length": SIZE, "sha256": hex(digest.finish().as_ref())});
    assert_eq!(gateway.call("POST", "/upload").body(body).send().ok().json(), expected);

    for target in [format!("/download/{SIZE}"), format!("/download/{SIZE}?sized")] {
        let answer = gateway.get(&target).send();
        let mut digest = Context::new(&SHA256);
        digest.update(&answer.ok().body);
        assert_eq!(answer.header("x-sha256"), Some(hex(digest.finish().as_ref()).as_str()));
        assert_eq!(answer.body.len(), SIZE);
    }
}

#[test]
fn an_upload_streams_while_it_is_being_made() {
    let app = App::shared("streams", &[]);
    let gateway = gateway(&app.url());
    let mut raw = gateway.raw();
    raw.send("PUT /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..8 {
        raw.send("5\r\nhello\r\n");
        std::thread::yield_now();
    }
    raw.send("0\r\n\r\n");
    assert_eq!(raw.answer().json()["length"], 40);
}

#[test]
fn a_slow_client_is_not_waited_for_without_end() {
    let upstream = Recorder::start();
    let yaml = "
version: 1
server: { listen: [{ address: '127.0.0.1:0' }], limits: { header_timeout: 500ms, idle_timeout: 500ms } }
admin: { listen: '127.0.0.1:0' }
upstreams: { app: '@APP@' }
routes: [{ name: all, match: { path: '/**' }, upstream: app, auth: none }]
";
    let gateway = Gateway::with_whole(yaml).put("APP", &upstream.url()).start();
    // A header that never ends, byte by byte; the gateway gives up whatever the pace.
    let mut dripping = gateway.raw();
    dripping.send("GET / HTTP/1.1\r\nHost: x\r\n");
    let mut sent = 0;
    while dripping.offer("X") && sent < 10_000 {
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
        if dripping.has_ended() {
            break;
        }
    }
    assert!(sent < 500, "a header may take for ever");
    // A connection kept open for nothing.
    let mut idle = gateway.raw();
    assert_eq!(idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer().status, 200);
    idle.closed();
    assert_eq!(upstream.count(), 1);
}
