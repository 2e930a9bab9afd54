//! What it costs to authorize a request and to plan what goes upstream, per request.
//!
//! Leaves out how the route and the principal are found, and carrying the plan out on a header
//! block.

use std::{sync::Arc, time::Duration};

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use portcullis::{
    model::{Claims, CredentialKind, Permission, Principal, Role, Timestamp},
    policy::{
        RequestFacts, Trail,
        authn::{self, AuthRule, Challenges, JwtRule, TokenPlace},
        authz::{Block, Condition, authorize},
        decision::Reply,
        forward::{
            IdentityDefinition, IdentityTerms, ResponsePlan, Template, path::PathPlan, request,
        },
        request::Scheme,
        route::Distinguishes,
        rules::{
            Access, Action, CorsRule, Credentials, CrossSite, Forwarding, HeaderTerms, Mode, Route,
            StreamTerms,
        },
        scope::Scope,
        upstream::{HostHeader, Service, Timeouts, Upstream},
    },
};
use serde_json::json;

const NOW: Timestamp = Timestamp::from_seconds(1_772_440_200);

fn main() {
    divan::main();
}

/// What a browser sends, by way of no proxy.
fn received() -> HeaderMap {
    let lines = [
        ("host", "api.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"),
        ("connection", "keep-alive"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
        ("sec-fetch-site", "same-origin"),
        ("x-requested-with", "XMLHttpRequest"),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn facts(headers: &HeaderMap) -> RequestFacts<'_> {
    let client = "192.0.2.1".parse().unwrap();
    RequestFacts {
        method: &Method::GET,
        path: "/tenants/acme/items",
        query: Some("page=2"),
        host: "api.example.com",
        headers,
        peer: client,
        peer_trusted: false,
        client,
        scheme: Scheme::Https,
        forwarded_host: "api.example.com",
        request_id: "0192f3a4-5b6c-7d8e-9f01-23456789abcd",
        websocket: false,
        port: 443,
        certificate: None,
    }
}

fn alice() -> Principal {
    let claims = json!({"tenant": "acme", "groups": ["ops", "on-call", "staff"], "level": 3});
    Principal {
        issuer: "corp".into(),
        subject: "alice".into(),
        roles: Arc::from([Role::from("user"), Role::from("editor")]),
        permissions: Arc::from([Permission::from("read:items"), Permission::from("write:items")]),
        effective_roles: Arc::from([Role::from("editor"), Role::from("user")]),
        plan: None,
        method: CredentialKind::Jwt,
        claims: Arc::new(Claims::new(claims.as_object().cloned().unwrap())),
        api_key: None,
        expires: None,
    }
}

fn identity() -> IdentityTerms {
    let headers = [
        ("x-user-id", "{principal.subject}"),
        ("x-user-roles", "{principal.roles}"),
        ("x-user-permissions", "{principal.permissions}"),
        ("x-auth-method", "{principal.method}"),
    ];
    let headers = headers.map(|(name, text)| {
        (HeaderName::from_static(name), Template::parse::<&str>(text, &[]).unwrap())
    });
    IdentityTerms::new(IdentityDefinition { headers: headers.into(), ..Default::default() })
}

fn forwarding() -> Forwarding {
    let timeouts = Timeouts {
        connect: Duration::from_secs(1),
        response: Duration::from_secs(30),
        idle: Duration::from_secs(60),
    };
    Forwarding {
        upstream: Arc::new(Upstream {
            name: "app".into(),
            service: Service::Echo,
            protocol: Default::default(),
            host: HostHeader::Preserve,
            distinguishes: Distinguishes::default(),
            timeouts,
            tls: Default::default(),
            balance: Default::default(),
            health_check: None,
            ejection: None,
            retries: None,
            bounds: None,
            slow_start: None,
        }),
        streams: StreamTerms::default(),
        path: PathPlan::default(),
        headers: HeaderTerms::default(),
        credentials: Credentials::Strip,
        body_limit: 1 << 20,
        call_limit: None,
        timeouts,
    }
}

fn route(allow: Vec<Block>) -> Route {
    let reply = Reply { status: StatusCode::OK, headers: vec![], body: Default::default() };
    let rule = AuthRule {
        methods: vec![authn::Method::Jwt(JwtRule {
            places: vec![TokenPlace::authorization()],
            ..JwtRule::of(vec![])
        })],
        challenges: Arc::new(Challenges { lines: vec![], only: None }),
        written: String::new(),
        line: 1,
    };
    Route {
        name: "bench".into(),
        line: 1,
        action: Action::Respond(reply),
        access: Access::Required(rule),
        deny: vec![],
        allow,
        mode: Mode::Enforce,
        early_limits: vec![],
        late_limits: vec![],
        cors: CorsRule::Off,
        response: HeaderTerms::default(),
        security_headers: Arc::from([]),
        cross_site: CrossSite::Deny,
    }
}

const PARAMS: [(&str, &str); 1] = [("tenant", "acme")];

#[divan::bench]
fn plan_of_a_browsers_request(bencher: Bencher<'_, '_>) {
    let (headers, alice) = (received(), alice());
    let (facts, identity, forwarding, route) =
        (facts(&headers), identity(), forwarding(), route(vec![]));
    let scope = Scope { principal: Some(&alice), facts: &facts, params: &PARAMS };
    bencher.bench(|| request::plan(&route, &forwarding, &identity, black_box(&scope), None, None));
}

#[divan::bench]
fn plan_of_the_response(bencher: Bencher<'_, '_>) {
    let headers = received();
    let (facts, route) = (facts(&headers), route(vec![]));
    bencher.bench(|| ResponsePlan::of_route(&route, black_box(&facts)));
}

#[divan::bench]
fn roles_and_permissions(bencher: Bencher<'_, '_>) {
    let block = Block {
        line: 1,
        networks: None,
        roles: Some(vec!["admin".into(), "user".into()]),
        permissions: Some(vec!["read:items".into()]),
        owner: None,
        when: None,
    };
    let (headers, alice, route) = (received(), alice(), route(vec![block]));
    let facts = facts(&headers);
    let scope = Scope { principal: Some(&alice), facts: &facts, params: &PARAMS };
    bencher.bench(|| authorize(&route, black_box(&scope), NOW, &mut Trail::unread()));
}

#[divan::bench(args = [
    "claims.tenant == path.tenant",
    "claims.tenant == path.tenant && request.method == 'GET' && claims.level > 2",
    "'ops' in claims.groups",
    "claims.groups.exists(g, g == 'staff')",
    "headers['user-agent'].matches('^Mozilla/')",
])]
fn condition(bencher: Bencher<'_, '_>, source: &str) {
    let (headers, alice) = (received(), alice());
    let facts = facts(&headers);
    let scope = Scope { principal: Some(&alice), facts: &facts, params: &PARAMS };
    let condition = Condition::compile(source, &["tenant"]).unwrap();
    bencher.bench(|| condition.holds(black_box(&scope), NOW));
}
