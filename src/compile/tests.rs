//! Whole files, compiled.

use std::time::Duration;

use super::*;
use crate::{
    config::{codes, load_text},
    policy::{
        authn::{Method, OnlyMethod},
        decision::Endpoint,
        rules::{Access, Action, CorsRule, Credentials, Route},
    },
};

const SHIPPED: &str = include_str!("../../gateway.yaml");
const SECRET: &str = "9d2c41fbb1a04e3f8c67d05a2be1f937";

fn environment(name: &str) -> Option<String> {
    (name == "SECRET").then(|| SECRET.to_owned())
}

fn compiled(text: &str) -> Compiled {
    compiled_in(text, &Circumstances::default())
}

fn compiled_in(text: &str, circumstances: &Circumstances) -> Compiled {
    compile(&load_text("gateway.yaml", text, &environment), circumstances)
}

/// The codes of what was found, each with the text that it points at.
fn found(text: &str) -> Vec<(&'static str, String)> {
    let diagnostics = compiled(text).diagnostics;
    let shown = |one: &Diagnostic| one.span.as_ref().map(|span| span.shown()).unwrap_or_default();
    diagnostics.iter().map(|one| (one.code, shown(one))).collect()
}

fn outcome(text: &str) -> Outcome {
    let compiled = compiled(text);
    let told = diagnostic::to_text(&compiled.diagnostics, false);
    compiled.outcome.unwrap_or_else(|| panic!("{told}"))
}

fn route<'o>(outcome: &'o Outcome, name: &str) -> &'o Route {
    outcome.policy.routes.iter().find(|route| route.name.as_str() == name).unwrap()
}

#[test]
fn the_shipped_file_is_valid_and_warned_of_for_its_secrets_alone() {
    let compiled = compiled(SHIPPED);
    let codes: Vec<_> = compiled.diagnostics.iter().map(|one| one.code).collect();
    let told = diagnostic::to_text(&compiled.diagnostics, false);
    assert_eq!(codes, [codes::DEMONSTRATION_SECRET; 3], "{told}");
    let outcome = compiled.outcome.unwrap();
    assert_eq!(outcome.policy.routes.len(), 10, "seven routes, the token endpoint, two documents");
    let listen: Vec<_> = outcome.serving.listen.iter().map(|one| one.address).collect();
    assert_eq!(listen, ["127.0.0.1:8080".parse::<std::net::SocketAddr>().unwrap()]);
    let token = route(&outcome, "portcullis:token");
    assert!(matches!(token.action, Action::Serve(Endpoint::Token)));
    assert_eq!((token.early_limits.len(), token.late_limits.len()), (1, 0));
}

#[test]
fn demonstration_secrets_are_refused_where_others_can_come_in() {
    let open = SHIPPED.replace("address: 127.0.0.1:8080", "address: 0.0.0.0:8080");
    let proxied = SHIPPED.replace("server:\n", "server:\n  trusted_proxies: [10.0.0.0/8]\n");
    let allowed = Circumstances { demonstration_allowed: true, ..Circumstances::default() };
    for text in [open, proxied] {
        let refused = compiled(&text);
        assert!(refused.outcome.is_none());
        assert_eq!(refused.diagnostics.iter().filter(|one| one.is_error()).count(), 3);
        let allowed = compiled_in(&text, &allowed);
        assert!(allowed.outcome.is_some());
        assert_eq!(allowed.diagnostics.len(), 3, "still warned of");
    }
}

#[test]
fn strict_makes_warnings_faults() {
    let compiled = compiled(SHIPPED).strict();
    assert!(compiled.outcome.is_none());
    assert!(compiled.diagnostics.iter().all(Diagnostic::is_error));
}

