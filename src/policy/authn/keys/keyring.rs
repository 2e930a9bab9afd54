//! Where an issuer's keys come from, and its keys at one moment.

use std::{sync::Arc, time::Duration};

use super::KeySet;
use crate::policy::digest::Digest;

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub enum Keys {
    /// From the file: they are the same for as long as the policy is.
    Fixed(Arc<Keyring>),
    /// The issuer publishes them, and they are asked for: [`crate::policy::Sources`] knows them.
    Published(Publication),
}

impl Keys {
    /// Keys of the file, for the issuer of this name.
    pub fn fixed(keys: KeySet, issuer: &str) -> Self {
        Self::Fixed(Arc::new(Keyring::new(keys, issuer)))
    }

    /// Those of the file; none if the issuer publishes them.
    pub fn in_file(&self) -> Option<&Arc<Keyring>> {
        match self {
            Self::Fixed(keyring) => Some(keyring),
            Self::Published(_) => None,
        }
    }
}

/// An issuer's keys at one moment.
#[derive(Clone, Debug)]
pub struct Keyring {
    /// The keys.
    pub keys: KeySet,
    /// Tells this issuer with these keys from any other, for what is cached about its tokens:
    /// [`KeySet::fingerprint`] of its name.
    pub fingerprint: Digest,
}

impl Keyring {
    /// These keys, of the issuer of this name.
    pub fn new(keys: KeySet, issuer: &str) -> Self {
        let fingerprint = keys.fingerprint(issuer);
        Self { keys, fingerprint }
    }
}

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The address.
    pub place: KeyPlace,
    /// How long keys are used before they are asked for again.
    pub refresh: Duration,
}

/// An address that leads to an issuer's keys: `https`, or `http` on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// The issuer itself, whose metadata say where its key set is.
    Discovery(String),
    /// Its key set.
    Jwks(String),
}
