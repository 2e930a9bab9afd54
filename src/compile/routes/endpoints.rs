//! The gateway's own endpoints: entries of the same table, for an exact path on any host.

use std::sync::Arc;

use http::Method;

use super::{Compiled, Ground};
use crate::{
    compile::{cors, faults::Faults},
    config::{codes, document::Site},
    model::RouteName,
    policy::{
        decision::Endpoint,
        limit::Limit,
        route::{Distinguishes, Entry, MethodSet, PathPattern, Segment, Tail},
        rules::{Access, Action, CorsRule, CrossSite, HeaderTerms, Mode, Route},
    },
};

impl Ground<'_> {
    /// The endpoints that the file asks for.
    pub(super) fn endpoints(&self, faults: &mut Faults) -> Vec<Compiled> {
        let Some(issuing) = self.issuing else { return Vec::new() };
        let endpoints = [
            ("path", &issuing.path, Endpoint::Token, Method::POST),
            ("jwks_path", &issuing.jwks_path, Endpoint::Jwks, Method::GET),
        ];
        let mut compiled = Vec::new();
        for (key, path, endpoint, method) in endpoints {
            let Some(path) = path else { continue };
            match PathPattern::parse(path) {
                Ok(pattern) => compiled.push(self.endpoint(endpoint, method, pattern, faults)),
                Err(fault) => {
                    let at = self.input.root().key("token").key(key);
                    faults
                        .fault(codes::INVALID_PATH, at, fault.to_string())
                        .help("write a path such as `/auth/token`");
                }
            }
        }
        compiled
    }

    fn endpoint(
        &self,
        endpoint: Endpoint,
        method: Method,
        pattern: PathPattern,
        faults: &mut Faults,
    ) -> Compiled {
        let name = match endpoint {
            Endpoint::Jwks => "portcullis:jwks",
            Endpoint::Token => "portcullis:token",
        };
        let methods = std::slice::from_ref(&method);
        let cors =
            cors::compile(None, self.input.config.defaults.cors.as_ref(), Some(methods), faults);
        // There is no app behind it that could answer preflights.
        let cors = cors.filter(|cors| !matches!(cors, CorsRule::Upstream));
        let early = |limit: &&Arc<Limit>| !limit.needs_principal();
        let route = Route {
            name: RouteName::from(name),
            line: 0,
            action: Action::Serve(endpoint),
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
                        .help("choose another for the route, or for `token.path` or `token.jwks_path`");
                }
            }
        }
    }
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
