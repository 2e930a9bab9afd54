//! Tokens that are refreshed, taken back, and issued to API clients, on both databases; and how soon what another process takes
//! back is void here.

mod clients;

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use portcullis::model::{Role, Secret, StoreLocation, Timestamp};
use portcullis::store::{Author, PasswordSet, Store, UserChange, UserTerms};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Answer, Gateway, Recorder, Stopwatch, eventually};
use crate::people::{ALICE, BOB, PEOPLE};
use crate::postgres::Postgres;

/// A store that gateways of one test share.
struct Place {
    url: String,
    location: StoreLocation,
    /// Where it stands, if it is a file.
    folder: Option<TempDir>,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        let url = format!("sqlite:{}", file.display());
        Self { url, location: StoreLocation::Sqlite(file), folder: Some(folder) }
    }

    fn postgres() -> Self {
        let url = Postgres::shared().database();
        let location = StoreLocation::Postgres(Secret::new(url.as_str()));
        Self { url, location, folder: None }
    }
}

/// Runs a test on both databases.
macro_rules! on_both {
    ($($law:ident)+) => {
        mod on_sqlite {
            $(#[test] fn $law() { super::$law(&$crate::tokens::Place::sqlite()); })+
        }
        mod on_postgres {
            $(#[test] fn $law() { super::$law(&$crate::tokens::Place::postgres()); })+
        }
    };
}
use on_both;

on_both! {
    a_login_can_be_refreshed_and_each_token_is_used_once
    of_many_uses_at_once_one_wins
    whoever_holds_a_token_can_take_it_back
    what_is_taken_back_stays_so_after_a_restart
    a_user_who_is_shut_out_elsewhere_is_cut_off_within_a_second_and_for_good
    a_user_of_the_file_loses_his_logins_with_his_password
    a_refresh_narrows_and_never_widens
    guesses_at_refresh_tokens_are_failures_of_their_client
    what_was_issued_before_a_change_is_void_whatever_the_clock_of_the_changer_says
    a_password_that_was_changed_elsewhere_opens_no_login_from_then_on
    a_hash_that_is_replaced_while_its_owner_logs_in_does_not_keep_him_out
}

const ROUTES: &str = "
upstreams: { app: '@APP@' }
defaults: { auth: [jwt] }
routes:
  - { name: me, match: { path: /me }, upstream: app }
  - { name: items, match: { path: /items }, upstream: app, allow: { permissions: [read:items] } }
  - { name: key, match: { path: /key }, upstream: app, auth: [api_key] }
";

const TOKEN: &str = "token: { path: /auth/token, secret: the-secret-of-the-gateway-itself-for-tests, refresh_ttl: 14d, revoke_path: /auth/revoke }";

fn yaml(place: &Place) -> String {
    let (people, rest) = PEOPLE.split_once("token:").unwrap();
    let (_, roles) = rest.split_once('\n').unwrap();
    format!("store: '{}'\n{people}{TOKEN}\n{roles}{ROUTES}", place.url)
}

fn start(upstream: &Recorder, place: &Place) -> Gateway {
    Gateway::with(&yaml(place)).put("APP", &upstream.url()).start()
}

/// Nobody is kept from asking again until the answer is another.
fn start_patient(upstream: &Recorder, place: &Place) -> Gateway {
    let text = yaml(place)
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
fn elsewhere<T>(place: &Place, work: impl AsyncFnOnce(&Store, Timestamp) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&place.location).await.unwrap();
        let done = work(&store, SystemTime::now().into()).await;
        store.close().await;
        done
    })
}

fn by(at: Timestamp) -> Author<'static> {
    Author { who: "test", origin: "test", at }
}

