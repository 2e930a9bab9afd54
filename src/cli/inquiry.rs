//! A request as an operator describes it, put before the judge without a server.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};

use crate::{
    model::{Principal, Timestamp},
    policy::{
        Decision, Denial, Policy, RequestFacts, Trail, Verdict,
        authn::{self, ClientCertificate, TokenPlace},
        client::{self, Received},
        decide, decide_as,
        forward::ResponsePlan,
        metadata::{MetadataTerms, Origin},
        request::Scheme,
        rules::Action,
        trail::Step,
    },
    proxy::framing,
    sources::Dry,
};

/// A request as an operator describes it.
#[derive(Clone, Debug)]
pub struct Inquiry {
    method: Method,
    scheme: Scheme,
    host: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    peer: IpAddr,
    port: u16,
    certificate: Option<ClientCertificate>,
}

/// What the judge made of it.
#[derive(Debug)]
pub struct Findings {
    /// The decision.
    pub decision: Decision,
    /// Its steps.
    pub steps: Vec<Step>,
    /// What would go upstream.
    pub sent: Option<Sent>,
    /// What the client would be answered, as far as the gateway knows.
    pub answer: Answer,
    /// Headers that hold a credential: their values are not shown.
    pub secret: Vec<HeaderName>,
}

/// A request as an upstream would get it.
#[derive(Debug)]
pub struct Sent {
    /// The upstream's name.
    pub upstream: String,
    /// The request target.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
}

/// An answer as far as the gateway knows it.
#[derive(Debug)]
pub struct Answer {
    /// Its status; absent where the upstream says it.
    pub status: Option<u16>,
    /// The code of a refusal.
    pub code: Option<&'static str>,
    /// What a refusal says.
    pub detail: Option<String>,
    /// The exact reason of a refusal, which only the log says.
    pub reason: Option<&'static str>,
    /// Its headers; where the upstream answers, those that the gateway adds.
    pub headers: HeaderMap,
}

impl Inquiry {
    /// A request for a path or a URL, as it would stand on the wire: nothing is normalized.
    ///
    /// # Errors
    /// A method that is no token, or a target that is neither path nor URL.
    pub fn new(method: &str, target: &str) -> anyhow::Result<Self> {
        let method = Method::from_bytes(method.as_bytes())
            .with_context(|| format!("`{}` is no method", super::output::shown(method)))?;
        let (scheme, host, rest) = split(target)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let path = if path.is_empty() { "/" } else { path };
        let peer = IpAddr::from([127, 0, 0, 1]);
        let port = if scheme == Scheme::Https { 443 } else { 80 };
        let (host, path) = (host.to_owned(), path.to_owned());
        let (headers, certificate) = (HeaderMap::new(), None);
        Ok(Self { method, scheme, host, path, query, headers, peer, port, certificate })
    }

    /// Adds a header; one with the same name stays beside it.
    ///
    /// # Errors
    /// What is no header.
    pub fn header(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        let shown = super::output::shown(name);
        let name =
            HeaderName::from_str(name).with_context(|| format!("`{shown}` is no header name"))?;
        // HTTP allows bytes beyond ASCII in values (RFC 9110, section 5.5), so UTF-8 passes.
        let value = HeaderValue::from_bytes(value.as_bytes())
            .with_context(|| format!("the value of `{name}` cannot stand in a header"))?;
        if name == header::HOST {
            self.host = value.to_str().context("a host is ASCII")?.to_owned();
        }
        self.headers.append(name, value);
        Ok(())
    }

    /// Says who the connection's other end is.
    pub fn set_peer(&mut self, peer: IpAddr) {
        self.peer = peer;
    }

    /// Says that the client showed a certificate which names this subject.
    pub fn certificate(&mut self, subject: &str) {
        self.certificate = Some(ClientCertificate::supposed(subject));
    }

    /// Puts it before the judge; with a principal, nobody is asked for a credential.
    pub fn judge(
        &self,
        policy: &Policy,
        sources: &Dry<'_>,
        principal: Option<Arc<Principal>>,
        now: Timestamp,
    ) -> anyhow::Result<Findings> {
        let mut headers = self.headers.clone();
        if !headers.contains_key(header::HOST) {
            headers.insert(header::HOST, HeaderValue::from_str(&self.host)?);
        }
        let received = Received {
            method: &self.method,
            version: Version::HTTP_11,
            path: &self.path,
            query: self.query.as_deref(),
            host: &self.host,
            headers: &headers,
            peer: self.peer,
            scheme: self.scheme,
            port: self.port,
            certificate: self.certificate.as_ref(),
        };
        let id = client::request_id(&headers).unwrap_or("explain");
        let facts = RequestFacts::read(&received, &policy.server, id);
        let mut trail = Trail::kept();
        // Nothing here waits but for a password's hash, and for others who know what a token is worth.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let decision = match self.admit(policy, &headers) {
            Err(denial) => refused(denial, policy, &facts),
            Ok(()) => runtime.block_on(async {
                match principal {
                    Some(who) => decide_as(policy, &facts, who, sources, now, &mut trail).await,
                    None => decide(policy, &facts, sources, now, &mut trail).await,
                }
            }),
        };
        let origin = Origin::new(facts.scheme, facts.host).filter(|_| policy.metadata.is_some());
        let answer = answer(&decision, id, origin);
        let sent = self.sent(&decision, &headers);
        let secret = secret_headers(policy);
        Ok(Findings { decision, steps: trail.steps().to_vec(), sent, answer, secret })
    }

    fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// What the listener looks at before a request is judged: its head as it would stand on the
    /// wire.
    fn admit(&self, policy: &Policy, headers: &HeaderMap) -> Result<(), Denial> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target()).into_bytes();
        for (name, value) in headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"\r\n");
        framing::read(&head, &policy.server.limits).map(drop)
    }

    fn sent(&self, decision: &Decision, received: &HeaderMap) -> Option<Sent> {
        let Verdict::Forward(permit) = &decision.verdict else { return None };
        let plan = permit.plan();
        let headers = plan.apply(received);
        let upstream = match &permit.route().action {
            Action::Forward(forwarding) => forwarding.upstream.name.to_string(),
            Action::Redirect { .. } | Action::Respond(_) | Action::Serve(_) => String::new(),
        };
        let target = plan.target.clone().unwrap_or_else(|| self.target());
        Some(Sent { upstream, target, headers })
    }
}

