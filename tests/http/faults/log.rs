//! A log that takes nothing.

use std::fs::File;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::{Scene, YAML};
use crate::harness::{Gateway, Peer};

#[test]
fn a_full_disk_under_the_log_costs_lines_that_are_counted_and_nothing_else() {
    let (bad, good, other) = (Peer::echoing(), Peer::echoing(), Peer::echoing());
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (proxy, admin) = (free(), free());
    let yaml = YAML
        .replacen("'127.0.0.1:0'", &format!("'{proxy}'"), 1)
        .replacen("'127.0.0.1:0'", &format!("'{admin}'"), 1)
        .replace("log: { access: false }", "log: { access: true, level: debug }");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let setting = Gateway::with_whole(&yaml).put("BAD", &bad.url()).put("GOOD", &good.url());
    let gateway = setting.put("OTHER", &other.url()).start_unheard(full, proxy, admin);
    let begun = Instant::now();
    let scene = Scene::before(gateway, good, other);
    scene.go_on();
    let lost = scene.gateway.metric("portcullis_log_lines_dropped_total");
    assert!(lost >= super::requests() as f64, "{lost}");
    scene.gateway.signal("HUP");
    scene.go_on();
    scene.end("log on a full disk", &["200"], (begun, Duration::ZERO)).right();
}

#[test]
fn a_full_disk_under_the_log_does_not_hold_up_the_end() {
    let peer = Peer::echoing();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (proxy, admin) = (free(), free());
    let yaml = format!(
        "version: 1\nserver: {{ listen: [{{ address: '{proxy}' }}] }}\nadmin: {{ listen: '{admin}' }}\n\
         upstreams: {{ app: '@APP@' }}\nroutes: [{{ match: {{ path: '/**' }}, upstream: app, auth: none }}]"
    );
    let full = File::options().write(true).open("/dev/full").unwrap();
    let setting = Gateway::with_whole(&yaml).put("APP", &peer.url());
    let mut gateway = setting.start_unheard(full, proxy, admin);
    gateway.get("/x").send().ok();
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
}
