//! Tests of what an upstream gets to see.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::*;
use crate::{
    model::Principal,
    policy::{
        authn::{ApiKeyTerms, AuthRule, Challenges, JwtRule, TokenPlace},
        decision::Reply,
        forward::{IdentityDefinition, Template, path::PathPlan},
        request::Scheme,
        route::Distinguishes,
        rules::{Access, Action, CorsRule, CrossSite, Mode, StreamTerms},
        scope::sample::{alice, facts, headers, scope},
        upstream::{Target, Timeouts, Upstream},
    },
};

fn name(text: &str) -> HeaderName {
    HeaderName::from_bytes(text.as_bytes()).unwrap()
}

fn pairs(lines: &[(&str, &str)]) -> Vec<(HeaderName, Template)> {
    let template = |text: &str| Template::parse(text, &["id"]).unwrap();
    lines.iter().map(|(header, value)| (name(header), template(value))).collect()
}

fn identity() -> IdentityTerms {
    IdentityTerms::new(IdentityDefinition {
        headers: pairs(&[
            ("X-User-Id", "{principal.subject}"),
            ("X-User-Roles", "{principal.roles}"),
            ("X-User-Permissions", "{principal.permissions}"),
            ("X-Auth-Method", "{principal.method}"),
            ("X-Tenant", "{claims.tenant}"),
        ]),
        ..IdentityDefinition::default()
    })
}

