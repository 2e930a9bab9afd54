//! Upstreams by name, with a DNS server of the test's own.

use std::{collections::BTreeSet, net::SocketAddr};

use crate::harness::{Dns, Gateway, Recorder, eventually};

const YAML: &str = "
version: 1
server: { listen: [{ address: '127.0.0.1:0' }], resolver: '@DNS@' }
admin: { listen: '127.0.0.1:0' }
upstreams: { app: 'http://app.test:@PORT@' }
routes:
  - { name: open, match: { path: /open }, upstream: app, auth: none }
";

/// The same port at two addresses of this machine.
fn twins() -> (Recorder, Recorder, u16) {
    let first = Recorder::start();
    let port = first.address().port();
    let first_word = Recorder::at(SocketAddr::from(([127, 0, 0, 2], port)), "two");
    let second_word = Recorder::at(SocketAddr::from(([127, 0, 0, 3], port)), "three");
    (first_word, second_word, port)
}

fn start(dns: &Dns, port: u16) -> Gateway {
    Gateway::with_whole(YAML)
        .put("DNS", &dns.address().to_string())
        .put("PORT", &port.to_string())
        .start()
}

fn said(gateway: &Gateway) -> String {
    gateway.get("/open").send().ok().text().to_owned()
}

#[test]
fn a_name_is_asked_for_again_when_its_time_is_over() {
    let (dns, (_two, _three, port)) = (Dns::start(1), twins());
    dns.set("app.test", &["127.0.0.2"]);
    let gateway = start(&dns, port);
    assert_eq!(said(&gateway), "two");
    dns.set("app.test", &["127.0.0.3"]);
    eventually("the new address", || (said(&gateway) == "three").then_some(()));
    gateway.wait_for_log("the move", |line| line["event"] == "name_moved");
}

#[test]
fn all_addresses_of_a_name_are_used() {
    let (dns, (_two, _three, port)) = (Dns::start(60), twins());
    dns.set("app.test", &["127.0.0.2", "127.0.0.3"]);
    let gateway = start(&dns, port);
    let all: BTreeSet<String> = (0..8).map(|_| said(&gateway)).collect();
    assert_eq!(all.len(), 2, "{all:?}");
    let asked = dns.asked();
    (0..8).for_each(|_| drop(said(&gateway)));
    assert_eq!(dns.asked(), asked, "nobody is asked on a request's way");
}

#[test]
fn the_last_addresses_serve_while_nobody_answers_and_outlive_a_reload() {
    let (dns, (_two, _three, port)) = (Dns::start(1), twins());
    dns.set("app.test", &["127.0.0.2"]);
    let gateway = start(&dns, port);
    assert_eq!(said(&gateway), "two");
    dns.fall_silent(true);
    gateway.wait_for_log("that nobody answers", |line| line["event"] == "name_unheard");
    assert_eq!(said(&gateway), "two");
    gateway.signal("HUP");
    gateway.wait_for_log("the reload", |line| line["event"] == "reloaded");
    assert_eq!(said(&gateway), "two");
    dns.set("app.test", &["127.0.0.3"]);
    dns.fall_silent(false);
    eventually("the new address", || (said(&gateway) == "three").then_some(()));
}

#[test]
fn a_name_that_is_gone_leads_nowhere_until_it_is_there_again() {
    let (dns, (_two, _three, port)) = (Dns::start(1), twins());
    let gateway = start(&dns, port);
    gateway.get("/open").send().refused(503, "no_upstream");
    dns.set("app.test", &["127.0.0.2"]);
    eventually("the name", || (gateway.get("/open").send().status == 200).then_some(()));
    dns.set("app.test", &[]);
    eventually("the end of the name", || (gateway.get("/open").send().status == 503).then_some(()));
}

#[test]
fn where_one_family_does_not_answer_the_other_is_used() {
    let dns = Dns::start(60);
    let Ok(probe) = std::net::TcpListener::bind("[::1]:0") else { return };
    let port = probe.local_addr().unwrap().port();
    drop(probe);
    let _six = Recorder::at(format!("[::1]:{port}").parse().unwrap(), "six");
    // Nobody listens there.
    dns.set("app.test", &["127.0.0.4", "::1"]);
    assert_eq!(said(&start(&dns, port)), "six");
}
