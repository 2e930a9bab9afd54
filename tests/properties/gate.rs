//! A compiled file with its memory, and requests for it.

use std::{
    net::IpAddr,
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use portcullis::{
    compile::{Circumstances, compile},
    config::{self, diagnostic},
    model::Timestamp,
    policy::{
        Decision, Denial, Policy, RequestFacts, Sources, Trail, Verdict, client::Received, decide,
        request::Scheme,
    },
    sources::{Dry, Live, Memory},
};

/// The beginning of 2027.
pub const NOW: Timestamp = Timestamp::from_seconds(1_798_761_600);

/// A compiled file, and what is counted under it.
pub struct Gate {
    policy: Policy,
    memory: Memory,
}

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
    pub peer: IpAddr,
}

impl Ask {
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: None,
            headers: HeaderMap::new(),
            peer: IpAddr::from([192, 0, 2, 1]),
        }
    }

    /// Adds a header line.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.append(name, HeaderValue::from_str(value).unwrap());
        self
    }
}

impl Gate {
    /// Compiles the text of a file, which must be without faults.
    pub fn of(yaml: &str) -> Self {
        let loaded = config::load_text("gateway.yaml", yaml, &|_| None);
        let compiled = compile(&loaded, &Circumstances { now: NOW, ..Circumstances::default() });
        let told = diagnostic::to_text(&compiled.diagnostics, false);
        let outcome = compiled.outcome.unwrap_or_else(|| panic!("{told}\n{yaml}"));
        Self { policy: outcome.policy, memory: Memory::new(10_000) }
    }

    /// What a running gateway decides, with everything that it counts.
    pub fn live(&self, ask: &Ask, now: Timestamp) -> Decision {
        self.decide(ask, &Live::new(&self.policy, &self.memory), now)
    }

    /// What `explain` says of it, which counts nothing.
    pub fn dry(&self, ask: &Ask, now: Timestamp) -> Decision {
        self.decide(ask, &Dry::new(&self.policy, &self.memory), now)
    }

    /// Takes every route away from under the table that finds them, as no file could.
    pub fn lose_routes(&mut self) {
        self.policy.routes.clear();
    }

    /// What is decided with these answers from outside.
    pub fn decide(&self, ask: &Ask, sources: &impl Sources, now: Timestamp) -> Decision {
        let received = Received {
            method: &ask.method,
            version: Version::HTTP_11,
            path: &ask.path,
            query: ask.query.as_deref(),
            host: "localhost",
            headers: &ask.headers,
            peer: ask.peer,
            scheme: Scheme::Http,
            port: 80,
            certificate: None,
        };
        let facts = RequestFacts::read(&received, &self.policy.server, "law");
        let mut trail = Trail::default();
        let decision = pin!(decide(&self.policy, &facts, sources, now, &mut trail));
        match decision.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(decision) => decision,
            Poll::Pending => panic!("nothing that these files ask for has to be waited for"),
        }
    }
}

/// The name of the route by which a request goes upstream, if it does.
pub fn admitted(decision: &Decision) -> Option<&str> {
    match &decision.verdict {
        Verdict::Forward(permit) => Some(permit.route().name.as_str()),
        Verdict::Answer(_) | Verdict::Deny(_) | Verdict::Serve(_) => None,
    }
}

/// Why a request is refused, if it is.
pub fn denial(decision: &Decision) -> Option<&Denial> {
    match &decision.verdict {
        Verdict::Deny(denial) => Some(denial),
        Verdict::Answer(_) | Verdict::Forward(_) | Verdict::Serve(_) => None,
    }
}
