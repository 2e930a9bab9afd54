//! A denial's answer: status, code, text and headers (RFC 9457). Adding a denial does not compile
//! until they exist.

use std::{
    borrow::Cow,
    fmt::{Display, Write as _},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    authn::{Challenges, OnlyMethod},
    decision::{Condition, Denial, ForwardAuthFault, Reply, TokenFault},
};
use crate::model::JsonObject;

/// What a client is told of a denial.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The stable code.
    pub code: &'static str,
    /// One sentence for a person.
    pub detail: Cow<'static, str>,
    /// Headers beside the usual ones.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose words its challenges are.
    pub asks: Asks,
}

/// Whose words the challenges of a problem are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Another's, passed on as they came.
    Elsewhere,
    /// The gateway's.
    Here,
}

impl Denial {
    /// What the client is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::AmbiguousCredentials { kind } => {
                let problem = Problem::new(
                    400,
                    "ambiguous_credentials",
                    "The same credential was sent twice",
                );
                match kind {
                    kind if kind.is_bearer() => {
                        problem.challenge("Bearer error=\"invalid_request\"")
                    }
                    _ => problem,
                }
            }
            Self::AmbiguousMethod => {
                Problem::new(400, "ambiguous_method", "The request names a method of another route")
            }
            Self::AmbiguousPath { .. } => {
                Problem::new(400, "ambiguous_path", "The path can be read in more than one way")
            }
            Self::BadRequest { why } => Problem::new(400, "bad_request", *why),
            Self::BodyTooLarge => Problem::new(413, "body_too_large", "The body is too large"),
            Self::ConditionFailed { .. } => Problem::new(403, "condition_failed", "Forbidden"),
            Self::CrossSite => Problem::new(403, "cross_site", "Forbidden"),
            Self::Denied => Problem::new(403, "denied", "Forbidden"),
            Self::HeadersTooLarge => {
                Problem::new(431, "headers_too_large", "The header is too large")
            }
            Self::Internal { .. } => Problem::new(500, "internal_error", "Internal error"),
            Self::InvalidApiKey { challenges, .. } => match challenges.only {
                Some(OnlyMethod::ApiKey(status)) => {
                    Problem::of(status, "invalid_api_key", "Invalid API key").ask(challenges)
                }
                Some(OnlyMethod::ClientCert) | None => {
                    Problem::new(401, "invalid_api_key", INVALID).ask(challenges)
                }
            },
            Self::InvalidCertificate { challenges, .. } => match challenges.only {
                Some(OnlyMethod::ClientCert) => {
                    Problem::new(403, "invalid_credentials", "Invalid client certificate")
                }
                Some(OnlyMethod::ApiKey(_)) | None => {
                    Problem::new(401, "invalid_credentials", INVALID).ask(challenges)
                }
            },
            Self::InvalidCredentials { challenges } => {
                Problem::new(401, "invalid_credentials", INVALID).ask(challenges)
            }
            Self::InvalidToken { fault, challenges, .. } => {
                let (code, description) = match fault {
                    TokenFault::Expired => ("expired_token", "The token is expired"),
                    _ => ("invalid_token", "The token is invalid"),
                };
                let bearer =
                    format!("Bearer error=\"invalid_token\", error_description=\"{description}\"");
                Problem::new(401, code, INVALID).challenge(&bearer).ask_others(challenges)
            }
            Self::MethodNotAllowed { allow } => {
                Problem::new(405, "method_not_allowed", "Method not allowed")
                    .header(header::ALLOW, &joined(allow))
            }
            Self::MissingCredentials { challenges } => match challenges.only {
                Some(OnlyMethod::ApiKey(status)) => {
                    Problem::of(status, "missing_credentials", "API key required").ask(challenges)
                }
                Some(OnlyMethod::ClientCert) => {
                    Problem::new(403, "missing_credentials", "Client certificate required")
                }
                None => {
                    Problem::new(401, "missing_credentials", "Not authenticated").ask(challenges)
                }
            },
            Self::MissingPermissions { missing, bearer } => {
                let detail = format!("Missing permissions: {}", joined(missing));
                let problem = Problem::new(403, "missing_permissions", detail);
                if !bearer {
                    return problem;
                }
                let scope = missing.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(" ");
                problem
                    .challenge(&format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""))
            }
            Self::MissingRole { required, bearer } => {
                let problem = Problem::new(
                    403,
                    "missing_role",
                    format!("Required roles: {}", joined(required)),
                );
                if *bearer {
                    problem.challenge("Bearer error=\"insufficient_scope\"")
                } else {
                    problem
                }
            }
            Self::NoRoute => Problem::new(404, "no_route", "No route matches the request"),
            Self::NoUpstream => {
                Problem::new(503, "no_upstream", "No upstream can take the request")
            }
            Self::Overloaded => {
                Problem::new(503, "no_upstream", "The upstream has as many requests as it can take")
                    .header(header::RETRY_AFTER, "1")
            }
            Self::RateLimited { quota, retry_after, .. } => {
                let detail = format!("Rate limit exceeded: {quota}");
                Problem::new(429, "rate_limited", detail)
                    .header(header::RETRY_AFTER, &retry_after.to_string())
            }
            Self::RefusedElsewhere { fault, asks, challenges } => {
                let problem = match fault {
                    ForwardAuthFault::Forbidden => Problem::new(403, "denied", "Forbidden"),
                    ForwardAuthFault::NoSubject | ForwardAuthFault::Unauthorized => {
                        Problem::new(401, "invalid_credentials", INVALID)
                    }
                };
                match fault {
                    ForwardAuthFault::Forbidden => problem.pass_on(asks),
                    _ if asks.is_empty() => problem.ask(challenges),
                    ForwardAuthFault::NoSubject | ForwardAuthFault::Unauthorized => {
                        problem.pass_on(asks)
                    }
                }
            }
            Self::RequestTimeout => {
                Problem::new(408, "request_timeout", "The request did not arrive in time")
            }
            Self::Unavailable(_) => Problem::new(
                503,
                "unavailable",
                "A service that the answer depends on is unavailable",
            )
            .header(header::RETRY_AFTER, "1"),
            Self::UpstreamError { .. } => {
                Problem::new(502, "upstream_error", "The upstream failed")
            }
            Self::UpstreamTimeout => {
                Problem::new(504, "upstream_timeout", "The upstream did not answer in time")
            }
            Self::Misdirected => Problem::new(
                421,
                "misdirected",
                "The request is for another host than its TLS connection",
            ),
            Self::UriTooLong => Problem::new(414, "uri_too_long", "The request target is too long"),
        }
    }

    /// The exact cause, as the log and the metrics name it; one of a fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AmbiguousCredentials { .. } => "ambiguous_credentials",
            Self::AmbiguousMethod => "ambiguous_method",
            Self::AmbiguousPath { .. } => "ambiguous_path",
            Self::BadRequest { .. } => "bad_request",
            Self::BodyTooLarge => "body_too_large",
            Self::ConditionFailed { which } => match which {
                Condition::Networks => "networks",
                Condition::Owner => "owner",
                Condition::When => "when",
            },
            Self::CrossSite => "cross_site",
            Self::Denied => "denied",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Internal { .. } => "internal_error",
            Self::InvalidApiKey { fault, .. } => fault.as_str(),
            Self::InvalidCertificate { fault, .. } => fault.as_str(),
            Self::InvalidCredentials { .. } => "invalid_credentials",
            Self::InvalidToken { fault, .. } => fault.as_str(),
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Misdirected => "misdirected",
            Self::MissingCredentials { .. } => "missing_credentials",
            Self::MissingPermissions { .. } => "missing_permissions",
            Self::MissingRole { .. } => "missing_role",
            Self::NoRoute => "no_route",
            Self::NoUpstream => "no_upstream",
            Self::Overloaded => "overloaded",
            Self::RateLimited { .. } => "rate_limited",
            Self::RefusedElsewhere { fault, .. } => fault.as_str(),
            Self::RequestTimeout => "request_timeout",
            Self::Unavailable(_) => "unavailable",
            Self::UpstreamError { .. } => "upstream_error",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UriTooLong => "uri_too_long",
        }
    }
}

