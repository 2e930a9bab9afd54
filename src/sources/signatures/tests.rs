use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm::{self, *};
use serde_json::{Value, json};

use super::*;
use crate::{
    model::Secret,
    policy::authn::{
        TokenPlace, algorithm_name,
        jwt::{ClaimPaths, UserRule},
        keys::{KeySet, Keys, SigningKey, VerifyingKey},
    },
};

const EVERY: [Algorithm; 12] =
    [HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA];

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/", $name)).as_slice()
    };
}

fn secret() -> Secret {
    Secret::new(fixture!("hmac.secret"))
}

fn issuer(keys: KeySet, algorithms: &[Algorithm]) -> IssuerTerms {
    IssuerTerms {
        name: "corp".into(),
        principal_issuer: "corp".into(),
        issuer: Some("https://id.example.com/".into()),
        audiences: vec![],
        algorithms: algorithms.to_vec(),
        keys: Keys::fixed(keys, "corp"),
        leeway: Duration::ZERO,
        require: vec![],
        token_types: IssuerTerms::usual_types(),
        claims: ClaimPaths::default(),
        grants: None,
        users: UserRule::Ignore,
        take_from: vec![TokenPlace::authorization()],
    }
}

fn by_jwks(algorithms: &[Algorithm]) -> IssuerTerms {
    issuer(KeySet::from_jwks(fixture!("jwks.json"), algorithms).unwrap().0, algorithms)
}

fn by_secret(algorithms: &[Algorithm]) -> IssuerTerms {
    let key = VerifyingKey::from_secret(&secret(), algorithms).unwrap();
    issuer(KeySet::new(vec![key]), algorithms)
}

fn tokens() -> Value {
    serde_json::from_slice(fixture!("tokens.json")).unwrap()
}

fn check(
    signatures: &Signatures,
    issuer: &IssuerTerms,
    token: &str,
) -> Result<Arc<Verified>, TokenFault> {
    let jws = Jws::parse(token, Digest::of(token.as_bytes()))?;
    signatures.verify(issuer, issuer.keys.in_file().unwrap(), &jws)
}

