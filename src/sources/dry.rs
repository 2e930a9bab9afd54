//! Answers for whoever only wants to know: `explain` and policy tests. They look, never count, and
//! leave nothing behind that would change a later answer.

use std::{net::IpAddr, sync::Arc};

use http::HeaderValue;

use super::{
    Memory, Remotes,
    live::{Live, NO_KEYS, Use},
    remote::{forward_auth::vouch, introspection::introspect},
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
        },
        decision::TokenFault,
        digest::Digest,
        forward::AssertionTerms,
        limit::{Charge, Charged, Standing},
        sources::{
            Inspection, Issued, PasswordAttempt, PasswordCheck, Presentation, Unavailable, Untold,
            Unverified,
        },
    },
};

/// Answers by one policy and by memory, of which nothing is changed. Every answer is ready at
/// once; a password is checked on the thread that asks, so not on one that serves requests.
#[derive(Clone, Copy, Debug)]
pub struct Dry<'s> {
    live: Live<'s>,
    credentials: Shown,
}

/// Whether credentials are shown to those who say what they are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    ToNobody,
    ToThem,
}

/// What a credential is worth of which others would have to be asked.
const NOT_ASKED: Unavailable =
    Unavailable { what: "a word on the credential by others, who are not asked here," };

impl<'s> Dry<'s> {
    /// Answers by these: by fresh memory, as if no request had come yet, or by that of a running
    /// gateway.
    pub fn new(policy: &'s Policy, memory: &'s Memory) -> Self {
        Self { live: Live::new(policy, memory), credentials: Shown::ToNobody }
    }

    /// Asks these too, who must be those of the policy: for keys that are not known, once.
    #[must_use]
    pub fn asking(self, remotes: &'s Remotes) -> Self {
        Self { live: self.live.asking(remotes), ..self }
    }

    /// Shows credentials to those among them who say what they are worth: somebody who asks about a
    /// request of his own means that. Otherwise such a credential is worth nothing that is known.
    #[must_use]
    pub fn showing_credentials(self) -> Self {
        Self { credentials: Shown::ToThem, ..self }
    }
}

