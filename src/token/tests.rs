use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::*;
use crate::{
    model::{Principal, Secret, StoreLocation, Timestamp},
    policy::{
        Policy,
        accounts::{Accounts, ApiKey, User},
        authn::{
            JwtRule, Refused, TokenOrigin, TokenPlace, judge_token,
            jwt::{ClaimPaths, IssuerTerms, Jws, UserRule},
            keys::{KeySet, Keys, SigningKey, published},
        },
        authz::{RoleDefinition, RoleGraph},
        decision::TokenFault,
        digest::Digest,
        issuing::IssuingTerms,
        limit::LoginLimit,
    },
    sources::{Live, Memory, records::Records},
};

const NOW: i64 = 1_800_000_000;
const FORM: &str = "application/x-www-form-urlencoded";

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/fixtures/", $name)).as_slice()
    };
}

fn secret_key() -> SigningKey {
    SigningKey::from_secret(&Secret::new(fixture!("hmac.secret")), Algorithm::HS256).unwrap()
}

fn user(subject: &str, username: &str) -> User {
    User {
        subject: subject.into(),
        username: username.into(),
        password: Some(Secret::new(bcrypt::hash("wönder land", 4).unwrap())),
        roles: ["user".into()].into(),
        permissions: ["write:items".into()].into(),
        plan: None,
        disabled: false,
    }
}

fn policy(key: SigningKey) -> Policy {
    let keys = KeySet::new(vec![key.verifying()]);
    let issuer = IssuerTerms {
        name: IssuerTerms::OWN.into(),
        principal_issuer: Principal::local(),
        issuer: Some("portcullis".into()),
        audiences: vec!["portcullis".into()],
        algorithms: vec![key.algorithm],
        keys: Keys::fixed(keys, IssuerTerms::OWN),
        leeway: Duration::ZERO,
        require: vec!["exp".into(), "sub".into()],
        token_types: IssuerTerms::usual_types(),
        claims: ClaimPaths::default(),
        grants: None,
        users: UserRule::Ignore,
        take_from: vec![TokenPlace::authorization()],
    };
    let roles = RoleGraph::build([RoleDefinition {
        role: "user".into(),
        includes: vec![],
        permissions: vec!["read:items".into()],
    }]);
    let disabled = User { disabled: true, ..user("8", "bob") };
    let accounts = Accounts::new(vec![user("7", "alice"), disabled], vec![]);
    let mut policy = Policy::bare(vec![issuer.into()], accounts, roles.unwrap());
    policy.issuing = Some(
        IssuingTerms {
            path: Some("/auth/token".into()),
            jwks_path: None,
            revoke_path: None,
            refresh_ttl: None,
            for_clients: true,
            issuer: "portcullis".into(),
            audience: "portcullis".into(),
            access_ttl: Duration::from_secs(1800),
            key,
        }
        .into(),
    );
    policy.login_limit = Some(LoginLimit::new(&"5/minute".parse().unwrap()));
    policy
}

/// An endpoint to which one asks, from one address.
struct Desk {
    policy: Policy,
    memory: Memory,
}

impl Desk {
    fn new() -> Self {
        Self { policy: policy(secret_key()), memory: Memory::new(10_000) }
    }

    async fn ask_as(&self, content_type: &str, body: Body<'_>) -> (Answer, Value) {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
        let client = "192.0.2.1".parse().unwrap();
        let request = TokenRequest { headers: &headers, body, client, request_id: "r1" };
        let sources = Live::new(&self.policy, &self.memory);
        let now = Timestamp::from_seconds(NOW);
        let desk =
            endpoint::Desk { request, policy: &self.policy, sources: &sources, records: None, now };
        let answer = desk.issue().await;
        let value = serde_json::from_slice(&answer.reply.body).unwrap();
        (answer, value)
    }

    async fn ask(&self, form: &str) -> (Answer, Value) {
        self.ask_as(FORM, Body::Whole(form.as_bytes())).await
    }

    async fn error(&self, form: &str) -> (u16, String) {
        let (answer, value) = self.ask(form).await;
        (answer.reply.status.as_u16(), value["error"].as_str().unwrap().to_owned())
    }
}

const LOGIN: &str = "grant_type=password&username=alice&password=w%C3%B6nder+land";

fn header<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let found = answer.reply.headers.iter().filter(|(one, _)| one == name);
    found.map(|(_, value)| value.to_str().unwrap()).collect()
}

fn claims_of(token: &str, policy: &Policy) -> Value {
    let memory = Memory::new(1024);
    let jws = Jws::parse(token, Digest::of(token.as_bytes())).unwrap();
    let own = &policy.issuers[0];
    let verified = memory.signatures.verify(own, own.keys.in_file().unwrap(), &jws).unwrap();
    Value::Object(verified.claims.members().clone())
}

