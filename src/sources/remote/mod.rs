//! Whoever is asked over the network: issuers for their keys.
//!
//! Everything asked is bounded, in bytes and in time; an answer is a fact about somebody else's
//! state, and nobody is let in because it is late, missing or nonsense.

mod address;
mod ask;
mod fault;
pub mod issuer_keys;
#[cfg(test)]
mod scripted;

use std::{path::Path, sync::Arc};

pub use fault::Fault;
use issuer_keys::Tempo;
pub use issuer_keys::{Health, Published};

use crate::{
    model::IssuerName,
    observe::{Metrics, metrics::RefreshMetrics},
    policy::{
        Policy,
        authn::{jwt::IssuerTerms, keys::Keys},
    },
};

/// Everybody that one policy asks. A reload makes another, which goes on with what did not change.
#[derive(Debug, Default)]
pub struct Remotes {
    issuers: Vec<(Arc<IssuerTerms>, Arc<Published>)>,
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
        let counters = |name: &IssuerName| Some(metrics.jwks_refreshes(name.as_str()));
        Self::with(policy, state, old, Tempo::SERVING, counters)
    }

    /// Those of a policy, for somebody who inquires without a server: asked when they are needed,
    /// and not for long. Nothing is written.
    pub fn for_inquiry(policy: &Policy, state: Option<&Path>) -> Self {
        Self::with(policy, state, None, Tempo::INQUIRING, |_| None)
    }

    fn with(
        policy: &Policy,
        state: Option<&Path>,
        old: Option<&Self>,
        tempo: Tempo,
        counters: impl Fn(&IssuerName) -> Option<RefreshMetrics>,
    ) -> Self {
        let mut client = old.and_then(Self::client);
        let published = policy.issuers.iter().filter_map(|terms| {
            let Keys::Published(publication) = &terms.keys else { return None };
            let known = old.and_then(|old| old.named(terms));
            if let Some(same) = known.filter(|known| known.is_for(terms, publication)) {
                return Some((Arc::clone(terms), Arc::clone(same)));
            }
            let client = client.get_or_insert_with(issuer_keys::client).clone();
            let (known, counters) = (known.map(|one| &**one), counters(&terms.name));
            let made = Published::new(terms, publication, client, state, known, tempo, counters);
            Some((Arc::clone(terms), Arc::new(made)))
        });
        Self { issuers: published.collect() }
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

    /// Everybody who publishes keys.
    pub fn issuers(&self) -> impl Iterator<Item = &Arc<Published>> {
        self.issuers.iter().map(|(_, published)| published)
    }

    /// What is wrong with those who were asked, as sentences.
    pub fn complaints(&self) -> Vec<String> {
        let health = self.issuers().map(|published| published.health());
        health
            .filter_map(|Health { name, fault, age, .. }| {
                let keys = if age.is_some() {
                    "its last good keys count"
                } else {
                    "its keys are not known"
                };
                fault.map(|fault| format!("issuer `{name}`: {fault}; {keys}"))
            })
            .collect()
    }

    fn named(&self, terms: &IssuerTerms) -> Option<&Arc<Published>> {
        self.issuers.iter().find(|(one, _)| one.name == terms.name).map(|(_, published)| published)
    }

    fn client(&self) -> Option<issuer_keys::Client> {
        self.issuers.first().map(|(_, published)| published.client().clone())
    }
}
