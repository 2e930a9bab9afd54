//! Several targets behind one upstream, some of them in trouble.

use std::{
    collections::HashMap,
    io::Write,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use crate::harness::{After, Gateway, Recorder, eventually};
use crate::people::{KEY, PEOPLE};

/// What most of these tests do without.
const BY_ADDRESS: &str = "    load_balance: { hash: client_ip }\n";

const YAML: &str = "
upstreams:
  app:
    targets: ['@ONE@', { url: '@TWO@', weight: 1 }]
    host: target
    load_balance: { hash: client_ip }
    # @MORE@
routes:
  - { name: all, match: { path: '/**' }, upstream: app, auth: none }
";

fn gateway(one: &str, two: &str, more: &str) -> Gateway {
    Gateway::with(&YAML.replace(BY_ADDRESS, ""))
        .put("ONE", one)
        .put("TWO", two)
        .put("MORE", &format!("\n{more}"))
        .start()
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Answers with this status.
fn status(status: u16) -> Recorder {
    Recorder::answering(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"))
}

/// Everything at once.
const CAREFUL: &str = "
upstreams:
  app:
    targets: ['@DEAD@', '@BAD@', { url: '@GOOD@', weight: 2 }]
    load_balance: least_requests
    health_check: { type: http, path: /healthz, interval: 1h, timeout: 10s, unhealthy_after: 100, healthy_after: 1, expect: [200] }
    ejection: { consecutive_failures: 2, for: 1h }
    retries: { attempts: 2, on: [connect, 503], budget: 100% }
routes:
  - { name: all, match: { path: '/**' }, upstream: app, auth: none }
";

#[test]
fn with_all_of_it_no_request_that_may_be_repeated_is_lost_while_one_target_is_well() {
    let (bad, good) = (status(503), Recorder::start());
    let setting = Gateway::with(CAREFUL).put("DEAD", &nowhere()).put("BAD", &bad.url());
    let gateway = setting.put("GOOD", &good.url()).start();
    for _ in 0..60 {
        gateway.get("/x").send().ok();
    }
    let requests = |recorder: &Recorder| {
        recorder.received().iter().filter(|request| request.target() == "/x").count()
    };
    assert_eq!(requests(&good), 60);
    assert!(requests(&bad) >= 1);
}

#[test]
fn requests_take_turns_and_each_target_is_called_by_its_name() {
    let (one, two) = (Recorder::start(), Recorder::start());
    let gateway = gateway(&one.url(), &two.url(), "");
    for _ in 0..10 {
        gateway.get("/x").send().ok();
    }
    assert_eq!((one.count(), two.count()), (5, 5));
    for recorder in [&one, &two] {
        assert_eq!(recorder.last().header("host"), Some(&*recorder.address().to_string()));
    }
    let series = format!(
        "portcullis_upstream_requests_total{{status=\"200\",target=\"{}\",upstream=\"app\"}}",
        two.address()
    );
    assert_eq!(gateway.metric(&series), 5.0);
    let told = gateway.wait_for_log("a line", |line| line["target"] == two.address().to_string());
    assert_eq!(told["upstream"], "app");
}

#[test]
fn the_same_principal_or_header_goes_to_the_same_target() {
    let (one, two) = (Recorder::start(), Recorder::start());
    let by = |hash: &str, auth: &str| {
        let more = format!("\n    load_balance: {{ hash: {hash} }}");
        let yaml = format!("{PEOPLE}{YAML}").replace("auth: none", auth).replace(BY_ADDRESS, "");
        Gateway::with(&yaml)
            .put("ONE", &one.url())
            .put("TWO", &two.url())
            .put("MORE", &more)
            .start()
    };
    let gateway = Gateway::with(YAML).put("ONE", &one.url()).put("TWO", &two.url()).put("MORE", "");
    let gateway = gateway.start();
    for _ in 0..6 {
        gateway.get("/x").send().ok();
    }
    let went = (one.count(), two.count());
    assert!(went == (6, 0) || went == (0, 6), "all of one address: {went:?}");
    let gateway = by("'header:X-Tenant'", "auth: none");
    let mut places: HashMap<String, usize> = HashMap::new();
    for round in 0..3 {
        for tenant in 0..20 {
            let before = one.count();
            gateway.get("/x").header("x-tenant", &tenant.to_string()).send().ok();
            let place = usize::from(one.count() == before);
            let first = *places.entry(tenant.to_string()).or_insert(place);
            assert_eq!(place, first, "tenant {tenant} in round {round}");
        }
    }
    assert!(places.values().any(|place| *place == 0) && places.values().any(|place| *place == 1));
    let (before_one, before_two) = (one.count(), two.count());
    let gateway = by("principal", "auth: api_key");
    for _ in 0..6 {
        gateway.get("/x").header("x-api-key", KEY).send().ok();
    }
    let went = (one.count() - before_one, two.count() - before_two);
    assert!(went == (6, 0) || went == (0, 6), "{went:?}");
}

#[test]
fn a_request_that_could_not_be_connected_goes_on_to_the_next_target_whatever_its_method() {
    let upstream = Recorder::start();
    let gateway = gateway(&nowhere(), &upstream.url(), "");
    for method in ["GET", "POST"] {
        for _ in 0..4 {
            gateway.call(method, "/x").body("hello").send().ok();
        }
    }
    assert_eq!(upstream.count(), 8);
    assert!(upstream.received().iter().all(|request| request.body == b"hello"));
}

#[test]
fn where_no_target_can_be_connected_to_it_is_502() {
    let gateway = gateway(&nowhere(), &nowhere(), "");
    gateway.get("/x").send().refused(502, "upstream_error");
}

#[test]
fn an_answer_of_trouble_is_tried_again_elsewhere_if_that_does_no_harm() {
    let (bad, good) = (status(503), Recorder::start());
    let more = "    retries: { attempts: 1, on: [connect, 502, 503, 504], budget: 100% }";
    let gateway = gateway(&bad.url(), &good.url(), more);
    for _ in 0..6 {
        gateway.get("/x").send().ok();
    }
    assert_eq!((bad.count(), good.count()), (3, 6));
    // A body that fits the buffer goes twice, whole.
    for _ in 0..2 {
        gateway.call("PUT", "/x").body("hello").send().ok();
    }
    assert_eq!(good.last().body, b"hello");
    let before = (bad.count(), good.count());
    let answers: Vec<u16> =
        (0..4).map(|_| gateway.call("POST", "/x").body("hello").send().status).collect();
    assert_eq!(answers.iter().filter(|status| **status == 503).count(), 2, "{answers:?}");
    assert_eq!((bad.count() - before.0, good.count() - before.1), (2, 2), "a POST goes once");
    let series = |target: &Recorder, status: u16| {
        let target = target.address();
        gateway.metric(&format!(
            "portcullis_upstream_requests_total{{status=\"{status}\",target=\"{target}\",upstream=\"app\"}}"
        ))
    };
    assert_eq!(series(&bad, 503), bad.count() as f64);
    assert_eq!(series(&good, 200), good.count() as f64);
}

#[test]
fn without_retries_an_answer_of_trouble_is_the_answer() {
    let (bad, good) = (status(503), Recorder::start());
    let gateway = gateway(&bad.url(), &good.url(), "");
    let statuses: Vec<u16> = (0..4).map(|_| gateway.get("/x").send().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 2);
}

#[test]
fn the_last_answer_of_trouble_is_the_answer() {
    let (one, two) = (status(502), status(502));
    let gateway = gateway(&one.url(), &two.url(), "    retries: { attempts: 3 }");
    let answer = gateway.get("/x").send();
    assert_eq!(answer.status, 502);
    assert_eq!((one.count(), two.count()), (1, 1), "each target once");
}

#[test]
fn a_connection_that_breaks_before_an_answer_is_tried_again_elsewhere() {
    let breaking = Recorder::scripted(|_, _| After::Close);
    let good = Recorder::start();
    let more = "    retries: { on: [connect], budget: 100% }";
    let gateway = gateway(&breaking.url(), &good.url(), more);
    for _ in 0..4 {
        gateway.get("/x").send().ok();
    }
    assert_eq!(breaking.count(), 2);
    let statuses: Vec<u16> =
        (0..2).map(|_| gateway.call("POST", "/x").body("x").send().status).collect();
    assert!(statuses.contains(&502), "{statuses:?}");
}

#[test]
fn a_failing_target_is_left_out() {
    let (bad, good) = (status(503), Recorder::start());
    let more = "    ejection: { consecutive_failures: 3, for: 1h }";
    let gateway = gateway(&bad.url(), &good.url(), more);
    let statuses: Vec<u16> = (0..30).map(|_| gateway.get("/x").send().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 3, "{statuses:?}");
    assert_eq!(bad.count(), 3);
    gateway.wait_for_log("the word", |line| {
        line["event"] == "target_ejected" && line["target"] == bad.address().to_string()
    });
    let series =
        format!("portcullis_upstream_healthy{{target=\"{}\",upstream=\"app\"}}", bad.address());
    assert_eq!(gateway.metric(&series), 0.0);
}

#[test]
fn health_checks_take_a_target_out_and_in_again() {
    let well = Arc::new(AtomicBool::new(true));
    let asked = Arc::new(AtomicUsize::new(0));
    let (says, counts) = (well.clone(), asked.clone());
    let sick = Recorder::scripted(move |request, stream| {
        let status = match request.target() {
            "/healthz?deep" => {
                counts.fetch_add(1, SeqCst);
                if says.load(SeqCst) { 204 } else { 500 }
            }
            _ => 200,
        };
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
        After::KeepOpen
    });
    let other = Recorder::answering("HTTP/1.1 204 X\r\n\r\n");
    let more = "    health_check: { path: '/healthz?deep', interval: 20ms, timeout: 10s, unhealthy_after: 2, healthy_after: 2, expect: [204] }";
    let gateway = gateway(&sick.url(), &other.url(), more);
    let series =
        format!("portcullis_upstream_healthy{{target=\"{}\",upstream=\"app\"}}", sick.address());
    let is = |value: f64| eventually("health", || (gateway.metric(&series) == value).then_some(()));
    eventually("a question", || (asked.load(SeqCst) > 2).then_some(()));
    is(1.0);
    well.store(false, SeqCst);
    is(0.0);
    for _ in 0..6 {
        assert_eq!(gateway.get("/x").send().status, 204);
    }
    gateway.wait_for_log("why", |line| {
        line["event"] == "target_unhealthy" && line["why"] == "it answered with 500"
    });
    well.store(true, SeqCst);
    is(1.0);
    eventually("a request", || (gateway.get("/x").send().status == 200).then_some(()));
}

#[test]
fn where_no_target_is_well_it_is_503() {
    let more = "    health_check: { type: tcp, interval: 20ms, unhealthy_after: 1 }";
    let gateway = gateway(&nowhere(), &nowhere(), more);
    eventually("both to be out", || (gateway.get("/x").send().status == 503).then_some(()));
    gateway.get("/x").send().refused(503, "no_upstream");
}

/// Answers, but for what begins with this target: then the connection ends.
fn ending(target: &'static str) -> Recorder {
    Recorder::scripted(move |request, stream| {
        if request.target().starts_with(target) {
            return After::Close;
        }
        // Long enough for others to need connections of their own.
        std::thread::sleep(std::time::Duration::from_millis(200));
        match stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") {
            Ok(()) => After::KeepOpen,
            Err(_) => After::Close,
        }
    })
}

#[test]
fn a_request_that_ends_one_kept_connection_after_the_other_is_sent_once_more_and_no_more() {
    let upstream = ending("/poison");
    let gateway = Gateway::with(
        "upstreams: { app: '@APP@' }\nroutes: [{ match: { path: '/**' }, upstream: app, auth: none }]",
    )
    .put("APP", &upstream.url())
    .start();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| gateway.get("/x").send().ok().status);
        }
    });
    gateway.call("DELETE", "/poison").send().refused(502, "upstream_error");
    let sent = upstream.received().iter().filter(|seen| seen.target() == "/poison").count();
    assert!((1..=2).contains(&sent), "{sent}");
}

