//! Keys that sign what the gateway issues.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RsaKeyPair,
    },
};
use serde_json::{Value, json};

use super::{
    SigningKey, VerifyingKey,
    der::{INTEGER, OCTET_STRING, Reader},
    fault::KeyFault,
    pem::{self, PrivateDer},
    public::{Curve, PublicKey},
    secret,
};
use crate::{model::Secret, policy::authn::algorithm_name};

impl SigningKey {
    /// An HMAC secret.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_secret`].
    pub fn from_secret(secret: &Secret, algorithm: Algorithm) -> Result<Self, KeyFault> {
        if !matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return Err(KeyFault::Algorithm { kind: "a secret", algorithms: vec![algorithm] });
        }
        secret::examine(secret)?;
        Ok(Self {
            kid: None,
            algorithm,
            key: EncodingKey::from_secret(secret.expose()),
            verifies: DecodingKey::from_secret(secret.expose()),
            public: None,
        })
    }

    /// A private key in PEM: PKCS #8 of either version, or PKCS #1 for RSA. It must be of the type
    /// that the algorithm asks for.
    ///
    /// # Errors
    /// If it is no private key, of another type, or its parts do not fit.
    pub fn from_pem(text: &[u8], algorithm: Algorithm) -> Result<Self, KeyFault> {
        let der = pem::private(text)?;
        let (key, public) = match algorithm {
            Algorithm::EdDSA => ed25519(&der)?,
            Algorithm::ES256 => ecdsa(&der, Curve::P256)?,
            Algorithm::ES384 => ecdsa(&der, Curve::P384)?,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
                return Err(KeyFault::Algorithm {
                    kind: "a private key",
                    algorithms: vec![algorithm],
                });
            }
            _ => rsa(&der)?,
        };
        Ok(Self {
            kid: Some(public.thumbprint()),
            algorithm,
            key,
            verifies: public.decoding_key(),
            public: Some(public),
        })
    }

    /// The key that verifies what this one signs, bound to its algorithm.
    pub fn verifying(&self) -> VerifyingKey {
        VerifyingKey::new(self.kid.clone(), vec![self.algorithm], self.verifies.clone())
    }

    fn jwk(&self) -> Option<Value> {
        let mut jwk = self.public.as_ref()?.jwk();
        let members = jwk.as_object_mut()?;
        members.insert("use".to_owned(), json!("sig"));
        members.insert("alg".to_owned(), json!(algorithm_name(self.algorithm)));
        members.insert("kid".to_owned(), json!(self.kid));
        Some(jwk)
    }
}

/// The public halves of these keys as a JSON Web Key set (RFC 7517); secrets are left out.
pub fn published<'k>(keys: impl IntoIterator<Item = &'k SigningKey>) -> String {
    let keys: Vec<Value> = keys.into_iter().filter_map(SigningKey::jwk).collect();
    json!({ "keys": keys }).to_string()
}

fn ed25519(der: &PrivateDer) -> Result<(EncodingKey, PublicKey), KeyFault> {
    let PrivateDer::Pkcs8(der) = der else { return Err(wrong_type(Algorithm::EdDSA)) };
    // The first version of the container lacks the public half; it is computed then.
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
        .map_err(|fault| rejected(fault, Algorithm::EdDSA))?;
    let public = PublicKey::ed25519(pair.public_key().as_ref().to_vec())?;
    Ok((EncodingKey::from_ed_der(der), public))
}

fn ecdsa(der: &PrivateDer, curve: Curve) -> Result<(EncodingKey, PublicKey), KeyFault> {
    let (kind, algorithm) = match curve {
        Curve::P256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::ES256),
        Curve::P384 => (&ECDSA_P384_SHA384_FIXED_SIGNING, Algorithm::ES384),
    };
    let PrivateDer::Pkcs8(der) = der else { return Err(wrong_type(algorithm)) };
    let pair = EcdsaKeyPair::from_pkcs8(kind, der, &SystemRandom::new())
        .map_err(|fault| rejected(fault, algorithm))?;
    let public = PublicKey::ec(curve, pair.public_key().as_ref().to_vec())?;
    Ok((EncodingKey::from_ec_der(der), public))
}

fn rsa(der: &PrivateDer) -> Result<(EncodingKey, PublicKey), KeyFault> {
    let (pair, pkcs1) = match der {
        PrivateDer::Pkcs1(der) => (RsaKeyPair::from_der(der), Some(der.as_slice())),
        PrivateDer::Pkcs8(der) => (RsaKeyPair::from_pkcs8(der), inner(der)),
    };
    // Its own length is told before the library's general refusal.
    let parts = pkcs1.and_then(public_parts);
    if let Some((n, e)) = parts {
        PublicKey::rsa(n, e)?;
    }
    pair.map_err(|fault| rejected(fault, Algorithm::RS256))?;
    let (pkcs1, (n, e)) = pkcs1.zip(parts).ok_or_else(|| wrong_type(Algorithm::RS256))?;
    Ok((EncodingKey::from_rsa_der(pkcs1), PublicKey::rsa(n, e)?))
}

/// The key within PKCS #8.
fn inner(pkcs8: &[u8]) -> Option<&[u8]> {
    let mut info = Reader::new(pkcs8).sequence()?;
    info.expect(INTEGER)?;
    info.sequence()?;
    info.expect(OCTET_STRING)
}

/// Modulus and exponent of an `RSAPrivateKey`.
fn public_parts(pkcs1: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut key = Reader::new(pkcs1).sequence()?;
    key.expect(INTEGER)?;
    Some((key.positive()?, key.positive()?))
}

fn wrong_type(algorithm: Algorithm) -> KeyFault {
    KeyFault::Algorithm { kind: "a private key of this type", algorithms: vec![algorithm] }
}

fn rejected(fault: ring::error::KeyRejected, algorithm: Algorithm) -> KeyFault {
    match fault.to_string().as_str() {
        "WrongAlgorithm" => wrong_type(algorithm),
        why => KeyFault::Rejected { why: why.to_owned() },
    }
}
