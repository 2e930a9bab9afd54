//! The token endpoint as other people's clients use it: the libraries that Python and Node programs are written with.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Gateway, ask, node};
use crate::people::{ALICE, KEY, PEOPLE};

const REST: &str = "
store: sqlite:store.db
upstreams: { app: { builtin: echo } }
defaults: { auth: [jwt] }
routes: [{ name: me, match: { path: /me }, upstream: app }]
";

/// A gateway that issues refresh tokens and takes them back, and what a client is told of it.
fn start() -> (Gateway, Value) {
    let people = PEOPLE.replace(
        "token: { path: /auth/token,",
        "token: { path: /auth/token, refresh_ttl: 1d, revoke_path: /auth/revoke,",
    );
    let gateway = Gateway::with(&format!("{people}{REST}")).start();
    let issuer = format!("http://{}", gateway.address());
    let asked = json!({
        "api": format!("{issuer}/me"), "issuer": issuer,
        "username": ALICE.0, "password": ALICE.1, "key_id": "ci", "key": KEY,
    });
    (gateway, asked)
}

/// What every client must come to; how it tells of a wrong password is its own.
fn expected(wrong: Value) -> Value {
    json!({
        "wrong": wrong,
        "first": "1",
        "refreshed": "1",
        "renewed": true,
        "revoked": 200,
        "after": 401,
        "again": "invalid_grant",
        "scope": "read:items",
        "robot": "robot",
    })
}

#[test]
fn a_python_client_logs_in_refreshes_calls_and_revokes() {
    let (_gateway, asked) = start();
    assert_eq!(ask("client", &asked), expected(json!("invalid_grant")));
}

#[test]
fn a_node_client_logs_in_refreshes_calls_and_revokes() {
    let (gateway, asked) = start();
    let mut command: Command = node(gateway.directory(), "client", include_str!("apps/client.mjs"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told, expected(json!(401)));
}
