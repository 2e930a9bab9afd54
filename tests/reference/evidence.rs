//! What the tests say that they do: functions, rows of policy tests, and files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_yaml::Value;

use super::{keys::Schema, root};

/// A test.
#[derive(Debug)]
pub struct Test {
    /// Where, from the root of the project.
    pub file: String,
    pub name: String,
    pub body: String,
}

/// A row of a policy test.
#[derive(Debug)]
pub struct Case {
    pub file: String,
    pub name: String,
    pub expect: Value,
}

/// A configuration that a test reads, with the keys that it has.
#[derive(Debug)]
pub struct Document {
    pub file: String,
    pub keys: BTreeSet<String>,
}

/// Everything that tests.
#[derive(Debug)]
pub struct Evidence {
    pub tests: Vec<Test>,
    pub cases: Vec<Case>,
    /// The most telling first.
    pub documents: Vec<Document>,
    /// The names of the files that `check` refuses.
    pub bad: Vec<String>,
}

impl Evidence {
    pub fn gather() -> Self {
        let schema = Schema::of_this_version();
        let (mut tests, mut cases) = (Vec::new(), Vec::new());
        let (mut rows, mut sockets, mut units) = (Vec::new(), Vec::new(), Vec::new());
        let mut bad = Vec::new();
        for path in files(&["tests", "src"]) {
            let file = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            if file.starts_with("tests/reference") {
                continue;
            }
            // Whoever only reads a file, or refuses it, exercises none of its keys.
            let reads = file.starts_with("src/config/");
            let refuses = file.starts_with("tests/diagnostics/");
            let Ok(text) = fs::read_to_string(&path) else { continue };
            if file.ends_with(".rs") {
                tests.extend(tests_of(&file, &text));
                let texts = if reads { Vec::new() } else { literals(part_for_tests(&file, &text)) };
                let keys = texts.iter().flat_map(|text| keys_of(&schema, text)).collect();
                let into = if file.starts_with("tests/") { &mut sockets } else { &mut units };
                into.push(Document { file, keys });
            } else if file.ends_with("/cases.yaml") {
                cases.extend(cases_of(&file, &text));
            } else if refuses {
                bad.extend(file.strip_prefix("tests/diagnostics/bad/").map(str::to_owned));
            } else if file.ends_with(".yaml") && !reads {
                let keys = keys_of(&schema, &text);
                rows.push(Document { file, keys });
            }
        }
        let documents = [rows, sockets, units].into_iter().flatten().collect();
        Self { tests, cases, documents, bad }
    }
}

fn files(folders: &[&str]) -> Vec<PathBuf> {
    let mut pending: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut files = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// What of a source is compiled for tests alone.
fn part_for_tests<'t>(file: &str, text: &'t str) -> &'t str {
    if file.starts_with("tests/") || file.contains("/tests") {
        return text;
    }
    text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests)
}

/// The functions that `cargo test` runs, those among them that `on_both!` runs on both databases.
fn tests_of(file: &str, text: &str) -> Vec<Test> {
    let lines: Vec<&str> = text.lines().collect();
    let listed = text.split("\non_both! {").skip(1).filter_map(|rest| rest.split('}').next());
    let laws: BTreeSet<&str> = listed.flat_map(str::split_whitespace).collect();
    let mut tests = Vec::new();
    let mut marked = false;
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        if code == "#[test]" || code.starts_with("#[tokio::test") {
            marked = true;
            continue;
        }
        let after = code.strip_prefix("async ").unwrap_or(code).strip_prefix("fn ");
        let Some(after) = after else { continue };
        let name = after.split(['(', '<']).next().unwrap_or_default();
        if !std::mem::take(&mut marked) && !laws.contains(name) {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let end = format!("{indent}}}");
        let length = lines[at..].iter().position(|line| *line == end).unwrap_or(0);
        tests.push(Test {
            file: file.to_owned(),
            name: name.to_owned(),
            body: lines[at..=at + length].join("\n"),
        });
    }
    tests
}

fn cases_of(file: &str, text: &str) -> Vec<Case> {
    let document: Value = serde_yaml::from_str(text).unwrap();
    let case = |case: &Value| Case {
        file: file.to_owned(),
        name: case["name"].as_str().unwrap().to_owned(),
        expect: case["expect"].clone(),
    };
    document["cases"].as_sequence().unwrap().iter().map(case).collect()
}

/// The keys of a text, if it is a configuration or a part of one.
fn keys_of(schema: &Schema, text: &str) -> BTreeSet<String> {
    let single = text.replace("{{", "{").replace("}}", "}");
    for text in [text, &single] {
        let Ok(document) = serde_yaml::from_str::<Value>(text) else { continue };
        let Value::Mapping(entries) = &document else { continue };
        let known = |key: &Value| {
            key.as_str().is_some_and(|key| schema.root()["properties"].get(key).is_some())
        };
        if entries.keys().any(known) {
            return schema.used(&document);
        }
    }
    BTreeSet::new()
}

/// The string literals of a source that span lines or hold a colon.
fn literals(source: &str) -> Vec<String> {
    let bytes = source.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let rest = &source[at..];
        let comment = rest.starts_with("//");
        let quote = ["'\"'", "'\\\"'"].into_iter().find(|quote| rest.starts_with(quote));
        if comment {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(quote) = quote {
            at += quote.len();
        } else if let Some((open, close)) =
            [("r#\"", "\"#"), ("r\"", "\"")].into_iter().find(|(open, _)| rest.starts_with(open))
        {
            let inner = &rest[open.len()..];
            let length = inner.find(close).unwrap_or(inner.len());
            found.push(inner[..length].to_owned());
            at += open.len() + length + close.len();
        } else if let Some(inner) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = inner.bytes().position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            let length = end.unwrap_or(inner.len());
            found.push(inner[..length].replace("\\n", "\n").replace("\\\"", "\""));
            at += length + 2;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found.retain(|text| text.contains(':'));
    found
}

/// A file's name as a reader of the docs wants it.
pub fn shown(file: &str) -> String {
    let short = Path::new(file).strip_prefix("tests").map_or(file, |short| short.to_str().unwrap());
    format!("[{short}](../{file})")
}
