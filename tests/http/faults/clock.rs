//! The calendar is set while the gateway runs: its own clock, which only goes forward, stays as it is.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use tempfile::TempDir;

use super::{Scene, YAML};
use crate::harness::{App, Gateway, Mood, Peer, Setting, Socket, eventually, tool};
use crate::people::{BOB, PEOPLE};

/// What the gateway's calendar says, set by a file.
struct Calendar {
    folder: TempDir,
}

impl Calendar {
    fn new() -> Self {
        let calendar = Self { folder: tempfile::tempdir().unwrap() };
        calendar.set("+0");
        calendar
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// So far from the real one: `-2h`.
    fn set(&self, offset: &str) {
        let beside = self.folder.path().join("new");
        fs::write(&beside, offset).unwrap();
        fs::rename(beside, self.file()).unwrap();
    }

    fn over(&self, setting: Setting) -> Setting {
        setting
            .env("LD_PRELOAD", tool("lib/libfaketimeMT.so.1").to_str().unwrap())
            .env("FAKETIME_TIMESTAMP_FILE", self.file().to_str().unwrap())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
    }
}

#[test]
fn a_clock_that_is_set_back_and_forth_under_load_costs_no_request_and_keeps_no_target_out() {
    let (bad, good, other) = (Peer::echoing(), Peer::echoing(), Peer::echoing());
    let calendar = Calendar::new();
    let setting = Gateway::with_whole(YAML).put("BAD", &bad.url()).put("GOOD", &good.url());
    let gateway = calendar.over(setting.put("OTHER", &other.url())).start();
    let scene = Scene::before(gateway, good, other);
    scene.is_well();
    bad.is(Mood::Resets);
    scene.gateway.wait_for_log("the ejection", |line| line["event"] == "target_ejected");
    bad.is(Mood::Well);
    calendar.set("-2h");
    let (ended, before) = (Instant::now(), bad.count());
    eventually("the target to be used again", || (bad.count() >= before + 10).then_some(()));
    let back = ended.elapsed();
    for offset in ["+1d", "-30d", "+0"] {
        calendar.set(offset);
        scene.go_on();
    }
    scene.end("clock set back by two hours, and about", &["200", "502"], (ended, back)).right();
}

const LIMITED: &str = "
upstreams: { app: '@APP@' }
routes:
  - { name: counted, match: { path: /counted }, upstream: app, auth: none, rate_limit: { limit: 3/hour, by: client_ip } }
  - { name: known, match: { path: /known }, upstream: app, auth: [jwt] }
  - { name: socket, match: { path: /echo }, upstream: app, auth: [jwt] }
";

#[test]
fn a_clock_that_is_set_back_frees_no_place_and_prolongs_no_stream() {
    let app = App::shared("streams", &[]);
    let calendar = Calendar::new();
    let people = PEOPLE.replace("token: {", "token: { access_ttl: 8s,");
    let setting = Gateway::with(&format!("{people}{LIMITED}")).put("APP", &app.url());
    let gateway = calendar.over(setting).start();
    let token = gateway.login(BOB.0, BOB.1);
    let mut socket =
        Socket::connect(gateway.address(), "/echo", &[&format!("Authorization: Bearer {token}")]);
    assert_eq!(socket.says(), "open");
    assert_eq!(socket.ask("here"), "here");
    for _ in 0..3 {
        assert_ne!(gateway.get("/counted").send().status, 429);
    }
    calendar.set("-2h");
    let refused = gateway.get("/counted").send();
    refused.refused(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(wait <= 3600, "no longer than the window is: {wait}");
    // The stream ends when its token would have, as if nobody had touched the clock.
    assert_eq!(socket.ask_nothing(), "closed 1008");
    gateway.wait_for_log("why", |line| line["reason"] == "expired");
    // Logins go on, in the new time.
    let token = gateway.login(BOB.0, BOB.1);
    assert_ne!(gateway.get("/known").bearer(&token).send().status, 401);
    calendar.set("+0");
    gateway.get("/known").bearer(&token).send().refused(401, "expired_token");
}
