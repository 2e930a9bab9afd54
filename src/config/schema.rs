//! The JSON Schema of the file, from the same types that read it.

use std::sync::OnceLock;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::Config;

/// The JSON Schema (draft 2020-12) of the file, for editors. What an environment variable can
/// stand for takes `${NAME}` too.
pub fn text() -> String {
    let mut schema = raw().clone();
    refine(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), "The configuration of portcullis".into());
    }
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// As the types say it, with our own `x-` words.
pub(super) fn raw() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(of::<Config>)
}

/// The schema of a file of another shape, with our own `x-` words.
pub(super) fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// Whether a schema says `null`, which `Option` puts there and the file may not hold.
pub(super) fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

/// The type that a schema names beside `null`.
pub(super) fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    }
}

fn refine(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    members.retain(|name, value| match name.as_str() {
        "default" => !value.is_null(),
        name => !name.starts_with("x-"),
    });
    without_null(members);
    if let Some(Value::Array(mut words)) = members.remove("oneOf") {
        // Of an enumeration's words each is a schema; one more stands for a variable.
        words.push(variable());
        members.insert("anyOf".into(), words.into());
        return;
    }
    for (name, value) in members.iter_mut() {
        match (name.as_str(), value) {
            ("$defs" | "properties", Value::Object(named)) => named.values_mut().for_each(refine),
            ("anyOf", Value::Array(choices)) => choices.iter_mut().for_each(refine),
            ("additionalProperties" | "items", value) => refine(value),
            _ => {}
        }
    }
    if takes_a_variable(members) {
        let annotation = |name: &str| matches!(name, "default" | "description");
        let (kept, rules): (Map<_, _>, Map<_, _>) =
            std::mem::take(members).into_iter().partition(|(name, _)| annotation(name));
        *members = kept;
        members.insert("anyOf".into(), json!([rules, variable()]));
    }
}

fn variable() -> Value {
    json!({ "type": "string", "pattern": "\\$\\{" })
}

fn without_null(members: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = members.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            members.insert("type".into(), kind);
        }
    }
    let Some(Value::Array(choices)) = members.get_mut("anyOf") else { return };
    choices.retain(|choice| !is_null(choice));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        members.remove("anyOf");
        for (name, value) in only {
            members.entry(name).or_insert(value);
        }
    }
}

/// Whether `${NAME}` would break one of the schema's own rules, though the file may hold it.
fn takes_a_variable(members: &Map<String, Value>) -> bool {
    match members.get("type").and_then(Value::as_str) {
        Some("boolean" | "integer") => true,
        Some("string") => members.contains_key("pattern"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(schema: &Value, judge: &mut impl FnMut(&Map<String, Value>)) {
        match schema {
            Value::Array(items) => items.iter().for_each(|item| each(item, judge)),
            Value::Object(members) => {
                judge(members);
                members.values().for_each(|member| each(member, judge));
            }
            _ => {}
        }
    }

    #[test]
    fn no_key_may_be_null_and_no_word_is_ours_alone() {
        let schema: Value = serde_json::from_str(&text()).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(schema.get("$id").is_none());
        let shown = text();
        assert!(!shown.contains("\"null\"") && !shown.contains("\"x-"), "{shown}");
    }

    #[test]
    fn every_key_is_described_and_every_mapping_is_closed() {
        let schema: Value = serde_json::from_str(&text()).unwrap();
        each(&schema, &mut |members| {
            let Some(Value::Object(keys)) = members.get("properties") else { return };
            assert_eq!(members.get("additionalProperties"), Some(&Value::Bool(false)), "{keys:?}");
            for (key, schema) in keys {
                assert!(schema.get("description").is_some(), "{key} has no description");
            }
        });
    }

    #[test]
    fn defaults_stand_as_they_are_written() {
        let shown = text();
        for default in ["\"default\": \"32KiB\"", "\"default\": \"30s\"", "\"default\": 100,"] {
            assert!(shown.contains(default), "{default}");
        }
    }
}
