//! Whatever comes, nothing panics and nobody gets in by it.

use proptest::prelude::*;

use super::*;
use crate::policy::authn::{jwt::Jws, keys::KeySet};

fn run(bench: Bench) -> Result<Option<Arc<Principal>>, Denial> {
    let mut bench = bench;
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(bench.run())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_authorization_and_any_query_let_nobody_in(
        scheme in "(?i)bearer|basic|digest|",
        value in prop::collection::vec(0x20..=0xff_u8, 0..200),
        query in "[a-z%_=&+;0-9]{0,60}",
    ) {
        let mut line = scheme.into_bytes();
        line.push(b' ');
        line.extend(value.into_iter().filter(|byte| *byte != 0x7f));
        let mut bench = Bench::usual().asking(&query);
        bench.headers.insert("authorization", HeaderValue::from_bytes(&line).unwrap());
        prop_assert!(!matches!(run(bench), Ok(Some(_))));
    }

    #[test]
    fn any_header_and_any_claims_without_the_secret_let_nobody_in(
        algorithm in prop::sample::select(vec!["HS256", "none", "RS256", "EdDSA", "x"]),
        claims in prop::collection::hash_map("iss|sub|exp|aud|nbf|roles|x", ".{0,20}", 0..6),
        signature in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let header = json!({"alg": algorithm}).to_string();
        let claims = json!(claims).to_string();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        let token = format!("{}.{}.{signature}", encoded(&header), encoded(&claims));
        prop_assert!(run(Bench::usual().bearer(&token)).is_err());
    }

    #[test]
    fn any_bytes_are_read_as_token_key_set_and_pem_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = Jws::parse(&text, Digest::of(b""));
        let part = URL_SAFE_NO_PAD.encode(&bytes);
        let _ = Jws::parse(&format!("{part}.{part}.{part}"), Digest::of(b""));
        let algorithms = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
        let _ = KeySet::from_jwks(&bytes, &algorithms);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&bytes));
        let _ = VerifyingKey::from_pem(pem.as_bytes(), &algorithms);
        let certificate = pem.replace("PUBLIC KEY", "CERTIFICATE");
        let _ = VerifyingKey::from_pem(certificate.as_bytes(), &algorithms);
        let private = pem.replace("PUBLIC KEY", "PRIVATE KEY");
        let _ = keys::SigningKey::from_pem(private.as_bytes(), Algorithm::RS256);
        let _ = keys::SigningKey::from_pem(private.as_bytes(), Algorithm::EdDSA);
    }
}
