//! What is done to a response, whoever makes it: the upstream, or the gateway itself.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::{
    HeaderEdit, ResponsePlan,
    cors::is_replaced,
    request::{X_REQUEST_ID, route_headers},
};
use crate::{
    model::Timestamp,
    policy::{
        RequestFacts,
        limit::{HEADER_NAMES, Standing},
        rules::{CorsRule, Route},
        scope::Scope,
    },
};

impl ResponsePlan {
    /// For a request that falls under a route.
    pub fn of_route(route: &Route, facts: &RequestFacts<'_>) -> Self {
        Self::new(&route.cors, &route.security_headers, facts)
    }

    /// For a request with these rules: security headers, cross-origin headers and the request's
    /// id. All answers have them, refusals too.
    pub fn new(
        cors: &CorsRule,
        security_headers: &Arc<[(HeaderName, HeaderValue)]>,
        facts: &RequestFacts<'_>,
    ) -> Self {
        let mut plan = Self::of_preflight(security_headers, facts);
        if let CorsRule::On(cors) = cors {
            plan.replaces_cors = true;
            cors.edit(facts.headers, &mut plan.edits);
        }
        plan
    }

    /// For the answer to a preflight, which has its cross-origin headers already.
    pub fn of_preflight(
        security_headers: &Arc<[(HeaderName, HeaderValue)]>,
        facts: &RequestFacts<'_>,
    ) -> Self {
        let mut edits = Vec::with_capacity(16);
        let id = HeaderValue::from_str(facts.request_id).ok();
        edits.extend(id.map(|id| HeaderEdit::Set(X_REQUEST_ID, id)));
        let security_headers = Some(Arc::clone(security_headers));
        Self { edits, security_headers, replaces_cors: false, route: 0..0 }
    }

    /// Tells how the caller stands with the limit that is closest to exhaustion, in place of what
    /// the upstream says of limits.
    pub fn tell(&mut self, standing: &Standing, now: Timestamp) {
        let values = standing.header_values(now);
        let lines = HEADER_NAMES.into_iter().zip(values);
        self.edits.extend(lines.map(|(name, value)| HeaderEdit::Set(name, value)));
    }

    /// What the route itself takes out, sets and adds: for answers of its upstream and those
    /// written in the file, not for refusals, which say themselves how they may be cached.
    pub fn add_route_headers(&mut self, route: &Route, scope: &Scope<'_>) {
        let start = self.edits.len();
        route_headers(&route.response, scope, &mut self.edits);
        self.route = start..self.edits.len();
    }

    /// Takes those back, for a refusal after all: an upstream that failed must not be answered
    /// for with a `Cache-Control` that was meant for its answers.
    pub fn forget_route_headers(&mut self) {
        let route = std::mem::replace(&mut self.route, 0..0);
        if route.end <= self.edits.len() {
            self.edits.drain(route);
        }
    }

    /// The request's id as a header.
    pub fn request_id(&self) -> Option<(&HeaderName, &HeaderValue)> {
        self.edits.iter().find_map(|edit| match edit {
            HeaderEdit::Set(name, id) if *name == X_REQUEST_ID => Some((name, id)),
            HeaderEdit::Append(..) | HeaderEdit::Remove(_) | HeaderEdit::Set(..) => None,
        })
    }

    /// The received headers that go before anything is set: what was said of other origins.
    pub fn replaced(&self, headers: &HeaderMap) -> SmallVec<[HeaderName; 8]> {
        if !self.replaces_cors {
            return SmallVec::new();
        }
        headers.keys().filter(|name| is_replaced(name)).cloned().collect()
    }

