//! A process that takes another's place, and files that change meanwhile: nobody notices.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::harness::{App, Gateway, Raw, Recorder, Socket, eventually, size};

const YAML: &str = "
version: 1
server: { listen: [{ address: '127.0.0.1:0' }], upgrade_socket: run/own.sock, drain_timeout: 20s }
admin: { listen: '127.0.0.1:0' }
log: { access: false }
upstreams: { app: '@APP@' }
routes:
  - { name: all, match: { path: '/**' }, upstream: app, auth: none }
";

const REQUEST: &str = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n";

/// A directory with a configuration that several processes serve one after the other.
fn folder(upstream: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway.yaml"), YAML.replace("@APP@", upstream)).unwrap();
    folder
}

fn first(folder: &Path) -> Gateway {
    Gateway::with("").at(&folder.join("gateway.yaml")).start()
}

/// A process that waits to take the place of one that runs.
fn successor(folder: &Path) -> Gateway {
    Gateway::with("").at(&folder.join("gateway.yaml")).succeed()
}

/// Has the old one hand its sockets to the new one; the new one.
fn replace(old: &Gateway, mut new: Gateway) -> Gateway {
    old.signal("QUIT");
    new.wait_for_listeners();
    assert_eq!(new.address(), old.address(), "the same socket");
    new
}

/// Waits until so many were served; a soak takes longer than other tests may.
fn wait_for(served: &AtomicUsize, many: usize) {
    while served.load(SeqCst) < many {
        let before = served.load(SeqCst);
        eventually("the next request", || (served.load(SeqCst) > before).then_some(()));
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn no_request_is_lost_while_files_change_and_processes_take_each_others_place() {
    let (requests, idle) = (size("SOAK_REQUESTS", 10_000), size("SOAK_IDLE", 1_000));
    let (reloads, upgrades) = (size("SOAK_RELOADS", 3), size("SOAK_UPGRADES", 1));
    let upstream = Recorder::start();
    let folder = folder(&upstream.url());
    let mut gateway = first(folder.path());
    let address = gateway.address();
    let idle: Vec<Raw> = (0..idle).map(|_| Raw::connect(address)).collect();
    let (served, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    // Whether the answer says that it is the last on its connection.
    let ask = |raw: &mut Raw| {
        let answer = raw.send(REQUEST).answer();
        assert_eq!(answer.status, 200);
        served.fetch_add(1, SeqCst);
        answer.header("connection").is_some_and(|word| word.eq_ignore_ascii_case("close"))
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut raw = Raw::connect(address);
                while !done.load(SeqCst) {
                    if ask(&mut raw) {
                        raw = Raw::connect(address);
                    }
                }
            });
        }
        scope.spawn(|| {
            while !done.load(SeqCst) {
                ask(&mut Raw::connect(address));
            }
        });
        let changes = reloads + upgrades;
        for change in 1..=changes {
            wait_for(&served, requests * change / (changes + 1));
            // Upgrades are spread among the reloads.
            if change * upgrades / changes > (change - 1) * upgrades / changes {
                let mut old = std::mem::replace(&mut gateway, successor(folder.path()));
                old.signal("QUIT");
                gateway.wait_for_listeners();
                assert_eq!(old.wait().code(), Some(0), "{}", old.output());
            } else {
                let route =
                    format!("  - {{ match: {{ path: /r{change} }}, upstream: app, auth: none }}\n");
                let file = folder.path().join("gateway.yaml");
                fs::write(&file, fs::read_to_string(&file).unwrap() + &route).unwrap();
                gateway.admin("POST", "/api/v1/reload").send().ok();
            }
        }
        wait_for(&served, requests);
        done.store(true, SeqCst);
    });
    println!("{} requests, none lost", served.load(SeqCst));
    drop(idle);
}

#[test]
fn what_is_under_way_is_finished_by_the_old_process_and_new_requests_go_to_the_new() {
    let app = App::start("streams", &[]);
    let folder = folder(&app.url());
    let old = first(folder.path());
    let mut socket = Socket::connect(old.address(), "/echo", &[]);
    assert_eq!(socket.says(), "open");
    let mut old_connection = old.raw();
    old_connection.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(old_connection.head().status, 200);
    let new = replace(&old, successor(folder.path()));
    old.wait_for_log("the handover", |line| line["event"] == "handed_over");
    assert_eq!(socket.ask("still here"), "still here");
    new.call("POST", "/events/next").body(r#"{"events":[1,null]}"#).send().ok();
    old_connection.until(b"data: 1\n\n");
    old_connection.until(b"0\r\n\r\n");
    assert_eq!(new.admin("GET", "/readyz").send().status, 200);
    assert_eq!(socket.close(), "closed 1000");
    let mut old = old;
    assert_eq!(old.wait().code(), Some(0), "{}", old.output());
}

#[test]
fn a_handover_is_one_even_if_a_request_of_the_old_process_never_ends() {
    let app = App::start("streams", &[]);
    let folder = folder(&app.url());
    let file = folder.path().join("gateway.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("drain_timeout: 20s", "drain_timeout: 200ms")).unwrap();
    let mut old = first(folder.path());
    let mut socket = Socket::connect(old.address(), "/echo", &[]);
    assert_eq!(socket.says(), "open");
    let _new = replace(&old, successor(folder.path()));
    assert_eq!(old.wait().code(), Some(0), "{}", old.output());
    assert!(old.output().contains("another process serves on"), "{}", old.output());
}

#[test]
fn a_process_without_a_successor_serves_on() {
    let upstream = Recorder::start();
    let folder = folder(&upstream.url());
    let gateway = first(folder.path());
    gateway.signal("QUIT");
    gateway.wait_for_log("why", |line| {
        line["event"] == "upgrade_failed"
            && line["error"].as_str().is_some_and(|error| error.contains("no successor waits"))
    });
    gateway.get("/x").send().ok();

    let mut doomed = successor(folder.path());
    doomed.signal("KILL");
    doomed.wait();
    gateway.signal("QUIT");
    eventually("the second refusal", || {
        (gateway.output().matches("upgrade_failed").count() == 2).then_some(())
    });
    gateway.get("/x").send().ok();
}

#[test]
fn nothing_can_be_taken_over_without_a_place_to_meet() {
    let (status, said) = Gateway::with("routes: [{ match: { path: / }, respond: {}, auth: none }]")
        .fail_with(&["--upgrade"]);
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("`--upgrade` needs `server.upgrade_socket`"), "{said}");
}
