//! Authentication as a whole, against real keys, hashes and counters.

mod anything;
mod api_key;
mod bearer;
mod failures;

mod password;
mod provider;
mod which;

use std::{net::IpAddr, time::Duration};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, Method as Verb};
use serde_json::{Value, json};

use super::{
    jwt::{ClaimPaths, Grants, UserRule},
    keys::{KeySet, Keys, VerifyingKey},
    *,
};
use crate::{
    model::{Permission, Role, Secret},
    policy::{
        accounts::{Accounts, ApiKey, User},
        authz::{RoleDefinition, RoleGraph},
        decision::{ApiKeyFault, Reply, TokenFault},
        digest::Digest,
        limit::{self, By, Limit, LoginLimit, Scope},
        request::Scheme,
        rules::{Access, Action, CorsRule, CrossSite, HeaderTerms, Mode},
    },
    sources::{Live, Memory},
};

const NOW: i64 = 1_800_000_000;
const SECRET: &str = "8f2c1e9b7a6d5043f1e2d3c4b5a69788";
const OTHER_SECRET: &str = "18f2c1e9b7a6d5043f1e2d3c4b5a6978";
const KEY: &str = "key-of-the-robot";
const CORP: &str = "https://id.example.com/";

/// A policy, a route and a memory, and a request to be changed by each test.
struct Bench {
    policy: Policy,
    methods: Vec<Method>,
    memory: Memory,
    cross_site: CrossSite,
    verb: Verb,
    query: Option<String>,
    headers: HeaderMap,
    client: IpAddr,
    websocket: bool,
    now: Timestamp,
}

fn hmac_key(secret: &str) -> KeySet {
    let algorithms = [Algorithm::HS256];
    KeySet::new(vec![VerifyingKey::from_secret(&Secret::new(secret), &algorithms).unwrap()])
}

fn issuer(name: &str, iss: Option<&str>, secret: &str) -> IssuerTerms {
    let keys = hmac_key(secret);
    IssuerTerms {
        name: name.into(),
        principal_issuer: if name == "token" { Principal::local() } else { name.into() },
        issuer: iss.map(str::to_owned),
        audiences: vec!["orders-api".into(), "other".into()],
        algorithms: vec![Algorithm::HS256],
        keys: Keys::fixed(keys, name),
        leeway: Duration::from_secs(30),
        require: vec!["exp".into(), "sub".into()],
        token_types: IssuerTerms::usual_types(),
        claims: ClaimPaths::default(),
        grants: None,
        users: UserRule::Ignore,
        take_from: vec![TokenPlace::authorization()],
    }
}

fn names<T: for<'a> From<&'a str>>(names: &[&str]) -> Arc<[T]> {
    names.iter().map(|name| T::from(name)).collect()
}

fn user(subject: &str, username: &str) -> User {
    User {
        subject: subject.into(),
        username: username.into(),
        password: Some(Secret::new(bcrypt::hash("wonderland", 4).unwrap())),
        roles: names(&["user"]),
        permissions: names(&["own"]),
        plan: Some("pro".into()),
        disabled: false,
    }
}

fn robot() -> ApiKey {
    ApiKey {
        id: "ci".into(),
        subject: "ci-robot".into(),
        roles: names(&["user"]),
        permissions: names(&["deploy"]),
        plan: None,
        networks: [].into(),
        expires: None,
        disabled: false,
    }
}

impl Bench {
    fn new(issuers: Vec<IssuerTerms>, keys: Vec<(Digest, ApiKey)>) -> Self {
        let issuers: Vec<Arc<IssuerTerms>> = issuers.into_iter().map(Arc::new).collect();
        let roles = RoleGraph::build([RoleDefinition {
            role: "user".into(),
            includes: vec![],
            permissions: vec!["read:items".into()],
        }]);
        let disabled = User { disabled: true, ..user("8", "bob") };
        let quotas = |text: &str| text.parse().unwrap();
        let by = vec![By::ClientIp];
        let failures = Limit::new(
            &Scope::Own("failure_limit"),
            &quotas("3/minute"),
            by,
            limit::Algorithm::default(),
        );
        let accounts = Accounts::new(vec![user("7", "alice"), disabled], keys);
        let mut policy = Policy::bare(issuers.clone(), accounts, roles.unwrap());
        policy.failure_limit = Some(Arc::new(failures));
        policy.login_limit = Some(LoginLimit::new(&quotas("5/minute")));
        let terms = ApiKeyTerms {
            header: Some(HeaderName::from_static("x-api-key")),
            query: Some("api_key".into()),
        };
        let basic = BasicTerms { realm: "portcullis".into() };
        Self {
            policy,
            methods: vec![
                Method::Jwt(JwtRule::of(issuers)),
                Method::ApiKey(Arc::new(terms)),
                Method::Basic(Arc::new(basic)),
            ],
            memory: Memory::new(10_000),
            cross_site: CrossSite::Deny,
            verb: Verb::GET,
            query: None,
            headers: HeaderMap::new(),
            client: "192.0.2.1".parse().unwrap(),
            websocket: false,
            now: Timestamp::from_seconds(NOW),
        }
    }

    fn usual() -> Self {
        Self::new(
            vec![issuer("corp", Some(CORP), SECRET)],
            vec![(Digest::of(KEY.as_bytes()), robot())],
        )
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    fn basic(self, username: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        self.with("authorization", &format!("Basic {pair}"))
    }

    fn asking(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    async fn run(&mut self) -> Result<Option<Arc<Principal>>, Denial> {
        let challenges = Arc::new(Challenges { lines: vec![], only: None });
        let rule = AuthRule {
            methods: std::mem::take(&mut self.methods),
            challenges,
            written: "[jwt, api_key, basic]".into(),
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
            method: &self.verb,
            path: "/",
            query: self.query.as_deref(),
            host: "api.example.com",
            headers: &self.headers,
            peer: self.client,
            peer_trusted: false,
            client: self.client,
            scheme: Scheme::Http,
            forwarded_host: "api.example.com",
            request_id: "r1",
            websocket: self.websocket,
            port: 80,
            certificate: None,
        };
        let sources = Live::new(&self.policy, &self.memory);
        let mut trail = Trail::kept();
        let answer =
            authenticate(&self.policy, &route, &rule, &facts, &sources, self.now, &mut trail).await;
        assert!(!trail.steps().is_empty());
        self.methods = rule.methods;
        answer
    }

    async fn who(mut self) -> Option<String> {
        let principal = self.run().await.unwrap()?;
        Some(format!("{} {}", principal.issuer, principal.subject))
    }

    async fn refusal(mut self) -> Denial {
        self.run().await.unwrap_err()
    }

    async fn fault(self) -> TokenFault {
        match self.refusal().await {
            Denial::InvalidToken { fault, .. } => fault,
            other => panic!("{other:?}"),
        }
    }
}

fn claims() -> Value {
    json!({"iss": CORP, "aud": "orders-api", "sub": "alice", "exp": NOW + 60, "roles": ["user"]})
}

fn changed(member: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[member] = value;
    claims
}

fn without(member: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(member);
    claims
}

fn signed_text(header: &str, claims: &str, secret: &str) -> String {
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

fn signed(claims: &Value) -> String {
    signed_text(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string(), SECRET)
}
