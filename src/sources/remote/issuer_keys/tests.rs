//! Issuers as they are met: good, changing, slow, down, hostile.

use std::{fs, path::Path, sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use super::{
    super::{
        Remotes,
        scripted::{Answer, Heard, Scripted},
    },
    Tempo, pace,
};
use crate::{
    policy::{
        Policy, Sources as _,
        accounts::Accounts,
        authn::{
            TokenPlace,
            jwt::{ClaimPaths, IssuerTerms, Jws, UserRule, Verified},
            keys::{KeyPlace, Keys, Publication, SigningKey},
        },
        authz::RoleGraph,
        decision::TokenFault,
        digest::Digest,
        sources::Unverified,
    },
    sources::{Live, Memory, provider},
};

const ED25519: &[u8] = include_bytes!("../../../../tests/fixtures/keys/ed25519.pem");
const RSA: &[u8] = include_bytes!("../../../../tests/fixtures/keys/rsa.pem");
/// No time between fetches, so that a test need not wait for it.
const BRISK: Tempo = Tempo { spacing: Duration::ZERO, patience: Duration::from_secs(5) };

fn key(pem: &[u8], algorithm: Algorithm) -> SigningKey {
    SigningKey::from_pem(pem, algorithm).unwrap()
}

fn first() -> SigningKey {
    key(ED25519, Algorithm::EdDSA)
}

fn second() -> SigningKey {
    key(RSA, Algorithm::RS256)
}

/// The public half, as an issuer publishes it.
fn jwk(key: &SigningKey) -> Value {
    let set = crate::policy::authn::keys::published(std::slice::from_ref(key));
    let set: Value = serde_json::from_str(&set).unwrap();
    set["keys"][0].clone()
}

fn token(key: &SigningKey, kid: Option<&str>, number: usize) -> String {
    let claims = json!({"iss": "corp", "sub": "1", "jti": number, "exp": 4_102_444_800_u64});
    let claims: Map<_, _> = claims.as_object().cloned().unwrap();
    let mut key = key.clone();
    if let Some(kid) = kid {
        key.kid = Some(kid.to_owned());
    }
    provider::sign(&key, "JWT", &claims).unwrap()
}

fn terms(place: KeyPlace, algorithms: &[Algorithm]) -> IssuerTerms {
    let issuer = match &place {
        KeyPlace::Discovery(issuer) => issuer.clone(),
        KeyPlace::Jwks(_) => "corp".to_owned(),
    };
    IssuerTerms {
        name: "corp".into(),
        principal_issuer: "corp".into(),
        issuer: Some(issuer),
        audiences: vec![],
        algorithms: algorithms.to_vec(),
        keys: Keys::Published(Publication { place, refresh: Duration::from_secs(600) }),
        leeway: Duration::ZERO,
        require: vec![],
        token_types: IssuerTerms::usual_types(),
        claims: ClaimPaths::default(),
        grants: None,
        users: UserRule::Ignore,
        take_from: vec![TokenPlace::authorization()],
    }
}

/// A gateway as far as issuers go.
struct Bench {
    policy: Policy,
    memory: Memory,
    remotes: Remotes,
}

impl Bench {
    fn new(place: KeyPlace, tempo: Tempo, state: Option<&Path>, old: Option<&Self>) -> Self {
        Self::with(terms(place, &[Algorithm::EdDSA, Algorithm::RS256]), tempo, state, old)
    }

    fn with(terms: IssuerTerms, tempo: Tempo, state: Option<&Path>, old: Option<&Self>) -> Self {
        let policy = Policy::bare(vec![Arc::new(terms)], Accounts::default(), RoleGraph::default());
        let old = old.map(|old| &old.remotes);
        let remotes = Remotes::with(&policy, state, old, tempo, None);
        remotes.follow();
        Self { policy, memory: Memory::new(1), remotes }
    }

    async fn verify(&self, token: &str) -> Result<Arc<Verified>, Unverified> {
        let jws = Jws::parse(token, Digest::of(token.as_bytes())).unwrap();
        let live = Live::new(&self.policy, &self.memory).asking(&self.remotes);
        live.verify(&self.policy.issuers[0], &jws).await
    }

    fn vouches(&self, verified: &Verified) -> bool {
        let live = Live::new(&self.policy, &self.memory).asking(&self.remotes);
        live.vouches(&self.policy.issuers[0], verified)
    }

    fn health(&self) -> super::Health {
        self.remotes.issuers().next().unwrap().health()
    }

    fn fault(&self) -> String {
        self.health().fault.unwrap_or_default()
    }
}

fn is_away(outcome: Result<Arc<Verified>, Unverified>) -> bool {
    matches!(outcome, Err(Unverified::Unavailable(_)))
}

fn is_unknown(outcome: Result<Arc<Verified>, Unverified>) -> bool {
    matches!(outcome, Err(Unverified::Fault(TokenFault::UnknownKey)))
}

async fn publishing(keys: Vec<Value>) -> Scripted {
    Scripted::start(move |_| Answer::json(json!({ "keys": keys }))).await
}

fn jwks(server: &Scripted) -> KeyPlace {
    KeyPlace::Jwks(server.url("/jwks"))
}

#[tokio::test]
async fn a_request_that_comes_before_the_first_fetch_waits_for_it() {
    let keys = json!({ "keys": [jwk(&first())] });
    let server = Scripted::start(move |_| Answer::Gated(Box::new(Answer::json(&keys)))).await;
    let bench = Bench::new(jwks(&server), Tempo::SERVING, None, None);
    let token = token(&first(), None, 0);
    assert!(!bench.health().tried);
    let (outcome, ()) = tokio::join!(bench.verify(&token), async {
        server.wait_for(1).await;
        server.open();
    });
    assert!(outcome.is_ok());
    assert!(bench.health().tried && bench.health().age.is_some());
    assert_eq!(server.asked("/jwks"), 1);
    let asked = &server.heard()[0];
    assert!(asked.head.starts_with("GET /jwks HTTP/1.1\r\n") && asked.body.is_empty());
    for name in ["authorization", "cookie", "referer"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn ten_thousand_made_up_key_ids_cost_one_fetch_and_leave_nothing_behind() {
    let server = publishing(vec![jwk(&first())]).await;
    let bench = Bench::new(jwks(&server), Tempo::SERVING, None, None);
    for number in 0..10_000 {
        let kid = format!("kid-{number}");
        assert!(is_unknown(bench.verify(&token(&first(), Some(&kid), number)).await), "{kid}");
    }
    assert_eq!(server.asked("/jwks"), 1);
    assert_eq!(bench.memory.signatures.recalls().entries, 0);
    assert!(bench.verify(&token(&first(), None, 0)).await.is_ok());
}

#[test]
fn fetches_are_half_a_minute_apart() {
    assert_eq!(Tempo::SERVING.spacing, Duration::from_secs(30));
    assert_eq!(pace::SPACING, Duration::from_secs(30));
}

#[tokio::test]
async fn all_who_wait_for_a_new_key_wait_for_one_fetch() {
    let server = publishing(vec![jwk(&first())]).await;
    let bench = Arc::new(Bench::new(jwks(&server), BRISK, None, None));
    assert!(bench.verify(&token(&first(), None, 0)).await.is_ok());
    let before = server.heard().len();
    let keys = json!({ "keys": [jwk(&first()), jwk(&second())] });
    server.change(move |_| Answer::Gated(Box::new(Answer::json(&keys))));
    let waiting: Vec<_> = (0..50)
        .map(|number| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.verify(&token(&second(), None, number)).await.is_ok() })
        })
        .collect();
    server.wait_for(before + 1).await;
    server.open();
    for one in waiting {
        assert!(one.await.unwrap());
    }
    // One that asked in the moment before the fetch began may cause another.
    assert!(server.heard().len() <= before + 2, "{}", server.heard().len());
}

