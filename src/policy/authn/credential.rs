//! Finding credentials in a request. What is found is what the client says, nothing more.

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::{ApiKeyTerms, Method, query::parameters};
use crate::{
    model::CredentialKind,
    policy::{Denial, RequestFacts},
};

/// A credential as it was found: its value, after the scheme and with the spelling of its place
/// undone.
pub(super) type Presented<'r> = Cow<'r, [u8]>;

/// Looks for the method's credential in every place that it may stand in.
///
/// # Errors
/// If it comes twice, even with one value: whoever reads the request after us may take either.
pub(super) fn find<'r>(
    method: &Method,
    facts: &RequestFacts<'r>,
) -> Result<Option<Presented<'r>>, Denial> {
    let kind = method.kind();
    match method {
        Method::ApiKey(terms) => only(kind, keys(terms, facts)),
        Method::Basic(_) => only(kind, authorizations(facts.headers, "Basic")),
        // The connection has one or none.
        Method::ClientCert(_) => Ok(facts.certificate.map(|_| Cow::Borrowed(&[][..]))),
        Method::Jwt(_) => only(kind, authorizations(facts.headers, "Bearer")),
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

/// The values of every `Authorization` line with this scheme (RFC 9110, section 11.4), whose name
/// has no letter case.
fn authorizations<'r>(
    headers: &'r HeaderMap,
    scheme: &'static str,
) -> impl Iterator<Item = Presented<'r>> {
    headers.get_all(header::AUTHORIZATION).iter().filter_map(move |line| {
        let line = line.as_bytes().trim_ascii();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let (name, value) = line.split_at_checked(end)?;
        name.eq_ignore_ascii_case(scheme.as_bytes()).then(|| Cow::Borrowed(value.trim_ascii()))
    })
}

fn keys<'r>(terms: &ApiKeyTerms, facts: &RequestFacts<'r>) -> impl Iterator<Item = Presented<'r>> {
    let headers: &'r HeaderMap = facts.headers;
    let in_headers = terms.header.as_ref().into_iter().flat_map(|name| headers.get_all(name));
    let query = terms.query.as_deref().zip(facts.query);
    let in_query = query.into_iter().flat_map(|(name, query)| {
        parameters(query).filter(|one| one.is_named(name)).map(|one| one.value())
    });
    in_headers.map(|line| Cow::Borrowed(line.as_bytes().trim_ascii())).chain(in_query)
}
