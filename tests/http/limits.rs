//! Limits under fire: never one more than the number says, however many ask at once and wherever the window begins.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, PATIENCE, Raw, Recorder};
use crate::people::{BOB, PEOPLE};

const ROUTES: &str = r#"
upstreams: { app: '@APP@' }
defaults: { auth: none }
routes:
  - { name: burst, match: { path: /burst }, upstream: app, rate_limit: { limit: 50/minute, by: route } }
  - { name: edge, match: { path: /edge }, upstream: app, rate_limit: { limit: 20/2 seconds, by: client_ip } }
  - { name: fixed, match: { path: /fixed }, upstream: app, rate_limit: { limit: 30/minute, by: client_ip, algorithm: fixed_window } }
  - { name: bucket, match: { path: /bucket }, upstream: app, rate_limit: { limit: 30/hour, by: client_ip, algorithm: token_bucket, burst: 30 } }
  - { name: ten, match: { path: /ten }, upstream: app, rate_limit: { limit: 10 per 1 minute, by: client_ip } }
  - { name: none, match: { path: /none }, upstream: app, rate_limit: { limit: 0/minute, by: client_ip } }
  - { name: free, match: { path: /free }, upstream: app }
  - { name: mine, match: { path: /mine }, upstream: app, auth: [jwt], rate_limit: { limit: 2/minute, by: principal } }
"#;

fn gateway(upstream: &Recorder) -> Gateway {
    Gateway::with(&format!("{PEOPLE}{ROUTES}")).put("APP", &upstream.url()).start()
}

/// Sends one request over each of so many connections at once; how many were let through and how many refused.
fn volley(gateway: &Gateway, target: &str, count: usize) -> (usize, usize) {
    let mut connections: Vec<Raw> = (0..count).map(|_| gateway.raw()).collect();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (passed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for lane in connections.chunks_mut(count.div_ceil(16)) {
            let (request, passed, refused) = (&request, &passed, &refused);
            scope.spawn(move || {
                for raw in lane.iter_mut() {
                    raw.send(request);
                }
                for raw in lane {
                    match raw.answer().status {
                        200 => passed.fetch_add(1, Ordering::SeqCst),
                        429 => refused.fetch_add(1, Ordering::SeqCst),
                        other => panic!("unexpected {other}"),
                    };
                }
            });
        }
    });
    (passed.into_inner(), refused.into_inner())
}

#[test]
fn two_hundred_at_once_get_exactly_as_many_places_as_there_are() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    for (target, places) in [("/burst", 50), ("/fixed", 30), ("/bucket", 30)] {
        let before = upstream.count();
        assert_eq!(volley(&gateway, target, 200), (places, 200 - places), "{target}");
        assert_eq!(upstream.count() - before, places, "{target}: a refused request went upstream");
    }
    assert_eq!(volley(&gateway, "/none", 10), (0, 10));
}

#[test]
fn no_window_holds_one_too_many_wherever_it_is_laid() {
    const PLACES: usize = 20;
    const WINDOW: Duration = Duration::from_secs(2);
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let enough = AtomicBool::new(false);
    let begin = Instant::now();
    // Each lane asks without a pause until places of three windows have been had.
    let mut admitted: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut raw = gateway.raw();
                    let mut admitted = Vec::new();
                    while !enough.load(Ordering::SeqCst) {
                        assert!(begin.elapsed() < PATIENCE, "places do not come back");
                        let sent = Instant::now();
                        let status =
                            raw.send("GET /edge HTTP/1.1\r\nHost: x\r\n\r\n").answer().status;
                        if status == 200 {
                            admitted.push((sent, Instant::now()));
                        }
                        if upstream.count() > 3 * PLACES {
                            enough.store(true, Ordering::SeqCst);
                        }
                    }
                    admitted
                })
            })
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    admitted.sort();
    assert!(admitted.len() > 3 * PLACES);
    // A request was counted at some instant between its sending and its answer. Those that lie whole within one window are
    // never more than the limit.
    for &(start, _) in &admitted {
        let inside = admitted
            .iter()
            .filter(|(sent, answered)| *sent >= start && *answered < start + WINDOW)
            .count();
        assert!(inside <= PLACES, "{inside} requests were let through within {WINDOW:?}");
    }
}

#[test]
fn the_eleventh_is_told_when_to_come_back() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    for left in (0..10).rev() {
        let answer = gateway.get("/ten").send();
        answer.ok();
        assert_eq!(answer.header("x-ratelimit-limit"), Some("10"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some(r#""10-per-minute-by-client-ip";q=10;w=60"#)
        );
        let standing = answer.header("ratelimit").unwrap();
        assert!(
            standing.starts_with(&format!(r#""10-per-minute-by-client-ip";r={left};t="#)),
            "{standing}"
        );
    }
    let answer = gateway.get("/ten").send();
    answer.refused(429, "rate_limited");
    assert_eq!(answer.json()["detail"], "Rate limit exceeded: 10 per 1 minute");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    let reset: u64 = answer.header("x-ratelimit-reset").unwrap().parse().unwrap();
    assert!(reset >= crate::people::now() && reset <= crate::people::now() + 61);
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(
        gateway.metric(
            r#"portcullis_rate_limited_total{limit="10-per-minute-by-client-ip",route="ten"}"#
        ),
        1.0
    );
    let answer = gateway.get("/free").send();
    assert_eq!(answer.header("x-ratelimit-limit"), None, "another route has nothing to do with it");
}

#[test]
fn each_principal_has_places_of_its_own() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let bob = gateway.login(BOB.0, BOB.1);
    for _ in 0..2 {
        gateway.get("/mine").bearer(&bob).send().ok();
        gateway.get("/mine").bearer(&crate::people::corp_token("2")).send().ok();
    }
    gateway.get("/mine").bearer(&bob).send().refused(429, "rate_limited");
    gateway
        .get("/mine")
        .bearer(&crate::people::corp_token("2"))
        .send()
        .refused(429, "rate_limited");
    gateway.get("/mine").bearer(&crate::people::corp_token("3")).send().ok();
}
