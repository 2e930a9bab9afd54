//! How a route says which credentials it takes (RFC 9110, section 11.6.1).

use http::{HeaderValue, StatusCode};

use crate::{
    compile::api_keys::KeyMethod,
    policy::authn::{ApiKeyTerms, BasicTerms, Challenges, Method, OnlyMethod},
};

/// The challenges of these methods.
pub(super) fn of(
    methods: &[Method],
    basic: Option<&BasicTerms>,
    api_key: Option<&KeyMethod>,
) -> Challenges {
    let realm = basic.map_or("portcullis", |basic| basic.realm.as_str());
    let lines = methods.iter().filter_map(|method| {
        let line = match method {
            Method::ApiKey(terms) => of_key(realm, terms),
            Method::Basic(terms) => format!("Basic realm=\"{}\", charset=\"UTF-8\"", terms.realm),
            // There is no scheme of HTTP for it.
            Method::ClientCert(_) => return None,
            Method::ForwardAuth(_) => format!("ForwardAuth realm=\"{realm}\""),
            Method::Jwt(_) => "Bearer".to_owned(),
        };
        HeaderValue::from_str(&line).ok()
    });
    let status = api_key.map_or(StatusCode::UNAUTHORIZED, |method| method.reject_status);
    let only = match methods {
        [Method::ApiKey(_)] => Some(OnlyMethod::ApiKey(status)),
        [Method::ClientCert(_)] => Some(OnlyMethod::ClientCert),
        _ => None,
    };
    Challenges { lines: lines.collect(), only }
}

fn of_key(realm: &str, terms: &ApiKeyTerms) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    match (&terms.header, &terms.query) {
        (None, Some(query)) => {
            format!("ApiKey realm=\"{realm}\", in=\"query\", name=\"{}\"", quoted(query))
        }
        (Some(header), _) => {
            format!(
                "ApiKey realm=\"{realm}\", in=\"header\", name=\"{}\"",
                as_usual(header.as_str())
            )
        }
        (None, None) => format!("ApiKey realm=\"{realm}\""),
    }
}

/// `x-api-key` as people write it: `X-API-Key`.
fn as_usual(name: &str) -> String {
    let words = name.split('-').map(|word| match word {
        "api" | "id" => word.to_ascii_uppercase(),
        _ => {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
    });
    words.collect::<Vec<_>>().join("-")
}
