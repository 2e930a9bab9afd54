//! One of two targets in trouble.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{CUT, Scene, none_came_twice};
use crate::harness::{App, Mood, Peer, eventually};

/// What was sent to either, each as a target.
fn sent(scene: &Scene, bad: &[String]) -> Vec<String> {
    let good = scene.good.received().into_iter().map(|request| request.target().to_owned());
    good.chain(bad.iter().cloned()).collect()
}

fn sent_to(peer: &Peer) -> Vec<String> {
    peer.received().iter().map(|request| request.target().to_owned()).collect()
}

#[track_caller]
fn none_twice(sent: &[String]) {
    none_came_twice(sent.iter().map(String::as_str));
}

#[test]
fn a_target_that_is_killed_within_its_answers_costs_those_alone() {
    let first = App::start("target", &["0"]);
    let (url, port) = (first.url(), first.address().port().to_string());
    let scene = Scene::begin(&url);
    scene.is_well();
    first.signal("KILL");
    scene.go_on();
    let second = App::start("target", &[&port]);
    let ended = Instant::now();
    let asked = || second.said().lines().filter(|line| line.contains("/app/")).count();
    eventually("the target to be used again", || (asked() >= 10).then_some(()));
    let back = ended.elapsed();
    scene.go_on();
    let said = format!("{}\n{}", first.said(), second.said());
    let bad: Vec<String> =
        said.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect();
    none_twice(&sent(&scene, &bad));
    scene.end("target killed within its answers", CUT, (ended, back)).right();
}

#[test]
fn a_target_that_hangs_with_its_connections_open_is_left_alone_and_taken_back() {
    let app = App::start("target", &["0"]);
    let scene = Scene::begin(&app.url());
    scene.is_well();
    app.signal("STOP");
    // Whoever it had is given up after `timeouts.response`, or within an answer after `timeouts.idle`.
    scene.reads.wait_for(super::requests());
    scene.go_on();
    app.signal("CONT");
    let ended = Instant::now();
    let before = app.said().lines().count();
    eventually("the target to be used again", || {
        (app.said().lines().count() > before + 20).then_some(())
    });
    let back = ended.elapsed();
    scene.go_on();
    let said = app.said();
    let bad: Vec<String> =
        said.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect();
    none_twice(&sent(&scene, &bad));
    scene.end("target frozen, connections half-open", CUT, (ended, back)).right();
}

/// A listener that accepts nothing and whose backlog is full: whoever connects waits.
struct BlackHole {
    listener: TcpListener,
    plugs: Vec<TcpStream>,
}

impl BlackHole {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let listener = {
            let _entered = runtime.enter();
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            socket.listen(1).unwrap().into_std().unwrap()
        };
        listener.set_nonblocking(false).unwrap();
        let address = listener.local_addr().unwrap();
        let plug = || TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok();
        Self { plugs: std::iter::from_fn(plug).collect(), listener }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// From now on it answers.
    fn wake(self) -> Peer {
        drop(self.plugs);
        Peer::over(self.listener, Peer::echo)
    }
}

#[test]
fn a_target_behind_a_black_hole_costs_time_and_no_request() {
    let hole = BlackHole::open();
    let scene = Scene::begin(&hole.url());
    scene.go_on();
    let peer = hole.wake();
    let ended = Instant::now();
    eventually("the target to be used", || (peer.count() >= 10).then_some(()));
    let back = ended.elapsed();
    scene.go_on();
    none_twice(&sent(&scene, &sent_to(&peer)));
    // Nothing was sent, so any method may go on to the next target.
    scene.end("target black-holed", &["200"], (ended, back)).right();
}

#[test]
fn a_target_that_is_slow_within_its_time_is_no_fault() {
    let bad = Peer::echoing();
    let scene = Scene::begin(&bad.url());
    bad.is(Mood::Drips(Duration::from_millis(3)));
    scene.go_on();
    bad.is(Mood::Well);
    let ended = Instant::now();
    let back = Duration::ZERO;
    scene.go_on();
    none_twice(&sent(&scene, &sent_to(&bad)));
    scene.end("target slow, a byte at a time", &["200"], (ended, back)).right();
}

#[test]
fn a_target_that_accepts_and_never_answers_is_504_and_left_out() {
    let bad = Peer::echoing();
    let scene = Scene::begin(&bad.url());
    scene.is_well();
    bad.is(Mood::Held);
    scene.reads.wait_for(super::requests());
    scene.go_on();
    let held = bad.count();
    bad.is(Mood::Well);
    let ended = Instant::now();
    eventually("the target to be used again", || (bad.count() >= held + 10).then_some(()));
    let back = ended.elapsed();
    scene.go_on();
    none_twice(&sent(&scene, &sent_to(&bad)));
    let figures = scene.end("target silent", &["200", "504"], (ended, back));
    figures.right();
    assert!(figures.outcomes().contains_key("504"), "{:?}", figures.outcomes());
}

#[test]
fn a_target_that_resets_connections_is_502_or_asked_elsewhere_where_that_does_no_harm() {
    let bad = Peer::echoing();
    let scene = Scene::begin(&bad.url());
    scene.is_well();
    bad.is(Mood::Resets);
    scene.go_on();
    let reset = bad.count();
    bad.is(Mood::Well);
    let ended = Instant::now();
    eventually("the target to be used again", || (bad.count() >= reset + 10).then_some(()));
    let back = ended.elapsed();
    scene.go_on();
    none_twice(&sent(&scene, &sent_to(&bad)));
    scene.end("target resets connections", &["200", "502"], (ended, back)).right();
}

#[test]
fn a_target_that_answers_garbage_is_502_and_what_it_says_too_much_reaches_nobody() {
    let garbage: &[(&str, &[u8])] = &[
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not HTTP at all\r\n\r\n"),
        ("a status of no number", b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok"),
        ("a length of no number", b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nok"),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\nok"),
        ("an unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok"),
        ("a head that ends early", b"HTTP/1.1 200 OK\r\nContent-Le"),
    ];
    let bad = Peer::echoing();
    let scene = Scene::begin(&bad.url());
    scene.is_well();
    for (_, bytes) in garbage {
        bad.is(Mood::SaysLast(bytes.to_vec()));
        let before = bad.count();
        eventually("the target to be asked", || (bad.count() > before).then_some(()));
    }
    scene.go_on();
    bad.is(Mood::Well);
    let ended = Instant::now();
    let before = bad.count();
    eventually("the target to be used again", || (bad.count() >= before + 10).then_some(()));
    let back = ended.elapsed();
    scene.go_on();
    none_twice(&sent(&scene, &sent_to(&bad)));
    scene.end("target answers garbage", &["200", "502"], (ended, back)).right();
}

#[test]
fn an_answer_that_is_shorter_than_it_says_is_cut_and_one_that_is_longer_poisons_nobody() {
    let bad = Peer::echoing();
    bad.is(Mood::SaysMore(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsmuggled\n".to_vec()));
    let scene = Scene::begin(&bad.url());
    scene.go_on();
    assert!(bad.count() > 10);
    bad.is(Mood::SaysLast(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec()));
    let before = bad.count();
    eventually("the target to be asked", || (bad.count() > before + 3).then_some(()));
    scene.go_on();
    none_twice(&sent(&scene, &sent_to(&bad)));
    let ended = Instant::now();
    bad.is(Mood::Well);
    let back = Duration::ZERO;
    scene.go_on();
    let figures = scene.end("answers too long, then too short", CUT, (ended, back));
    figures.right();
    assert!(figures.outcomes().contains_key("cut"), "{:?}", figures.outcomes());
}
