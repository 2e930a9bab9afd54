//! A request and a principal for tests to start from.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{PathValues, Scope};
use crate::{
    model::{Claims, CredentialKind, Permission, Principal, Role},
    policy::{RequestFacts, request::Scheme},
};

/// A header block of these lines.
pub(in crate::policy) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// `GET /items/7?a=1` to `api.example.com` from 192.0.2.1.
pub(in crate::policy) fn facts(headers: &HeaderMap) -> RequestFacts<'_> {
    let client = "192.0.2.1".parse().unwrap();
    RequestFacts {
        method: &Method::GET,
        path: "/items/7",
        query: Some("a=1"),
        host: "api.example.com",
        headers,
        peer: client,
        peer_trusted: false,
        client,
        scheme: Scheme::Http,
        forwarded_host: "api.example.com",
        request_id: "r-1",
        websocket: false,
        port: 80,
        certificate: None,
    }
}

/// Alice by a token: role `user`, effective `reader` too, permission `read:items`.
pub(in crate::policy) fn alice(claims: serde_json::Value) -> Principal {
    Principal {
        issuer: "corp".into(),
        subject: "alice".into(),
        roles: Arc::from([Role::from("user")]),
        permissions: Arc::from([Permission::from("read:items")]),
        effective_roles: Arc::from([Role::from("reader"), Role::from("user")]),
        plan: Some("pro".into()),
        method: CredentialKind::Jwt,
        claims: Arc::new(Claims::new(claims.as_object().cloned().unwrap_or_default())),
        api_key: None,
        expires: None,
    }
}

/// A scope of these parts.
pub(in crate::policy) fn scope<'r>(
    principal: Option<&'r Principal>,
    facts: &'r RequestFacts<'r>,
    params: &'r dyn PathValues,
) -> Scope<'r> {
    Scope { principal, facts, params }
}
