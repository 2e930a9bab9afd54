//! WebSockets through the gateway, with a client and a server of another make at the ends.

use crate::harness::{App, Gateway, Recorder, Socket};
use crate::people::{BOB, PEOPLE};

const ROUTES: &str = r#"
upstreams: { app: '@APP@' }
defaults: { auth: [jwt] }
routes:
  - { name: open, match: { path: /echo }, upstream: app, auth: none }
  - { name: known, match: { path: /known }, upstream: app, request: { rewrite: /echo } }
  - { name: admins, match: { path: /admins }, upstream: app, allow: { roles: [admin] }, request: { rewrite: /echo } }
  - { name: gone, match: { path: /gone }, upstream: app, auth: none }
"#;

fn gateway(app: &str) -> Gateway {
    Gateway::with(&format!("{PEOPLE}{ROUTES}")).put("APP", app).start()
}

#[test]
fn messages_of_every_size_go_both_ways() {
    let app = App::shared("streams", &[]);
    let gateway = gateway(&app.url());
    let mut socket = Socket::connect(gateway.address(), "/echo", &[]);
    assert_eq!(socket.says(), "open");
    for number in 0..50 {
        let message = format!("message {number}");
        assert_eq!(socket.ask(&message), message);
    }
    for size in [0, 125, 126, 65_535, 65_536, 1_000_000] {
        assert_eq!(socket.ask(&format!("bytes {size}")), format!("bytes {size}"));
    }
    assert_eq!(socket.close(), "closed 1000");
}

#[test]
fn the_handshake_is_authorized_like_any_request() {
    let app = App::shared("streams", &[]);
    let gateway = gateway(&app.url());
    let bob = format!("Authorization: Bearer {}", gateway.login(BOB.0, BOB.1));
    assert_eq!(Socket::connect(gateway.address(), "/known", &[]).says(), "refused 401");
    assert_eq!(Socket::connect(gateway.address(), "/admins", &[&bob]).says(), "refused 403");
    assert_eq!(
        Socket::connect(gateway.address(), "/gone", &[]).says(),
        "refused 403",
        "the application's own word"
    );

    let mut socket = Socket::connect(
        gateway.address(),
        "/known",
        &[&bob, "X-User-Id: forged", "X_User_Roles: forged"],
    );
    assert_eq!(socket.says(), "open");
    let headers = socket.ask("headers");
    assert!(
        headers.contains(r#""x-user-id": "2""#) && headers.contains(r#""x-user-roles": "user""#),
        "{headers}"
    );
    assert!(!headers.contains("forged") && !headers.contains("Bearer"), "{headers}");
}

#[test]
fn the_end_of_a_handshake_has_what_every_answer_has() {
    let app = App::shared("streams", &[]);
    let gateway = gateway(&app.url());
    let mut raw = gateway.raw();
    raw.send(
        "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Request-ID: r-1\r\n\r\n",
    );
    let head = raw.head();
    assert_eq!((head.status, head.header("x-request-id")), (101, Some("r-1")));
    assert_eq!(head.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(head.header("x-frame-options"), Some("DENY"));
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn the_application_may_close_with_its_own_code() {
    let app = App::shared("streams", &[]);
    let gateway = gateway(&app.url());
    let mut socket = Socket::connect(gateway.address(), "/echo", &[]);
    assert_eq!(socket.says(), "open");
    assert_eq!(socket.ask("close"), "closed 4001");
}

#[test]
fn an_application_that_switches_unasked_is_not_followed() {
    let upstream = Recorder::answering(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
    );
    let gateway = gateway(&upstream.url());
    for upgrade in ["", "Connection: Upgrade\r\nUpgrade: other\r\n"] {
        let mut raw = gateway.raw();
        raw.send(format!("GET /echo HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n"));
        raw.answer().refused(502, "upstream_error");
        raw.closed();
    }
}

#[test]
fn nothing_behind_the_handshake_goes_on_before_the_application_agrees() {
    let upstream = Recorder::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    let gateway = gateway(&upstream.url());
    let mut raw = gateway.raw();
    raw.send(
        "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nGET /gone HTTP/1.1\r\nHost: x\r\nX-User-Id: forged\r\n\r\n",
    );
    assert_eq!(raw.answer().text(), "no");
    raw.finish();
    raw.rest();
    assert!(upstream.received().iter().all(|seen| !seen.text().contains("forged")));
}
