//! Streams that end with the credential that opened them: by its time, or because it was taken back.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use serde_json::{Value, json};

use super::{FILE_KEY, SQLITE, made, on_both, told};
use crate::harness::{
    After, Answer, App, Gateway, Raw, Recorder, Setting, Socket, ask, eventually,
};

on_both! {
    a_websocket_ends_when_its_key_is_revoked
    a_websocket_that_is_never_silent_ends_when_its_key_is_revoked
    a_websocket_ends_when_its_token_or_its_user_is_taken_back
    an_event_stream_ends_when_its_key_is_revoked
    a_call_ends_when_its_key_is_revoked
}

/// A gateway with a store, in front of an application that echoes and counts.
const FILE: &str = r#"
store: '@STORE@'
upstreams: { app: '@APP@' }
authentication:
  api_keys:
    header: X-API-Key
    keys:
      - { id: file, sha256: 973096256ae8f1951db6e6a7c8a0722515b1989d5a8cb8366781dc03f39c92e2 }
  failure_limit: false
token: { path: /auth/token, secret: the-secret-of-the-gateway-itself-for-tests, login_limit: false, access_ttl: '@TTL@', revoke_path: /auth/revoke }
defaults: { streams: { grace: 0s } }
routes:
  - { name: socket, match: { path: /echo }, upstream: app, auth: [jwt, api_key] }
  - { name: patient, match: { path: /patient }, upstream: app, auth: [jwt], streams: { close_at_expiry: false }, request: { rewrite: /echo } }
  - { name: events, match: { path: '/events/**' }, upstream: app, auth: [jwt, api_key] }
  - { name: known, match: { path: /known }, upstream: app, auth: api_key }
  - { name: silent, match: { path: /silent }, upstream: app, auth: api_key, streams: { idle: 300ms }, request: { rewrite: /echo } }
"#;

const HANDSHAKE: &str = "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn setting(store: &str, app: &str, ttl: &str) -> Setting {
    Gateway::with(FILE).put("STORE", store).put("APP", app).put("TTL", ttl)
}

fn socket(gateway: &Gateway, target: &str, header: &str) -> Socket {
    let mut socket = Socket::connect(gateway.address(), target, &[header]);
    assert_eq!(socket.says(), "open");
    assert_eq!(socket.ask("hello"), "hello");
    socket
}

fn ask_for_token(gateway: &Gateway) -> Answer {
    let form = [("username", "dora"), ("password", "a-password")];
    gateway.call("POST", "/auth/token").form(&form).send()
}

/// What a user of the store logs in for.
fn token(gateway: &Gateway) -> String {
    told(gateway, &["user", "add", "dora"], "a-password\n");
    let answer = eventually("a login", || {
        let answer = ask_for_token(gateway);
        (answer.status == 200).then_some(answer)
    });
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn wait_for_reason(gateway: &Gateway, route: &str, reason: &str) {
    gateway.wait_for_log("the end of a stream", |line: &Value| {
        line["route"] == route && line["reason"] == reason
    });
}

fn a_websocket_ends_when_its_key_is_revoked(store: &str) {
    let app = App::shared("streams", &[]);
    let gateway = setting(store, &app.url(), "30m").start();
    let key = made(&gateway, &["ci"]);
    let refused = || gateway.get("/known").header("X-API-Key", &key).send().status == 401;
    eventually("the key", || (!refused()).then_some(()));
    let mut revoked = socket(&gateway, "/echo", &format!("X-API-Key: {key}"));
    let mut other = socket(&gateway, "/echo", &format!("X-API-Key: {FILE_KEY}"));
    told(&gateway, &["key", "revoke", "ci"], "");
    assert_eq!(revoked.ask_nothing(), "closed 1008");
    wait_for_reason(&gateway, "socket", "revoked");
    assert_eq!(other.ask("still here"), "still here");
}

/// Of one that takes what comes back, and of one that does not, so that the application takes no more
/// of it either.
fn a_websocket_that_is_never_silent_ends_when_its_key_is_revoked(store: &str) {
    let app = App::start("streams", &[]);
    let gateway = setting(store, &app.url(), "30m").start();
    let key = made(&gateway, &["ci"]);
    let refused = || gateway.get("/known").header("X-API-Key", &key).send().status == 401;
    eventually("the key", || (!refused()).then_some(()));
    let busy = [true, false].map(|reads| {
        let mut socket = TcpStream::connect(gateway.address()).unwrap();
        socket.write_all(format!("{HANDSHAKE}X-API-Key: {key}\r\n\r\n").as_bytes()).unwrap();
        let mut begin = [0; 12];
        socket.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 101");
        if reads {
            let mut other = socket.try_clone().unwrap();
            thread::spawn(move || std::io::copy(&mut other, &mut std::io::sink()));
        }
        // A text of 1,000 bytes, masked with nothing.
        let mut frame = vec![0x81, 0x80 | 126, 3, 0xe8, 0, 0, 0, 0];
        frame.extend([b'x'; 1000]);
        let (moving, moved) = std::sync::mpsc::channel();
        let ended = thread::spawn(move || {
            while socket.write_all(&frame).is_ok() {
                let _ = moving.send(());
            }
        });
        moved.recv().unwrap();
        ended
    });
    told(&gateway, &["key", "revoke", "ci"], "");
    for ended in busy {
        eventually("the end of a busy stream", || ended.is_finished().then_some(()));
    }
}

fn a_websocket_ends_when_its_token_or_its_user_is_taken_back(store: &str) {
    let app = App::shared("streams", &[]);
    let gateway = setting(store, &app.url(), "30m").start();
    let first = token(&gateway);
    let second = ask_for_token(&gateway).json()["access_token"].as_str().unwrap().to_owned();
    let mut of_first = socket(&gateway, "/echo", &format!("Authorization: Bearer {first}"));
    let mut of_second = socket(&gateway, "/echo", &format!("Authorization: Bearer {second}"));
    gateway.call("POST", "/auth/revoke").form(&[("token", first.as_str())]).send().ok();
    assert_eq!(of_first.ask_nothing(), "closed 1008");
    assert_eq!(of_second.ask("still here"), "still here");
    told(&gateway, &["user", "disable", "dora"], "");
    assert_eq!(of_second.ask_nothing(), "closed 1008");
}

fn an_event_stream_ends_when_its_key_is_revoked(store: &str) {
    let app = App::start("streams", &[]);
    let gateway = setting(store, &app.url(), "30m").start();
    let key = made(&gateway, &["ci"]);
    let mut raw: Raw = eventually("the key", || {
        let mut raw = gateway.raw();
        raw.send(format!("GET /events HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n"));
        (raw.head().status == 200).then_some(raw)
    });
    raw.until(b": open\n\n");
    told(&gateway, &["key", "revoke", "ci"], "");
    let rest = raw.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a body that was cut is not a whole one");
    wait_for_reason(&gateway, "events", "revoked");
}

#[test]
fn a_websocket_ends_with_its_token_unless_the_route_says_otherwise() {
    let app = App::shared("streams", &[]);
    let gateway = setting(SQLITE, &app.url(), "8s").start();
    let bearer = format!("Authorization: Bearer {}", token(&gateway));
    let mut patient = socket(&gateway, "/patient", &bearer);
    let mut ends = socket(&gateway, "/echo", &bearer);
    assert_eq!(ends.ask_nothing(), "closed 1008");
    wait_for_reason(&gateway, "socket", "expired");
    assert_eq!(patient.ask("still here"), "still here");
}

#[test]
fn a_stream_that_is_silent_for_too_long_ends() {
    let app = App::shared("streams", &[]);
    let gateway = setting(SQLITE, &app.url(), "30m").start();
    let mut socket = socket(&gateway, "/silent", &format!("X-API-Key: {FILE_KEY}"));
    assert_eq!(socket.ask_nothing(), "closed 1006");
}

/// The two bytes that a client could take for the beginning of another frame are the application's.
#[test]
fn a_websocket_is_not_told_why_it_ends_in_the_middle_of_a_frame() {
    const PART: &[u8] = b"\x82\x05abc";
    let upstream = Recorder::scripted(|_, stream| {
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(PART));
        if sent.is_ok() {
            // Until the gateway has gone away.
            let mut byte = [0];
            let _ = std::io::Read::read(stream, &mut byte);
        }
        After::Close
    });
    let gateway = setting(SQLITE, &upstream.url(), "30m").start();
    let key = made(&gateway, &["ci"]);
    let mut raw: Raw = eventually("the key", || {
        let mut raw = gateway.raw();
        raw.send(format!("{HANDSHAKE}X-API-Key: {key}\r\n\r\n"));
        (raw.head().status == 101).then_some(raw)
    });
    raw.until(PART);
    told(&gateway, &["key", "revoke", "ci"], "");
    assert_eq!(raw.rest(), b"");
}

