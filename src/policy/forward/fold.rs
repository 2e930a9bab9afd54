//! Header names as upstreams read them, and which of them no client may send.
//!
//! Servers hand headers to applications under folded names: CGI and its heirs make `HTTP_X_USER`
//! of `X-User`, `x_user` and `X.User` alike. Whatever an upstream could take for a name that
//! matters is therefore treated as that name.

use std::sync::Arc;

use ahash::AHashSet;
use http::{HeaderName, header};
use smallvec::SmallVec;

use super::{AssertionTerms, Template};
use crate::policy::rules::HeaderTerms;

/// A name in lower case, every character that is not a letter or digit read as `-`.
pub type Folded = SmallVec<[u8; 48]>;

/// Folds a name.
pub fn fold(name: &[u8]) -> Folded {
    let mut folded = Folded::from_slice(name);
    folded.iter_mut().for_each(|byte| *byte = fold_byte(*byte));
    folded
}

fn fold_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn folds_to(name: &[u8], folded: &[u8]) -> bool {
    name.len() == folded.len() && name.iter().zip(folded).all(|(a, b)| fold_byte(*a) == *b)
}

/// Whether a name is another spelling of this one, and not just in other letter case.
pub(super) fn is_alias(name: &HeaderName, of: &HeaderName) -> bool {
    name != of && fold_alike(name.as_str().as_bytes(), of.as_str().as_bytes())
}

/// Whether two names fold to one.
fn fold_alike(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| fold_byte(*a) == fold_byte(*b))
}

/// Why a client's header does not go upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strip {
    /// Another spelling of a name that matters.
    Alias,
    /// It speaks for the connection, and not by a trusted proxy's word.
    Forwarding,
    /// It would tell the upstream who the client is.
    Identity,
}

/// What `identity` says, as written.
#[derive(Debug, Default)]
pub struct IdentityDefinition {
    /// Headers that tell the upstream who the client is.
    pub headers: Vec<(HeaderName, Template)>,
    /// What is asserted beside them.
    pub assertion: Option<Arc<AssertionTerms>>,
    /// Names of the built-in set that clients may send after all.
    pub accept: Vec<HeaderName>,
    /// More names that no client may send.
    pub strip: Vec<HeaderName>,
    /// Names that some route sets or adds with a value of its principal, see [`told_by_route`]; and
    /// those that are taken from services which know clients.
    pub told_elsewhere: Vec<HeaderName>,
}

/// The names that a route sets or adds with a value of its principal: no client may send them on
/// any route, since upstreams are shared.
pub fn told_by_route(headers: &HeaderTerms) -> impl Iterator<Item = &HeaderName> {
    let told = headers.set.iter().chain(&headers.add);
    told.filter(|(_, template)| template.needs_principal()).map(|(name, _)| name)
}

/// What upstreams are told about the principal, and what no client may tell them.
#[derive(Debug, Default)]
pub struct IdentityTerms {
    headers: Vec<(HeaderName, Template)>,
    assertion: Option<Arc<AssertionTerms>>,
    /// Folded names of which this gateway is the only source.
    owned: AHashSet<Folded>,
    /// A bit for each length that one of them has, the last for all that are longer: most names of
    /// a request need not be looked up.
    owned_lengths: u64,
    /// Names of the built-in set that pass, in their exact spelling.
    accepted: Vec<HeaderName>,
}

impl IdentityTerms {
    /// Compiles the terms.
    pub fn new(definition: IdentityDefinition) -> Self {
        let IdentityDefinition { headers, assertion, accept, strip, told_elsewhere } = definition;
        let set = headers.iter().map(|(name, _)| name);
        let set = set.chain(assertion.iter().map(|assertion| &assertion.header));
        let owned = set.chain(&strip).chain(&told_elsewhere);
        let owned: AHashSet<_> = owned.map(|name| fold(name.as_str().as_bytes())).collect();
        let owned_lengths = owned.iter().fold(0, |bits, name| bits | length_bit(name));
        Self { headers, assertion, owned, owned_lengths, accepted: accept }
    }

    /// The headers that tell upstreams who the client is.
    pub fn headers(&self) -> &[(HeaderName, Template)] {
        &self.headers
    }

