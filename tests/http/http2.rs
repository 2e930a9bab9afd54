//! HTTP/2 towards clients: by curl, by load, and frame by frame where no client would send it.

use std::{
    io::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use rcgen::DnType;

use crate::harness::{
    After, App, Authority, Gateway, Guest, Recorder,
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, Outcome, PING, RESET,
        SETTINGS, block, get,
    },
    tool,
};
use crate::people::{BOB, PEOPLE};

const YAML: &str = "
version: 1
server:
  listen: [{ address: '127.0.0.1:0' }]
  limits: { uri_bytes: 1KiB, header_bytes: 4KiB, header_count: 20, body: 8KiB, idle_timeout: 60s }
admin: { listen: '127.0.0.1:0' }
upstreams: { app: '@APP@' }
routes:
  - { name: all, match: { path: '/**' }, upstream: app, auth: none }
  - { name: only-get, match: { path: /read, methods: [GET] }, upstream: app, auth: none }
  - { name: guarded, match: { path: /guarded }, upstream: app, auth: api_key }
authentication: { api_keys: { header: X-API-Key, keys: [{ id: k, sha256: 93b1c6d2f0e54a7d8e2a6b3c1f9d70485a6e3b2c1d0f9e8d7c6b5a4938271605 }] } }
";

fn gateway(upstream: &Recorder) -> Gateway {
    Gateway::with_whole(YAML).put("APP", &upstream.url()).start()
}

/// What curl prints.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30"])
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "curl {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const WRITE_OUT: [&str; 2] = ["--write-out", "\n%{http_version} %{response_code}"];

#[test]
fn curl_speaks_http_2_in_clear_by_prior_knowledge_and_http_1_on_the_same_port() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let url = format!("http://{}/a?b=c", gateway.address());
    for (how, version) in [("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")] {
        let said = curl(&[&[how, &url][..], &WRITE_OUT].concat());
        assert_eq!(said, format!("ok\n{version} 200"));
        let request = upstream.last();
        assert_eq!(request.target(), "/a?b=c");
        let host = gateway.address().to_string();
        assert_eq!(request.header("host"), Some(&*host), "{}", request.text());
    }
    let line = gateway.wait_for_log("a line of HTTP/2", |line| line["protocol"] == "HTTP/2");
    assert_eq!((&line["path"], &line["status"]), (&"/a".into(), &200.into()));
    assert_eq!(line["host"], gateway.address().to_string());
}

#[test]
fn curl_speaks_http_2_by_tls_where_both_want_it() {
    let authority = Authority::new();
    let upstream = Recorder::start();
    // A name of its own: whoever is called like its issuer has signed itself, says OpenSSL.
    let identity = authority.issue_with(&["api.example.com"], |params| {
        params.distinguished_name.push(DnType::CommonName, "api.example.com");
    });
    for (http2, version) in [("true", "2"), ("false", "1.1")] {
        let yaml = YAML.replace("'127.0.0.1:0' }]\n  limits", "'127.0.0.1:0', tls: { certificates: [{ cert: a.pem, key: a.key }] } }]\n  http2: @HTTP2@\n  limits");
        let gateway = Gateway::with_whole(&yaml)
            .put("APP", &upstream.url())
            .put("HTTP2", http2)
            .file("a.pem", &identity.cert)
            .file("a.key", &identity.key)
            .file("ca.pem", authority.pem())
            .start();
        let ca = gateway.directory().join("ca.pem");
        let port = gateway.address().port();
        let resolve = format!("api.example.com:{port}:127.0.0.1");
        let url = format!("https://api.example.com:{port}/x");
        let fixed = ["--http2", "--cacert", ca.to_str().unwrap(), "--resolve", &resolve, &url];
        let said = curl(&[&fixed[..], &WRITE_OUT].concat());
        assert_eq!(said, format!("ok\n{version} 200"));
        let request = upstream.last();
        assert_eq!(request.header("x-forwarded-proto"), Some("https"));
        assert_eq!(request.header("host"), Some(&*format!("api.example.com:{port}")));
    }
}

