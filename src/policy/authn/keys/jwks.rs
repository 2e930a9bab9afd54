//! JSON Web Key sets (RFC 7517): each key on its own, so that one of a kind that we do not use
//! leaves the others in service.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{
    KeySet, VerifyingKey,
    fault::{KeyFault, KeyWarning, MOST_KEYS},
    public::{Curve, PublicKey},
};
use crate::policy::authn::jwt::LONGEST_KID;

/// Members that only a private or symmetric key has (RFC 7518, section 6).
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

pub(super) fn parse(
    text: &[u8],
    algorithms: &[Algorithm],
) -> Result<(KeySet, Vec<KeyWarning>), KeyFault> {
    let set: Value = serde_json::from_slice(text)
        .map_err(|_| KeyFault::Malformed { what: "the key set is not JSON" })?;
    let Some(entries) = set.get("keys").and_then(Value::as_array) else {
        return Err(KeyFault::Malformed { what: "the key set has no list `keys`" });
    };
    if entries.len() > MOST_KEYS {
        return Err(KeyFault::TooMany { count: entries.len() });
    }
    let mut keys: Vec<VerifyingKey> = Vec::new();
    let mut warnings = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match key(entry, algorithms) {
            // Another key with the same id is kept: an issuer may change one for the other.
            Ok(key) if keys.iter().any(|earlier| earlier.fingerprint() == key.fingerprint()) => {
                let why = "it stands in the set twice".to_owned();
                warnings.push(KeyWarning { position: index + 1, why });
            }
            Ok(key) => keys.push(key),
            Err(why) => warnings.push(KeyWarning { position: index + 1, why }),
        }
    }
    if keys.is_empty() {
        return Err(KeyFault::NoUsableKey);
    }
    Ok((KeySet { keys }, warnings))
}

/// The set without keys that are private or symmetric.
pub(super) fn without_private(text: &[u8]) -> Option<Vec<u8>> {
    let set: Value = serde_json::from_slice(text).ok()?;
    let public = |entry: &&Value| {
        let members = entry.as_object();
        members.is_some_and(|members| PRIVATE.iter().all(|name| !members.contains_key(*name)))
    };
    let kept: Vec<&Value> = set.get("keys")?.as_array()?.iter().filter(public).collect();
    Some(serde_json::json!({ "keys": kept }).to_string().into_bytes())
}

fn key(entry: &Value, algorithms: &[Algorithm]) -> Result<VerifyingKey, String> {
    let members = entry.as_object().ok_or("it is no JSON object")?;
    let kid = match members.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= LONGEST_KID => Some(kid.clone()),
        Some(_) => return Err(format!("`kid` is not a text of at most {LONGEST_KID} bytes")),
    };
    let kty = text(members, "kty")?;
    if kty == "oct" {
        return Err("it is symmetric; such a key belongs under `secret`".to_owned());
    }
    if let Some(member) = PRIVATE.iter().find(|member| members.contains_key(**member)) {
        return Err(format!("it has the private member `{member}`"));
    }
    meant_to_verify(members)?;
    let key = public(kty, members)?;
    let own = match members.get("alg") {
        None => None,
        Some(Value::String(name)) => {
            Some(Algorithm::from_str(name).map_err(|_| format!("`alg: {name}` is not supported"))?)
        }
        Some(_) => return Err("`alg` is no text".to_owned()),
    };
    if own.is_some_and(|own| !key.algorithms().contains(&own)) {
        return Err(format!("its `alg` does not go with {}", key.kind()));
    }
    let fitting: Vec<Algorithm> = algorithms
        .iter()
        .copied()
        .filter(|one| key.algorithms().contains(one) && own.is_none_or(|own| own == *one))
        .collect();
    if fitting.is_empty() {
        return Err(format!("{} fits none of `algorithms`", key.kind()));
    }
    Ok(VerifyingKey::new(kid, fitting, key.decoding_key()))
}

fn meant_to_verify(members: &Map<String, Value>) -> Result<(), String> {
    match members.get("use") {
        None => {}
        Some(Value::String(purpose)) if purpose == "sig" => {}
        Some(_) => return Err("its `use` is not `sig`".to_owned()),
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => Ok(()),
        Some(_) => Err("its `key_ops` lack `verify`".to_owned()),
    }
}

fn public(kty: &str, members: &Map<String, Value>) -> Result<PublicKey, String> {
    let key = match (kty, members.get("crv").and_then(Value::as_str)) {
        ("RSA", _) => {
            let (n, e) = (bytes(members, "n")?, bytes(members, "e")?);
            PublicKey::rsa(without_zeros(&n), without_zeros(&e))
        }
        ("EC", Some("P-256")) => point(Curve::P256, members)?,
        ("EC", Some("P-384")) => point(Curve::P384, members)?,
        ("OKP", Some("Ed25519")) => PublicKey::ed25519(bytes(members, "x")?),
        ("EC" | "OKP", Some(curve)) => return Err(format!("the curve `{curve}` is not supported")),
        ("EC" | "OKP", None) => return Err("`crv` is missing".to_owned()),
        (kty, _) => return Err(format!("keys of type `{kty}` are not supported")),
    };
    key.map_err(|fault| fault.to_string())
}

fn point(
    curve: Curve,
    members: &Map<String, Value>,
) -> Result<Result<PublicKey, KeyFault>, String> {
    let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
    if x.len() != curve.width() || y.len() != curve.width() {
        return Err(format!("its coordinates have not {} bytes each", curve.width()));
    }
    Ok(PublicKey::ec(curve, [&[4][..], &x, &y].concat()))
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<&'m str, String> {
    members.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is missing"))
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = text(members, name)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("`{name}` is not base64url"))
}

/// RFC 7518 forbids leading zeros in numbers, and libraries write them all the same.
fn without_zeros(mut digits: &[u8]) -> &[u8] {
    while let Some((0, rest)) = digits.split_first() {
        digits = rest;
    }
    digits
}