#[test]
fn what_is_not_written_has_its_default() {
    let outcome = outcome("version: 1\n");
    let Serving { listen, workers, drain_delay, drain_timeout, admin, log, .. } = outcome.serving;
    let listen: Vec<_> = listen.iter().map(|one| (one.address, one.tls.is_some())).collect();
    assert_eq!(listen, [("127.0.0.1:8080".parse().unwrap(), false)]);
    assert_eq!(
        (workers, drain_delay, drain_timeout),
        (None, Duration::ZERO, Duration::from_secs(30))
    );
    assert_eq!(admin.listen, "127.0.0.1:9090".parse().unwrap());
    assert!(admin.token.is_none() && admin.hosts.is_empty());
    assert!(log.access && log.identity);
    let policy = outcome.policy;
    assert!(policy.server.trusted_proxies.is_empty());
    let limits = &policy.server.limits;
    assert_eq!(
        (limits.header_bytes, limits.header_count, limits.uri_bytes),
        (32 << 10, 100, 8 << 10)
    );
    assert_eq!((limits.body, policy.counters), (10 << 20, 1_000_000));
    let failures = policy.failure_limit.unwrap();
    assert_eq!(
        failures.rules().map(|rule| rule.told().to_string()).collect::<Vec<_>>(),
        ["60 per 1 minute"]
    );
    assert!(policy.login_limit.is_some());
    let names: Vec<_> =
        policy.default_security_headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "x-content-type-options",
            "x-frame-options",
            "x-xss-protection",
            "strict-transport-security"
        ]
    );
    let told: Vec<_> = policy.identity.headers().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(told, ["x-user-id", "x-user-roles", "x-user-permissions", "x-auth-method"]);
}

#[test]
fn the_one_configured_method_is_the_default() {
    let text = "
version: 1
upstreams: { app: { builtin: echo } }
token: { secret: '${SECRET}' }
routes:
  - { name: a, match: { path: /a }, upstream: app }
  - { name: b, match: { path: /b }, upstream: app, auth: optional }
  - { name: c, match: { path: /c }, upstream: app, auth: none }
";
    let outcome = outcome(text);
    let Access::Required(rule) = &route(&outcome, "a").access else { panic!("required") };
    assert!(matches!(rule.methods.as_slice(), [Method::Jwt(_)]));
    assert_eq!(rule.challenges.lines, ["Bearer"]);
    assert!(matches!(route(&outcome, "b").access, Access::IfPresented(_)));
    assert!(matches!(route(&outcome, "c").access, Access::Anyone));
}

#[test]
fn a_route_without_auth_is_never_public() {
    let text = "
version: 1
upstreams: { app: { builtin: echo } }
routes:
  - { name: a, match: { path: /a }, upstream: app }
";
    assert_eq!(found(text)[0].0, codes::AUTH_UNDECIDED);
    let several =
        format!("{text}authentication: {{ basic: {{}}, api_keys: {{ header: X-Key }} }}\n");
    assert_eq!(found(&several)[0].0, codes::AUTH_UNDECIDED);
}