#[tokio::test]
async fn the_right_password_is_answered_with_a_token_and_nothing_else() {
    let desk = Desk::new();
    let (answer, value) = desk.ask(LOGIN).await;
    assert_eq!(answer.reply.status, 200);
    assert_eq!(header(&answer, "cache-control"), ["no-store"]);
    assert_eq!(header(&answer, "content-type"), ["application/json"]);
    assert_eq!(answer.subject.unwrap(), "7".into());
    let token = value["access_token"].as_str().unwrap();
    assert_eq!(
        value,
        json!({"access_token": token, "token_type": "bearer", "expires_in": 1800, "scope": "read:items write:items"})
    );
    let mut claims = claims_of(token, &desk.policy);
    let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(jti.as_str().unwrap().len(), 22);
    assert_eq!(
        claims,
        json!({"iss": "portcullis", "sub": "7", "aud": "portcullis", "iat": NOW, "nbf": NOW, "exp": NOW + 1800,
               "roles": ["user"], "permissions": ["read:items", "write:items"]})
    );
    let (_, again) = desk.ask(LOGIN).await;
    assert_ne!(claims_of(again["access_token"].as_str().unwrap(), &desk.policy)["jti"], jti);
}

#[tokio::test]
async fn every_algorithm_signs_what_its_public_half_verifies() {
    for (key, algorithm) in [
        (fixture!("keys/ed25519.pem"), Algorithm::EdDSA),
        (fixture!("keys/ed25519.v2.pem"), Algorithm::EdDSA),
        (fixture!("keys/p256.pem"), Algorithm::ES256),
        (fixture!("keys/rsa.pem"), Algorithm::RS256),
        (fixture!("keys/rsa.pkcs1.pem"), Algorithm::RS256),
    ] {
        let key = SigningKey::from_pem(key, algorithm).unwrap();
        let policy = policy(key.clone());
        let terms = policy.issuing.as_ref().unwrap();
        let now = Timestamp::from_seconds(NOW);
        let minted = mint(terms, &user("7", "alice"), &policy.roles, None, now).unwrap();
        assert_eq!(claims_of(&minted.token, &policy)["sub"], "7", "{algorithm:?}");
        // By the published set alone, as another service would.
        let (set, _) = KeySet::from_jwks(published([&terms.key]).as_bytes(), &[algorithm]).unwrap();
        let jws = Jws::parse(&minted.token, Digest::of(minted.token.as_bytes())).unwrap();
        assert_eq!(jws.header.kid, key.kid);
        assert_eq!(set.candidates(algorithm, jws.header.kid.as_deref()).count(), 1);
    }
}

