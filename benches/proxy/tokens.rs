//! A thousand RS256 tokens, signed with the fixture key.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::Algorithm;
use portcullis::{policy::authn::keys::SigningKey, sources::provider};
use serde_json::json;

use crate::Outcome;

/// The `iss` of the tokens.
pub const ISSUER: &str = "https://id.example.com/";

/// The public half of the key, in PEM.
pub fn public_key() -> PathBuf {
    fixture("rsa.pub.pem")
}

/// Tokens of a thousand subjects with the role `user`.
pub fn thousand() -> Outcome<Vec<String>> {
    portcullis::sources::provider::install();
    let key = SigningKey::from_pem(&std::fs::read(fixture("rsa.pem"))?, Algorithm::RS256)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let token = |number: usize| {
        let claims = json!({
            "iss": ISSUER, "aud": "bench", "sub": format!("user-{number}"), "iat": now,
            "exp": now + 36_000, "roles": ["user"], "permissions": ["read:items", "write:items"],
        });
        let claims = claims.as_object().ok_or("no claims")?;
        Ok(provider::sign(&key, "JWT", claims)?)
    };
    (0..1000).map(token).collect()
}

/// A key or certificate of the tests.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys").join(name)
}
