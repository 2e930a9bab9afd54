//! Starlette's `CORSMiddleware`, on every combination of some terms and some requests.

use std::collections::BTreeSet;

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use portcullis::policy::Verdict;

use crate::{
    ask,
    gate::{Ask, Gate, NOW},
};

const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];

/// Terms of a file: origins, whether with credentials, methods, headers.
type Terms = (&'static [&'static str], bool, &'static [&'static str], &'static [&'static str]);

const TERMS: [Terms; 6] = [
    (&["https://app.example.com"], true, &["GET", "PUT"], &["*"]),
    (&["https://app.example.com"], false, &["GET"], &["X-Custom", "Authorization"]),
    (&["https://app.example.com", "http://localhost:3000"], true, &METHODS, &[]),
    (&["*"], false, &["GET", "POST"], &["*"]),
    (&["*"], false, &METHODS, &["X-Custom"]),
    (&["https://other.example.com"], true, &["DELETE"], &["X-Custom"]),
];

const ORIGINS: [&str; 8] = [
    "https://app.example.com",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evilapp.example.com",
    "http://localhost:3000",
    "https://other.example.com",
    "null",
];

const HEADERS: [Option<&str>; 6] = [
    None,
    Some("x-custom"),
    Some("X-CUSTOM, authorization"),
    Some("content-type"),
    Some("x-other"),
    Some("x-custom,x-other"),
];

fn gate((origins, credentials, methods, headers): Terms) -> Gate {
    let list = |items: &[&str]| json!(items).to_string();
    Gate::of(&format!(
        "upstreams: {{ app: {{ builtin: echo }} }}
routes:
  - match: {{ path: /x, methods: {} }}
    upstream: app
    auth: none
    cors: {{ allow_origins: {}, allow_credentials: {credentials}, allow_methods: {}, allow_headers: {} }}
",
        list(&METHODS),
        list(origins),
        list(methods),
        list(headers),
    ))
}

/// Our answer's headers; of a request that is let through, those that the gateway adds to the app's.
fn ours(gate: &Gate, call: &Value) -> HeaderMap {
    let mut ask = Ask::get("/x");
    ask.method = Method::from_bytes(call["method"].as_str().unwrap().as_bytes()).unwrap();
    for (name, value) in call["headers"].as_object().unwrap() {
        ask = ask.header(name, value.as_str().unwrap());
    }
    let decision = gate.live(&ask, NOW);
    let mut headers = HeaderMap::new();
    if let Verdict::Answer(reply) = &decision.verdict {
        headers.extend(reply.headers.iter().cloned());
    }
    decision.response.apply(&mut headers);
    headers
}

fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

fn words(list: Option<&str>) -> BTreeSet<String> {
    let words = list.unwrap_or_default().split(',').map(|word| word.trim().to_ascii_lowercase());
    words.filter(|word| !word.is_empty()).collect()
}

fn preflights() -> Vec<Value> {
    let mut calls = Vec::new();
    for origin in ORIGINS {
        for method in METHODS {
            for asked in HEADERS {
                let mut headers =
                    json!({ "Origin": origin, "Access-Control-Request-Method": method });
                if let Some(asked) = asked {
                    headers["Access-Control-Request-Headers"] = asked.into();
                }
                calls.push(json!({ "method": "OPTIONS", "headers": headers }));
            }
        }
    }
    calls
}

fn asked_of_both(calls: &[Value]) -> Vec<(Terms, Vec<(HeaderMap, Value)>)> {
    let terms = |(origins, credentials, methods, headers): Terms| {
        json!({
            "allow_origins": origins,
            "allow_credentials": credentials,
            "allow_methods": methods,
            "allow_headers": headers,
        })
    };
    let series: Vec<Value> =
        TERMS.iter().map(|one| json!({ "terms": terms(*one), "calls": calls })).collect();
    let answers = ask("cors", &Value::from(series));
    let answers = answers.as_array().unwrap().iter();
    TERMS
        .into_iter()
        .zip(answers)
        .map(|(terms, theirs)| {
            let gate = gate(terms);
            let ours = calls.iter().map(|call| ours(&gate, call));
            (terms, ours.zip(theirs.as_array().unwrap().iter().cloned()).collect())
        })
        .collect()
}

#[test]
fn a_preflight_is_granted_where_starlettes_middleware_grants_it() {
    let calls = preflights();
    let (mut granted, mut refused) = (0, 0);
    for (terms, answers) in asked_of_both(&calls) {
        for (call, (ours, theirs)) in calls.iter().zip(answers) {
            let case = format!("{terms:?} {call}\nours {ours:?}\ntheirs {theirs}");
            let asked = &call["headers"];
            let their = |name: &str| theirs["headers"][name].as_str();
            let method = asked["Access-Control-Request-Method"].as_str().unwrap().to_lowercase();
            let names = words(asked["Access-Control-Request-Headers"].as_str());
            let origin = value(&ours, "access-control-allow-origin");
            // A page of an origin that is `null` is nobody's, also where every origin is allowed.
            let everybody = terms.0.contains(&"*");
            if theirs["status"] == 200 && asked["Origin"] == "null" && everybody && origin.is_none()
            {
                refused += 1;
                continue;
            }
            // What a browser makes of ours (Fetch, CORS-preflight fetch).
            let safe = ["accept", "accept-language", "content-language", "content-type"];
            let listed = words(value(&ours, "access-control-allow-headers"));
            let passes = origin.is_some()
                && words(value(&ours, "access-control-allow-methods")).contains(&method)
                && names.iter().all(|name| listed.contains(name) || safe.contains(&name.as_str()));
            assert_eq!(passes, theirs["status"] == 200, "{case}");
            if passes {
                granted += 1;
                for name in ["access-control-allow-origin", "access-control-allow-credentials"] {
                    assert_eq!(value(&ours, name), their(name), "{name}: {case}");
                }
            } else {
                refused += 1;
                assert_eq!(value(&ours, "access-control-allow-credentials"), None, "{case}");
            }
        }
    }
    assert!(granted > 100 && refused > 300, "{granted} granted, {refused} refused");
}

#[test]
fn an_answer_is_shared_with_whom_starlettes_middleware_shares_it() {
    let calls: Vec<Value> = ORIGINS
        .iter()
        .map(|origin| json!({ "method": "GET", "headers": { "Origin": origin } }))
        .collect();
    for (terms, answers) in asked_of_both(&calls) {
        for (call, (ours, theirs)) in calls.iter().zip(answers) {
            let case = format!("{terms:?} {call}\nours {ours:?}\ntheirs {theirs}");
            let their = |name: &str| theirs["headers"][name].as_str();
            let origin = value(&ours, "access-control-allow-origin");
            if origin.is_none() && call["headers"]["Origin"] == "null" {
                continue;
            }
            assert_eq!(origin, their("access-control-allow-origin"), "{case}");
            // They say it to strangers too, to whom it means nothing.
            let credentials =
                their("access-control-allow-credentials").filter(|_| origin.is_some());
            assert_eq!(value(&ours, "access-control-allow-credentials"), credentials, "{case}");
        }
    }
}
