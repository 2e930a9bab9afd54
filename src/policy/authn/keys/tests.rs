use jsonwebtoken::Algorithm::{self, ES256, ES384, EdDSA, HS256, PS384, RS256};
use serde_json::{Value, json};

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../../tests/fixtures/", $name)).as_slice()
    };
}

const JWKS: &[u8] = fixture!("jwks.json");

fn jwks() -> Value {
    serde_json::from_slice(JWKS).unwrap()
}

fn entry(name: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let set = jwks();
    let mut key =
        set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == name).unwrap().clone();
    change(key.as_object_mut().unwrap());
    key
}

fn warnings(keys: &[Value]) -> Vec<String> {
    let sound = entry("ed25519", |_| ());
    let keys: Vec<&Value> = keys.iter().chain([&sound]).collect();
    let text = json!({ "keys": keys }).to_string();
    let algorithms = [RS256, ES256, ES384, EdDSA];
    let (set, warnings) = KeySet::from_jwks(text.as_bytes(), &algorithms).unwrap();
    assert_eq!(set.keys.len() + warnings.len(), keys.len());
    warnings.into_iter().map(|warning| warning.why).collect()
}

#[test]
fn every_key_of_a_set_is_bound_to_the_algorithms_of_its_type() {
    let all = [HS256, RS256, PS384, ES256, ES384, EdDSA];
    let (set, warnings) = KeySet::from_jwks(JWKS, &all).unwrap();
    assert_eq!(warnings, []);
    let bound: Vec<(&str, &[Algorithm])> =
        set.keys.iter().map(|key| (key.kid.as_deref().unwrap(), &*key.algorithms)).collect();
    assert_eq!(
        bound,
        [
            ("rsa", &[RS256, PS384][..]),
            ("p256", &[ES256]),
            ("p384", &[ES384]),
            ("ed25519", &[EdDSA])
        ]
    );
}

#[test]
fn a_key_that_is_not_for_verifying_is_left_out_with_a_warning_and_the_others_serve() {
    let cases = [
        (json!(7), "no JSON object"),
        (entry("rsa", |key| drop(key.insert("use".into(), json!("enc")))), "`use`"),
        (entry("rsa", |key| drop(key.insert("use".into(), json!(["sig"])))), "`use`"),
        (entry("rsa", |key| drop(key.insert("key_ops".into(), json!(["sign"])))), "`key_ops`"),
        (entry("rsa", |key| drop(key.insert("d".into(), json!("AQAB")))), "private member `d`"),
        (entry("rsa", |key| drop(key.insert("alg".into(), json!("ES256")))), "does not go with"),
        (entry("rsa", |key| drop(key.insert("alg".into(), json!("RSA-OAEP")))), "not supported"),
        (
            entry("rsa", |key| drop(key.insert("alg".into(), json!("PS256")))),
            "none of `algorithms`",
        ),
        (entry("rsa", |key| drop(key.insert("kid".into(), json!(5)))), "`kid`"),
        (entry("rsa", |key| drop(key.insert("kid".into(), json!("k".repeat(257))))), "`kid`"),
        (entry("rsa", |key| drop(key.insert("n".into(), json!("AQAB")))), "bits"),
        (entry("rsa", |key| drop(key.insert("n".into(), json!("a+b=")))), "base64url"),
        (entry("rsa", |key| drop(key.remove("n"))), "`n` is missing"),
        (entry("p256", |key| drop(key.insert("crv".into(), json!("secp256k1")))), "secp256k1"),
        (entry("p256", |key| drop(key.insert("x".into(), json!("AQAB")))), "coordinates"),
        (entry("ed25519", |key| drop(key.insert("crv".into(), json!("X25519")))), "X25519"),
        (entry("ed25519", |key| drop(key.insert("crv".into(), json!("Ed448")))), "Ed448"),
        (entry("ed25519", |key| drop(key.insert("x".into(), json!("AQAB")))), "32 bytes"),
        (entry("ed25519", |key| drop(key.insert("kty".into(), json!("AKP")))), "AKP"),
        (json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}), "symmetric"),
    ];
    for (key, why) in cases {
        let told = warnings(std::slice::from_ref(&key));
        assert_eq!(told.len(), 1, "{key}");
        assert!(told[0].contains(why), "{key}: {told:?}");
    }
}

#[test]
fn leading_zeros_of_a_modulus_do_not_count() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let padded = entry("rsa", |key| {
        let n = URL_SAFE_NO_PAD.decode(key["n"].as_str().unwrap()).unwrap();
        key.insert("n".into(), json!(URL_SAFE_NO_PAD.encode([&[0][..], &n].concat())));
    });
    assert_eq!(warnings(&[padded]), [""; 0]);
}

