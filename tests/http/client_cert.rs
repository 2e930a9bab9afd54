//! Certificates of clients as principals, over real handshakes.

use rcgen::{CertificateParams, DnType, SanType};

use crate::harness::{
    Answer, Authority, Gateway, Guest, Identity, Recorder, Setting, eventually,
    frames::{END_STREAM, Frames, get},
};

const YAML: &str = "
version: 1
server:
  listen:
    - address: '127.0.0.1:0'
      tls:
        certificates: [{ cert: server.pem, key: server.key }]
        client_auth: { ca: ca.pem, mode: optional }
admin: { listen: '127.0.0.1:0' }
upstreams: { app: '@APP@' }
authentication: { client_cert: { subject: @SUBJECT@ } }
users:
  - { id: 'spiffe://example.com/robot', username: robot, roles: [] }
  - { id: robot.example.com, username: host, roles: [] }
  - { id: Robot 7, username: seven, roles: [] }
routes:
  - { name: all, match: { path: /all }, upstream: app }
";

const REQUEST: &str = "GET /all HTTP/1.1\r\nHost: api.example.com\r\n\r\n";

/// Who vouches for the gateway, and who for its clients.
struct World {
    servers: Authority,
    clients: Authority,
    upstream: Recorder,
}

impl World {
    fn new() -> Self {
        let (servers, clients) = (Authority::new(), Authority::new());
        Self { servers, clients, upstream: Recorder::start() }
    }

    fn setting(&self, subject: &str) -> Setting {
        let server = self.servers.issue(&["api.example.com"]);
        Gateway::with_whole(YAML)
            .put("APP", &self.upstream.url())
            .put("SUBJECT", subject)
            .file("server.pem", server.cert)
            .file("server.key", server.key)
            .file("ca.pem", self.clients.pem())
    }

    fn ask(&self, gateway: &Gateway, identity: Option<&Identity>) -> Answer {
        let guest = Guest { identity, ..Guest::of(&self.servers) };
        let secure = guest.connect(gateway.address(), "api.example.com").unwrap();
        secure.raw().send(REQUEST).answer()
    }
}

#[test]
fn a_certificate_of_a_handshake_is_a_principal() {
    let world = World::new();
    let robot = world.clients.issue_with(&[], |params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::CommonName, "Robot 7");
        params.subject_alt_names = vec![
            SanType::DnsName("robot.example.com".try_into().unwrap()),
            SanType::URI("spiffe://example.com/robot".try_into().unwrap()),
        ];
    });
    for (subject, id) in [
        ("cn", "Robot%207"),
        ("san_dns", "robot.example.com"),
        ("san_uri", "spiffe://example.com/robot"),
    ] {
        let gateway = world.setting(subject).start();
        world.ask(&gateway, Some(&robot)).ok();
        let request = world.upstream.last();
        assert_eq!(request.header("x-user-id"), Some(id));
        assert_eq!(request.header("x-auth-method"), Some("client_cert"));
        let line = gateway.wait_for_log("the request", |line| line["route"] == "all");
        assert_eq!(line["auth_method"], "client_cert");
        let series = "portcullis_authentications_total{method=\"client_cert\",outcome=\"success\"}";
        assert_eq!(gateway.metric(series), 1.0);
    }
}

#[test]
fn who_shows_no_certificate_or_that_of_nobody_is_403_without_a_challenge() {
    let world = World::new();
    let gateway = world.setting("san_uri").start();
    let refused = |identity: Option<&Identity>, code: &str| {
        let answer = world.ask(&gateway, identity);
        answer.refused(403, code);
        assert_eq!(answer.header("www-authenticate"), None);
    };
    refused(None, "missing_credentials");
    refused(Some(&world.clients.issue(&["spiffe://example.com/other"])), "invalid_credentials");
    refused(Some(&world.clients.issue(&["robot.example.com"])), "invalid_credentials");
    let two = ["spiffe://example.com/robot", "spiffe://example.com/other"];
    refused(Some(&world.clients.issue(&two)), "invalid_credentials");
    gateway.wait_for_log("the reason", |line| line["reason"] == "ambiguous_subject");
    assert_eq!(world.upstream.count(), 0);
}

#[test]
fn a_certificate_that_ends_while_its_connection_is_kept_counts_no_longer() {
    let world = World::new();
    let gateway = world.setting("san_uri").start();
    let robot = world.clients.issue_with(
        &["spiffe://example.com/robot"],
        |params: &mut CertificateParams| {
            let now = std::time::SystemTime::now();
            params.not_before = (now - std::time::Duration::from_secs(60)).into();
            params.not_after = (now + std::time::Duration::from_secs(3)).into();
        },
    );
    let guest = Guest { identity: Some(&robot), ..Guest::of(&world.servers) };
    let mut raw = guest.connect(gateway.address(), "api.example.com").unwrap().raw();
    raw.send(REQUEST).answer().ok();
    let answer = eventually("the end of the certificate", || {
        let answer = raw.send(REQUEST).answer();
        (answer.status != 200).then_some(answer)
    });
    answer.refused(403, "invalid_credentials");
    gateway.wait_for_log("the reason", |line| line["reason"] == "expired");
}

#[test]
fn a_certificate_is_a_principal_by_http_2_as_well() {
    let world = World::new();
    let robot = world.clients.issue(&["spiffe://example.com/robot"]);
    let gateway = world.setting("san_uri").start();
    for (identity, status) in [(Some(&robot), 200), (None, 403)] {
        let guest = Guest { identity, alpn: &["h2"], ..Guest::of(&world.servers) };
        let secure = guest.connect(gateway.address(), "api.example.com").unwrap();
        let mut frames = Frames::begin(secure.raw());
        let mut fields = get("/all");
        fields[2].1 = "api.example.com";
        frames.header(1, END_STREAM, &fields);
        assert_eq!(frames.outcome(1).status(), status);
    }
    assert_eq!(world.upstream.count(), 1);
}
