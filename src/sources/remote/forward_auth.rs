//! Asking a service whether it knows who sent a request.

use std::sync::Arc;

use http::{Method, StatusCode};
use reqwest::Request;

use super::{
    Fault, address,
    answers::{Fact, Outcome},
    ask::Answer,
    authority::{Authority, MOST},
};
use crate::{
    model::Timestamp,
    policy::{
        authn::forward_auth::{Asked, ForwardAuthTerms, Refusal, Vouched, asks},
        decision::ForwardAuthFault,
    },
};

impl Fact for Vouched {
    fn ends(&self) -> Option<Timestamp> {
        None
    }

    fn weight(&self) -> u64 {
        // Claims as values, and the principal made of them, take several times the text's length.
        1024 + 8 * self.length as u64
    }
}

/// Asks a service about a request.
pub(in crate::sources) async fn vouch(
    authority: Arc<Authority>,
    terms: Arc<ForwardAuthTerms>,
    asked: Asked,
) -> Outcome<Vouched, Refusal> {
    let request = request(&terms, &asked);
    authority.ask(request, terms.timeout, |answer| read(&terms, &answer)).await
}

fn request(terms: &ForwardAuthTerms, asked: &Asked) -> Result<Request, Fault> {
    let mut request = Request::new(Method::GET, address::read_nearby(&terms.url)?);
    for (name, value) in asked.expose() {
        request.headers_mut().append(name, value.clone());
    }
    Ok(request)
}

fn read(terms: &ForwardAuthTerms, answer: &Answer) -> Result<Result<Vouched, Refusal>, Fault> {
    let lines = answer.headers.iter();
    let length: usize = lines.map(|(name, value)| name.as_str().len() + value.len()).sum();
    if length > MOST {
        return Err(Fault::TooLarge { most: MOST });
    }
    let refused = |fault| {
        let asks = asks(&answer.headers).map_err(Fault::Malformed)?;
        Ok(Err(Refusal { fault, asks }))
    };
    match answer.status {
        StatusCode::UNAUTHORIZED => refused(ForwardAuthFault::Unauthorized),
        StatusCode::FORBIDDEN => refused(ForwardAuthFault::Forbidden),
        status if status.is_success() => terms.read(&answer.headers).map_err(Fault::Malformed),
        status if status.is_redirection() => Err(Fault::Redirected(status)),
        status => Err(Fault::Status(status)),
    }
}

#[cfg(test)]
mod tests;
