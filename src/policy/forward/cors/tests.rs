//! Tests of cross-origin rules: whose page may read what.

use super::*;
use crate::policy::{client::Received, server::ServerTerms};

fn definition() -> CorsDefinition {
    CorsDefinition {
        allow_origins: vec!["https://example.com".into(), "https://*.example.org".into()],
        allow_credentials: true,
        allow_methods: Some(vec!["GET".into(), "POST".into(), "DELETE".into()]),
        allow_headers: vec!["X-Custom".into(), "Authorization".into()],
        expose_headers: vec!["X-Request-ID".into()],
        max_age: Some(Duration::from_secs(600)),
    }
}

fn cors(definition: &CorsDefinition) -> Cors {
    Cors::parse(definition, Some(&[Method::GET, Method::DELETE, Method::PATCH])).unwrap()
}

fn origins(written: &[&str]) -> Cors {
    let allow_origins = written.iter().map(ToString::to_string).collect();
    Cors::parse(&CorsDefinition { allow_origins, ..CorsDefinition::default() }, None).unwrap()
}

fn faults(definition: &CorsDefinition) -> Vec<CorsFault> {
    Cors::parse(definition, None).unwrap_err()
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The answer to a preflight as sorted lines, and whether it allows.
fn preflight(cors: &Cors, lines: &[(&'static str, &str)]) -> (Vec<String>, bool) {
    let headers = headers(lines);
    let preflight = Preflight::find(&Method::OPTIONS, &headers).unwrap();
    let answer = cors.answer(&preflight);
    assert_eq!(answer.reply.status, 204);
    assert!(answer.reply.body.is_empty());
    let mut lines: Vec<String> = answer
        .reply
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    (lines, answer.allowed)
}

const VARY: [&str; 3] =
    ["vary: Access-Control-Request-Headers", "vary: Access-Control-Request-Method", "vary: Origin"];

#[test]
fn a_preflight_is_answered_with_the_origin_itself_and_the_routes_methods_within_the_rules() {
    let (lines, allowed) = preflight(
        &cors(&definition()),
        &[
            ("origin", "https://example.com"),
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", "x-custom, Content-Type"),
        ],
    );
    assert!(allowed);
    let mut expected = vec![
        "access-control-allow-credentials: true",
        "access-control-allow-headers: X-Custom, Authorization, Accept, Accept-Language, \
         Content-Language, Content-Type",
        "access-control-allow-methods: GET, DELETE",
        "access-control-allow-origin: https://example.com",
        "access-control-max-age: 600",
    ];
    expected.extend(VARY);
    assert_eq!(lines, expected);
}

#[test]
fn an_origin_method_or_header_that_is_not_allowed_gets_nothing() {
    let cors = cors(&definition());
    for lines in [
        &[("origin", "https://evil.example"), ("access-control-request-method", "GET")][..],
        // Of the rules, but not of the route.
        &[("origin", "https://example.com"), ("access-control-request-method", "POST")],
        // Of the route, but not of the rules.
        &[("origin", "https://example.com"), ("access-control-request-method", "PATCH")],
        &[("origin", "https://example.com"), ("access-control-request-method", "get")],
        &[
            ("origin", "https://example.com"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "x-custom, x-other"),
        ],
        &[
            ("origin", "https://example.com"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "x custom"),
        ],
        &[
            ("origin", "https://example.com"),
            ("origin", "https://evil.example"),
            ("access-control-request-method", "GET"),
        ],
    ] {
        let (answer, allowed) = preflight(&cors, lines);
        assert_eq!((answer, allowed), (VARY.map(str::to_owned).to_vec(), false), "{lines:?}");
    }
}

#[test]
fn any_origin_and_any_header() {
    let definition = CorsDefinition {
        allow_origins: vec!["*".into()],
        allow_headers: vec!["*".into()],
        ..CorsDefinition::default()
    };
    let cors = Cors::parse(&definition, None).unwrap();
    let (lines, allowed) = preflight(
        &cors,
        &[
            ("origin", "null"),
            ("access-control-request-method", "PURGE"),
            ("access-control-request-headers", "Authorization,x-a"),
        ],
    );
    assert!(allowed);
    let mut expected = vec![
        "access-control-allow-headers: authorization, x-a",
        "access-control-allow-methods: PURGE",
        "access-control-allow-origin: *",
    ];
    expected.extend(VARY);
    assert_eq!(lines, expected);
}

#[test]
fn a_plain_options_request_is_no_preflight() {
    let find = |method: &Method, lines: &[(&'static str, &str)]| {
        Preflight::find(method, &headers(lines)).map(|found| found.method)
    };
    let whole = [("origin", "https://a"), ("access-control-request-method", "PUT")];
    assert_eq!(find(&Method::OPTIONS, &whole), Some(Method::PUT));
    assert_eq!(find(&Method::GET, &whole), None);
    assert_eq!(find(&Method::OPTIONS, &whole[..1]), None);
    assert_eq!(find(&Method::OPTIONS, &whole[1..]), None);
    let twice = [whole[0], whole[1], ("access-control-request-method", "GET")];
    assert_eq!(find(&Method::OPTIONS, &twice), None);
    let malformed = [whole[0], ("access-control-request-method", "A B")];
    assert_eq!(find(&Method::OPTIONS, &malformed), None);
}

#[test]
fn an_origin_is_exact_or_beneath_a_wildcards_dot() {
    let cors = origins(&[
        "https://example.com",
        "https://*.example.org",
        "http://*.local.test:3000",
        "https://Shop.Example:443",
        "app+x://host",
    ]);
    for (origin, allowed) in [
        ("https://example.com", true),
        ("https://a.example.org", true),
        ("https://a.b.example.org", true),
        ("http://a.local.test:3000", true),
        ("https://shop.example", true),
        ("app+x://host", true),
        ("https://example.com.evil.test", false),
        ("https://evilexample.com", false),
        ("https://www.example.com", false),
        ("http://example.com", false),
        ("https://example.com:8443", false),
        ("https://example.com/", false),
        ("https://EXAMPLE.com", false),
        ("https://example.org", false),
        ("https://evilexample.org", false),
        ("https://.example.org", false),
        ("https://a..example.org", false),
        ("https://evil.test/.example.org", false),
        ("https://evil.test#.example.org", false),
        ("https://evil.test?.example.org", false),
        ("https://evil.test:1.example.org", false),
        ("https://u@a.example.org", false),
        ("https://a.example.org:443", false),
        ("http://a.local.test", false),
        ("null", false),
        ("", false),
        ("*", false),
    ] {
        let matched = cors.matched(&headers(&[("origin", origin)]));
        assert_eq!(matched.is_some(), allowed, "{origin}");
        assert!(matched.is_none_or(|matched| matched == origin));
    }
}

#[test]
fn rules_that_cannot_be_are_named_all_at_once() {
    let wrong = CorsDefinition {
        allow_origins: [
            "*",
            "null",
            "example.com",
            "https://",
            "https://a/",
            "https://*",
            "https://*.",
            "https://a.*.b",
            "https://a b",
            "://a",
            "https://a:x",
            "https://a:",
            "https://*..a",
        ]
        .map(String::from)
        .to_vec(),
        allow_credentials: true,
        allow_methods: Some(vec!["A B".into()]),
        allow_headers: vec!["x y".into()],
        expose_headers: vec!["".into()],
        max_age: None,
    };
    let faults = faults(&wrong);
    let malformed =
        faults.iter().filter(|fault| matches!(fault, CorsFault::MalformedOrigin(_))).count();
    assert_eq!(malformed, 11, "{faults:?}");
    for fault in [
        CorsFault::AnyOriginWithCredentials,
        CorsFault::NullOrigin,
        CorsFault::MalformedMethod("A B".into()),
        CorsFault::MalformedHeader("x y".into()),
        CorsFault::MalformedHeader("".into()),
    ] {
        assert!(faults.contains(&fault), "{fault:?}");
    }
}

#[test]
fn without_allow_methods_those_of_the_route_are_allowed() {
    let definition = CorsDefinition { allow_methods: None, ..definition() };
    let ask = [("origin", "https://example.com"), ("access-control-request-method", "PATCH")];
    let (lines, allowed) = preflight(&cors(&definition), &ask);
    assert!(allowed && lines.contains(&"access-control-allow-methods: GET, DELETE, PATCH".into()));
}

fn edited(cors: &Cors, lines: &[(&'static str, &str)]) -> Vec<(String, String)> {
    let mut edits = Vec::new();
    cors.edit(&headers(lines), &mut edits);
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    edits
        .iter()
        .filter_map(|edit| match edit {
            HeaderEdit::Append(name, value) | HeaderEdit::Set(name, value) => {
                Some((name.to_string(), text(value)))
            }
            HeaderEdit::Remove(_) => None,
        })
        .collect()
}

#[test]
fn other_answers_carry_the_headers_for_an_allowed_origin_and_vary_for_all() {
    let cors = cors(&definition());
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        edited(&cors, &[("origin", "https://a.example.org")]),
        [
            pair("vary", "Origin"),
            pair("access-control-allow-origin", "https://a.example.org"),
            pair("access-control-allow-credentials", "true"),
            pair("access-control-expose-headers", "X-Request-ID"),
        ]
    );
    for lines in [&[][..], &[("origin", "null")], &[("origin", "https://evil.example")]] {
        assert_eq!(edited(&cors, lines), [pair("vary", "Origin")]);
    }
}

#[test]
fn the_upstreams_own_headers_are_replaced() {
    for (name, goes) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, true),
        (header::ACCESS_CONTROL_MAX_AGE, true),
        (HeaderName::from_static("access-control-anything"), true),
        (header::VARY, false),
        (header::ORIGIN, false),
    ] {
        assert_eq!(is_replaced(&name), goes, "{name}");
    }
}

fn cross_site(lines: &[(&'static str, &str)], cors: Option<&Cors>) -> bool {
    let headers = headers(lines);
    let received = Received {
        method: &Method::POST,
        version: http::Version::HTTP_11,
        path: "/",
        query: None,
        host: "API.example.com:80",
        headers: &headers,
        peer: "192.0.2.1".parse().unwrap(),
        scheme: crate::policy::request::Scheme::Http,
        port: 8080,
        certificate: None,
    };
    let server = ServerTerms {
        trusted_proxies: vec![],
        limits: Default::default(),
        connections: Default::default(),
    };
    is_cross_site(&RequestFacts::read(&received, &server, "r"), cors)
}

#[test]
fn a_request_is_cross_site_unless_its_origin_is_its_own_or_named() {
    let named = cors(&definition());
    let any = origins(&["*"]);
    for (lines, is) in [
        (&[][..], false),
        (&[("origin", "http://api.example.com")], false),
        (&[("origin", "http://api.example.com:80")], false),
        (&[("origin", "https://api.example.com")], true),
        (&[("origin", "http://api.example.com:8080")], true),
        (&[("origin", "http://api.example.com.evil.test")], true),
        (&[("origin", "https://evil.example")], true),
        (&[("origin", "null")], true),
        (&[("origin", "")], true),
        (&[("origin", "http://api.example.com"), ("origin", "https://evil.example")], true),
        // `Origin` rules where both are there.
        (&[("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "same-origin")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "same-site")], true),
        (&[("sec-fetch-site", "cross-site")], true),
        (&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], true),
    ] {
        assert_eq!(cross_site(lines, None), is, "{lines:?}");
        assert_eq!(cross_site(lines, Some(&named)), is, "{lines:?}");
        // An API open to every page still does not take cookies from them.
        assert_eq!(cross_site(lines, Some(&any)), is, "{lines:?}");
    }
    assert!(!cross_site(&[("origin", "https://example.com")], Some(&named)));
    assert!(!cross_site(&[("origin", "https://a.example.org")], Some(&named)));
}