/// In front of a service of gRPC.
const CALLS: &str = r#"
store: '@STORE@'
upstreams: { app: { targets: ['@APP@'], protocol: http2 } }
authentication: { api_keys: { header: X-API-Key }, failure_limit: false }
token: { path: /auth/token, secret: the-secret-of-the-gateway-itself-for-tests, login_limit: false, access_ttl: 8s }
defaults: { streams: { grace: 0s } }
routes: [{ name: calls, match: { path: '/test.Echo/**' }, upstream: app, auth: [jwt, api_key] }]
"#;

fn a_call_ends_when_its_key_is_revoked(store: &str) {
    let app = App::shared("grpc_service", &[]);
    let gateway = Gateway::with(CALLS).put("STORE", store).put("APP", &app.url()).start();
    let key = made(&gateway, &["ci"]);
    eventually("the key", || {
        let call = gateway.get("/test.Echo/Bidi").header("x-api-key", &key);
        (call.send().status != 401).then_some(())
    });
    let ended = calls_that_last(&gateway, "x-api-key", &key, || {
        told(&gateway, &["key", "revoke", "ci"], "");
    });
    assert_eq!(ended, [16, 16]);
    wait_for_reason(&gateway, "calls", "revoked");
}

#[test]
fn a_call_ends_with_its_token() {
    let app = App::shared("grpc_service", &[]);
    let gateway = Gateway::with(CALLS).put("STORE", SQLITE).put("APP", &app.url()).start();
    let bearer = format!("Bearer {}", token(&gateway));
    assert_eq!(calls_that_last(&gateway, "authorization", &bearer, || {}), [16, 16]);
    wait_for_reason(&gateway, "calls", "expired");
}

/// How two calls end that would last for ever, once this has happened: one that has had an answer, and one that has not.
fn calls_that_last(gateway: &Gateway, name: &str, value: &str, happens: impl FnOnce()) -> Vec<u64> {
    let target = gateway.address().to_string();
    let call = |requests: &[&str]| {
        let call = json!({"method": "/test.Echo/Bidi", "kind": "stream_stream", "requests": requests,
                          "metadata": [[name, value]], "held": true});
        let asked = json!({"target": target, "calls": [call]});
        thread::spawn(move || ask("grpc_client", &asked)[0]["code"].as_u64().unwrap())
    };
    let calls = [call(&["one"]), call(&[])];
    eventually("both calls", || {
        (gateway.metric("portcullis_requests_in_flight") >= 2.0).then_some(())
    });
    happens();
    calls.map(|call| call.join().unwrap()).to_vec()
}