#[tokio::test]
async fn a_token_is_forgotten_with_the_key_that_vouched_for_it() {
    let server = publishing(vec![jwk(&first())]).await;
    let bench = Bench::new(jwks(&server), BRISK, None, None);
    let verified = bench.verify(&token(&first(), None, 0)).await.unwrap();
    assert!(bench.vouches(&verified));
    let keys = json!({ "keys": [jwk(&second())] });
    server.change(move |_| Answer::json(&keys));
    assert!(bench.verify(&token(&second(), None, 1)).await.is_ok());
    assert!(!bench.vouches(&verified));
    assert!(is_unknown(bench.verify(&token(&first(), None, 0)).await));
}

#[tokio::test]
async fn the_same_keys_in_another_order_are_the_same_keys() {
    let (one, two) = (jwk(&first()), jwk(&second()));
    let server = publishing(vec![one.clone(), two.clone()]).await;
    let bench = Bench::new(jwks(&server), BRISK, None, None);
    let verified = bench.verify(&token(&first(), None, 0)).await.unwrap();
    let (keys, before) = (json!({ "keys": [two, one] }), server.heard().len());
    server.change(move |_| Answer::json(&keys));
    assert!(is_unknown(bench.verify(&token(&first(), Some("x"), 1)).await));
    assert!(server.heard().len() > before && bench.vouches(&verified));
}

