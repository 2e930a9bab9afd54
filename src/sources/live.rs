//! The answers to the questions of one policy, out of what this process holds.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::SystemTime};

use http::HeaderValue;

use super::{
    Remotes,
    assertions::Assertions,
    counters::Local,
    passwords::Passwords,
    records::{Records, Standing as Word},
    remote::{
        Authority, Published,
        answers::{Answers, Missed, Question},
        forward_auth::vouch,
        introspection::introspect,
    },
    signatures::Signatures,
};
use crate::{
    model::{Principal, Timestamp},
    policy::{
        Policy, Sources,
        accounts::{ApiKey, User},
        authn::{
            forward_auth::{ForwardAuthTerms, Refusal, Vouched},
            introspection::{Introspected, IntrospectionTerms},
            jwt::{IssuerTerms, Jws, Verified},
            keys::Keyring,
        },
        decision::TokenFault,
        digest::Digest,
        forward::AssertionTerms,
        limit::{Caller, Charge, Charged, Charges, Standing},
        password::HashKind,
        sources::{
            Inspection, Issued, Occasion, PasswordAttempt, PasswordCheck, Presentation,
            Unavailable, Untold, Unverified,
        },
    },
};

/// Nobody can be asked: these are answers of a process that asks nobody.
const NOBODY: Unavailable = Unavailable { what: "anybody to ask" };
/// The keys of an issuer were never seen.
pub(super) const NO_KEYS: Unavailable = Unavailable { what: "the issuer's keys" };

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
    /// What providers said of tokens lately.
    pub introspections: Answers<Introspected, TokenFault>,
    /// What services said of requests lately.
    pub vouched: Answers<Vouched, Refusal>,
    /// What is known of the store, if there is one.
    pub records: Option<Arc<Records>>,
}

impl Memory {
    /// Nothing counted and nothing remembered, with room for so many counters.
    pub fn new(counters: usize) -> Self {
        Self {
            counters: Local::new(counters),
            signatures: Signatures::default(),
            passwords: Passwords::default(),
            assertions: Assertions::default(),
            introspections: Answers::default(),
            vouched: Answers::default(),
            records: None,
        }
    }
}

/// Answers by one policy and by memory. It is made for each request and costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct Live<'s> {
    policy: &'s Policy,
    memory: &'s Memory,
    remotes: Option<&'s Remotes>,
}

/// Whether looking a key up is a use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It is, and the store hears of it.
    Noted,
    /// It is not.
    Unnoted,
}

/// Who logs in by a name.
pub(super) struct Named {
    /// Nobody, or a user who may be shut out.
    pub user: Option<Arc<User>>,
    /// Whether the store knows him, or would.
    pub is_stored: bool,
    /// Why a password that was not checked lately cannot be checked now.
    pub unsettled: Option<Unavailable>,
}

impl<'s> Live<'s> {
    /// Answers by these. Whoever else would have to be asked is away.
    pub fn new(policy: &'s Policy, memory: &'s Memory) -> Self {
        Self { policy, memory, remotes: None }
    }

    /// Asks these too, who must be those of the policy.
    #[must_use]
    pub fn asking(self, remotes: &'s Remotes) -> Self {
        Self { remotes: Some(remotes), ..self }
    }