    /// What is asserted beside them, signed.
    pub fn assertion(&self) -> Option<&AssertionTerms> {
        self.assertion.as_deref()
    }

    /// Whether, and as what, a client's header or trailer is removed on a route that sets and reads
    /// these headers. `trusted` is whether a trusted proxy sent it.
    pub fn strip(&self, name: &HeaderName, route: &HeaderTerms, trusted: bool) -> Option<Strip> {
        let written = name.as_str().as_bytes();
        // Names come in lower case, so that few are not what they fold to.
        let exact = written.iter().all(|byte| fold_byte(*byte) == *byte);
        let refolded = if exact { Folded::new() } else { fold(written) };
        let folded = if exact { written } else { refolded.as_slice() };
        if self.owned_lengths & length_bit(folded) != 0 && self.owned.contains(folded) {
            return Some(Strip::Identity);
        }
        if is_identity(folded) {
            return (!self.accepted.contains(name)).then_some(Strip::Identity);
        }
        if is_forwarding(folded) && !(exact && trusted) {
            return Some(Strip::Forwarding);
        }
        if !exact && GUARDED.iter().any(|guarded| guarded.as_bytes() == folded) {
            return Some(Strip::Alias);
        }
        let mut own = route.set.iter().map(|(set, _)| set).chain(&route.read);
        own.any(|own| is_alias(name, own)).then_some(Strip::Alias)
    }
}

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

/// Names that only their exact spelling may claim to be.
const GUARDED: [&str; 7] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "transfer-encoding",
    "x-request-id",
];

/// Names by which applications are told who a client is, whatever the gateway in front of them;
/// what follows `x-`.
const IDENTITY: [&str; 11] = [
    "anonymous-consumer",
    "forwarded-access-token",
    "forwarded-client-cert",
    "forwarded-email",
    "forwarded-groups",
    "forwarded-preferred-username",
    "forwarded-user",
    "id-token",
    "user",
    "userinfo",
    "username",
];

/// Further ones by how they begin.
const IDENTITY_PREFIXES: [&str; 14] = [
    "amzn-oidc-",
    "auth-",
    "authenticated-",
    "client-cert",
    "consumer-",
    "credential-",
    "goog-authenticated-",
    "goog-iap-",
    "identity-",
    "ms-client-principal",
    "pomerium-",
    "remote-",
    "ssl-client-",
    "user-",
];

/// Names that begin like them and say nothing of who a client is.
const NO_IDENTITY: [&str; 3] = ["auth-key", "auth-token", "user-agent"];

fn is_identity(folded: &[u8]) -> bool {
    if !matches!(folded.first(), Some(b'x' | b'r' | b's' | b'c')) {
        return false;
    }
    let Some(rest) = folded.strip_prefix(b"x-") else {
        return folded.starts_with(b"remote-")
            || folded.starts_with(b"ssl-client-")
            || folded.starts_with(b"cf-access-");
    };
    let is = |name: &&str| name.as_bytes() == rest;
    let begins = |prefix: &&str| rest.starts_with(prefix.as_bytes());
    (IDENTITY.iter().any(is) || IDENTITY_PREFIXES.iter().any(begins)) && !NO_IDENTITY.iter().any(is)
}

fn is_forwarding(folded: &[u8]) -> bool {
    match folded.first() {
        Some(b'f') => folded == b"forwarded",
        Some(b'p') => folded == b"proxy",
        Some(b'x') => {
            folded.starts_with(b"x-forwarded-")
                || folded.starts_with(b"x-original-")
                || folded == b"x-real-ip"
                || folded == b"x-rewrite-url"
        }
        _ => false,
    }
}

/// Whether a header belongs to the connection and not to the message (RFC 9110, section 7.6.1).
/// `Transfer-Encoding` is left to whoever frames the message anew.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    const NAMES: [&str; 9] = [
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
    ];
    NAMES.contains(&name.as_str())
}

/// Whether `Connection` may name this header. What frames a message or says where it goes is no
/// matter of the connection, whatever a client claims.
pub fn may_be_nominated(name: &[u8]) -> bool {
    let end_to_end = [header::CONTENT_LENGTH, header::HOST, header::TRANSFER_ENCODING];
    !end_to_end.iter().any(|fixed| folds_to(name, fixed.as_str().as_bytes()))
}

#[cfg(test)]
mod tests;