#[tokio::test]
async fn the_last_good_keys_serve_whatever_becomes_of_the_issuer() {
    let server = publishing(vec![jwk(&first())]).await;
    let bench = Bench::new(
        jwks(&server),
        Tempo { patience: Duration::from_millis(300), ..BRISK },
        None,
        None,
    );
    let good = token(&first(), None, 0);
    assert!(bench.verify(&good).await.is_ok());
    type Script = fn(&Heard) -> Answer;
    let answers: [(Script, &str); 12] = [
        (|_| Answer::status(500), "500"),
        (|_| Answer::status(404), "404"),
        (|_| Answer::status(204), "204"),
        (|_| Answer::Closed, "reached"),
        (|_| Answer::Never, "within"),
        (|_| Answer::Endless, "longer than 1048576"),
        (|_| Answer::json("<html>"), "not JSON"),
        (|_| Answer::json("{}"), "no list"),
        (|_| Answer::json("{\"keys\":[]}"), "no key"),
        (|_| Answer::json("[".repeat(100_000)), "not JSON"),
        (|_| Answer::Now(200, String::new(), vec![0xff; 4096]), "not JSON"),
        (|_| Answer::Now(302, "location: http://localhost:1/\r\n".into(), vec![]), "redirects"),
    ];
    for (answer, why) in answers {
        server.change(answer);
        assert!(is_unknown(bench.verify(&token(&first(), Some("other"), 1)).await), "{why}");
        assert!(bench.fault().contains(why), "{why}: {}", bench.fault());
        assert!(bench.verify(&good).await.is_ok(), "{why}");
    }
    assert!(bench.health().age.is_some());
}

#[tokio::test]
async fn keys_that_were_never_seen_are_away_not_wrong() {
    for answer in [Answer::status(500), Answer::Closed, Answer::Never, Answer::json("{}")] {
        let shown = format!("{answer:?}");
        let server = Scripted::start(move |_| answer.clone()).await;
        let tempo = Tempo { patience: Duration::from_millis(200), ..Tempo::SERVING };
        let bench = Bench::new(jwks(&server), tempo, None, None);
        assert!(is_away(bench.verify(&token(&first(), None, 0)).await), "{shown}");
        assert!(bench.health().tried && bench.health().age.is_none());
        // And so at once from then on.
        assert!(is_away(bench.verify(&token(&first(), None, 0)).await), "{shown}");
        assert_eq!(server.heard().len(), 1, "{shown}");
    }
}

/// An issuer that serves one kind of metadata.
async fn discovered(metadata: &'static str) -> Scripted {
    let server = Scripted::start(|_| Answer::status(404)).await;
    let (issuer, keys) = (server.url("/realm"), server.url("/keys"));
    server.change(move |heard| match heard.target() {
        target if target == metadata => Answer::json(json!({"issuer": issuer, "jwks_uri": keys})),
        "/keys" => Answer::json(json!({ "keys": [jwk(&first())] })),
        _ => Answer::status(404),
    });
    server
}

#[tokio::test]
async fn an_issuer_is_known_by_its_address_alone() {
    for (metadata, requests) in [
        ("/realm/.well-known/openid-configuration", 2),
        ("/.well-known/oauth-authorization-server/realm", 3),
    ] {
        let server = discovered(metadata).await;
        let place = KeyPlace::Discovery(server.url("/realm"));
        let bench = Bench::new(place, Tempo::SERVING, None, None);
        assert!(bench.verify(&token(&first(), None, 0)).await.is_ok(), "{metadata}");
        assert_eq!(server.heard().len(), requests);
    }
}