    /// What an issuer publishes.
    pub(super) fn published(
        &self,
        issuer: &IssuerTerms,
    ) -> Result<&'s Arc<Published>, Unavailable> {
        self.remotes.and_then(|remotes| remotes.published(issuer)).ok_or(NO_KEYS)
    }

    /// Whom a provider is asked as.
    pub(super) fn provider(
        &self,
        terms: &IntrospectionTerms,
    ) -> Result<Arc<Authority>, Unavailable> {
        let found = self.remotes.and_then(|remotes| remotes.provider(terms));
        found.cloned().ok_or(NOBODY)
    }

    /// Whom a service is asked as.
    pub(super) fn service(&self, terms: &ForwardAuthTerms) -> Result<Arc<Authority>, Unavailable> {
        let found = self.remotes.and_then(|remotes| remotes.service(terms));
        found.cloned().ok_or(NOBODY)
    }

    pub(super) fn memory(&self) -> &'s Memory {
        self.memory
    }

    /// The API key with this digest.
    pub(super) fn presented_key(
        &self,
        key: &Digest,
        used: Use,
    ) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        let accounts = &self.policy.accounts;
        match (accounts.key(key), &self.memory.records) {
            (Some(key), _) => Ok(Some(Arc::clone(key))),
            (None, None) => Ok(None),
            (None, Some(records)) => {
                let at = (used == Use::Noted).then(|| SystemTime::now().into());
                Ok(records.api_key(key, accounts, at)?.map(Arc::new))
            }
        }
    }

    /// The API key with this id.
    pub(super) fn key_by_id(&self, id: &str) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        let accounts = &self.policy.accounts;
        match (accounts.key_by_id(id), &self.memory.records) {
            (Some(key), _) => Ok(Some(Arc::clone(key))),
            (None, None) => Ok(None),
            (None, Some(records)) => Ok(records.key_by_id(id, accounts)?.map(Arc::new)),
        }
    }

    /// Who logs in by the name of this attempt. A user of the file never depends on the store, and
    /// goes before one of the store with the same name or subject.
    pub(super) fn named(&self, attempt: &PasswordAttempt<'_>) -> Result<Named, Unavailable> {
        let accounts = &self.policy.accounts;
        let file = accounts.user_by_name(attempt.username);
        let (None, Some(records)) = (file, &self.memory.records) else {
            return Ok(Named { user: file.cloned(), is_stored: false, unsettled: None });
        };
        let user = records.user_by_name(attempt.username)?;
        let user = user.filter(|user| accounts.user(&user.subject).is_none());
        let unsettled = match (records.standing(), attempt.occasion) {
            (Word::Current, _) => None,
            (Word::Away | Word::Stale, Occasion::Login) => return Err(Records::AWAY),
            // Whoever was let in by this password lately still is.
            (Word::Away | Word::Stale, Occasion::Request) => Some(Records::AWAY),
        };
        Ok(Named { user, is_stored: true, unsettled })
    }

    /// The kinds of password hashes in use.
    fn kinds(&self) -> Cow<'s, [HashKind]> {
        let accounts = &self.policy.accounts;
        match &self.memory.records {
            None => Cow::Borrowed(accounts.kinds()),
            Some(records) => Cow::Owned(accounts.kinds_with(records.kinds())),
        }
    }

    /// The password is that of this user.
    fn right(
        &self,
        user: &Arc<User>,
        named: &Named,
        attempt: &PasswordAttempt<'_>,
    ) -> PasswordCheck {
        if let Some(records) = self.memory.records.as_ref().filter(|_| named.is_stored) {
            if attempt.occasion == Occasion::Login {
                records.logged_in(user, attempt.now);
            }
            records.strengthen(user, attempt.password, &self.memory.passwords);
        }
        PasswordCheck::Right(Arc::clone(user))
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
    pub(super) fn worn_out(&self, client: IpAddr, now: Timestamp) -> Option<Standing> {
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

    fn vouches(&self, issuer: &IssuerTerms, verified: &Verified) -> bool {
        let same = |keys: &Keyring| keys.fingerprint == verified.fingerprint;
        match issuer.keys.in_file() {
            Some(keys) => same(keys),
            None => self.published(issuer).is_ok_and(|published| {
                published.held().as_ref().is_some_and(|held| same(&held.keyring))
            }),
        }
    }

    async fn verify(
        &self,
        issuer: &IssuerTerms,
        token: &Jws<'_>,
    ) -> Result<Arc<Verified>, Unverified> {
        let signatures = &self.memory.signatures;
        let verify = |keys: &Keyring| signatures.verify(issuer, keys, token);
        if let Some(keys) = issuer.keys.in_file() {
            return verify(keys).map_err(Unverified::Fault);
        }
        let published = self.published(issuer).map_err(Unverified::Unavailable)?;
        let held = published.keys().await.ok_or(Unverified::Unavailable(NO_KEYS))?;
        match verify(&held.keyring) {
            Err(TokenFault::UnknownKey) => match published.other_than(&held).await {
                Some(fresh) => verify(&fresh.keyring),
                None => Err(TokenFault::UnknownKey),
            },
            outcome => outcome,
        }
        .map_err(Unverified::Fault)
    }

    async fn introspect(
        &self,
        provider: &Arc<IntrospectionTerms>,
        asked: &Inspection<'_>,
    ) -> Result<Arc<Introspected>, Untold<TokenFault>> {
        let answers = &self.memory.introspections;
        let key = provider.key(&asked.token);
        let question = Question { key, credential: key, now: asked.now, cache: provider.cache };
        if let Some(said) = answers.recall(&question) {
            return Ok(said);
        }
        if let Some(standing) = asked.client.and_then(|client| self.worn_out(client, asked.now))
            && !answers.was_good(&question)
        {
            return Err(Untold::Limited(standing));
        }
        let authority = self.provider(provider).map_err(Untold::Unavailable)?;
        let token = asked.token.expose().to_owned().into();
        let asking = introspect(authority, Arc::clone(provider), token);
        answers.ask(question, asking).await.map_err(Untold::from)
    }

    async fn vouch(
        &self,
        service: &Arc<ForwardAuthTerms>,
        presented: Presentation,
    ) -> Result<Arc<Vouched>, Untold<Refusal>> {
        let answers = &self.memory.vouched;
        let Presentation { asked, client, now } = presented;
        let (key, credential) = (service.key(&asked), service.credential_key(&asked));
        let question = Question { key, credential, now, cache: service.cache };
        if !service.cache.is_zero()
            && let Some(vouched) = answers.recall(&question)
        {
            return Ok(vouched);
        }
        if let Some(standing) = self.worn_out(client, now)
            && !answers.was_good(&question)
        {
            return Err(Untold::Limited(standing));
        }
        let authority = self.service(service).map_err(Untold::Unavailable)?;
        let asking = vouch(authority, Arc::clone(service), asked);
        let outcome = if service.cache.is_zero() {
            answers.ask_alone(question, asking).await
        } else {
            answers.ask(question, asking).await
        };
        outcome.map_err(Untold::from)
    }

    async fn api_key(&self, key: &Digest) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        self.presented_key(key, Use::Noted)
    }

    async fn user(&self, subject: &str) -> Result<Option<Arc<User>>, Unavailable> {
        match (self.policy.accounts.user(subject), &self.memory.records) {
            (Some(user), _) => Ok(Some(Arc::clone(user))),
            (None, None) => Ok(None),
            (None, Some(records)) => records.user(subject),
        }
    }

    fn key(&self, id: &str) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        self.key_by_id(id)
    }

    fn is_revoked(&self, issued: &Issued<'_>) -> Result<bool, Unavailable> {
        self.memory.records.as_ref().map_or(Ok(false), |records| records.is_void(issued))
    }

    fn exhausted(&self, client: IpAddr, now: Timestamp) -> Option<Standing> {
        self.worn_out(client, now)
    }

    async fn password(&self, attempt: &PasswordAttempt<'_>) -> PasswordCheck {
        let &PasswordAttempt { password, client, now, .. } = attempt;
        let Memory { counters, passwords, .. } = self.memory;
        let named = match self.named(attempt) {
            Ok(named) => named,
            Err(what) => return PasswordCheck::Unavailable(what),
        };
        let user = named.user.as_ref().filter(|user| !user.disabled);
        let claim = passwords.claim(client, user.map(|user| &**user), password);
        let known = claim.filter(|claim| passwords.knows(claim, now));
        let charges = self.charges_of_login(attempt);
        if let (Some(user), Some(claim)) = (user, known) {
            // A right guess passes an exhausted limit no more than a wrong one does.
            if let Charged::Refused(standing) = counters.look(&charges, now) {
                return PasswordCheck::Limited(standing);
            }
            passwords.remember(claim, now);
            return self.right(user, &named, attempt);
        }
        // First, so that a password that nobody looks at takes no place among the logins.
        if let Some(standing) = self.worn_out(client, now) {
            return PasswordCheck::Limited(standing);
        }
        if let Some(what) = named.unsettled {
            return PasswordCheck::Unavailable(what);
        }
        if let Charged::Refused(standing) = counters.charge(&charges, now) {
            return PasswordCheck::Limited(standing);
        }
        match passwords.check(user.map(|user| &**user), password, &self.kinds()).await {
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
                    self.right(user, &named, attempt)
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

impl<R> From<Missed<R>> for Untold<R> {
    fn from(missed: Missed<R>) -> Self {
        match missed {
            Missed::Away(what) => Self::Unavailable(what),
            Missed::Refused(why) => Self::Refused(why),
        }
    }
}