#[test]
fn what_a_client_that_went_away_had_asked_for_is_not_sent_again() {
    let hold = || {
        Recorder::scripted(|_, stream| {
            // Until the gateway has gone away.
            let _ = std::io::Read::read(stream, &mut [0]);
            After::Close
        })
    };
    let (one, two) = (hold(), hold());
    let gateway = gateway(
        &one.url(),
        &two.url(),
        "    retries: { attempts: 1, on: [connect], budget: 100% }",
    );
    let mut raw = gateway.raw();
    raw.send("DELETE /x HTTP/1.1\r\nHost: x\r\n\r\n");
    eventually("the request", || (one.count() + two.count() > 0).then_some(()));
    drop(raw);
    gateway.wait_for_log("its end", |line| line["path"] == "/x" && line["status"] == 499);
    assert_eq!(one.count() + two.count(), 1);
}

#[test]
fn an_answer_that_is_given_up_counts_once() {
    let (bad, good) = (status(503), Recorder::start());
    let more = "    retries: { attempts: 1, on: [503], budget: 100% }";
    let gateway = gateway(&bad.url(), &good.url(), more);
    for _ in 0..4 {
        gateway.get("/x").send().ok();
    }
    let series = |target: &Recorder, status: &str| {
        gateway.metric(&format!(
            "portcullis_upstream_requests_total{{status=\"{status}\",target=\"{}\",upstream=\"app\"}}",
            target.address()
        ))
    };
    assert_eq!(series(&bad, "503"), bad.count() as f64);
    assert!(bad.count() > 0);
    assert_eq!(series(&bad, "error"), 0.0);
}

