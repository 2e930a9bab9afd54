//! `authentication.forward_auth`: services that know who sent a request.

use std::sync::{Arc, OnceLock};

use http::HeaderName;

use super::{
    Input,
    faults::{Faults, undefined},
    headers,
    introspection::{judge_timeout, taken},
};
use crate::{
    config::{codes, document::Site, forward_auth::ForwardAuth, values::Header},
    model::IssuerName,
    policy::authn::forward_auth::ForwardAuthTerms,
};

/// The services of the file.
#[derive(Default)]
pub(super) struct Services(Vec<Arc<ForwardAuthTerms>>);

impl Services {
    /// Finds one by its name.
    pub fn find(&self, name: &str) -> Option<&Arc<ForwardAuthTerms>> {
        self.0.iter().find(|terms| terms.name.as_str() == name)
    }

    /// The headers that they say who a client is by.
    pub fn taken(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().flat_map(|terms| &terms.take)
    }

    /// Hands them over.
    pub fn into_all(self) -> Vec<Arc<ForwardAuthTerms>> {
        self.0
    }
}

/// Reads `authentication.forward_auth`.
pub(super) fn compile(input: &Input<'_>, faults: &mut Faults) -> Services {
    let authentication = &input.config.authentication;
    let mut services = Vec::new();
    for (name, written) in authentication.forward_auth.iter() {
        let at = input.root().key("authentication").key("forward_auth").key(name.as_str());
        if authentication.jwt.has(name) {
            taken(name, "authentication.jwt", at, faults);
        }
        if authentication.introspection.has(name) {
            taken(name, "authentication.introspection", at, faults);
        }
        judge_timeout(written.timeout, at.key("timeout"), faults);
        services.extend(terms(name, written, at, faults).map(Arc::new));
    }
    Services(services)
}

/// Says that a service is not defined, and which it could be.
pub(super) fn unknown(input: &Input<'_>, name: &str, at: Site<'_>, faults: &mut Faults) {
    let services = &input.config.authentication.forward_auth;
    if services.is_empty() && input.is_faulty("authentication.forward_auth") {
        return;
    }
    let names = services.names().map(|name| name.as_str());
    let defined = "Services are defined under `authentication.forward_auth`";
    faults
        .fault(codes::UNKNOWN_ISSUER, at, format!("service `{name}` is not defined"))
        .help(undefined(name, names, defined));
}

fn terms(
    name: &IssuerName,
    written: &ForwardAuth,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<ForwardAuthTerms> {
    let send = names(&written.send, at.key("send"), faults);
    let take = names(&written.take, at.key("take"), faults);
    let mut one = |written: &Header, key: &str| header(written, at.key(key), faults);
    let mut maybe = |written: &Option<Header>, key: &str| match written {
        None => Some(None),
        Some(written) => one(written, key).map(Some),
    };
    let (roles, permissions) =
        (maybe(&written.roles, "roles"), maybe(&written.permissions, "permissions"));
    let plan = maybe(&written.plan, "plan");
    let subject = one(&written.subject, "subject");
    let (mut take, subject, roles) = (take?, subject?, roles?);
    let (permissions, plan) = (permissions?, plan?);
    for name in [Some(&subject), roles.as_ref(), permissions.as_ref(), plan.as_ref()] {
        take.extend(name.filter(|name| !take.contains(name)).cloned());
    }
    Some(ForwardAuthTerms {
        name: name.clone(),
        url: written.url.as_str().to_owned(),
        send: send?,
        take,
        subject,
        roles,
        permissions,
        plan,
        cache: written.cache.0,
        timeout: written.timeout.0,
        fingerprint: OnceLock::new(),
    })
}

fn names(written: &[Header], at: Site<'_>, faults: &mut Faults) -> Option<Vec<HeaderName>> {
    let mut names = Vec::with_capacity(written.len());
    let mut sound = true;
    for (index, written) in written.iter().enumerate() {
        let at = at.item(index);
        match header(written, at, faults) {
            None => sound = false,
            Some(name) if names.contains(&name) => {
                faults
                    .fault(codes::DUPLICATE, at, format!("`{name}` stands in this list twice"))
                    .help("remove one of them");
                sound = false;
            }
            Some(name) => names.push(name),
        }
    }
    sound.then_some(names)
}

/// A name that can be sent and taken: not one that the gateway says itself.
fn header(written: &Header, at: Site<'_>, faults: &mut Faults) -> Option<HeaderName> {
    let name = written.0.to_ascii_lowercase();
    let ours = ["forwarded", "x-real-ip", "x-request-id"].contains(&name.as_str());
    // Of these some say who a client is, and no more.
    let who = ["user", "email", "groups", "preferred-username", "access-token"];
    let forwarded = name.strip_prefix("x-forwarded-").is_some_and(|rest| !who.contains(&rest));
    if ours || forwarded {
        faults
            .fault(codes::RESERVED_HEADER, at, format!("`{}` is said by the gateway", written.0))
            .help("remove it: services and upstreams are told in any case");
        return None;
    }
    headers::name(written, at, faults)
}