#[test]
fn prior_knowledge_is_not_understood_where_http_2_is_off() {
    let upstream = Recorder::start();
    let yaml = YAML.replace("  limits", "  http2: false\n  limits");
    let gateway = Gateway::with_whole(&yaml).put("APP", &upstream.url()).start();
    let mut frames = Frames::connect(gateway.address());
    let rest = frames.raw.rest();
    assert!(rest.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&rest));
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn a_refusal_in_http_2_is_the_same_problem_and_has_no_headers_of_a_connection() {
    let upstream = Recorder::answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = gateway(&upstream);
    let at = |path: &str| format!("http://{}{path}", gateway.address());
    let refused = curl(&["--http2-prior-knowledge", "--include", &at("/guarded")]);
    let (head, body) = refused.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/2 401"), "{head}");
    assert!(head.contains("www-authenticate: ") && head.contains("x-request-id: "), "{head}");
    assert!(body.contains("\"missing_credentials\""), "{body}");
    let answered = curl(&["--http2-prior-knowledge", "--include", &at("/x")]);
    for head in [head, &answered] {
        for name in ["connection:", "keep-alive:", "transfer-encoding:", "x-private:", "upgrade:"] {
            assert!(!head.to_lowercase().contains(&format!("\n{name}")), "{head}");
        }
    }
    let nothing = curl(&["--http2-prior-knowledge", "--head", &at("/guarded")]);
    assert!(nothing.starts_with("HTTP/2 401"), "{nothing}");
}

#[test]
fn what_is_left_of_a_refused_body_is_read_so_that_nobody_takes_a_reset_for_the_answer() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    let mut fields = get("/guarded");
    fields[0].1 = "POST";
    frames.header(1, 0, &fields);
    assert_eq!(frames.outcome(1).problem(), (401, "missing_credentials".to_owned()));
    frames.send(DATA, 0, 1, &[b'x'; 3000]).send(DATA, END_STREAM, 1, &[b'x'; 3000]).get(3, "/x");
    loop {
        let frame = frames.next().unwrap();
        assert!(!(frame.kind == RESET && frame.stream == 1), "reset with {}", frame.code());
        if frame.stream == 3 && frame.flags & END_STREAM != 0 {
            break;
        }
    }
}

#[test]
fn many_requests_share_a_connection_and_none_is_lost() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let url = format!("http://{}/load", gateway.address());
    let output = Command::new(tool("bin/h2load"))
        .args(["-n", "2000", "-c", "4", "-m", "25", &url])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("2000 total, 2000 started, 2000 done, 2000 succeeded"), "{said}");
    assert!(said.contains("status codes: 2000 2xx"), "{said}");
}

/// A request for `/` with other fields.
fn with<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&get("/")[..], fields].concat()
}

/// The fields of a request without one of the pseudo-headers.
fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    get("/").into_iter().filter(|(found, _)| *found != name).collect()
}

