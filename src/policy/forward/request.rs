//! What of a request goes upstream: what a client may not say is taken out, what the gateway
//! says is put in, in that order.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, header};
use smallvec::SmallVec;

use super::{
    ForwardPlan, HeaderEdit, IdentityTerms, Stripped, cookies,
    edits::Edits,
    fold::{Strip, is_alias, is_hop_by_hop, may_be_nominated},
    query,
};
use crate::{
    model::{CredentialKind, parse_hop, push_address, push_digits},
    policy::{
        RequestFacts,
        authn::{Method, TokenPlace},
        rules::{Credentials, Forwarding, HeaderTerms, Route},
        scope::Scope,
        upstream::{HostHeader, Service},
    },
};

/// Plans what goes upstream on a route. `path` is the path that `strip_prefix` and `rewrite` made,
/// if it is not the one that was received; `assertion` what the upstream is told of the principal in
/// signed form.
pub fn plan(
    route: &Route,
    forwarding: &Forwarding,
    identity: &IdentityTerms,
    scope: &Scope<'_>,
    path: Option<&str>,
    assertion: Option<HeaderEdit>,
) -> ForwardPlan {
    let facts = scope.facts;
    // The forwarding set and the usual identity headers; what is longer grows.
    let mut edits = Edits::with_capacity(12 + identity.headers().len(), 384);
    let mut stripped = Stripped::default();
    let methods = emptied(route, forwarding);
    strip(&forwarding.headers, methods, identity, facts, &mut edits.list, &mut stripped);
    let query = empty_places(methods, facts, &mut edits.list);
    connection(facts, &mut edits.list);
    forwarded(facts, &mut edits);
    host(forwarding, &mut edits.list);
    taken(route, scope, &mut edits);
    for (name, template) in identity.headers() {
        match template.constant() {
            Some(value) => edits.list.push(HeaderEdit::Set(name.clone(), value.clone())),
            None => {
                edits.set(name.clone(), |text| template.write(scope, text));
            }
        }
    }
    edits.list.extend(assertion);
    route_headers(&forwarding.headers, scope, &mut edits.list);
    ForwardPlan { target: target(facts, path, query), edits: edits.finish(), stripped }
}

/// Takes out what the client may not send, and what was for this connection only. Worked out on
/// what came in: what is put in later is out of its reach.
fn strip(
    route: &HeaderTerms,
    methods: &[Method],
    identity: &IdentityTerms,
    facts: &RequestFacts<'_>,
    edits: &mut Vec<HeaderEdit>,
    stripped: &mut Stripped,
) {
    let mut nominated = nominated(facts);
    nominated.retain(|name| !route.read.contains(name));
    for name in facts.headers.keys() {
        let fate = identity.strip(name, route, facts.peer_trusted);
        let fate = fate.or_else(|| spells_a_place(name, methods).then_some(Strip::Alias));
        let (count, goes) = match fate {
            Some(Strip::Alias) => (&mut stripped.alias, true),
            Some(Strip::Forwarding) => (&mut stripped.forwarding, true),
            Some(Strip::Identity) => (&mut stripped.identity, true),
            None => (&mut stripped.hop, is_hop_by_hop(name) || nominated.contains(name)),
        };
        if goes {
            let lines = facts.headers.get_all(name).iter().count();
            *count = count.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            edits.push(HeaderEdit::Remove(name.clone()));
        }
    }
}

/// The received headers that the client's `Connection` names. Only what is there counts, so that
/// a long list of tokens costs look-ups and no memory.
fn nominated(facts: &RequestFacts<'_>) -> SmallVec<[HeaderName; 4]> {
    let lines = facts.headers.get_all(header::CONNECTION).into_iter();
    let tokens = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let mut nominated = SmallVec::new();
    for token in tokens.map(<[u8]>::trim_ascii).filter(|token| may_be_nominated(token)) {
        if let Ok(name) = HeaderName::from_bytes(token)
            && facts.headers.contains_key(&name)
            && !nominated.contains(&name)
        {
            nominated.push(name);
        }
    }
    nominated
}

