//! What can be wrong with a key, as values for whoever reads the file.

use jsonwebtoken::Algorithm;

use crate::policy::authn::algorithm_name;

/// Why a key, a secret or a key set cannot be used. The text tells what is wrong,
/// [`KeyFault::help`] how to mend it; neither holds anything of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The key's type has no use for the algorithm.
    #[error("{kind} does not go with {}", names(.algorithms))]
    Algorithm {
        /// What the key is.
        kind: &'static str,
        /// What the configuration asks for.
        algorithms: Vec<Algorithm>,
    },
    /// A curve that no algorithm here uses.
    #[error("the key is on a curve that is not supported")]
    Curve,
    /// A private key protected by a passphrase.
    #[error("the private key is encrypted")]
    Encrypted,
    /// Key material of another kind was given as a secret: what is public somewhere must not
    /// verify anything (RFC 8725, section 2.1).
    #[error("the secret is {what}, not a random text")]
    KeyAsSecret {
        /// What it looks like.
        what: &'static str,
    },
    /// Not a key at all.
    #[error("{what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// No key that can be used is left.
    #[error("no key of the set can be used")]
    NoUsableKey,
    /// A private key where a public one belongs.
    #[error("the file holds a private key")]
    Private,
    /// A public key where a private one belongs.
    #[error("the file holds a public key")]
    Public,
    /// The private key is damaged, or its parts do not fit.
    #[error("the private key is refused: {why}")]
    Rejected {
        /// What the cryptographic library says.
        why: String,
    },
    /// The secret is shorter than what it is to withstand.
    #[error("the secret has {bytes} bytes; {LEAST_SECRET} or more are needed")]
    ShortSecret {
        /// How many it has.
        bytes: usize,
    },
    /// A set larger than any issuer publishes.
    #[error("the set holds {count} keys; at most {MOST_KEYS} are taken")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// More than one key where one belongs.
    #[error("the file holds more than one key")]
    Several,
    /// A secret that everybody knows or guesses.
    #[error("the secret is one that is published or easily guessed")]
    TrivialSecret,
    /// An RSA key too short to be trusted, or longer than is computed with.
    #[error("the RSA key has {bits} bits; 2048 to 8192 are taken")]
    WeakRsa {
        /// Bits of its modulus.
        bits: usize,
    },
}

/// Bytes that a secret has at least (RFC 7518, section 3.2).
pub const LEAST_SECRET: usize = 32;
/// Keys that a set holds at most; a token without `kid` is tried against each that fits.
pub const MOST_KEYS: usize = 64;

impl KeyFault {
    /// How to mend it.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Algorithm { .. } => {
                "HS* take a secret, RS* and PS* an RSA key, ES256 a P-256 key, ES384 a P-384 key, EdDSA an Ed25519 key"
            }
            Self::Curve => "use P-256, P-384 or Ed25519",
            Self::Encrypted => {
                "decrypt it: `openssl pkey -in KEY -out PLAIN`, readable by the gateway alone"
            }
            Self::KeyAsSecret { .. } => {
                "a public key belongs under `public_key_file` or `jwks_file`; a secret is made by `openssl rand -hex 32`"
            }
            Self::Malformed { .. } => {
                "keys are PEM (`-----BEGIN …-----`), key sets JSON (`{\"keys\": […]}`)"
            }
            Self::NoUsableKey => {
                "a usable key is for signatures (`use: sig`), RSA, P-256, P-384 or Ed25519, and fits `algorithms`"
            }
            Self::Private => "give the public half: `openssl pkey -in KEY -pubout`",
            Self::Public => "give the private key: `openssl genpkey -algorithm ed25519`",
            Self::Rejected { .. } => {
                "write it anew as PKCS #8: `openssl pkcs8 -topk8 -nocrypt -in KEY`"
            }
            Self::ShortSecret { .. } | Self::TrivialSecret => "make one: `openssl rand -hex 32`",
            Self::Several => "one key a file",
            Self::TooMany { .. } => "remove keys that are no longer in use",
            Self::WeakRsa { .. } => {
                "make another: `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072`"
            }
        }
    }
}

/// A key of a set that is left out, and why. The others serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {position} of the set is left out: {why}")]
pub struct KeyWarning {
    /// Its place in the set, from 1.
    pub position: usize,
    /// Why.
    pub why: String,
}

fn names(algorithms: &[Algorithm]) -> String {
    algorithms.iter().map(|one| algorithm_name(*one)).collect::<Vec<_>>().join(", ")
}