fn forwarding(headers: HeaderTerms) -> Forwarding {
    Forwarding {
        upstream: Arc::new(Upstream {
            name: "app".into(),
            service: Service::Echo,
            protocol: Default::default(),
            host: HostHeader::Preserve,
            distinguishes: Distinguishes::default(),
            timeouts: Timeouts::default(),
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
        headers,
        credentials: Credentials::Strip,
        body_limit: 1 << 20,
        call_limit: None,
        timeouts: Timeouts {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(1),
            idle: Duration::from_secs(1),
        },
    }
}

pub(in crate::policy) fn route(methods: Option<Vec<Method>>) -> Route {
    let rule = methods.map(|methods| AuthRule {
        methods,
        challenges: Arc::new(Challenges { lines: vec![], only: None }),
        written: String::new(),
        line: 1,
    });
    Route {
        name: "r".into(),
        line: 1,
        action: Action::Respond(Reply {
            status: StatusCode::OK,
            headers: vec![],
            body: bytes::Bytes::new(),
        }),
        access: rule.map_or(Access::Anyone, Access::Required),
        deny: vec![],
        allow: vec![],
        mode: Mode::Enforce,
        early_limits: vec![],
        late_limits: vec![],
        cors: CorsRule::Off,
        response: HeaderTerms::default(),
        security_headers: Arc::from([]),
        cross_site: CrossSite::Deny,
    }
}

fn token_and_key() -> Option<Vec<Method>> {
    let key = ApiKeyTerms { header: Some(name("X-API-Key")), query: Some("api_key".into()) };
    let bearer = JwtRule { places: vec![TokenPlace::authorization()], ..JwtRule::of(vec![]) };
    Some(vec![Method::Jwt(bearer), Method::ApiKey(Arc::new(key))])
}

/// What the upstream gets of these lines, by a route that takes tokens and keys.
fn upstream(lines: &[(&str, &str)]) -> HeaderMap {
    let received = headers(lines);
    let alice = alice(json!({}));
    forwarded_as(&received, Some(&alice), &forwarding(HeaderTerms::default()), token_and_key())
}

fn forwarded_as(
    received: &HeaderMap,
    principal: Option<&Principal>,
    forwarding: &Forwarding,
    methods: Option<Vec<Method>>,
) -> HeaderMap {
    let facts = facts(received);
    let scope = scope(principal, &facts, &[] as &[(&str, &str); 0]);
    plan(&route(methods), forwarding, &identity(), &scope, None, None).apply(received)
}

fn all<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    headers.get_all(name).into_iter().map(|value| value.to_str().unwrap()).collect()
}

#[test]
fn the_upstream_is_told_who_the_client_is() {
    let headers = upstream(&[("accept", "*/*")]);
    for (name, value) in [
        ("x-user-id", "alice"),
        ("x-user-roles", "user"),
        ("x-user-permissions", "read:items"),
        ("x-auth-method", "jwt"),
        ("accept", "*/*"),
        ("x-request-id", "r-1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "api.example.com"),
        ("x-forwarded-port", "80"),
        ("forwarded", "for=192.0.2.1;host=\"api.example.com\";proto=http"),
    ] {
        assert_eq!(all(&headers, name), [value], "{name}");
    }
    // No claim, no header: an upstream never sees a half-filled template.
    assert_eq!(all(&headers, "x-tenant"), [""; 0]);
}

#[test]
fn what_a_client_says_of_itself_goes_even_where_nobody_is_known() {
    let received = headers(&[
        ("X-User-Id", "root"),
        ("x_user_id", "root"),
        ("X.Tenant", "acme"),
        ("X-Tenant", "acme"),
        ("X-Remote-User", "root"),
        ("Remote_User", "root"),
    ]);
    for methods in [None, token_and_key()] {
        let headers = forwarded_as(&received, None, &forwarding(HeaderTerms::default()), methods);
        let kept: Vec<_> = headers.keys().filter(|key| key.as_str().contains("user")).collect();
        assert!(kept.is_empty(), "{kept:?}");
        assert!(!headers.contains_key("x-tenant") && !headers.contains_key("x.tenant"));
    }
}

#[test]
fn connection_cannot_remove_what_the_gateway_sets_nor_what_frames_the_message() {
    let headers = upstream(&[
        ("Connection", "x-user-id, X-User-Roles,x-real-ip , X-FORWARDED-FOR"),
        ("Connection", "keep-alive, x-mine, content-length, Host, x-request-id, x-not-there"),
        ("Keep-Alive", "timeout=5"),
        ("X-Mine", "1"),
        ("X-Kept", "1"),
        ("Content-Length", "0"),
        ("Host", "api.example.com"),
        ("TE", "trailers"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Proxy-Connection", "keep-alive"),
    ]);
    for kept in [
        "x-user-id",
        "x-user-roles",
        "x-real-ip",
        "x-forwarded-for",
        "x-request-id",
        "x-kept",
        "content-length",
        "host",
    ] {
        assert!(headers.contains_key(kept), "{kept}");
    }
    for gone in
        ["connection", "keep-alive", "x-mine", "te", "proxy-authorization", "proxy-connection"]
    {
        assert!(!headers.contains_key(gone), "{gone}");
    }
}

#[test]
fn every_place_that_the_route_looks_in_is_emptied_whichever_credential_decided() {
    let lines =
        [("Authorization", "Bearer x"), ("X-API-Key", "k"), ("Cookie", "a=1; session=\"x y\"; b")];
    let headers = upstream(&lines);
    assert!(!headers.contains_key("authorization") && !headers.contains_key("x-api-key"));
    assert_eq!(all(&headers, "cookie"), ["a=1; session=\"x y\"; b"]);
}

/// Looks for tokens in a cookie, a parameter and a header of their own.
fn elsewhere() -> Option<Vec<Method>> {
    let places = vec![
        TokenPlace::Cookie("session".into()),
        TokenPlace::Query("token".into()),
        TokenPlace::Header(name("X-Token")),
    ];
    Some(vec![Method::Jwt(JwtRule { places, ..JwtRule::of(vec![]) })])
}

#[test]
fn of_cookies_the_one_goes_and_nothing_else() {
    let forwarding = forwarding(HeaderTerms::default());
    let left = |lines: &[&str], more: &[(&str, &str)]| {
        let lines: Vec<_> = lines.iter().map(|line| ("Cookie", *line)).collect();
        let received = headers(&[lines.as_slice(), more].concat());
        let headers = forwarded_as(&received, None, &forwarding, elsewhere());
        all(&headers, "cookie").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(left(&["a=1; session=x; b=\"x y\"; c"], &[]), ["a=1; b=\"x y\"; c"]);
    assert_eq!(left(&["a=1", "session=x", "b=2;session=y"], &[]), ["a=1", "b=2"]);
    assert_eq!(left(&["a=1;;  b", "c=2"], &[]), ["a=1;;  b", "c=2"]);
    assert!(left(&["session=x"], &[]).is_empty());
    // What the client had taken away as a whole does not come back in part.
    assert!(left(&["a=1; session=x"], &[("Connection", "cookie")]).is_empty());
}

#[test]
fn another_spelling_of_a_header_that_the_route_looks_in_goes_and_is_counted() {
    let alice = alice(json!({}));
    let keep = Forwarding { credentials: Credentials::Keep, ..forwarding(HeaderTerms::default()) };
    let strip = forwarding(HeaderTerms::default());
    for spelling in ["X_API_Key", "x_api-key", "X.Api.Key", "x!api!key", "x~api|key"] {
        let received = headers(&[(spelling, "k")]);
        let facts = facts(&received);
        let scope = scope(Some(&alice), &facts, &[] as &[(&str, &str); 0]);
        let goes = |forwarding: &Forwarding, methods| {
            let plan = plan(&route(methods), forwarding, &identity(), &scope, None, None);
            (plan.stripped.alias, plan.apply(&received).contains_key(spelling))
        };
        assert_eq!(goes(&strip, token_and_key()), (1, false), "{spelling}");
        assert_eq!(goes(&keep, token_and_key()), (0, true), "{spelling}");
        assert_eq!(goes(&strip, None), (0, true), "{spelling}: nobody looks there");
    }
}

#[test]
fn a_public_route_and_one_that_forwards_credentials_empty_nothing() {
    let received = headers(&[("Authorization", "Bearer x"), ("X-API-Key", "k")]);
    let keep = Forwarding { credentials: Credentials::Keep, ..forwarding(HeaderTerms::default()) };
    for (forwarding, methods) in
        [(&forwarding(HeaderTerms::default()), None), (&keep, token_and_key())]
    {
        let headers = forwarded_as(&received, None, forwarding, methods);
        assert_eq!(all(&headers, "authorization"), ["Bearer x"]);
        assert_eq!(all(&headers, "x-api-key"), ["k"]);
    }
}

fn target_of(query: Option<&'static str>, path: Option<&str>) -> Option<String> {
    let received = HeaderMap::new();
    let facts = RequestFacts { query, ..facts(&received) };
    let scope = scope(None, &facts, &[] as &[(&str, &str); 0]);
    let forwarding = forwarding(HeaderTerms::default());
    plan(&route(token_and_key()), &forwarding, &identity(), &scope, path, None).target
}

#[test]
fn the_key_leaves_the_query_and_the_rest_keeps_its_bytes() {
    assert_eq!(target_of(Some("a=%20&b=+"), None), None);
    assert_eq!(target_of(None, None), None);
    let target = target_of(Some("a=%20&api_key=k&b=+"), None);
    assert_eq!(target.as_deref(), Some("/items/7?a=%20&b=+"));
    assert_eq!(target_of(Some("api_key=k"), None).as_deref(), Some("/items/7"));
    assert_eq!(target_of(Some("a"), Some("/v2/x")).as_deref(), Some("/v2/x?a"));
    assert_eq!(target_of(Some(""), Some("/v2/x")).as_deref(), Some("/v2/x?"));
    assert_eq!(target_of(Some("a"), Some("/v2/x?b=1")).as_deref(), Some("/v2/x?b=1&a"));
    assert_eq!(target_of(Some("api%5Fkey=k"), Some("/v2/x")).as_deref(), Some("/v2/x"));
}

/// A request by way of the trusted proxy 10.0.0.1.
fn through_proxy<'r>(received: &'r HeaderMap, client: &str) -> RequestFacts<'r> {
    RequestFacts {
        peer: "10.0.0.1".parse().unwrap(),
        peer_trusted: true,
        client: client.parse().unwrap(),
        scheme: Scheme::Https,
        forwarded_host: "www.example.com:8443",
        port: 8443,
        certificate: None,
        ..facts(received)
    }
}

fn plan_for(facts: &RequestFacts<'_>) -> (HeaderMap, Stripped) {
    let scope = scope(None, facts, &[] as &[(&str, &str); 0]);
    let terms = forwarding(HeaderTerms::default());
    let plan = plan(&route(None), &terms, &identity(), &scope, None, None);
    (plan.apply(facts.headers), plan.stripped)
}

#[test]
fn the_forwarded_chain_begins_with_the_client_that_was_judged() {
    let received = headers(&[
        ("X-Forwarded-For", "6.6.6.6, 203.0.113.9"),
        ("X-Forwarded-For", "10.2.2.2"),
        ("X-Forwarded-Prefix", "/shop"),
        ("X_Forwarded_Prefix", "/admin"),
        ("Forwarded", "for=6.6.6.6"),
        ("X-Real-IP", "6.6.6.6"),
    ]);
    let (headers, stripped) = plan_for(&through_proxy(&received, "203.0.113.9"));
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.9, 10.2.2.2, 10.0.0.1"),
        ("x-real-ip", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "www.example.com:8443"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-prefix", "/shop"),
        (
            "forwarded",
            "for=203.0.113.9;host=\"www.example.com:8443\";proto=https, for=10.2.2.2, for=10.0.0.1",
        ),
    ] {
        assert_eq!(all(&headers, name), [value], "{name}");
    }
    assert!(!headers.contains_key("x_forwarded_prefix"));
    assert_eq!(stripped.forwarding, 1);
}

#[test]
fn ipv6_is_written_as_each_header_wants_it() {
    let received = headers(&[("X-Forwarded-For", "2001:db8::7")]);
    let (headers, _) = plan_for(&through_proxy(&received, "2001:db8::7"));
    assert_eq!(all(&headers, "x-forwarded-for"), ["2001:db8::7, 10.0.0.1"]);
    let forwarded = all(&headers, "forwarded")[0];
    assert!(forwarded.starts_with("for=\"[2001:db8::7]\";host="), "{forwarded}");
}

#[test]
fn an_untrusted_peer_cannot_speak_for_the_connection() {
    let received = headers(&[
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Uri", "/admin"),
        ("X-Forwarded-Prefix", "/x"),
        ("X-Original-URL", "/admin"),
        ("X-Rewrite-URL", "/admin"),
        ("Proxy", "http://evil.example"),
        ("Forwarded", "for=6.6.6.6"),
    ]);
    let (headers, stripped) = plan_for(&facts(&received));
    assert_eq!(all(&headers, "x-forwarded-for"), ["192.0.2.1"]);
    for gone in
        ["x-forwarded-uri", "x-forwarded-prefix", "x-original-url", "x-rewrite-url", "proxy"]
    {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(stripped.forwarding, 7);
}

#[test]
fn what_is_removed_is_counted_by_kind_and_line() {
    let received = headers(&[
        ("X-User-Id", "a"),
        ("X-User-Id", "b"),
        ("Content_Length", "1"),
        ("X-Real-IP", "c"),
        ("Connection", "x-a"),
        ("X-A", "1"),
        ("Accept", "*/*"),
    ]);
    let (_, stripped) = plan_for(&facts(&received));
    assert_eq!(stripped, Stripped { alias: 1, forwarding: 1, hop: 2, identity: 2 });
}

#[test]
fn a_route_removes_sets_and_adds() {
    let terms = HeaderTerms {
        set: pairs(&[("X-Version", "2"), ("X-Item", "{path.id}"), ("X-Who", "{claims.gone}")]),
        add: pairs(&[("X-Note", "seen"), ("X-Absent", "{claims.gone}")]),
        remove: vec![name("X-Drop"), name("X-User-Roles")],
        read: vec![],
    };
    let received = headers(&[
        ("X-Version", "1"),
        ("X_Version", "0"),
        ("X-Note", "mine"),
        ("X-Drop", "1"),
        ("X-Who", "root"),
    ]);
    let alice = alice(json!({}));
    let facts = facts(&received);
    let params = [("id", "a,b c")];
    let scope = scope(Some(&alice), &facts, &params);
    let plan = plan(&route(None), &forwarding(terms), &identity(), &scope, None, None);
    let headers = plan.apply(&received);
    assert_eq!(all(&headers, "x-version"), ["2"]);
    assert_eq!(all(&headers, "x-item"), ["a,b%20c"]);
    assert_eq!(all(&headers, "x-note"), ["mine", "seen"]);
    assert_eq!(all(&headers, "x-user-id"), ["alice"]);
    for gone in ["x_version", "x-drop", "x-who", "x-absent", "x-user-roles"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
}

#[test]
fn the_host_is_the_clients_the_targets_or_a_literal() {
    let received = headers(&[("Host", "api.example.com")]);
    let host = |host, service| {
        let mut forwarding = forwarding(HeaderTerms::default());
        let upstream = Upstream { host, service, ..(*forwarding.upstream).clone() };
        forwarding.upstream = Arc::new(upstream);
        let headers = forwarded_as(&received, None, &forwarding, None);
        all(&headers, "host").join("|")
    };
    let target = || {
        Service::Targets(vec![Target {
            authority: "10.0.0.7:9000".into(),
            addresses: vec![],
            name: None,
            weight: 1,
            secure: None,
        }])
    };
    assert_eq!(host(HostHeader::Preserve, target()), "api.example.com");
    assert_eq!(host(HostHeader::Target, target()), "10.0.0.7:9000");
    assert_eq!(host(HostHeader::Literal("inner".into()), target()), "inner");
    assert_eq!(host(HostHeader::Target, Service::Echo), "api.example.com");
}

#[test]
fn what_the_routes_rules_read_arrives_as_it_was_read() {
    let terms = HeaderTerms { read: vec![name("X-Team")], ..HeaderTerms::default() };
    let received = headers(&[
        ("Connection", "X-Team, X-Hop"),
        ("X-Team", "mine"),
        ("X_Team", "other"),
        ("X-Hop", "1"),
    ]);
    let facts = facts(&received);
    let scope = scope(None, &facts, &[]);
    let plan = plan(&route(None), &forwarding(terms), &identity(), &scope, None, None);
    let headers = plan.apply(&received);
    assert_eq!(all(&headers, "x-team"), ["mine"]);
    assert!(!headers.contains_key("x_team") && !headers.contains_key("x-hop"));
}

#[test]
fn an_upgrade_is_written_anew_for_a_websocket_and_dropped_otherwise() {
    let received = headers(&[("Connection", "keep-alive, Upgrade, x-a"), ("Upgrade", "WebSocket")]);
    let (dropped, _) = plan_for(&facts(&received));
    assert!(!dropped.contains_key("upgrade") && !dropped.contains_key("connection"));
    let facts = RequestFacts { websocket: true, ..facts(&received) };
    let (kept, _) = plan_for(&facts);
    assert_eq!(all(&kept, "connection"), ["Upgrade"]);
    assert_eq!(all(&kept, "upgrade"), ["websocket"]);
}

#[test]
fn a_trailer_says_nothing_that_a_header_may_not() {
    let route = HeaderTerms { set: pairs(&[("X-Version", "2")]), ..HeaderTerms::default() };
    let passes = |text: &str| identity().passes_trailer(&name(text), &route);
    for text in ["grpc-status", "x-checksum", "server-timing"] {
        assert!(passes(text), "{text}");
    }
    for text in [
        "x-user-id",
        "x_user_id",
        "x-tenant",
        "x-forwarded-for",
        "forwarded",
        "content-length",
        "transfer-encoding",
        "host",
        "authorization",
        "cookie",
        "connection",
        "x-version",
        "x_version",
        "x-request-id",
    ] {
        assert!(!passes(text), "{text}");
    }
}

mod properties;
