//! Providers as they are met: good, down, slow, hostile.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use serde_json::{Value, json};

use super::super::{
    Remotes,
    scripted::{Answer, Heard, Scripted},
};
use super::*;
use crate::{
    model::{Principal, Secret},
    policy::{
        Policy, Sources as _,
        accounts::Accounts,
        authn::{
            JwtRule, Refused, TokenOrigin, introspection::ScopeRule, judge_token, jwt::ClaimPaths,
        },
        authz::RoleGraph,
        decision::Denial,
        limit::{Algorithm, By, Limit, Scope},
    },
    sources::{Dry, Live, Memory},
};

const NOW: i64 = 1_800_000_000;

fn terms(server: &Scripted) -> IntrospectionTerms {
    IntrospectionTerms {
        name: "partner".into(),
        url: server.url("/introspect"),
        client_id: "gw:1".into(),
        client_secret: Secret::new("a b+c/ä"),
        cache: Duration::from_secs(30),
        timeout: Duration::from_secs(5),
        issuer: None,
        audiences: vec![],
        claims: ClaimPaths::default(),
        scope: ScopeRule::Fallback,
        grants: None,
        fingerprint: OnceLock::new(),
    }
}

/// A gateway as far as one provider goes.
struct Bench {
    policy: Policy,
    memory: Memory,
    remotes: Remotes,
}

impl Bench {
    fn new(terms: IntrospectionTerms) -> Self {
        Self::after(terms, Memory::new(1000), None)
    }

    fn after(terms: IntrospectionTerms, memory: Memory, old: Option<&Remotes>) -> Self {
        let mut policy = Policy::bare(vec![], Accounts::default(), RoleGraph::default());
        policy.providers = vec![Arc::new(terms)];
        let quota = "3/minute".parse().unwrap();
        let scope = Scope::Own("failure_limit");
        let limit = Limit::new(&scope, &quota, vec![By::ClientIp], Algorithm::default());
        policy.failure_limit = Some(Arc::new(limit));
        let remotes = Remotes::with(&policy, None, old, super::super::Tempo::SERVING, None);
        Self { policy, memory, remotes }
    }

    fn live(&self) -> Live<'_> {
        Live::new(&self.policy, &self.memory).asking(&self.remotes)
    }

    fn rule(&self) -> JwtRule {
        let mut rule = JwtRule::of(vec![]);
        rule.ask(Arc::clone(&self.policy.providers[0]));
        rule
    }

    async fn who(&self, token: &str, seconds: i64) -> Result<Arc<Principal>, Refused> {
        self.who_from(token, "192.0.2.1", seconds).await
    }

    async fn who_from(
        &self,
        token: &str,
        client: &str,
        seconds: i64,
    ) -> Result<Arc<Principal>, Refused> {
        let (live, rule) = (self.live(), self.rule());
        let client: IpAddr = client.parse().unwrap();
        let from = TokenOrigin { client: Some(client), place: None };
        let now = Timestamp::from_seconds(NOW + seconds);
        judge_token(&self.policy, &rule, token.as_bytes(), from, &live, now).await
    }

    async fn refusal(&self, token: &str) -> Refused {
        self.who(token, 0).await.unwrap_err()
    }

    fn fault(&self) -> String {
        self.remotes.authorities().next().unwrap().fault().unwrap_or_default()
    }

    fn fail_often(&self, client: &str) {
        for _ in 0..3 {
            self.live().count_failure(client.parse().unwrap(), Timestamp::from_seconds(NOW));
        }
    }
}

fn active(changes: Value) -> Answer {
    let mut said = json!({"active": true, "sub": "alice", "scope": "read:items"});
    for (name, value) in changes.as_object().cloned().unwrap() {
        said[name] = value;
    }
    Answer::json(said)
}

/// A provider for which the token says who is meant.
async fn speaking() -> Scripted {
    Scripted::start(|heard| {
        let token = heard.body.split('&').find_map(|pair| pair.strip_prefix("token="));
        match token.unwrap() {
            "bad" => Answer::json(json!({"active": false})),
            token => active(json!({"sub": token})),
        }
    })
    .await
}

fn is_away(refused: &Refused) -> bool {
    matches!(refused, Refused::Unavailable(_))
}

fn is_limited(refused: &Refused) -> bool {
    matches!(refused, Refused::Denied(Denial::RateLimited { .. }))
}

