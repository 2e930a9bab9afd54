//! The keys of the file, as its JSON Schema has them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The schema of the file.
pub struct Schema(Value);

/// A mapping of the file: its keys, and every place where it stands.
#[derive(Debug)]
pub struct Section {
    pub places: Vec<String>,
    pub about: String,
    pub keys: Vec<Key>,
}

/// A key of a mapping.
#[derive(Debug)]
pub struct Key {
    pub name: String,
    pub kind: String,
    pub default: String,
    pub about: String,
}

impl Schema {
    pub fn of_this_version() -> Self {
        Self(serde_json::from_str(&portcullis::config::schema::text()).unwrap())
    }

    pub fn root(&self) -> &Value {
        &self.0
    }

    fn definition(&self, name: &str) -> &Value {
        &self.0["$defs"][name]
    }

    /// What a schema refers to, or itself.
    pub fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        reference(schema).map_or(schema, |name| self.definition(name))
    }

    /// The forms that a value may have, without the one for a variable.
    pub fn forms<'s>(&'s self, schema: &'s Value) -> Vec<&'s Value> {
        let resolved = self.resolve(schema);
        match resolved["anyOf"].as_array() {
            None => vec![resolved],
            Some(forms) => forms
                .iter()
                .filter(|form| form["pattern"] != "\\$\\{")
                .flat_map(|form| self.forms(form))
                .collect(),
        }
    }

    /// The paths of keys that a document has, a list's items as `[]` and a map's as `.*`.
    pub fn used(&self, document: &serde_yaml::Value) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        self.walk_document(&self.0, document, "", &mut used);
        used
    }

    fn walk_document(
        &self,
        schema: &Value,
        document: &serde_yaml::Value,
        path: &str,
        used: &mut BTreeSet<String>,
    ) {
        for form in self.forms(schema) {
            match document {
                serde_yaml::Value::Mapping(entries) => {
                    for (key, value) in entries {
                        let key = key.as_str().unwrap_or_default();
                        if let Some(inner) = form["properties"].get(key) {
                            let path = beneath(path, key);
                            self.walk_document(inner, value, &path, used);
                            used.insert(path);
                        } else if form["additionalProperties"].is_object() {
                            let inner = &form["additionalProperties"];
                            self.walk_document(inner, value, &format!("{path}.*"), used);
                        }
                    }
                }
                serde_yaml::Value::Sequence(items) if form["items"].is_object() => {
                    for item in items {
                        self.walk_document(&form["items"], item, &format!("{path}[]"), used);
                    }
                }
                // One stands for a list of one.
                _ => {}
            }
        }
    }

    /// Every mapping once, in the order in which a reader comes to them.
    pub fn sections(&self) -> Vec<Section> {
        let mut places: Vec<(String, Option<String>, &Value)> = Vec::new();
        self.find_sections(&self.0, None, "", &mut places);
        let mut sections: Vec<(Option<String>, Section)> = Vec::new();
        for (path, name, schema) in places {
            let known = sections.iter_mut().find(|(known, _)| name.is_some() && *known == name);
            match known {
                Some((_, section)) => section.places.push(path),
                None => {
                    let required: Vec<&str> = schema["required"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .collect();
                    let keys = properties(schema)
                        .map(|(name, inner)| {
                            self.key(name, inner, required.contains(&name.as_str()))
                        })
                        .collect();
                    let about = schema["description"].as_str().unwrap_or_default().to_owned();
                    sections.push((name, Section { places: vec![path], about, keys }));
                }
            }
        }
        sections.into_iter().map(|(_, section)| section).collect()
    }

    fn find_sections<'s>(
        &'s self,
        schema: &'s Value,
        name: Option<&str>,
        path: &str,
        found: &mut Vec<(String, Option<String>, &'s Value)>,
    ) {
        if let Some(name) = reference(schema) {
            return self.find_sections(self.definition(name), Some(name), path, found);
        }
        if schema["properties"].is_object() {
            found.push((path.to_owned(), name.map(str::to_owned), schema));
        }
        for (key, inner) in properties(schema) {
            self.find_sections(inner, None, &beneath(path, key), found);
        }
        for form in schema["anyOf"].as_array().into_iter().flatten() {
            self.find_sections(form, None, path, found);
        }
        if schema["additionalProperties"].is_object() {
            let inner = &schema["additionalProperties"];
            self.find_sections(inner, None, &format!("{path}.*"), found);
        }
        if schema["items"].is_object() {
            self.find_sections(&schema["items"], None, &format!("{path}[]"), found);
        }
    }

    fn key(&self, name: &str, schema: &Value, required: bool) -> Key {
        let default = match &schema["default"] {
            _ if required => "required".to_owned(),
            Value::Null | Value::Object(_) => String::new(),
            Value::Array(items) if items.is_empty() => String::new(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let mut about = schema["description"].as_str().unwrap_or_default().to_owned();
        let items = &schema["items"];
        for form in self.forms(if items.is_object() { items } else { schema }) {
            if let (Some(word), Some(meaning)) =
                (form["const"].as_str(), form["description"].as_str())
            {
                about += &format!(" `{word}`: {}", lower_first(meaning));
            }
        }
        Key { name: name.to_owned(), kind: self.kind(schema), default, about }
    }

    /// What a value is, in a few words.
    fn kind(&self, schema: &Value) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for form in self.forms(schema) {
            let kind = self.kind_of_form(form);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join(" or ")
    }

    fn kind_of_form(&self, form: &Value) -> String {
        if let Some(word) = form.get("const") {
            return format!("`{}`", word.as_str().map_or_else(|| word.to_string(), str::to_owned));
        }
        if let Some(words) = form["enum"].as_array() {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            return words.join(" or ");
        }
        if let Some(format) = form["format"].as_str().filter(|_| form["type"] == "string") {
            return format!("[{}](#{format})", format.replace('-', " "));
        }
        match form["type"].as_str() {
            Some("array") => format!("list of {}", self.kind(&form["items"])),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("integer") => match (&form["minimum"], &form["maximum"]) {
                (Value::Null, _) | (_, Value::Null) => "number".to_owned(),
                (least, most) => format!("number from {least} to {most}"),
            },
            Some("object") if form["properties"].is_object() => "mapping".to_owned(),
            Some("object") => {
                let name = form["propertyNames"]["format"].as_str().unwrap_or("name");
                let inner = self.kind(&form["additionalProperties"]);
                format!("mapping from [{}](#{name}) to {inner}", name.replace('-', " "))
            }
            Some(other) => if other == "string" { "text" } else { other }.to_owned(),
            None => panic!("no kind for {form}"),
        }
    }

    /// The notations of texts that keys and maps have.
    pub fn notations(&self) -> BTreeSet<String> {
        fn gather(schema: &Value, into: &mut BTreeSet<String>) {
            match schema {
                Value::Array(items) => items.iter().for_each(|item| gather(item, into)),
                Value::Object(members) => {
                    if let (Some(format), Some("string")) = (
                        members.get("format").and_then(Value::as_str),
                        members.get("type").and_then(Value::as_str),
                    ) {
                        into.insert(format.to_owned());
                    }
                    members.values().for_each(|member| gather(member, into));
                }
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        gather(&self.0, &mut found);
        found
    }
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flat_map(Map::iter)
}

/// The path of a key of the mapping at `path`.
pub fn beneath(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().into_iter().flat_map(char::to_lowercase);
    first.chain(chars).collect()
}