/// The methods whose places are emptied: those of the route, unless credentials are forwarded.
fn emptied<'r>(route: &'r Route, forwarding: &Forwarding) -> &'r [Method] {
    match (route.access.rule(), forwarding.credentials) {
        (None, _) | (_, Credentials::Keep) => &[],
        (Some(rule), Credentials::Strip) => &rule.methods,
    }
}

/// Whether a header could be taken for one in which these methods look. Other spellings of
/// `Authorization` go on every route.
fn spells_a_place(name: &HeaderName, methods: &[Method]) -> bool {
    methods.iter().any(|method| match method {
        Method::ApiKey(terms) => terms.header.as_ref().is_some_and(|place| is_alias(name, place)),
        Method::Basic(_) | Method::ClientCert(_) => false,
        Method::ForwardAuth(terms) => terms.send.iter().any(|place| is_alias(name, place)),
        Method::Jwt(rule) => rule.places.iter().any(|place| match place {
            TokenPlace::Cookie(_) | TokenPlace::Query(_) => false,
            TokenPlace::Header(place) => is_alias(name, place),
        }),
    })
}

/// Empties every place in which the methods look for a credential, whichever of them decided; the
/// query without them, if they were in it.
fn empty_places(
    methods: &[Method],
    facts: &RequestFacts<'_>,
    edits: &mut Vec<HeaderEdit>,
) -> Option<String> {
    let (mut named, mut remaining) = (SmallVec::<[&str; 2]>::new(), None);
    for method in methods {
        match method {
            Method::ApiKey(terms) => {
                empty_header(terms.header.as_ref(), facts, edits);
                empty_parameter(terms.query.as_deref(), facts, &mut remaining);
            }
            Method::Basic(_) => empty_header(Some(&header::AUTHORIZATION), facts, edits),
            Method::ClientCert(_) => {}
            Method::ForwardAuth(terms) => {
                terms.send.iter().for_each(|name| empty_header(Some(name), facts, edits));
            }
            Method::Jwt(rule) => {
                for place in &rule.places {
                    match place {
                        TokenPlace::Cookie(name) => named.push(name),
                        TokenPlace::Header(name) => empty_header(Some(name), facts, edits),
                        TokenPlace::Query(name) => {
                            empty_parameter(Some(name), facts, &mut remaining);
                        }
                    }
                }
            }
        }
    }
    empty_cookies(&named, facts, edits);
    remaining
}

fn empty_header(name: Option<&HeaderName>, facts: &RequestFacts<'_>, edits: &mut Vec<HeaderEdit>) {
    let present = name.filter(|name| facts.headers.contains_key(*name));
    edits.extend(present.cloned().map(HeaderEdit::Remove));
}

fn empty_parameter(name: Option<&str>, facts: &RequestFacts<'_>, remaining: &mut Option<String>) {
    if let Some(name) = name
        && let Some(query) = remaining.as_deref().or(facts.query)
        && let Some(rest) = query::without(query, name)
    {
        *remaining = Some(rest);
    }
}

fn empty_cookies(names: &[&str], facts: &RequestFacts<'_>, edits: &mut Vec<HeaderEdit>) {
    let Some(lines) = cookies::without(facts.headers, names) else { return };
    let gone = HeaderEdit::Remove(header::COOKIE);
    // What `Connection` named is gone as a whole.
    if !edits.contains(&gone) {
        edits.push(gone);
        edits.extend(lines.into_iter().map(|line| HeaderEdit::Append(header::COOKIE, line)));
    }
}

