//! Assertions that were signed lately: one serves every request of a principal for half its life.

use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;
use quick_cache::{
    Weighter,
    sync::{Cache, EntryAction, EntryResult},
};

use super::{
    provider::{self, SignFault},
    signatures::Recalls,
};
use crate::{
    model::{Principal, Timestamp},
    policy::{
        digest::Digest,
        forward::assertion::{ASSERTION_TYPE, AssertionTerms},
    },
};

/// Assertions that were signed lately.
#[derive(Debug)]
pub struct Assertions {
    /// By [`AssertionTerms::digest`].
    signed: Cache<Digest, Signed, Weight, ahash::RandomState>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Clone, Debug)]
struct Signed {
    value: HeaderValue,
    at: Timestamp,
    /// Until when it is used again.
    until: Timestamp,
}

impl Signed {
    /// It is not used before it was signed either: for an upstream it would come from the future.
    fn serves(&self, now: Timestamp) -> bool {
        self.at <= now && now < self.until
    }
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Digest, Signed> for Weight {
    fn weight(&self, _: &Digest, signed: &Signed) -> u64 {
        256 + signed.value.len() as u64
    }
}

/// Bytes that kept assertions take at most, by and large: 20,000 of 500 bytes.
const MOST_BYTES: u64 = 16 << 20;

impl Default for Assertions {
    fn default() -> Self {
        let items = usize::try_from(MOST_BYTES >> 10).unwrap_or(usize::MAX);
        let seed = ahash::RandomState::new();
        Self {
            signed: Cache::with(items, MOST_BYTES, Weight, seed, Default::default()),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }
}

impl Assertions {
    /// The assertion of who this principal is. It is signed at most once for one that is kept and
    /// half its life: of requests that come at once, one signs and the others wait for it.
    ///
    /// # Errors
    /// If nothing can be signed.
    pub fn of(
        &self,
        terms: &AssertionTerms,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<HeaderValue, SignFault> {
        let digest = terms.digest(principal);
        if let Some(kept) = self.signed.get(&digest).filter(|kept| kept.serves(now)) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(kept.value);
        }
        let entry = self.signed.entry(&digest, None, |_, kept| {
            if kept.serves(now) {
                EntryAction::Retain(kept.value.clone())
            } else {
                EntryAction::ReplaceWithGuard
            }
        });
        let guard = match entry {
            EntryResult::Retained(value) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return Ok(value);
            }
            EntryResult::Replaced(guard, _) | EntryResult::Vacant(guard) => Some(guard),
            // Neither is ever asked for; what is signed is good all the same.
            EntryResult::Removed(..) | EntryResult::Timeout => None,
        };
        self.misses.fetch_add(1, Ordering::Relaxed);
        let value = sign(terms, principal, now)?;
        if let Some(guard) = guard {
            let until = now + terms.reused_for();
            // Whoever emptied the cache meanwhile meant it.
            let _ = guard.insert(Signed { value: value.clone(), at: now, until });
        }
        Ok(value)
    }

    /// How it went so far, for the metrics.
    pub fn recalls(&self) -> Recalls {
        Recalls {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.signed.len() as u64,
        }
    }

    /// Forgets what is not used again, to give its memory back.
    pub fn sweep(&self, now: Timestamp) {
        self.signed.retain(|_, kept| kept.serves(now));
    }
}

fn sign(
    terms: &AssertionTerms,
    principal: &Principal,
    now: Timestamp,
) -> Result<HeaderValue, SignFault> {
    let claims = terms.claims(principal, now, &provider::unique_name()?);
    let token = provider::sign(&terms.key, ASSERTION_TYPE, &claims)?;
    // A compact JWS is base64url and dots.
    let mut value = HeaderValue::try_from(token).map_err(|_| SignFault::Signing)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
