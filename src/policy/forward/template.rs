//! Templates: text with `{names}` that is filled in for each request.
//!
//! A name is replaced once; what a request puts into a value is never read as a template again.

use std::{borrow::Cow, fmt::Write, ops::Range};

use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;

use crate::policy::scope::Scope;

/// Text with `{names}`, compiled.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    /// A template without names, as a header value.
    constant: Option<HeaderValue>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Goes in as it is.
    Literal(String),
    /// Is replaced by its value.
    Name(Name),
}

/// What a template can name, in alphabetical order of how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// `claims.…`: a claim by its dotted path.
    Claim(String),
    /// `client.ip`
    ClientIp,
    /// `path.…`: a parameter of the route's template.
    Path(String),
    /// `principal.issuer`
    PrincipalIssuer,
    /// `principal.method`
    PrincipalMethod,
    /// `principal.permissions`: in effect
    PrincipalPermissions,
    /// `principal.plan`
    PrincipalPlan,
    /// `principal.roles`: as granted
    PrincipalRoles,
    /// `principal.subject`
    PrincipalSubject,
    /// `request.host`
    RequestHost,
    /// `request.id`
    RequestId,
    /// `request.method`
    RequestMethod,
    /// `request.path`
    RequestPath,
    /// `request.scheme`
    RequestScheme,
}

/// The names without a parameter, as they are written.
const PLAIN: [(&str, Name); 12] = [
    ("client.ip", Name::ClientIp),
    ("principal.issuer", Name::PrincipalIssuer),
    ("principal.method", Name::PrincipalMethod),
    ("principal.permissions", Name::PrincipalPermissions),
    ("principal.plan", Name::PrincipalPlan),
    ("principal.roles", Name::PrincipalRoles),
    ("principal.subject", Name::PrincipalSubject),
    ("request.host", Name::RequestHost),
    ("request.id", Name::RequestId),
    ("request.method", Name::RequestMethod),
    ("request.path", Name::RequestPath),
    ("request.scheme", Name::RequestScheme),
];

/// Why a text is no template, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct TemplateFault {
    /// Why.
    pub kind: TemplateFaultKind,
    /// The offending bytes of the text.
    pub span: Range<usize>,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFaultKind {
    /// A control character, which no header and no path may hold.
    #[error("a control character cannot stand in a header or a path")]
    Control,
    /// Double braces around a name, as other gateways write it.
    #[error("names stand in single braces: `{{{0}}}`")]
    DoubleBraces(String),
    /// `{` without `}`.
    #[error("`{{` is never closed; a literal brace is written `{{{{`")]
    Unclosed,
    /// Not a name.
    #[error("`{name}` is no name that a template can use")]
    UnknownName {
        /// As written.
        name: String,
        /// All that could have been meant.
        known: Vec<String>,
    },
    /// `}` without `{`.
    #[error("`}}` closes nothing; a literal brace is written `}}}}`")]
    Unopened,
}

