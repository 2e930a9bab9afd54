//! Tokens that are refreshed, taken back, and issued to API clients; and how soon what another process takes back is void here.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use portcullis::model::{Role, Secret, StoreLocation, Timestamp};
use portcullis::store::{Author, Entry, NewKey, NewUser, PasswordSet, Store, UserChange};
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, Recorder, eventually};
use crate::people::{ALICE, BOB, KEY, PEOPLE};

const ROUTES: &str = "
upstreams: { app: '@APP@' }
defaults: { auth: [jwt] }
routes:
  - { name: me, match: { path: /me }, upstream: app }
  - { name: items, match: { path: /items }, upstream: app, allow: { permissions: [read:items] } }
  - { name: key, match: { path: /key }, upstream: app, auth: [api_key] }
";

const TOKEN: &str = "token: { path: /auth/token, secret: the-secret-of-the-gateway-itself-for-tests, refresh_ttl: 14d, revoke_path: /auth/revoke }";

fn yaml(store: &str) -> String {
    let (people, rest) = PEOPLE.split_once("token:").unwrap();
    let (_, roles) = rest.split_once('\n').unwrap();
    format!("store: 'sqlite:{store}'\n{people}{TOKEN}\n{roles}{ROUTES}")
}

fn start(upstream: &Recorder, store: &str) -> Gateway {
    Gateway::with(&yaml(store)).put("APP", &upstream.url()).start()
}

/// Nobody is kept from asking again until the answer is another.
fn start_patient(upstream: &Recorder) -> Gateway {
    let text = yaml("store.db")
        .replace("authentication:\n", "authentication:\n  failure_limit: false\n")
        .replace("refresh_ttl: 14d", "refresh_ttl: 14d, login_limit: false");
    Gateway::with(&text).put("APP", &upstream.url()).start()
}

fn ask(gateway: &Gateway, fields: &[(&str, &str)]) -> Answer {
    gateway.call("POST", "/auth/token").form(fields).send()
}

fn login(gateway: &Gateway, (username, password): (&str, &str)) -> (String, String) {
    pair(&ask(gateway, &[("username", username), ("password", password)]))
}

fn pair(answer: &Answer) -> (String, String) {
    let body = answer.ok().json();
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn refresh(gateway: &Gateway, token: &str) -> Answer {
    ask(gateway, &[("grant_type", "refresh_token"), ("refresh_token", token)])
}

fn revoke(gateway: &Gateway, token: &str) -> Answer {
    gateway
        .call("POST", "/auth/revoke")
        .form(&[("token", token), ("token_type_hint", "nonsense")])
        .send()
}

fn error(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
}

fn no_grant() -> (u16, String) {
    (400, "invalid_grant".to_owned())
}

/// What another process does to the store of a gateway.
fn elsewhere<T>(file: &std::path::Path, work: impl AsyncFnOnce(&Store, Timestamp) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&StoreLocation::Sqlite(file.to_owned())).await.unwrap();
        let done = work(&store, SystemTime::now().into()).await;
        store.close().await;
        done
    })
}

const BY_TEST: Author<'static> = Author { who: "test", origin: "test" };
const SET: Entry<'static> = Entry { action: "user.set", target: "9", detail: "" };

fn dora(disabled: bool) -> NewUser {
    NewUser {
        subject: "9".into(),
        username: "dora".into(),
        // bob's.
        password: Some(Secret::new("$2b$04$FN.Af7es.rDrHzosnoDf1OsaVXfHvSHJTXLXhopKeOtpE6JathpaW")),
        roles: vec![Role::from("user")],
        permissions: vec![],
        plan: None,
        disabled,
    }
}

const DORA: (&str, &str) = ("dora", BOB.1);

/// A user of the store, made elsewhere and known here.
fn with_dora(gateway: &Gateway) -> (String, String) {
    let file = gateway.directory().join("store.db");
    elsewhere(&file, async |store, now| store.add_user(&dora(false), &BY_TEST, now).await.unwrap());
    eventually("a user who was added elsewhere", || {
        let answer = ask(gateway, &[("username", DORA.0), ("password", DORA.1)]);
        (answer.status == 200).then(|| pair(&answer))
    })
}

