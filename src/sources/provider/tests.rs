use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};

use super::*;

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn verifies(token: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    install();
    let (message, signature) = token.rsplit_once('.').unwrap();
    crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false)
}

/// A token and the same with one bit of its signature changed, and one of its message.
fn only_as_it_is(token: &str, key: &DecodingKey, algorithm: Algorithm) {
    assert!(verifies(token, key, algorithm), "{algorithm:?}");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = bytes(signature);
    for position in [0, signature.len() / 2, signature.len() - 1] {
        signature[position] ^= 1;
        let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature));
        assert!(!verifies(&forged, key, algorithm), "{algorithm:?}");
        signature[position] ^= 1;
    }
    let short = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature[1..]));
    assert!(!verifies(&short, key, algorithm));
    assert!(!verifies(&format!("{message}."), key, algorithm));
    let other = format!("x{token}");
    assert!(!verifies(&other, key, algorithm));
}

#[test]
fn rfc_7515_appendix_a_1_hs256() {
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let key = bytes(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    );
    only_as_it_is(token, &DecodingKey::from_secret(&key), Algorithm::HS256);
}

#[test]
fn rfc_7515_appendix_a_2_rs256() {
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let n = bytes(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    );
    let key = DecodingKey::from_rsa_raw_components(&n, &[1, 0, 1]);
    only_as_it_is(token, &key, Algorithm::RS256);
}

#[test]
fn rfc_7515_appendix_a_3_es256() {
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let x = bytes("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
    let y = bytes("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    let key = DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat());
    only_as_it_is(token, &key, Algorithm::ES256);
}

#[test]
fn rfc_7520_section_4_2_ps384() {
    let token = "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw";
    let n = bytes(
        "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw",
    );
    let key = DecodingKey::from_rsa_raw_components(&n, &[1, 0, 1]);
    only_as_it_is(token, &key, Algorithm::PS384);
}

#[test]
fn rfc_8037_appendix_a_4_eddsa() {
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let key = DecodingKey::from_ed_der(&bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
    only_as_it_is(token, &key, Algorithm::EdDSA);
}

#[test]
fn a_key_of_another_family_is_refused_before_anything_is_computed() {
    let keys = [
        DecodingKey::from_secret(&[7; 32]),
        DecodingKey::from_rsa_raw_components(&[0xff; 256], &[1, 0, 1]),
        DecodingKey::from_ec_der(&[4; 65]),
        DecodingKey::from_ed_der(&[7; 32]),
    ];
    for key in &keys {
        for algorithm in [
            Algorithm::HS256,
            Algorithm::RS256,
            Algorithm::PS512,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ] {
            assert_eq!(verifier(&algorithm, key).is_ok(), algorithm.family() == key.family());
        }
    }
    let secret = EncodingKey::from_secret(&[7; 32]);
    assert!(signer(&Algorithm::RS256, &secret).is_err());
    assert!(signer(&Algorithm::EdDSA, &secret).is_err());
}

#[test]
fn a_key_that_is_none_verifies_nothing_and_does_not_panic() {
    let signed = "eyJhbGciOiJFZERTQSJ9.e30.AAAA";
    for (key, algorithm) in [
        (DecodingKey::from_ec_der(&[]), Algorithm::ES256),
        (DecodingKey::from_ec_der(&[4; 65]), Algorithm::ES256),
        (DecodingKey::from_ed_der(&[0; 31]), Algorithm::EdDSA),
        (DecodingKey::from_rsa_der(b"x"), Algorithm::RS256),
        (DecodingKey::from_rsa_raw_components(&[], &[]), Algorithm::PS256),
    ] {
        assert!(!verifies(signed, &key, algorithm));
    }
}
