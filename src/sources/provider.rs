//! The cryptography of JSON Web Signatures, by `ring`.
//!
//! `jsonwebtoken` leaves the choice of a library to whoever uses it. Of those it knows by itself one
//! brings an RSA implementation with a known timing leak (RUSTSEC-2023-0071), the other a second
//! cryptographic library beside the one that TLS uses; so the mapping stands here. A key of another
//! family than the algorithm's is refused before anything is computed (RFC 8725, section 3.1).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Header,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    jwk::ThumbprintHash,
    signature::{Error as SignatureError, Signer, Verifier},
};
use ring::{
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
    signature::{
        self as sign, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair,
        RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use serde_json::{Map, Value};

use crate::policy::authn::keys::SigningKey;

/// Bytes of randomness in a [`unique_name`].
const NAME_BYTES: usize = 16;

/// Why nothing could be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignFault {
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Randomness,
    /// The key does not sign.
    #[error("the key does not sign")]
    Signing,
}

/// Signs claims as a JWT (RFC 7519) of this JOSE type with the key's algorithm and id.
///
/// # Errors
/// If the key does not sign.
pub fn sign(key: &SigningKey, typ: &str, claims: &Map<String, Value>) -> Result<String, SignFault> {
    install();
    let mut header = Header::new(key.algorithm);
    header.typ = Some(typ.to_owned());
    header.kid.clone_from(&key.kid);
    let key: &EncodingKey = &key.key;
    jsonwebtoken::encode(&header, claims, key).map_err(|_| SignFault::Signing)
}

/// A name that nothing else has: 128 random bits.
///
/// # Errors
/// If there are no random bytes.
pub fn unique_name() -> Result<String, SignFault> {
    let mut bytes = [0; NAME_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SignFault::Randomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::InvalidKeyFormat.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::InvalidKeyFormat.into()),
        compute_digest,
    },
};

/// Makes `ring` verify and sign for this process. Once is enough, more do no harm; whoever is about
/// to use `jsonwebtoken` calls it first.
pub fn install() {
    // An error says that it was done before, by this function: nobody else does it.
    let _ = PROVIDER.install_default();
}

fn compute_digest(bytes: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>, Error> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(digest::digest(algorithm, bytes).as_ref().to_vec())
}

/// How an algorithm is computed.
#[derive(Clone, Copy)]
enum Means {
    Hmac(hmac::Algorithm),
    Ecdsa { signs: &'static EcdsaSigningAlgorithm, verifies: &'static dyn VerificationAlgorithm },
    Ed25519,
    Rsa { signs: &'static dyn RsaEncoding, verifies: &'static RsaParameters },
}

fn means(algorithm: Algorithm) -> Result<Means, Error> {
    let rsa = |signs, verifies| Means::Rsa { signs, verifies };
    Ok(match algorithm {
        Algorithm::ES256 => Means::Ecdsa {
            signs: &sign::ECDSA_P256_SHA256_FIXED_SIGNING,
            verifies: &sign::ECDSA_P256_SHA256_FIXED,
        },
        Algorithm::ES384 => Means::Ecdsa {
            signs: &sign::ECDSA_P384_SHA384_FIXED_SIGNING,
            verifies: &sign::ECDSA_P384_SHA384_FIXED,
        },
        Algorithm::EdDSA => Means::Ed25519,
        Algorithm::HS256 => Means::Hmac(hmac::HMAC_SHA256),
        Algorithm::HS384 => Means::Hmac(hmac::HMAC_SHA384),
        Algorithm::HS512 => Means::Hmac(hmac::HMAC_SHA512),
        Algorithm::PS256 => rsa(&sign::RSA_PSS_SHA256, &sign::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => rsa(&sign::RSA_PSS_SHA384, &sign::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => rsa(&sign::RSA_PSS_SHA512, &sign::RSA_PSS_2048_8192_SHA512),
        Algorithm::RS256 => rsa(&sign::RSA_PKCS1_SHA256, &sign::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => rsa(&sign::RSA_PKCS1_SHA384, &sign::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => rsa(&sign::RSA_PKCS1_SHA512, &sign::RSA_PKCS1_2048_8192_SHA512),
        // The library may learn more; nothing here computes them.
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    })
}

/// A key at work with one algorithm of its family.
struct With<K> {
    key: K,
    algorithm: Algorithm,
    means: Means,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    let means = means(*algorithm)?;
    Ok(Box::new(With { key: key.clone(), algorithm: *algorithm, means }))
}

impl Verifier<Vec<u8>> for With<DecodingKey> {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let good = match (self.means, self.key.kind()) {
            // `ring` compares in constant time.
            (Means::Hmac(hash), DecodingKeyKind::SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(hash, secret), message, signature)
            }
            (Means::Ecdsa { verifies, .. }, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(verifies, point).verify(message, signature)
            }
            (Means::Ed25519, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(&sign::ED25519, point).verify(message, signature)
            }
            (Means::Rsa { verifies, .. }, DecodingKeyKind::SecretOrDer(der)) => {
                UnparsedPublicKey::new(verifies, der).verify(message, signature)
            }
            (Means::Rsa { verifies, .. }, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(verifies, message, signature)
            }
            (
                Means::Hmac(_) | Means::Ecdsa { .. } | Means::Ed25519,
                DecodingKeyKind::RsaModulusExponent { .. },
            ) => return Err(SignatureError::new()),
        };
        good.map_err(|_| SignatureError::new())
    }
}

impl JwtVerifier for With<DecodingKey> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    let means = means(*algorithm)?;
    Ok(Box::new(With { key: key.clone(), algorithm: *algorithm, means }))
}

impl Signer<Vec<u8>> for With<EncodingKey> {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let key = self.key.as_bytes();
        let random = SystemRandom::new();
        match self.means {
            Means::Hmac(hash) => {
                Ok(hmac::sign(&hmac::Key::new(hash, key), message).as_ref().to_vec())
            }
            Means::Ecdsa { signs, .. } => {
                let pair = EcdsaKeyPair::from_pkcs8(signs, key, &random).map_err(rejected)?;
                let signature = pair.sign(&random, message).map_err(|_| SignatureError::new())?;
                Ok(signature.as_ref().to_vec())
            }
            Means::Ed25519 => {
                // The first version of PKCS #8 lacks the public half, which `from_pkcs8` insists on.
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).map_err(rejected)?;
                Ok(pair.sign(message).as_ref().to_vec())
            }
            Means::Rsa { signs, .. } => {
                let pair = RsaKeyPair::from_der(key).map_err(rejected)?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(signs, &random, message, &mut signature)
                    .map_err(|_| SignatureError::new())?;
                Ok(signature)
            }
        }
    }
}

impl JwtSigner for With<EncodingKey> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn rejected(fault: ring::error::KeyRejected) -> SignatureError {
    SignatureError::from_source(fault)
}

#[cfg(test)]
mod tests;