impl Template {
    /// Parses a template; `params` are the path parameters that it may name. `{{` and `}}` are
    /// literal braces.
    pub fn parse<P: AsRef<str>>(source: &str, params: &[P]) -> Result<Self, TemplateFault> {
        let fault = |kind, span| TemplateFault { kind, span };
        if let Some(at) = source.find(|c: char| c.is_control() && c != '\t') {
            return Err(fault(TemplateFaultKind::Control, at..at + 1));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
            let plain = rest.find(['{', '}']).unwrap_or(rest.len());
            let (text, rest) = rest.split_at(plain);
            literal.push_str(text);
            at += plain;
            if rest.is_empty() {
                break;
            }
            if let Some(after) = rest.strip_prefix("{{") {
                if let Some((name, _)) = after.split_once("}}")
                    && Name::parse(name, params).is_some()
                {
                    let span = at..at + name.len() + 4;
                    return Err(fault(TemplateFaultKind::DoubleBraces(name.to_owned()), span));
                }
                literal.push('{');
                at += 2;
            } else if rest.starts_with("}}") {
                literal.push('}');
                at += 2;
            } else if let Some(after) = rest.strip_prefix('{') {
                let Some((written, _)) = after.split_once('}') else {
                    return Err(fault(TemplateFaultKind::Unclosed, at..at + 1));
                };
                let span = at + 1..at + 1 + written.len();
                let Some(name) = Name::parse(written, params) else {
                    let known = Name::known(params);
                    let name = written.to_owned();
                    return Err(fault(TemplateFaultKind::UnknownName { name, known }, span));
                };
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Name(name));
                at = span.end + 1;
            } else {
                return Err(fault(TemplateFaultKind::Unopened, at..at + 1));
            }
        }
        let constant = if parts.is_empty() { HeaderValue::from_str(&literal).ok() } else { None };
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self { parts, constant })
    }

    /// The pieces in their order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The names in their order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Name(name) => Some(name),
        })
    }

    /// Whether it is the same for every request.
    pub fn is_constant(&self) -> bool {
        self.names().next().is_none()
    }

    /// Whether it says something about the principal.
    pub fn needs_principal(&self) -> bool {
        self.names().any(Name::needs_principal)
    }

    /// The path parameters that it names.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.names().filter_map(|name| match name {
            Name::Path(parameter) => Some(parameter.as_str()),
            _ => None,
        })
    }

    /// Its value as a header: every byte of a value outside visible ASCII, and `%`, is
    /// percent-encoded, `,` too inside an item of a list. Nothing if one name has no value.
    pub fn header(&self, scope: &Scope<'_>) -> Option<HeaderValue> {
        if let Some(constant) = &self.constant {
            return Some(constant.clone());
        }
        if let [Part::Name(name)] = self.parts.as_slice()
            && let Some(text) = name.plain_text(scope)
        {
            return HeaderValue::from_str(text).ok();
        }
        let mut value = Vec::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Literal(text) => value.extend_from_slice(text.as_bytes()),
                Part::Name(name) => name.value(scope)?.encode_into(&mut value),
            }
        }
        HeaderValue::from_maybe_shared(Bytes::from(value)).ok()
    }
}

impl Name {
    fn parse<P: AsRef<str>>(written: &str, params: &[P]) -> Option<Self> {
        if let Some((_, name)) = PLAIN.iter().find(|(plain, _)| *plain == written) {
            return Some(name.clone());
        }
        match written.split_once('.')? {
            ("claims", path) if !path.is_empty() && !path.contains(['{', ' ']) => {
                Some(Self::Claim(path.to_owned()))
            }
            ("path", parameter) if params.iter().any(|known| known.as_ref() == parameter) => {
                Some(Self::Path(parameter.to_owned()))
            }
            _ => None,
        }
    }

    fn known<P: AsRef<str>>(params: &[P]) -> Vec<String> {
        let mut known: Vec<String> = PLAIN.iter().map(|(plain, _)| (*plain).to_owned()).collect();
        known.extend(params.iter().map(|parameter| format!("path.{}", parameter.as_ref())));
        known.push("claims.NAME".to_owned());
        known
    }

    /// Whether it is about the principal.
    pub fn needs_principal(&self) -> bool {
        match self {
            Self::Claim(_)
            | Self::PrincipalIssuer
            | Self::PrincipalMethod
            | Self::PrincipalPermissions
            | Self::PrincipalPlan
            | Self::PrincipalRoles
            | Self::PrincipalSubject => true,
            Self::ClientIp
            | Self::Path(_)
            | Self::RequestHost
            | Self::RequestId
            | Self::RequestMethod
            | Self::RequestPath
            | Self::RequestScheme => false,
        }
    }