/// A mark voids what was issued in its own second too, so whoever logs in again waits for the next.
fn next_second() {
    let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    eventually("the next second", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        (now > began).then_some(())
    });
}

/// How long it takes until a call is refused.
fn until_refused(mut call: impl FnMut() -> Answer) -> Duration {
    let began = Instant::now();
    eventually("a refusal", || (call().status == 401).then(|| began.elapsed()))
}

#[test]
fn a_login_can_be_refreshed_and_each_token_is_used_once() {
    let upstream = Recorder::start();
    let gateway = start(&upstream, "store.db");
    let (access, first) = login(&gateway, ALICE);
    assert!(first.len() >= 43 && first.starts_with("prt_"), "256 bits");
    let answer = refresh(&gateway, &first);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.ok().json()["expires_in"], 1800);
    let (renewed, second) = pair(&answer);
    assert!(renewed != access && second != first);
    for token in [&access, &renewed] {
        gateway.get("/me").bearer(token).send().ok();
        assert_eq!(upstream.last().header("x-user-roles"), Some("admin"));
    }
    let (third_access, third) = pair(&refresh(&gateway, &second));
    gateway.get("/me").bearer(&third_access).send().ok();

    // Somebody has a copy of the first: nothing of this login is good any more.
    assert_eq!(error(&refresh(&gateway, &first)), no_grant());
    let incident = gateway.wait_for_log("the incident", |line| line["event"] == "incident");
    assert_eq!(
        (&incident["incident"], &incident["subject"]),
        (&json!("refresh_reuse"), &json!("1"))
    );
    assert_eq!(error(&refresh(&gateway, &third)), no_grant());
    for token in [&access, &renewed, &third_access] {
        gateway.get("/me").bearer(token).send().refused(401, "invalid_token");
    }
    gateway.wait_for_log("the reason", |line| line["reason"] == "revoked");
    // Another login of the same user is not touched.
    let (other, _) = login(&gateway, ALICE);
    gateway.get("/me").bearer(&other).send().ok();
}

