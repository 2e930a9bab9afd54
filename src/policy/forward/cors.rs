//! Cross-origin requests (WHATWG Fetch, section 3.2): which pages may read a route's answers.
//!
//! An origin that is not allowed is not told so: its page simply gets none of these headers, and
//! the browser keeps the answer from it.

pub mod origin;

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::HeaderEdit;
use crate::policy::{RequestFacts, decision::Reply};
use origin::{Origins, own_origin_is};

/// What `cors` says, as written.
#[derive(Clone, Debug, Default)]
pub struct CorsDefinition {
    /// `*`, exact origins, `https://*.example.com`.
    pub allow_origins: Vec<String>,
    /// Whether pages may send cookies and the like.
    pub allow_credentials: bool,
    /// Methods that pages may use, within those of the route; absent, or `*` among them, is all
    /// of the route's.
    pub allow_methods: Option<Vec<String>>,
    /// Request headers that pages may set beside the safelisted ones; `*` is any.
    pub allow_headers: Vec<String>,
    /// Response headers that pages may read beside the safelisted ones.
    pub expose_headers: Vec<String>,
    /// How long a browser may remember the answer to a preflight.
    pub max_age: Option<Duration>,
}

/// Why cross-origin rules cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CorsFault {
    /// `*` lets every page send the user's credentials.
    #[error("`allow_origins: [\"*\"]` cannot go with `allow_credentials`: name the origins")]
    AnyOriginWithCredentials,
    /// Not a header's name.
    #[error("`{0}` is no header name")]
    MalformedHeader(String),
    /// Not a method.
    #[error("`{0}` is no method")]
    MalformedMethod(String),
    /// Not an origin.
    #[error(
        "`{0}` is no origin such as `https://example.com`, `https://*.example.com` or \
         `http://localhost:3000`"
    )]
    MalformedOrigin(String),
    /// The origin of sandboxed pages and local files, which anybody can make.
    #[error("the origin `null` is never allowed: any page can have it")]
    NullOrigin,
}

/// Cross-origin rules, compiled.
#[derive(Debug)]
pub struct Cors {
    origins: Origins,
    credentials: bool,
    methods: Methods,
    headers: Headers,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

#[derive(Debug)]
enum Methods {
    /// The route takes every method, and so do these rules.
    Any,
    /// These, with the line that lists them.
    Listed(Vec<Method>, HeaderValue),
}

#[derive(Debug)]
enum Headers {
    Any,
    /// Lower-case names, with the line that lists them.
    Listed(Vec<String>, HeaderValue),
}

/// Request headers that need no leave (WHATWG Fetch, CORS-safelisted request-header). Whether
/// their values are safelisted too, the browser judges; if not, it asks for them by name.
const SAFELISTED: [&str; 5] =
    ["accept", "accept-language", "content-language", "content-type", "range"];

/// Whether an upstream says this about cross-origin requests, and the gateway says it in its place.
pub(super) fn is_replaced(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
}

impl Cors {
    /// Compiles the rules for a route that takes these methods; `None` takes every one. All
    /// faults at once.
    pub fn parse(
        definition: &CorsDefinition,
        route_methods: Option<&[Method]>,
    ) -> Result<Self, Vec<CorsFault>> {
        let mut faults = Vec::new();
        let origins = Origins::parse(&definition.allow_origins, &mut faults);
        if origins.is_any() && definition.allow_credentials {
            faults.push(CorsFault::AnyOriginWithCredentials);
        }
        let methods = methods(definition.allow_methods.as_deref(), route_methods, &mut faults);
        let headers = headers(&definition.allow_headers, &mut faults);
        let exposed = names(&definition.expose_headers, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            origins,
            credentials: definition.allow_credentials,
            methods,
            headers,
            expose: (!exposed.is_empty()).then(|| line(&definition.expose_headers)),
            max_age: definition.max_age.map(|age| HeaderValue::from(age.as_secs())),
        })
    }