#[tokio::test]
async fn a_provider_is_asked_by_a_form_and_knows_the_gateway_by_basic() {
    let server = Scripted::start(|_| active(json!({"client_id": "app"}))).await;
    let bench = Bench::new(terms(&server));
    let who = bench.who("2Yot+nF/ZF~E=", 0).await.unwrap();
    assert_eq!((&*who.subject, who.issuer.as_str()), ("alice", "partner"));
    assert!(who.has_permission(&"read:items".into()));
    let heard: Heard = server.heard().remove(0);
    assert!(heard.head.starts_with("POST /introspect HTTP/1.1\r\n"), "{}", heard.head);
    assert_eq!(heard.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(heard.header("accept"), Some("application/json"));
    assert_eq!(heard.body, "token=2Yot%2BnF%2FZF~E%3D&token_type_hint=access_token");
    let basic = heard.header("authorization").unwrap().strip_prefix("Basic ").unwrap();
    let pair = String::from_utf8(STANDARD.decode(basic).unwrap()).unwrap();
    assert_eq!(pair, "gw%3A1:a%20b%2Bc%2F%C3%A4");
}

#[tokio::test]
async fn a_remembered_answer_costs_no_question_and_is_judged_anew() {
    let server = Scripted::start(|_| active(json!({"exp": NOW + 20}))).await;
    let bench = Bench::new(terms(&server));
    for seconds in [0, 1, 19] {
        assert!(bench.who("a", seconds).await.is_ok());
    }
    assert_eq!(server.asked("/introspect"), 1);
    assert_eq!(
        bench.who("a", 20).await.unwrap_err(),
        Refused::ByProvider(TokenFault::Expired),
        "never beyond its end"
    );
    server.change(|_| active(json!({})));
    assert!(bench.who("b", 0).await.is_ok());
    assert!(bench.who("b", 29).await.is_ok());
    let before = server.heard().len();
    assert!(bench.who("b", 30).await.is_ok());
    assert_eq!(server.heard().len(), before + 1, "30 seconds are over");
}

#[tokio::test]
async fn a_token_that_is_not_active_is_refused_and_asked_about_again() {
    let server = Scripted::start(|_| Answer::json(json!({"active": false}))).await;
    let bench = Bench::new(terms(&server));
    for _ in 0..2 {
        assert_eq!(bench.refusal("a").await, Refused::ByProvider(TokenFault::Inactive));
    }
    assert_eq!(server.asked("/introspect"), 2);
    server.change(|_| Answer::json(json!({"active": "true", "sub": "alice"})));
    assert_eq!(bench.refusal("a").await, Refused::ByProvider(TokenFault::Inactive));
    server.change(|_| active(json!({})));
    assert!(bench.who("a", 0).await.is_ok(), "it has become active");
}

#[tokio::test]
async fn what_is_no_answer_is_503_and_lets_nobody_in() {
    let server = Scripted::start(|_| Answer::status(500)).await;
    let quick = |server: &Scripted| IntrospectionTerms {
        timeout: Duration::from_millis(200),
        ..terms(server)
    };
    let bench = Bench::new(quick(&server));
    assert!(is_away(&bench.refusal("a").await));
    assert!(bench.fault().contains("it answered 500"), "{}", bench.fault());
    for (answer, why) in [
        (Answer::status(401), "it answered 401"),
        (Answer::status(204), "it answered 204"),
        (Answer::Now(200, String::new(), b"<html>active: true</html>".to_vec()), "not a JSON"),
        (Answer::Now(200, String::new(), b"{\"active\":true".to_vec()), "not a JSON"),
        (
            Answer::Now(200, String::new(), b"{\"active\":false,\"active\":true}".to_vec()),
            "stands in it twice",
        ),
        (Answer::json(json!({"active": true, "sub": "a", "x": "y".repeat(70_000)})), "longer than"),
        (Answer::Endless, "longer than"),
        (Answer::Never, "did not answer within"),
        (Answer::Closed, "cannot be reached"),
    ] {
        server.change(move |_| answer.clone());
        assert!(is_away(&bench.refusal("a").await), "{why}");
        assert!(bench.fault().contains(why), "{why}: {}", bench.fault());
    }
    server.change(|_| active(json!({})));
    assert!(bench.who("a", 0).await.is_ok());
    assert_eq!(bench.fault(), "", "it answers again");
    let nobody = Bench::new(IntrospectionTerms {
        url: "http://id.example.com/introspect".into(),
        ..terms(&server)
    });
    assert!(is_away(&nobody.refusal("a").await));
    assert!(nobody.fault().contains("only `https` is asked"), "{}", nobody.fault());
}

#[tokio::test]
async fn a_redirect_of_a_provider_is_not_followed_not_even_to_itself() {
    let other = Scripted::start(|_| active(json!({}))).await;
    for status in [301, 302, 303, 307, 308] {
        let place = other.url("/introspect");
        let server = Scripted::start(move |heard| match heard.target() {
            "/introspect" => Answer::Now(status, format!("location: {place}\r\n"), Vec::new()),
            _ => active(json!({})),
        })
        .await;
        let bench = Bench::new(terms(&server));
        assert!(is_away(&bench.refusal("a").await), "{status}");
        assert!(bench.fault().contains("redirects"), "{}", bench.fault());
        server.change(move |heard| match heard.target() {
            "/introspect" => Answer::Now(status, "location: /other\r\n".into(), Vec::new()),
            _ => active(json!({})),
        });
        assert!(is_away(&bench.refusal("a").await), "{status}");
        assert_eq!(server.asked("/other"), 0);
    }
    assert!(other.heard().is_empty(), "no credential went elsewhere");
}

#[tokio::test]
async fn requests_for_one_token_share_a_question_and_never_anothers_answer() {
    let server = Scripted::start(|heard| {
        let token = heard.body.split('&').next().unwrap().trim_start_matches("token=").to_owned();
        Answer::Gated(Box::new(active(json!({"sub": token}))))
    })
    .await;
    let bench = Arc::new(Bench::new(terms(&server)));
    let mut tasks = tokio::task::JoinSet::new();
    for round in 0..40 {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move {
            let token = ["one", "two"][round % 2];
            let who = bench.who(token, 0).await.unwrap();
            assert_eq!(&*who.subject, token);
        });
    }
    server.wait_for(2).await;
    server.open();
    tasks.join_all().await;
    assert_eq!(server.heard().len(), 2);
}

