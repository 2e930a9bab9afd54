//! A certified OpenID provider, found by its address: its tokens, its changes of keys, and its bad days.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{App, Gateway, PATIENCE, Setting, eventually};

const FILE: &str = "
state_dir: '@STATE@'
upstreams: { app: { builtin: echo } }
authentication:
  jwt:
    id:
      issuer: '@ISSUER@'
      audiences: [orders]
      algorithms: [RS256]
      discovery: true
      token_types: [at+jwt]
      claims: { roles: realm_access.roles, permissions: scope }
routes:
  - { name: items, match: { path: /items }, upstream: app, auth: jwt, allow: { permissions: [read:items] } }
";

/// What an issuer is left alone for at least, see the guide.
const SPACING: Duration = Duration::from_secs(30);

struct Provider {
    app: App,
    // Outlives the process that runs in it.
    _directory: TempDir,
}

impl Provider {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let app = App::node(directory.path(), "provider", include_str!("apps/provider.mjs"));
        Self { app, _directory: directory }
    }

    fn control(&self, what: &str) -> Value {
        self.app.call("POST", &format!("/control/{what}")).send().ok().json()
    }

    /// How often its keys were asked for.
    fn fetches(&self) -> u64 {
        self.control("")["asked"]["/jwks"].as_u64().unwrap_or(0)
    }

    /// An access token, as a client of the provider gets it.
    fn token(&self, scope: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        // robot:the-secret-of-the-robot
        let robot = "Basic cm9ib3Q6dGhlLXNlY3JldC1vZi10aGUtcm9ib3Q=";
        let call = self.app.call("POST", "/token").header("authorization", robot);
        let answer = call.form(&form).send();
        answer.ok().json()["access_token"].as_str().unwrap().to_owned()
    }

    fn setting(&self, state: &str) -> Setting {
        Gateway::with(FILE).put("ISSUER", &self.app.url()).put("STATE", state)
    }
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.get("/items").bearer(token).send().status
}

/// Has the gateway ask anew, by another word about how often.
fn ask_anew(gateway: &Gateway, refresh: &str) {
    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let text: String = text
        .lines()
        .filter(|line| !line.contains("refresh:"))
        .map(|line| format!("{line}\n"))
        .collect();
    let text =
        text.replace("discovery: true\n", &format!("discovery: true\n      refresh: {refresh}\n"));
    let reloads = || gateway.metric(r#"portcullis_config_reloads_total{outcome="success"}"#);
    let before = reloads();
    std::fs::write(gateway.config(), text).unwrap();
    eventually("the reload", || (reloads() > before).then_some(()));
}

fn told(gateway: &Gateway, why: &str) {
    gateway.wait_for_log(why, |line| {
        line["event"] == "issuer_keys_failed"
            && line["why"].as_str().is_some_and(|text| text.contains(why))
    });
}

#[test]
fn a_certified_provider_is_known_by_its_address_alone() {
    let provider = Provider::start();
    let gateway = provider.setting("state").start();
    let answer = gateway.get("/items").bearer(&provider.token("read:items write:items")).send();
    let heard = answer.ok().json();
    assert_eq!(heard["headers"]["x-user-id"], "robot");
    assert_eq!(heard["headers"]["x-user-roles"], "user");
    assert_eq!(heard["headers"]["x-user-permissions"], "read:items,write:items");
    let narrow = provider.token("write:items");
    gateway.get("/items").bearer(&narrow).send().refused(403, "missing_permissions");
    assert_eq!(provider.fetches(), 1, "asked once, for however many tokens");
}

#[test]
fn a_provider_that_changes_its_key_while_it_is_slow_keeps_nobody_else_waiting() {
    let provider = Provider::start();
    let gateway = provider.setting("state").start();
    let began = Instant::now();
    let old = provider.token("read:items");
    assert_eq!(status(&gateway, &old), 200);
    provider.control("rotate");
    let new = provider.token("read:items");
    gateway.get("/items").bearer(&new).send().refused(401, "invalid_token");
    assert_eq!(provider.fetches(), 1, "it was asked a moment ago");
    provider.control("never");
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            loop {
                let status = status(&gateway, &new);
                if status != 401 || began.elapsed() > SPACING + PATIENCE {
                    return status;
                }
            }
        });
        loop {
            let held = provider.control("")["waiting"].as_u64().unwrap();
            if held > 0 {
                break;
            }
            assert!(began.elapsed() < SPACING + PATIENCE, "nobody asked for the new key");
            thread::sleep(Duration::from_millis(20));
        }
        assert!(began.elapsed() >= SPACING - Duration::from_secs(2));
        assert_eq!(status(&gateway, &old), 200, "while the provider is still to answer");
        provider.control("well");
        assert_eq!(waits.join().unwrap(), 200);
    });
    assert_eq!(provider.fetches(), 2);
    assert_eq!(status(&gateway, &old), 200, "still published");
}

#[test]
fn a_key_that_is_no_longer_published_verifies_nothing_more() {
    let provider = Provider::start();
    let gateway = provider.setting("state").start();
    let old = provider.token("read:items");
    assert_eq!(status(&gateway, &old), 200);
    provider.control("rotate");
    provider.control("forget");
    ask_anew(&gateway, "11m");
    let new = provider.token("read:items");
    eventually("the new key", || (status(&gateway, &new) == 200).then_some(()));
    gateway.get("/items").bearer(&old).send().refused(401, "invalid_token");
}

#[test]
fn bad_answers_of_a_provider_leave_its_last_good_keys_in_place() {
    let provider = Provider::start();
    let gateway = provider.setting("state").start();
    let token = provider.token("read:items");
    assert_eq!(status(&gateway, &token), 200);
    for (mode, why, refresh) in [
        ("garbage", "not JSON", "11m"),
        ("refusing", "503", "12m"),
        ("foreign", "metadata are those of", "13m"),
    ] {
        provider.control(mode);
        ask_anew(&gateway, refresh);
        told(&gateway, why);
        assert_eq!(status(&gateway, &token), 200, "{mode}");
    }
    assert!(
        gateway.metric(r#"portcullis_jwks_refreshes_total{issuer="id",outcome="failure"}"#) >= 3.0
    );
}

#[test]
fn a_provider_that_never_answered_well_is_503_and_believed_in_nothing() {
    for (mode, why) in
        [("garbage", "not JSON"), ("refusing", "503"), ("foreign", "metadata are those of")]
    {
        let provider = Provider::start();
        let token = provider.token("read:items");
        provider.control(mode);
        let gateway = provider.setting("state").start();
        gateway.get("/items").bearer(&token).send().refused(503, "unavailable");
        told(&gateway, why);
        provider.control("well");
        ask_anew(&gateway, "11m");
        eventually("its keys", || (status(&gateway, &token) == 200).then_some(()));
    }
}

#[test]
fn a_provider_that_is_gone_is_missed_by_nobody_not_even_after_a_restart() {
    let provider = Provider::start();
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().display().to_string();
    let gateway = provider.setting(&folder).start();
    let token = provider.token("read:items");
    assert_eq!(status(&gateway, &token), 200);
    eventually("the keys on disk", || state.path().read_dir().unwrap().next().map(drop));
    let again = provider.setting(&folder);
    drop(provider);
    ask_anew(&gateway, "11m");
    told(&gateway, "");
    assert_eq!(status(&gateway, &token), 200);
    drop(gateway);
    let again = again.start();
    assert_eq!(status(&again, &token), 200);
    again.wait_until_ready();
    let answer = again.admin("GET", "/readyz").send();
    assert_eq!(answer.ok().json()["checks"]["issuer:id"], json!("degraded"));
}