    /// Whether a page of the request's origin may read the answer: the value of
    /// `Access-Control-Allow-Origin` if it may.
    fn matched(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = only(headers, &header::ORIGIN)?;
        if self.origins.is_any() {
            return Some(HeaderValue::from_static("*"));
        }
        self.origins.holds(origin.as_bytes()).then(|| origin.clone())
    }

    /// Whether the request's `Origin` is one that `allow_origins` names; `*` names none.
    pub fn names_origin_of(&self, headers: &HeaderMap) -> bool {
        only(headers, &header::ORIGIN).is_some_and(|origin| self.origins.holds(origin.as_bytes()))
    }

    /// Answers a preflight. The origin, method and headers that it asks for must all be allowed.
    pub fn answer(&self, preflight: &Preflight<'_>) -> PreflightAnswer {
        let mut lines = vec![
            (header::VARY, HeaderValue::from_static("Origin")),
            (header::VARY, HeaderValue::from_static("Access-Control-Request-Method")),
            (header::VARY, HeaderValue::from_static("Access-Control-Request-Headers")),
        ];
        let granted = self.grant(preflight);
        let allowed = granted.is_some();
        lines.extend(granted.into_iter().flatten());
        let reply =
            Reply { status: StatusCode::NO_CONTENT, headers: lines, body: bytes::Bytes::new() };
        PreflightAnswer { reply, allowed }
    }

    fn grant(&self, preflight: &Preflight<'_>) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let origin = self.matched(preflight.headers)?;
        let methods = match &self.methods {
            Methods::Any => HeaderValue::from_str(preflight.method.as_str()).ok()?,
            Methods::Listed(methods, line) => {
                methods.contains(&preflight.method).then(|| line.clone())?
            }
        };
        let asked = preflight.asked_headers()?;
        let headers = match &self.headers {
            Headers::Any if asked.is_empty() => None,
            Headers::Any => Some(HeaderValue::from_str(&asked.join(", ")).ok()?),
            Headers::Listed(allowed, line) => {
                let known =
                    |name: &String| SAFELISTED.contains(&name.as_str()) || allowed.contains(name);
                asked.iter().all(known).then(|| Some(line.clone()))?
            }
        };
        let mut lines = vec![
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        ];
        lines.extend(headers.map(|line| (header::ACCESS_CONTROL_ALLOW_HEADERS, line)));
        if self.credentials {
            lines.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE));
        }
        let age = self.max_age.clone();
        lines.extend(age.map(|age| (header::ACCESS_CONTROL_MAX_AGE, age)));
        Some(lines)
    }

    /// What every other answer of the route carries, in place of what an upstream says of it.
    pub fn edit(&self, headers: &HeaderMap, edits: &mut Vec<HeaderEdit>) {
        edits.push(HeaderEdit::Append(header::VARY, HeaderValue::from_static("Origin")));
        let Some(origin) = self.matched(headers) else { return };
        edits.push(HeaderEdit::Set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin));
        if self.credentials {
            edits.push(HeaderEdit::Set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE));
        }
        let expose = self.expose.clone();
        edits.extend(
            expose.map(|line| HeaderEdit::Set(header::ACCESS_CONTROL_EXPOSE_HEADERS, line)),
        );
    }
}

const TRUE: HeaderValue = HeaderValue::from_static("true");

/// A request by which a browser asks whether a page may send another.
#[derive(Debug)]
pub struct Preflight<'r> {
    /// The method of the request that the page wants to send, by which the route is found.
    pub method: Method,
    headers: &'r HeaderMap,
}

/// The answer to a preflight.
#[derive(Debug)]
pub struct PreflightAnswer {
    /// What is sent: 204, whether or not the page may.
    pub reply: Reply,
    /// Whether it may.
    pub allowed: bool,
}

