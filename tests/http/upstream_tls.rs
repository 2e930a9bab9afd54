//! Upstreams that are spoken to by TLS.

use crate::harness::{Authority, Gateway, Secured, eventually};

const YAML: &str = "
upstreams:
  app:
    targets: ['https://localhost:@PORT@']
    tls: { ca: ca.pem, sni: billing.internal, client_cert: client.pem, client_key: client.key, verify: true }
routes:
  - { name: all, match: { path: '/**' }, upstream: app, auth: none }
";

/// The whole of `tls` there.
const TLS: &str = "{ ca: ca.pem, sni: billing.internal, client_cert: client.pem, client_key: client.key, verify: true }";

fn gateway(upstream: &Secured, authority: &Authority, tls: &str) -> Gateway {
    let client = authority.issue(&["gateway.internal"]);
    Gateway::with(&YAML.replace(TLS, tls))
        .put("PORT", &upstream.port().to_string())
        .file("ca.pem", authority.pem())
        .file("client.pem", &client.cert)
        .file("client.key", &client.key)
        .start()
}

#[test]
fn an_upstream_is_asked_for_by_its_name_and_shown_who_asks() {
    let authority = Authority::new();
    let upstream = Secured::start(&authority.issue(&["billing.internal"]), Some(&authority));
    let gateway = gateway(&upstream, &authority, TLS);
    for _ in 0..3 {
        assert_eq!(gateway.get("/x").send().ok().text(), "billing.internal true");
    }
    assert_eq!(upstream.handshakes(), 1, "the connection is kept");
    let host = format!("host: {}", gateway.address());
    assert!(upstream.requests()[0].to_ascii_lowercase().contains(&host), "the client's, as always");
}

#[test]
fn without_a_name_of_its_own_it_is_asked_for_by_that_of_its_url() {
    let authority = Authority::new();
    let upstream = Secured::start(&authority.issue(&["localhost"]), None);
    let gateway = gateway(&upstream, &authority, "{ ca: ca.pem }");
    assert_eq!(gateway.get("/x").send().ok().text(), "localhost false");
}

#[test]
fn a_certificate_of_another_name_or_another_authority_is_not_believed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let cases = [
        (authority.issue(&["elsewhere.internal"]), "{ ca: ca.pem, sni: billing.internal }"),
        (other.issue(&["billing.internal"]), "{ ca: ca.pem, sni: billing.internal }"),
        // Nor by the authorities of the system.
        (authority.issue(&["billing.internal"]), "{ sni: billing.internal }"),
    ];
    for (identity, tls) in cases {
        let upstream = Secured::start(&identity, None);
        let gateway = gateway(&upstream, &authority, tls);
        gateway.get("/x").header("cookie", "secret=1").send().refused(502, "upstream_error");
        assert!(upstream.requests().is_empty(), "{tls}: nothing was said to it");
    }
}

#[test]
fn an_unverified_upstream_is_warned_of_at_every_start() {
    let (authority, other) = (Authority::new(), Authority::new());
    let upstream = Secured::start(&other.issue(&["elsewhere.internal"]), None);
    let gateway = gateway(&upstream, &authority, "{ verify: false }");
    gateway.wait_for_log("the warning", |line| line["code"] == "unverified-upstream");
    assert_eq!(gateway.get("/x").send().ok().text(), "localhost false");
}

#[test]
fn routes_that_trust_different_authorities_never_share_a_connection() {
    let (authority, other) = (Authority::new(), Authority::new());
    let upstream = Secured::start(&authority.issue(&["localhost"]), None);
    let yaml = "
upstreams:
  careless: { targets: ['https://localhost:@PORT@'], tls: { verify: false } }
  trusting: { targets: ['https://localhost:@PORT@'], tls: { ca: ca.pem } }
  strict: { targets: ['https://localhost:@PORT@'], tls: { ca: other.pem } }
routes:
  - { name: careless, match: { path: /careless }, upstream: careless, auth: none }
  - { name: trusting, match: { path: /trusting }, upstream: trusting, auth: none }
  - { name: strict, match: { path: /strict }, upstream: strict, auth: none }
";
    let gateway = Gateway::with(yaml)
        .put("PORT", &upstream.port().to_string())
        .file("ca.pem", authority.pem())
        .file("other.pem", other.pem())
        .start();
    for _ in 0..2 {
        gateway.get("/careless").send().ok();
        gateway.get("/trusting").send().ok();
        gateway.get("/strict").send().refused(502, "upstream_error");
    }
    assert_eq!(upstream.handshakes(), 2);
}

#[test]
fn health_checks_speak_tls_as_requests_do() {
    let (authority, other) = (Authority::new(), Authority::new());
    let check = |identity, tls: &str| {
        let upstream = Secured::start(&identity, Some(&authority));
        let tls = format!(
            "{tls}\n    health_check: {{ interval: 20ms, timeout: 10s, unhealthy_after: 1 }}"
        );
        let gateway = gateway(&upstream, &authority, &tls);
        (upstream, gateway)
    };
    let (upstream, gateway) = check(authority.issue(&["billing.internal"]), TLS);
    eventually("two questions", || (upstream.requests().len() > 1).then_some(()));
    gateway.get("/x").send().ok();
    let (_upstream, gateway) = check(other.issue(&["billing.internal"]), TLS);
    eventually("its end", || (gateway.get("/x").send().status == 503).then_some(()));
}
