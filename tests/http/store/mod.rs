//! A gateway with a store, on both databases: accounts that others change while it runs, and a store
//! that goes away.

mod accounts;
mod api;
mod lifetimes;
mod lockout;
mod outage;
mod terminal;

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    harness::{Gateway, Setting, binary},
    postgres::Postgres,
};

/// A gateway with a store beside its file, in which there is one user and one key.
const FILE: &str = r#"
store: '@STORE@'
store_max_stale: '@STALE@'
upstreams: { app: { builtin: echo } }
authentication:
  api_keys:
    header: X-API-Key
    keys:
      - { id: file, sha256: 973096256ae8f1951db6e6a7c8a0722515b1989d5a8cb8366781dc03f39c92e2, roles: [user] }
  basic: { realm: tests }
  failure_limit: false
users:
  - { id: "1", username: alice, password: "$2b$04$YcP2VkJJEpEHXix8pvxxd.lGdIRcXl.lPQmH.vHenCQeMPfLAtcIS", roles: [user] }
token: { path: /auth/token, secret: the-secret-of-the-gateway-itself-for-tests, login_limit: false }
roles: { user: { permissions: [read:items] }, admin: { includes: [user] } }
routes:
  - { name: basic, match: { path: /basic }, upstream: app, auth: basic }
  - { name: key, match: { path: /key }, upstream: app, auth: api_key }
  - { name: admin, match: { path: /admin }, upstream: app, auth: [jwt, api_key], allow: { roles: [admin] } }
  - { name: token, match: { path: /token }, upstream: app, auth: jwt }
"#;

/// The key of the file.
const FILE_KEY: &str = "the-key-of-ci";

const SQLITE: &str = "sqlite:portcullis.db";

/// Runs a test on both databases.
macro_rules! on_both {
    ($($law:ident)+) => {
        mod on_sqlite {
            $(#[test] fn $law() { super::$law(super::SQLITE); })+
        }
        mod on_postgres {
            $(#[test] fn $law() { super::$law(&$crate::postgres::Postgres::shared().database()); })+
        }
    };
}
use on_both;

fn setting(store: &str, max_stale: &str) -> Setting {
    Gateway::with(FILE).put("STORE", store).put("STALE", max_stale)
}

/// Runs a command against the file of a gateway, as another process does.
fn command(gateway: &Gateway, words: &[&str], stdin: &str) -> Output {
    command_at(gateway.config(), words, stdin)
}

fn command_at(config: &Path, words: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(binary())
        .args(words)
        .arg("-c")
        .arg(config)
        .env_remove("PORTCULLIS_ADMIN_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

/// The same, which must succeed; its result as JSON.
#[track_caller]
fn told(gateway: &Gateway, words: &[&str], stdin: &str) -> Value {
    let words: Vec<&str> = words.iter().copied().chain(["--format", "json"]).collect();
    let done = command(gateway, &words, stdin);
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap_or(Value::Null)
}

/// Makes a key; its text.
#[track_caller]
fn made(gateway: &Gateway, words: &[&str]) -> String {
    let words: Vec<&str> = ["key", "create"].iter().chain(words).copied().collect();
    told(gateway, &words, "")["key"].as_str().unwrap().to_owned()
}

/// The status of a request with a key.
fn with_key(gateway: &Gateway, key: &str) -> u16 {
    gateway.get("/key").header("X-API-Key", key).send().status
}

/// The status of a login.
fn login(gateway: &Gateway, username: &str, password: &str) -> u16 {
    let form = [("grant_type", "password"), ("username", username), ("password", password)];
    gateway.call("POST", "/auth/token").form(&form).send().status
}

#[test]
fn a_store_that_cannot_be_made_ends_the_start() {
    let (status, said) = setting("sqlite:nowhere/at/all.db", "10m").fail();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("cannot use the store"), "{said}");
}

#[test]
fn a_store_of_a_newer_version_ends_the_start() {
    let server = Postgres::shared();
    let url = server.database();
    drop(setting(&url, "10m").start());
    let database = url.split(['/', '?']).nth(3).unwrap();
    server.run(database, "UPDATE portcullis_state SET version = 99");
    let (status, said) = setting(&url, "10m").fail();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("a newer portcullis has used it"), "{said}");
}
