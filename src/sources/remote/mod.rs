//! Whoever is asked over the network: issuers for their keys, others for what a credential is worth.
//!
//! Everything asked is bounded, in bytes and in time; an answer is a fact about somebody else's
//! state, and nobody is let in because it is late, missing or nonsense.

mod address;
pub mod answers;
mod ask;
mod authority;
mod fault;
pub(super) mod forward_auth;
pub(super) mod introspection;
pub mod issuer_keys;
#[cfg(test)]
mod scripted;

use std::{path::Path, sync::Arc};

pub use authority::Authority;
pub use fault::Fault;
use issuer_keys::Tempo;
pub use issuer_keys::{Health, Published};

use crate::{
    model::{CredentialKind, IssuerName},
    observe::Metrics,
    policy::{
        Policy,
        authn::{
            forward_auth::ForwardAuthTerms, introspection::IntrospectionTerms, jwt::IssuerTerms,
            keys::Keys,
        },
    },
};

/// Everybody that one policy asks. A reload makes another, which goes on with what did not change.
#[derive(Debug, Default)]
pub struct Remotes {
    issuers: Vec<(Arc<IssuerTerms>, Arc<Published>)>,
    providers: Vec<(Arc<IntrospectionTerms>, Arc<Authority>)>,
    services: Vec<(Arc<ForwardAuthTerms>, Arc<Authority>)>,
    /// What credentials are sent with, once somebody is to be sent one.
    discreet: Option<Discreet>,
}

/// A client for credentials. One that could not be made has told the log why, and reaches nobody.
#[derive(Clone, Debug)]
struct Discreet(Option<reqwest::Client>);

impl Discreet {
    fn new() -> Self {
        let made = ask::discreet_client().inspect_err(|fault| {
            tracing::error!(event = "no_client", why = %fault, "nobody can be asked what a credential is worth");
        });
        Self(made.ok())
    }
}

impl Remotes {
    /// Those of a policy; with the keys of issuers that `old` knows too. The last good keys are
    /// kept in `state`, if there is a place. Reads files.
    pub fn new(
        policy: &Policy,
        state: Option<&Path>,
        metrics: &Metrics,
        old: Option<&Self>,
    ) -> Self {
        Self::with(policy, state, old, Tempo::SERVING, Some(metrics))
    }

    /// Those of a policy, for somebody who inquires without a server: asked when they are needed,
    /// and not for long. Nothing is written.
    pub fn for_inquiry(policy: &Policy, state: Option<&Path>) -> Self {
        Self::with(policy, state, None, Tempo::INQUIRING, None)
    }

    fn with(
        policy: &Policy,
        state: Option<&Path>,
        old: Option<&Self>,
        tempo: Tempo,
        metrics: Option<&Metrics>,
    ) -> Self {
        let mut client = old.and_then(Self::client);
        let published = policy.issuers.iter().filter_map(|terms| {
            let Keys::Published(publication) = &terms.keys else { return None };
            let known = old.and_then(|old| old.named(terms));
            if let Some(same) = known.filter(|known| known.is_for(terms, publication)) {
                return Some((Arc::clone(terms), Arc::clone(same)));
            }
            let client = client.get_or_insert_with(issuer_keys::client).clone();
            let known = known.map(|one| &**one);
            let counters = metrics.map(|metrics| metrics.jwks_refreshes(terms.name.as_str()));
            let made = Published::new(terms, publication, client, state, known, tempo, counters);
            Some((Arc::clone(terms), Arc::new(made)))
        });
        let issuers = published.collect();
        let mut remotes =
            Self { issuers, discreet: old.and_then(|old| old.discreet.clone()), ..Self::default() };
        for terms in &policy.providers {
            let kind = CredentialKind::Introspection;
            let authority = remotes.authority(kind, &terms.name, &terms.url, old, metrics);
            remotes.providers.push((Arc::clone(terms), authority));
        }
        for terms in &policy.services {
            let kind = CredentialKind::ForwardAuth;
            let authority = remotes.authority(kind, &terms.name, &terms.url, old, metrics);
            remotes.services.push((Arc::clone(terms), authority));
        }
        remotes
    }

    /// Somebody to be sent credentials: whoever was before a reload, if he is the same.
    fn authority(
        &mut self,
        method: CredentialKind,
        name: &IssuerName,
        url: &str,
        old: Option<&Self>,
        metrics: Option<&Metrics>,
    ) -> Arc<Authority> {
        let mut known = old.into_iter().flat_map(Self::authorities);
        if let Some(same) = known.find(|one| one.is(method, name, url)) {
            return Arc::clone(same);
        }
        let client = self.discreet.get_or_insert_with(Discreet::new).0.clone();
        let metrics = metrics.map(|metrics| metrics.authority(method, name.as_str()));
        Arc::new(Authority::new(method, name, url, client, metrics))
    }

    /// Begins to follow what issuers publish, where that has not begun. Must be called within the
    /// runtime that serves.
    pub fn follow(&self) {
        self.issuers.iter().for_each(|(_, published)| published.follow());
    }

    /// What an issuer of this policy publishes.
    pub fn published(&self, terms: &IssuerTerms) -> Option<&Arc<Published>> {
        // A handful of issuers: comparing places is quicker than any hash.
        let mut all = self.issuers.iter();
        all.find(|(one, _)| std::ptr::eq(&**one, terms)).map(|(_, published)| published)
    }

    /// Whom a provider of this policy is asked as.
    pub(super) fn provider(&self, terms: &IntrospectionTerms) -> Option<&Arc<Authority>> {
        let mut all = self.providers.iter();
        all.find(|(one, _)| std::ptr::eq(&**one, terms)).map(|(_, authority)| authority)
    }

    /// Whom a service of this policy is asked as.
    pub(super) fn service(&self, terms: &ForwardAuthTerms) -> Option<&Arc<Authority>> {
        let mut all = self.services.iter();
        all.find(|(one, _)| std::ptr::eq(&**one, terms)).map(|(_, authority)| authority)
    }

    /// Everybody who is asked what credentials are worth.
    pub fn authorities(&self) -> impl Iterator<Item = &Arc<Authority>> {
        let providers = self.providers.iter().map(|(_, authority)| authority);
        providers.chain(self.services.iter().map(|(_, authority)| authority))
    }

    /// Everybody who publishes keys.
    pub fn issuers(&self) -> impl Iterator<Item = &Arc<Published>> {
        self.issuers.iter().map(|(_, published)| published)
    }

    /// What is wrong with those who were asked, as sentences.
    pub fn complaints(&self) -> Vec<String> {
        let health = self.issuers().map(|published| published.health());
        let silent = self.authorities().filter_map(|one| Some((one.label(), one.fault()?)));
        let silent = silent.map(|(label, fault)| format!("`{label}`: {fault}"));
        health
            .filter_map(|Health { name, fault, age, .. }| {
                let keys = if age.is_some() {
                    "its last good keys count"
                } else {
                    "its keys are not known"
                };
                fault.map(|fault| format!("issuer `{name}`: {fault}; {keys}"))
            })
            .chain(silent)
            .collect()
    }

    fn named(&self, terms: &IssuerTerms) -> Option<&Arc<Published>> {
        self.issuers.iter().find(|(one, _)| one.name == terms.name).map(|(_, published)| published)
    }

    fn client(&self) -> Option<issuer_keys::Client> {
        self.issuers.first().map(|(_, published)| published.client().clone())
    }
}
