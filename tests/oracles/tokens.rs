//! PyJWT, on some thousands of tokens.

use std::collections::BTreeMap;

use serde_json::json;

use portcullis::policy::{Denial, decision::TokenFault};

use crate::{
    ask,
    gate::{Ask, Gate, NOW, admitted, denial},
};

const YAML: &str = "
upstreams: { app: { builtin: echo } }
authentication:
  jwt:
    corp: { issuer: 'https://id.example.com/', audiences: [orders-api], algorithms: [HS256], secret: a-secret-of-the-corporation-for-tests }
routes: [{ name: known, match: { path: /known }, upstream: app, auth: [jwt] }]
";

/// Where we are stricter: what PyJWT leaves to its caller, or has no opinion of.
fn is_ours_alone(denial: &Denial) -> bool {
    let Denial::InvalidToken { fault, .. } = denial else { return false };
    match fault {
        // Types and sizes of members, `crit`, `cty` and `b64`, the `typ`, and a `kid` that is no plain text.
        TokenFault::ClaimType
        | TokenFault::Critical
        | TokenFault::Malformed
        | TokenFault::MissingClaim
        | TokenFault::Type
        | TokenFault::UnknownKey => true,
        TokenFault::Algorithm
        | TokenFault::Audience
        | TokenFault::Client
        | TokenFault::DisabledUser
        | TokenFault::DuplicateClaim
        | TokenFault::Expired
        | TokenFault::Inactive
        | TokenFault::Issuer
        | TokenFault::NotYetValid
        | TokenFault::Place
        | TokenFault::Revoked
        | TokenFault::Signature
        | TokenFault::TooLarge
        | TokenFault::UnknownUser => false,
    }
}

#[test]
fn no_token_lets_in_that_pyjwt_refuses_and_what_it_takes_is_refused_for_our_own_reasons_alone() {
    let question = json!({
        "now": NOW.micros() / 1_000_000,
        "secret": "a-secret-of-the-corporation-for-tests",
        "issuer": "https://id.example.com/",
        "audience": "orders-api",
        "leeway": 30,
        "count": 4000,
    });
    let answer = ask("tokens", &question);
    let gate = Gate::of(YAML);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut faults = String::new();
    for one in answer.as_array().unwrap() {
        let token = one["token"].as_str().unwrap();
        let ask = Ask::get("/known").header("authorization", &format!("Bearer {token}"));
        let decision = gate.live(&ask, NOW);
        let takes = one["error"].is_null();
        let verdict = match (admitted(&decision).is_some(), takes) {
            (true, true) => {
                let subject = decision.principal.as_ref().map(|one| one.subject.to_string());
                assert_eq!(one["subject"], json!(subject), "{token}");
                "both take it"
            }
            (false, false) => "both refuse it",
            (false, true) if denial(&decision).is_some_and(is_ours_alone) => "ours is stricter",
            // RFC 7515, section 2: no part is padded.
            (false, true) if token.ends_with('=') => "ours is stricter",
            (ours, _) => {
                let taken = if ours { "we alone take" } else { "we alone refuse" };
                let denial = denial(&decision);
                faults += &format!("{taken} {token}: {denial:?}, {}\n", one["error"]);
                continue;
            }
        };
        *counts.entry(verdict).or_default() += 1;
    }
    assert!(faults.is_empty(), "{faults}");
    let count = |verdict| counts.get(verdict).copied().unwrap_or_default();
    assert!(count("both take it") > 500 && count("both refuse it") > 1000, "{counts:?}");
    assert!(count("ours is stricter") < 1000, "{counts:?}");
}
