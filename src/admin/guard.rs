//! Who may ask the admin API: somebody who calls it by its own name, not another site's page, and,
//! where there is a token, its bearer.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::refuse;
use crate::{compile::AdminTerms, model::Secret, policy::digest::Digest};

/// What a request to the admin listener is judged by.
#[derive(Debug)]
pub(super) struct Guard {
    listen: IpAddr,
    token: Option<Digest>,
    hosts: Vec<String>,
}

/// The end of a connection that is ours: the address that the caller used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Called(pub SocketAddr);

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    CrossSite,
    InvalidToken,
    Misdirected,
    NoToken,
    TokenRequired,
}

/// What may be asked without a token although it is no mere read: it changes nothing that the file
/// does not say.
const HARMLESS: [&str; 2] = ["/api/v1/explain", "/api/v1/reload"];

impl Guard {
    pub fn new(terms: &AdminTerms, listen: SocketAddr) -> Self {
        let token = terms.token.as_ref().map(Secret::expose).map(Digest::of);
        // Without a token nobody else's name is answered to.
        let hosts = if token.is_some() { terms.hosts.clone() } else { Vec::new() };
        Self { listen: listen.ip(), token, hosts }
    }

    fn judge(&self, headers: &HeaderMap, called: Option<IpAddr>) -> Result<(), Refusal> {
        let host = only(headers, &header::HOST).ok_or(Refusal::Misdirected)?;
        if !self.is_own_name(host, called) {
            return Err(Refusal::Misdirected);
        }
        if headers.contains_key(header::ORIGIN) {
            // The listener speaks no TLS: a page that came by `https` is another's.
            let origin = only(headers, &header::ORIGIN);
            let origin = origin.and_then(|origin| origin.strip_prefix("http://"));
            if !origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host)) {
                return Err(Refusal::CrossSite);
            }
        }
        let Some(token) = &self.token else { return Ok(()) };
        let sent = only(headers, &header::AUTHORIZATION).ok_or(Refusal::NoToken)?;
        let bearer = match sent.split_once(' ') {
            Some((scheme, bearer)) if scheme.eq_ignore_ascii_case("bearer") => bearer.trim(),
            _ => return Err(Refusal::NoToken),
        };
        if is_same(token, &Digest::of(bearer.as_bytes())) {
            Ok(())
        } else {
            Err(Refusal::InvalidToken)
        }
    }

    /// Where there is no token, every caller may read, and none may change what is kept.
    fn judge_change(&self, method: &Method, path: &str) -> Result<(), Refusal> {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if self.token.is_some() || reads || path == "/" || HARMLESS.contains(&path) {
            Ok(())
        } else {
            Err(Refusal::TokenRequired)
        }
    }

    /// Whether a `Host` names this listener. A page that has its own name point here (DNS
    /// rebinding) sends that name.
    fn is_own_name(&self, host: &str, called: Option<IpAddr>) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare.unwrap_or(&name).parse::<IpAddr>() {
            Ok(address) => {
                let address = address.to_canonical();
                address.is_loopback()
                    || address == self.listen.to_canonical()
                    || called.is_some_and(|called| address == called.to_canonical())
            }
            Err(_) => name == "localhost" || self.hosts.contains(&name),
        }
    }
}

/// The value of a header that came once.
fn only<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    }
}

