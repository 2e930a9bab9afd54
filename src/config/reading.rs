//! The document against the file's shape: finds every fault, replaces `${NAME}`, and makes the
//! typed configuration of what is left.

mod faults;
mod scalars;
mod words;

#[cfg(test)]
mod tests;

use std::ops::Range;

use serde_yaml::{Mapping, Value};

use faults::Faults;
pub use faults::Faulty;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{
    codes,
    diagnostic::{Diagnostic, quoted},
    document::{Content, Document, Entry, Site},
    expansions::Expansions,
    scalar::Environment,
    shape::{Object, Shape},
    source::mask,
    values::Rule,
};

/// A file's shape as a type.
pub trait Written: DeserializeOwned + Default + JsonSchema {}

impl<T: DeserializeOwned + Default + JsonSchema> Written for T {}

/// What came of reading a document.
pub(super) struct Read<T> {
    pub value: T,
    pub diagnostics: Vec<Diagnostic>,
    pub faulty: Faulty,
    pub files: Vec<NamedFile>,
    pub expansions: Expansions,
}

/// A file that the document names.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    pub path: String,
    pub range: Range<usize>,
    /// Its key's path in the document.
    pub key: String,
    /// Whether it must not be empty, being a secret.
    pub filled: bool,
}

/// Reads a document of this shape. Says to its source which parts of it are secret.
pub(super) fn read<T: Written>(
    document: &Document,
    shape: &Shape,
    environment: &Environment<'_>,
) -> Read<T> {
    let mut reader = Reader {
        document,
        environment,
        path: Vec::new(),
        faults: Faults::default(),
        secrets: Vec::new(),
        files: Vec::new(),
        expansions: Expansions::default(),
        may_be_empty: false,
    };
    let value = reader.value(&Here { site: document.root(), key: None }, shape);
    let typed = reader.typed(value.unwrap_or_else(|| Value::Mapping(Mapping::new())));
    document.dropped().for_each(|entry| reader.hide_suspect(&entry));
    document.source().hide(std::mem::take(&mut reader.secrets));
    let (mut diagnostics, faulty) = reader.faults.finish();
    reader.expansions.conceal(&mut diagnostics);
    let Reader { files, expansions, .. } = reader;
    Read { value: typed, diagnostics, faulty, files, expansions }
}

struct Reader<'d, 'e> {
    document: &'d Document,
    environment: &'e Environment<'e>,
    path: Vec<Step<'d>>,
    faults: Faults,
    secrets: Vec<Range<usize>>,
    files: Vec<NamedFile>,
    expansions: Expansions,
    /// Whether a secret may be empty here.
    may_be_empty: bool,
}

#[derive(Clone, Copy)]
enum Step<'d> {
    Item(usize),
    Key(&'d str),
}

/// A value that is being read, with its key if it has one.
struct Here<'d, 'k> {
    site: Site<'d>,
    key: Option<&'k Entry<'d>>,
}