impl Sources for Dry<'_> {
    fn recall(&self, _: &Digest) -> Option<Arc<Verified>> {
        // Each signature is checked, so that an explanation does not depend on what came before.
        None
    }

    fn vouches(&self, _: &IssuerTerms, _: &Verified) -> bool {
        // Nothing is recalled that could be vouched for.
        false
    }

    async fn verify(
        &self,
        issuer: &IssuerTerms,
        token: &Jws<'_>,
    ) -> Result<Arc<Verified>, Unverified> {
        let signatures = &self.live.memory().signatures;
        let verify = |keys| {
            let verified = signatures.verify_only(issuer, keys, token);
            verified.map(Arc::new).map_err(Unverified::Fault)
        };
        if let Some(keys) = issuer.keys.in_file() {
            return verify(keys);
        }
        let published = self.live.published(issuer).map_err(Unverified::Unavailable)?;
        let held = published.keys().await.ok_or(Unverified::Unavailable(NO_KEYS))?;
        verify(&held.keyring)
    }

    async fn introspect(
        &self,
        provider: &Arc<IntrospectionTerms>,
        asked: &Inspection<'_>,
    ) -> Result<Arc<Introspected>, Untold<TokenFault>> {
        if self.credentials == Shown::ToNobody {
            return Err(Untold::Unavailable(NOT_ASKED));
        }
        let worn_out = asked.client.and_then(|client| self.live.worn_out(client, asked.now));
        if let Some(standing) = worn_out {
            return Err(Untold::Limited(standing));
        }
        let authority = self.live.provider(provider).map_err(Untold::Unavailable)?;
        let token = asked.token.expose().to_owned().into();
        introspect(authority, Arc::clone(provider), token).await.map_err(Untold::from)
    }

    async fn vouch(
        &self,
        service: &Arc<ForwardAuthTerms>,
        presented: Presentation,
    ) -> Result<Arc<Vouched>, Untold<Refusal>> {
        if self.credentials == Shown::ToNobody {
            return Err(Untold::Unavailable(NOT_ASKED));
        }
        if let Some(standing) = self.live.worn_out(presented.client, presented.now) {
            return Err(Untold::Limited(standing));
        }
        let authority = self.live.service(service).map_err(Untold::Unavailable)?;
        vouch(authority, Arc::clone(service), presented.asked).await.map_err(Untold::from)
    }

    async fn api_key(&self, key: &Digest) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        self.live.presented_key(key, Use::Unnoted)
    }

    async fn user(&self, subject: &str) -> Result<Option<Arc<User>>, Unavailable> {
        self.live.user(subject).await
    }

    fn key(&self, id: &str) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        self.live.key_by_id(id)
    }

    fn is_revoked(&self, issued: &Issued<'_>) -> Result<bool, Unavailable> {
        self.live.is_revoked(issued)
    }

    fn exhausted(&self, client: IpAddr, now: Timestamp) -> Option<Standing> {
        self.live.worn_out(client, now)
    }

    async fn password(&self, attempt: &PasswordAttempt<'_>) -> PasswordCheck {
        let counters = &self.live.memory().counters;
        if let Charged::Refused(standing) =
            counters.look(&self.live.charges_of_login(attempt), attempt.now)
        {
            return PasswordCheck::Limited(standing);
        }
        if let Some(standing) = self.live.worn_out(attempt.client, attempt.now) {
            return PasswordCheck::Limited(standing);
        }
        let named = match self.live.named(attempt) {
            Ok(named) => named,
            Err(what) => return PasswordCheck::Unavailable(what),
        };
        let passwords = &self.live.memory().passwords;
        match named.user.filter(|user| passwords.check_here(user, attempt.password)) {
            Some(user) => PasswordCheck::Right(user),
            None => PasswordCheck::Wrong,
        }
    }

    /// Nothing that an app would believe: an explanation may be shown around.
    fn assertion(
        &self,
        _: &AssertionTerms,
        _: &Principal,
        _: Timestamp,
    ) -> Result<HeaderValue, Unavailable> {
        Ok(HeaderValue::from_static("***"))
    }

    fn charge(&self, charges: &[Charge<'_>], now: Timestamp) -> Result<Charged, Unavailable> {
        Ok(self.live.memory().counters.look(charges, now))
    }

    fn count_failure(&self, _: IpAddr, _: Timestamp) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Secret,
        policy::{accounts::Accounts, authz::RoleGraph, limit::LoginLimit, sources::Occasion},
    };

    fn policy() -> Policy {
        let user = User {
            subject: "7".into(),
            username: "alice".into(),
            password: Some(Secret::new(bcrypt::hash("x", 4).unwrap())),
            roles: [].into(),
            permissions: [].into(),
            plan: None,
            disabled: false,
        };
        let bob =
            User { subject: "8".into(), username: "bob".into(), disabled: true, ..user.clone() };
        let accounts = Accounts::new(vec![user, bob], vec![]);
        let mut policy = Policy::bare(vec![], accounts, RoleGraph::default());
        policy.login_limit = Some(LoginLimit::new(&"2/minute".parse().unwrap()));
        policy
    }

    #[tokio::test]
    async fn it_looks_and_leaves_no_trace() {
        let (policy, memory) = (policy(), Memory::new(1024));
        let dry = Dry::new(&policy, &memory);
        let mut attempt = PasswordAttempt {
            username: "alice",
            password: b"y",
            occasion: Occasion::Request,
            client: "192.0.2.1".parse().unwrap(),
            now: Timestamp::from_seconds(1),
        };
        for _ in 0..5 {
            assert!(matches!(dry.password(&attempt).await, PasswordCheck::Wrong));
            dry.count_failure(attempt.client, attempt.now);
        }
        attempt.password = b"x";
        assert!(matches!(dry.password(&attempt).await, PasswordCheck::Right(_)));
        attempt.username = "bob";
        assert!(matches!(dry.password(&attempt).await, PasswordCheck::Wrong));
        assert!(memory.counters.is_empty());
    }

    #[tokio::test]
    async fn it_sees_what_a_running_gateway_counted() {
        let (policy, memory) = (policy(), Memory::new(1024));
        let attempt = PasswordAttempt {
            username: "alice",
            password: b"y",
            occasion: Occasion::Request,
            client: "192.0.2.1".parse().unwrap(),
            now: Timestamp::from_seconds(1),
        };
        for _ in 0..2 {
            let live = Live::new(&policy, &memory);
            assert!(matches!(live.password(&attempt).await, PasswordCheck::Wrong));
        }
        let dry = Dry::new(&policy, &memory);
        assert!(matches!(dry.password(&attempt).await, PasswordCheck::Limited(_)));
    }
}
