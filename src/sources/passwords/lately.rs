//! Passwords that were found right a short while ago.

use std::{net::IpAddr, time::Duration};

use quick_cache::sync::Cache;
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};

use crate::{
    model::{Secret, Timestamp, canonical},
    policy::accounts::User,
};

/// How long after its last use a right password is known.
const KNOWN_FOR: Duration = Duration::from_secs(600);
/// Claims that are remembered at most.
const MOST: usize = 10_000;

/// A client's claim to be a user by a password, as a keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim([u8; 32]);

pub(super) struct Lately {
    /// Absent if no random bytes could be had; then nothing is remembered.
    secret: Option<hmac::Key>,
    right: Cache<Claim, Timestamp, quick_cache::UnitWeighter, ahash::RandomState>,
}

impl std::fmt::Debug for Lately {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lately").field("entries", &self.right.len()).finish_non_exhaustive()
    }
}

impl Lately {
    pub(super) fn new() -> Self {
        let mut bytes = [0; 32];
        let random = SystemRandom::new().fill(&mut bytes).is_ok();
        let secret = random.then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        let seed = ahash::RandomState::new();
        let right = Cache::with(MOST, MOST as u64, Default::default(), seed, Default::default());
        Self { secret, right }
    }

    /// Nothing if there is no user with a password; that takes as long to find out.
    pub(super) fn claim(
        &self,
        client: IpAddr,
        user: Option<&User>,
        password: &[u8],
    ) -> Option<Claim> {
        let stored = user.and_then(|user| user.password.as_ref());
        let subject = user.map_or("", |user| &user.subject);
        let hash = stored.map_or(&[][..], Secret::expose);
        let address = canonical(client).to_string();
        let mut context = hmac::Context::with_key(self.secret.as_ref()?);
        for part in [address.as_bytes(), subject.as_bytes(), hash, password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut claim = [0; 32];
        claim.copy_from_slice(context.sign().as_ref());
        stored.map(|_| Claim(claim))
    }

    /// Whether the claim was found right, and was made within the last ten minutes.
    pub(super) fn knows(&self, claim: &Claim, now: Timestamp) -> bool {
        self.right.get(claim).is_some_and(|last| now.since(last) < KNOWN_FOR)
    }

    pub(super) fn remember(&self, claim: Claim, now: Timestamp) {
        self.right.insert(claim, now);
    }
}
