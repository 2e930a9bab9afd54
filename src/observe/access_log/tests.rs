use std::sync::Arc;

use super::*;
use crate::model::{Claims, CredentialKind, IssuerName, Permission, Role};

fn entry<'e>(path: &'e [u8], principal: Option<&'e Principal>) -> Entry<'e> {
    Entry {
        time: Timestamp::from_seconds(1_700_000_000),
        request_id: "r1",
        client_ip: "192.0.2.1".parse().unwrap(),
        method: "GET",
        host: "a.example",
        path,
        route: None,
        status: 404,
        outcome: Outcome::Denied,
        reason: "no_route",
        principal,
        upstream: None,
        target: None,
        duration: Duration::from_micros(1234),
        upstream_duration: None,
        request_bytes: 0,
        response_bytes: 5,
        protocol: "HTTP/1.1",
        trace_id: None,
    }
}

fn alice() -> Principal {
    Principal {
        issuer: IssuerName::from("local"),
        subject: "alice".into(),
        roles: Arc::new([Role::from("user")]),
        permissions: Arc::new([Permission::from("read")]),
        effective_roles: Arc::new([Role::from("user")]),
        plan: None,
        method: CredentialKind::Jwt,
        claims: Arc::new(Claims::default()),
        api_key: None,
        expires: None,
    }
}

fn parsed(entry: &Entry<'_>, identity: bool) -> serde_json::Value {
    let mut line = Vec::new();
    json_line(entry, identity, &mut line);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    serde_json::from_slice(&line).unwrap()
}

#[test]
fn a_line_has_every_field_and_no_other() {
    let alice = alice();
    let line = parsed(&entry(b"/x", Some(&alice)), true);
    let mut names: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let mut expected: Vec<_> = "time request_id client_ip method host path route status outcome \
        reason principal issuer roles permissions auth_method upstream target duration_ms \
        upstream_ms request_bytes response_bytes protocol trace_id"
        .split_ascii_whitespace()
        .collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(line["principal"], "alice");
    assert_eq!(line["roles"], serde_json::json!(["user"]));
    assert_eq!(line["duration_ms"], 1.234);
    assert_eq!(line["time"], "2023-11-14T22:13:20.000Z");
}

#[test]
fn identity_can_be_left_out() {
    let alice = alice();
    let line = parsed(&entry(b"/x", Some(&alice)), false);
    for name in ["principal", "issuer", "roles", "permissions"] {
        assert!(line.get(name).is_none(), "{name}");
    }
    assert_eq!(line["auth_method"], "jwt");
}

#[test]
fn a_control_character_in_a_path_cannot_start_a_line_of_its_own() {
    let line = parsed(&entry(b"/x\n{\"forged\":1}\x1b[2J\xff", None), true);
    assert_eq!(line["path"], "/x\n{\"forged\":1}\u{1b}[2J\u{fffd}");
    let mut text = Vec::new();
    text_line(&entry(b"/x\r\n\x1b", None), true, &mut text);
    assert_eq!(text.iter().filter(|byte| byte.is_ascii_control()).count(), 1);
}
