//! Public keys in one form, whatever container they came in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value, json};

use super::{
    der::{BIT_STRING, CONTEXT_0, OBJECT_IDENTIFIER, Reader},
    fault::KeyFault,
};
use crate::policy::digest::Digest;

/// A public key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// A point of an elliptic curve, uncompressed (SEC 1, section 2.3.3).
    Ec {
        /// The curve.
        curve: Curve,
        /// `04`, x and y.
        point: Vec<u8>,
    },
    /// Ed25519 (RFC 8032).
    Ed25519(Vec<u8>),
    /// RSA.
    Rsa {
        /// The modulus, big-endian, without leading zeros.
        n: Vec<u8>,
        /// The exponent, likewise.
        e: Vec<u8>,
    },
}

/// A curve of FIPS 186.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// P-256, for ES256.
    P256,
    /// P-384, for ES384.
    P384,
}

impl Curve {
    /// Its name in a JWK (RFC 7518, section 6.2.1.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    /// Bytes of a coordinate.
    pub const fn width(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const CURVE_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const CURVE_P384: &[u8] = &[0x2b, 0x81, 0x04, 0, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const MALFORMED: KeyFault = KeyFault::Malformed { what: "the public key is not readable" };

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
    pub(super) fn from_spki(der: &[u8]) -> Result<Self, KeyFault> {
        Self::read_spki(Reader::new(der).sequence().ok_or(MALFORMED)?)
    }

    /// Reads the public key of a certificate (RFC 5280), whose other content is not looked at.
    pub(super) fn from_certificate(der: &[u8]) -> Result<Self, KeyFault> {
        let spki = || {
            let mut body = Reader::new(der).sequence()?.sequence()?;
            body.optional(CONTEXT_0);
            // serial number, signature, issuer, validity, subject
            for _ in 0..5 {
                body.element()?;
            }
            body.sequence()
        };
        Self::read_spki(spki().ok_or(MALFORMED)?)
    }

    fn read_spki(mut spki: Reader<'_>) -> Result<Self, KeyFault> {
        let mut algorithm = spki.sequence().ok_or(MALFORMED)?;
        let kind = algorithm.expect(OBJECT_IDENTIFIER).ok_or(MALFORMED)?;
        let bits =
            spki.expect(BIT_STRING).and_then(|bits| bits.strip_prefix(&[0])).ok_or(MALFORMED)?;
        match kind {
            RSA_ENCRYPTION => {
                let mut parts = Reader::new(bits).sequence().ok_or(MALFORMED)?;
                let (n, e) = parts.positive().zip(parts.positive()).ok_or(MALFORMED)?;
                Self::rsa(n, e)
            }
            EC_PUBLIC_KEY => match algorithm.expect(OBJECT_IDENTIFIER) {
                Some(CURVE_P256) => Self::ec(Curve::P256, bits.to_vec()),
                Some(CURVE_P384) => Self::ec(Curve::P384, bits.to_vec()),
                _ => Err(KeyFault::Curve),
            },
            ED25519 => Self::ed25519(bits.to_vec()),
            _ => Err(KeyFault::Curve),
        }
    }

    /// An RSA key of its parts, big-endian.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyFault> {
        let bits = bits(n);
        if !(2048..=8192).contains(&bits) {
            return Err(KeyFault::WeakRsa { bits });
        }
        // Exponents of 1 and even ones are no RSA; larger ones than 33 bits are not computed with.
        let odd = e.last().is_some_and(|last| last & 1 == 1);
        if !odd || e == [1] || e.len() > 4 {
            return Err(KeyFault::Malformed { what: "the RSA exponent is not one that is in use" });
        }
        Ok(Self::Rsa { n: n.to_vec(), e: e.to_vec() })
    }

    /// A point of a curve, uncompressed.
    pub(super) fn ec(curve: Curve, point: Vec<u8>) -> Result<Self, KeyFault> {
        if point.len() != 1 + 2 * curve.width() || point.first() != Some(&4) {
            return Err(KeyFault::Malformed { what: "the point of the curve is not uncompressed" });
        }
        Ok(Self::Ec { curve, point })
    }

    /// An Ed25519 key.
    pub(super) fn ed25519(point: Vec<u8>) -> Result<Self, KeyFault> {
        if point.len() != 32 {
            return Err(KeyFault::Malformed { what: "an Ed25519 key has 32 bytes" });
        }
        Ok(Self::Ed25519(point))
    }

    /// The algorithms that its type can verify.
    pub const fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Ec { curve: Curve::P256, .. } => &[Algorithm::ES256],
            Self::Ec { curve: Curve::P384, .. } => &[Algorithm::ES384],
            Self::Ed25519(_) => &[Algorithm::EdDSA],
            Self::Rsa { .. } => &[
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
        }
    }

    /// What it is, for a message.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Ec { curve: Curve::P256, .. } => "a P-256 key",
            Self::Ec { curve: Curve::P384, .. } => "a P-384 key",
            Self::Ed25519(_) => "an Ed25519 key",
            Self::Rsa { .. } => "an RSA key",
        }
    }

    pub(super) fn decoding_key(&self) -> DecodingKey {
        match self {
            Self::Ec { point, .. } => DecodingKey::from_ec_der(point),
            Self::Ed25519(point) => DecodingKey::from_ed_der(point),
            Self::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
        }
    }

    /// The members that RFC 7638 counts, in its order.
    pub(super) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ec { curve, point } => {
                let coordinates = point.get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                json!({"crv": curve.name(), "kty": "EC", "x": text(x), "y": text(y)})
            }
            Self::Ed25519(point) => json!({"crv": "Ed25519", "kty": "OKP", "x": text(point)}),
            Self::Rsa { n, e } => json!({"e": text(e), "kty": "RSA", "n": text(n)}),
        }
    }

    /// Its thumbprint (RFC 7638) with SHA-256, base64url.
    pub fn thumbprint(&self) -> String {
        // INVARIANT: the members are written in lexical order and without spaces, because the map
        // behind `Value` is sorted; a test holds the example of the RFC.
        URL_SAFE_NO_PAD.encode(Digest::of(self.jwk().to_string().as_bytes()).bytes())
    }
}

fn bits(n: &[u8]) -> usize {
    let leading = n.first().map_or(0, |first| first.leading_zeros() as usize);
    n.len() * 8 - leading
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638_section_3_1() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let n = URL_SAFE_NO_PAD.decode(n).unwrap();
        let key = PublicKey::rsa(&n, &[1, 0, 1]).unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037_appendix_a_3() {
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = PublicKey::ed25519(x).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_short_rsa_key_and_an_odd_exponent_are_refused() {
        assert_eq!(PublicKey::rsa(&[0xff; 128], &[1, 0, 1]), Err(KeyFault::WeakRsa { bits: 1024 }));
        assert_eq!(PublicKey::rsa(&[0x7f; 256], &[1, 0, 1]), Err(KeyFault::WeakRsa { bits: 2047 }));
        for exponent in [&[1][..], &[1, 0], &[], &[1, 0, 0, 0, 1]] {
            assert!(PublicKey::rsa(&[0xff; 256], exponent).is_err(), "{exponent:?}");
        }
    }
}
