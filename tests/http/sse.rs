//! Server-sent events: each one is there before the next is made, for as long as the application keeps on.

use crate::harness::{App, Gateway};
use crate::people::PEOPLE;

const ROUTES: &str = "
upstreams: { app: { targets: ['@APP@'], timeouts: { response: 5s, idle: 300ms } } }
routes:
  - { name: events, match: { path: '/events/**' }, upstream: app, auth: none }
  - { name: known, match: { path: /known }, upstream: app, auth: [api_key], request: { rewrite: /events } }
";

#[test]
fn every_event_arrives_before_the_next_is_made() {
    // An application of its own: its events are released one by one.
    let app = App::start("streams", &[]);
    let gateway = Gateway::with(&format!("{PEOPLE}{ROUTES}")).put("APP", &app.url()).start();
    gateway.get("/known").send().refused(401, "missing_credentials");

    let mut raw = gateway.raw();
    raw.send("GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    let head = raw.head();
    assert_eq!(head.status, 200);
    assert!(head.header("content-type").unwrap().starts_with("text/event-stream"));
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    raw.until(b": open\n\n");
    for number in 1..=5 {
        if number == 4 {
            // Longer than an ordinary answer may be silent: an event stream may.
            std::thread::sleep(std::time::Duration::from_millis(600));
        }
        let body = format!(r#"{{"events":[{number}]}}"#);
        gateway.call("POST", "/events/next").body(body).send().ok();
        raw.until(format!("data: {number}\n\n").as_bytes());
    }
    gateway.call("POST", "/events/next").body(r#"{"events":[null]}"#).send().ok();
    raw.until(b"0\r\n\r\n");
    raw.send("GET /events/nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(raw.answer().status, 404, "the connection goes on");
}