#[tokio::test]
async fn metadata_that_lead_astray_bring_no_keys() {
    let server = Scripted::start(|_| Answer::status(404)).await;
    let issuer = server.url("");
    for (document, why) in [
        (json!({"issuer": format!("{issuer}/"), "jwks_uri": server.url("/keys")}), "those of"),
        (json!({"issuer": "https://id.example.com", "jwks_uri": server.url("/keys")}), "those of"),
        (json!({"issuer": issuer, "jwks_uri": "http://id.example.com/keys"}), "refused"),
        (json!({"issuer": issuer, "jwks_uri": "https://169.254.169.254/keys"}), "refused"),
        (json!({"issuer": issuer, "jwks_uri": "file:///etc/passwd"}), "refused"),
        (json!({"issuer": issuer}), "no `jwks_uri`"),
    ] {
        server.change(move |heard| match heard.target() {
            "/.well-known/openid-configuration" => Answer::json(&document),
            _ => Answer::json(json!({ "keys": [jwk(&first())] })),
        });
        let bench = Bench::new(KeyPlace::Discovery(issuer.clone()), Tempo::SERVING, None, None);
        assert!(is_away(bench.verify(&token(&first(), None, 0)).await), "{why}");
        assert!(bench.fault().contains(why), "{why}: {}", bench.fault());
    }
    assert_eq!(server.asked("/keys"), 0);
}

#[tokio::test]
async fn a_redirect_is_followed_at_home_and_nowhere_else() {
    let other = publishing(vec![jwk(&first())]).await;
    let server = Scripted::start(|_| Answer::status(404)).await;
    let sent_on = |location: String| {
        move |heard: &Heard| match heard.target() {
            "/jwks" => Answer::Now(302, format!("location: {location}\r\n"), vec![]),
            _ => Answer::json(json!({ "keys": [jwk(&first())] })),
        }
    };
    server.change(sent_on("/moved".into()));
    let bench = Bench::new(jwks(&server), Tempo::SERVING, None, None);
    assert!(bench.verify(&token(&first(), None, 0)).await.is_ok());
    let by_name = format!("http://localhost:{}/moved", server.address.port());
    for elsewhere in [other.url("/keys"), by_name, "https://127.0.0.1:1/".to_owned()] {
        server.change(sent_on(elsewhere.clone()));
        let bench = Bench::new(jwks(&server), Tempo::SERVING, None, None);
        assert!(is_away(bench.verify(&token(&first(), None, 0)).await), "{elsewhere}");
    }
    server.change(sent_on("/jwks".into()));
    let bench = Bench::new(jwks(&server), Tempo::SERVING, None, None);
    assert!(is_away(bench.verify(&token(&first(), None, 0)).await), "in a circle");
    assert!(other.heard().is_empty());
}

#[tokio::test]
async fn bad_keys_are_left_out_and_the_good_ones_serve() {
    let good = jwk(&first());
    let with = |name: &str, value: Value| {
        let mut key = jwk(&second());
        key[name] = value;
        key
    };
    let weak = json!({"kty": "RSA", "kid": "weak", "e": "AQAB", "n": "w".repeat(171)});
    let keys = vec![
        weak,
        with("d", json!("AQAB")),
        with("use", json!("enc")),
        with("alg", json!("RSA-OAEP")),
        with("alg", json!("ES256")),
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!("nonsense"),
        good.clone(),
        good,
    ];
    let folder = tempfile::tempdir().unwrap();
    let server = publishing(keys).await;
    let bench = Bench::new(jwks(&server), Tempo::SERVING, Some(folder.path()), None);
    assert!(bench.verify(&token(&first(), None, 0)).await.is_ok());
    assert!(is_unknown(bench.verify(&token(&second(), None, 0)).await));
    let held = bench.remotes.issuers().next().unwrap().held();
    let held = held.as_ref().unwrap();
    assert_eq!(held.keyring.keys.keys.len(), 1);
    let why: Vec<String> = held.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(why.len(), 8, "{why:?}");
    for part in ["2048", "private member `d`", "not `sig`", "symmetric", "twice"] {
        assert!(why.iter().any(|one| one.contains(part)), "{part} in {why:?}");
    }
    let document = String::from_utf8(held.document.clone()).unwrap();
    assert!(!document.contains("\"d\"") && !document.contains("c2VjcmV0"), "{document}");
}

#[tokio::test]
async fn a_set_of_ten_thousand_keys_and_one_of_fifty_megabytes_are_refused() {
    let many: Vec<Value> = (0..10_000).map(|kid| json!({"kty": "OKP", "kid": kid})).collect();
    let server = publishing(many).await;
    let bench = Bench::new(jwks(&server), Tempo::SERVING, None, None);
    assert!(is_away(bench.verify(&token(&first(), None, 0)).await));
    assert!(bench.fault().contains("10000 keys"), "{}", bench.fault());
    let large = Scripted::start(|_| Answer::Now(200, String::new(), vec![b' '; 50 << 20])).await;
    let bench = Bench::new(jwks(&large), Tempo::SERVING, None, None);
    assert!(is_away(bench.verify(&token(&first(), None, 0)).await));
    assert!(bench.fault().contains("longer than"), "{}", bench.fault());
}

