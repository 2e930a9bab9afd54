//! Services as they are met: good, down, slow, hostile.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::super::{
    Remotes, Tempo,
    scripted::{Answer as Scripting, Scripted},
};
use super::*;
use crate::{
    model::Principal,
    policy::{
        Denial, Policy, RequestFacts, Trail,
        accounts::Accounts,
        authn::{AuthRule, Challenges, Method as Way, authenticate},
        authz::RoleGraph,
        decision::Reply,
        limit::{Algorithm, By, Limit, Scope},
        request::Scheme,
        rules::{Access, Action, CorsRule, CrossSite, HeaderTerms, Mode, Route},
    },
    sources::{Dry, Live, Memory},
};

const NOW: i64 = 1_800_000_000;

fn terms(server: &Scripted) -> ForwardAuthTerms {
    let name = HeaderName::from_static;
    ForwardAuthTerms {
        name: "legacy".into(),
        url: server.url("/check?a=b"),
        send: vec![header::AUTHORIZATION, header::COOKIE],
        take: vec![name("x-user"), name("x-groups")],
        subject: name("x-user"),
        roles: Some(name("x-groups")),
        permissions: None,
        plan: None,
        cache: Duration::ZERO,
        timeout: Duration::from_secs(5),
        fingerprint: OnceLock::new(),
    }
}

/// A gateway as far as one service goes, and a request.
struct Bench {
    policy: Policy,
    memory: Memory,
    remotes: Remotes,
    method: http::Method,
    path: &'static str,
    headers: HeaderMap,
    client: IpAddr,
    websocket: bool,
    cross_site: CrossSite,
    seconds: i64,
}

