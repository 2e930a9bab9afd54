//! The gateway's own endpoints: entries of the same table, for an exact path on any host.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};

use super::{Compiled, Ground, OwnPaths};
use crate::{
    compile::{cors, faults::Faults},
    config::{codes, document::Site},
    model::RouteName,
    policy::{
        authn::keys::{SigningKey, published},
        decision::{Endpoint, Reply},
        limit::Limit,
        metadata::MetadataTerms,
        route::{Distinguishes, Entry, MethodSet, PathPattern, Segment, Tail},
        rules::{Access, Action, CorsRule, CrossSite, HeaderTerms, Mode, Route},
    },
};

/// One of the gateway's own endpoints, as the file asks for it.
struct Own {
    /// Its name among the routes.
    name: &'static str,
    /// Where the file asks for it, beneath its root.
    key: [&'static str; 3],
    path: String,
    method: Method,
    action: Action,
}

impl Ground<'_> {
    /// The endpoints that the file asks for. A route for the very path of a document about tokens
    /// takes its place: the app behind tells of itself.
    pub(super) fn endpoints<'e>(
        &self,
        asked: &OwnPaths<'_>,
        routes: impl Iterator<Item = &'e Entry> + Clone,
        faults: &mut Faults,
    ) -> Vec<Compiled> {
        let mut compiled: Vec<Compiled> = Vec::new();
        for own in self.named(asked) {
            let at = own.key.iter().filter(|key| !key.is_empty());
            let at = at.fold(self.input.root(), |at, key| at.key(key));
            match PathPattern::parse(&own.path) {
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
                    let line = u32::try_from(at.line()).unwrap_or_default();
                    compiled.push(self.endpoint(own, pattern, line, faults));
                }
                Err(fault) => {
                    faults
                        .fault(codes::INVALID_PATH, at, fault.to_string())
                        .help("write a path such as `/auth/token`");
                }
            }
        }
        for own in documents(asked) {
            // The path of an issuer's URL may be one that no route could have.
            let Ok(pattern) = PathPattern::parse(&own.path) else { continue };
            let own_paths = compiled.iter().flat_map(|other| &other.entry.paths);
            let mut taken = routes.clone().flat_map(|entry| &entry.paths).chain(own_paths);
            if !taken.any(|path| same_path(&pattern, path)) {
                compiled.push(self.endpoint(own, pattern, 0, faults));
            }
        }
        compiled
    }

    fn named(&self, asked: &OwnPaths<'_>) -> Vec<Own> {
        let mut named = Vec::new();
        let issuing = asked.token.map(|own| &own.issuing);
        if let Some(path) = issuing.and_then(|issuing| issuing.path.as_deref()) {
            named.push(Own {
                name: "portcullis:token",
                key: ["token", "path", ""],
                path: path.to_owned(),
                method: Method::POST,
                action: Action::Serve(Endpoint::Token),
            });
        }
        if let Some(path) = issuing.and_then(|issuing| issuing.revoke_path.as_deref()) {
            named.push(Own {
                name: "portcullis:revoke",
                key: ["token", "revoke_path", ""],
                path: path.to_owned(),
                method: Method::POST,
                action: Action::Serve(Endpoint::Revoke),
            });
        }
        let tokens = issuing.and_then(|issuing| issuing.jwks_path.as_deref());
        let written = self.input.config.identity.assertion.as_ref();
        let assertions = written.and_then(|written| written.jwks_path.as_ref());
        let assertions = assertions.map(|path| path.0.as_str());
        let of_token = asked.token.map(|own| own.keys.as_slice()).unwrap_or_default();
        let of_assertion = asked.assertion.map(|own| own.keys.as_slice()).unwrap_or_default();
        let merged = tokens.is_some() && tokens == assertions;
        if let Some(path) = tokens {
            let beside = if merged { of_assertion } else { &[] };
            let keys = of_token.iter().chain(beside);
            named.push(jwks("portcullis:jwks", ["token", "jwks_path", ""], path, keys));
        }
        if let Some(path) = assertions.filter(|_| !merged) {
            let key = ["identity", "assertion", "jwks_path"];
            named.push(jwks("portcullis:assertion-jwks", key, path, of_assertion.iter()));
        }
        named
    }

    /// Line 0 is none: the file does not ask for it in so many words.
    fn endpoint(&self, own: Own, pattern: PathPattern, line: u32, faults: &mut Faults) -> Compiled {
        let Own { name, method, action, .. } = own;
        let methods = std::slice::from_ref(&method);
        let default = self.input.config.defaults.cors.as_ref();
        let cors = cors::compile(self.input, None, default, Some(methods), faults);
        // There is no app behind it that could answer preflights.
        let cors = cors.filter(|cors| !matches!(cors, CorsRule::Upstream));
        let early = |limit: &&Arc<Limit>| !limit.needs_principal();
        let route = Route {
            name: RouteName::from(name),
            line,
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
        Compiled { name: route.name.clone(), route: Some(route), entry }
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
fn jwks<'k>(
    name: &'static str,
    key: [&'static str; 3],
    path: &str,
    keys: impl Iterator<Item = &'k SigningKey>,
) -> Own {
    let fixed = |name, value| (name, HeaderValue::from_static(value));
    let reply = Reply {
        status: StatusCode::OK,
        headers: vec![
            fixed(header::CONTENT_TYPE, "application/jwk-set+json"),
            fixed(header::CACHE_CONTROL, "public, max-age=300"),
        ],
        body: published(keys).into(),
    };
    let (path, action) = (path.to_owned(), Action::Respond(reply));
    Own { name, key, path, method: Method::GET, action }
}

/// The documents that tell clients where tokens come from.
fn documents(asked: &OwnPaths<'_>) -> Vec<Own> {
    let Some(terms) = asked.metadata else { return Vec::new() };
    let own = |name, path, endpoint| {
        let action = Action::Serve(endpoint);
        Own { name, key: [""; 3], path, method: Method::GET, action }
    };
    let resource = MetadataTerms::RESOURCE.to_owned();
    let mut documents =
        vec![own("portcullis:protected-resource", resource, Endpoint::ProtectedResource)];
    documents.extend(terms.server.as_ref().map(|server| {
        own("portcullis:authorization-server", server.place(), Endpoint::AuthorizationServer)
    }));
    documents
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