fn dora(disabled: bool) -> UserTerms {
    UserTerms {
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
fn with_dora(gateway: &Gateway, place: &Place) -> (String, String) {
    elsewhere(place, async |store, now| store.add_user(&dora(false), &by(now)).await.unwrap());
    eventually("a user who was added elsewhere", || {
        let answer = ask(gateway, &[("username", DORA.0), ("password", DORA.1)]);
        (answer.status == 200).then(|| pair(&answer))
    })
}

/// How long it takes until a call is refused.
fn until_refused(mut call: impl FnMut() -> Answer) -> Duration {
    let watch = Stopwatch::start();
    eventually("a refusal", || (call().status == 401).then(|| watch.elapsed()))
}

/// As if what was used so far had been used a minute earlier.
fn a_minute_passes(place: &Place) {
    elsewhere(place, async |_, _| {
        let pool = sqlx::AnyPool::connect(&place.url).await.unwrap();
        let sql = "UPDATE portcullis_refresh_tokens SET used = used - 60";
        sqlx::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
    });
}

fn a_login_can_be_refreshed_and_each_token_is_used_once(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start(&upstream, place);
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

    // At the same moment it may be another tab: it is given nothing, and nothing else happens.
    assert_eq!(error(&refresh(&gateway, &second)), no_grant());
    gateway.wait_for_log("the late one", |line| line["event"] == "refresh_late");
    gateway.get("/me").bearer(&third_access).send().ok();
    a_minute_passes(place);

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

fn of_many_uses_at_once_one_wins(place: &Place) {
    let upstream = Recorder::start();
    let one = start(&upstream, place);
    let two = start(&upstream, place);
    let mut rounds = 0;
    // What took longer than a moment on a busy machine was not at once, and says nothing of the winner.
    for _ in 0..30 {
        let (_, token) = login(&one, ALICE);
        let began = Instant::now();
        let won = at_once(&token, [&one, &two]);
        let were_at_once = began.elapsed() < Duration::from_secs(1);
        let [winner] = won.as_slice() else { panic!("{} won", won.len()) };
        if !were_at_once {
            continue;
        }
        let (access, next) = pair(winner);
        for gateway in [&one, &two] {
            gateway.get("/me").bearer(&access).send().ok();
        }
        let (access, _) = pair(&refresh(&two, &next));
        two.get("/me").bearer(&access).send().ok();
        // Later it is a copy.
        a_minute_passes(place);
        assert_eq!(error(&refresh(&two, &token)), no_grant());
        two.get("/me").bearer(&access).send().refused(401, "invalid_token");
        rounds += 1;
        if rounds == 3 {
            return;
        }
    }
    panic!("only {rounds} rounds were quick enough to say anything");
}

/// Uses one token twelve times at the same moment; the answers that grant something.
fn at_once(token: &str, gateways: [&Gateway; 2]) -> Vec<Answer> {
    let barrier = &Barrier::new(12);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..12)
            .map(|n| {
                let gateway = gateways[n % 2];
                scope.spawn(move || {
                    barrier.wait();
                    refresh(gateway, token)
                })
            })
            .collect();
        let answers = threads.into_iter().map(|thread| thread.join().unwrap());
        let (won, lost): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
        assert!(lost.iter().all(|answer| error(answer) == no_grant()));
        won
    })
}

#[test]
fn no_refresh_token_stands_in_the_store_or_in_the_log() {
    let place = &Place::sqlite();
    let upstream = Recorder::start();
    let gateway = start(&upstream, place);
    let (_, first) = login(&gateway, ALICE);
    let (_, second) = pair(&refresh(&gateway, &first));
    refresh(&gateway, &first);
    let mut kept = gateway.output().into_bytes();
    for entry in fs::read_dir(place.folder.as_ref().unwrap().path()).unwrap() {
        kept.extend(fs::read(entry.unwrap().path()).unwrap_or_default());
    }
    for token in [&first, &second] {
        for part in [token.as_bytes(), &token.as_bytes()["prt_".len()..]] {
            assert!(!kept.windows(part.len()).any(|window| window == part));
        }
    }
}