/// The headers in which credentials stand, here or behind.
fn secret_headers(policy: &Policy) -> Vec<HeaderName> {
    let usual =
        [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::SET_COOKIE];
    let mut secret = usual.to_vec();
    let methods = policy.routes.iter().filter_map(|route| route.access.rule());
    for method in methods.flat_map(|rule| &rule.methods) {
        match method {
            authn::Method::ApiKey(terms) => secret.extend(terms.header.iter().cloned()),
            authn::Method::Basic(_) | authn::Method::ClientCert(_) => {}
            authn::Method::ForwardAuth(terms) => secret.extend(terms.send.iter().cloned()),
            authn::Method::Jwt(rule) => {
                secret.extend(rule.places.iter().filter_map(TokenPlace::header).cloned());
            }
        }
    }
    secret.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    secret.dedup();
    secret
}

/// A refusal before the judge is asked.
fn refused(denial: Denial, policy: &Policy, facts: &RequestFacts<'_>) -> Decision {
    let (cors, security) = (&policy.default_cors, &policy.default_security_headers);
    Decision {
        route: None,
        principal: None,
        response: ResponsePlan::new(cors, security, facts),
        remark: None,
        shadow: None,
        verdict: Verdict::Deny(denial),
    }
}

/// The scheme, the host, and what follows.
fn split(target: &str) -> anyhow::Result<(Scheme, &str, &str)> {
    if target.starts_with('/') || target == "*" {
        return Ok((Scheme::Http, "localhost", target));
    }
    let (scheme, rest) = match target.split_once("://") {
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("https", rest)) => (Scheme::Https, rest),
        _ => bail!("`{}` is neither a path nor a URL", super::output::shown(target)),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    if !client::is_authority(host) {
        bail!("`{}` is no host", super::output::shown(host));
    }
    Ok((scheme, host, rest))
}

fn answer(decision: &Decision, request_id: &str, origin: Option<Origin<'_>>) -> Answer {
    let mut headers = HeaderMap::new();
    let mut answer = match &decision.verdict {
        Verdict::Answer(reply) => {
            headers.extend(reply.headers.iter().cloned());
            Answer::with_status(reply.status.as_u16())
        }
        Verdict::Deny(denial) => {
            let url = || origin.map(MetadataTerms::resource_metadata);
            let problem = denial.problem().pointing_to(url);
            for (name, value) in problem.reply(request_id).headers {
                headers.append(name, value);
            }
            Answer {
                code: Some(problem.code),
                detail: Some(problem.detail.into_owned()),
                reason: Some(denial.reason()),
                ..Answer::with_status(problem.status.as_u16())
            }
        }
        Verdict::Forward(_) | Verdict::Serve(_) => {
            Answer { status: None, ..Answer::with_status(0) }
        }
    };
    decision.response.apply(&mut headers);
    answer.headers = headers;
    answer
}

impl Answer {
    fn with_status(status: u16) -> Self {
        let headers = HeaderMap::new();
        Self { status: Some(status), code: None, detail: None, reason: None, headers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_stands_as_it_would_on_the_wire() {
        let inquiry = Inquiry::new("GET", "https://api.example.com/a/../b?x=1?y").unwrap();
        assert_eq!((inquiry.host.as_str(), inquiry.path.as_str()), ("api.example.com", "/a/../b"));
        assert_eq!(inquiry.query.as_deref(), Some("x=1?y"));
        assert_eq!(Inquiry::new("GET", "http://a").unwrap().path, "/");
        assert_eq!(Inquiry::new("GET", "/%61#b").unwrap().path, "/%61#b");
        for target in ["a", "ftp://a/", "http://", "http://u@h/", "//a"] {
            assert!(Inquiry::new("GET", target).is_err() || target == "//a", "{target}");
        }
        assert!(Inquiry::new("G T", "/").is_err());
    }

    #[test]
    fn a_host_header_says_the_host() {
        let mut inquiry = Inquiry::new("GET", "/").unwrap();
        inquiry.header("Host", "api.example.com").unwrap();
        assert_eq!(inquiry.host, "api.example.com");
        assert!(inquiry.header("a b", "c").is_err());
        assert!(inquiry.header("a", "b\nc").is_err());
    }
}