#[test]
fn of_many_uses_at_once_one_wins() {
    let upstream = Recorder::start();
    let one = start(&upstream, "store.db");
    let file = one.directory().join("store.db");
    let two = start(&upstream, file.to_str().unwrap());
    for _ in 0..3 {
        let (_, token) = login(&one, ALICE);
        let barrier = Barrier::new(12);
        let won: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..12)
                .map(|n| {
                    let (barrier, token, gateway) =
                        (&barrier, &token, if n % 2 == 0 { &one } else { &two });
                    scope.spawn(move || {
                        barrier.wait();
                        let answer = refresh(gateway, token);
                        assert!(
                            answer.status == 200 || error(&answer) == no_grant(),
                            "{}",
                            answer.text()
                        );
                        usize::from(answer.status == 200)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(won, 1);
    }
}

#[test]
fn no_refresh_token_stands_in_the_store_or_in_the_log() {
    let upstream = Recorder::start();
    let gateway = start(&upstream, "store.db");
    let (_, first) = login(&gateway, ALICE);
    let (_, second) = pair(&refresh(&gateway, &first));
    refresh(&gateway, &first);
    let mut kept = gateway.output().into_bytes();
    for entry in fs::read_dir(gateway.directory()).unwrap() {
        kept.extend(fs::read(entry.unwrap().path()).unwrap_or_default());
    }
    for token in [&first, &second] {
        for part in [token.as_bytes(), &token.as_bytes()["prt_".len()..]] {
            assert!(!kept.windows(part.len()).any(|window| window == part));
        }
    }
}

#[test]
fn whoever_holds_a_token_can_take_it_back() {
    let upstream = Recorder::start();
    let gateway = start(&upstream, "store.db");
    let file = gateway.directory().join("store.db");
    let other = start(&upstream, file.to_str().unwrap());

    // An access token alone.
    let (access, token) = login(&gateway, ALICE);
    other.get("/me").bearer(&access).send().ok();
    assert_eq!(revoke(&gateway, &access).ok().text(), "");
    gateway.get("/me").bearer(&access).send().refused(401, "invalid_token");
    let took = until_refused(|| other.get("/me").bearer(&access).send());
    assert!(took < Duration::from_secs(1), "{took:?} at another gateway");
    let (renewed, token) = pair(&refresh(&gateway, &token));

    // A refresh token, and with it the login.
    revoke(&gateway, &token).ok();
    gateway.get("/me").bearer(&renewed).send().refused(401, "invalid_token");
    assert_eq!(error(&refresh(&gateway, &token)), no_grant());
    let took = until_refused(|| other.get("/me").bearer(&renewed).send());
    assert!(took < Duration::from_secs(1), "{took:?} at another gateway");

    // What is unknown, over or foreign is as good as taken back, and nothing else happens.
    let (kept, refreshable) = login(&gateway, ALICE);
    let (head, _) = kept.rsplit_once('.').unwrap();
    for unknown in [
        "x",
        &token,
        &access,
        "prt_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        &format!("{head}.AAAA"),
    ] {
        revoke(&gateway, unknown).ok();
    }
    gateway.get("/me").bearer(&kept).send().ok();
    let nothing = gateway.call("POST", "/auth/revoke").form(&[("token", "")]).send();
    assert_eq!(error(&nothing), (400, "invalid_request".to_owned()));
    let twice =
        gateway.call("POST", "/auth/revoke").form(&[("token", &kept), ("token", "x")]).send();
    assert_eq!(error(&twice), (400, "invalid_request".to_owned()));
    gateway.call("GET", "/auth/revoke").send().refused(405, "method_not_allowed");
    pair(&refresh(&gateway, &refreshable));
}

#[test]
fn what_is_taken_back_stays_so_after_a_restart() {
    let upstream = Recorder::start();
    let gateway = start(&upstream, "store.db");
    let (access, _) = login(&gateway, ALICE);
    revoke(&gateway, &access).ok();
    let file = gateway.directory().join("store.db");
    let again = start(&upstream, file.to_str().unwrap());
    again.get("/me").bearer(&access).send().refused(401, "invalid_token");
}

#[test]
fn a_user_who_is_shut_out_elsewhere_is_cut_off_within_a_second_and_for_good() {
    let upstream = Recorder::start();
    let gateway = start_patient(&upstream);
    let file = gateway.directory().join("store.db");
    let (access, token) = with_dora(&gateway);
    gateway.get("/me").bearer(&access).send().ok();
    let set = |change: UserChange| {
        elsewhere(&file, async |store, now| {
            store.change_user("9", &change, &BY_TEST, &SET, now).await.unwrap();
        });
    };
    set(UserChange { disabled: Some(true), ..UserChange::default() });
    let took = until_refused(|| gateway.get("/me").bearer(&access).send());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(error(&refresh(&gateway, &token)), no_grant());
    let shut = ask(&gateway, &[("username", DORA.0), ("password", DORA.1)]);
    assert_eq!(error(&shut), (401, "invalid_grant".to_owned()));

    set(UserChange { disabled: Some(false), ..UserChange::default() });
    next_second();
    let (access, token) = eventually("a user who is let in again", || {
        let answer = ask(&gateway, &[("username", DORA.0), ("password", DORA.1)]);
        (answer.status == 200).then(|| pair(&answer))
    });
    gateway.get("/me").bearer(&access).send().ok();

    // A changed password ends what the old one began.
    let hash = dora(false).password.map(PasswordSet::To);
    set(UserChange { password: hash, ..UserChange::default() });
    let took = until_refused(|| gateway.get("/me").bearer(&access).send());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(error(&refresh(&gateway, &token)), no_grant());
}

const RELOADED: &str = r#"portcullis_config_reloads_total{outcome="success"}"#;

fn reload(gateway: &Gateway, reloads: f64, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(gateway.config()).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text);
    fs::write(gateway.config(), changed).unwrap();
    eventually("a reload", || (gateway.metric(RELOADED) >= reloads).then_some(()));
}

#[test]
fn a_user_of_the_file_loses_his_logins_with_his_password() {
    let upstream = Recorder::start();
    let gateway = start(&upstream, "store.db");
    let (_, alice) = login(&gateway, ALICE);
    let (_, bob) = login(&gateway, BOB);
    // alice's password becomes bob's.
    reload(&gateway, 1.0, |text| {
        text.replace(
            "$2b$04$YcP2VkJJEpEHXix8pvxxd.lGdIRcXl.lPQmH.vHenCQeMPfLAtcIS",
            "$2b$04$FN.Af7es.rDrHzosnoDf1OsaVXfHvSHJTXLXhopKeOtpE6JathpaW",
        )
    });
    assert_eq!(error(&refresh(&gateway, &alice)), no_grant());
    pair(&refresh(&gateway, &bob));
    // And with his account.
    let (_, bob) = login(&gateway, BOB);
    reload(&gateway, 2.0, |text| {
        text.replace("username: bob, ", "username: bob, disabled: true, ")
    });
    assert_eq!(error(&refresh(&gateway, &bob)), no_grant());
}

#[test]
fn a_refresh_narrows_and_never_widens() {
    let upstream = Recorder::start();
    let gateway = start(&upstream, "store.db");
    let narrow = |scope: &str| {
        ask(&gateway, &[("username", ALICE.0), ("password", ALICE.1), ("scope", scope)])
    };
    let scoped = |token: &str, scope: &str| {
        ask(
            &gateway,
            &[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)],
        )
    };
    let (_, token) = pair(&narrow("read:items write:items"));
    let answer = refresh(&gateway, &token);
    assert_eq!(answer.ok().json()["scope"], "read:items write:items");
    let answer = scoped(&pair(&answer).1, "read:items");
    assert_eq!(answer.ok().json()["scope"], "read:items");
    // The login is what it was.
    let answer = scoped(&pair(&answer).1, "write:items");
    assert_eq!(answer.ok().json()["scope"], "write:items");
    let (access, token) = pair(&answer);
    gateway.get("/items").bearer(&access).send().refused(403, "missing_permissions");
    assert_eq!(error(&scoped(&token, "delete:users")), (400, "invalid_scope".to_owned()));
}

fn basic(gateway: &Gateway, id: &str, secret: &str, scope: &str) -> Answer {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    gateway
        .call("POST", "/auth/token")
        .header("Authorization", &format!("Basic {pair}"))
        .form(&form)
        .send()
}

fn in_form(gateway: &Gateway, id: &str, secret: &str) -> Answer {
    ask(
        gateway,
        &[("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)],
    )
}

#[test]
fn an_api_client_gets_tokens_for_its_key() {
    let upstream = Recorder::start();
    let gateway = start(&upstream, "store.db");
    for answer in [basic(&gateway, "ci", KEY, ""), in_form(&gateway, "ci", KEY)] {
        let body = answer.ok().json();
        assert_eq!((&body["scope"], body.get("refresh_token")), (&json!("read:items"), None));
        gateway.get("/items").bearer(body["access_token"].as_str().unwrap()).send().ok();
        let seen = upstream.last();
        assert_eq!(
            (seen.header("x-user-id"), seen.header("x-user-roles")),
            (Some("robot"), Some("user"))
        );
    }
    let narrow = basic(&gateway, "ci", KEY, "read:items").ok().json();
    gateway.get("/items").bearer(narrow["access_token"].as_str().unwrap()).send().ok();
    assert_eq!(upstream.last().header("x-user-roles"), None, "a scope takes the roles away");
    assert_eq!(
        error(&basic(&gateway, "ci", KEY, "delete:users")),
        (400, "invalid_scope".to_owned())
    );

    let refused = (401, "invalid_client".to_owned());
    for answer in [
        basic(&gateway, "ci", "wrong", ""),
        basic(&gateway, "other", KEY, ""),
        in_form(&gateway, "ci", "wrong"),
        in_form(&gateway, "robot", KEY),
        ask(&gateway, &[("grant_type", "client_credentials")]),
        ask(&gateway, &[("grant_type", "client_credentials"), ("client_id", "ci")]),
    ] {
        assert_eq!(error(&answer), refused);
        assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    // A client says once who it is, and for other grants nobody asks.
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("ci:{KEY}"));
    let both = gateway
        .call("POST", "/auth/token")
        .header("Authorization", &format!("Basic {pair}"))
        .form(&[("grant_type", "client_credentials"), ("client_id", "ci"), ("client_secret", KEY)])
        .send();
    assert_eq!(error(&both), (400, "invalid_request".to_owned()));
    let login = gateway
        .call("POST", "/auth/token")
        .header("Authorization", "Basic bm9ib2R5Ong=")
        .form(&[
            ("username", ALICE.0),
            ("password", ALICE.1),
            ("client_id", "x"),
            ("client_secret", "y"),
        ])
        .send();
    login.ok();
}

fn stored_key(id: &str, secret: &[u8], networks: &[&str]) -> NewKey {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret);
    NewKey {
        id: id.into(),
        sha256: digest.as_ref().try_into().unwrap(),
        name: None,
        owner: None,
        roles: vec![Role::from("user")],
        permissions: vec![],
        plan: None,
        networks: networks.iter().map(|one| one.parse().unwrap()).collect(),
        expires: None,
    }
}

#[test]
fn a_key_that_is_revoked_takes_its_tokens_along_within_a_second() {
    let upstream = Recorder::start();
    let gateway = start_patient(&upstream);
    let file = gateway.directory().join("store.db");
    elsewhere(&file, async |store, now| {
        for key in [
            stored_key("job", b"job-secret", &[]),
            stored_key("far", b"far-secret", &["192.0.2.0/24"]),
        ] {
            store.add_key(&key, &BY_TEST, now).await.unwrap();
        }
    });
    let body = eventually("a key that was made elsewhere", || {
        let answer = in_form(&gateway, "job", "job-secret");
        (answer.status == 200).then(|| answer.json())
    });
    let token = body["access_token"].as_str().unwrap().to_owned();
    gateway.get("/items").bearer(&token).send().ok();
    assert_eq!(upstream.last().header("x-user-id"), Some("job"));
    // Where the key is of no use, it gets no token.
    assert_eq!(error(&in_form(&gateway, "far", "far-secret")), (401, "invalid_client".to_owned()));

    elsewhere(&file, async |store, now| store.revoke_key("job", &BY_TEST, now).await.unwrap());
    let took = until_refused(|| gateway.get("/items").bearer(&token).send());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(error(&in_form(&gateway, "job", "job-secret")), (401, "invalid_client".to_owned()));

    // A key of the file, by a reload.
    let body: Value = in_form(&gateway, "ci", KEY).ok().json();
    let token = body["access_token"].as_str().unwrap().to_owned();
    gateway.get("/items").bearer(&token).send().ok();
    reload(&gateway, 1.0, |text| {
        text.replace("{ id: ci, ", "{ id: ci, networks: [192.0.2.0/24], ")
    });
    gateway.get("/items").bearer(&token).send().refused(401, "invalid_token");
    gateway.wait_for_log("the reason", |line| line["reason"] == "client");
    reload(&gateway, 2.0, |text| text.replace("networks: [192.0.2.0/24]", "permissions: [fly]"));
    gateway.get("/items").bearer(&token).send().ok();
    assert!(
        upstream.last().header("x-user-permissions").unwrap().contains("fly"),
        "what the key has now"
    );
    reload(&gateway, 3.0, |text| text.replace("permissions: [fly]", "disabled: true"));
    gateway.get("/items").bearer(&token).send().refused(401, "invalid_token");
}

#[test]
fn guesses_at_refresh_tokens_are_failures_of_their_client() {
    let upstream = Recorder::start();
    let text = yaml("store.db")
        .replace("authentication:\n", "authentication:\n  failure_limit: 5/minute\n");
    let gateway = Gateway::with(&text).put("APP", &upstream.url()).start();
    let (_, token) = login(&gateway, ALICE);
    for n in 0..5 {
        let guess = format!("prt_{n}{}", "a".repeat(42));
        assert_eq!(error(&refresh(&gateway, &guess)), no_grant());
    }
    assert_eq!(refresh(&gateway, &token).status, 429, "nothing is looked up any more");
    assert_eq!(revoke(&gateway, &token).status, 429);
}
