//! What a decision costs, and how much it allocates: the judge alone, on a policy that was compiled
//! from text as any file is.
//!
//! Leaves out reading the request off the wire and carrying the decision out. `facts` is what is read
//! of a request before the judge sees it. Requests have the headers of a usual HTTP library; tokens
//! are a thousand, each verified once before.

use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::{SystemTime, UNIX_EPOCH},
};

use divan::{AllocProfiler, Bencher, black_box};
use http::{HeaderMap, HeaderValue, Method, Version, header};
use jsonwebtoken::Algorithm;
use portcullis::{
    compile::{self, Circumstances},
    config::load::{self, FileFault},
    model::Timestamp,
    policy::{
        Decision, Policy, RequestFacts, Trail, Verdict, authn::keys::SigningKey, client::Received,
        decide, request::Scheme,
    },
    sources::{Live, Memory, provider},
};
use serde_json::json;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATIONS: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

#[cfg(not(feature = "mimalloc"))]
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const PUBLIC: &[u8] = include_bytes!("../tests/fixtures/keys/rsa.pub.pem");
const PRIVATE: &[u8] = include_bytes!("../tests/fixtures/keys/rsa.pem");
const ISSUER: &str = "https://id.example.com/";
const REQUEST_ID: &str = "0192f3a45b6c7d8e9f0123456789abcd";

/// SHA-256 of `bench-key`.
const FILE: &str = r#"
version: 1
upstreams: { app: "http://127.0.0.1:9000" }
authentication:
  jwt:
    corp:
      issuer: "https://id.example.com/"
      audiences: [bench]
      algorithms: [RS256]
      public_key_file: issuer.pem
  api_keys:
    header: X-API-Key
    keys:
      - id: bench
        sha256: KEY_DIGEST
        subject: robot
        roles: [user]
roles:
  user: { permissions: [read:items] }
routes:
  - name: public
    match: { path: /public }
    upstream: app
    auth: none
  - name: api
    match: { path: "/api/**" }
    upstream: app
    auth: [jwt:corp, api_key]
    allow: { roles: [user] }
    rate_limit: { limit: 1000000000/minute, by: principal }
"#;

fn main() {
    divan::main();
}

/// A policy and what answers its questions.
struct Judge {
    policy: Policy,
    memory: Memory,
}

impl Judge {
    fn new() -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, b"bench-key");
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let text = FILE.replace("KEY_DIGEST", &hex);
        let open = |_: &std::path::Path| Ok::<_, FileFault>(PUBLIC.to_vec());
        let loaded =
            load::load_with("bench.yaml", text, &|_| None, std::path::Path::new(""), &open);
        let circumstances = Circumstances { now: now(), ..Circumstances::default() };
        let compiled = compile::compile(&loaded, &circumstances);
        let Some(outcome) = compiled.outcome else { panic!("{:?}", compiled.diagnostics) };
        let memory = Memory::new(outcome.policy.counters);
        Self { policy: outcome.policy, memory }
    }

    fn decide(&self, path: &str, headers: &HeaderMap, now: Timestamp) -> Decision {
        let facts = RequestFacts::read(&received(path, headers), &self.policy.server, REQUEST_ID);
        self.judge(&facts, now)
    }

    fn judge(&self, facts: &RequestFacts<'_>, now: Timestamp) -> Decision {
        let sources = Live::new(&self.policy, &self.memory);
        let mut trail = Trail::unread();
        let decision = pin!(decide(&self.policy, facts, &sources, now, &mut trail));
        match decision.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(decision) => decision,
            Poll::Pending => unreachable!("everything is in memory"),
        }
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn received<'r>(path: &'r str, headers: &'r HeaderMap) -> Received<'r> {
    Received {
        method: &Method::GET,
        version: Version::HTTP_11,
        path,
        query: None,
        host: "api.example.com",
        headers,
        peer: "192.0.2.1".parse().expect("an address"),
        scheme: Scheme::Http,
        port: 8080,
        certificate: None,
    }
}

fn headers() -> HeaderMap {
    let lines = [
        (header::HOST, "api.example.com"),
        (header::USER_AGENT, "python-requests/2.32.5"),
        (header::ACCEPT, "*/*"),
        (header::ACCEPT_ENCODING, "gzip, deflate"),
        (header::CONNECTION, "keep-alive"),
    ];
    lines.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

fn with_tokens() -> Vec<HeaderMap> {
    portcullis::sources::provider::install();
    let key = SigningKey::from_pem(PRIVATE, Algorithm::RS256).expect("a key");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let request = |number: usize| {
        let claims = json!({
            "iss": ISSUER, "aud": "bench", "sub": format!("user-{number}"), "iat": now,
            "exp": now + 36_000, "roles": ["user"], "permissions": ["read:items", "write:items"],
        });
        let token =
            provider::sign(&key, "JWT", claims.as_object().expect("an object")).expect("a token");
        let mut headers = headers();
        let value = HeaderValue::try_from(format!("Bearer {token}")).expect("a header value");
        headers.insert(header::AUTHORIZATION, value);
        headers
    };
    (0..1000).map(request).collect()
}

fn bench_admitted(bencher: Bencher<'_, '_>, path: &str, requests: &[HeaderMap]) {
    let judge = Judge::new();
    for headers in requests {
        let decision = judge.decide(path, headers, now());
        assert!(matches!(decision.verdict, Verdict::Forward(_)), "{:?}", decision.verdict);
    }
    let facts: Vec<RequestFacts<'_>> = requests
        .iter()
        .map(|headers| {
            RequestFacts::read(&received(path, headers), &judge.policy.server, REQUEST_ID)
        })
        .collect();
    let (next, now) = (AtomicUsize::new(0), now());
    bencher.bench(|| {
        let number = next.fetch_add(1, Relaxed) % facts.len();
        judge.judge(black_box(&facts[number]), now)
    });
}

/// A token out of a thousand, a role, a limit, four identity headers.
#[divan::bench]
fn token(bencher: Bencher<'_, '_>) {
    bench_admitted(bencher, "/api/items", &with_tokens());
}

#[divan::bench]
fn api_key(bencher: Bencher<'_, '_>) {
    let mut headers = headers();
    headers.insert("x-api-key", HeaderValue::from_static("bench-key"));
    bench_admitted(bencher, "/api/items", &[headers]);
}

#[divan::bench]
fn public(bencher: Bencher<'_, '_>) {
    bench_admitted(bencher, "/public", &[headers()]);
}

/// 401, and what the client is told.
#[divan::bench]
fn no_credential(bencher: Bencher<'_, '_>) {
    let (judge, headers, now) = (Judge::new(), headers(), now());
    let facts =
        RequestFacts::read(&received("/api/items", &headers), &judge.policy.server, REQUEST_ID);
    bencher.bench(|| {
        let decision = judge.judge(black_box(&facts), now);
        let Verdict::Deny(denial) = &decision.verdict else { unreachable!("it has no credential") };
        denial.problem().reply(REQUEST_ID)
    });
}

#[divan::bench]
fn facts(bencher: Bencher<'_, '_>) {
    let (judge, requests) = (Judge::new(), with_tokens());
    let headers = requests.first().expect("a request");
    bencher.bench(|| {
        let received = received("/api/items", black_box(headers));
        RequestFacts::read(&received, &judge.policy.server, REQUEST_ID).port
    });
}
