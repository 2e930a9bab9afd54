//! The names of targets, and those who know them, in trouble.

use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use super::{Scene, YAML};
use crate::harness::{Dns, Gateway, Peer, eventually};

/// A scene whose upstream has one target, found by its name.
fn begin(dns: &Dns) -> (Scene, Peer) {
    let (named, other) = (Peer::echoing(), Peer::echoing());
    dns.set("app.test", &["127.0.0.1"]);
    let yaml = YAML
        .replace("server: {", &format!("server: {{ resolver: '{}', ", dns.address()))
        .replace("'@BAD@', '@GOOD@'", "'http://app.test:@PORT@'");
    let setting = Gateway::with_whole(&yaml).put("PORT", &named.address().port().to_string());
    let gateway = setting.put("OTHER", &other.url()).start();
    (Scene::before(gateway, Peer::echoing(), other), named)
}

#[test]
fn servers_of_names_that_are_silent_or_fail_cost_no_request() {
    let dns = Dns::start(1);
    let (scene, named) = begin(&dns);
    for code in [None, Some(2), Some(5)] {
        dns.fall_silent(code.is_none());
        dns.fail_with(code);
        let before = dns.asked();
        // Until the name was asked for in vain, twice.
        eventually("questions", || (dns.asked() >= before + 4).then_some(()));
        scene.go_on();
    }
    dns.fall_silent(false);
    dns.fail_with(None);
    let ended = Instant::now();
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], named.address().port()));
    let moved = Peer::over(TcpListener::bind(elsewhere).unwrap(), Peer::echo);
    dns.set("app.test", &["127.0.0.2"]);
    eventually("the new address", || (moved.count() > 0).then_some(()));
    let back = ended.elapsed();
    scene.go_on();
    scene.end("DNS silent, failing, refusing", &["200"], (ended, back)).right();
}

#[test]
fn a_name_that_is_gone_is_503_for_its_own_upstream_until_it_is_back() {
    let dns = Dns::start(1);
    let (scene, named) = begin(&dns);
    scene.is_well();
    dns.set("app.test", &[]);
    eventually("the end of the name", || {
        scene.reads.so_far().outcomes.contains_key("503").then_some(())
    });
    scene.go_on();
    let gone = named.count();
    dns.set("app.test", &["127.0.0.1"]);
    let ended = Instant::now();
    eventually("the name", || (named.count() > gone + 10).then_some(()));
    let back = ended.elapsed();
    scene.go_on();
    scene.end("DNS says there is no such name", &["200", "503"], (ended, back)).right();
}
