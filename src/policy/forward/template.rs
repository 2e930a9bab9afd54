//! Templates: text with `{names}` that is filled in for each request.
//!
//! A name is replaced once; what a request puts into a value is never read as a template again.

mod value;

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use http::HeaderValue;

pub use value::TemplateValue;

use crate::{model::push_address, policy::scope::Scope};

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

    /// Its value as a header, if that is the same for every request.
    pub(super) fn constant(&self) -> Option<&HeaderValue> {
        self.constant.as_ref()
    }

    /// Its value as a header: every byte of a value outside visible ASCII, and `%`, is
    /// percent-encoded, `,` too inside an item of a list. Nothing if one name has no value.
    pub fn header(&self, scope: &Scope<'_>) -> Option<HeaderValue> {
        if let Some(constant) = &self.constant {
            return Some(constant.clone());
        }
        let mut value = Vec::with_capacity(64);
        self.write(scope, &mut value)?;
        HeaderValue::from_maybe_shared(Bytes::from(value)).ok()
    }

    /// Writes that value to the end of a text; half of it, perhaps, where it has none.
    pub(super) fn write(&self, scope: &Scope<'_>, text: &mut Vec<u8>) -> Option<()> {
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                Part::Name(name) => name.write(scope, text)?,
            }
        }
        Some(())
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

    /// Writes its value as it stands in a header; nothing if it has none.
    fn write(&self, scope: &Scope<'_>, text: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::ClientIp => push_address(scope.facts.client, text),
            Self::PrincipalPermissions => {
                let names = scope.principal?.permissions.iter();
                return value::encode_list(names.map(|one| one.as_str()), text);
            }
            Self::PrincipalRoles => {
                let names = scope.principal?.roles.iter();
                return value::encode_list(names.map(|one| one.as_str()), text);
            }
            _ => self.value(scope)?.encode_into(text),
        }
        Some(())
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

#[cfg(test)]
mod tests;