/// Compares in a time that tells nothing of where they differ.
fn is_same(one: &Digest, other: &Digest) -> bool {
    let pairs = one.bytes().iter().zip(other.bytes());
    pairs.fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

/// Turns away who may not ask. Health and metrics are for everybody who reaches the listener.
pub(super) async fn judge(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_open = !(path == "/" || path == "/api" || path.starts_with("/api/"));
    let called = request.extensions().get::<Called>().map(|called| called.0.ip());
    // An absolute target names whom it asks too (RFC 9112, section 3.2.2).
    let other = request.uri().authority().is_some_and(|authority| {
        only(request.headers(), &header::HOST)
            .is_none_or(|host| !host.eq_ignore_ascii_case(authority.as_str()))
    });
    let judged = match guard.judge(request.headers(), called) {
        Ok(()) if other => Err(Refusal::Misdirected),
        Ok(()) => guard.judge_change(request.method(), path),
        refused => refused,
    };
    match judged {
        _ if is_open => next.run(request).await,
        Ok(()) => next.run(request).await,
        Err(refusal) => turned_away(refusal),
    }
}

fn turned_away(refusal: Refusal) -> Response {
    let challenge = |mut response: Response, value: &'static str| {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        response
    };
    match refusal {
        Refusal::TokenRequired => refuse(
            StatusCode::FORBIDDEN,
            "admin_token_required",
            "Changes need `admin.token` in the file, and the token with the request",
        ),
        Refusal::CrossSite => refuse(StatusCode::FORBIDDEN, "cross_site", "Forbidden"),
        Refusal::InvalidToken => challenge(
            refuse(StatusCode::UNAUTHORIZED, "invalid_token", "Could not validate credentials"),
            "Bearer error=\"invalid_token\"",
        ),
        Refusal::Misdirected => refuse(
            StatusCode::MISDIRECTED_REQUEST,
            "misdirected",
            "The admin listener is not called by that name",
        ),
        Refusal::NoToken => challenge(
            refuse(StatusCode::UNAUTHORIZED, "missing_credentials", "Not authenticated"),
            "Bearer",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(token: Option<&str>, hosts: &[&str]) -> Guard {
        let terms = AdminTerms {
            listen: "127.0.0.1:9090".parse().unwrap(),
            token: token.map(Secret::new),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        };
        Guard::new(&terms, terms.listen)
    }

    fn judged(guard: &Guard, headers: &[(&'static str, &str)]) -> Result<(), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        guard.judge(&map, Some("10.0.0.5".parse().unwrap()))
    }

    #[test]
    fn a_foreign_name_is_misdirected() {
        let open = guard(None, &["gw.internal"]);
        for own in
            ["127.0.0.1", "127.0.0.1:9090", "localhost:1", "LOCALHOST.", "[::1]:9", "10.0.0.5"]
        {
            assert_eq!(judged(&open, &[("host", own)]), Ok(()), "{own}");
        }
        for foreign in ["evil.example", "127.0.0.1.evil.example", "gw.internal", "10.0.0.6", ""] {
            assert_eq!(judged(&open, &[("host", foreign)]), Err(Refusal::Misdirected), "{foreign}");
        }
        assert_eq!(judged(&open, &[]), Err(Refusal::Misdirected));
        let named = guard(Some("0123456789abcdef"), &["gw.internal"]);
        let bearer = ("authorization", "Bearer 0123456789abcdef");
        assert_eq!(judged(&named, &[("host", "GW.internal:9090"), bearer]), Ok(()));
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let open = guard(None, &[]);
        let from = |origin| judged(&open, &[("host", "localhost:9090"), ("origin", origin)]);
        assert_eq!(from("http://localhost:9090"), Ok(()));
        for origin in [
            "http://evil.example",
            "null",
            "http://localhost:8080",
            "https://localhost:9090",
            "localhost:9090",
            "",
        ] {
            assert_eq!(from(origin), Err(Refusal::CrossSite), "{origin}");
        }
    }

    #[test]
    fn without_a_token_nobody_changes_what_is_kept() {
        let (open, closed) = (guard(None, &[]), guard(Some("0123456789abcdef"), &[]));
        for (method, path) in [
            (Method::GET, "/api/v1/users"),
            (Method::HEAD, "/api/v1/status"),
            (Method::POST, "/api/v1/explain"),
            (Method::POST, "/api/v1/reload"),
        ] {
            assert_eq!(open.judge_change(&method, path), Ok(()), "{method} {path}");
        }
        for (method, path) in [
            (Method::POST, "/api/v1/users"),
            (Method::PATCH, "/api/v1/users/7"),
            (Method::DELETE, "/api/v1/keys/ci"),
            (Method::POST, "/api/v1/reload/"),
            (Method::PUT, "/api"),
        ] {
            let refused = Err(Refusal::TokenRequired);
            assert_eq!(open.judge_change(&method, path), refused, "{method} {path}");
            assert_eq!(closed.judge_change(&method, path), Ok(()), "{method} {path}");
        }
    }

    #[test]
    fn only_the_bearer_of_the_token_is_heard() {
        let closed = guard(Some("0123456789abcdef"), &[]);
        let with =
            |value: &str| judged(&closed, &[("host", "localhost"), ("authorization", value)]);
        assert_eq!(with("Bearer 0123456789abcdef"), Ok(()));
        assert_eq!(with("bearer 0123456789abcdef"), Ok(()));
        assert_eq!(with("Bearer 0123456789abcdeg"), Err(Refusal::InvalidToken));
        assert_eq!(with("Bearer "), Err(Refusal::InvalidToken));
        assert_eq!(with("Basic 0123456789abcdef"), Err(Refusal::NoToken));
        assert_eq!(judged(&closed, &[("host", "localhost")]), Err(Refusal::NoToken));
    }
}
