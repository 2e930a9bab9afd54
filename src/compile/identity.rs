//! `identity`: what upstreams are told about a principal, and what no client may tell them.

use std::sync::Arc;

use http::HeaderName;

use super::{Input, faults::Faults, forward_auth::Services, headers, routes::Routes};
use crate::{
    config::{
        codes,
        document::Site,
        values::{Header, Template as Written},
    },
    policy::{
        forward::{AssertionTerms, IdentityDefinition, IdentityTerms, Template, told_by_route},
        rules::Action,
    },
};

/// What upstreams are told unless the file says otherwise.
const USUAL: [(&str, &str); 4] = [
    ("x-user-id", "{principal.subject}"),
    ("x-user-roles", "{principal.roles}"),
    ("x-user-permissions", "{principal.permissions}"),
    ("x-auth-method", "{principal.method}"),
];

/// Reads `identity`; the routes add the names by which they tell of a principal.
pub(super) fn compile(
    input: &Input<'_>,
    assertion: Option<Arc<AssertionTerms>>,
    services: &Services,
    routes: Option<&Routes>,
    faults: &mut Faults,
) -> Option<IdentityTerms> {
    let written = &input.config.identity;
    let at = input.root().key("identity");
    let headers = match &written.headers {
        Some(named) => told(named.iter(), at.key("headers"), faults),
        None => usual(),
    };
    let accept = names(&written.accept, at.key("accept"), faults);
    for (index, name) in accept.iter().flatten().enumerate() {
        if headers.iter().flatten().any(|(told, _)| told == name) {
            faults
                .fault(
                    codes::CONTRADICTION,
                    at.key("accept").item(index),
                    format!("`{name}` is set by `identity.headers`: a client cannot send it too"),
                )
                .help("remove it from one of the two");
        } else if services.taken().any(|taken| taken == name) {
            faults
                .fault(
                    codes::CONTRADICTION,
                    at.key("accept").item(index),
                    format!("`{name}` is taken from a service of `forward_auth`: a client cannot send it too"),
                )
                .help("remove it from one of the two");
        }
    }
    let strip = names(&written.strip, at.key("strip"), faults);
    let told_by_routes = routes.into_iter().flat_map(|routes| &routes.routes).flat_map(|route| {
        match &route.action {
            Action::Forward(forwarding) => told_by_route(&forwarding.headers).cloned().collect(),
            Action::Redirect { .. } | Action::Respond(_) | Action::Serve(_) => Vec::new(),
        }
    });
    Some(IdentityTerms::new(IdentityDefinition {
        headers: headers?,
        assertion,
        accept: accept?,
        strip: strip?,
        told_elsewhere: told_by_routes.chain(services.taken().cloned()).collect(),
    }))
}

fn told<'w>(
    named: impl Iterator<Item = (&'w Header, &'w Written)>,
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Vec<(HeaderName, Template)>> {
    let read = named.map(|(header, text)| {
        let at = at.key(&header.0);
        // No path parameter is there on every route.
        let template = headers::template(text, &[], at, faults);
        headers::name(header, at, faults).zip(template)
    });
    // All of them are read before any is missed, so that each fault is told.
    read.collect::<Vec<_>>().into_iter().collect()
}

fn usual() -> Option<Vec<(HeaderName, Template)>> {
    let read = USUAL.iter().map(|(name, text)| {
        let template = Template::parse::<&str>(text, &[]).ok()?;
        Some((HeaderName::from_static(name), template))
    });
    read.collect()
}

fn names(written: &[Header], at: Site<'_>, faults: &mut Faults) -> Option<Vec<HeaderName>> {
    let read = written.iter().enumerate();
    let read: Vec<_> =
        read.map(|(index, header)| headers::name(header, at.item(index), faults)).collect();
    read.into_iter().collect()
}