const INVALID: &str = "Could not validate credentials";

impl Problem {
    fn new(status: u16, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::of(status, code, detail)
    }

    fn of(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { status, code, detail, headers: Vec::new(), asks: Asks::Here }
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    fn challenge(self, text: &str) -> Self {
        self.header(header::WWW_AUTHENTICATE, text)
    }

    fn ask(mut self, challenges: &Challenges) -> Self {
        let lines = challenges.lines.iter().cloned();
        self.headers.extend(lines.map(|line| (header::WWW_AUTHENTICATE, line)));
        self
    }

    /// What another asks for, as it came.
    fn pass_on(mut self, asks: &[HeaderValue]) -> Self {
        let lines = asks.iter().cloned().map(|line| (header::WWW_AUTHENTICATE, line));
        self.headers.extend(lines);
        self.asks = Asks::Elsewhere;
        self
    }

    /// The schemes beside the bearer's, whose line says more already.
    fn ask_others(mut self, challenges: &Challenges) -> Self {
        let others = challenges.lines.iter().filter(|line| !line.as_bytes().starts_with(b"Bearer"));
        self.headers.extend(others.cloned().map(|line| (header::WWW_AUTHENTICATE, line)));
        self
    }

    /// Tells a client that is asked for a bearer token, or a better one, where to learn whose (RFC
    /// 9728, section 5.1).
    #[must_use]
    pub fn pointing_to(mut self, resource_metadata: impl FnOnce() -> Option<String>) -> Self {
        let asks = |name: &HeaderName, value: &HeaderValue| {
            *name == header::WWW_AUTHENTICATE && value.as_bytes().starts_with(b"Bearer")
        };
        if self.status == StatusCode::UNAUTHORIZED
            && self.asks == Asks::Here
            && let Some((_, value)) =
                self.headers.iter_mut().find(|(name, value)| asks(name, value))
            && let Some(url) = resource_metadata()
        {
            let said = value.to_str().unwrap_or("Bearer");
            let separator = if said.contains('=') { "," } else { "" };
            let text = format!("{said}{separator} resource_metadata=\"{url}\"");
            if let Ok(line) = HeaderValue::try_from(text) {
                *value = line;
            }
        }
        self
    }

    /// The answer as it goes out, in `application/problem+json`.
    pub fn reply(&self, request_id: &str) -> Reply {
        self.reply_with(request_id, &[])
    }

    /// As [`Problem::reply`], with extension members (RFC 9457, section 3.2).
    pub fn reply_with(&self, request_id: &str, extensions: &[(&str, &str)]) -> Reply {
        let mut body = Vec::with_capacity(256);
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut members = JsonObject::begin(&mut body);
        members.text("code", self.code);
        members.text("detail", &*self.detail);
        members.text("request_id", request_id);
        members.number("status", self.status.as_u16().into());
        members.text("title", title);
        kind(self.code, members.member("type"));
        for (name, value) in extensions {
            members.text(name, *value);
        }
        members.end();
        let body = Bytes::from(body);
        let mut headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        headers.extend(self.headers.iter().cloned());
        Reply { status: self.status, headers, body }
    }
}

/// The name of a kind of problem, by its code, in which every character stands for itself.
fn kind(code: &str, body: &mut Vec<u8>) {
    body.extend_from_slice(b"\"urn:portcullis:problem:");
    body.extend(code.bytes().map(|byte| if byte == b'_' { b'-' } else { byte }));
    body.push(b'"');
}

fn joined(items: &[impl Display]) -> String {
    let mut text = String::new();
    for (position, item) in items.iter().enumerate() {
        let separator = if position == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{item}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Permission, Role};

    #[test]
    fn a_missing_permission_is_named_and_asked_for_as_scope() {
        let denial = Denial::MissingPermissions {
            missing: vec![Permission::from("delete:users"), Permission::from("b")],
            bearer: true,
        };
        let problem = denial.problem();
        assert_eq!(problem.detail, "Missing permissions: delete:users, b");
        assert_eq!(
            problem.headers[0].1,
            "Bearer error=\"insufficient_scope\", scope=\"delete:users b\""
        );
    }

    #[test]
    fn whoever_is_asked_for_a_token_is_told_where_to_learn_of_it() {
        let url = || Some("https://a.example/m".to_owned());
        let line = |denial: Denial| denial.problem().pointing_to(url).headers[0].1.clone();
        let challenges = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| HeaderValue::from_static(line)).collect();
            std::sync::Arc::new(Challenges { lines, only: None })
        };
        let missing =
            Denial::MissingCredentials { challenges: challenges(&["Bearer", "Basic realm=\"x\""]) };
        assert_eq!(line(missing), "Bearer resource_metadata=\"https://a.example/m\"");
        let role = Denial::MissingRole { required: vec![], bearer: true };
        assert_eq!(
            line(role),
            "Bearer error=\"insufficient_scope\"",
            "another token would be of no use"
        );
        let basic = Denial::MissingCredentials { challenges: challenges(&["Basic realm=\"x\""]) };
        assert_eq!(line(basic), "Basic realm=\"x\"");
    }

    #[test]
    fn an_upstream_that_has_enough_is_503_and_the_client_may_come_again() {
        let problem = Denial::Overloaded.problem();
        assert_eq!((problem.status.as_u16(), problem.code), (503, "no_upstream"));
        assert_eq!(problem.headers, [(header::RETRY_AFTER, HeaderValue::from_static("1"))]);
    }

    #[test]
    fn the_body_is_the_problem_shape() {
        let denial = Denial::MissingRole { required: vec![Role::from("admin")], bearer: false };
        let reply = denial.problem().reply("r1");
        let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(
            body,
            json!({"type": "urn:portcullis:problem:missing-role", "title": "Forbidden", "status": 403,
                   "code": "missing_role", "detail": "Required roles: admin", "request_id": "r1"})
        );
    }
}
