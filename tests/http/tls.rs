//! Listeners that speak TLS, as clients meet them.

use std::fs;

use rcgen::CertificateParams;

use crate::harness::{
    Answer, Authority, Gateway, Guest, Identity, Raw, Recorder, Setting, eventually,
    frames::{END_STREAM, Frames, Outcome, get},
};

const YAML: &str = "
version: 1
server:
  listen:
    - address: '127.0.0.1:0'
      tls:
        certificates:
          - { cert: 0.pem, key: 0.key }
        client_auth: { ca: ca.pem, mode: optional }
admin: { listen: '127.0.0.1:0' }
upstreams: { app: '@APP@' }
routes:
  - { name: open, match: { path: /open }, upstream: app, auth: none }
";

/// What of that is about clients' certificates.
const CLIENTS: &str = "        client_auth: { ca: ca.pem, mode: optional }\n";

/// A gateway whose listener has these certificates, named `0.pem`, `0.key` and so on.
fn setting(upstream: &Recorder, identities: &[&Identity], clients: &str) -> Setting {
    let rest = (1..identities.len())
        .map(|at| format!("          - {{ cert: {at}.pem, key: {at}.key }}\n"))
        .collect::<String>();
    let yaml = YAML.replace(CLIENTS, &(rest + clients));
    let mut setting = Gateway::with_whole(&yaml).put("APP", &upstream.url());
    for (at, identity) in identities.iter().enumerate() {
        setting = setting.file(&format!("{at}.pem"), &identity.cert);
        setting = setting.file(&format!("{at}.key"), &identity.key);
    }
    setting
}

const REQUEST: &str = "GET /open HTTP/1.1\r\nHost: api.example.com\r\n\r\n";

#[test]
fn a_request_by_tls_goes_upstream_and_says_so() {
    let authority = Authority::new();
    let upstream = Recorder::start();
    let identity = authority.issue(&["api.example.com"]);
    let gateway = setting(&upstream, &[&identity], "").start();
    let secure = Guest::of(&authority).connect(gateway.address(), "api.example.com").unwrap();
    let mut raw = secure.raw();
    for _ in 0..2 {
        raw.send(REQUEST).answer().ok();
    }
    let request = upstream.last();
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
    assert_eq!(request.header("x-forwarded-port"), Some("443"));
    assert!(request.header("forwarded").unwrap().contains("proto=https"));
}

#[test]
fn each_name_is_shown_its_certificate_and_other_names_the_first() {
    let authority = Authority::new();
    let upstream = Recorder::start();
    let first = authority.issue(&["first.example"]);
    let wild = authority.issue(&["*.example.com"]);
    let exact = authority.issue(&["api.example.com"]);
    let gateway = setting(&upstream, &[&first, &wild, &exact], "").start();
    let shown = |name: &str| {
        let secure = Guest::of(&authority).connect(gateway.address(), name);
        secure.map(|secure| secure.shown().to_vec())
    };
    let der = |identity: &Identity| {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        CertificateDer::from_pem_slice(identity.cert.as_bytes()).unwrap().to_vec()
    };
    assert_eq!(shown("api.example.com").unwrap(), der(&exact));
    assert_eq!(shown("www.example.com").unwrap(), der(&wild));
    assert_eq!(shown("first.example").unwrap(), der(&first));
    // The client finds that the first is not for it.
    assert!(shown("elsewhere.example").is_err());
    assert!(shown("a.b.example.com").is_err());
}

#[test]
fn a_certificate_is_read_again_when_its_file_changes_and_open_connections_stay() {
    let authority = Authority::new();
    let upstream = Recorder::start();
    let old = authority.issue(&["api.example.com"]);
    let new = authority.issue(&["api.example.com"]);
    let gateway = setting(&upstream, &[&old], "").start();
    let connect = || Guest::of(&authority).connect(gateway.address(), "api.example.com").unwrap();
    let first = connect();
    let shown = first.shown().to_vec();
    let mut raw = first.raw();
    raw.send(REQUEST).answer().ok();
    // A certificate without its key is not taken up.
    fs::write(gateway.directory().join("0.pem"), &new.cert).unwrap();
    gateway.wait_for_log("the fault", |line| line["code"] == "unusable-key");
    assert_eq!(connect().shown(), shown);
    fs::write(gateway.directory().join("0.key"), &new.key).unwrap();
    eventually("the new certificate", || (connect().shown() != shown).then_some(()));
    raw.send(REQUEST).answer().ok();
}

