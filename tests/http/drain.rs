//! Starting, stopping, and not starting.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Raw, Recorder, eventually};

const YAML: &str = "
upstreams: { app: '@APP@' }
routes: [{ name: all, match: { path: '/**' }, upstream: app, auth: none }]
";

fn refuses(gateway: &Gateway) {
    let address = gateway.address();
    eventually("the listener to close", || {
        std::net::TcpStream::connect(address).is_err().then_some(())
    });
}

#[test]
fn an_idle_gateway_leaves_at_once_and_in_order() {
    for signal in ["TERM", "INT"] {
        let upstream = Recorder::start();
        let mut gateway = Gateway::with(YAML).put("APP", &upstream.url()).start();
        gateway.get("/x").send().ok();
        let begin = Instant::now();
        gateway.signal(signal);
        let status = gateway.wait();
        assert_eq!(status.code(), Some(0), "{signal}\n{}", gateway.output());
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{signal}: an idle gateway waits for nothing"
        );
    }
}

#[test]
fn requests_under_way_are_finished_before_it_leaves() {
    let (upstream, release) = Recorder::holding();
    let mut gateway = Gateway::with(YAML).put("APP", &upstream.url()).start();
    let mut raw = gateway.raw();
    raw.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    upstream.wait_for(1);
    gateway.signal("TERM");
    refuses(&gateway);
    assert!(gateway.runs(), "one request is still under way");
    release.send(()).unwrap();
    let answer = raw.answer();
    assert_eq!((answer.text(), answer.header("connection")), ("ok", Some("close")));
    assert_eq!(gateway.wait().code(), Some(0));
    raw.closed();
}

#[test]
fn readiness_goes_first_and_accepting_goes_on_for_the_delay() {
    let upstream = Recorder::start();
    let yaml = format!(
        "{}{YAML}",
        crate::harness::PORTS.replace("server: {", "server: { drain_delay: 2s, ")
    );
    let mut gateway = Gateway::with_whole(&yaml).put("APP", &upstream.url()).start();
    gateway.wait_until_ready();
    gateway.signal("TERM");
    eventually("readiness to fail", || {
        (gateway.admin("GET", "/readyz").send().status == 503).then_some(())
    });
    let mut late = Raw::connect(gateway.address());
    let answer = late.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").answer();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    late.closed();
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_request_that_never_ends_is_left_behind_after_the_timeout() {
    let (upstream, _release) = Recorder::holding();
    let yaml = format!(
        "{}{YAML}",
        crate::harness::PORTS.replace("server: {", "server: { drain_timeout: 500ms, ")
    );
    let mut gateway = Gateway::with_whole(&yaml).put("APP", &upstream.url()).start();
    let mut raw = gateway.raw();
    raw.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    upstream.wait_for(1);
    let begin = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(1), "the request was cut off");
    assert!(begin.elapsed() < Duration::from_secs(10));
    ends_with_a_word_on_the_cut(&gateway);
}

fn ends_with_a_word_on_the_cut(gateway: &Gateway) {
    let output = gateway.output();
    let last = output.lines().rfind(|line| line.contains("\"event\"")).unwrap();
    assert!(last.contains("\"stopped\"") && last.contains("the drain was cut"), "{last}");
    assert!(last.contains("\"level\":\"error\"") && last.contains("\"clean\":false"), "{last}");
}

#[test]
fn a_second_signal_stops_at_once() {
    let (upstream, _release) = Recorder::holding();
    let mut gateway = Gateway::with(YAML).put("APP", &upstream.url()).start();
    let mut raw = gateway.raw();
    raw.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    upstream.wait_for(1);
    let begin = Instant::now();
    gateway.signal("TERM");
    refuses(&gateway);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(1), "the request was cut off");
    assert!(begin.elapsed() < Duration::from_secs(10), "the drain's timeout is three times that");
    ends_with_a_word_on_the_cut(&gateway);
}

#[test]
fn a_port_that_is_taken_is_an_error_and_not_a_zombie() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let free = "'127.0.0.1:0'";
    for place in ["address: ", "admin: { listen: "] {
        let yaml = format!("{}{YAML}", crate::harness::PORTS).replacen(
            &format!("{place}{free}"),
            &format!("{place}'{address}'"),
            1,
        );
        let (status, output) = Gateway::with_whole(&yaml).put("APP", "http://127.0.0.1:9").fail();
        assert_eq!(status.code(), Some(1), "{output}");
        assert!(output.contains(&address), "{output}");
    }
}

#[test]
fn a_file_that_is_wrong_or_not_there_stops_the_start() {
    let (status, output) =
        Gateway::with(&format!("{YAML}rooutes: []\n")).put("APP", "http://127.0.0.1:9").fail();
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("rooutes"), "{output}");
    let nowhere = std::path::Path::new("no-such-directory/gateway.yaml");
    let (status, output) = Gateway::with("").at(nowhere).fail();
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("no-such-directory/gateway.yaml"), "{output}");
}