#[test]
fn issuers_of_one_route_are_one_method_at_the_place_of_the_first() {
    let text = "
version: 1
upstreams: { app: { builtin: echo } }
authentication:
  jwt:
    a: { issuer: a, audiences: [x], algorithms: [HS256], secret: '${SECRET}' }
    b: { issuer: b, audiences: [x], algorithms: [HS256], secret: '${SECRET}' }
  api_keys: { query: key, reject_status: 403 }
  basic: {}
token: { secret: '${SECRET}' }
routes:
  - { name: mixed, match: { path: /a }, upstream: app, auth: [jwt:b, api_key, 'jwt:a', basic] }
  - { name: all, match: { path: /b }, upstream: app, auth: jwt }
  - { name: key, match: { path: /c }, upstream: app, auth: api_key }
";
    let outcome = outcome(text);
    let rule = route(&outcome, "mixed").access.rule().unwrap();
    let [Method::Jwt(jwt), Method::ApiKey(_), Method::Basic(_)] = rule.methods.as_slice() else {
        panic!("{:?}", rule.methods)
    };
    let names = |jwt: &crate::policy::authn::JwtRule| {
        jwt.issuers.iter().map(|issuer| issuer.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(jwt), ["b", "a"]);
    assert_eq!(
        rule.challenges.lines,
        [
            "Bearer",
            "ApiKey realm=\"portcullis\", in=\"query\", name=\"key\"",
            "Basic realm=\"portcullis\", charset=\"UTF-8\"",
        ]
    );
    assert_eq!(rule.challenges.only, None);
    let all = route(&outcome, "all").access.rule().unwrap();
    let [Method::Jwt(jwt)] = all.methods.as_slice() else { panic!("one method") };
    assert_eq!(names(jwt), ["a", "b", "token"]);
    let key = route(&outcome, "key").access.rule().unwrap();
    assert_eq!(key.challenges.only, Some(OnlyMethod::ApiKey(http::StatusCode::FORBIDDEN)));
}

#[test]
fn maps_on_a_route_merge_over_the_defaults_and_lists_replace_them() {
    let text = "
version: 1
upstreams: { app: { builtin: echo, timeouts: { connect: 7s, idle: 8s, response: 9s } } }
defaults:
  auth: none
  timeouts: { idle: 20s, response: 21s }
  rate_limit: { limit: 100/minute }
  security_headers: { X-Frame-Options: SAMEORIGIN, X-Extra: a }
  cors: { allow_origins: [https://a.example], max_age: 10m }
routes:
  - { name: plain, match: { path: /a }, upstream: app }
  - name: own
    match: { path: /b }
    upstream: app
    timeouts: { response: 5s }
    rate_limit: [{ limit: 1/second }, { limit: 9/hour }]
    security_headers: { X-Extra: false }
    cors: { allow_credentials: true }
    forward_credentials: true
    request: { body_limit: 1KiB }
  - { name: bare, match: { path: /c }, upstream: app, rate_limit: false, security_headers: false, cors: false }
  - { name: app, match: { path: /d }, upstream: app, cors: upstream }
";
    let outcome = outcome(text);
    let forwarding = |name: &str| match &route(&outcome, name).action {
        Action::Forward(forwarding) => forwarding,
        other => panic!("{other:?}"),
    };
    let seconds = Duration::from_secs;
    let timeouts = forwarding("plain").timeouts;
    assert_eq!(
        (timeouts.connect, timeouts.idle, timeouts.response),
        (seconds(7), seconds(20), seconds(21))
    );
    assert_eq!(forwarding("own").timeouts.response, seconds(5));
    assert_eq!(forwarding("own").credentials, Credentials::Keep);
    assert_eq!((forwarding("own").body_limit, forwarding("plain").body_limit), (1 << 10, 10 << 20));
    let (plain, own, bare) =
        (route(&outcome, "plain"), route(&outcome, "own"), route(&outcome, "bare"));
    assert!(
        Arc::ptr_eq(&plain.early_limits[0], &route(&outcome, "app").early_limits[0]),
        "one count"
    );
    assert_eq!((own.early_limits.len(), bare.early_limits.len()), (2, 0));
    let header = |route: &Route, name: &str| {
        let found = route.security_headers.iter().find(|(known, _)| known.as_str() == name);
        found.map(|(_, value)| value.to_str().unwrap().to_owned())
    };
    assert_eq!(header(plain, "x-extra").as_deref(), Some("a"));
    assert_eq!(header(own, "x-extra"), None);
    assert_eq!(header(own, "x-frame-options").as_deref(), Some("SAMEORIGIN"));
    assert!(bare.security_headers.is_empty());
    assert!(matches!(own.cors, CorsRule::On(_)) && matches!(bare.cors, CorsRule::Off));
    assert!(matches!(route(&outcome, "app").cors, CorsRule::Upstream));
}

#[test]
fn a_name_is_looked_up_by_the_caller_and_localhost_is_both_loopbacks() {
    let text = "
version: 1
upstreams: { named: http://App.Internal:9000, local: http://localhost:9000, plain: 'http://[::ffff:192.0.2.1]:1' }
routes:
  - { name: direct, match: { path: /a }, upstream: 'http://other.internal', auth: none }
";
    let loaded = load_text("gateway.yaml", text, &environment);
    let names: Vec<String> = names_to_look_up(&loaded.config).into_iter().collect();
    assert_eq!(names, ["app.internal", "other.internal"]);
    let addresses =
        BTreeMap::from([("app.internal".to_owned(), vec!["192.0.2.7".parse().unwrap()])]);
    let circumstances = Circumstances { addresses, ..Circumstances::default() };
    let outcome = compile(&loaded, &circumstances).outcome.unwrap();
    let addresses = |name: &str| {
        let upstream =
            outcome.policy.upstreams.iter().find(|one| one.name.as_str() == name).unwrap();
        let [target] = upstream.service.targets() else { panic!("one target") };
        target.addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(addresses("named"), ["192.0.2.7:9000"]);
    assert_eq!(addresses("local"), ["127.0.0.1:9000", "[::1]:9000"]);
    assert_eq!(addresses("plain"), ["192.0.2.1:1"]);
    assert!(addresses("http://other.internal").is_empty());
}

#[test]
fn a_name_that_leads_to_the_gateway_itself_is_refused_once_it_is_known() {
    let text = "version: 1\nserver: { listen: 192.0.2.1:8080 }\nupstreams: { app: 'http://gw.internal:8080' }\n";
    assert!(compiled(text).outcome.is_some());
    let addresses =
        BTreeMap::from([("gw.internal".to_owned(), vec!["192.0.2.1".parse().unwrap()])]);
    let compiled = compiled_in(text, &Circumstances { addresses, ..Circumstances::default() });
    assert_eq!(compiled.diagnostics[0].code, codes::OWN_LISTENER);
}

#[test]
fn what_is_missing_because_it_was_refused_is_not_told_again() {
    let text = "
version: 1
upstreams: { app: { builtin: echo } }
token: { secret: ${UNSET} }
roles: { user: { permissions: 7 } }
routes:
  - { name: a, match: { path: /a }, upstream: app, auth: jwt, allow: { roles: [user] } }
  - { name: b, match: { path: /b }, upstream: app, auth: jwt:token }
";
    let codes: Vec<_> = found(text).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [codes::YAML_SYNTAX], "{codes:?}");
    let quoted = text.replace("${UNSET}", "'${UNSET}'");
    let codes: Vec<_> = found(&quoted).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [codes::UNSET_VARIABLE, codes::WRONG_TYPE], "{codes:?}");
}

#[test]
fn a_part_of_a_text_is_pointed_at() {
    let text = "
version: 1
upstreams: { app: { builtin: echo } }
routes:
  - name: a
    match: { path: /a }
    upstream: app
    auth: none
    allow: { when: \"request.methd == 'GET'\" }
    request: { headers: { set: { X-A: \"id {request.idd}\" } } }
";
    let found = found(text);
    assert_eq!(found[0], (codes::INVALID_EXPRESSION, ".".to_owned()), "where the member is taken");
    assert_eq!(found[1], (codes::INVALID_TEMPLATE, "request.idd".to_owned()));
}

#[test]
fn ten_thousand_routes_are_compiled() {
    let mut text = String::from("version: 1\nupstreams: { app: { builtin: echo } }\nroutes:\n");
    for number in 0..10_000 {
        text.push_str(&format!(
            "  - {{ match: {{ path: \"/service{}/v1/items{number}/{{id}}\", methods: [GET] }}, upstream: app, auth: none }}\n",
            number % 100,
        ));
    }
    assert_eq!(outcome(&text).policy.routes.len(), 10_000);
}
