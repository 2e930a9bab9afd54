//! The answers to the questions of one policy, out of what this process holds.

use std::{net::IpAddr, sync::Arc};

use http::HeaderValue;

use super::{
    assertions::Assertions, counters::Local, passwords::Passwords, signatures::Signatures,
};
use crate::{
    model::{Principal, Timestamp},
    policy::{
        Policy, Sources,
        accounts::{ApiKey, User},
        authn::jwt::{IssuerTerms, Jws, Verified},
        digest::Digest,
        forward::AssertionTerms,
        limit::{Caller, Charge, Charged, Charges, Standing},
        sources::{PasswordAttempt, PasswordCheck, Unavailable, Unverified},
    },
};

/// What is held in memory and outlives a reload.
#[derive(Debug)]
pub struct Memory {
    /// The counts of limits.
    pub counters: Local,
    /// Signatures that were checked lately.
    pub signatures: Signatures,
    /// The checks of passwords.
    pub passwords: Passwords,
    /// Assertions that were signed lately.
    pub assertions: Assertions,
}

impl Memory {
    /// Nothing counted and nothing remembered, with room for so many counters.
    pub fn new(counters: usize) -> Self {
        Self {
            counters: Local::new(counters),
            signatures: Signatures::default(),
            passwords: Passwords::default(),
            assertions: Assertions::default(),
        }
    }
}

/// Answers by one policy and by memory. It is made for each request and costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Live<'s> {
    policy: &'s Policy,
    memory: &'s Memory,
}

impl<'s> Live<'s> {
    /// Answers by these.
    pub fn new(policy: &'s Policy, memory: &'s Memory) -> Self {
        Self { policy, memory }
    }

    pub(super) fn policy(&self) -> &'s Policy {
        self.policy
    }

    pub(super) fn memory(&self) -> &'s Memory {
        self.memory
    }

    fn charges_of_failure(&self, client: IpAddr) -> Charges<'s> {
        let mut charges = Charges::new();
        if let Some(limit) = &self.policy.failure_limit {
            limit.charge_to(&Caller::at(client), &mut charges);
        }
        charges
    }

    pub(super) fn charges_of_login(&self, attempt: &PasswordAttempt<'_>) -> Charges<'s> {
        let limit = self.policy.login_limit.as_ref();
        limit.map(|limit| limit.charges(attempt.client, attempt.username)).unwrap_or_default()
    }

    /// The standing with `failure_limit` once it is exhausted.
    pub(super) fn exhausted(&self, client: IpAddr, now: Timestamp) -> Option<Standing> {
        match self.memory.counters.look(&self.charges_of_failure(client), now) {
            Charged::Admitted(_) => None,
            Charged::Refused(standing) => Some(standing),
        }
    }
}

impl Sources for Live<'_> {
    fn recall(&self, token: &Digest) -> Option<Arc<Verified>> {
        self.memory.signatures.recall(token)
    }

    async fn verify(
        &self,
        issuer: &IssuerTerms,
        token: &Jws<'_>,
    ) -> Result<Arc<Verified>, Unverified> {
        self.memory.signatures.verify(issuer, token).map_err(Unverified::Fault)
    }

    async fn api_key(&self, key: &Digest) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        Ok(self.policy.accounts.key(key).cloned())
    }

    async fn user(&self, subject: &str) -> Result<Option<Arc<User>>, Unavailable> {
        Ok(self.policy.accounts.user(subject).cloned())
    }

    async fn password(&self, attempt: &PasswordAttempt<'_>) -> PasswordCheck {
        let &PasswordAttempt { username, password, client, now } = attempt;
        let Memory { counters, passwords, .. } = self.memory;
        let accounts = &self.policy.accounts;
        let user = accounts.user_by_name(username).filter(|user| !user.disabled);
        let claim = passwords.claim(client, user.map(|user| &**user), password);
        let known = claim.filter(|claim| passwords.knows(claim, now));
        let charges = self.charges_of_login(attempt);
        if let (Some(user), Some(claim)) = (user, known) {
            // A right guess passes an exhausted limit no more than a wrong one does.
            if let Charged::Refused(standing) = counters.look(&charges, now) {
                return PasswordCheck::Limited(standing);
            }
            passwords.remember(claim, now);
            return PasswordCheck::Right(Arc::clone(user));
        }
        // First, so that a password that nobody looks at takes no place among the logins.
        if let Some(standing) = self.exhausted(client, now) {
            return PasswordCheck::Limited(standing);
        }
        if let Charged::Refused(standing) = counters.charge(&charges, now) {
            return PasswordCheck::Limited(standing);
        }
        match passwords.check(user.map(|user| &**user), password, accounts.kinds()).await {
            Err(what) => {
                counters.give_back(&charges, now, now);
                PasswordCheck::Unavailable(what)
            }
            Ok(false) => {
                self.count_failure(client, now);
                PasswordCheck::Wrong
            }
            Ok(true) => match user {
                None => PasswordCheck::Wrong,
                Some(user) => {
                    counters.give_back(&charges, now, now);
                    if let Some(claim) = claim {
                        passwords.remember(claim, now);
                    }
                    PasswordCheck::Right(Arc::clone(user))
                }
            },
        }
    }

    fn assertion(
        &self,
        terms: &AssertionTerms,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<HeaderValue, Unavailable> {
        self.memory.assertions.of(terms, principal, now).map_err(|fault| {
            tracing::error!(%fault, "nothing can be asserted to an upstream");
            Unavailable { what: "the signature of an assertion" }
        })
    }

    fn charge(&self, charges: &[Charge<'_>], now: Timestamp) -> Result<Charged, Unavailable> {
        Ok(self.memory.counters.charge(charges, now))
    }

    fn count_failure(&self, client: IpAddr, now: Timestamp) {
        // A refusal says that there is no room for more failures, which is known by then.
        let _ = self.memory.counters.charge(&self.charges_of_failure(client), now);
    }
}