/// Waits for the copy on disk.
async fn kept(folder: &Path) -> std::path::PathBuf {
    loop {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        if let Some(file) = files.into_iter().find(|file| file.extension().unwrap() == "json") {
            return file;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_restart_during_an_outage_goes_on_with_the_last_good_keys() {
    let folder = tempfile::tempdir().unwrap();
    let server = publishing(vec![jwk(&first())]).await;
    let bench = Bench::new(jwks(&server), Tempo::SERVING, Some(folder.path()), None);
    assert!(bench.verify(&token(&first(), None, 0)).await.is_ok());
    let file = kept(folder.path()).await;
    drop(bench);
    server.change(|_| Answer::status(503));
    let again = Bench::new(jwks(&server), Tempo::SERVING, Some(folder.path()), None);
    assert!(again.verify(&token(&first(), None, 0)).await.is_ok());
    // Keys of another address or another issuer are not taken for this one's.
    let elsewhere = KeyPlace::Jwks(server.url("/other"));
    let other = Bench::new(elsewhere, Tempo::SERVING, Some(folder.path()), None);
    assert!(is_away(other.verify(&token(&first(), None, 0)).await));
    fs::write(file, "{}").unwrap();
    let damaged = Bench::new(jwks(&server), Tempo::SERVING, Some(folder.path()), None);
    assert!(is_away(damaged.verify(&token(&first(), None, 0)).await));
}

#[tokio::test]
async fn an_old_copy_does_not_serve_before_the_issuer_has_been_asked() {
    let folder = tempfile::tempdir().unwrap();
    let server = publishing(vec![jwk(&first())]).await;
    let bench = Bench::new(jwks(&server), Tempo::SERVING, Some(folder.path()), None);
    assert!(bench.verify(&token(&first(), None, 0)).await.is_ok());
    let file = kept(folder.path()).await;
    drop(bench);
    let mut copy: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    copy["fetched"] = json!(copy["fetched"].as_u64().unwrap() - 3_600);
    fs::write(&file, copy.to_string()).unwrap();
    // Meanwhile the issuer has taken the key back.
    let keys = json!({ "keys": [jwk(&second())] });
    server.change(move |_| Answer::json(&keys));
    let again = Bench::new(jwks(&server), Tempo::SERVING, Some(folder.path()), None);
    assert!(is_unknown(again.verify(&token(&first(), None, 0)).await));
    assert!(again.verify(&token(&second(), None, 0)).await.is_ok());
}

#[tokio::test]
async fn a_reload_keeps_the_keys_of_an_issuer_that_did_not_change() {
    let server = publishing(vec![jwk(&first())]).await;
    let before = Bench::new(jwks(&server), Tempo::SERVING, None, None);
    assert!(before.verify(&token(&first(), None, 0)).await.is_ok());
    server.change(|_| Answer::status(503));
    let same = Bench::new(jwks(&server), Tempo::SERVING, None, Some(&before));
    assert!(same.verify(&token(&first(), None, 0)).await.is_ok());
    assert_eq!(server.heard().len(), 1);
    // Other algorithms: what was published is read anew.
    let narrower = terms(jwks(&server), &[Algorithm::EdDSA]);
    let narrower = Bench::with(narrower, Tempo::SERVING, None, Some(&same));
    assert!(narrower.verify(&token(&first(), None, 0)).await.is_ok());
    // Another address: nothing is taken over.
    let moved = KeyPlace::Jwks(server.url("/moved"));
    let moved = Bench::new(moved, Tempo::SERVING, None, Some(&narrower));
    assert!(is_away(moved.verify(&token(&first(), None, 0)).await));
}

#[tokio::test]
async fn an_inquiry_asks_once_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let server = publishing(vec![jwk(&first())]).await;
    let terms = terms(jwks(&server), &[Algorithm::EdDSA]);
    let policy = Policy::bare(vec![Arc::new(terms)], Accounts::default(), RoleGraph::default());
    let remotes = Remotes::for_inquiry(&policy, Some(folder.path()));
    let memory = Memory::new(1);
    let dry = crate::sources::Dry::new(&policy, &memory).asking(&remotes);
    for number in 0..3 {
        let token = token(&first(), None, number);
        let jws = Jws::parse(&token, Digest::of(token.as_bytes())).unwrap();
        assert!(dry.verify(&policy.issuers[0], &jws).await.is_ok());
    }
    assert_eq!(server.heard().len(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(remotes.complaints().is_empty());
}
