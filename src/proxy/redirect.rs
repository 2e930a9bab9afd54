//! From clear to `https`: the same place, at a listener with TLS.

use http::{HeaderValue, StatusCode};

use crate::policy::{
    Decision, Denial, Policy, RequestFacts, Verdict, client, decision::Reply, forward::ResponsePlan,
};

/// What the log says of such an answer.
const REMARK: &str = "redirect_https";

/// Sends the client to the same place by `https`, at this port.
pub(super) fn decide(policy: &Policy, facts: &RequestFacts<'_>, port: u16) -> Decision {
    let (cors, security) = (&policy.default_cors, &policy.default_security_headers);
    let (verdict, remark) = match location(policy, facts, port) {
        Ok(to) => {
            let reply = Reply::redirect(StatusCode::PERMANENT_REDIRECT, to);
            (Verdict::Answer(reply), Some(REMARK))
        }
        Err(denial) => (Verdict::Deny(denial), None),
    };
    Decision {
        route: None,
        principal: None,
        response: ResponsePlan::new(cors, security, facts),
        remark,
        shadow: None,
        verdict,
    }
}

/// Nobody is sent to a host or along a path that would not be served there: a cache between us
/// would keep whatever a client made up.
fn location(policy: &Policy, facts: &RequestFacts<'_>, port: u16) -> Result<HeaderValue, Denial> {
    if !client::is_authority(facts.host) {
        return Err(Denial::BadRequest { why: "the request does not say which host it is for" });
    }
    policy.table.find(facts.host, facts.method, facts.path.as_bytes())?;
    let mut to = format!("https://{}", without_port(facts.host));
    if port != 443 {
        to.push_str(&format!(":{port}"));
    }
    to.push_str(facts.path);
    if let Some(query) = facts.query {
        to.push('?');
        to.push_str(query);
    }
    let unwritable = |_| Denial::BadRequest { why: "the target cannot stand in a header" };
    HeaderValue::try_from(to).map_err(unwritable)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        // The colons of an address of IPv6 are within brackets.
        Some((host, port)) if !port.contains(']') => host,
        Some(_) | None => authority,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, Version};

    use super::*;
    use crate::{
        compile::{Circumstances, compile},
        config::load_text,
        policy::{client::Received, request::Scheme},
    };

    const YAML: &str = "
upstreams: { app: { builtin: echo } }
defaults: { auth: none }
routes:
  - { match: { hosts: [api.example, '[2001:db8::1]'], path: '/**', methods: [GET] }, upstream: app }
";

    fn sent(method: Method, host: &str, path: &str, query: Option<&str>, port: u16) -> String {
        let loaded = load_text("gateway.yaml", YAML, &|_| None);
        let policy = compile(&loaded, &Circumstances::default()).outcome.unwrap().policy;
        let headers = HeaderMap::new();
        let received = Received {
            method: &method,
            version: Version::HTTP_11,
            path,
            query,
            host,
            headers: &headers,
            peer: "192.0.2.1".parse().unwrap(),
            scheme: Scheme::Http,
            port: 80,
            certificate: None,
        };
        let facts = RequestFacts::read(&received, &policy.server, "r-1");
        match decide(&policy, &facts, port).verdict {
            Verdict::Answer(reply) => {
                assert_eq!(reply.status, 308);
                reply.headers[0].1.to_str().unwrap().to_owned()
            }
            Verdict::Deny(denial) => denial.problem().code.to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_client_is_sent_to_the_same_place() {
        let get = |host, path, query, port| sent(Method::GET, host, path, query, port);
        assert_eq!(
            get("api.example", "/a%20b", Some("x=1&y"), 443),
            "https://api.example/a%20b?x=1&y"
        );
        assert_eq!(get("API.example:8080", "/", None, 8443), "https://API.example:8443/");
        assert_eq!(get("[2001:db8::1]:80", "/a", None, 443), "https://[2001:db8::1]/a");
        assert_eq!(get("[2001:db8::1]", "/a", None, 8443), "https://[2001:db8::1]:8443/a");
        assert_eq!(
            get("api.example", "//evil.example/x", None, 443),
            "https://api.example//evil.example/x"
        );
    }

    #[test]
    fn nobody_is_sent_where_nothing_would_be_served() {
        let get = |host, path| sent(Method::GET, host, path, None, 443);
        for host in [
            "evil.example",
            "api.example.evil.example",
            "api.example@evil.example",
            "",
            "a b",
            "api.example/x",
        ] {
            assert!(!get(host, "/").starts_with("https:"), "{host}");
        }
        assert_eq!(get("evil.example", "/"), "no_route");
        assert_eq!(get("api.example", "/a/../b"), "ambiguous_path");
        assert_eq!(sent(Method::POST, "api.example", "/", None, 443), "method_not_allowed");
    }
}
