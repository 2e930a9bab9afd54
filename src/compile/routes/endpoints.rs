//! The gateway's own endpoints: entries of the same table, for an exact path on any host.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};

use super::{Compiled, Ground};
use crate::{
    compile::{assertion::Assertion, cors, faults::Faults, token},
    config::{codes, document::Site},
    model::RouteName,
    policy::{
        authn::keys::{SigningKey, published},
        decision::{Endpoint, Reply},
        limit::Limit,
        route::{Distinguishes, Entry, MethodSet, PathPattern, Segment, Tail},
        rules::{Access, Action, CorsRule, CrossSite, HeaderTerms, Mode, Route},
    },
};

/// One of the gateway's own endpoints, as the file asks for it.
struct Own<'p> {
    /// Its name among the routes.
    name: &'static str,
    /// Where the file asks for it, beneath its root.
    key: [&'static str; 3],
    path: &'p str,
    method: Method,
    action: Action,
}

impl Ground<'_> {
    /// The endpoints that the file asks for.
    pub(super) fn endpoints(
        &self,
        token: Option<&token::Own>,
        assertion: Option<&Assertion>,
        faults: &mut Faults,
    ) -> Vec<Compiled> {
        let mut compiled: Vec<Compiled> = Vec::new();
        for own in self.asked_for(token, assertion) {
            let at = own.key.iter().filter(|key| !key.is_empty());
            let at = at.fold(self.input.root(), |at, key| at.key(key));
            match PathPattern::parse(own.path) {
                Ok(pattern) => {
                    let paths = compiled.iter().flat_map(|other| &other.entry.paths);
                    if paths.into_iter().any(|other| same_path(other, &pattern)) {
                        faults
                            .fault(
                                codes::DUPLICATE,
                                at,
                                format!("`{pattern}` is another path of the gateway's own"),
                            )
                            .help("each needs a path of its own, save `jwks_path`, which tokens and assertions may share");
                        continue;
                    }
                    compiled.push(self.endpoint(own, pattern, faults));
                }
                Err(fault) => {
                    faults
                        .fault(codes::INVALID_PATH, at, fault.to_string())
                        .help("write a path such as `/auth/token`");
                }
            }
        }
        compiled
    }

    fn asked_for<'p>(
        &'p self,
        token: Option<&'p token::Own>,
        assertion: Option<&Assertion>,
    ) -> Vec<Own<'p>> {
        let mut asked = Vec::new();
        let issuing = token.map(|own| &own.issuing);
        if let Some(path) = issuing.and_then(|issuing| issuing.path.as_deref()) {
            asked.push(Own {
                name: "portcullis:token",
                key: ["token", "path", ""],
                path,
                method: Method::POST,
                action: Action::Serve(Endpoint::Token),
            });
        }
        let tokens = issuing.and_then(|issuing| issuing.jwks_path.as_deref());
        let written = self.input.config.identity.assertion.as_ref();
        let assertions = written.and_then(|written| written.jwks_path.as_ref());
        let assertions = assertions.map(|path| path.0.as_str());
        // Which keys stand at the path of tokens, and which at that of assertions.
        let of_token = token.map(|own| own.keys.as_slice()).unwrap_or_default();
        let of_assertion = assertion.map(|own| own.keys.as_slice()).unwrap_or_default();
        let merged = tokens.is_some() && tokens == assertions;
        if let Some(path) = tokens {
            let beside = if merged { of_assertion } else { &[] };
            let keys = of_token.iter().chain(beside);
            asked.push(jwks("portcullis:jwks", ["token", "jwks_path", ""], path, keys));
        }
        if let Some(path) = assertions.filter(|_| !merged) {
            let key = ["identity", "assertion", "jwks_path"];
            asked.push(jwks("portcullis:assertion-jwks", key, path, of_assertion.iter()));
        }
        asked
    }

    fn endpoint(&self, own: Own<'_>, pattern: PathPattern, faults: &mut Faults) -> Compiled {
        let Own { name, method, action, .. } = own;
        let methods = std::slice::from_ref(&method);
        let cors =
            cors::compile(None, self.input.config.defaults.cors.as_ref(), Some(methods), faults);
        // There is no app behind it that could answer preflights.
        let cors = cors.filter(|cors| !matches!(cors, CorsRule::Upstream));
        let early = |limit: &&Arc<Limit>| !limit.needs_principal();
        let route = Route {
            name: RouteName::from(name),
            line: 0,
            action,
            access: Access::Anyone,
            deny: Vec::new(),
            allow: Vec::new(),
            mode: Mode::Enforce,
            early_limits: self.limits.iter().filter(early).cloned().collect(),
            late_limits: Vec::new(),
            cors: cors.unwrap_or(CorsRule::Off),
            response: HeaderTerms::default(),
            security_headers: self.security_headers.clone(),
            cross_site: CrossSite::Deny,
        };
        let entry = Entry {
            hosts: Vec::new(),
            paths: vec![pattern],
            methods: MethodSet::named([method]),
            distinguishes: Distinguishes::default(),
            guarded: Vec::new(),
        };
        Compiled { route, entry }
    }

    /// Refuses routes for a path of the gateway's own, whatever their methods and hosts.
    pub(super) fn refuse_taken_paths(
        &self,
        entries: &[Entry],
        sites: &[Site<'_>],
        faults: &mut Faults,
    ) {
        let (routes, own) = entries.split_at_checked(sites.len()).unwrap_or((entries, &[]));
        for (entry, at) in routes.iter().zip(sites) {
            for (index, path) in entry.paths.iter().enumerate() {
                let taken = own.iter().flat_map(|own| &own.paths).any(|own| same_path(own, path));
                if taken {
                    let at = at.key("match").key("path").item(index);
                    faults
                        .fault(codes::TAKEN_PATH, at, format!("`{path}` is the gateway's own path"))
                        .help("choose another for the route, or for `token.path` or a `jwks_path`");
                }
            }
        }
    }
}

/// The public halves of keys, as a document (RFC 7517).
fn jwks<'p, 'k>(
    name: &'static str,
    key: [&'static str; 3],
    path: &'p str,
    keys: impl Iterator<Item = &'k SigningKey>,
) -> Own<'p> {
    let fixed = |name, value| (name, HeaderValue::from_static(value));
    let reply = Reply {
        status: StatusCode::OK,
        headers: vec![
            fixed(header::CONTENT_TYPE, "application/jwk-set+json"),
            fixed(header::CACHE_CONTROL, "public, max-age=300"),
        ],
        body: published(keys).into(),
    };
    Own { name, key, path, method: Method::GET, action: Action::Respond(reply) }
}

fn same_path(own: &PathPattern, path: &PathPattern) -> bool {
    let literals = |pattern: &PathPattern| -> Option<Vec<String>> {
        let segments = pattern.segments().iter();
        segments
            .map(|segment| match segment {
                Segment::Literal(text) => Some(text.to_lowercase()),
                Segment::Parameter(_) => None,
            })
            .collect()
    };
    path.tail() == &Tail::End && literals(path).is_some_and(|path| literals(own) == Some(path))
}
