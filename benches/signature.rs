//! What it costs to know that a token's signature is good: verified anew, and recalled.
//!
//! `parse_and_verify` begins with the text of a token and ends with its facts; `recall` begins with
//! the text and ends with the facts of one out of a thousand tokens that were verified before.
//! Leaves out how a token is found in a request and how it is judged.

use std::time::Duration;

use divan::{Bencher, black_box};
use jsonwebtoken::Algorithm;
use portcullis::{
    model::Secret,
    policy::{
        authn::{
            TokenPlace, algorithm_name,
            jwt::{ClaimPaths, IssuerTerms, Jws, UserRule},
            keys::{KeySet, Keys, SigningKey, VerifyingKey},
        },
        digest::Digest,
    },
    sources::{provider, signatures::Signatures},
};
use serde_json::{Map, json};

const JWKS: &[u8] = include_bytes!("../tests/fixtures/jwks.json");
const SECRET: &[u8] = include_bytes!("../tests/fixtures/hmac.secret");
const TOKENS: &str = include_str!("../tests/fixtures/tokens.json");
const EVERY: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

fn main() {
    divan::main();
}

fn issuer(keys: KeySet) -> IssuerTerms {
    IssuerTerms {
        name: "corp".into(),
        principal_issuer: "corp".into(),
        issuer: Some("https://id.example.com/".into()),
        audiences: vec!["orders-api".into()],
        algorithms: EVERY.to_vec(),
        keys: Keys::fixed(keys, "corp"),
        leeway: Duration::from_secs(30),
        require: vec!["exp".into(), "sub".into()],
        token_types: IssuerTerms::usual_types(),
        claims: ClaimPaths::default(),
        grants: None,
        users: UserRule::Ignore,
        take_from: vec![TokenPlace::authorization()],
    }
}

fn every_key() -> KeySet {
    let (mut set, _) = KeySet::from_jwks(JWKS, &EVERY).unwrap();
    set.keys.push(VerifyingKey::from_secret(&Secret::new(SECRET), &EVERY).unwrap());
    set
}

#[divan::bench(args = EVERY.map(algorithm_name))]
fn parse_and_verify(bencher: Bencher<'_, '_>, algorithm: &str) {
    let tokens: serde_json::Value = serde_json::from_str(TOKENS).unwrap();
    let token = tokens[algorithm].as_str().unwrap();
    let (signatures, terms) = (Signatures::default(), issuer(every_key()));
    bencher.bench(|| {
        let token = black_box(token);
        let jws = Jws::parse(token, Digest::of(token.as_bytes())).unwrap();
        signatures.verify_only(&terms, terms.keys.in_file().unwrap(), &jws).unwrap()
    });
}

#[divan::bench(threads = [1, 2])]
fn recall(bencher: Bencher<'_, '_>) {
    let pem = include_bytes!("../tests/fixtures/keys/rsa.pem");
    let key = SigningKey::from_pem(pem, Algorithm::RS256).unwrap();
    let signatures = Signatures::default();
    let terms = issuer(KeySet::new(vec![key.verifying()]));
    let tokens: Vec<String> = (0..1000)
        .map(|number| {
            let claims = json!({"iss": "https://id.example.com/", "aud": ["orders-api"], "sub": number,
                "jti": "x".repeat(200), "roles": ["user"], "exp": 4_102_444_800_u64});
            let mut claims: Map<_, _> = claims.as_object().cloned().unwrap();
            claims.insert("sub".to_owned(), json!(number.to_string()));
            let token = provider::sign(&key, "JWT", &claims).unwrap();
            let jws = Jws::parse(&token, Digest::of(token.as_bytes())).unwrap();
            signatures.verify(&terms, terms.keys.in_file().unwrap(), &jws).unwrap();
            token
        })
        .collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    bencher.bench(|| {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let token = &tokens[number % tokens.len()];
        signatures.recall(&Digest::of(token.as_bytes())).unwrap()
    });
}