#[test]
fn what_the_frames_cannot_mean_ends_the_stream_and_nobody_behind_is_asked() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut shuffled = with(&[("x", "y")]);
    shuffled.swap(0, 4);
    for (what, fields) in [
        ("a regular field before a pseudo-header", shuffled),
        ("an unknown pseudo-header", with(&[(":secret", "x")])),
        ("a pseudo-header twice", with(&[(":path", "/other")])),
        ("a status in a request", with(&[(":status", "200")])),
        ("no method", without(":method")),
        ("no scheme", without(":scheme")),
        ("connection", with(&[("connection", "close")])),
        ("keep-alive", with(&[("keep-alive", "timeout=5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("upgrade", with(&[("upgrade", "websocket")])),
        ("te other than trailers", with(&[("te", "gzip, trailers")])),
        ("contradicting lengths", with(&[("content-length", "1"), ("content-length", "2")])),
        ("a length in hex", with(&[("content-length", "0x1")])),
        (
            "an authority with a user",
            [&without(":authority")[..], &[(":authority", "u@x")]].concat(),
        ),
        (
            "an authority with a space",
            [&without(":authority")[..], &[(":authority", "x y")]].concat(),
        ),
        ("an empty path", [&without(":path")[..], &[(":path", "")]].concat()),
        ("a space in the path", [&without(":path")[..], &[(":path", "/a b")]].concat()),
        ("a line end in the path", [&without(":path")[..], &[(":path", "/a\r\nx: y")]].concat()),
        ("a NUL in the path", [&without(":path")[..], &[(":path", "/a\0")]].concat()),
        ("a line end in a value", with(&[("x", "y\r\nz: 1")])),
        ("a colon in a name", with(&[("x:y", "z")])),
        ("a space in a name", with(&[("x y", "z")])),
        ("a capital in a name", with(&[("X-Large", "z")])),
        ("no name", with(&[("", "z")])),
        (
            "a WebSocket by extended CONNECT",
            vec![
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", "x.example"),
                (":path", "/"),
            ],
        ),
    ] {
        let mut frames = Frames::connect(gateway.address());
        frames.header(1, END_STREAM, &fields);
        match frames.outcome(1) {
            Outcome::Reset(code) => assert_eq!(code, 1, "{what}"),
            // Where the table of fields itself is in doubt no further frame can be read.
            Outcome::Ended(Some(code)) => assert!(matches!(code, 1 | 9), "{what}: {code}"),
            Outcome::Answer { status, .. } => {
                assert!(matches!(status, 400 | 405), "{what}: {status}")
            }
            Outcome::Ended(None) => panic!("{what}: gone without a word"),
        }
        assert_eq!(upstream.contacts(), 0, "{what} reached the upstream");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused_with_a_problem_and_the_connection_goes_on() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let path = |path: &'static str| [&without(":path")[..], &[(":path", path)]].concat();
    let authority = |authority: &'static str| {
        [&without(":authority")[..], &[(":authority", authority)]].concat()
    };
    let mut frames = Frames::connect(gateway.address());
    let cases = [
        ("an absolute path", path("http://x.example/"), 400),
        ("a path without a slash", path("x"), 400),
        ("a path of a query", path("?a"), 400),
        ("an asterisk that is no OPTIONS", path("*"), 400),
        ("a host that is not the authority", with(&[("host", "other.example")]), 400),
        ("no authority at all", without(":authority"), 400),
        ("an authority of dots", authority(".."), 400),
        ("a percent in the authority", authority("x%2e"), 400),
        ("two equal lengths", with(&[("content-length", "0"), ("content-length", "0")]), 400),
        ("a list of lengths", with(&[("content-length", "0, 0")]), 400),
        ("a length without a body", with(&[("content-length", "5")]), 400),
        ("another scheme", [&without(":scheme")[..], &[(":scheme", "ftp")]].concat(), 400),
        ("TRACE", [&without(":method")[..], &[(":method", "TRACE")]].concat(), 405),
        ("dots in the path", path("/a/../b"), 400),
        ("a control byte, encoded", path("/a%00"), 400),
    ];
    let mut stream = 1;
    for (what, fields, status) in cases {
        frames.header(stream, END_STREAM, &fields);
        let outcome = frames.outcome(stream);
        let found = match &outcome {
            // The library answers these itself.
            Outcome::Answer { status, .. } => *status,
            Outcome::Reset(1) => 400,
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(found, status, "{what}");
        assert_eq!(upstream.contacts(), 0, "{what} reached the upstream");
        stream += 2;
    }
    frames.get(stream, "/after");
    assert_eq!(frames.outcome(stream).status(), 200, "the connection goes on");
}

#[test]
fn a_fragment_is_dropped_before_anything_is_decided() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    frames.get(1, "/a#/../guarded");
    assert_eq!(frames.outcome(1).status(), 200);
    assert_eq!(upstream.last().target(), "/a");
}

#[test]
fn an_asterisk_is_a_target_of_options_alone() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    let mut fields = get("*");
    fields[0].1 = "OPTIONS";
    frames.header(1, END_STREAM, &fields);
    assert_eq!(frames.outcome(1).problem(), (404, "no_route".to_owned()));
}

#[test]
fn connect_is_not_allowed_and_methods_are_judged_as_in_http_1() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    frames.header(1, END_STREAM, &[(":method", "CONNECT"), (":authority", "x.example:80")]);
    assert_eq!(frames.outcome(1).status(), 405);
    let mut fields = get("/read");
    fields[0].1 = "POST";
    frames.header(3, END_STREAM, &fields);
    assert_eq!(frames.outcome(3).problem(), (405, "method_not_allowed".to_owned()));
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn what_is_too_large_is_named_in_http_2_as_well() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    let long = format!("/{}", "x".repeat(1025));
    frames.get(1, &long);
    assert_eq!(frames.outcome(1).problem(), (414, "uri_too_long".to_owned()));
    let names: Vec<String> = (0..21).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (&**name, "y")).collect();
    frames.header(3, END_STREAM, &with(&many));
    assert_eq!(frames.outcome(3).problem(), (431, "headers_too_large".to_owned()));
    let large = "y".repeat(4096);
    frames.header(5, END_STREAM, &with(&[("x-large", &large)]));
    assert_eq!(frames.outcome(5).problem(), (431, "headers_too_large".to_owned()));
    // Far too large is refused before it is put together.
    let huge = "y".repeat(16_000);
    let block =
        block(&with(&[("a", &huge), ("b", &huge), ("c", &huge), ("d", &huge), ("e", &huge)]));
    let (first, rest) = block.split_at(16_000);
    frames.send(HEADERS, END_STREAM, 7, first);
    for piece in rest.chunks(16_000) {
        frames.send(CONTINUATION, 0, 7, piece);
    }
    frames.send(CONTINUATION, END_HEADERS, 7, &[]);
    assert_eq!(frames.outcome(7).status(), 431);
    assert_eq!(upstream.contacts(), 0);
}

