//! Headers that the file sets, adds and removes.

use http::{HeaderName, HeaderValue};

use super::faults::{Faults, undefined};
use crate::{
    config::{
        codes,
        document::Site,
        headers::{HeaderEdits, SecurityHeaders},
        values::{Header, Switch, Template as Written},
    },
    policy::{
        forward::{
            Template,
            template::{TemplateFault, TemplateFaultKind},
        },
        rules::HeaderTerms,
    },
};

/// What browsers are told unless the file says otherwise.
const SECURITY_HEADERS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-xss-protection", "1; mode=block"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
];

/// Names that belong to a connection or to the framing of a message (RFC 9110, section 7.6.1):
/// the gateway writes them itself.
const FRAMING: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Whether the name belongs to a connection or to framing.
pub(super) fn is_framing(name: &str) -> bool {
    FRAMING.iter().any(|framing| framing.eq_ignore_ascii_case(name))
}

/// Reads a name that the file wants to change.
pub(super) fn name(written: &Header, at: Site<'_>, faults: &mut Faults) -> Option<HeaderName> {
    if is_framing(&written.0) {
        let help = match written.0.eq_ignore_ascii_case("host") {
            true => "what an upstream gets as `Host` is said by `host` under `upstreams`",
            false => "remove it: the gateway writes it itself",
        };
        faults
            .fault(
                codes::RESERVED_HEADER,
                at,
                format!("`{}` belongs to the connection and cannot be changed", written.0),
            )
            .help(help);
        return None;
    }
    HeaderName::from_bytes(written.0.as_bytes()).ok()
}

/// Reads a template; `params` are the path parameters that it may name.
pub(super) fn template(
    written: &Written,
    params: &[String],
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<Template> {
    match Template::parse(written.as_str(), params) {
        Ok(template) => Some(template),
        Err(fault) => {
            faults
                .fault_within(codes::INVALID_TEMPLATE, at, &fault.span, fault.to_string())
                .help(template_help(&fault));
            None
        }
    }
}

fn template_help(fault: &TemplateFault) -> String {
    match &fault.kind {
        TemplateFaultKind::UnknownName { name, known } => undefined(
            name,
            known.iter().map(String::as_str),
            &format!("A template can name {}", known.join(", ")),
        ),
        TemplateFaultKind::Control
        | TemplateFaultKind::DoubleBraces(_)
        | TemplateFaultKind::Unclosed
        | TemplateFaultKind::Unopened => {
            "a template is written like `{principal.subject}`".to_owned()
        }
    }
}

/// Reads what a route does to headers.
pub(super) fn edits(
    written: &HeaderEdits,
    params: &[String],
    at: Site<'_>,
    faults: &mut Faults,
) -> Option<HeaderTerms> {
    let mut pairs = |key: &str, named: &crate::config::values::Named<Header, Written>| {
        let place = at.key(key);
        let mut sound = true;
        let mut pairs = Vec::new();
        for (header, text) in named.iter() {
            let at = place.key(&header.0);
            let name = name(header, at, faults);
            match name.zip(template(text, params, at, faults)) {
                Some(pair) => pairs.push(pair),
                None => sound = false,
            }
        }
        sound.then_some(pairs)
    };
    let (set, add) = (pairs("set", &written.set), pairs("add", &written.add));
    let place = at.key("remove");
    let remove = written.remove.iter().enumerate();
    let remove: Vec<_> =
        remove.map(|(index, header)| name(header, place.item(index), faults)).collect();
    let remove = remove.into_iter().collect::<Option<_>>()?;
    Some(HeaderTerms { set: set?, add: add?, remove, read: Vec::new() })
}

/// Security headers, later words over earlier ones: the built-in ones, `defaults`, the route. The
/// faults of a word without a place were told elsewhere.
pub(super) fn security<'w>(
    words: impl IntoIterator<Item = (&'w Switch<SecurityHeaders>, Option<Site<'w>>)>,
    faults: &mut Faults,
) -> Vec<(HeaderName, HeaderValue)> {
    let builtin = SECURITY_HEADERS
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let mut headers = Vec::from(builtin);
    for (word, at) in words {
        let Switch::On(named) = word else {
            headers.clear();
            continue;
        };
        for (header, value) in named.iter() {
            let name = match at {
                Some(at) => name(header, at.key(&header.0), faults),
                None => HeaderName::from_bytes(header.0.as_bytes()).ok(),
            };
            let Some(name) = name else { continue };
            headers.retain(|(other, _)| *other != name);
            let value = value.on().and_then(|text| HeaderValue::from_str(&text.0).ok());
            headers.extend(value.map(|value| (name, value)));
        }
    }
    headers
}
