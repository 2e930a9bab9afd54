//! Issuers that are known by their address: found, followed, lost, and met again after a restart.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::harness::{Gateway, Mood, Peer, Reply, Setting, eventually};

const BY_NAME: &str = "
state_dir: '@STATE@'
upstreams: { app: { builtin: echo } }
authentication: { jwt: { id: { issuer: '@ISSUER@', audiences: [orders], algorithms: [EdDSA], discovery: true } } }
routes: [{ name: all, match: { path: /** }, upstream: app, auth: [jwt] }]
";

const BY_KEYS: &str = "
upstreams: { app: { builtin: echo } }
authentication:
  jwt: { id: { issuer: '@ISSUER@', audiences: [orders], algorithms: [EdDSA], jwks_url: '@ISSUER@/keys', refresh: 1h } }
routes: [{ name: all, match: { path: /** }, upstream: app, auth: [jwt] }]
";

const FETCHED: &str = r#"portcullis_jwks_refreshes_total{issuer="id",outcome="success"}"#;
const FAILED: &str = r#"portcullis_jwks_refreshes_total{issuer="id",outcome="failure"}"#;
const AGE: &str = r#"portcullis_jwks_age_seconds{issuer="id"}"#;

/// An issuer that can be stopped and held up.
struct Issuer {
    server: Peer,
    key: Ed25519KeyPair,
}

impl Issuer {
    fn start() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": x}]});
        let server = Peer::start(move |request| {
            let own = format!("http://{}", request.header("host").unwrap());
            let body = match request.target() {
                "/.well-known/openid-configuration" => {
                    json!({"issuer": own, "jwks_uri": format!("{own}/keys")})
                }
                "/keys" => keys.clone(),
                _ => return Reply("404 Not Found", String::new(), String::new()),
            };
            Reply("200 OK", String::new(), body.to_string())
        });
        Self { server, key }
    }

    /// How often it was asked for its keys while it gave them.
    fn fetches(&self) -> usize {
        self.server.received().iter().filter(|request| request.target() == "/keys").count()
    }

    fn by_discovery(&self) -> Setting {
        Gateway::with(BY_NAME).put("ISSUER", &self.server.url()).put("STATE", "state")
    }

    fn token(&self, kid: &str) -> String {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({"alg": "EdDSA", "kid": kid}));
        let claims = part(json!({
            "iss": self.server.url(), "aud": "orders", "sub": "7", "exp": 4_102_444_800_u64,
        }));
        let message = format!("{header}.{claims}");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

fn ready(gateway: &Gateway) -> (u16, Value) {
    let answer = gateway.admin("GET", "/readyz").send();
    (answer.status, answer.json())
}

#[test]
fn an_issuer_is_found_by_its_address_and_readiness_waits_for_it() {
    let issuer = Issuer::start();
    issuer.server.is(Mood::Held);
    let gateway = issuer.by_discovery().start();
    let (status, body) = ready(&gateway);
    assert_eq!((status, &body["status"]), (503, &json!("starting")));
    assert_eq!(body["checks"]["issuer:id"], "starting");
    issuer.server.is(Mood::Well);
    gateway.wait_until_ready();
    assert_eq!(ready(&gateway).1["checks"]["issuer:id"], "ok");
    let answer = gateway.get("/").bearer(&issuer.token("one")).send();
    assert_eq!(answer.ok().json()["headers"]["x-user-id"], "7");
    assert!(gateway.metric(FETCHED) >= 1.0 && gateway.metric(FAILED) < 1.0);
    let text = gateway.admin("GET", "/metrics").send().text().to_owned();
    assert!(text.contains(AGE), "{text}");
}

#[test]
fn ten_thousand_random_key_ids_cost_the_issuer_nothing() {
    let issuer = Issuer::start();
    let gateway = Gateway::with(BY_KEYS).put("ISSUER", &issuer.server.url()).start();
    gateway.get("/").bearer(&issuer.token("one")).send().ok();
    let began = std::time::Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (gateway, issuer) = (&gateway, &issuer);
            scope.spawn(move || {
                for number in 0..2_500 {
                    let token = issuer.token(&format!("random-{thread}-{number}"));
                    gateway.get("/").bearer(&token).send().refused(401, "invalid_token");
                }
            });
        }
    });
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let fetches = issuer.fetches();
    println!("10,000 random key ids: {fetches} fetches, the first included, in {minutes:.2} min");
    assert!(fetches as f64 <= 1.0 + 2.0 * minutes, "{fetches} fetches");
    let unknown = gateway.logged(|line| line["reason"] == "unknown_kid");
    assert!(unknown.is_some());
}

#[test]
fn an_issuer_that_was_never_reached_is_503_and_takes_nothing_else_down() {
    let issuer = Issuer::start();
    issuer.server.is(Mood::Down);
    let gateway = Gateway::with(BY_KEYS).put("ISSUER", &issuer.server.url()).start();
    gateway.get("/").bearer(&issuer.token("one")).send().refused(503, "unavailable");
    gateway.get("/").send().refused(401, "missing_credentials");
    assert!(gateway.metric(FAILED) >= 1.0);
}

#[test]
fn a_restart_while_the_issuer_is_down_goes_on_with_the_keys_on_disk() {
    let issuer = Issuer::start();
    let state = tempfile::tempdir().unwrap();
    let start = || {
        let setting = Gateway::with(BY_NAME).put("ISSUER", &issuer.server.url());
        setting.put("STATE", &state.path().display().to_string()).start()
    };
    let gateway = start();
    gateway.get("/").bearer(&issuer.token("one")).send().ok();
    eventually("the keys on disk", || {
        let mut files = std::fs::read_dir(state.path()).unwrap().map(|file| file.unwrap().path());
        files.find(|file| file.extension().is_some_and(|end| end == "json"))
    });
    drop(gateway);
    issuer.server.is(Mood::Down);
    let again = start();
    again.get("/").bearer(&issuer.token("one")).send().ok();
    again.wait_until_ready();
    assert_eq!(ready(&again).1["checks"]["issuer:id"], "degraded");
    again.get("/").bearer(&issuer.token("one")).send().ok();
}

#[test]
fn a_reload_keeps_what_is_known_of_an_issuer() {
    let issuer = Issuer::start();
    let gateway = issuer.by_discovery().start();
    gateway.get("/").bearer(&issuer.token("one")).send().ok();
    issuer.server.is(Mood::Down);
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    std::fs::write(gateway.config(), text.replace("name: all", "name: everything")).unwrap();
    gateway.wait_for_log("the reload", |line| line["event"] == "reloaded");
    gateway.get("/").bearer(&issuer.token("one")).send().ok();
    assert_eq!(issuer.fetches(), 1);
}

#[test]
fn a_token_is_inspected_without_a_server_as_long_as_its_issuer_answers() {
    let issuer = Issuer::start();
    // Without a place for keys on disk, which would do.
    let gateway = Gateway::with(BY_KEYS).put("ISSUER", &issuer.server.url()).start();
    let token = issuer.token("one");
    let inspect = || gateway.portcullis(&["token", "inspect", &token]);
    let explain = || {
        let header = format!("Authorization: Bearer {token}");
        gateway.portcullis(&["explain", "GET", "/", "-H", &header])
    };
    assert_eq!(inspect().status.code(), Some(0));
    assert_eq!(explain().status.code(), Some(0));
    issuer.server.is(Mood::Down);
    let (inspected, explained) = (inspect(), explain());
    assert_eq!(inspected.status.code(), Some(3));
    assert_eq!(explained.status.code(), Some(3));
    for told in [inspected.stderr, explained.stderr] {
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("issuer `id`: it answered 503"), "{told}");
        assert!(told.contains("its keys are not known"), "{told}");
    }
}