#[test]
fn a_body_beyond_the_limit_is_refused_whether_it_says_so_or_not() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    let mut fields = get("/up");
    fields[0].1 = "POST";
    frames.header(1, 0, &[&fields[..], &[("content-length", "9000")]].concat());
    assert_eq!(frames.outcome(1).problem(), (413, "body_too_large".to_owned()));
    frames.header(3, 0, &fields);
    for _ in 0..3 {
        frames.send(DATA, 0, 3, &[b'x'; 3000]);
    }
    assert_eq!(frames.outcome(3).problem(), (413, "body_too_large".to_owned()));
    // Within it, a body goes upstream whole.
    frames.header(5, 0, &fields).send(DATA, 0, 5, b"ab").send(DATA, END_STREAM, 5, b"cd");
    assert_eq!(frames.outcome(5).status(), 200);
    let seen = upstream.last();
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert!(String::from_utf8_lossy(&seen.body).contains("cd"));
}

#[test]
fn a_body_of_another_length_than_it_says_never_becomes_a_request() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    for body in [&b"abc"[..], b"abcdef"] {
        let mut frames = Frames::connect(gateway.address());
        let mut fields = get("/up");
        fields[0].1 = "POST";
        frames.header(1, 0, &[&fields[..], &[("content-length", "5")]].concat());
        frames.send(DATA, END_STREAM, 1, body);
        assert_eq!(frames.outcome(1), Outcome::Reset(1), "{body:?}");
    }
    assert_eq!(upstream.count(), 0, "no body came to its end");
}

#[test]
fn cookies_in_several_fields_are_one_for_whoever_is_behind() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    frames.header(1, END_STREAM, &with(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]));
    assert_eq!(frames.outcome(1).status(), 200);
    assert_eq!(upstream.last().all("cookie"), ["a=1; b=2"]);
}

#[test]
fn a_request_without_an_authority_goes_by_its_host() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    frames.header(1, END_STREAM, &[&without(":authority")[..], &[("host", "h.example")]].concat());
    assert_eq!(frames.outcome(1).status(), 200);
    assert_eq!(upstream.last().header("host"), Some("h.example"));
}

#[test]
fn a_name_that_was_not_shaken_hands_for_is_misdirected_in_http_2_too() {
    let authority = Authority::new();
    let upstream = Recorder::start();
    let identity = authority.issue(&["api.example.com", "other.example.com"]);
    let yaml = "
version: 1
server:
  listen:
    - address: '127.0.0.1:0'
      tls: { certificates: [{ cert: a.pem, key: a.key }], client_auth: { ca: ca.pem, mode: optional } }
admin: { listen: '127.0.0.1:0' }
upstreams: { app: '@APP@' }
routes: [{ name: all, match: { path: '/**' }, upstream: app, auth: none }]
";
    let gateway = Gateway::with_whole(yaml)
        .put("APP", &upstream.url())
        .file("a.pem", &identity.cert)
        .file("a.key", &identity.key)
        .file("ca.pem", authority.pem())
        .start();
    let guest = Guest { alpn: &["h2"], ..Guest::of(&authority) };
    let secure = guest.connect(gateway.address(), "api.example.com").unwrap();
    let mut frames = Frames::begin(secure.raw());
    let fields = |name: &'static str| {
        [(":method", "GET"), (":scheme", "https"), (":authority", name), (":path", "/")]
    };
    frames.header(1, END_STREAM, &fields("api.example.com"));
    assert_eq!(frames.outcome(1).status(), 200);
    frames.header(3, END_STREAM, &fields("other.example.com"));
    assert_eq!(frames.outcome(3).problem(), (421, "misdirected".to_owned()));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn streams_under_way_are_finished_before_it_leaves_and_the_connection_is_told() {
    let (upstream, release) = Recorder::holding();
    let mut gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    frames.get(1, "/held");
    upstream.wait_for(1);
    gateway.signal("TERM");
    let farewell = frames.next().unwrap();
    assert_eq!((farewell.kind, farewell.code()), (GOAWAY, 0));
    assert!(gateway.runs(), "one request is still under way");
    release.send(()).unwrap();
    assert_eq!(frames.outcome(1).status(), 200);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_connection_without_a_request_is_told_to_leave_after_the_idle_time() {
    let upstream = Recorder::start();
    let yaml = YAML.replace("idle_timeout: 60s", "idle_timeout: 300ms");
    let gateway = Gateway::with_whole(&yaml).put("APP", &upstream.url()).start();
    let mut frames = Frames::connect(gateway.address());
    frames.get(1, "/x");
    assert_eq!(frames.outcome(1).status(), 200);
    let farewell = frames.next().unwrap();
    assert_eq!((farewell.kind, farewell.code()), (GOAWAY, 0));
    while frames.next().is_some() {}
    assert_eq!(
        gateway.metric(&format!("portcullis_connections{{listener=\"{}\"}}", gateway.address())),
        0.0
    );
}

#[test]
fn a_silent_client_does_not_hold_a_stream_or_a_connection() {
    let large = vec![b'x'; 1 << 20];
    let upstream = Recorder::scripted(move |_, stream| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", large.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&large));
        After::Close
    });
    let yaml = YAML.replace("idle_timeout: 60s", "idle_timeout: 500ms, header_timeout: 500ms");
    let gateway = Gateway::with_whole(&yaml).put("APP", &upstream.url()).start();
    // A window that is never opened.
    let mut frames = Frames::connect(gateway.address());
    frames.get(1, "/large");
    assert!(matches!(frames.outcome(1), Outcome::Reset(_) | Outcome::Ended(_)));
    // A body that is never sent.
    let mut frames = Frames::connect(gateway.address());
    let mut fields = get("/up");
    fields[0].1 = "POST";
    frames.header(1, 0, &fields);
    assert_eq!(frames.outcome(1).problem(), (408, "request_timeout".to_owned()));
    // A header that does not end, and a connection that does not begin.
    let mut frames = Frames::connect(gateway.address());
    frames.send(HEADERS, 0, 1, &block(&get("/")));
    while frames.next().is_some() {}
    let mut raw = gateway.raw();
    raw.send(&b"PRI * HTTP/2.0\r\n"[..]).closed();
}