#[tokio::test]
async fn what_one_provider_said_is_no_fact_for_another_nor_for_other_options() {
    let (server, other) = (speaking().await, speaking().await);
    let first = Bench::new(terms(&server));
    assert!(first.who("a", 0).await.is_ok());
    other.change(|_| Answer::json(json!({"active": false})));
    let second = Bench::after(
        IntrospectionTerms { url: other.url("/introspect"), ..terms(&server) },
        first.memory,
        Some(&first.remotes),
    );
    assert_eq!(second.refusal("a").await, Refused::ByProvider(TokenFault::Inactive));
    let audiences = IntrospectionTerms { audiences: vec!["orders".into()], ..terms(&server) };
    let third = Bench::after(audiences, second.memory, Some(&second.remotes));
    assert_eq!(third.refusal("a").await, Refused::ByProvider(TokenFault::Audience));
    assert_eq!(server.heard().len(), 2, "other options are another question");
    let same = Bench::after(terms(&server), third.memory, Some(&third.remotes));
    assert!(same.who("a", 1).await.is_ok());
    assert_eq!(server.heard().len(), 2, "a reload that changes nothing forgets nothing");
}

#[tokio::test]
async fn a_token_is_told_apart_by_all_of_its_bytes() {
    let server = speaking().await;
    let bench = Bench::new(terms(&server));
    let long = "x".repeat(5000);
    for end in ["A", "B", "a"] {
        let token = format!("{long}{end}");
        assert_eq!(&*bench.who(&token, 0).await.unwrap().subject, token.as_str());
    }
    assert_eq!(server.heard().len(), 3);
}

#[tokio::test]
async fn beyond_the_failure_limit_nobody_is_asked_but_about_what_was_good_lately() {
    let server = speaking().await;
    let bench = Bench::new(terms(&server));
    assert!(bench.who("good", 0).await.is_ok());
    bench.fail_often("192.0.2.1");
    let asked = server.heard().len();
    assert!(is_limited(&bench.refusal("bad").await));
    assert!(is_limited(&bench.refusal("unseen").await));
    assert_eq!(server.heard().len(), asked, "nobody was asked");
    assert!(bench.who("good", 20).await.is_ok(), "it is remembered");
    assert!(bench.who("good", 40).await.is_ok(), "it was good within ten minutes");
    assert_eq!(server.heard().len(), asked + 1);
    assert!(bench.who_from("unseen", "192.0.2.2", 0).await.is_ok(), "another client");
}

#[tokio::test]
async fn without_a_cache_every_request_asks() {
    let server = speaking().await;
    let bench = Bench::new(IntrospectionTerms { cache: Duration::ZERO, ..terms(&server) });
    for _ in 0..3 {
        assert!(bench.who("a", 0).await.is_ok());
    }
    assert_eq!(server.heard().len(), 3);
}

#[tokio::test]
async fn an_inquiry_shows_a_token_to_nobody_unless_it_is_meant_to_and_leaves_no_trace() {
    let server = speaking().await;
    let bench = Bench::new(terms(&server));
    let dry = Dry::new(&bench.policy, &bench.memory).asking(&bench.remotes);
    let (rule, now) = (bench.rule(), Timestamp::from_seconds(NOW));
    let judge = |dry| judge_token(&bench.policy, &rule, b"a", TokenOrigin::default(), dry, now);
    assert!(is_away(&judge(&dry).await.unwrap_err()));
    assert!(server.heard().is_empty());
    let showing = dry.showing_credentials();
    for _ in 0..2 {
        assert_eq!(&*judge(&showing).await.unwrap().subject, "a");
    }
    assert_eq!(server.heard().len(), 2);
    assert_eq!(bench.memory.introspections.recalls().entries, 0);
    let alone = Live::new(&bench.policy, &bench.memory);
    let unknown =
        judge_token(&bench.policy, &rule, b"a", TokenOrigin::default(), &alone, now).await;
    assert!(is_away(&unknown.unwrap_err()));
}
