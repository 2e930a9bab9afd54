//! The values that an expression reads, made when it reads them.
//!
//! Text is borrowed from the request and the principal. A list or map that is too long, and a
//! query parameter that comes twice, are not handed over; that it was asked for is noted, and
//! spoils the whole evaluation.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::atomic::{AtomicU8, Ordering},
};

use cel::common::{
    types::{
        CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelTimestamp,
        CelUInt,
    },
    value::{CowVal, Val},
};
use chrono::DateTime;
use http::HeaderName;
use serde_json::{Map, Value};

use super::{
    MAX_ITEMS,
    names::{PATTERN, PrincipalMember, REFERENCE, Reference, RequestMember, Thing, number},
    pattern::Pattern,
};
use crate::{
    model::{Principal, Timestamp},
    policy::{authn::parameters, lookalike::lookalikes, scope::Scope},
};

/// What spoils an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A query parameter comes twice.
    Duplicate,
    /// A list or map is too long.
    TooLong,
}

/// Reads what an expression refers to.
pub(super) struct Reader<'r> {
    references: &'r [Reference],
    patterns: &'r [Pattern],
    scope: &'r Scope<'r>,
    now: Timestamp,
    trouble: AtomicU8,
}

type Owned<'r> = Box<dyn Val + 'r>;

impl cel::context::VariableResolver for Reader<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(number) = number(variable, REFERENCE) {
            return self.read(self.references.get(number)?).map(CowVal::Owned);
        }
        let pattern = self.patterns.get(number(variable, PATTERN)?)?;
        Some(CowVal::Borrowed(pattern))
    }
}