#[test]
fn events_come_one_by_one_and_forms_are_read() {
    let app = App::start("streams", &[]);
    let yaml = format!(
        "{PEOPLE}upstreams: {{ app: '@APP@' }}\nroutes: [{{ name: all, match: {{ path: '/**' }}, upstream: app, auth: none }}]\n"
    );
    let gateway = Gateway::with(&yaml).put("APP", &app.url()).start();
    let mut frames = Frames::connect(gateway.address());
    frames.get(1, "/events");
    let data = |frames: &mut Frames| loop {
        let frame = frames.next().unwrap();
        if frame.kind == DATA {
            return String::from_utf8(frame.payload).unwrap();
        }
    };
    assert_eq!(data(&mut frames), ": open\n\n");
    gateway.call("POST", "/events/next").body(r#"{"events": [1]}"#).send().ok();
    assert_eq!(data(&mut frames), "data: 1\n\n");
    // The gateway's own endpoints read a body, which their clients are told the end of.
    let form = format!("grant_type=password&username={}&password={}", BOB.0, BOB.1);
    let url = format!("http://{}/auth/token", gateway.address());
    let said = curl(&["--http2-prior-knowledge", "--data", &form, &url]);
    assert!(said.contains("access_token"), "{said}");
}

#[test]
fn an_upstream_that_is_too_slow_is_a_504_in_http_2() {
    let (upstream, _release) = Recorder::holding();
    let yaml = YAML.replace(
        "upstream: app, auth: none }\n  - { name: only",
        "upstream: app, auth: none, timeouts: { response: 200ms } }\n  - { name: only",
    );
    let gateway = Gateway::with_whole(&yaml).put("APP", &upstream.url()).start();
    let mut frames = Frames::connect(gateway.address());
    let begun = Instant::now();
    frames.get(1, "/held").get(3, "/x");
    assert_eq!(frames.outcome(1).problem(), (504, "upstream_timeout".to_owned()));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_connection_that_waits_to_be_told_apart_is_dropped_when_the_gateway_leaves() {
    let upstream = Recorder::start();
    let mut gateway = gateway(&upstream);
    let mut silent = gateway.raw();
    let mut half = gateway.raw();
    half.send(&b"PRI"[..]);
    gateway.get("/x").send().ok();
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    silent.closed();
    half.closed();
}

#[test]
fn an_unknown_frame_and_a_ping_change_nothing() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut frames = Frames::connect(gateway.address());
    frames.send(0x2a, 0, 0, b"whatever").send(PING, 0, 0, b"01234567");
    frames.send(SETTINGS, 0, 0, &[]).get(1, "/x");
    assert_eq!(frames.outcome(1).status(), 200);
}
