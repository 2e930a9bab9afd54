//! `identity.assertion`: what upstreams are told about a principal in a form that they can verify.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::Algorithm;

use super::{Input, faults::Faults, headers, token};
use crate::{
    config::{codes, document::Site, identity::Assertion as Written},
    policy::{authn::keys::SigningKey, forward::AssertionTerms},
};

/// What is asserted, and by which keys that may be verified.
pub(super) struct Assertion {
    /// The terms.
    pub terms: Arc<AssertionTerms>,
    /// In the order of the file: the first signs.
    pub keys: Vec<SigningKey>,
}

/// An app takes an assertion on its word for as long, whatever is revoked meanwhile.
const LONGEST: Duration = Duration::from_secs(3600);
/// Half of it must be a whole second.
const SHORTEST: Duration = Duration::from_secs(2);

/// Names whose meaning an assertion would displace.
const MEANT: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-request-id"];

/// Reads `identity.assertion`; `tokens` are the keys of the gateway's own tokens.
pub(super) fn compile(
    input: &Input<'_>,
    tokens: &[SigningKey],
    faults: &mut Faults,
) -> Option<Assertion> {
    let identity = &input.config.identity;
    let written = identity.assertion.as_ref()?;
    let at = input.root().key("identity").key("assertion");
    let ttl = written.ttl.0;
    if !(SHORTEST..=LONGEST).contains(&ttl) {
        faults
            .fault(
                codes::OUT_OF_RANGE,
                at.key("ttl"),
                "an assertion is valid for 2 seconds at least and an hour at most",
            )
            .help("a minute is usual: `ttl: 60s`");
    }
    let header = header(written, at, faults);
    let taken = identity.headers.iter().flat_map(|named| named.iter());
    let taken = taken.map(|(name, _)| name).chain(&identity.accept);
    if taken.into_iter().any(|name| name.0.eq_ignore_ascii_case(&written.header.0)) {
        let name = &written.header.0;
        faults
            .fault(
                codes::CONTRADICTION,
                at.find("header").unwrap_or(at),
                format!("`{name}` stands in `identity.headers` or `identity.accept` too"),
            )
            .help("give the assertion a header of its own");
    }
    let keys = keys(input, written, tokens, at, faults)?;
    let key = keys.first()?.clone();
    let terms = Arc::new(AssertionTerms {
        header: header?,
        issuer: written.issuer.as_str().to_owned(),
        audience: written.audience.as_str().to_owned(),
        ttl,
        key,
        line: u32::try_from(at.line()).unwrap_or_default(),
    });
    Some(Assertion { terms, keys })
}

fn header(written: &Written, at: Site<'_>, faults: &mut Faults) -> Option<http::HeaderName> {
    let at = at.find("header").unwrap_or(at);
    if MEANT.iter().any(|name| name.eq_ignore_ascii_case(&written.header.0)) {
        faults
            .fault(
                codes::RESERVED_HEADER,
                at,
                format!("`{}` has a meaning of its own", written.header.0),
            )
            .help("`X-Identity-Assertion` is usual");
        return None;
    }
    headers::name(&written.header, at, faults)
}

fn keys(
    input: &Input<'_>,
    written: &Written,
    tokens: &[SigningKey],
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Vec<SigningKey>> {
    let algorithm = written.algorithm.0;
    if !matches!(algorithm, Algorithm::EdDSA | Algorithm::ES256) {
        faults
            .fault(
                codes::NOT_AVAILABLE,
                at.key("algorithm"),
                format!("an assertion is not signed with {}", written.algorithm.as_str()),
            )
            .help("use EdDSA or ES256");
        return None;
    }
    let place = at.key("private_key_file");
    let keys = token::private_keys(input, &written.private_key_file, algorithm, place, faults)?;
    for (index, key) in keys.iter().enumerate() {
        if tokens.iter().any(|token| token.kid.is_some() && token.kid == key.kid) {
            faults
                .fault(
                    codes::CONTRADICTION,
                    place.item(index),
                    "the key is one of `token.private_key_file`",
                )
                .help("make one for assertions alone: `openssl genpkey -algorithm ed25519`");
        }
    }
    Some(keys)
}
