//! Somebody who is asked what credentials are worth.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use reqwest::{Client, Request};

use super::{
    Fault,
    answers::{Missed, Outcome},
    ask::{Answer, ask},
};
use crate::{
    model::{CredentialKind, IssuerName},
    observe::metrics::AuthorityMetrics,
    policy::sources::Unavailable,
};

/// Bytes of an answer at most.
pub(super) const MOST: usize = 64 << 10;

/// Somebody who is asked what credentials are worth, and how he is.
#[derive(Debug)]
pub struct Authority {
    method: CredentialKind,
    name: IssuerName,
    url: String,
    client: Option<Client>,
    /// Why the last question was not answered, if it was not.
    fault: Mutex<Option<String>>,
    metrics: Option<AuthorityMetrics>,
}

impl Authority {
    pub(super) fn new(
        method: CredentialKind,
        name: &IssuerName,
        url: &str,
        client: Option<Client>,
        metrics: Option<AuthorityMetrics>,
    ) -> Self {
        let (name, url) = (name.clone(), url.to_owned());
        Self { method, name, url, client, fault: Mutex::default(), metrics }
    }

    /// Whether this is whom these words mean.
    pub(super) fn is(&self, method: CredentialKind, name: &IssuerName, url: &str) -> bool {
        self.method == method && self.name == *name && self.url == url
    }

    /// What he is asked about, and his name.
    pub fn label(&self) -> String {
        format!("{}:{}", self.method.as_str(), self.name)
    }

    /// Why the last question was not answered, if it was not.
    pub fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    /// Asks, and reads the answer: a fact, a refusal, or a fault where there is neither.
    pub(super) async fn ask<F, R>(
        &self,
        request: Result<Request, Fault>,
        patience: Duration,
        read: impl FnOnce(Answer) -> Result<Result<F, R>, Fault>,
    ) -> Outcome<F, R> {
        let began = Instant::now();
        let answered = match (&self.client, request) {
            (Some(client), Ok(request)) => ask(client, request, MOST, patience).await,
            (_, Err(fault)) => Err(fault),
            (None, Ok(_)) => {
                Err(Fault::Unreachable("the machine has no certificates to trust".into()))
            }
        };
        let heard = answered.and_then(read);
        if let Some(metrics) = &self.metrics {
            let outcome = match &heard {
                Ok(Ok(_)) => &metrics.accepted,
                Ok(Err(_)) => &metrics.refused,
                Err(_) => &metrics.failed,
            };
            outcome.inc();
            metrics.duration.observe(began.elapsed().as_secs_f64());
        }
        self.note(heard.as_ref().err());
        match heard {
            Ok(Ok(fact)) => Ok(Arc::new(fact)),
            Ok(Err(refused)) => Err(Missed::Refused(refused)),
            Err(_) => Err(Missed::Away(Unavailable { what: self.what() })),
        }
    }

    fn what(&self) -> &'static str {
        match self.method {
            CredentialKind::Introspection => "the introspection of a token",
            CredentialKind::ForwardAuth => "the service that knows the client",
            CredentialKind::ApiKey
            | CredentialKind::Basic
            | CredentialKind::ClientCert
            | CredentialKind::Jwt => "an answer",
        }
    }

    /// Says when it begins to go wrong, when it goes wrong otherwise, and when it is over.
    fn note(&self, fault: Option<&Fault>) {
        let (method, name) = (self.method.as_str(), self.name.as_str());
        let mut known = self.fault.lock();
        match (known.as_ref(), fault.map(ToString::to_string)) {
            (None, None) => {}
            (Some(_), None) => {
                *known = None;
                tracing::info!(event = "authority_back", method, name, "it answers again");
            }
            (before, Some(why)) => {
                if before != Some(&why) {
                    tracing::warn!(
                        event = "authority_failed",
                        method,
                        name,
                        why,
                        "credentials that it would have to say a word on are answered 503"
                    );
                    *known = Some(why);
                }
            }
        }
    }
}
