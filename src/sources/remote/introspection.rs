//! Asking a provider about a token (RFC 7662, section 2).

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use reqwest::Request;
use zeroize::Zeroizing;

use super::{
    Fault, address,
    answers::{Fact, Outcome},
    ask::Answer,
    authority::Authority,
};
use crate::{
    model::{ObjectFault, Timestamp},
    policy::{
        authn::introspection::{Introspected, IntrospectionTerms},
        decision::TokenFault,
    },
};

impl Fact for Introspected {
    fn ends(&self) -> Option<Timestamp> {
        self.expires
    }

    fn weight(&self) -> u64 {
        // Claims as values, and the principal made of them, take several times the text's length.
        1024 + 8 * self.length as u64
    }
}

/// Asks a provider about a token.
pub(in crate::sources) async fn introspect(
    authority: Arc<Authority>,
    terms: Arc<IntrospectionTerms>,
    token: Zeroizing<String>,
) -> Outcome<Introspected, TokenFault> {
    let request = request(&terms, &token);
    authority.ask(request, terms.timeout, |answer| read(&terms, &answer)).await
}

fn request(terms: &IntrospectionTerms, token: &str) -> Result<Request, Fault> {
    let mut request = Request::new(Method::POST, address::read(&terms.url)?);
    let headers = request.headers_mut();
    headers.insert(header::AUTHORIZATION, basic(terms)?);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(header::CONTENT_TYPE, form);
    let token = percent_encode(token.as_bytes(), FORM);
    *request.body_mut() = Some(format!("token={token}&token_type_hint=access_token").into());
    Ok(request)
}

/// What stands for itself in a form, and in a URL too.
const FORM: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*').remove(b'~');

/// The gateway's own credential there. Both halves are encoded as forms are (RFC 6749, section
/// 2.3.1), so that a colon in the first does not end it.
fn basic(terms: &IntrospectionTerms) -> Result<HeaderValue, Fault> {
    let id = percent_encode(terms.client_id.as_bytes(), FORM);
    let secret = percent_encode(terms.client_secret.expose(), FORM);
    let pair = Zeroizing::new(format!("{id}:{secret}"));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Fault::Malformed("the gateway's own credential cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read(
    terms: &IntrospectionTerms,
    answer: &Answer,
) -> Result<Result<Introspected, TokenFault>, Fault> {
    match answer.status {
        StatusCode::OK => {}
        status if status.is_redirection() => return Err(Fault::Redirected(status)),
        status => return Err(Fault::Status(status)),
    }
    terms.read(&answer.body).map_err(|fault| {
        Fault::Malformed(match fault {
            ObjectFault::Duplicate => "a member stands in it twice",
            ObjectFault::Malformed => "it is not a JSON object",
        })
    })
}

#[cfg(test)]
mod tests;
