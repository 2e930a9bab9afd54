use std::{collections::BTreeSet, sync::Barrier, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use super::*;
use crate::{
    model::{CredentialKind, PlanName},
    policy::authn::keys::{SigningKey, published},
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn terms() -> AssertionTerms {
    let key = include_bytes!("../../../tests/fixtures/keys/ed25519.pem");
    AssertionTerms {
        header: http::HeaderName::from_static("x-identity-assertion"),
        issuer: "portcullis".into(),
        audience: "app".into(),
        ttl: Duration::from_secs(60),
        key: SigningKey::from_pem(key, Algorithm::EdDSA).unwrap(),
        line: 1,
    }
}

fn alice() -> Principal {
    Principal {
        issuer: Principal::local(),
        subject: "7".into(),
        roles: ["user".into()].into(),
        permissions: ["read:items".into(), "write:items".into()].into(),
        effective_roles: ["user".into()].into(),
        plan: None,
        method: CredentialKind::Basic,
        claims: Principal::no_claims(),
        api_key: None,
        expires: None,
    }
}

fn part(text: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Header and claims of a token whose signature the published key verifies; by hand, with nothing
/// of what signed it.
fn read(value: &HeaderValue, terms: &AssertionTerms) -> (Value, Value) {
    let token = value.to_str().unwrap();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let set: Value = serde_json::from_str(&published([&terms.key])).unwrap();
    let key = URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().unwrap()).unwrap();
    let signed = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).unwrap();
    let header = part(header);
    assert_eq!(header["kid"], set["keys"][0]["kid"]);
    (header, part(claims))
}

fn after(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

#[test]
fn it_says_who_the_principal_is_and_nothing_else() {
    let terms = terms();
    let value = Assertions::default().of(&terms, &alice(), NOW).unwrap();
    assert!(value.is_sensitive());
    let (header, mut claims) = read(&value, &terms);
    assert_eq!(header["typ"], "portcullis-assertion+jwt");
    assert_eq!(header["alg"], "EdDSA");
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(jti.as_str().unwrap().len(), 22, "128 bits in base64url");
    assert_eq!(
        claims,
        json!({"iss": "portcullis", "aud": "app", "sub": "7", "iat": 1_800_000_000, "exp": 1_800_000_060,
               "roles": ["user"], "permissions": ["read:items", "write:items"], "auth_method": "basic",
               "source": "local"})
    );
}

#[test]
fn one_serves_for_half_its_life_and_never_before_it_was_signed() {
    let (terms, assertions) = (terms(), Assertions::default());
    let first = assertions.of(&terms, &alice(), NOW).unwrap();
    for seconds in [0, 1, 29] {
        assert_eq!(assertions.of(&terms, &alice(), after(seconds)).unwrap(), first, "{seconds}");
    }
    assert_eq!(assertions.recalls(), Recalls { hits: 3, misses: 1, entries: 1 });
    let second = assertions.of(&terms, &alice(), after(30)).unwrap();
    assert_ne!(second, first);
    assert_eq!(read(&second, &terms).1["exp"], 1_800_000_090);
    let earlier = assertions.of(&terms, &alice(), after(29)).unwrap();
    assert_eq!(read(&earlier, &terms).1["iat"], 1_800_000_029, "a clock that was set back");
}

#[test]
fn whatever_it_says_makes_it_another() {
    let assertions = Assertions::default();
    let base = alice();
    let mut seen = BTreeSet::new();
    let mut ask = |terms: &AssertionTerms, principal: &Principal| {
        let value = assertions.of(terms, principal, NOW).unwrap();
        assert!(seen.insert(value.to_str().unwrap().to_owned()), "{principal:?}");
    };
    ask(&terms(), &base);
    for other in [
        Principal { issuer: "corp".into(), ..base.clone() },
        Principal { subject: "70".into(), ..base.clone() },
        Principal { roles: [].into(), ..base.clone() },
        Principal { roles: ["user".into(), "admin".into()].into(), ..base.clone() },
        // The same texts, cut and gathered otherwise.
        Principal {
            roles: ["user".into(), "read:items".into()].into(),
            permissions: ["write:items".into()].into(),
            ..base.clone()
        },
        Principal { permissions: ["read:itemswrite:items".into()].into(), ..base.clone() },
        Principal { permissions: ["read:items".into()].into(), ..base.clone() },
        Principal { method: CredentialKind::Jwt, ..base.clone() },
    ] {
        ask(&terms(), &other);
    }
    let other = include_bytes!("../../../tests/fixtures/keys/p256.pem");
    let key = SigningKey::from_pem(other, Algorithm::ES256).unwrap();
    for other in [
        AssertionTerms { issuer: "gateway".into(), ..terms() },
        AssertionTerms { audience: "billing".into(), ..terms() },
        AssertionTerms { ttl: Duration::from_secs(61), ..terms() },
        AssertionTerms { key, ..terms() },
    ] {
        ask(&other, &base);
    }
    // What it does not say changes nothing.
    let misses = assertions.recalls().misses;
    let same = Principal { plan: Some(PlanName::from("pro")), expires: Some(NOW), ..base };
    assertions.of(&terms(), &same, NOW).unwrap();
    assert_eq!(assertions.recalls().misses, misses);
}

#[test]
fn requests_that_come_at_once_cost_one_signature() {
    let (terms, assertions) = (terms(), Assertions::default());
    for moment in [NOW, after(30)] {
        let barrier = Barrier::new(8);
        let values: BTreeSet<String> = std::thread::scope(|scope| {
            let ask = || {
                barrier.wait();
                assertions.of(&terms, &alice(), moment).unwrap().to_str().unwrap().to_owned()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(values.len(), 1);
    }
    assert_eq!(assertions.recalls().misses, 2);
}

#[test]
fn what_is_kept_is_bounded() {
    let (terms, assertions) = (terms(), Assertions::default());
    let many: Vec<crate::model::Permission> =
        (0..2_000).map(|n| format!("permission-{n}").into()).collect();
    for n in 0..600 {
        let subject = n.to_string().into();
        let who = Principal { subject, permissions: many.clone().into(), ..alice() };
        assertions.of(&terms, &who, NOW).unwrap();
    }
    assert!(assertions.signed.weight() <= MOST_BYTES);
    assertions.sweep(after(30));
    assert_eq!(assertions.recalls().entries, 0);
}
