//! Finding credentials in a request. What is found is what the client says, nothing more.

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::{ApiKeyTerms, JwtRule, Method, TokenPlace, cookie::cookies, query::parameters};
use crate::{
    model::CredentialKind,
    policy::{Denial, RequestFacts},
};

/// A credential as it was found.
pub(super) struct Presented<'r> {
    /// Its value, after the scheme and with the spelling of its place undone.
    pub value: Cow<'r, [u8]>,
    /// Where it stood, of a bearer token.
    pub place: Option<&'r TokenPlace>,
}

/// Looks for the method's credential in every place that it may stand in.
///
/// # Errors
/// If it comes twice, even with one value: whoever reads the request after us may take either.
pub(super) fn find<'r>(
    method: &'r Method,
    facts: &'r RequestFacts<'r>,
) -> Result<Option<Presented<'r>>, Denial> {
    let kind = method.kind();
    let bare = |value| Presented { value, place: None };
    match method {
        Method::ApiKey(terms) => only(kind, keys(terms, facts).map(bare)),
        Method::Basic(_) => only(kind, authorizations(facts.headers, "Basic").map(bare)),
        Method::ForwardAuth(terms) if terms.is_ambiguous(facts.headers) => {
            Err(Denial::AmbiguousCredentials { kind })
        }
        // All of it that matters is in the request.
        Method::ForwardAuth(terms) => {
            Ok(terms.is_presented(facts.headers).then_some(bare(Cow::Borrowed(&[]))))
        }
        // The connection has one or none.
        Method::ClientCert(_) => {
            Ok(facts.certificate.map(|_| Presented { value: Cow::Borrowed(&[]), place: None }))
        }
        Method::Jwt(rule) => only(kind, tokens(rule, facts)),
    }
}

fn only<'r>(
    kind: CredentialKind,
    mut found: impl Iterator<Item = Presented<'r>>,
) -> Result<Option<Presented<'r>>, Denial> {
    let first = found.next();
    match found.next() {
        None => Ok(first),
        Some(_) => Err(Denial::AmbiguousCredentials { kind }),
    }
}

/// The bearer tokens in all the places of a rule.
fn tokens<'r>(
    rule: &'r JwtRule,
    facts: &'r RequestFacts<'r>,
) -> impl Iterator<Item = Presented<'r>> {
    rule.places.iter().flat_map(move |place| {
        found_in(place, facts).map(move |value| Presented { value, place: Some(place) })
    })
}

fn found_in<'r>(
    place: &'r TokenPlace,
    facts: &'r RequestFacts<'r>,
) -> impl Iterator<Item = Cow<'r, [u8]>> {
    let (mut scheme, mut header, mut cookie, mut query) = (None, None, None, None);
    match place {
        TokenPlace::Cookie(name) => cookie = Some(name),
        TokenPlace::Header(_) if place.is_authorization() => scheme = Some("Bearer"),
        TokenPlace::Header(name) => header = Some(name),
        TokenPlace::Query(name) => query = Some(name),
    }
    let (headers, asked): (&'r HeaderMap, _) = (facts.headers, facts.query);
    let behind_scheme = scheme.into_iter().flat_map(move |scheme| authorizations(headers, scheme));
    let in_header = header.into_iter().flat_map(move |name| headers.get_all(name));
    let in_cookies = cookie.into_iter().flat_map(move |name| {
        let lines = headers.get_all(header::COOKIE).iter();
        let all = lines.flat_map(|line| cookies(line.as_bytes()));
        all.filter(move |one| one.is_named(name)).map(|one| Cow::Borrowed(one.value()))
    });
    let in_query = query.into_iter().flat_map(move |name| in_query(name, asked));
    behind_scheme
        .chain(in_header.map(|line| Cow::Borrowed(without_scheme(line.as_bytes()))))
        .chain(in_cookies)
        .chain(in_query)
}

/// The value of a header made for tokens: some clients write the scheme there too.
fn without_scheme(line: &[u8]) -> &[u8] {
    const SCHEME: &[u8] = b"Bearer ";
    let line = line.trim_ascii();
    match line.split_at_checked(SCHEME.len()) {
        Some((scheme, value)) if scheme.eq_ignore_ascii_case(SCHEME) => value.trim_ascii(),
        _ => line,
    }
}

/// The values of every `Authorization` line with this scheme (RFC 9110, section 11.4), whose name
/// has no letter case.
fn authorizations<'r>(
    headers: &'r HeaderMap,
    scheme: &'static str,
) -> impl Iterator<Item = Cow<'r, [u8]>> {
    headers.get_all(header::AUTHORIZATION).iter().filter_map(move |line| {
        let line = line.as_bytes().trim_ascii();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (name, value) = line.split_at_checked(end)?;
        name.eq_ignore_ascii_case(scheme.as_bytes()).then(|| Cow::Borrowed(value.trim_ascii()))
    })
}

fn keys<'r>(
    terms: &'r ApiKeyTerms,
    facts: &'r RequestFacts<'r>,
) -> impl Iterator<Item = Cow<'r, [u8]>> {
    let (headers, asked): (&'r HeaderMap, _) = (facts.headers, facts.query);
    let in_headers = terms.header.as_ref().into_iter().flat_map(move |name| headers.get_all(name));
    let name = terms.query.as_deref();
    let in_query = name.into_iter().flat_map(move |name| in_query(name, asked));
    in_headers.map(|line| Cow::Borrowed(line.as_bytes().trim_ascii())).chain(in_query)
}

fn in_query<'r>(name: &'r str, query: Option<&'r str>) -> impl Iterator<Item = Cow<'r, [u8]>> {
    let all = query.into_iter().flat_map(parameters);
    all.filter(move |one| one.is_named(name)).map(|one| one.value())
}