#[test]
fn a_set_of_which_no_key_can_be_used_is_a_fault() {
    let fault = |text: &str| KeySet::from_jwks(text.as_bytes(), &[EdDSA]).unwrap_err();
    assert_eq!(fault(r#"{"keys":[]}"#), KeyFault::NoUsableKey);
    assert_eq!(fault(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#), KeyFault::NoUsableKey);
    assert!(matches!(fault("{"), KeyFault::Malformed { .. }));
    assert!(matches!(fault(r#"{"keys":{}}"#), KeyFault::Malformed { .. }));
    assert!(matches!(fault("[]"), KeyFault::Malformed { .. }));
    let many = json!({ "keys": vec![entry("ed25519", |_| ()); 65] }).to_string();
    assert_eq!(fault(&many), KeyFault::TooMany { count: 65 });
}

#[test]
fn a_public_key_is_read_from_pem_and_from_a_certificate_and_bound_to_its_type() {
    let all = [HS256, RS256, PS384, ES256, ES384, EdDSA];
    for (text, algorithms) in [
        (fixture!("keys/rsa.pub.pem"), &[RS256, PS384][..]),
        (fixture!("keys/rsa.cert.pem"), &[RS256, PS384]),
        (fixture!("keys/p256.pub.pem"), &[ES256]),
        (fixture!("keys/p256.cert.pem"), &[ES256]),
        (fixture!("keys/p384.pub.pem"), &[ES384]),
        (fixture!("keys/ed25519.pub.pem"), &[EdDSA]),
    ] {
        assert_eq!(VerifyingKey::from_pem(text, &all).unwrap().algorithms, algorithms);
    }
}

#[test]
fn a_file_that_is_no_public_key_of_ours_is_a_fault_that_says_what_it_is() {
    let fault = |text: &[u8]| VerifyingKey::from_pem(text, &[RS256, ES256, EdDSA]).unwrap_err();
    assert_eq!(fault(fixture!("keys/rsa.pem")), KeyFault::Private);
    assert_eq!(fault(fixture!("keys/rsa.pkcs1.pem")), KeyFault::Private);
    assert_eq!(fault(fixture!("keys/p256.sec1.pem")), KeyFault::Private);
    assert_eq!(fault(fixture!("keys/p256.encrypted.pem")), KeyFault::Encrypted);
    assert_eq!(fault(fixture!("keys/ed448.pub.pem")), KeyFault::Curve);
    assert_eq!(fault(fixture!("keys/secp256k1.pub.pem")), KeyFault::Curve);
    assert_eq!(fault(fixture!("keys/rsa1024.pub.pem")), KeyFault::WeakRsa { bits: 1024 });
    assert!(matches!(fault(b"hello"), KeyFault::Malformed { .. }));
    assert!(matches!(fault(b"-----BEGIN PUBLIC KEY-----\n????"), KeyFault::Malformed { .. }));
    let two = [fixture!("keys/rsa.pub.pem"), fixture!("keys/p256.pub.pem")].concat();
    assert_eq!(fault(&two), KeyFault::Several);
    let other = VerifyingKey::from_pem(fixture!("keys/p384.pub.pem"), &[ES256]).unwrap_err();
    assert_eq!(other.to_string(), "a P-384 key does not go with ES256");
}

#[test]
fn a_damaged_public_key_never_panics() {
    let text = std::str::from_utf8(fixture!("keys/rsa.cert.pem")).unwrap();
    for cut in 0..text.len() {
        let short = format!("{}\n-----END CERTIFICATE-----\n", &text[..cut]);
        let _ = VerifyingKey::from_pem(short.as_bytes(), &[RS256]);
    }
}

#[test]
fn a_private_key_is_read_from_every_container_that_is_in_use() {
    for (text, algorithm) in [
        (fixture!("keys/ed25519.pem"), EdDSA),
        (fixture!("keys/ed25519.v2.pem"), EdDSA),
        (fixture!("keys/p256.pem"), ES256),
        (fixture!("keys/rsa.pem"), RS256),
        (fixture!("keys/rsa.pkcs1.pem"), RS256),
    ] {
        let key = SigningKey::from_pem(text, algorithm).unwrap();
        assert_eq!(key.verifying().algorithms, [algorithm]);
        assert_eq!(key.verifying().kid, key.kid);
    }
    let kid = |text| SigningKey::from_pem(text, EdDSA).unwrap().kid;
    assert_eq!(kid(fixture!("keys/ed25519.pem")), kid(fixture!("keys/ed25519.v2.pem")));
}

#[test]
fn a_private_key_of_another_type_is_a_fault() {
    let fault = |text: &[u8], algorithm| SigningKey::from_pem(text, algorithm).unwrap_err();
    for (text, algorithm) in [
        (fixture!("keys/ed25519.pem"), ES256),
        (fixture!("keys/ed25519.pem"), RS256),
        (fixture!("keys/p256.pem"), EdDSA),
        (fixture!("keys/p384.pem"), ES256),
        (fixture!("keys/rsa.pem"), EdDSA),
        (fixture!("keys/rsa.pkcs1.pem"), ES256),
        (fixture!("keys/rsa.pem"), HS256),
    ] {
        assert!(matches!(fault(text, algorithm), KeyFault::Algorithm { .. }), "{algorithm:?}");
    }
    assert_eq!(fault(fixture!("keys/rsa1024.pem"), RS256), KeyFault::WeakRsa { bits: 1024 });
    assert_eq!(fault(fixture!("keys/rsa.pub.pem"), RS256), KeyFault::Public);
    assert_eq!(fault(fixture!("keys/p256.encrypted.pem"), ES256), KeyFault::Encrypted);
    assert!(matches!(fault(fixture!("keys/p256.sec1.pem"), ES256), KeyFault::Rejected { .. }));
}

#[test]
fn the_published_set_holds_public_members_alone_and_is_read_back() {
    let keys = [
        SigningKey::from_pem(fixture!("keys/p256.pem"), ES256).unwrap(),
        SigningKey::from_pem(fixture!("keys/rsa.pem"), RS256).unwrap(),
        SigningKey::from_pem(fixture!("keys/ed25519.pem"), EdDSA).unwrap(),
    ];
    let text = published(&keys);
    let (set, warnings) = KeySet::from_jwks(text.as_bytes(), &[ES256, RS256, EdDSA]).unwrap();
    assert_eq!(warnings, []);
    let kids: Vec<_> = set.keys.iter().map(|key| key.kid.clone()).collect();
    assert_eq!(kids, keys.each_ref().map(|key| key.kid.clone()));
    let value: Value = serde_json::from_str(&text).unwrap();
    for key in value["keys"].as_array().unwrap() {
        for member in key.as_object().unwrap().keys() {
            let known = ["alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"];
            assert!(known.contains(&member.as_str()), "{member}");
        }
    }
    let theirs = entry("ed25519", |_| ());
    assert_eq!(value["keys"][2]["x"], theirs["x"]);
}

#[test]
fn a_secret_is_not_published_and_has_no_thumbprint() {
    let secret = Secret::new(fixture!("hmac.secret"));
    let key = SigningKey::from_secret(&secret, HS256).unwrap();
    assert_eq!(key.kid, None);
    assert_eq!(published(&[key]), r#"{"keys":[]}"#);
    assert!(matches!(
        SigningKey::from_secret(&secret, EdDSA).unwrap_err(),
        KeyFault::Algorithm { .. }
    ));
    assert!(matches!(
        VerifyingKey::from_secret(&secret, &[RS256]).unwrap_err(),
        KeyFault::Algorithm { .. }
    ));
}

#[test]
fn a_kid_on_both_sides_must_be_the_same_one() {
    let (mut set, _) = KeySet::from_jwks(JWKS, &[RS256, ES256]).unwrap();
    let count = |set: &KeySet, algorithm, kid| set.candidates(algorithm, kid).count();
    assert_eq!(count(&set, RS256, Some("rsa")), 1);
    assert_eq!(count(&set, RS256, Some("p256")), 0);
    assert_eq!(count(&set, RS256, Some("../../dev/null")), 0);
    assert_eq!(count(&set, RS256, None), 1);
    assert_eq!(count(&set, HS256, None), 0);
    set.keys[0].kid = None;
    assert_eq!(count(&set, RS256, Some("any")), 1);
    let twin = set.keys[1].clone();
    set.keys.push(twin);
    assert_eq!(count(&set, ES256, Some("p256")), 2, "keys may share an id");
}

#[test]
fn the_fingerprint_tells_issuers_keys_and_ids_apart() {
    let (set, _) = KeySet::from_jwks(JWKS, &[RS256, ES256]).unwrap();
    let mut renamed = set.clone();
    renamed.keys[0].kid = Some("other".into());
    let (fewer, _) = KeySet::from_jwks(JWKS, &[RS256]).unwrap();
    let prints = [
        set.fingerprint("a"),
        set.fingerprint("b"),
        renamed.fingerprint("a"),
        fewer.fingerprint("a"),
    ];
    for (index, print) in prints.iter().enumerate() {
        assert!(!prints[..index].contains(print));
    }
    assert_eq!(set.fingerprint("a"), set.clone().fingerprint("a"));
}

#[test]
fn nothing_of_a_key_is_printed() {
    let secret = Secret::new("8f2c1e9b7a6d5043f1e2d3c4b5a69788");
    let signing = SigningKey::from_secret(&secret, HS256).unwrap();
    let set = KeySet::new(vec![signing.verifying()]);
    let printed = format!("{signing:?} {set:?} {:?}", set.keys);
    assert!(!printed.contains("8f2c"), "{printed}");
}
