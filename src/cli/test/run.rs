//! One case: the request made, judged, and held against what was expected.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::header;

use super::{
    cases::{self, Case, Credentials},
    compare::{Difference, compare},
};
use crate::{
    cli::{
        explain,
        inquiry::{Findings, Inquiry},
        output::{Colour, Style, shown},
    },
    model::{Claims, CredentialKind, IssuerName, Principal, Timestamp},
    policy::{
        Policy,
        authn::{Method, TokenPlace},
    },
    sources::{Dry, Memory, Remotes},
};

/// The policy that cases are put before.
pub struct Suite<'p> {
    policy: &'p Policy,
    memory: Memory,
    remotes: Remotes,
}

/// What became of a case.
#[derive(Debug)]
pub struct Report {
    outcome: Result<(Findings, Vec<Difference>), anyhow::Error>,
}

impl<'p> Suite<'p> {
    /// For cases of this policy.
    pub fn new(policy: &'p Policy) -> Self {
        Self::with_state(policy, None)
    }

    /// The same, with the last good keys that are kept in this folder.
    pub fn with_state(policy: &'p Policy, state: Option<&Path>) -> Self {
        // Nothing is counted, so that one place is enough.
        Self { policy, memory: Memory::new(1), remotes: Remotes::for_inquiry(policy, state) }
    }

    /// Whoever was asked over the network.
    pub fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    /// Runs a case. `now` is when its request comes, unless it says itself.
    pub fn run(&self, case: &Case, now: Timestamp) -> Report {
        let now = case.request.at.unwrap_or(now);
        let outcome = self.judge(case, now).map(|findings| {
            let differences = compare(&case.expect, &findings);
            (findings, differences)
        });
        Report { outcome }
    }

    fn judge(&self, case: &Case, now: Timestamp) -> anyhow::Result<Findings> {
        if case.principal.is_some() && case.credentials.is_some() {
            bail!("a case has either `principal` or `credentials`");
        }
        let request = &case.request;
        let mut path = request.path.clone();
        let mut headers = Vec::new();
        if let Some(credentials) = &case.credentials {
            self.present(credentials, now, &mut path, &mut headers)?;
        }
        let mut inquiry = Inquiry::new(request.method.as_deref().unwrap_or("GET"), &path)?;
        let certificate = case.credentials.as_ref().and_then(|all| all.client_cert.as_ref());
        if let Some(subject) = certificate {
            inquiry.certificate(subject);
        }
        if let Some(address) = &request.client_ip {
            inquiry.set_peer(address.parse().context("`client_ip` is no address")?);
        }
        let written = request.headers.iter().flat_map(|(name, values)| {
            values.as_slice().iter().map(|value| (name.0.as_str(), value.as_str()))
        });
        let presented = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in written.chain(presented) {
            inquiry.header(name, value)?;
        }
        let principal = case.principal.as_ref().map(|who| Arc::new(self.principal(who)));
        let sources = Dry::new(self.policy, &self.memory).asking(&self.remotes);
        inquiry.judge(self.policy, &sources, principal, now)
    }

    /// Puts credentials where the policy looks for them.
    fn present(
        &self,
        credentials: &Credentials,
        now: Timestamp,
        path: &mut String,
        headers: &mut Vec<(String, String)>,
    ) -> anyhow::Result<()> {
        if let Some(token) = &credentials.bearer {
            match self.token_place() {
                TokenPlace::Cookie(name) => {
                    headers.push(("cookie".to_owned(), format!("{name}={token}")));
                }
                TokenPlace::Header(name) => {
                    let scheme = if name == header::AUTHORIZATION { "Bearer " } else { "" };
                    headers.push((name.as_str().to_owned(), format!("{scheme}{token}")));
                }
                TokenPlace::Query(name) => add_parameter(path, &name, token),
            }
        }
        let mut authorization = |value| headers.push(("authorization".to_owned(), value));
        if let Some(username) = &credentials.token_for {
            let token = crate::cli::token::issue_for(
                self.policy,
                &self.memory,
                username.as_str(),
                None,
                now,
            )?
            .minted
            .token;
            authorization(format!("Bearer {token}"));
        }
        if let Some(login) = &credentials.basic {
            let pair = STANDARD.encode(format!("{}:{}", login.username, login.password));
            authorization(format!("Basic {pair}"));
        }
        let Some(key) = &credentials.api_key else { return Ok(()) };
        let methods = self.policy.routes.iter().filter_map(|route| route.access.rule());
        let terms = methods.flat_map(|rule| &rule.methods).find_map(|method| match method {
            Method::ApiKey(terms) => Some(terms),
            Method::Basic(_) | Method::ClientCert(_) | Method::ForwardAuth(_) | Method::Jwt(_) => {
                None
            }
        });
        let terms = terms.context("no route takes an API key")?;
        match (&terms.header, &terms.query) {
            (Some(header), _) => headers.push((header.as_str().to_owned(), key.clone())),
            (None, Some(query)) => add_parameter(path, query, key),
            (None, None) => bail!("no place is configured for API keys"),
        }
        Ok(())
    }

    /// Where tokens are looked for: behind `Authorization` if any route looks there.
    fn token_place(&self) -> TokenPlace {
        let methods = self.policy.routes.iter().filter_map(|route| route.access.rule());
        let places = methods.flat_map(|rule| &rule.methods).flat_map(|method| match method {
            Method::ApiKey(_)
            | Method::Basic(_)
            | Method::ClientCert(_)
            | Method::ForwardAuth(_) => &[][..],
            Method::Jwt(rule) => rule.places.as_slice(),
        });
        let places: Vec<&TokenPlace> = places.collect();
        let usual = places.iter().find(|place| place.is_authorization()).or(places.first());
        usual.map_or_else(TokenPlace::authorization, |place| (*place).clone())
    }

    fn principal(&self, written: &cases::Principal) -> Principal {
        let (effective_roles, permissions) =
            self.policy.roles.effective(&written.roles, &written.permissions);
        let members = written.claims.0.clone().into_iter().collect();
        let method = CredentialKind::from(written.method);
        let issuer = written.issuer.as_ref().map(|name| IssuerName::from(name.as_str()));
        let subject: Arc<str> = written.subject.as_str().into();
        Principal {
            issuer: issuer.unwrap_or_else(Principal::local),
            roles: written.roles.as_slice().into(),
            permissions,
            effective_roles,
            plan: written.plan.clone(),
            method,
            claims: Arc::new(Claims::new(members)),
            api_key: (method == CredentialKind::ApiKey).then(|| Arc::clone(&subject)),
            subject,
            expires: None,
        }
    }
}

fn add_parameter(path: &mut String, name: &str, value: &str) {
    let separator = if path.contains('?') { '&' } else { '?' };
    path.push_str(&format!("{separator}{name}={value}"));
}

impl Report {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|(_, differences)| differences.is_empty())
    }

    /// What was otherwise, and how it came to that.
    pub fn to_text(&self, file: &str, colour: Colour) -> String {
        let (findings, differences) = match &self.outcome {
            Ok(outcome) => outcome,
            Err(error) => return format!("     {}\n", shown(&format!("{error:#}"))),
        };
        let mut text = String::new();
        for difference in differences {
            let Difference { what, expected, found } = difference;
            text.push_str(&format!(
                "     {}: expected {}, found {}\n",
                shown(what),
                colour.paint(Style::Good, shown(expected)),
                colour.paint(Style::Bad, shown(found)),
            ));
        }
        for line in explain::to_text(findings, file, colour).lines() {
            text.push_str(&format!("       {line}\n"));
        }
        text
    }
}
