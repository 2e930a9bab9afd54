//! `authentication.introspection`: providers, and what their answers are judged by.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{
    Input,
    faults::{Faults, undefined},
    issuers,
    roles::Roles,
    secrets,
};
use crate::{
    config::{codes, document::Site, introspection::Introspection, values::Period},
    model::{IssuerName, Secret},
    policy::authn::{
        introspection::{IntrospectionTerms, ScopeRule},
        jwt::ClaimPaths,
    },
};

/// Nobody waits longer for somebody else's word.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The providers of the file.
#[derive(Default)]
pub(super) struct Providers(Vec<Arc<IntrospectionTerms>>);

impl Providers {
    /// Finds one by its name.
    pub fn find(&self, name: &str) -> Option<&Arc<IntrospectionTerms>> {
        self.0.iter().find(|terms| terms.name.as_str() == name)
    }

    /// Hands them over.
    pub fn into_all(self) -> Vec<Arc<IntrospectionTerms>> {
        self.0
    }
}

/// Reads `authentication.introspection`.
pub(super) fn compile(input: &Input<'_>, roles: &Roles<'_>, faults: &mut Faults) -> Providers {
    let mut providers = Vec::new();
    for (name, written) in input.config.authentication.introspection.iter() {
        let at = input.root().key("authentication").key("introspection").key(name.as_str());
        if input.config.authentication.jwt.has(name) {
            taken(name, "authentication.jwt", at, faults);
        }
        judge_timeout(written.timeout, at.key("timeout"), faults);
        if let Some(grants) = &written.grants {
            issuers::refer_granted(grants, roles, at.key("grants").key("roles"), faults);
        }
        let at = at.key("client_secret");
        let Some(secret) = secrets::read(input, &written.client_secret, at, faults) else {
            continue;
        };
        providers.push(Arc::new(terms(name, written, secret)));
    }
    Providers(providers)
}

/// Refuses a name that others have: of one name there is one source of principals.
pub(super) fn taken(name: &IssuerName, section: &str, at: Site<'_>, faults: &mut Faults) {
    faults
        .fault(codes::DUPLICATE, at, format!("`{name}` stands under `{section}` too"))
        .help("choose another name: the same subject of two sources would be one principal");
}

/// Refuses a time in which nobody can answer, or for which nobody would wait.
pub(super) fn judge_timeout(timeout: Period, at: Site<'_>, faults: &mut Faults) {
    if timeout.0.is_zero() || timeout.0 > LONGEST_TIMEOUT {
        faults
            .fault(codes::OUT_OF_RANGE, at, "an answer is waited for from 1ms to 30s")
            .help("clients wait as long: `1s` is a long time for a service nearby");
    }
}

/// Says that a provider is not defined, and which it could be.
pub(super) fn unknown(input: &Input<'_>, name: &str, at: Site<'_>, faults: &mut Faults) {
    let providers = &input.config.authentication.introspection;
    if providers.is_empty() && input.is_faulty("authentication.introspection") {
        return;
    }
    let names = providers.names().map(|name| name.as_str());
    let defined = "Providers are defined under `authentication.introspection`";
    faults
        .fault(codes::UNKNOWN_ISSUER, at, format!("provider `{name}` is not defined"))
        .help(undefined(name, names, defined));
}

fn terms(name: &IssuerName, written: &Introspection, secret: Secret) -> IntrospectionTerms {
    let claims = &written.claims;
    let permissions = claims.permissions.as_ref();
    IntrospectionTerms {
        name: name.clone(),
        url: written.url.as_str().to_owned(),
        client_id: written.client_id.as_str().to_owned(),
        client_secret: secret,
        cache: written.cache.0,
        timeout: written.timeout.0,
        issuer: written.issuer.as_ref().map(|issuer| issuer.as_str().to_owned()),
        audiences: written.audiences.iter().map(|one| one.as_str().to_owned()).collect(),
        claims: ClaimPaths {
            subject: claims.subject.as_str().to_owned(),
            roles: claims.roles.as_str().to_owned(),
            permissions: permissions.map_or("permissions", |path| path.as_str()).to_owned(),
            plan: claims.plan.as_str().to_owned(),
            ..ClaimPaths::default()
        },
        scope: if permissions.is_none() { ScopeRule::Fallback } else { ScopeRule::Ignored },
        grants: written.grants.as_ref().map(issuers::granted),
        fingerprint: OnceLock::new(),
    }
}
