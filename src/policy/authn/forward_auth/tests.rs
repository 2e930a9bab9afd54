use std::net::IpAddr;

use http::Method;

use super::*;
use crate::policy::request::Scheme;

fn terms() -> ForwardAuthTerms {
    let name = HeaderName::from_static;
    ForwardAuthTerms {
        name: "legacy".into(),
        url: "http://127.0.0.1:7000/check".into(),
        send: vec![header::AUTHORIZATION, header::COOKIE],
        take: ["x-user", "x-groups", "x-scopes", "x-plan", "x-mail"].map(name).into(),
        subject: name("x-user"),
        roles: Some(name("x-groups")),
        permissions: Some(name("x-scopes")),
        plan: Some(name("x-plan")),
        cache: Duration::ZERO,
        timeout: Duration::from_secs(1),
        fingerprint: OnceLock::new(),
    }
}

fn headers(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    map
}

/// A request, to be changed by each test.
struct Request {
    method: Method,
    path: &'static str,
    query: Option<&'static str>,
    headers: HeaderMap,
    host: &'static str,
    scheme: Scheme,
    client: &'static str,
    trusted: bool,
}

impl Request {
    fn new(lines: &[(&'static str, &[u8])]) -> Self {
        Self {
            method: Method::POST,
            path: "/a/b",
            query: Some("c=d%20e"),
            headers: headers(lines),
            host: "api.example.com",
            scheme: Scheme::Https,
            client: "192.0.2.1",
            trusted: false,
        }
    }

    fn asked(&self, terms: &ForwardAuthTerms) -> Asked {
        let client: IpAddr = self.client.parse().unwrap();
        let peer = if self.trusted { "10.0.0.1".parse().unwrap() } else { client };
        let facts = RequestFacts {
            method: &self.method,
            path: self.path,
            query: self.query,
            host: self.host,
            headers: &self.headers,
            peer,
            peer_trusted: self.trusted,
            client,
            scheme: self.scheme,
            forwarded_host: self.host,
            request_id: "r1",
            websocket: false,
            certificate: None,
            port: 443,
        };
        terms.asked(&facts).unwrap()
    }
}

fn lines(asked: &Asked) -> Vec<String> {
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    asked.lines.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect()
}

#[test]
fn a_service_is_told_what_the_file_names_and_how_the_request_came_by_the_gateway_alone() {
    let request = Request::new(&[
        ("authorization", b"Bearer x"),
        ("cookie", b"a=b"),
        ("cookie", b"c=d"),
        ("x-forwarded-uri", b"/public"),
        ("x-forwarded-method", b"GET"),
        ("x-forwarded-for", b"10.9.9.9"),
        ("x-forwarded-host", b"evil.example.com"),
        ("x-user", b"admin"),
    ]);
    assert_eq!(
        lines(&request.asked(&terms())),
        [
            "authorization: Bearer x",
            "cookie: a=b; c=d",
            "x-forwarded-method: POST",
            "x-forwarded-proto: https",
            "x-forwarded-host: api.example.com",
            "x-forwarded-uri: /a/b?c=d%20e",
            "x-forwarded-for: 192.0.2.1",
        ]
    );
    let proxied = Request {
        trusted: true,
        query: None,
        ..Request::new(&[("cookie", b"a=b"), ("x-forwarded-for", b"192.0.2.1")])
    };
    let told = lines(&proxied.asked(&terms()));
    assert_eq!(told[4..], ["x-forwarded-uri: /a/b", "x-forwarded-for: 192.0.2.1, 10.0.0.1"]);
}

#[test]
fn everything_that_is_sent_and_every_option_is_in_the_key() {
    let sent = || Request::new(&[("authorization", b"Bearer x"), ("cookie", b"a=b")]);
    let other_lines = |lines| Request { headers: headers(lines), ..sent() };
    let requests = [
        sent(),
        Request { method: Method::PUT, ..sent() },
        Request { path: "/a/c", ..sent() },
        Request { query: None, ..sent() },
        Request { host: "other.example.com", ..sent() },
        Request { scheme: Scheme::Http, ..sent() },
        Request { client: "192.0.2.2", ..sent() },
        other_lines(&[("authorization", b"Bearer y"), ("cookie", b"a=b")]),
        other_lines(&[("authorization", b"Bearer x"), ("cookie", b"a=B")]),
        other_lines(&[("authorization", b"Bearer x")]),
        other_lines(&[("cookie", b"a=b")]),
    ];
    let mut keys: Vec<Digest> =
        requests.iter().map(|request| terms().key(&request.asked(&terms()))).collect();
    let none = || ForwardAuthTerms { take: vec![HeaderName::from_static("x-user")], ..terms() };
    let mail = HeaderName::from_static("x-mail");
    for other in [
        ForwardAuthTerms { name: "other".into(), ..terms() },
        ForwardAuthTerms { url: "http://127.0.0.1:7000/other".into(), ..terms() },
        ForwardAuthTerms { subject: mail.clone(), ..terms() },
        ForwardAuthTerms { roles: Some(mail.clone()), ..terms() },
        ForwardAuthTerms { roles: None, ..terms() },
        ForwardAuthTerms { permissions: None, ..terms() },
        ForwardAuthTerms { plan: None, ..terms() },
        ForwardAuthTerms { cache: Duration::from_secs(1), ..terms() },
        ForwardAuthTerms { timeout: Duration::from_secs(2), ..terms() },
        none(),
    ] {
        keys.push(other.key(&sent().asked(&other)));
    }
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
    let elsewhere = Request { path: "/other", client: "192.0.2.9", ..sent() };
    let credential = |request: &Request| terms().credential_key(&request.asked(&terms()));
    assert_eq!(credential(&sent()), credential(&elsewhere));
}

fn read(lines: &[(&'static str, &[u8])]) -> Result<Result<Vouched, Refusal>, &'static str> {
    terms().read(&headers(lines))
}

#[test]
fn a_principal_is_made_of_the_headers_that_the_file_names() {
    let vouched = read(&[
        ("x-user", b" alice "),
        ("x-groups", b"admins, Domain Users"),
        ("x-groups", b"staff,,"),
        ("x-scopes", b"read:a write:a,read:b"),
        ("x-plan", b"pro"),
        ("x-mail", "jürgen@example.com".as_bytes()),
        ("x-other", b"nobody asked"),
    ]);
    let who = Arc::new(terms()).principal(&vouched.unwrap().unwrap(), &RoleGraph::default());
    let roles: Vec<_> = who.roles.iter().map(|role| role.as_str()).collect();
    let permissions: Vec<_> = who.permissions.iter().map(|one| one.as_str()).collect();
    assert_eq!((&*who.subject, who.issuer.as_str()), ("alice", "legacy"));
    assert_eq!(roles, ["admins", "Domain Users", "staff"]);
    assert_eq!(permissions, ["read:a", "read:b", "write:a"]);
    assert_eq!(who.plan, Some(PlanName::from("pro")));
    assert_eq!(who.method, CredentialKind::ForwardAuth);
    let mut names: Vec<_> = who.claims.members().keys().collect();
    names.sort();
    assert_eq!(names, ["x-groups", "x-mail", "x-plan", "x-scopes", "x-user"]);
    assert_eq!(who.claims.members()["x-mail"], "jürgen@example.com");
}

#[test]
fn without_a_subject_nobody_is_vouched_for() {
    for lines in
        [&[][..], &[("x-user", &b""[..])], &[("x-user", b"  ")], &[("x-groups", b"admins")]]
    {
        let refusal = read(lines).unwrap().unwrap_err();
        assert_eq!(refusal.fault, ForwardAuthFault::NoSubject);
    }
}

#[test]
fn an_answer_that_can_be_understood_in_two_ways_or_not_passed_on_is_none() {
    let long = vec![b'a'; 20_000];
    for lines in [
        &[("x-user", &b"alice"[..]), ("x-user", b"bob")][..],
        &[("x-user", b"alice"), ("x-user", b"alice")],
        &[("x-user", b"alice"), ("x-mail", b"a"), ("x-mail", b"b")],
        &[("x-user", b"ali\tce")],
        &[("x-user", b"\xff\xfe")],
        &[("x-user", "ali\u{85}ce".as_bytes())],
        &[("x-user", &long[..2049])],
        &[("x-user", b"alice"), ("x-mail", &long)],
    ] {
        assert!(read(lines).is_err(), "{lines:?}");
    }
}

#[test]
fn a_header_that_comes_twice_is_ambiguous_and_cookies_are_one_list() {
    let terms = terms();
    assert!(terms.is_ambiguous(&headers(&[("authorization", b"a"), ("authorization", b"a")])));
    assert!(!terms.is_ambiguous(&headers(&[("cookie", b"a=b"), ("cookie", b"c=d")])));
    assert!(terms.is_presented(&headers(&[("cookie", b"")])));
    assert!(!terms.is_presented(&headers(&[("x-user", b"alice")])));
}

#[test]
fn what_browsers_send_by_themselves_is_told_from_what_somebody_wrote() {
    let of = |lines: &[(&'static str, &[u8])]| {
        let asked = Request::new(lines).asked(&terms());
        (asked.is_ambient(), asked.is_explicit())
    };
    assert_eq!(of(&[("cookie", b"a=b")]), (true, false));
    assert_eq!(of(&[("authorization", b"Bearer x")]), (false, true));
    assert_eq!(of(&[("authorization", b"bearer x"), ("cookie", b"a=b")]), (true, true));
    for scheme in [&b"Basic YTpi"[..], b"Negotiate x", b"Digest x", b"", b"Bearerx y"] {
        assert_eq!(of(&[("authorization", scheme)]), (true, true));
    }
}

#[test]
fn challenges_are_passed_on_within_bounds() {
    let lines = [("www-authenticate", &b"Basic realm=\"a\""[..]), ("www-authenticate", b"Bearer")];
    assert_eq!(asks(&headers(&lines)).unwrap().len(), 2);
    assert!(asks(&headers(&[("www-authenticate", &b"Bearer"[..]); 17])).is_err());
    let long = vec![b'a'; 9000];
    assert!(asks(&headers(&[("www-authenticate", &long)])).is_err());
}