#[test]
fn a_client_must_show_a_certificate_where_one_is_required() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let upstream = Recorder::start();
    let identity = servers.issue(&["api.example.com"]);
    let gateway = setting(&upstream, &[&identity], &CLIENTS.replace(", mode: optional", ""))
        .file("ca.pem", clients.pem())
        .start();
    let is_served = |identity: Option<&Identity>| {
        let guest = Guest { identity, ..Guest::of(&servers) };
        let Ok(secure) = guest.connect(gateway.address(), "api.example.com") else { return false };
        let mut raw = secure.raw();
        // By TLS 1.3 a refusal arrives only after the client believes that all is well.
        raw.offer(REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
            && raw.rest().starts_with(b"HTTP/1.1 200")
    };
    let good = clients.issue(&["spiffe://example.com/robot"]);
    assert!(is_served(Some(&good)));
    assert!(!is_served(None));
    assert!(!is_served(Some(&strangers.issue(&["robot"]))));
    let expired = clients.issue_with(&["robot"], |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    assert!(!is_served(Some(&expired)));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn where_clients_show_certificates_the_host_is_that_of_the_handshake() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let upstream = Recorder::start();
    let identity = servers.issue(&["*.example.com"]);
    let gateway = setting(&upstream, &[&identity], CLIENTS).file("ca.pem", clients.pem()).start();
    let ask = |host: &str| {
        let secure = Guest::of(&servers).connect(gateway.address(), "api.example.com").unwrap();
        secure.raw().send(format!("GET /open HTTP/1.1\r\nHost: {host}\r\n\r\n")).answer()
    };
    ask("api.example.com").ok();
    ask(&format!("API.example.com:{}", gateway.address().port())).ok();
    ask("www.example.com").refused(421, "misdirected");
    ask("127.0.0.1").refused(421, "misdirected");
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_client_that_does_not_finish_its_handshake_is_let_go() {
    let authority = Authority::new();
    let upstream = Recorder::start();
    let identity = authority.issue(&["api.example.com"]);
    let mut gateway = setting(&upstream, &[&identity], "").start();
    let mut silent = gateway.raw();
    let mut clear = gateway.raw();
    clear.send(REQUEST);
    // Not an answer in clear, but the alert of TLS.
    assert!(!clear.rest().starts_with(b"HTTP/"));
    gateway.signal("TERM");
    silent.closed();
    assert!(gateway.wait().success());
}

#[test]
fn the_end_of_a_certificate_is_a_metric_and_a_warning() {
    let authority = Authority::new();
    let upstream = Recorder::start();
    let expired = authority.issue_with(&["old.example.com"], |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let gateway = setting(&upstream, &[&expired], "").start();
    gateway.wait_for_log("the warning", |line| line["code"] == "certificate-expires");
    let metrics = gateway.admin("GET", "/metrics").send();
    let line =
        "portcullis_certificate_expiry_timestamp_seconds{name=\"old.example.com\"} 1609459200";
    assert!(metrics.text().contains(line), "{}", metrics.text());
}

/// What was asked for on a connection that was there before, and that should end.
fn last_of(raw: &mut Raw) -> Answer {
    let answer = raw.send(REQUEST).answer();
    assert_eq!(answer.header("connection"), Some("close"));
    raw.closed();
    answer
}

fn reload(gateway: &Gateway) {
    gateway.admin("POST", "/api/v1/reload").send().ok();
}

#[test]
fn a_connection_of_older_terms_is_judged_by_those_of_now_and_asked_to_end() {
    let (servers, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    let upstream = Recorder::start();
    let identity = servers.issue(&["api.example.com"]);
    let client = clients.issue(&["spiffe://example.com/robot"]);
    let gateway = setting(&upstream, &[&identity], CLIENTS).file("ca.pem", clients.pem()).start();
    let connect = |identity: Option<&Identity>| {
        let guest = Guest { identity, ..Guest::of(&servers) };
        let mut raw = guest.connect(gateway.address(), "api.example.com").unwrap().raw();
        raw.send(REQUEST).answer().ok();
        raw
    };
    let ca = gateway.directory().join("ca.pem");
    // Another authority beside the first: what was good is good, by a connection of now.
    let (mut shown, mut bare) = (connect(Some(&client)), connect(None));
    fs::write(&ca, clients.pem() + &others.pem()).unwrap();
    reload(&gateway);
    last_of(&mut shown).ok();
    last_of(&mut bare).ok();
    // Nothing that concerns it changes.
    let mut untouched = connect(Some(&client));
    let text = fs::read_to_string(gateway.config()).unwrap();
    fs::write(gateway.config(), text.replace("name: open", "name: opened")).unwrap();
    reload(&gateway);
    assert_ne!(untouched.send(REQUEST).answer().ok().header("connection"), Some("close"));
    // The authority goes, and what it signed with it.
    let (mut shown, mut bare) = (connect(Some(&client)), connect(None));
    fs::write(&ca, others.pem()).unwrap();
    reload(&gateway);
    last_of(&mut shown).refused(421, "misdirected");
    last_of(&mut untouched).refused(421, "misdirected");
    last_of(&mut bare).ok();
    // Who shows none is not served any more.
    let (mut bare, mut idle) = (connect(None), connect(None));
    fs::write(gateway.config(), text.replace("mode: optional", "mode: required")).unwrap();
    reload(&gateway);
    last_of(&mut bare).refused(421, "misdirected");
    // Nobody is asked any more.
    fs::write(gateway.config(), text.replace(CLIENTS, "")).unwrap();
    reload(&gateway);
    last_of(&mut idle).ok();
}

#[test]
fn a_connection_of_http_2_and_older_terms_is_told_to_go_away() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let upstream = Recorder::start();
    let identity = servers.issue(&["api.example.com"]);
    let gateway = setting(&upstream, &[&identity], "").file("ca.pem", clients.pem()).start();
    let guest = Guest { alpn: &["h2"], ..Guest::of(&servers) };
    let secure = guest.connect(gateway.address(), "api.example.com").unwrap();
    let mut frames = Frames::begin(secure.raw());
    let mut fields = get("/open");
    fields[2].1 = "api.example.com";
    frames.header(1, END_STREAM, &fields);
    assert_eq!(frames.outcome(1).status(), 200);
    let text = fs::read_to_string(gateway.config()).unwrap();
    let certificates = "          - { cert: 0.pem, key: 0.key }\n";
    let required = CLIENTS.replace("optional", "required");
    let text = text.replace(certificates, &format!("{certificates}{required}"));
    fs::write(gateway.config(), text).unwrap();
    reload(&gateway);
    frames.header(3, END_STREAM, &fields);
    assert_eq!(frames.outcome(3).status(), 421);
    // It ends, since nothing more is on it. The farewell may have come before the answer.
    assert!(matches!(frames.outcome(5), Outcome::Ended(_)));
    assert_eq!(upstream.count(), 1);
}

#[test]
fn who_names_nobody_may_ask_for_the_address_that_it_reached_alone() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let upstream = Recorder::start();
    let identity = servers.issue(&["127.0.0.1"]);
    let gateway = setting(&upstream, &[&identity], CLIENTS).file("ca.pem", clients.pem()).start();
    let ask = |host: &str| {
        let secure = Guest::of(&servers).connect(gateway.address(), "127.0.0.1").unwrap();
        secure.raw().send(format!("GET /open HTTP/1.1\r\nHost: {host}\r\n\r\n")).answer()
    };
    ask(&gateway.address().to_string()).ok();
    ask("10.9.9.9").refused(421, "misdirected");
    ask("api.example.com").refused(421, "misdirected");
}
