//! gRPC, with the client and the server that most of the world uses, and HTTP/2 towards upstreams.

use std::{
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::harness::{
    App, Authority, Gateway, Raw, Recorder, ask, eventually,
    frames::{
        DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, PREFACE, RESET, SETTINGS,
        block,
    },
};
use crate::people::{ALICE, BOB, KEY, PEOPLE};

const ROUTES: &str = r#"
upstreams:
  app: { targets: ['@APP@'], protocol: http2, timeouts: { response: 20s } }
  plain: { targets: ['@PLAIN@'] }
defaults: { auth: [jwt, api_key] }
routes:
  - { name: open, match: { path: "/test.Echo/**" }, upstream: app, auth: none }
  - { name: known, match: { path: /test.Echo/Client }, upstream: app }
  - { name: writers, match: { path: /test.Echo/Bidi }, upstream: app, allow: { permissions: [write:items] } }
  - { name: admins, match: { path: /test.Echo/Server }, upstream: app, allow: { roles: [admin] } }
  - { name: seldom, match: { path: /test.Seldom/Unary }, upstream: app, auth: none, request: { rewrite: /test.Echo/Unary }, rate_limit: { limit: 1/hour, by: client_ip } }
  - { name: small, match: { path: /test.Small/Client }, upstream: app, auth: none, request: { rewrite: /test.Echo/Client, body_limit: 1KiB } }
  - { name: hasty, match: { path: /test.Hasty/Slow }, upstream: app, auth: none, request: { rewrite: /test.Echo/Slow }, timeouts: { response: 200ms } }
  - { name: plain, match: { path: /test.Plain/Unary }, upstream: plain, auth: none }
  - { name: gone, match: { path: /test.Gone/Unary }, upstream: 'http://127.0.0.1:1', auth: none }
  - { name: page, match: { path: /page }, upstream: plain, auth: none }
"#;

fn gateway(app: &str, plain: &str) -> Gateway {
    Gateway::with(&format!("{PEOPLE}{ROUTES}")).put("APP", app).put("PLAIN", plain).start()
}

fn service() -> (Arc<App>, Recorder, Gateway) {
    let app = App::shared("grpc_service", &[]);
    let plain = Recorder::start();
    let gateway = gateway(&app.url(), &plain.url());
    (app, plain, gateway)
}

/// A call: method, kind, messages, and what goes with them.
fn call(method: &str, kind: &str, requests: &[&str], metadata: &[(&str, &str)]) -> Value {
    json!({"method": method, "kind": kind, "requests": requests, "metadata": metadata})
}

/// Makes calls on one channel.
fn calls(gateway: &Gateway, calls: &[Value]) -> Vec<Value> {
    let target = gateway.address().to_string();
    let answer = ask("grpc_client", &json!({"target": target, "calls": calls}));
    answer.as_array().unwrap().clone()
}

#[test]
fn every_kind_of_call_goes_through_with_its_metadata_and_trailers() {
    let (_app, _plain, gateway) = service();
    let alice = format!("Bearer {}", gateway.login(ALICE.0, ALICE.1));
    let alice = [("authorization", &*alice), ("x-more-bin", "no")];
    let alice = &alice[..1];
    let ran = calls(
        &gateway,
        &[
            call(
                "/test.Echo/Unary",
                "unary_unary",
                &["hello"],
                &[("x-said", "by the client"), ("x-user-id", "forged")],
            ),
            call("/test.Echo/Server", "unary_stream", &["{\"count\": 200}"], alice),
            call("/test.Echo/Client", "stream_unary", &["a", "bc", "def"], alice),
            call("/test.Echo/Bidi", "stream_stream", &["one", "two", "three"], alice),
        ],
    );
    for one in &ran {
        assert_eq!(one["code"], 0, "{one}");
    }
    let unary: Value = serde_json::from_str(ran[0]["messages"][0].as_str().unwrap()).unwrap();
    assert_eq!(unary["said"], "hello");
    assert_eq!(unary["metadata"]["x-said"], "by the client");
    assert_eq!(unary["metadata"]["x-forwarded-proto"], "http");
    assert_eq!(unary["metadata"].get("x-user-id"), None, "only the gateway says who it is");
    assert_eq!(ran[0]["leading"]["x-leader"], "ahead");
    assert_eq!(ran[0]["trailing"]["x-trailer"], "behind");
    assert_eq!(ran[0]["trailing"]["x-trailer-bin"], "00ff");
    assert_eq!(ran[1]["messages"].as_array().unwrap().len(), 200);
    assert_eq!(ran[2]["messages"], json!([r#"{"messages": 3, "bytes": 6}"#]));
    assert_eq!(ran[3]["messages"], json!(["one", "two", "three"]));
    assert_eq!(ran[3]["trailing"]["x-trailer"], "behind");
}

#[test]
fn a_status_of_the_service_comes_as_it_was_said() {
    let (_app, _plain, gateway) = service();
    let fail = |code: u8, details: &str| {
        let request = json!({"code": code, "details": details}).to_string();
        call("/test.Echo/Fail", "unary_unary", &[&request], &[])
    };
    let ran = calls(&gateway, &[fail(5, "not here"), fail(9, "nicht möglich: 100%")]);
    assert_eq!((&ran[0]["code"], &ran[0]["details"]), (&json!(5), &json!("not here")));
    assert_eq!((&ran[1]["code"], &ran[1]["details"]), (&json!(9), &json!("nicht möglich: 100%")));
    assert_eq!(ran[1]["trailing"]["x-trailer"], "behind");
}

#[test]
fn refusals_are_told_in_the_terms_of_grpc() {
    let (_app, plain, gateway) = service();
    let bob = format!("Bearer {}", gateway.login(BOB.0, BOB.1));
    let bob = &[("authorization", &*bob)];
    let unary = |method: &str| call(method, "unary_unary", &["{\"seconds\": 5}"], &[]);
    let ran = calls(
        &gateway,
        &[
            call("/test.Echo/Client", "stream_unary", &["a"], &[]),
            call("/test.Echo/Client", "stream_unary", &["a"], &[("x-api-key", "wrong")]),
            call("/test.Echo/Server", "unary_stream", &["{\"count\": 1}"], bob),
            call("/test.Echo/Bidi", "stream_stream", &["a"], bob),
            unary("/test.Nobody/Knows"),
            unary("/test.Seldom/Unary"),
            unary("/test.Seldom/Unary"),
            call("/test.Small/Client", "stream_unary", &[&"x".repeat(2000)], &[]),
            unary("/test.Hasty/Slow"),
            unary("/test.Plain/Unary"),
            call("/test.Echo/Client", "stream_unary", &["a"], &[("x-api-key", KEY)]),
        ],
    );
    let codes: Vec<_> = ran.iter().map(|one| one["code"].as_u64().unwrap()).collect();
    assert_eq!(codes, [16, 16, 7, 7, 12, 0, 8, 8, 4, 3, 0], "{ran:#?}");
    assert_eq!(ran[0]["details"], "Not authenticated");
    assert_eq!(ran[2]["details"], "Required roles: admin");
    assert_eq!(ran[3]["details"], "Missing permissions: write:items");
    assert_eq!(ran[6]["details"], "Rate limit exceeded: 1 per 1 hour");
    let after = |one: &Value| {
        let of = |place: &str| one[place].get("retry-after").cloned();
        of("trailing").or_else(|| of("leading"))
    };
    assert!(after(&ran[6]).is_some(), "when to come back: {}", ran[6]);
    assert_eq!(ran[9]["details"], "gRPC needs HTTP/2 on both sides");
    assert_eq!(plain.contacts(), 0);
    let line = gateway.wait_for_log("the refusal", |line| line["reason"] == "missing_permissions");
    assert_eq!((&line["path"], &line["protocol"]), (&json!("/test.Echo/Bidi"), &json!("HTTP/2")));
}

#[test]
fn a_service_that_is_not_there_is_unavailable() {
    let plain = Recorder::start();
    let gateway = gateway("http://127.0.0.1:1", &plain.url());
    let ran = calls(&gateway, &[call("/test.Echo/Unary", "unary_unary", &["a"], &[])]);
    assert_eq!(ran[0]["code"], 14, "{}", ran[0]);
}

#[test]
fn calls_are_not_held_to_the_limit_of_bodies() {
    let app = App::shared("grpc_service", &[]);
    let limited = format!("{PEOPLE}{ROUTES}");
    let whole = format!(
        "version: 1\nserver: {{ listen: [{{ address: '127.0.0.1:0' }}], limits: {{ body: 10KiB }} }}\nadmin: {{ listen: '127.0.0.1:0' }}\n{limited}"
    );
    let plain = Recorder::start();
    let gateway =
        Gateway::with_whole(&whole).put("APP", &app.url()).put("PLAIN", &plain.url()).start();
    let large = "x".repeat(3 << 20);
    let ran = calls(
        &gateway,
        &[call("/test.Echo/Client", "stream_unary", &[&large, &large], &[("x-api-key", KEY)])],
    );
    assert_eq!(ran[0]["messages"], json!([format!("{{\"messages\": 2, \"bytes\": {}}}", 6 << 20)]));
    // What only says that it is a call is one to an upstream of HTTP/1.1 for nobody.
    let answer = gateway
        .call("POST", "/page")
        .header("content-type", "application/grpc")
        .body("x".repeat(20 << 10))
        .send();
    answer.refused(400, "bad_request");
    assert_eq!(answer.json()["detail"], "gRPC needs HTTP/2 on both sides");
    assert_eq!(plain.contacts(), 0);
}

#[test]
fn a_service_is_spoken_to_by_tls_with_http_2_alone() {
    let authority = Authority::new();
    let identity = authority.issue(&["localhost"]);
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, &identity.cert).unwrap();
    std::fs::write(&key, &identity.key).unwrap();
    let app = App::start("grpc_service", &[cert.to_str().unwrap(), key.to_str().unwrap()]);
    let yaml = "
upstreams: { app: { targets: ['https://localhost:@PORT@'], protocol: http2, tls: { ca: ca.pem } } }
routes: [{ name: all, match: { path: '/**' }, upstream: app, auth: none }]
";
    let setting = |port: u16| {
        let setting = Gateway::with(yaml).put("PORT", &port.to_string());
        setting.file("ca.pem", authority.pem()).start()
    };
    let gateway = setting(app.address().port());
    let ran = calls(&gateway, &[call("/test.Echo/Unary", "unary_unary", &["by TLS"], &[])]);
    assert_eq!(ran[0]["code"], 0, "{}", ran[0]);
    // One that speaks HTTP/1.1 alone gets nothing of the request.
    let old = crate::harness::Secured::start(&identity, None);
    let gateway = setting(old.port());
    gateway.get("/x").header("cookie", "secret=1").send().refused(502, "upstream_error");
    assert!(old.requests().is_empty());
}

#[test]
fn http_1_and_http_2_meet_in_every_combination() {
    // A gateway is a server of HTTP/2 like any other.
    let behind = Gateway::with(
        "upstreams: { app: { builtin: echo } }\nroutes: [{ name: all, match: { path: '/**' }, upstream: app, auth: none }]\n",
    )
    .start();
    let gateway = gateway(&format!("http://{}", behind.address()), "http://127.0.0.1:1");
    let path = "/test.Echo/a%20b?c=d";
    let answer = gateway
        .call("POST", path)
        .header("connection", "x-private")
        .header("x-private", "1")
        .header("x-kept", "2")
        .header("te", "trailers")
        .body("a body")
        .send();
    let seen = answer.ok().json();
    assert_eq!((&seen["path"], &seen["query"]), (&json!("/test.Echo/a%20b"), &json!("c=d")));
    assert_eq!((&seen["method"], &seen["body"]), (&json!("POST"), &json!("a body")));
    assert_eq!(seen["headers"]["host"], gateway.address().to_string());
    assert_eq!(seen["headers"]["x-kept"], "2");
    for gone in ["connection", "x-private", "te", "transfer-encoding", "keep-alive"] {
        assert_eq!(seen["headers"].get(gone), None, "{gone}");
    }
    let mut frames = Frames::connect(gateway.address());
    frames.header(
        1,
        END_STREAM,
        &[
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "h.example"),
            (":path", "/test.Echo/x"),
        ],
    );
    let crate::harness::frames::Outcome::Answer { status: 200, body } = frames.outcome(1) else {
        panic!("no answer")
    };
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["headers"]["host"], "h.example");
    let line = behind.wait_for_log("a line", |line| line["path"] == "/test.Echo/x");
    assert_eq!(line["protocol"], "HTTP/2");
}

#[test]
fn a_websocket_is_not_led_to_an_upstream_of_http_2() {
    let plain = Recorder::start();
    let gateway = gateway("http://127.0.0.1:1", &plain.url());
    let mut raw = gateway.raw();
    raw.send(
        "GET /test.Echo/ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    raw.answer().refused(400, "bad_request");
}

/// An upstream that speaks HTTP/2 by hand: `script` is shown each request's stream, by its number on the
/// connection and that of the connection.
struct ByHand {
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl ByHand {
    fn start(script: impl Fn(&mut Frames, usize, u32) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, script) = (connections.clone(), Arc::new(script));
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let script = script.clone();
                thread::spawn(move || Self::serve(socket, number, &*script));
            }
        });
        Self { address, connections }
    }

    fn serve(
        socket: TcpStream,
        number: usize,
        script: &dyn Fn(&mut Frames, usize, u32) -> bool,
    ) -> Option<()> {
        let mut frames = Frames { raw: Raw::over(socket) };
        assert_eq!(frames.raw.try_exactly(PREFACE.len())?, PREFACE);
        frames.offer(SETTINGS, 0, 0, &[]);
        loop {
            let frame = frames.next()?;
            let ends = frame.flags & END_STREAM != 0 && matches!(frame.kind, HEADERS | DATA);
            if ends && !script(&mut frames, number, frame.stream) {
                return Some(());
            }
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn answer(frames: &mut Frames, stream: u32) -> bool {
    let head = Frame::bytes(HEADERS, END_HEADERS, stream, &block(&[(":status", "200")]));
    let body = Frame::bytes(DATA, END_STREAM, stream, b"ok");
    frames.raw.offer([head, body].concat())
}

#[test]
fn what_an_upstream_says_it_did_not_look_at_is_sent_again_whatever_its_method() {
    let plain = Recorder::start();
    for leaves in [true, false] {
        let upstream = ByHand::start(move |frames, connection, stream| {
            if connection == 0 && leaves {
                // It looked at nothing after stream 0, and leaves.
                frames.offer(GOAWAY, 0, 0, &[0; 8]);
                return false;
            }
            if stream == 1 && !leaves {
                return frames.offer(RESET, 0, stream, &7u32.to_be_bytes());
            }
            answer(frames, stream)
        });
        let gateway = gateway(&upstream.url(), &plain.url());
        let sent = gateway.call("POST", "/test.Echo/x").body("once").send();
        assert_eq!(sent.ok().text(), "ok", "leaves: {leaves}");
        assert!(upstream.connections.load(Ordering::SeqCst) <= 2);
    }
}

#[test]
fn what_an_upstream_breaks_off_is_not_sent_again_and_does_not_look_whole() {
    let plain = Recorder::start();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    let upstream = ByHand::start(move |frames, _, stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        if stream == 1 {
            return frames.offer(RESET, 0, stream, &2u32.to_be_bytes());
        }
        let head = Frame::bytes(HEADERS, END_HEADERS, stream, &block(&[(":status", "200")]));
        let body = Frame::bytes(DATA, 0, stream, b"half");
        let end = Frame::bytes(RESET, 0, stream, &2u32.to_be_bytes());
        frames.raw.offer([head, body, end].concat())
    });
    let gateway = gateway(&upstream.url(), &plain.url());
    let sent = gateway.call("POST", "/test.Echo/x").body("once").send();
    sent.refused(502, "upstream_error");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    let mut frames = Frames::connect(gateway.address());
    frames.get(1, "/test.Echo/x");
    let outcome = frames.outcome(1);
    assert!(matches!(outcome, crate::harness::frames::Outcome::Reset(_)), "{outcome:?}");
}

#[test]
fn requests_share_a_connection_to_an_upstream() {
    let plain = Recorder::start();
    let upstream = ByHand::start(|frames, _, stream| answer(frames, stream));
    let gateway = gateway(&upstream.url(), &plain.url());
    gateway.get("/test.Echo/first").send().ok();
    let mut frames = Frames::connect(gateway.address());
    for number in 0..50 {
        frames.get(number * 2 + 1, "/test.Echo/x");
    }
    // In any order; each is looked for among all frames that come.
    let mut ended = 0;
    while ended < 50 {
        let frame = frames.next().unwrap();
        ended += u32::from(frame.kind == DATA && frame.flags & END_STREAM != 0);
    }
    // How many are opened before the first can be shared is a matter of chance.
    assert!(upstream.connections.load(Ordering::SeqCst) < 50, "{:?}", upstream.connections);
}

#[test]
fn a_service_that_says_it_does_not_serve_gets_no_calls() {
    let app = App::start("grpc_service", &[]);
    let yaml = "
upstreams:
  app: { targets: ['@APP@'], protocol: http2, health_check: { type: grpc, interval: 50ms, timeout: 10s, unhealthy_after: 1, healthy_after: 1 } }
  other: { targets: ['@APP@'], protocol: http2 }
  page: { targets: ['http://@PAGE@'], protocol: http2, health_check: { path: /, interval: 50ms, timeout: 10s, expect: [404] } }
routes:
  - { name: calls, match: { path: '/test.Echo/**' }, upstream: app, auth: none }
  - { name: rest, match: { path: /test.Echo/Rest }, upstream: other, auth: none }
  - { name: page, match: { path: /page }, upstream: page, auth: none }
";
    // A gateway without a route for it answers 404, by HTTP/2.
    let behind = Gateway::with("upstreams: { app: { builtin: echo } }\nroutes: [{ match: { path: /page }, upstream: app, auth: none }]\n").start();
    let page = behind.address().to_string();
    let gateway = Gateway::with(yaml).put("APP", &app.url()).put("PAGE", &page).start();
    let serving = |serves: bool| {
        let request = json!({"serving": serves}).to_string();
        let ran = calls(&gateway, &[call("/test.Echo/Rest", "unary_unary", &[&request], &[])]);
        assert_eq!(ran[0]["code"], 0, "{}", ran[0]);
        let series =
            format!("portcullis_upstream_healthy{{target=\"{}\",upstream=\"app\"}}", app.address());
        let value = f64::from(u8::from(serves));
        eventually("health", || (gateway.metric(&series) == value).then_some(()));
        calls(&gateway, &[call("/test.Echo/Unary", "unary_unary", &["a"], &[])])[0]["code"].clone()
    };
    assert_eq!(serving(true), 0);
    assert_eq!(serving(false), 14);
    gateway.wait_for_log("why", |line| {
        line["event"] == "target_unhealthy" && line["why"] == "it says that it does not serve"
    });
    assert_eq!(serving(true), 0);
    behind.wait_for_log("a question by HTTP/2", |line| {
        line["path"] == "/" && line["protocol"] == "HTTP/2" && line["status"] == 404
    });
    gateway.get("/page").send().ok();
}
