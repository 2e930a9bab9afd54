//! No file descriptors left.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{FAILED, Scene, requests};
use crate::harness::{Peer, Raw, eventually};

#[test]
fn without_file_descriptors_it_serves_whom_it_has_rests_and_goes_on_when_there_are_some() {
    let bad = Peer::echoing();
    let scene = Scene::begin(&bad.url());
    scene.is_well();
    let gateway = &scene.gateway;
    let plenty = gateway.descriptors() + 1_000;
    gateway.allow_descriptors(gateway.descriptors());
    // They stand in the backlog.
    let mut waiting: Vec<Raw> = (0..50).map(|_| Raw::connect(gateway.address())).collect();
    let failed = |line: &Value| line["event"] == "accept_failed";
    gateway.wait_for_log("that it cannot accept", failed);
    scene.go_on();
    let (begun, used) = (Instant::now(), gateway.processor_time());
    let (reads, writes, others) = (&scene.reads, &scene.writes, &scene.others);
    eventually("requests of those who are connected, for a second at least", || {
        (begun.elapsed() > Duration::from_secs(1)).then_some(())
    });
    for load in [reads, writes, others] {
        load.wait_for(1);
    }
    println!(
        "\nwithout descriptors: {} hundredths of a second of processor time in {:.1} s under load",
        gateway.processor_time() - used,
        begun.elapsed().as_secs_f64()
    );
    gateway.allow_descriptors(plenty);
    let ended = Instant::now();
    for raw in &mut waiting {
        let answer = raw.send("GET /other/late HTTP/1.1\r\nHost: x\r\n\r\n").answer();
        assert_eq!(answer.status, 200);
    }
    let back = ended.elapsed();
    gateway.wait_for_log("that it accepts again", |line| line["event"] == "accept_recovered");
    assert_eq!(gateway.count_logged(failed), 1, "told once");
    drop(waiting);
    scene.reads.wait_for_right(requests());
    scene.go_on();
    scene.end("no file descriptors left", FAILED, (ended, back)).right();
}

#[test]
fn without_file_descriptors_and_without_requests_it_uses_no_processor() {
    let peer = Peer::echoing();
    let yaml = "upstreams: { app: '@APP@' }\nroutes: [{ match: { path: '/**' }, upstream: app, auth: none }]";
    let gateway = crate::harness::Gateway::with(yaml).put("APP", &peer.url()).start();
    gateway.get("/x").send().ok();
    gateway.allow_descriptors(gateway.descriptors());
    let mut waiting: Vec<Raw> = (0..8).map(|_| Raw::connect(gateway.address())).collect();
    gateway.wait_for_log("that it cannot accept", |line| line["event"] == "accept_failed");
    let (begun, used) = (Instant::now(), gateway.processor_time());
    eventually("two seconds", || (begun.elapsed() > Duration::from_secs(2)).then_some(()));
    let (took, used) = (begun.elapsed(), gateway.processor_time() - used);
    assert!(u128::from(used) * 10 < took.as_millis() / 2, "{used} hundredths in {took:?}");
    gateway.allow_descriptors(1_000);
    for raw in &mut waiting {
        assert_eq!(raw.send("GET /x HTTP/1.1\r\nHost: x\r\n\r\n").answer().status, 200);
    }
}