impl<'d> Reader<'d, '_> {
    /// Reads a value. `None` where a fault leaves nothing of it.
    fn value(&mut self, here: &Here<'d, '_>, shape: &Shape) -> Option<Value> {
        match here.site.content() {
            Content::Mapping => self.mapping(here, shape),
            Content::Scalar(text, style) => self.scalar(here, shape, text, style),
            Content::Sequence => match lists(shape).next() {
                None if takes_any(shape) => self.list(here, &Shape::Any, 0..=usize::MAX, false),
                Some((item, least, most, holes)) => self.list(here, item, least..=most, holes),
                None => self.wrong_type(here, shape, "a list"),
            },
        }
    }

    fn mapping(&mut self, here: &Here<'d, '_>, shape: &Shape) -> Option<Value> {
        if shape.is_secret() {
            let other = |entry: &Entry<'_>| entry.name != "file";
            self.secrets.extend(here.site.entries().filter(other).map(|entry| entry.value.range()));
        }
        // Of several mappings that could be meant, the one that knows the most of the keys.
        let known = |object: &Object| {
            here.site.entries().filter(|entry| object.keys.contains_key(entry.name)).count()
        };
        let object = shape.choices().iter().filter_map(|choice| match choice {
            Shape::Object(object) => Some(object),
            _ => None,
        });
        if let Some(object) = object.rev().max_by_key(|object| known(object)) {
            return self.object(here, object);
        }
        let map = shape.choices().iter().find_map(|choice| match choice {
            Shape::Map { names, value } => Some((*names, value)),
            _ => None,
        });
        match map {
            Some((names, value)) => Some(self.map(here, names, value)),
            None if takes_any(shape) => Some(self.map(here, None, &Shape::Any)),
            None => self.wrong_type(here, shape, "a mapping"),
        }
    }

    fn object(&mut self, here: &Here<'d, '_>, object: &Object) -> Option<Value> {
        let mut mapping = Mapping::new();
        let mut whole = true;
        let mut known = 0;
        let mut meant = Vec::new();
        for entry in here.site.entries() {
            self.path.push(Step::Key(entry.name));
            match object.keys.get(entry.name) {
                None => {
                    if let Some(key) = self.unknown_key(&entry, object) {
                        self.faults.lose(here.site, &key);
                        meant.push(key);
                    }
                }
                Some(property) => {
                    known += 1;
                    let outer = self.may_be_empty;
                    self.may_be_empty |= property.may_be_empty;
                    let inner = Here { site: entry.value, key: Some(&entry) };
                    match self.value(&inner, &property.shape) {
                        Some(value) => _ = mapping.insert(entry.name.into(), value),
                        None => {
                            self.faults.lose(here.site, entry.name);
                            whole &= !property.required;
                        }
                    }
                    self.may_be_empty = outer;
                }
            }
            self.path.pop();
        }
        let missing = object.names.iter().filter(|name| {
            let required = object.keys.get(*name).is_some_and(|property| property.required);
            required && here.site.find(name).is_none()
        });
        for name in missing {
            whole = false;
            if meant.iter().any(|meant| meant == name) {
                continue;
            }
            let expected = object.keys.get(name).map(|property| property.shape.expected());
            let message = format!("the key `{name}` is missing");
            let fault = self.error(codes::MISSING_KEY, here.head(), message);
            self.note(match expected {
                Some(expected) => fault.help(format!("`{name}` is {expected}")),
                None => fault,
            });
        }
        if known < object.least {
            whole = false;
            let fault = self.error(codes::OUT_OF_RANGE, here.head(), "the mapping is empty");
            self.note(fault.help(format!("it has at least one of {}", listed(&object.names))));
        }
        whole.then_some(Value::Mapping(mapping))
    }

    fn map(&mut self, here: &Here<'d, '_>, names: Option<&'static Rule>, shape: &Shape) -> Value {
        let mut mapping = Mapping::new();
        for entry in here.site.entries() {
            self.path.push(Step::Key(entry.name));
            let named = names.is_none_or(|rule| self.judge_name(&entry, rule));
            if mask::is_suspect(entry.name) && matches!(entry.value.content(), Content::Scalar(..))
            {
                self.secrets.push(entry.value.range());
            }
            let value = self.value(&Here { site: entry.value, key: Some(&entry) }, shape);
            if named {
                mapping.insert(entry.name.into(), value.unwrap_or(Value::Null));
            }
            self.path.pop();
        }
        Value::Mapping(mapping)
    }

    fn list(
        &mut self,
        here: &Here<'d, '_>,
        shape: &Shape,
        bounds: std::ops::RangeInclusive<usize>,
        holes: bool,
    ) -> Option<Value> {
        let mut items = Vec::new();
        let mut whole = true;
        for (index, site) in here.site.items().enumerate() {
            self.path.push(Step::Item(index));
            match self.value(&Here { site, key: None }, shape) {
                Some(value) => items.push(value),
                None if holes => items.push(Value::Null),
                None => whole = false,
            }
            self.path.pop();
        }
        let count = here.site.items().count();
        if bounds.contains(&count) {
            return whole.then_some(Value::Sequence(items));
        }
        let range = here.site.range();
        if count < *bounds.start() {
            let fault = self.error(codes::OUT_OF_RANGE, range, "the list is empty");
            self.note(fault.help("give it an item, or remove the key"));
        } else {
            let message = format!("the list has more than {} items", bounds.end());
            self.fault(codes::OUT_OF_RANGE, range, message);
        }
        None
    }

    fn wrong_type(&mut self, here: &Here<'d, '_>, shape: &Shape, found: &str) -> Option<Value> {
        let listed = found == "a list" && shape.keeps_secrets_within();
        match shape.keeps_secret() || listed {
            true => self.secrets.push(here.site.range()),
            false => self.hide_suspects(here.site),
        }
        let message = format!("expected {}, found {found}", shape.expected());
        let fault = self.error(codes::WRONG_TYPE, here.head(), message);
        let list = lists(shape).next().is_some();
        self.note(match found {
            "a mapping" if list => fault.help("begin each item of a list with `-`"),
            _ => fault,
        });
        None
    }

    /// The types of the configuration, from values that fit its shape.
    fn typed<T: Written>(&mut self, value: Value) -> T {
        let fault = match serde_yaml::from_value(value.clone()) {
            Ok(config) => return config,
            Err(fault) => fault,
        };
        // The shape has let through what a type refuses: find the section, and leave it out.
        let Value::Mapping(sections) = value else { return T::default() };
        let alone = |(key, value): (&Value, &Value)| {
            let section = Mapping::from_iter([(key.clone(), value.clone())]);
            serde_yaml::from_value::<T>(Value::Mapping(section))
                .map_err(|fault| (key.clone(), fault))
        };
        let faults: Vec<_> = sections.iter().map(alone).filter_map(Result::err).collect();
        let mut sound = sections;
        for (key, fault) in &faults {
            sound.remove(key);
            let name = key.as_str().unwrap_or_default();
            let range = self.document.root().key_span(name).range();
            self.fault(codes::INVALID_VALUE, range, format!("in `{name}`: {fault}"));
            self.faults.mark(name.to_owned());
        }
        serde_yaml::from_value(Value::Mapping(sound)).unwrap_or_else(|_| {
            self.fault(codes::INVALID_VALUE, self.document.root().range(), fault.to_string());
            T::default()
        })
    }

    fn error(
        &self,
        code: &'static str,
        range: Range<usize>,
        message: impl Into<String>,
    ) -> Diagnostic {
        let span = super::source::Span::new(self.document.source(), range);
        Diagnostic::error(code, span, message)
    }

    fn fault(&mut self, code: &'static str, range: Range<usize>, message: impl Into<String>) {
        let fault = self.error(code, range, message);
        self.note(fault);
    }

    fn note(&mut self, fault: Diagnostic) {
        let path = self.path_text();
        self.faults.note(fault, path);
    }

    /// The keys on the way here, without indexes.
    fn keys(&self) -> Vec<&'d str> {
        let key = |step: &Step<'d>| match step {
            Step::Item(_) => None,
            Step::Key(key) => Some(*key),
        };
        self.path.iter().filter_map(key).collect()
    }

    fn path_text(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Item(index) => text.push_str(&format!("[{index}]")),
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => {
                    text.push('.');
                    text.push_str(key);
                }
            }
        }
        text
    }
}

impl Here<'_, '_> {
    /// The place to point at for what a whole value lacks: its key, or where it begins.
    fn head(&self) -> Range<usize> {
        match self.key {
            Some(key) => key.span().range(),
            None => self.site.range(),
        }
    }
}

fn takes_any(shape: &Shape) -> bool {
    shape.choices().iter().any(|choice| matches!(choice, Shape::Any))
}

fn lists(shape: &Shape) -> impl Iterator<Item = (&Shape, usize, usize, bool)> {
    shape.choices().iter().filter_map(|choice| match choice {
        Shape::List { item, least, most, holes } => Some((&**item, *least, *most, *holes)),
        _ => None,
    })
}

/// Names in backticks with commas between.
fn listed(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
    names.join(", ")
}
