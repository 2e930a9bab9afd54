//! Whose signatures are good: checked once, remembered for a while.
//!
//! What is remembered is a fact ("a key of this issuer made this signature"), found again by the
//! full SHA-256 of the token and used only for the same issuer with the same keys. Whether the token
//! stands is judged anew on each request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jsonwebtoken::crypto;
use quick_cache::{UnitWeighter, Weighter, sync::Cache};

use super::provider;
use crate::{
    model::Timestamp,
    policy::{
        authn::{
            jwt::{IssuerTerms, Jws, Verified},
            keys::Keyring,
        },
        decision::TokenFault,
        digest::Digest,
    },
};

/// Signatures that were checked lately.
#[derive(Debug)]
pub struct Signatures {
    good: Cache<Digest, Known, Weight, ahash::RandomState>,
    bad: Cache<Digest, Digest, UnitWeighter, ahash::RandomState>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Clone, Debug)]
struct Known {
    verified: Arc<Verified>,
    /// Bytes of the token.
    length: usize,
}

/// Claims as values, and the principal made of them, take several times the token's length.
#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Digest, Known> for Weight {
    fn weight(&self, _: &Digest, known: &Known) -> u64 {
        1024 + 8 * known.length as u64
    }
}

/// Bytes that remembered tokens take at most, by and large: 10,000 tokens of 700 bytes.
const MOST_BYTES: u64 = 64 << 20;
/// Forgeries that are remembered at most: a flood of different ones pushes out others alone.
const MOST_BAD: usize = 1_000;
/// How long after its end a token is still known, so that a client with an outdated one costs
/// little.
const KEPT_AFTER_END: Duration = Duration::from_secs(600);

/// How often a signature was known already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalls {
    /// It was.
    pub hits: u64,
    /// It was not, or no longer.
    pub misses: u64,
    /// Tokens that are remembered now.
    pub entries: u64,
}

impl Default for Signatures {
    fn default() -> Self {
        Self::new(MOST_BYTES, MOST_BAD)
    }
}

impl Signatures {
    /// Room for good tokens of so many bytes together, and for so many bad ones.
    pub fn new(bytes: u64, bad: usize) -> Self {
        provider::install();
        let items = usize::try_from(bytes >> 12).unwrap_or(usize::MAX);
        // Seeded at random, because clients choose the tokens.
        let seed = ahash::RandomState::new;
        Self {
            good: Cache::with(items, bytes, Weight, seed(), Default::default()),
            bad: Cache::with(bad, bad as u64, UnitWeighter, seed(), Default::default()),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The facts of a token that was verified before, if they are still held.
    pub fn recall(&self, token: &Digest) -> Option<Arc<Verified>> {
        let found = self.good.get(token).map(|known| known.verified);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// How it went so far, for the metrics.
    pub fn recalls(&self) -> Recalls {
        Recalls {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.good.len() as u64,
        }
    }

    /// Forgets tokens whose time was over long ago, to give their memory back. Nothing depends on
    /// it being called: the bound holds without.
    pub fn sweep(&self, now: Timestamp) {
        let ended = |end: Timestamp| end + KEPT_AFTER_END <= now;
        self.good.retain(|_, known| !known.verified.expires.is_some_and(ended));
    }

    /// Checks a token's signature with these keys of its issuer, and keeps the facts.
    ///
    /// # Errors
    /// As [`IssuerTerms::vouch`].
    pub fn verify(
        &self,
        issuer: &IssuerTerms,
        keys: &Keyring,
        token: &Jws<'_>,
    ) -> Result<Arc<Verified>, TokenFault> {
        if self.bad.get(&token.digest) == Some(keys.fingerprint) {
            return Err(TokenFault::Signature);
        }
        match self.verify_only(issuer, keys, token) {
            Ok(verified) => {
                let verified = Arc::new(verified);
                let length = token.token().len();
                let known = Known { verified: Arc::clone(&verified), length };
                self.good.insert(token.digest, known);
                Ok(verified)
            }
            Err(TokenFault::Signature) => {
                self.bad.insert(token.digest, keys.fingerprint);
                Err(TokenFault::Signature)
            }
            Err(fault) => Err(fault),
        }
    }

    /// As [`Signatures::verify`], without keeping anything.
    ///
    /// # Errors
    /// As [`IssuerTerms::vouch`].
    pub fn verify_only(
        &self,
        issuer: &IssuerTerms,
        keys: &Keyring,
        token: &Jws<'_>,
    ) -> Result<Verified, TokenFault> {
        let (message, signature) = token.signed();
        issuer.vouch(keys, token, |key, algorithm| {
            crypto::verify(signature, message, &key.key, algorithm).unwrap_or(false)
        })
    }
}

#[cfg(test)]
mod tests;