impl<'r> Preflight<'r> {
    /// Whether a request is a preflight: `OPTIONS` with `Origin` and one
    /// `Access-Control-Request-Method`.
    pub fn find(method: &Method, headers: &'r HeaderMap) -> Option<Self> {
        if *method != Method::OPTIONS || !headers.contains_key(header::ORIGIN) {
            return None;
        }
        let asked = only(headers, &header::ACCESS_CONTROL_REQUEST_METHOD)?;
        Some(Self { method: Method::from_bytes(asked.as_bytes()).ok()?, headers })
    }

    /// The names in `Access-Control-Request-Headers`, in lower case; nothing if one is none.
    fn asked_headers(&self) -> Option<Vec<String>> {
        let lines = self.headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let entries = lines.into_iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
        entries
            .map(<[u8]>::trim_ascii)
            .filter(|name| !name.is_empty())
            .map(|name| Some(HeaderName::from_bytes(name).ok()?.as_str().to_owned()))
            .collect()
    }
}

/// Whether another site caused the request, so that credentials which browsers send by themselves
/// do not count: `Origin` is neither the request's own nor one that `cors` names, or, without it,
/// `Sec-Fetch-Site` says so.
pub fn is_cross_site(facts: &RequestFacts<'_>, cors: Option<&Cors>) -> bool {
    let headers = facts.headers;
    if headers.contains_key(header::ORIGIN) {
        let own = only(headers, &header::ORIGIN)
            .is_some_and(|origin| own_origin_is(facts.scheme, facts.forwarded_host, origin));
        return !own && !cors.is_some_and(|cors| cors.names_origin_of(headers));
    }
    let sites = headers.get_all("sec-fetch-site");
    sites.into_iter().any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// The only line of this name; nothing where there are several.
fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Option<&'r HeaderValue> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Some(line),
        _ => None,
    }
}

fn methods(
    allowed: Option<&[String]>,
    route: Option<&[Method]>,
    faults: &mut Vec<CorsFault>,
) -> Methods {
    let mut parsed = Vec::new();
    let mut any = allowed.is_none();
    for text in allowed.unwrap_or_default() {
        match Method::from_bytes(text.as_bytes()) {
            Ok(_) if text == "*" => any = true,
            Ok(method) => parsed.push(method),
            Err(_) => faults.push(CorsFault::MalformedMethod(text.clone())),
        }
    }
    // A route that takes GET takes HEAD.
    let of_route = |method: &Method| {
        route.is_none_or(|methods| {
            methods.contains(method) || *method == Method::HEAD && methods.contains(&Method::GET)
        })
    };
    let methods = match route {
        None if any => return Methods::Any,
        Some(route) if any => route.to_vec(),
        _ => parsed.into_iter().filter(of_route).collect(),
    };
    let listed = line(&methods);
    Methods::Listed(methods, listed)
}

fn headers(allowed: &[String], faults: &mut Vec<CorsFault>) -> Headers {
    if allowed.iter().any(|name| name == "*") {
        return Headers::Any;
    }
    let names = names(allowed, faults);
    // Listed in the answer although they need not be in the file: a browser that asks for one by
    // name wants to read it there.
    let safelisted = ["Accept", "Accept-Language", "Content-Language", "Content-Type"];
    let mut written: Vec<&str> = allowed.iter().map(String::as_str).collect();
    written.extend(safelisted.iter().filter(|name| !names.contains(&name.to_ascii_lowercase())));
    let listed = line(&written);
    Headers::Listed(names, listed)
}

fn names(written: &[String], faults: &mut Vec<CorsFault>) -> Vec<String> {
    let mut names = Vec::with_capacity(written.len());
    for text in written {
        match HeaderName::from_bytes(text.as_bytes()) {
            Ok(name) => names.push(name.as_str().to_owned()),
            Err(_) => faults.push(CorsFault::MalformedHeader(text.clone())),
        }
    }
    names
}

/// Tokens as a list header. They have been parsed, so that they are a value; a list with a
/// malformed one is never used.
fn line(tokens: &[impl AsRef<str>]) -> HeaderValue {
    let text = tokens.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