impl<'r> Reader<'r> {
    pub(super) fn new(
        references: &'r [Reference],
        patterns: &'r [Pattern],
        scope: &'r Scope<'r>,
        now: Timestamp,
    ) -> Self {
        Self { references, patterns, scope, now, trouble: AtomicU8::new(0) }
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        match self.trouble.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Trouble::Duplicate),
            _ => Some(Trouble::TooLong),
        }
    }

    fn spoil<T>(&self, trouble: Trouble) -> Option<T> {
        let code = match trouble {
            Trouble::Duplicate => 1,
            Trouble::TooLong => 2,
        };
        self.trouble.store(code, Ordering::Relaxed);
        None
    }

    fn read<'b>(&'b self, reference: &'b Reference) -> Option<Owned<'b>> {
        if reference.test {
            return self.is_there(&reference.of).map(|is| Box::new(CelBool::from(is)) as Owned<'b>);
        }
        let facts = self.scope.facts;
        match &reference.of {
            Thing::Claim(path) => match claim(self.scope.principal?, path)? {
                Found::All(members) => self.map(members),
                Found::One(value) => self.json(value),
            },
            Thing::ClientIp => Some(owned_text(facts.client.to_string())),
            Thing::Header(Some(name)) => self.header(name).map(cow_text),
            Thing::Header(None) => self.headers(),
            Thing::Now => timestamp(self.now),
            Thing::Path(parameter) => self.scope.params.value(parameter).map(text),
            Thing::Principal(member) => self.principal(*member),
            Thing::Query(Some(name)) => self.parameter(name).map(cow_text),
            Thing::Query(None) => self.query(),
            Thing::Request(member) => Some(text(match member {
                RequestMember::Host => facts.host,
                RequestMember::Id => facts.request_id,
                RequestMember::Method => facts.method.as_str(),
                RequestMember::Path => facts.path,
                RequestMember::Scheme => facts.scheme.as_str(),
            })),
        }
    }

    /// Whether something is there. Nothing if that in which it would be is not: a question about
    /// what is not there has no answer, as everywhere in the language.
    fn is_there(&self, thing: &Thing) -> Option<bool> {
        match thing {
            Thing::Claim(path) => {
                let principal = self.scope.principal?;
                let (last, above) = path.split_last()?;
                match claim(principal, above)? {
                    Found::All(members) | Found::One(Value::Object(members)) => {
                        Some(members.contains_key(last))
                    }
                    Found::One(_) => None,
                }
            }
            Thing::Header(Some(name)) => Some(self.header(name).is_some()),
            Thing::Path(parameter) => Some(self.scope.params.value(parameter).is_some()),
            Thing::Principal(PrincipalMember::Plan) => Some(self.scope.principal?.plan.is_some()),
            Thing::Principal(_) => self.scope.principal.map(|_| true),
            Thing::Query(Some(name)) => Some(self.parameter(name).is_some()),
            Thing::ClientIp
            | Thing::Header(None)
            | Thing::Now
            | Thing::Query(None)
            | Thing::Request(_) => Some(true),
        }
    }

    fn principal(&self, member: PrincipalMember) -> Option<Owned<'_>> {
        let principal = self.scope.principal?;
        match member {
            PrincipalMember::Issuer => Some(text(principal.issuer.as_str())),
            PrincipalMember::Method => Some(text(principal.method.as_str())),
            PrincipalMember::Permissions => {
                self.list(principal.permissions.iter().map(|one| text(one.as_str())))
            }
            PrincipalMember::Plan => principal.plan.as_ref().map(|plan| text(plan.as_str())),
            PrincipalMember::Roles => {
                self.list(principal.effective_roles.iter().map(|one| text(one.as_str())))
            }
            PrincipalMember::Subject => Some(text(&principal.subject)),
        }
    }

    /// All lines of a header as one, as recipients may join them (RFC 9110, section 5.3).
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let separator = if name == http::header::COOKIE { "; " } else { ", " };
        let mut lines = self.scope.facts.headers.get_all(name).into_iter();
        let text = |line: &'r http::HeaderValue| std::str::from_utf8(line.as_bytes()).ok();
        let mut joined = Cow::Borrowed(text(lines.next()?)?);
        for line in lines {
            let joined = joined.to_mut();
            joined.push_str(separator);
            joined.push_str(text(line)?);
        }
        Some(joined)
    }

    fn headers(&self) -> Option<Owned<'_>> {
        let names = self.scope.facts.headers.keys();
        let entries = names.filter_map(|name| Some((name.as_str(), self.header(name.as_str())?)));
        self.entries(entries.map(|(name, value)| (Cow::Borrowed(name), cow_text(value))))
    }

    /// The value of a query parameter. One that comes twice has none, since applications differ
    /// in which they take; nor one beside which, or in whose place, there is another that some
    /// application takes for it.
    fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        let query = self.scope.facts.query?;
        let mut named = parameters(query).filter(|parameter| parameter.is_named(name));
        let (one, another) = (named.next(), named.next());
        let alike = lookalikes(query.as_bytes(), name).take(2).count();
        if another.is_some() || alike > usize::from(one.is_some()) {
            return self.spoil(Trouble::Duplicate);
        }
        decoded_text(one?.value())
    }

    fn query(&self) -> Option<Owned<'_>> {
        let mut entries: HashMap<Cow<'_, str>, Owned<'_>> = HashMap::new();
        for parameter in parameters(self.scope.facts.query.unwrap_or_default()) {
            let (Some(name), Some(value)) =
                (decoded_text(parameter.name()), decoded_text(parameter.value()))
            else {
                continue;
            };
            if entries.insert(name, cow_text(value)).is_some() {
                return self.spoil(Trouble::Duplicate);
            }
        }
        self.entries(entries.into_iter())
    }

    fn json<'b>(&self, value: &'b Value) -> Option<Owned<'b>> {
        Some(match value {
            Value::Array(items) => {
                if items.len() > MAX_ITEMS {
                    return self.spoil(Trouble::TooLong);
                }
                let items = items.iter().map(|item| self.json(item)).collect::<Option<Vec<_>>>()?;
                Box::new(CelList::from(items))
            }
            Value::Bool(value) => Box::new(CelBool::from(*value)),
            Value::Null => Box::new(CelNull),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Box::new(CelInt::from(value)),
                (None, Some(value)) => Box::new(CelUInt::from(value)),
                (None, None) => Box::new(CelDouble::from(number.as_f64()?)),
            },
            Value::Object(members) => self.map(members)?,
            Value::String(value) => text(value),
        })
    }

    fn map<'b>(&self, members: &'b Map<String, Value>) -> Option<Owned<'b>> {
        if members.len() > MAX_ITEMS {
            return self.spoil(Trouble::TooLong);
        }
        let entry = |(name, value): (&'b String, &'b Value)| {
            Some((CelMapKey::from(name.as_str()), self.json(value)?))
        };
        let entries: HashMap<CelMapKey<'b>, Owned<'b>> =
            members.iter().map(entry).collect::<Option<_>>()?;
        Some(Box::new(CelMap::from(entries)))
    }

    fn list<'b>(&self, items: impl ExactSizeIterator<Item = Owned<'b>>) -> Option<Owned<'b>> {
        if items.len() > MAX_ITEMS {
            return self.spoil(Trouble::TooLong);
        }
        Some(Box::new(CelList::from(items.collect::<Vec<_>>())))
    }

    fn entries<'b>(
        &self,
        entries: impl Iterator<Item = (Cow<'b, str>, Owned<'b>)>,
    ) -> Option<Owned<'b>> {
        let mut map: HashMap<CelMapKey<'b>, Owned<'b>> = HashMap::new();
        for (name, value) in entries {
            if map.len() == MAX_ITEMS {
                return self.spoil(Trouble::TooLong);
            }
            let key = match name {
                Cow::Borrowed(name) => CelMapKey::from(name),
                Cow::Owned(name) => CelMapKey::from(name),
            };
            map.insert(key, value);
        }
        Some(Box::new(CelMap::from(map)))
    }
}

/// A claim, or the whole set.
enum Found<'r> {
    All(&'r Map<String, Value>),
    One(&'r Value),
}

fn claim<'r>(principal: &'r Principal, path: &[String]) -> Option<Found<'r>> {
    let Some((first, rest)) = path.split_first() else {
        return Some(Found::All(principal.claims.members()));
    };
    let mut value = principal.claims.members().get(first)?;
    for member in rest {
        value = value.as_object()?.get(member)?;
    }
    Some(Found::One(value))
}

fn text(text: &str) -> Owned<'_> {
    Box::new(CelString::from(text))
}

fn owned_text<'r>(text: String) -> Owned<'r> {
    Box::new(CelString::from(text))
}

fn cow_text(text: Cow<'_, str>) -> Owned<'_> {
    Box::new(CelString::from(text))
}

fn decoded_text(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

fn timestamp<'r>(now: Timestamp) -> Option<Owned<'r>> {
    let moment = DateTime::from_timestamp_micros(now.micros())?;
    Some(Box::new(CelTimestamp::from(moment.fixed_offset())))
}