/// A complete WebSocket handshake keeps its `Upgrade`, written anew; any other is dropped.
fn connection(facts: &RequestFacts<'_>, edits: &mut Vec<HeaderEdit>) {
    if facts.websocket {
        edits.push(HeaderEdit::Set(header::CONNECTION, HeaderValue::from_static("Upgrade")));
        edits.push(HeaderEdit::Set(header::UPGRADE, HeaderValue::from_static("websocket")));
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// The request's id on its way up and down.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Says anew who the client is and how it came. The left-most hop is always the client as it was
/// judged, so that an upstream which reads from the left is not misled either.
fn forwarded(facts: &RequestFacts<'_>, edits: &mut Edits) {
    let hops = hops(facts);
    let chain = edits.set(X_FORWARDED_FOR, |text| {
        push_hops(&hops, text);
        Some(())
    });
    match (chain, hops.as_slice()) {
        (Some(client), [_]) => edits.set_again(X_REAL_IP, client),
        _ => {
            edits.set(X_REAL_IP, |text| {
                push_address(facts.client, text);
                Some(())
            });
        }
    }
    let scheme = HeaderValue::from_static(facts.scheme.as_str());
    edits.list.push(HeaderEdit::Set(X_FORWARDED_PROTO, scheme));
    if facts.forwarded_host.is_empty() {
        edits.list.push(HeaderEdit::Remove(X_FORWARDED_HOST));
    } else {
        edits.set(X_FORWARDED_HOST, |text| push(facts.forwarded_host, text));
    }
    edits.set(X_FORWARDED_PORT, |text| {
        push_digits(facts.port.into(), text);
        Some(())
    });
    edits.set(header::FORWARDED, |text| {
        push_rfc7239(facts, &hops, text);
        Some(())
    });
    edits.set(X_REQUEST_ID, |text| push(facts.request_id, text));
}

/// The hops as they are told, also to others who are asked about the request.
pub(in crate::policy) fn forwarded_for(facts: &RequestFacts<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    push_hops(&hops(facts), &mut text);
    text
}

/// What a service that knows the client said of it, as it said it. What it did not say is absent: no
/// client may send these names.
fn taken(route: &Route, scope: &Scope<'_>, edits: &mut Edits) {
    let Some(principal) = scope.principal.filter(|who| who.method == CredentialKind::ForwardAuth)
    else {
        return;
    };
    let methods = route.access.rule().into_iter().flat_map(|rule| &rule.methods);
    for method in methods {
        let Method::ForwardAuth(terms) = method else { continue };
        for name in terms.take.iter().filter(|_| terms.name == principal.issuer) {
            let said = principal.claims.members().get(name.as_str());
            edits.set(name.clone(), |text| push(said?.as_str()?, text));
        }
    }
}

fn push(part: &str, text: &mut Vec<u8>) -> Option<()> {
    text.extend_from_slice(part.as_bytes());
    Some(())
}

/// From the client to the connection's other end: the hops that trusted proxies vouch for.
fn hops(facts: &RequestFacts<'_>) -> SmallVec<[IpAddr; 4]> {
    let mut hops: SmallVec<[IpAddr; 4]> = SmallVec::from_slice(&[facts.peer]);
    if facts.client != facts.peer {
        let lines = facts.headers.get_all(&X_FORWARDED_FOR).into_iter().rev();
        for hop in lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')) {
            let Some(address) = std::str::from_utf8(hop).ok().and_then(parse_hop) else { break };
            hops.push(address);
            if address == facts.client {
                break;
            }
        }
    }
    hops.reverse();
    hops
}

/// The same by RFC 7239: what the client asked for stands with the first hop, which is the client,
/// spelled as it is.
fn push_rfc7239(facts: &RequestFacts<'_>, hops: &[IpAddr], text: &mut Vec<u8>) {
    push_node(facts.client, text);
    if !facts.forwarded_host.is_empty() && facts.forwarded_host.bytes().all(is_plain) {
        text.extend_from_slice(b";host=\"");
        text.extend_from_slice(facts.forwarded_host.as_bytes());
        text.push(b'"');
    }
    text.extend_from_slice(b";proto=");
    text.extend_from_slice(facts.scheme.as_str().as_bytes());
    for hop in hops.iter().skip(1) {
        text.extend_from_slice(b", ");
        push_node(*hop, text);
    }
}

/// A hop; addresses of IPv6 stand in brackets and quotes.
fn push_node(address: IpAddr, text: &mut Vec<u8>) {
    let (before, after): (&[u8], &[u8]) =
        if address.is_ipv6() { (b"for=\"[", b"]\"") } else { (b"for=", b"") };
    text.extend_from_slice(before);
    push_address(address, text);
    text.extend_from_slice(after);
}

/// What stands in a quoted string without escapes.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

fn text(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok()
}

fn push_hops(hops: &[IpAddr], text: &mut Vec<u8>) {
    for (position, hop) in hops.iter().enumerate() {
        if position > 0 {
            text.extend_from_slice(b", ");
        }
        push_address(*hop, text);
    }
}

fn host(forwarding: &Forwarding, edits: &mut Vec<HeaderEdit>) {
    let host = match (&forwarding.upstream.host, &forwarding.upstream.service) {
        (HostHeader::Literal(host), _) => host,
        (HostHeader::Target, Service::Targets(targets)) => match targets.as_slice() {
            [only] => only.authority.as_str(),
            // Said once it is known which.
            _ => return,
        },
        (HostHeader::Preserve, _) | (HostHeader::Target, Service::Echo) => return,
    };
    edits.extend(text(host).map(|host| HeaderEdit::Set(header::HOST, host)));
}

/// What the route takes out, sets and adds. A name whose template has no value is absent, also
/// where the client sent one.
pub(super) fn route_headers(route: &HeaderTerms, scope: &Scope<'_>, edits: &mut Vec<HeaderEdit>) {
    edits.extend(route.remove.iter().cloned().map(HeaderEdit::Remove));
    for (name, template) in &route.set {
        edits.push(match template.header(scope) {
            Some(value) => HeaderEdit::Set(name.clone(), value),
            None => HeaderEdit::Remove(name.clone()),
        });
    }
    for (name, template) in &route.add {
        let value = template.header(scope);
        edits.extend(value.map(|value| HeaderEdit::Append(name.clone(), value)));
    }
}

/// The request target, if path or query are not the received ones.
fn target(facts: &RequestFacts<'_>, path: Option<&str>, query: Option<String>) -> Option<String> {
    if path.is_none() && query.is_none() {
        return None;
    }
    let mut target = path.unwrap_or(facts.path).to_owned();
    let emptied = query.as_deref().is_some_and(str::is_empty);
    let query = query.as_deref().or(facts.query).filter(|_| !emptied);
    if let Some(query) = query {
        // A rewrite may bring parameters of its own.
        target.push(if target.contains('?') { '&' } else { '?' });
        target.push_str(query);
    }
    Some(target)
}

impl IdentityTerms {
    /// Whether a request's trailer may go upstream on a route that sets these headers: a trailer
    /// says nothing that a header may not say, and never speaks for the connection.
    pub fn passes_trailer(&self, name: &HeaderName, route: &HeaderTerms) -> bool {
        self.strip(name, route, false).is_none()
            && !is_hop_by_hop(name)
            && may_be_nominated(name.as_str().as_bytes())
            && ![header::AUTHORIZATION, header::COOKIE, X_REQUEST_ID].contains(name)
            && !route.set.iter().any(|(set, _)| set == name)
    }
}

impl ForwardPlan {
    /// The received headers as the upstream gets them: what the edits make of them. The proxy
    /// carries the same edits out on its own header block.
    pub fn apply(&self, received: &http::HeaderMap) -> http::HeaderMap {
        let mut headers = received.clone();
        for edit in &self.edits {
            edit.apply(&mut headers);
        }
        headers
    }
}

impl HeaderEdit {
    /// Makes the change.
    pub fn apply(&self, headers: &mut http::HeaderMap) {
        match self {
            Self::Append(name, value) => {
                headers.append(name, value.clone());
            }
            Self::Remove(name) => {
                headers.remove(name);
            }
            Self::Set(name, value) => {
                headers.insert(name, value.clone());
            }
        }
    }
}

impl Stripped {
    /// Counts and the kinds by which the metrics tell them apart.
    pub fn by_kind(&self) -> [(&'static str, u32); 4] {
        [
            ("identity", self.identity),
            ("forwarding", self.forwarding),
            ("alias", self.alias),
            ("hop", self.hop),
        ]
    }
}

#[cfg(test)]
pub(in crate::policy) mod tests;