    /// Its value, if that is at hand as one text which stands in a header as it is: what most
    /// identity headers come to.
    fn plain_text<'r>(&self, scope: &Scope<'r>) -> Option<&'r str> {
        let principal = scope.principal;
        let (text, in_list) = match self {
            Self::PrincipalMethod => (principal?.method.as_str(), false),
            Self::PrincipalSubject => (&*principal?.subject, false),
            Self::PrincipalRoles => match &*principal?.roles {
                [only] => (only.as_str(), true),
                _ => return None,
            },
            Self::PrincipalPermissions => match &*principal?.permissions {
                [only] => (only.as_str(), true),
                _ => return None,
            },
            Self::RequestId => (scope.facts.request_id, false),
            _ => return None,
        };
        let plain = |byte: u8| is_plain(byte) && !(in_list && byte == b',');
        text.bytes().all(plain).then_some(text)
    }

    /// Its value for a request; nothing if it has none.
    pub fn value<'r>(&self, scope: &Scope<'r>) -> Option<TemplateValue<'r>> {
        let facts = scope.facts;
        let text = |text: &'r str| Some(TemplateValue::Text(Cow::Borrowed(text)));
        match self {
            Self::Claim(path) => TemplateValue::of_json(scope.principal?.claims.find(path)?),
            Self::ClientIp => Some(TemplateValue::Text(Cow::Owned(facts.client.to_string()))),
            Self::Path(parameter) => text(scope.params.value(parameter)?),
            Self::PrincipalIssuer => text(scope.principal?.issuer.as_str()),
            Self::PrincipalMethod => text(scope.principal?.method.as_str()),
            Self::PrincipalPermissions => TemplateValue::list(
                scope.principal?.permissions.iter().map(|one| Cow::Borrowed(one.as_str())),
            ),
            Self::PrincipalPlan => text(scope.principal?.plan.as_ref()?.as_str()),
            Self::PrincipalRoles => TemplateValue::list(
                scope.principal?.roles.iter().map(|one| Cow::Borrowed(one.as_str())),
            ),
            Self::PrincipalSubject => text(&scope.principal?.subject),
            Self::RequestHost => text(facts.host),
            Self::RequestId => text(facts.request_id),
            Self::RequestMethod => text(facts.method.as_str()),
            Self::RequestPath => text(facts.path),
            Self::RequestScheme => text(facts.scheme.as_str()),
        }
    }
}

/// What a name stands for in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateValue<'r> {
    /// A flat list, never empty.
    List(Vec<Cow<'r, str>>),
    /// A string, number or boolean.
    Text(Cow<'r, str>),
}

impl<'r> TemplateValue<'r> {
    fn list(items: impl Iterator<Item = Cow<'r, str>>) -> Option<Self> {
        let items: Vec<_> = items.collect();
        (!items.is_empty()).then_some(Self::List(items))
    }

    fn of_json(value: &'r Value) -> Option<Self> {
        let Value::Array(items) = value else { return scalar(value).map(Self::Text) };
        let items: Vec<_> = items.iter().map(scalar).collect::<Option<_>>()?;
        (!items.is_empty()).then_some(Self::List(items))
    }

    /// As plain text; the items of a list joined by `,`.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::List(items) => Cow::Owned(items.join(",")),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::List(items) => {
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    encode(item, |byte| byte == b',', out);
                }
            }
            Self::Text(text) => encode(text, |_| false, out),
        }
    }
}

fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Number(number) => {
            let mut text = String::new();
            write!(text, "{number}").ok()?;
            Some(Cow::Owned(text))
        }
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'%'
}