#[tokio::test]
async fn wrong_unknown_and_shut_out_get_the_same_answer() {
    let desk = Desk::new();
    let mut bodies = vec![];
    for form in [
        "username=alice&password=wrong",
        "username=nobody&password=w%C3%B6nder+land",
        "username=bob&password=w%C3%B6nder+land",
        "username=alice&password=W%C3%B6nder+land",
    ] {
        let (answer, value) = desk.ask(form).await;
        assert_eq!(answer.reply.status, 401);
        assert_eq!(header(&answer, "www-authenticate"), ["Bearer"]);
        assert_eq!(header(&answer, "cache-control"), ["no-store"]);
        assert_eq!(header(&answer, "content-type"), ["application/problem+json"]);
        bodies.push(value);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(
        bodies[0],
        json!({"type": "urn:portcullis:problem:invalid-credentials", "title": "Unauthorized", "status": 401,
               "code": "invalid_credentials", "detail": "Incorrect username or password", "request_id": "r1",
               "error": "invalid_grant", "error_description": "Incorrect username or password"})
    );
    let each: Vec<u64> = desk.memory.passwords.checks().into_values().collect();
    assert_eq!(each, [4], "each computed one hash of the same kind");
}

#[tokio::test]
async fn what_clients_of_frameworks_send_is_understood() {
    let desk = Desk::new();
    for form in [
        "username=alice&password=w%C3%B6nder+land",
        "grant_type=&username=alice&password=w%c3%b6nder%20land&scope=",
        "grant_type=password&username=alice&password=w%C3%B6nder+land&scope=&client_id=string&client_secret=***",
        "foo=1&foo=2&username=alice&password=w%C3%B6nder+land",
        "%75sername=alice&password=w%C3%B6nder+land",
    ] {
        assert_eq!(desk.ask(form).await.0.reply.status, 200, "{form}");
    }
    for media in
        ["application/x-www-form-urlencoded; charset=UTF-8", "Application/X-WWW-Form-Urlencoded"]
    {
        assert_eq!(desk.ask_as(media, Body::Whole(LOGIN.as_bytes())).await.0.reply.status, 200);
    }
}

#[tokio::test]
async fn faults_of_the_form_are_told_as_rfc_6749_says() {
    let desk = Desk::new();
    let invalid = |error: &str| (400, error.to_owned());
    for (form, error) in [
        ("", "invalid_request"),
        ("username=alice", "invalid_request"),
        ("password=x", "invalid_request"),
        ("username=&password=x", "invalid_request"),
        ("username=alice&username=alice&password=x", "invalid_request"),
        ("username=alice&user%6eame=bob&password=x", "invalid_request"),
        ("username=alice&password=x&password=w%C3%B6nder+land", "invalid_request"),
        ("grant_type=password&grant_type=password&username=alice&password=x", "invalid_request"),
        ("username=alice&password=x&scope=a&scope=b", "invalid_request"),
        ("username=%ff&password=x", "invalid_request"),
        ("grant_type=implicit", "unsupported_grant_type"),
        ("grant_type=Password&username=alice&password=x", "unsupported_grant_type"),
        ("grant_type=refresh_token&refresh_token=x", "unsupported_grant_type"),
    ] {
        assert_eq!(desk.error(form).await, invalid(error), "{form}");
    }
    for media in ["application/json", "multipart/form-data; boundary=x", "text/plain", ""] {
        let (answer, value) = desk.ask_as(media, Body::Whole(LOGIN.as_bytes())).await;
        assert_eq!(answer.reply.status, 400);
        assert_eq!(value["error"], "invalid_request");
        assert_eq!(header(&answer, "cache-control"), ["no-store"]);
    }
    let long = format!("{LOGIN}&x={}", "a".repeat(endpoint::LONGEST_FORM));
    assert_eq!(desk.error(&long).await, invalid("invalid_request"));
    let (_, value) = desk.ask_as(FORM, Body::TooLarge).await;
    assert_eq!(value["error"], "invalid_request");
    assert!(desk.memory.passwords.checks().is_empty(), "nothing was hashed");
    assert!(desk.memory.counters.is_empty(), "nothing was counted");
}

#[tokio::test]
async fn a_scope_narrows_to_what_it_names_and_takes_the_roles_away() {
    let desk = Desk::new();
    let (answer, value) = desk.ask(&format!("{LOGIN}&scope=read:items++read:items")).await;
    assert_eq!(answer.reply.status, 200);
    assert_eq!(value["scope"], "read:items");
    let claims = claims_of(value["access_token"].as_str().unwrap(), &desk.policy);
    assert_eq!(claims["permissions"], json!(["read:items"]));
    assert_eq!(claims["roles"], json!([]));
    assert_eq!(claims["scope"], "read:items");
    for scope in [
        "delete:users",
        "read:items+delete:users",
        "user",
        "read:item",
        "read:items%09write:items",
        "+",
    ] {
        assert_eq!(
            desk.error(&format!("{LOGIN}&scope={scope}")).await,
            (400, "invalid_scope".into()),
            "{scope}"
        );
    }
    let wrong = "username=alice&password=x&scope=delete:users";
    assert_eq!(
        desk.error(wrong).await.1,
        "invalid_grant",
        "a scope tells nothing without the password"
    );
}

#[tokio::test]
async fn the_sixth_wrong_password_of_a_minute_is_not_looked_at() {
    let desk = Desk::new();
    for _ in 0..5 {
        assert_eq!(desk.error("username=alice&password=x").await.0, 401);
    }
    let (answer, value) = desk.ask(LOGIN).await;
    assert_eq!(answer.reply.status, 429);
    assert_eq!(value["code"], "rate_limited");
    assert_eq!(value["detail"], "Rate limit exceeded: 5 per 1 minute");
    assert_eq!(header(&answer, "retry-after").len(), 1);
    assert_eq!(answer.reason, Some("rate_limited"));
}

#[tokio::test]
async fn right_passwords_take_no_place() {
    let desk = Desk::new();
    for _ in 0..20 {
        assert_eq!(desk.ask(LOGIN).await.0.reply.status, 200);
    }
}

#[test]
fn what_does_not_fit_into_a_token_is_not_issued() {
    let policy = policy(secret_key());
    let many = (0..2_000).map(|n| format!("permission-{n}").into()).collect();
    let greedy = User { permissions: many, ..user("7", "alice") };
    let terms = policy.issuing.as_ref().unwrap();
    let fault =
        mint(terms, &greedy, &policy.roles, None, Timestamp::from_seconds(NOW)).unwrap_err();
    assert_eq!(fault, signer::MintFault::TooLarge);
}

#[test]
fn a_request_never_prints_its_password() {
    let headers = HeaderMap::new();
    let body = Body::Whole(LOGIN.as_bytes());
    let client = "192.0.2.1".parse().unwrap();
    let request = TokenRequest { headers: &headers, body, client, request_id: "r1" };
    assert!(!format!("{request:?}").contains("nder"));
}

mod refreshing;
mod stored;
