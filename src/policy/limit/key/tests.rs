use std::sync::Arc;

use http::HeaderValue;

use super::*;
use crate::model::{Claims, CredentialKind, IssuerName};

const RULE: [u8; 16] = [7; 16];

fn key(by: &[By], caller: &Caller<'_>) -> CounterKey {
    CounterKey::new(&RULE, by, caller)
}

fn at(address: &str) -> Caller<'static> {
    Caller::at(address.parse().unwrap())
}

fn principal(issuer: &str, subject: &str, api_key: Option<&str>) -> Principal {
    Principal {
        issuer: IssuerName::from(issuer),
        subject: subject.into(),
        roles: Arc::new([]),
        permissions: Arc::new([]),
        effective_roles: Arc::new([]),
        plan: None,
        method: CredentialKind::ApiKey,
        claims: Arc::new(Claims::default()),
        api_key: api_key.map(Into::into),
        expires: None,
    }
}

fn headers(values: &[&'static str]) -> HeaderMap {
    let name = HeaderName::from_static("x-tenant");
    values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
}

#[test]
fn an_ipv6_client_is_its_64_and_a_mapped_one_its_ipv4_address() {
    let by = [By::ClientIp];
    let key = |address| key(&by, &at(address));
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

#[test]
fn a_principal_is_its_issuer_and_its_subject() {
    let by = [By::Principal];
    let key = |issuer, subject| {
        let principal = principal(issuer, subject, None);
        key(&by, &Caller { principal: Some(&principal), ..at("192.0.2.1") })
    };
    assert_eq!(key("corp", "7"), key("corp", "7"));
    assert_ne!(key("corp", "7"), key("local", "7"));
    assert_ne!(key("ab", "c"), key("a", "bc"));
}

#[test]
fn a_principal_counts_alike_from_every_address() {
    let principal = principal("corp", "7", None);
    let from = |address| Caller { principal: Some(&principal), ..at(address) };
    let by = [By::Principal];
    assert_eq!(key(&by, &from("192.0.2.1")), key(&by, &from("2001:db8::1")));
}

#[test]
fn what_is_absent_counts_as_the_address() {
    let principal = principal("corp", "7", None);
    let tenant = By::Header(HeaderName::from_static("x-tenant"));
    let (empty, none) = (headers(&[]), at("192.0.2.1"));
    for part in [By::ApiKey, By::Principal, tenant, By::Route, By::Username] {
        let by = [part];
        let caller = Caller { headers: Some(&empty), ..none };
        let address = key(&[By::ClientIp], &none);
        assert_eq!(key(&by, &none), address);
        assert_eq!(key(&by, &caller), address);
        assert_ne!(key(&by, &at("192.0.2.2")), address);
    }
    let without_key = Caller { principal: Some(&principal), ..none };
    assert_eq!(key(&[By::ApiKey], &without_key), key(&[By::ClientIp], &none));
}

#[test]
fn a_header_can_not_pretend_to_be_several_nor_an_address() {
    let by = [By::Header(HeaderName::from_static("x-tenant"))];
    let key = |values: &[&'static str]| {
        key(&by, &Caller { headers: Some(&headers(values)), ..at("192.0.2.1") })
    };
    let all =
        [key(&["ab"]), key(&["a", "b"]), key(&["b", "a"]), key(&["a,b"]), key(&[""]), key(&[])];
    let fresh: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(fresh.len(), 6);
}

#[test]
fn every_part_of_several_counts() {
    let (one, other) = (principal("local", "a", Some("k1")), principal("local", "a", Some("k2")));
    let (orders, users) = (RouteName::from("orders"), RouteName::from("users"));
    let by = [By::ApiKey, By::Route];
    let caller = |principal, route| Caller { principal, route, ..at("192.0.2.1") };
    let keys = [
        key(&by, &caller(Some(&one), Some(&orders))),
        key(&by, &caller(Some(&one), Some(&users))),
        key(&by, &caller(Some(&other), Some(&orders))),
        key(&by, &caller(None, Some(&orders))),
    ];
    let different: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(different.len(), 4);
}

#[test]
fn counted_by_nothing_everybody_is_one() {
    assert_eq!(key(&[], &at("192.0.2.1")), key(&[], &at("2001:db8::1")));
}

#[test]
fn rules_do_not_share_counters() {
    let caller = at("192.0.2.1");
    let by = [By::ClientIp];
    assert_ne!(CounterKey::new(&[1; 16], &by, &caller), CounterKey::new(&[2; 16], &by, &caller));
}

#[test]
fn spellings_of_a_username_are_one_name() {
    let key = |name| key(&[By::Username], &Caller { username: Some(name), ..at("192.0.2.1") });
    for (spelling, name) in [
        ("ALICE", "alice"),
        ("\u{ff21}lice", "alice"),
        ("e\u{301}va", "\u{e9}va"),
        ("\u{212a}arl", "karl"),
        ("of\u{fb01}ce", "office"),
        ("\u{1d400}nna", "anna"),
    ] {
        assert_eq!(key(spelling), key(name), "{spelling}");
    }
    assert_ne!(key("alice"), key("alicia"));
}