fn encode(text: &str, more: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_plain(byte) && !more(byte) {
            out.push(byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::scope::sample::{alice, facts, headers, scope};
    use serde_json::json;

    fn parse(source: &str) -> Template {
        Template::parse(source, &["user_id", "rest"]).unwrap()
    }

    fn fault(source: &str) -> (TemplateFaultKind, &str) {
        let fault = Template::parse(source, &["user_id"]).unwrap_err();
        (fault.kind, &source[fault.span])
    }

    fn render(source: &str, claims: Value) -> Option<String> {
        let (alice, headers) = (alice(claims), headers(&[]));
        let facts = facts(&headers);
        let params = [("user_id", "a b/ä")];
        let value = parse(source).header(&scope(Some(&alice), &facts, &params))?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn every_name_has_its_value() {
        for (source, value) in [
            ("{principal.subject}", "alice"),
            ("{principal.roles}", "user"),
            ("{principal.permissions}", "read:items"),
            ("{principal.method}", "jwt"),
            ("{principal.issuer}", "corp"),
            ("{principal.plan}", "pro"),
            ("{claims.org.name}", "acme"),
            ("{path.user_id}", "a%20b/%C3%A4"),
            ("{request.id}", "r-1"),
            ("{request.host}", "api.example.com"),
            ("{request.method}", "GET"),
            ("{request.path}", "/items/7"),
            ("{request.scheme}", "http"),
            ("{client.ip}", "192.0.2.1"),
            ("a {principal.subject}@{claims.org.name}, b", "a alice@acme, b"),
            ("{{x}} {principal.plan}", "{x} pro"),
        ] {
            let claims = json!({"org": {"name": "acme"}});
            assert_eq!(render(source, claims).as_deref(), Some(value), "{source}");
        }
    }

    #[test]
    fn the_short_way_to_a_value_comes_to_the_same() {
        let headers = headers(&[]);
        let facts = facts(&headers);
        for text in ["plain", "a,b", "a b", "100%", "", "\u{e4}"] {
            let mut alice = alice(json!({}));
            alice.subject = text.into();
            alice.roles = [text.into()].into();
            let scope = scope(Some(&alice), &facts, &[] as &[(&str, &str); 0]);
            for name in ["principal.subject", "principal.roles"] {
                let short = parse(&format!("{{{name}}}")).header(&scope).unwrap();
                let long = parse(&format!("-{{{name}}}")).header(&scope).unwrap();
                assert_eq!(format!("-{}", short.to_str().unwrap()), long.to_str().unwrap());
            }
        }
    }

    #[test]
    fn scalars_and_flat_lists_of_them_have_a_value() {
        for (claim, value) in [
            (json!("x"), Some("x")),
            (json!(""), Some("")),
            (json!(1.5), Some("1.5")),
            (json!(-3), Some("-3")),
            (json!(true), Some("true")),
            (json!(["a", 1, false]), Some("a,1,false")),
            (json!(["a,b", "c"]), Some("a%2Cb,c")),
            (json!("a,b"), Some("a,b")),
            (json!(null), None),
            (json!([]), None),
            (json!({}), None),
            (json!({"a": 1}), None),
            (json!([["a"]]), None),
            (json!(["a", null]), None),
        ] {
            let rendered = render("{claims.x}", json!({"x": claim}));
            assert_eq!(rendered.as_deref(), value, "{claim}");
        }
    }

    #[test]
    fn one_absent_name_makes_the_whole_absent() {
        assert_eq!(render("{principal.subject}-{claims.gone}", json!({})), None);
        assert_eq!(render("{path.rest}", json!({})), None);
    }

    #[test]
    fn without_a_principal_what_is_about_one_is_absent() {
        let headers = headers(&[]);
        let facts = facts(&headers);
        let nobody = scope(None, &facts, &[] as &[(&str, &str); 0]);
        for source in ["{principal.subject}", "{principal.roles}", "{claims.a}"] {
            assert!(parse(source).needs_principal());
            assert_eq!(parse(source).header(&nobody), None);
        }
        assert!(!parse("{client.ip}").needs_principal());
        assert!(parse("{client.ip}").header(&nobody).is_some());
    }

    #[test]
    fn a_value_cannot_break_out_of_its_header_nor_be_read_as_a_template() {
        let value = render("{claims.x}", json!({"x": "a\r\nX-User-Id: root\0{client.ip}%41"}));
        assert_eq!(value.as_deref(), Some("a%0D%0AX-User-Id:%20root%00{client.ip}%2541"));
    }

    #[test]
    fn a_constant_is_made_once() {
        assert!(parse("a b").is_constant() && parse("").is_constant());
        assert!(parse("a b").constant.is_some() && parse("{{").constant.is_some());
        assert!(!parse("{client.ip}").is_constant());
    }

    #[test]
    fn a_template_tells_which_path_parameters_it_names() {
        let template = parse("/v2/{path.rest}/{path.user_id}{client.ip}");
        assert_eq!(template.params().collect::<Vec<_>>(), ["rest", "user_id"]);
    }

    #[test]
    fn what_is_no_template_is_refused_where_it_is_wrong() {
        assert_eq!(fault("a{b"), (TemplateFaultKind::Unclosed, "{"));
        assert_eq!(fault("a}b"), (TemplateFaultKind::Unopened, "}"));
        assert_eq!(fault("a\r\nb"), (TemplateFaultKind::Control, "\r"));
        assert_eq!(
            fault("{{principal.subject}}"),
            (TemplateFaultKind::DoubleBraces("principal.subject".into()), "{{principal.subject}}")
        );
        for (source, name) in [
            ("x{principal.name}", "principal.name"),
            ("{}", ""),
            ("{claims}", "claims"),
            ("{claims.}", "claims."),
            ("{path.user}", "path.user"),
            ("{ client.ip }", " client.ip "),
            ("{env.HOME}", "env.HOME"),
            ("{principal.claims.x}", "principal.claims.x"),
        ] {
            let (kind, text) = fault(source);
            let TemplateFaultKind::UnknownName { name: written, known } = kind else {
                panic!("{source}: {kind:?}")
            };
            assert_eq!((written.as_str(), text), (name, name));
            assert!(known.contains(&"path.user_id".to_owned()));
        }
    }
}
