//! Holds the arrows between the rooms of `src/`, read from the sources themselves.
//!
//! The rooms and what each may use stand in `docs/ARCHITECTURE.md`; `USES` below is that list. Code under `#[cfg(test)]` is
//! not judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every room from top to bottom, with the rooms that it builds on directly. What those build on is open to it as well.
const USES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("policy", &["model"]),
    ("config", &["model"]),
    ("compile", &["config", "policy"]),
    ("observe", &["policy"]),
    ("store", &["model"]),
    ("sources", &["policy", "store", "observe"]),
    ("token", &["policy", "store", "sources"]),
    ("gateway", &["compile", "sources", "token", "observe"]),
    ("admin", &["gateway", "store", "observe"]),
    ("proxy", &["gateway", "admin", "observe"]),
    ("cli", &["proxy"]),
];

/// Clocks, files and sockets: what the judge and its words may not touch.
const OUTSIDE: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "now_utc",
    "now_local",
    "std::fs",
    "fs::",
    "File::",
    "std::process",
    "std::env",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "tokio::",
    "reqwest::",
    "ureq::",
];

#[test]
fn a_room_uses_only_the_rooms_it_builds_on() {
    let mut faults = Vec::new();
    for source in sources() {
        let Some(room) = source.room.as_deref() else {
            continue;
        };
        let allowed = reach(room);
        for used in rooms_used(&source.code) {
            if used != room && !allowed.contains(used.as_str()) {
                faults.push(format!("{}: `{room}` may not use `{used}`", source.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_library_names_the_rooms_from_top_to_bottom() {
    let library = without_comments(&fs::read_to_string(root().join("src/lib.rs")).unwrap());
    let named: Vec<&str> = library
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("pub(crate) ")
                .trim_start_matches("pub ")
                .strip_prefix("mod ")?
                .strip_suffix(';')
        })
        .collect();
    let expected: Vec<&str> =
        USES.iter().map(|(room, _)| *room).filter(|room| named.contains(room)).collect();
    assert_eq!(named, expected, "src/lib.rs lists the rooms in the order of `USES`, and no others");
}

#[test]
fn pingora_stays_in_the_proxy() {
    forbid("pingora is named in the proxy room alone", |source| {
        let elsewhere = source.room.as_deref() != Some("proxy");
        (elsewhere && has_word_beginning_with(&source.code, "pingora"))
            .then(|| "pingora".to_owned())
    });
}

#[test]
fn a_compiled_policy_is_never_deserialized() {
    forbid("policy is made by compile alone", |source| {
        let inside = source.room.as_deref() == Some("policy");
        (inside && source.code.contains("Deserialize")).then(|| "Deserialize".to_owned())
    });
}

#[test]
fn the_judge_touches_no_clock_no_file_and_no_socket() {
    forbid("time and answers are arguments", |source| {
        let inside = matches!(source.room.as_deref(), Some("model" | "policy" | "compile"));
        let touched = OUTSIDE.iter().find(|name| has_word_beginning_with(&source.code, name))?;
        inside.then(|| (*touched).to_owned())
    });
}

#[test]
fn every_module_opens_with_what_it_is() {
    forbid("a module opens with a `//!` header", |source| {
        let first = source.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        (!first.starts_with("//!")).then(|| "no header".to_owned())
    });
}

#[test]
fn the_reader_sees_rooms_in_every_spelling() {
    let code = without_comments(
        "use crate::model::Secret;\n\
         use crate::{\n    policy::{Decision, route::Table},\n    config,\n};\n\
         // use crate::cli::x;\n\
         fn f() -> crate::gateway::Snapshot { todo(crate::observe::metrics()) }\n\
         pub(crate) fn g() {}\n",
    );
    let seen: Vec<String> = rooms_used(&code).into_iter().collect();
    assert_eq!(seen, ["config", "gateway", "model", "observe", "policy"]);
}

#[test]
fn the_reader_leaves_tests_out() {
    let text = "use crate::model::A;\n#[cfg(test)]\nmod tests {\n    use crate::cli::B;\n}\nfn last() { crate::policy::c() }\n";
    let seen: Vec<String> =
        rooms_used(&without_tests(&without_comments(text))).into_iter().collect();
    assert_eq!(seen, ["model", "policy"]);
}

/// One source file, without comments and without what is compiled for tests only.
struct Source {
    path: PathBuf,
    /// The first folder under `src/`; none for `lib.rs` and `main.rs`.
    room: Option<String>,
    text: String,
    code: String,
}

fn forbid(rule: &str, fault: impl Fn(&Source) -> Option<String>) {
    let faults: Vec<String> = sources()
        .iter()
        .filter_map(|source| Some(format!("{}: {}", source.path.display(), fault(source)?)))
        .collect();
    assert!(faults.is_empty(), "{rule}\n{}", faults.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let base = root().join("src");
    let mut pending = vec![base.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if name != "tests" {
                    pending.push(path);
                }
            } else if name.ends_with(".rs") && name != "tests.rs" {
                sources.push(read(&base, &path));
            }
        }
    }
    assert!(!sources.is_empty(), "src/ holds no source");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn read(base: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let path = path.strip_prefix(base).unwrap();
    let first = path.iter().next().unwrap().to_str().unwrap();
    let room = first.strip_suffix(".rs").unwrap_or(first);
    Source {
        room: (!matches!(room, "lib" | "main")).then(|| room.to_owned()),
        code: without_tests(&without_comments(&text)),
        path: path.to_owned(),
        text,
    }
}

/// All rooms that `room` may name.
fn reach(room: &str) -> BTreeSet<&'static str> {
    let table: BTreeMap<&str, &'static [&'static str]> = USES.iter().copied().collect();
    let direct = table.get(room).unwrap_or_else(|| panic!("src/{room} is not a room of `USES`"));
    let mut open: Vec<&'static str> = direct.to_vec();
    if room == "cli" {
        open.extend(table.keys().copied());
    }
    let mut reached = BTreeSet::new();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(table.get(next).copied().unwrap_or_default());
        }
    }
    reached
}

/// The first names behind every `crate::`, those of a braced group one by one.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            used.extend(heads(group));
        } else {
            used.extend(head(rest));
        }
    }
    let rooms: BTreeSet<&str> = USES.iter().map(|(room, _)| *room).collect();
    used.retain(|name| rooms.contains(name.as_str()));
    used
}

fn head(path: &str) -> Option<String> {
    let name: String =
        path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// The first name of every item of a use group, read up to the brace that closes it.
fn heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names: Vec<String> = head(group).into_iter().collect();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.extend(head(&group[at + 1..])),
            _ => {}
        }
    }
    names
}

fn without_comments(text: &str) -> String {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| line.split(" // ").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Drops each item that stands under `#[cfg(test)]`: up to its `;`, or to the brace that closes it at its own indentation.
fn without_tests(code: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push(line);
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let mut first = true;
        for inner in lines.by_ref() {
            let body = inner.trim_start();
            let at_item = inner.len() - body.len() == indent;
            let one_line = first && (body.ends_with(';') || body.ends_with('}'));
            if at_item && (one_line || (!first && body.starts_with('}'))) {
                break;
            }
            first = first && body.starts_with("#[");
        }
    }
    kept.join("\n")
}

/// Whether `word` stands somewhere as the beginning of a name: `fs::` does not in `prefs::x`.
fn has_word_beginning_with(code: &str, word: &str) -> bool {
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}
