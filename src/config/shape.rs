//! What may stand where: the JSON Schema of the file, made ready for reading a document against
//! it.

use std::{collections::HashMap, sync::OnceLock};

use serde_json::Value;

use super::{
    schema,
    values::{RULES, Rule, Sha256Hex, StoreUrl, Written as _},
};

/// What may stand in a place.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything, handed on as it is.
    Any,
    /// `true` or `false`.
    Boolean,
    /// `false` alone: switches off.
    False,
    /// A whole number within bounds; one of `words` if there are any.
    Integer { least: i64, most: i64, words: Vec<i64> },
    /// Items of one shape. Those of which nothing is left become holes if `holes`.
    List { item: Box<Self>, least: usize, most: usize, holes: bool },
    /// Keys that the file chooses. Entries of which nothing is left become holes.
    Map { names: Option<&'static Rule>, value: Box<Self> },
    /// Known keys.
    Object(Object),
    /// One of these.
    OneOf(Vec<Self>),
    /// Text, in a notation.
    Text(Option<&'static Rule>),
    /// One of these words.
    Word(Vec<String>),
}

/// A mapping of known keys.
#[derive(Debug)]
pub(super) struct Object {
    pub keys: HashMap<String, Property>,
    /// Keys in the order of the schema, for messages.
    pub names: Vec<String>,
    /// The fewest keys that there must be.
    pub least: usize,
}

/// A known key.
#[derive(Debug)]
pub(super) struct Property {
    pub shape: Shape,
    pub required: bool,
    /// Whether its secret may be empty.
    pub may_be_empty: bool,
}

/// The shape of the whole file.
pub(super) fn root() -> &'static Shape {
    static ROOT: OnceLock<Shape> = OnceLock::new();
    ROOT.get_or_init(|| of(schema::raw()))
}

/// The shape that a schema describes.
pub(super) fn of(schema: &Value) -> Shape {
    compile(schema, schema.get("$defs").unwrap_or(&Value::Null))
}

fn compile(schema: &Value, definitions: &Value) -> Shape {
    if schema.as_bool() == Some(true) {
        return Shape::Any;
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = name.rsplit('/').next().unwrap_or_default();
        return definitions
            .get(name)
            .map_or(Shape::Text(None), |found| compile(found, definitions));
    }
    if let Some(Value::Array(choices)) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        return one_of(choices, definitions);
    }
    if let Some(constant) = schema.get("const") {
        return match constant.as_str() {
            Some(word) => Shape::Word(vec![word.to_owned()]),
            None => Shape::False,
        };
    }
    match schema::kind(schema) {
        Some("array") => Shape::List {
            item: Box::new(compile(schema.get("items").unwrap_or(&Value::Null), definitions)),
            least: number(schema, "minItems").unwrap_or(0),
            most: number(schema, "maxItems").unwrap_or(usize::MAX),
            holes: flag(schema, "x-holes"),
        },
        Some("boolean") => Shape::Boolean,
        Some("integer") => Shape::Integer {
            least: number(schema, "minimum").unwrap_or(0),
            most: number(schema, "maximum").unwrap_or(i64::MAX),
            words: words(schema, Value::as_i64),
        },
        Some("object") => mapping(schema, definitions),
        _ => match words(schema, |word| word.as_str().map(str::to_owned)) {
            words if words.is_empty() => Shape::Text(rule(schema)),
            words => Shape::Word(words),
        },
    }
}

fn one_of(choices: &[Value], definitions: &Value) -> Shape {
    let mut shapes = Vec::new();
    let mut known = Vec::new();
    for choice in choices.iter().filter(|choice| !schema::is_null(choice)) {
        match compile(choice, definitions) {
            Shape::OneOf(inner) => shapes.extend(inner),
            Shape::Word(words) => known.extend(words),
            shape => shapes.push(shape),
        }
    }
    if !known.is_empty() {
        shapes.insert(0, Shape::Word(known));
    }
    match shapes.pop() {
        Some(only) if shapes.is_empty() => only,
        last => {
            shapes.extend(last);
            Shape::OneOf(shapes)
        }
    }
}

fn mapping(schema: &Value, definitions: &Value) -> Shape {
    let Some(Value::Object(properties)) = schema.get("properties") else {
        let value = schema.get("additionalProperties").unwrap_or(&Value::Null);
        return Shape::Map {
            names: schema.get("propertyNames").and_then(rule),
            value: Box::new(compile(value, definitions)),
        };
    };
    let is_required = |key: &str| {
        let required = schema.get("required").and_then(Value::as_array);
        required.is_some_and(|keys| keys.iter().any(|required| required == key))
    };
    let property = |(key, schema): (&String, &Value)| {
        let shape = compile(schema, definitions);
        let may_be_empty = flag(schema, "x-may-be-empty");
        (key.clone(), Property { shape, required: is_required(key), may_be_empty })
    };
    Shape::Object(Object {
        keys: properties.iter().map(property).collect(),
        names: properties.keys().cloned().collect(),
        least: number(schema, "minProperties").unwrap_or(0),
    })
}