fn verify(issuer: &IssuerTerms, token: &str) -> Result<Arc<Verified>, TokenFault> {
    check(&Signatures::default(), issuer, token)
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with this header and these claims, its signature by HMAC-SHA-256 with these bytes.
fn mac(header: &Value, claims: &Value, key: &[u8]) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    let signature = ring::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_that_another_implementation_signed_is_verified_with_every_algorithm() {
    let tokens = tokens();
    for algorithm in EVERY {
        let token = tokens[algorithm_name(algorithm)].as_str().unwrap();
        let terms = match algorithm {
            HS256 | HS384 | HS512 => by_secret(&EVERY),
            _ => by_jwks(&EVERY),
        };
        let verified = verify(&terms, token).unwrap();
        assert_eq!(verified.claims.find("sub"), Some(&json!("alice")), "{algorithm:?}");
    }
}

#[test]
fn an_algorithm_that_the_issuer_does_not_use_is_refused_though_the_signature_is_good() {
    let tokens = tokens();
    for algorithm in EVERY {
        let others: Vec<Algorithm> = EVERY.into_iter().filter(|one| *one != algorithm).collect();
        let token = tokens[algorithm_name(algorithm)].as_str().unwrap();
        let mut terms = match algorithm {
            HS256 | HS384 | HS512 => by_secret(&EVERY),
            _ => by_jwks(&EVERY),
        };
        terms.algorithms = others;
        assert_eq!(verify(&terms, token).unwrap_err(), TokenFault::Algorithm, "{algorithm:?}");
    }
}

#[test]
fn a_public_key_is_never_a_secret() {
    // Every form of the public key that an attacker may think the gateway holds.
    let pem = fixture!("keys/rsa.pub.pem");
    let body: String =
        std::str::from_utf8(pem).unwrap().lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let set: Value = serde_json::from_slice(fixture!("jwks.json")).unwrap();
    let n = URL_SAFE_NO_PAD.decode(set["keys"][0]["n"].as_str().unwrap()).unwrap();
    let terms = by_jwks(&EVERY);
    let claims = json!({"iss": "https://id.example.com/", "sub": "root"});
    for key in [pem, pem.trim_ascii(), &der, &n, fixture!("jwks.json"), b""] {
        for kid in [json!({"alg": "HS256"}), json!({"alg": "HS256", "kid": "rsa"})] {
            let forged = mac(&kid, &claims, key);
            assert_eq!(verify(&terms, &forged).unwrap_err(), TokenFault::UnknownKey);
        }
    }
}

#[test]
fn none_is_no_algorithm_in_any_letter_case() {
    for name in ["none", "None", "NONE", "nOnE", "NoNe"] {
        let message =
            format!("{}.{}", encoded(&json!({"alg": name})), encoded(&json!({"sub": "root"})));
        for signature in ["", "AAAA"] {
            let token = format!("{message}.{signature}");
            assert_eq!(verify(&by_jwks(&EVERY), &token).unwrap_err(), TokenFault::Algorithm);
            assert_eq!(verify(&by_secret(&EVERY), &token).unwrap_err(), TokenFault::Algorithm);
        }
    }
}

#[test]
fn a_key_within_the_token_vouches_for_nothing() {
    let own = SigningKey::from_pem(fixture!("keys/ed25519.v2.pem"), EdDSA).unwrap();
    let jwk: Value =
        serde_json::from_str(&crate::policy::authn::keys::published(std::slice::from_ref(&own)))
            .unwrap();
    let stranger = KeySet::from_jwks(fixture!("jwks.json"), &[ES256]).unwrap().0;
    let terms = issuer(stranger, &[ES256, EdDSA]);
    for header in [
        json!({"alg": "EdDSA", "jwk": jwk["keys"][0]}),
        json!({"alg": "EdDSA", "jku": "https://evil.example/jwks.json"}),
        json!({"alg": "EdDSA", "x5u": "https://evil.example/cert.pem"}),
        json!({"alg": "EdDSA", "x5c": ["MIIB"]}),
    ] {
        let message = format!("{}.{}", encoded(&header), encoded(&json!({"sub": "root"})));
        let signature = crypto::sign(message.as_bytes(), &own.key, EdDSA).unwrap();
        let token = format!("{message}.{signature}");
        assert_eq!(verify(&terms, &token).unwrap_err(), TokenFault::UnknownKey, "{header}");
    }
}

#[test]
fn a_kid_is_a_map_key_and_nothing_else() {
    let terms = by_jwks(&EVERY);
    let token = tokens()["EdDSA"].as_str().unwrap().to_owned();
    let (_, rest) = token.split_once('.').unwrap();
    for kid in ["../../../../dev/null", "' OR '1'='1", "rsa", "http://evil.example/", "", "ED25519"]
    {
        let forged = format!("{}.{rest}", encoded(&json!({"alg": "EdDSA", "kid": kid})));
        assert_eq!(verify(&terms, &forged).unwrap_err(), TokenFault::UnknownKey, "{kid}");
    }
}

#[test]
fn a_signature_over_something_else_is_refused_and_so_it_stays() {
    let signatures = Signatures::default();
    let terms = by_jwks(&EVERY);
    let token = tokens()["ES256"].as_str().unwrap().to_owned();
    let (message, _) = token.rsplit_once('.').unwrap();
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    for forged in [format!("{message}.{zeros}"), format!("{message}."), format!("{message}.AA==")] {
        for _ in 0..2 {
            assert_eq!(check(&signatures, &terms, &forged).unwrap_err(), TokenFault::Signature);
        }
        assert!(signatures.recall(&Digest::of(forged.as_bytes())).is_none());
    }
}

#[test]
fn a_token_is_bad_for_the_keys_that_did_not_make_it_only() {
    let signatures = Signatures::default();
    let token = tokens()["HS256"].as_str().unwrap().to_owned();
    let wrong =
        VerifyingKey::from_secret(&Secret::new("8f2c1e9b7a6d5043f1e2d3c4b5a69788"), &[HS256]);
    let wrong = issuer(KeySet::new(vec![wrong.unwrap()]), &[HS256]);
    assert_eq!(check(&signatures, &wrong, &token).unwrap_err(), TokenFault::Signature);
    assert!(check(&signatures, &by_secret(&[HS256]), &token).is_ok());
}

#[test]
fn a_verified_token_is_recalled_by_its_whole_digest_and_counted() {
    let signatures = Signatures::default();
    let token = tokens()["RS256"].as_str().unwrap().to_owned();
    let digest = Digest::of(token.as_bytes());
    assert!(signatures.recall(&digest).is_none());
    let verified = check(&signatures, &by_jwks(&[RS256]), &token).unwrap();
    assert!(Arc::ptr_eq(&signatures.recall(&digest).unwrap(), &verified));
    let shorter = &token[..token.len() - 1];
    assert!(signatures.recall(&Digest::of(shorter.as_bytes())).is_none());
    let Recalls { hits, entries, .. } = signatures.recalls();
    assert!(hits >= 1);
    assert_eq!(entries, 1);
}

#[test]
fn what_is_remembered_is_bounded_and_swept() {
    let signatures = Signatures::new(1 << 20, 64);
    let terms = by_secret(&[HS256]);
    let secret = secret();
    for number in 0..2_000 {
        let claims = json!({"sub": "a", "jti": number, "exp": 1_000_000});
        let token = mac(&json!({"alg": "HS256"}), &claims, secret.expose());
        check(&signatures, &terms, &token).unwrap();
        let forged = mac(&json!({"alg": "HS256"}), &claims, b"another");
        check(&signatures, &terms, &forged).unwrap_err();
    }
    assert!(signatures.recalls().entries <= 1024);
    assert!(signatures.bad.len() <= 128);
    signatures.sweep(Timestamp::from_seconds(1_000_599));
    assert!(signatures.recalls().entries > 0);
    signatures.sweep(Timestamp::from_seconds(1_000_600));
    assert_eq!(signatures.recalls().entries, 0);
}

#[test]
fn a_claim_of_an_impossible_type_is_refused_though_the_signature_is_good() {
    let terms = by_secret(&[HS256]);
    let secret = secret();
    for claims in [
        json!({"exp": "4102444800"}),
        json!({"exp": null}),
        json!({"exp": [4102444800_u64]}),
        json!({"exp": true}),
        json!({"nbf": "0"}),
        json!({"iat": {}}),
        json!({"sub": 7}),
        json!({"sub": ["a"]}),
        json!({"iss": ["https://id.example.com/"]}),
    ] {
        let token = mac(&json!({"alg": "HS256"}), &claims, secret.expose());
        assert_eq!(verify(&terms, &token).unwrap_err(), TokenFault::ClaimType, "{claims}");
    }
    for claims in
        [json!({"exp": 1.5e9}), json!({"exp": -1}), json!({"nbf": 0.25}), json!({"exp": u64::MAX})]
    {
        let token = mac(&json!({"alg": "HS256"}), &claims, secret.expose());
        assert!(verify(&terms, &token).is_ok(), "{claims}");
    }
}

#[test]
fn keys_that_share_an_id_are_tried_one_after_the_other() {
    let old = VerifyingKey::from_secret(&Secret::new("8f2c1e9b7a6d5043f1e2d3c4b5a69788"), &[HS256])
        .unwrap();
    let new = VerifyingKey::from_secret(&secret(), &[HS256]).unwrap();
    let terms = issuer(KeySet::new(vec![old, new]), &[HS256]);
    assert!(verify(&terms, tokens()["HS256"].as_str().unwrap()).is_ok());
}