    /// Makes the changes to a header block: security headers first, so that what a route sets
    /// under such a name stands.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in self.replaced(headers) {
            headers.remove(name);
        }
        for (name, value) in self.security_headers.iter().flat_map(|lines| lines.iter()) {
            headers.insert(name, value.clone());
        }
        for edit in &self.edits {
            edit.apply(headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header;
    use serde_json::json;

    use super::*;
    use crate::policy::{
        forward::{Cors, Template, cors::CorsDefinition, request::tests::route},
        rules::HeaderTerms,
        scope::sample::{alice, facts, headers, scope},
    };

    fn lines(pairs: &[(&str, &str)]) -> Arc<[(HeaderName, HeaderValue)]> {
        headers(pairs).into_iter().filter_map(|(name, value)| Some((name?, value))).collect()
    }

    fn guarded() -> Route {
        let cors = CorsDefinition {
            allow_origins: vec!["https://example.com".into()],
            ..CorsDefinition::default()
        };
        let template = |text: &str| Template::parse::<&str>(text, &[]).unwrap();
        Route {
            cors: CorsRule::On(Arc::new(Cors::parse(&cors, None).unwrap())),
            security_headers: lines(&[
                ("x-frame-options", "SAMEORIGIN"),
                ("x-content-type-options", "nosniff"),
            ]),
            response: HeaderTerms {
                set: vec![
                    (header::CACHE_CONTROL, template("public")),
                    (HeaderName::from_static("x-for"), template("{principal.subject}")),
                ],
                add: vec![],
                remove: vec![header::SERVER],
                read: vec![],
            },
            ..route(None)
        }
    }

    fn upstream() -> HeaderMap {
        headers(&[
            ("X-Frame-Options", "ALLOW"),
            ("X-Frame-Options", "DENY"),
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Allow-Credentials", "true"),
            ("X-Request-ID", "theirs"),
            ("Server", "app"),
            ("Vary", "Accept"),
            ("Cache-Control", "private"),
        ])
    }

    fn all<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
        headers.get_all(name).into_iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn the_gateways_word_is_said_once_and_over_the_upstreams() {
        let (request, alice) = (headers(&[("Origin", "https://example.com")]), alice(json!({})));
        let facts = facts(&request);
        let route = guarded();
        let mut plan = ResponsePlan::of_route(&route, &facts);
        plan.add_route_headers(&route, &scope(Some(&alice), &facts, &[] as &[(&str, &str); 0]));
        let mut response = upstream();
        plan.apply(&mut response);
        for (name, values) in [
            ("x-frame-options", &["SAMEORIGIN"][..]),
            ("x-content-type-options", &["nosniff"]),
            ("access-control-allow-origin", &["https://example.com"]),
            ("access-control-allow-credentials", &[]),
            ("x-request-id", &["r-1"]),
            ("server", &[]),
            ("vary", &["Accept", "Origin"]),
            ("cache-control", &["public"]),
            ("x-for", &["alice"]),
        ] {
            assert_eq!(all(&response, name), values, "{name}");
        }
    }

    #[test]
    fn a_refusal_has_all_but_what_the_route_says_of_its_own_answers() {
        let request = headers(&[("Origin", "https://example.com")]);
        let facts = facts(&request);
        let mut response = headers(&[("Cache-Control", "no-store")]);
        ResponsePlan::of_route(&guarded(), &facts).apply(&mut response);
        assert_eq!(all(&response, "cache-control"), ["no-store"]);
        assert_eq!(all(&response, "access-control-allow-origin"), ["https://example.com"]);
        assert_eq!(all(&response, "x-frame-options"), ["SAMEORIGIN"]);
        assert_eq!(all(&response, "x-request-id"), ["r-1"]);
    }

    #[test]
    fn a_refusal_after_all_forgets_what_was_meant_for_the_upstreams_answer() {
        let (request, alice) = (headers(&[("Origin", "https://example.com")]), alice(json!({})));
        let facts = facts(&request);
        let route = guarded();
        let refusal = ResponsePlan::of_route(&route, &facts);
        let mut plan = ResponsePlan::of_route(&route, &facts);
        plan.add_route_headers(&route, &scope(Some(&alice), &facts, &[] as &[(&str, &str); 0]));
        let told = HeaderEdit::Set(X_REQUEST_ID, HeaderValue::from_static("later"));
        plan.edits.push(told.clone());
        plan.forget_route_headers();
        plan.forget_route_headers();
        assert_eq!(plan.edits, [refusal.edits, vec![told]].concat());
    }

    #[test]
    fn without_rules_the_upstreams_cross_origin_headers_are_left_alone() {
        let request = headers(&[("Origin", "https://example.com")]);
        let facts = facts(&request);
        for cors in [CorsRule::Off, CorsRule::Upstream] {
            let mut response = upstream();
            ResponsePlan::new(&cors, &lines(&[]), &facts).apply(&mut response);
            assert_eq!(all(&response, "access-control-allow-origin"), ["*"]);
            assert_eq!(all(&response, "vary"), ["Accept"]);
        }
    }
}
