//! Who is who in these tests, and tokens of theirs made without the code under test.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

/// alice administers, bob uses, carol is disabled; robot comes with an API key, and `corp` is an issuer beside the gateway.
pub const PEOPLE: &str = r#"
authentication:
  jwt:
    corp:
      issuer: https://id.example.com/
      audiences: [orders-api]
      algorithms: [HS256]
      secret: a-secret-of-the-corporation-for-tests
  api_keys:
    header: X-API-Key
    query: api_key
    keys:
      - { id: ci, sha256: 973096256ae8f1951db6e6a7c8a0722515b1989d5a8cb8366781dc03f39c92e2, subject: robot, roles: [user] }
  basic: { realm: tests }
users:
  - { id: "1", username: alice, password: "$2b$04$YcP2VkJJEpEHXix8pvxxd.lGdIRcXl.lPQmH.vHenCQeMPfLAtcIS", roles: [admin] }
  - { id: "2", username: bob, password: "$2b$04$FN.Af7es.rDrHzosnoDf1OsaVXfHvSHJTXLXhopKeOtpE6JathpaW", roles: [user] }
  - { id: "3", username: carol, password: "$2b$04$.jEcWtvdYyMGGUq/ECpmh.nPjKULeQ3FnrKR4E6FiTQF90himJd9q", roles: [user], disabled: true }
token: { path: /auth/token, secret: the-secret-of-the-gateway-itself-for-tests }
roles:
  user: { permissions: [read:items] }
  admin: { includes: [user], permissions: [write:items, delete:users] }
"#;

/// robot's key.
pub const KEY: &str = "the-key-of-ci";
/// What alice's and bob's accounts are opened with.
pub const ALICE: (&str, &str) = ("alice", "wonderland");
pub const BOB: (&str, &str) = ("bob", "builder");

pub const CORP_SECRET: &str = "a-secret-of-the-corporation-for-tests";

/// Claims that `corp` would sign for this subject, good for ten minutes.
pub fn corp_claims(subject: &str) -> Value {
    json!({
        "iss": "https://id.example.com/",
        "aud": "orders-api",
        "sub": subject,
        "exp": now() + 600,
        "roles": ["user"],
    })
}

/// A token of `corp` for this subject.
pub fn corp_token(subject: &str) -> String {
    hs256(&corp_claims(subject), CORP_SECRET)
}

/// Signs claims as RFC 7515 says.
pub fn hs256(claims: &Value, secret: &str) -> String {
    signed(&json!({"alg": "HS256", "typ": "JWT"}), claims, secret)
}

/// Signs with HMAC-SHA256 whatever the header claims.
pub fn signed(header: &Value, claims: &Value, secret: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A fresh Ed25519 key, and itself as the gateway reads it.
pub fn ed25519() -> (Ed25519KeyPair, String) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(pkcs8.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    (Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap(), pem)
}

/// Signs a header and claims as RFC 8037 says.
pub fn eddsa(header: &Value, claims: &Value, key: &Ed25519KeyPair) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).as_ref());
    format!("{message}.{signature}")
}