fn whoever_holds_a_token_can_take_it_back(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start(&upstream, place);
    let other = start(&upstream, place);

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

fn what_is_taken_back_stays_so_after_a_restart(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start(&upstream, place);
    let (access, _) = login(&gateway, ALICE);
    revoke(&gateway, &access).ok();
    let again = start(&upstream, place);
    again.get("/me").bearer(&access).send().refused(401, "invalid_token");
}

fn a_user_who_is_shut_out_elsewhere_is_cut_off_within_a_second_and_for_good(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start_patient(&upstream, place);
    let (access, token) = with_dora(&gateway, place);
    gateway.get("/me").bearer(&access).send().ok();
    let set = |change: UserChange| {
        elsewhere(place, async |store, now| {
            store.change_user("9", &change, &by(now)).await.unwrap();
        });
    };
    set(UserChange { disabled: Some(true), ..UserChange::default() });
    let took = until_refused(|| gateway.get("/me").bearer(&access).send());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(error(&refresh(&gateway, &token)), no_grant());
    let shut = ask(&gateway, &[("username", DORA.0), ("password", DORA.1)]);
    assert_eq!(error(&shut), (401, "invalid_grant".to_owned()));

    set(UserChange { disabled: Some(false), ..UserChange::default() });
    // A token of this very second is good: it was issued by somebody who had heard of it.
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

/// A hash of a password, with a salt of its own.
fn hash(password: &str) -> Secret {
    Secret::new(bcrypt::hash(password, 4).unwrap())
}

fn set_password(password: &str) -> UserChange {
    UserChange { password: Some(PasswordSet::To(hash(password))), ..UserChange::default() }
}

const ANOTHER: (&str, &str) = ("dora", "another one");

fn what_was_issued_before_a_change_is_void_whatever_the_clock_of_the_changer_says(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start_patient(&upstream, place);
    let (access, token) = with_dora(&gateway, place);
    gateway.get("/me").bearer(&access).send().ok();
    elsewhere(place, async |store, now| {
        let behind = Timestamp::from_seconds(now.seconds() - 3600);
        let change = set_password(ANOTHER.1);
        store.change_user("9", &change, &by(behind)).await.unwrap();
    });
    let took = until_refused(|| gateway.get("/me").bearer(&access).send());
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(error(&refresh(&gateway, &token)), no_grant());
    let (_, token) = good_login(&gateway, ANOTHER);
    pair(&refresh(&gateway, &token));
}

/// A login whose token counts. While a change is being heard of, one may be void from its beginning.
fn good_login(gateway: &Gateway, user: (&str, &str)) -> (String, String) {
    eventually("a login that counts", || {
        let pair = login(gateway, user);
        let counts = gateway.get("/me").bearer(&pair.0).send().status == 200;
        counts.then_some(pair)
    })
}

fn a_password_that_was_changed_elsewhere_opens_no_login_from_then_on(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start_patient(&upstream, place);
    with_dora(&gateway, place);
    let (mut old, mut new) = (DORA, ANOTHER);
    // Memory is up to a quarter of a second old, and nobody waits for it here.
    for _ in 0..6 {
        elsewhere(place, async |store, now| {
            let change = set_password(new.1);
            store.change_user("9", &change, &by(now)).await.unwrap();
        });
        let outdated = ask(&gateway, &[("username", old.0), ("password", old.1)]);
        assert_eq!(error(&outdated), (401, "invalid_grant".to_owned()));
        // By a token of this very second.
        good_login(&gateway, new);
        std::mem::swap(&mut old, &mut new);
    }
}

fn a_hash_that_is_replaced_while_its_owner_logs_in_does_not_keep_him_out(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start_patient(&upstream, place);
    let (access, _) = with_dora(&gateway, place);
    for _ in 0..6 {
        elsewhere(place, async |store, now| {
            let old = store.user("9").await.unwrap().unwrap().terms.password.unwrap();
            let new = hash(DORA.1);
            // The gateway may have been quicker with another.
            let _ = store.upgrade_password("9", &old, &new, &by(now)).await.unwrap();
        });
        let (again, _) = login(&gateway, DORA);
        gateway.get("/me").bearer(&again).send().ok();
    }
    gateway.get("/me").bearer(&access).send().ok();
}

const RELOADED: &str = r#"portcullis_config_reloads_total{outcome="success"}"#;

fn reload(gateway: &Gateway, reloads: f64, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(gateway.config()).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text);
    fs::write(gateway.config(), changed).unwrap();
    eventually("a reload", || (gateway.metric(RELOADED) >= reloads).then_some(()));
}

fn a_user_of_the_file_loses_his_logins_with_his_password(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start(&upstream, place);
    let (of_alice, alice) = login(&gateway, ALICE);
    let (of_bob, bob) = login(&gateway, BOB);
    // alice's password becomes bob's.
    reload(&gateway, 1.0, |text| {
        text.replace(
            "$2b$04$YcP2VkJJEpEHXix8pvxxd.lGdIRcXl.lPQmH.vHenCQeMPfLAtcIS",
            "$2b$04$FN.Af7es.rDrHzosnoDf1OsaVXfHvSHJTXLXhopKeOtpE6JathpaW",
        )
    });
    gateway.get("/me").bearer(&of_alice).send().refused(401, "invalid_token");
    gateway.wait_for_log("the reason", |line| line["reason"] == "revoked");
    assert_eq!(error(&refresh(&gateway, &alice)), no_grant());
    gateway.get("/me").bearer(&of_bob).send().ok();
    pair(&refresh(&gateway, &bob));
    // And with his account.
    let (_, bob) = login(&gateway, BOB);
    reload(&gateway, 2.0, |text| {
        text.replace("username: bob, ", "username: bob, disabled: true, ")
    });
    assert_eq!(error(&refresh(&gateway, &bob)), no_grant());
}

fn a_refresh_narrows_and_never_widens(place: &Place) {
    let upstream = Recorder::start();
    let gateway = start(&upstream, place);
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
    // An answer that grants nothing uses nothing up, however often.
    for _ in 0..2 {
        assert_eq!(error(&scoped(&token, "delete:users")), (400, "invalid_scope".to_owned()));
    }
    let (access, _) = pair(&scoped(&token, "read:items"));
    gateway.get("/items").bearer(&access).send().ok();
    // One that was used before is a copy, whatever it asks for.
    a_minute_passes(place);
    assert_eq!(error(&scoped(&token, "delete:users")), no_grant());
    gateway.get("/items").bearer(&access).send().refused(401, "invalid_token");
}

fn guesses_at_refresh_tokens_are_failures_of_their_client(place: &Place) {
    let upstream = Recorder::start();
    let text =
        yaml(place).replace("authentication:\n", "authentication:\n  failure_limit: 5/minute\n");
    let gateway = Gateway::with(&text).put("APP", &upstream.url()).start();
    let (_, token) = login(&gateway, ALICE);
    for n in 0..5 {
        let guess = format!("prt_{n}{}", "a".repeat(42));
        assert_eq!(error(&refresh(&gateway, &guess)), no_grant());
    }
    assert_eq!(refresh(&gateway, &token).status, 429, "nothing is looked up any more");
    assert_eq!(revoke(&gateway, &token).status, 429);
}