fn rule(schema: &Value) -> Option<&'static Rule> {
    let format = schema.get("format")?.as_str()?;
    RULES.iter().find(|rule| rule.format == format)
}

fn number<N: TryFrom<i64>>(schema: &Value, key: &str) -> Option<N> {
    schema.get(key)?.as_i64().and_then(|number| N::try_from(number).ok())
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.get(key).is_some_and(|flag| flag == true)
}

fn words<T>(schema: &Value, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let words = schema.get("enum").and_then(Value::as_array);
    words.into_iter().flatten().filter_map(read).collect()
}

impl Object {
    /// Whether one of its keys is for a secret. The URL of a store does not count: it is told by its
    /// looks wherever it stands, and it stands beside all other sections.
    pub fn keeps_secrets(&self) -> bool {
        let counts = |shape: &Shape| shape.keeps_secret() && !shape.is_store();
        self.keys.values().any(|property| counts(&property.shape))
    }
}

impl Shape {
    /// The shapes to choose from; itself if there is no choice.
    pub fn choices(&self) -> &[Self] {
        match self {
            Self::OneOf(shapes) => shapes,
            shape => std::slice::from_ref(shape),
        }
    }

    /// Whether a secret may stand here.
    pub fn is_secret(&self) -> bool {
        let secret = |shape: &Self| matches!(shape, Self::Text(Some(rule)) if rule.secret);
        self.choices().iter().any(secret)
    }

    /// Whether a secret may stand here, or the digest of one, which a secret is easily taken for.
    pub fn keeps_secret(&self) -> bool {
        let digest = |shape: &Self| matches!(shape, Self::Text(Some(rule)) if rule.format == Sha256Hex::FORMAT);
        self.is_secret() || self.choices().iter().any(digest)
    }

    fn is_store(&self) -> bool {
        matches!(self, Self::Text(Some(rule)) if rule.format == StoreUrl::FORMAT)
    }

    /// Whether what is meant to stand here is a mapping that keeps secrets, so that what stands here
    /// instead may be one.
    pub fn keeps_secrets_within(&self) -> bool {
        self.choices().iter().any(|shape| match shape {
            Self::Object(object) => object.keeps_secrets(),
            Self::List { item, .. } => item.keeps_secrets_within(),
            _ => false,
        })
    }

    /// Whether `${NAME}` is replaced here.
    pub fn expands(&self) -> bool {
        let fixed = |shape: &Self| matches!(shape, Self::Text(Some(rule)) if !rule.expands);
        !self.choices().iter().any(fixed)
    }

    /// What is expected, as the end of "expected …".
    pub fn expected(&self) -> String {
        match self {
            Self::Any => "a value".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::False => "`false`".to_owned(),
            Self::Integer { words, .. } if !words.is_empty() => {
                one_of_words(words.iter().map(i64::to_string))
            }
            Self::Integer { .. } => "a whole number".to_owned(),
            Self::List { .. } => "a list".to_owned(),
            Self::Map { .. } | Self::Object { .. } => "a mapping".to_owned(),
            Self::OneOf(shapes) if self.is_secret() => {
                shapes.first().map(Self::expected).unwrap_or_default()
            }
            Self::OneOf(shapes) => {
                let mut all: Vec<_> = shapes.iter().map(Self::expected).collect();
                all.dedup();
                all.join(", or ")
            }
            Self::Text(rule) => rule.map_or("text", |rule| rule.expects).to_owned(),
            Self::Word(words) => one_of_words(words.iter().cloned()),
        }
    }
}

fn one_of_words(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(shape: &Shape, judge: &mut impl FnMut(&Shape)) {
        judge(shape);
        match shape {
            Shape::List { item, .. } => each(item, judge),
            Shape::Map { value, .. } => each(value, judge),
            Shape::Object(object) => {
                object.keys.values().for_each(|property| each(&property.shape, judge));
            }
            Shape::OneOf(shapes) => shapes.iter().for_each(|shape| each(shape, judge)),
            _ => {}
        }
    }

    #[test]
    fn every_notation_has_its_rule_and_every_rule_its_place() {
        let mut seen = std::collections::BTreeSet::new();
        each(root(), &mut |shape| match shape {
            Shape::Text(Some(rule)) => {
                seen.insert(rule.format);
            }
            Shape::Map { names, .. } => {
                seen.insert(names.expect("the names of a map have a notation").format);
            }
            _ => {}
        });
        let known: std::collections::BTreeSet<_> = RULES.iter().map(|rule| rule.format).collect();
        assert_eq!(seen, known);
    }

    #[test]
    fn a_choice_says_all_that_it_takes() {
        let Shape::Object(root) = root() else { panic!("the root is a mapping") };
        let Shape::Object(server) = &root.keys["server"].shape else { panic!("a mapping") };
        assert_eq!(server.keys["workers"].shape.expected(), "`auto`, or a whole number");
        let Shape::Object(log) = &root.keys["log"].shape else { panic!("a mapping") };
        assert_eq!(log.keys["format"].shape.expected(), "`json` or `text`");
    }
}