impl Bench {
    fn new(terms: ForwardAuthTerms) -> Self {
        let mut policy = Policy::bare(vec![], Accounts::default(), RoleGraph::default());
        policy.services = vec![Arc::new(terms)];
        let quota = "3/minute".parse().unwrap();
        let scope = Scope::Own("failure_limit");
        let limit = Limit::new(&scope, &quota, vec![By::ClientIp], Algorithm::default());
        policy.failure_limit = Some(Arc::new(limit));
        let remotes = Remotes::with(&policy, None, None, Tempo::SERVING, None);
        Self {
            policy,
            memory: Memory::new(1000),
            remotes,
            method: http::Method::GET,
            path: "/",
            headers: HeaderMap::new(),
            client: "192.0.2.1".parse().unwrap(),
            websocket: false,
            cross_site: CrossSite::Deny,
            seconds: 0,
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    async fn run(&self) -> Result<Option<Arc<Principal>>, Denial> {
        let live = Live::new(&self.policy, &self.memory).asking(&self.remotes);
        self.run_by(&live).await
    }

    async fn run_by(
        &self,
        sources: &impl crate::policy::Sources,
    ) -> Result<Option<Arc<Principal>>, Denial> {
        let challenges = Arc::new(Challenges { lines: vec![], only: None });
        let rule = AuthRule {
            methods: vec![Way::ForwardAuth(Arc::clone(&self.policy.services[0]))],
            challenges,
            written: "forward_auth:legacy".into(),
            line: 7,
        };
        let reply = Reply { status: StatusCode::OK, headers: vec![], body: bytes::Bytes::new() };
        let route = Route {
            name: "r".into(),
            line: 1,
            action: Action::Respond(reply),
            access: Access::Anyone,
            deny: vec![],
            allow: vec![],
            mode: Mode::Enforce,
            early_limits: vec![],
            late_limits: vec![],
            cors: CorsRule::Off,
            response: HeaderTerms::default(),
            security_headers: [].into(),
            cross_site: self.cross_site,
        };
        let facts = RequestFacts {
            method: &self.method,
            path: self.path,
            query: None,
            host: "api.example.com",
            headers: &self.headers,
            peer: self.client,
            peer_trusted: false,
            client: self.client,
            scheme: Scheme::Http,
            forwarded_host: "api.example.com",
            request_id: "r1",
            websocket: self.websocket,
            certificate: None,
            port: 80,
        };
        let now = Timestamp::from_seconds(NOW + self.seconds);
        let mut trail = Trail::kept();
        authenticate(&self.policy, &route, &rule, &facts, sources, now, &mut trail).await
    }

    async fn who(&self) -> String {
        self.run().await.unwrap().unwrap().subject.to_string()
    }

    async fn refusal(&self) -> Denial {
        self.run().await.unwrap_err()
    }

    fn fault(&self) -> String {
        self.remotes.authorities().next().unwrap().fault().unwrap_or_default()
    }
}

fn yes(lines: &str) -> Scripting {
    Scripting::Now(200, lines.to_owned(), b"ok".to_vec())
}

/// A service for which the cookie says who is meant.
async fn speaking() -> Scripted {
    Scripted::start(|heard| match heard.header("cookie").or(heard.header("authorization")) {
        None | Some("bad" | "Bearer bad") => Scripting::status(401),
        Some(who) => yes(&format!("x-user: {who}\r\nx-groups: staff\r\n")),
    })
    .await
}

fn fault_of(denial: Denial) -> (ForwardAuthFault, Vec<String>) {
    let Denial::RefusedElsewhere { fault, asks, .. } = denial else { panic!("{denial:?}") };
    (fault, asks.iter().map(|line| line.to_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn a_service_is_asked_by_get_with_what_the_file_names_and_nothing_else() {
    let server = speaking().await;
    let mut bench = Bench::new(terms(&server)).with("cookie", "alice").with("x-secret", "x");
    bench.method = http::Method::PUT;
    let who = bench.run().await.unwrap().unwrap();
    assert_eq!((&*who.subject, who.issuer.as_str()), ("alice", "legacy"));
    assert!(who.has_role(&"staff".into()));
    let heard = server.heard().remove(0);
    assert!(heard.head.starts_with("GET /check?a=b HTTP/1.1\r\n"), "{}", heard.head);
    assert_eq!(heard.body, "");
    let names = heard.head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut names: Vec<String> = names.map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accept",
            "cookie",
            "host",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-method",
            "x-forwarded-proto",
            "x-forwarded-uri"
        ]
    );
    assert_eq!(heard.header("x-forwarded-method"), Some("PUT"));
}

#[tokio::test]
async fn without_any_of_the_headers_nobody_is_asked() {
    let server = speaking().await;
    assert!(Bench::new(terms(&server)).with("x-user", "alice").run().await.unwrap().is_none());
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn a_refusal_is_the_gateways_own_with_the_challenges_of_the_service() {
    let server = Scripted::start(|_| {
        let lines = "www-authenticate: Basic realm=\"legacy\"\r\nwww-authenticate: Bearer\r\nx-user: alice\r\n";
        Scripting::Now(401, lines.into(), b"secret page".to_vec())
    })
    .await;
    let bench = Bench::new(terms(&server)).with("cookie", "a=b");
    let denial = bench.refusal().await;
    let problem = denial.problem();
    assert_eq!((problem.status, problem.code), (StatusCode::UNAUTHORIZED, "invalid_credentials"));
    let passed_on = problem.pointing_to(|| Some("https://a.example/m".to_owned()));
    let lines: Vec<_> =
        passed_on.headers.iter().map(|(_, value)| value.to_str().unwrap()).collect();
    assert_eq!(lines, ["Basic realm=\"legacy\"", "Bearer"], "to the letter");
    assert_eq!(fault_of(denial).0, ForwardAuthFault::Unauthorized);
    server.change(|_| Scripting::status(403));
    let denial = bench.refusal().await;
    assert_eq!((denial.problem().status, denial.problem().code), (StatusCode::FORBIDDEN, "denied"));
    assert_eq!(fault_of(denial), (ForwardAuthFault::Forbidden, vec![]));
    server.change(|_| yes("x-groups: admins\r\n"));
    let denial = bench.refusal().await;
    assert_eq!(denial.problem().status, StatusCode::UNAUTHORIZED);
    assert_eq!(fault_of(denial).0, ForwardAuthFault::NoSubject);
}

#[tokio::test]
async fn whatever_is_neither_yes_nor_no_is_503() {
    let server = Scripted::start(|_| Scripting::status(500)).await;
    let quick = ForwardAuthTerms { timeout: Duration::from_millis(200), ..terms(&server) };
    let bench = Bench::new(quick).with("cookie", "a=b");
    let other = speaking().await;
    let elsewhere = format!("location: {}\r\nx-user: admin\r\n", other.url("/"));
    let long = |length: usize| Scripting::Now(200, "x-user: alice\r\n".into(), vec![b'a'; length]);
    let heavy = format!("x-user: alice\r\nx-long: {}\r\n", "a".repeat(70_000));
    for (answer, why) in [
        (Scripting::status(500), "it answered 500"),
        (Scripting::status(400), "it answered 400"),
        (Scripting::status(404), "it answered 404"),
        (Scripting::Now(302, elsewhere.clone(), vec![]), "redirects"),
        (Scripting::Now(307, elsewhere, vec![]), "redirects"),
        (Scripting::Now(303, "location: /check\r\nx-user: admin\r\n".into(), vec![]), "redirects"),
        (Scripting::Now(304, "x-user: admin\r\n".into(), vec![]), "redirects"),
        (long((64 << 10) + 1), "longer than"),
        (yes(&heavy), "longer than"),
        (yes("x-user: alice\r\nx-user: bob\r\n"), "twice"),
        (yes("x-user: ali\tce\r\n"), "control characters"),
        (Scripting::Endless, "longer than"),
        (Scripting::Never, "did not answer within"),
        (Scripting::Closed, "cannot be reached"),
    ] {
        server.change(move |_| answer.clone());
        let denial = bench.refusal().await;
        assert!(matches!(denial, Denial::Unavailable(_)), "{why}: {denial:?}");
        assert!(bench.fault().contains(why), "{why}: {}", bench.fault());
    }
    assert!(other.heard().is_empty(), "no credential went elsewhere");
    server.change(move |_| long(64 << 10));
    assert_eq!(bench.who().await, "alice");
    assert_eq!(bench.fault(), "");
}

#[tokio::test]
async fn an_answer_serves_what_the_service_would_be_told_again_and_nothing_else() {
    let server = speaking().await;
    let cached = ForwardAuthTerms { cache: Duration::from_secs(30), ..terms(&server) };
    let mut bench = Bench::new(cached).with("cookie", "alice");
    for seconds in [0, 1, 29] {
        bench.seconds = seconds;
        assert_eq!(bench.who().await, "alice");
    }
    assert_eq!(server.heard().len(), 1);
    bench.path = "/other";
    bench.who().await;
    bench.method = http::Method::HEAD;
    bench.who().await;
    bench.client = "192.0.2.2".parse().unwrap();
    bench.who().await;
    bench.headers.insert("cookie", HeaderValue::from_static("bob"));
    assert_eq!(bench.who().await, "bob");
    assert_eq!(server.heard().len(), 5);
    bench.seconds = 59;
    bench.who().await;
    assert_eq!(server.heard().len(), 6);
    server.change(|_| Scripting::status(401));
    bench.headers.insert("cookie", HeaderValue::from_static("carol"));
    for _ in 0..2 {
        assert_eq!(fault_of(bench.refusal().await).0, ForwardAuthFault::Unauthorized);
    }
    assert_eq!(server.heard().len(), 8, "a refusal is not remembered");
    let uncached = Bench::new(terms(&server)).with("cookie", "alice");
    server.change(|_| yes("x-user: alice\r\n"));
    for _ in 0..3 {
        uncached.who().await;
    }
    assert_eq!(server.heard().len(), 11);
}

#[tokio::test]
async fn a_cookie_counts_only_from_the_own_site() {
    let server = speaking().await;
    let foreign = |bench: Bench| bench.with("origin", "https://evil.example");
    let mut bench = foreign(Bench::new(terms(&server)).with("cookie", "alice"));
    assert_eq!(bench.who().await, "alice", "to look is harmless");
    bench.method = http::Method::POST;
    assert_eq!(bench.refusal().await, Denial::CrossSite);
    bench.cross_site = CrossSite::Allow;
    assert_eq!(bench.who().await, "alice");
    let mut handshake = foreign(Bench::new(terms(&server)).with("cookie", "alice"));
    handshake.websocket = true;
    assert_eq!(handshake.refusal().await, Denial::CrossSite);
    let mut basic = foreign(Bench::new(terms(&server)).with("authorization", "Basic YTpi"));
    basic.method = http::Method::DELETE;
    assert_eq!(basic.refusal().await, Denial::CrossSite);
    let mut bearer = foreign(Bench::new(terms(&server)).with("authorization", "Bearer x"));
    bearer.method = http::Method::POST;
    assert!(bearer.run().await.is_ok(), "no browser sends it by itself");
    let mut own = Bench::new(terms(&server)).with("cookie", "alice");
    own = own.with("origin", "http://api.example.com");
    own.method = http::Method::POST;
    assert_eq!(own.who().await, "alice");
}

#[tokio::test]
async fn beyond_the_failure_limit_a_service_is_asked_only_about_who_was_good_lately() {
    let server = speaking().await;
    let mut bench = Bench::new(terms(&server)).with("authorization", "Bearer alice");
    assert!(bench.run().await.is_ok());
    bench.headers.insert("authorization", HeaderValue::from_static("Bearer bad"));
    for _ in 0..3 {
        assert_eq!(fault_of(bench.refusal().await).0, ForwardAuthFault::Unauthorized);
    }
    let asked = server.heard().len();
    assert!(matches!(bench.refusal().await, Denial::RateLimited { .. }));
    assert_eq!(server.heard().len(), asked);
    bench.path = "/elsewhere";
    bench.headers.insert("authorization", HeaderValue::from_static("Bearer alice"));
    assert!(bench.run().await.is_ok(), "it was good, wherever it went");
    let cookies = Bench::new(terms(&server)).with("cookie", "bad");
    for _ in 0..9 {
        assert_eq!(fault_of(cookies.refusal().await).0, ForwardAuthFault::Unauthorized);
    }
}

#[tokio::test]
async fn a_header_that_comes_twice_decides_nothing() {
    let server = speaking().await;
    let bench = Bench::new(terms(&server));
    let bench = bench.with("authorization", "Bearer a").with("authorization", "Basic YTpi");
    assert!(matches!(bench.refusal().await, Denial::AmbiguousCredentials { .. }));
    assert!(server.heard().is_empty());
}

#[tokio::test]
async fn an_inquiry_shows_a_request_to_nobody_unless_it_is_meant_to() {
    let server = speaking().await;
    let bench = Bench::new(terms(&server)).with("cookie", "alice");
    let dry = Dry::new(&bench.policy, &bench.memory).asking(&bench.remotes);
    assert!(matches!(bench.run_by(&dry).await.unwrap_err(), Denial::Unavailable(_)));
    assert!(server.heard().is_empty());
    assert!(bench.run_by(&dry.showing_credentials()).await.unwrap().is_some());
    let alone = Live::new(&bench.policy, &bench.memory);
    assert!(matches!(bench.run_by(&alone).await.unwrap_err(), Denial::Unavailable(_)));
}