#[test]
fn a_client_that_never_ends_its_body_has_no_target_left_out() {
    // Reads a little of a request, and gives up on what does not come, as many servers do.
    let impatient = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let _ = std::io::Read::read(&mut stream, &mut [0; 1 << 10]);
                    std::thread::sleep(std::time::Duration::from_millis(400));
                });
            }
        });
        format!("http://{address}")
    };
    let more = "    ejection: { consecutive_failures: 2, for: 1h }\n    retries: { attempts: 1, on: [connect], budget: 100% }";
    let gateway = gateway(&impatient(), &impatient(), more);
    std::thread::scope(|scope| {
        for method in ["POST", "PUT"] {
            for _ in 0..4 {
                let gateway = &gateway;
                scope.spawn(move || {
                    let mut raw = gateway.raw();
                    raw.send(format!(
                        "{method} /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"
                    ));
                    raw.answer().refused(408, "request_timeout");
                });
            }
        }
    });
    let ejected = |line: &serde_json::Value| line["event"] == "target_ejected";
    assert!(gateway.logged(ejected).is_none());
    // Of one that sent everything the target is to blame.
    for _ in 0..4 {
        gateway.call("POST", "/x").body("all of it").send().refused(502, "upstream_error");
    }
    gateway.wait_for_log("the word", ejected);
}
