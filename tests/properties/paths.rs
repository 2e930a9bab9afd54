//! Whichever way an upstream reads a path, it is governed by the route that admitted it.
//!
//! The readers here are made of the habits of real servers, each a change to the path as a whole, in any order; the table
//! that is judged works on segments.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    cases,
    gate::{Ask, Gate, NOW, admitted},
};

/// The routes of a file, each with a template.
const TABLES: [&[(&str, &str)]; 4] = [
    &[("rest", "/**"), ("admin", "/admin/**"), ("user", "/users/{id}")],
    &[
        ("public", "/public/**"),
        ("admin", "/admin/**"),
        ("front", "/"),
        ("deep", "/public/{one}/{two}/{three}"),
    ],
    &[
        ("any", "/{x}"),
        ("two", "/{x}/{y}"),
        ("admin", "/admin"),
        ("b", "/{x}/b"),
        ("ab", "/admin/b"),
    ],
    &[("tail", "/a/{rest*}"), ("a", "/a"), ("ab", "/a/b"), ("rest", "/**"), ("abc", "/a/{x}/c")],
];

fn yaml(table: &[(&str, &str)]) -> String {
    let mut text = "upstreams: { app: { builtin: echo } }\nroutes:\n".to_owned();
    for (name, template) in table {
        text += &format!(
            "  - {{ name: {name}, match: {{ path: '{template}' }}, upstream: app, auth: none }}\n"
        );
    }
    text
}

// ── habits of servers ───────────────────────────────────────────────────────────────────────

/// One thing that a server may do to a path before it looks for a handler.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// nginx, Werkzeug, Starlette and most others.
    Decode,
    /// Windows servers and some of their guests.
    BackslashIsSlash,
    /// Servlet containers.
    DropParameters,
    /// nginx with `merge_slashes`.
    MergeSlashes,
    /// RFC 3986, section 5.2.4.
    ResolveDots,
    /// File systems and some routers.
    IgnoreCase,
    /// Most frameworks, by a redirect or without.
    DropLastSlash,
}

impl Habit {
    const ALL: [Self; 7] = [
        Self::Decode,
        Self::BackslashIsSlash,
        Self::DropParameters,
        Self::MergeSlashes,
        Self::ResolveDots,
        Self::IgnoreCase,
        Self::DropLastSlash,
    ];

    fn apply(self, path: &[u8]) -> Vec<u8> {
        match self {
            Self::Decode => decoded(path),
            Self::BackslashIsSlash => {
                path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
            }
            Self::DropParameters => {
                let mut dropping = false;
                let keep = |byte: &&u8| {
                    dropping = (dropping || **byte == b';') && **byte != b'/';
                    !dropping
                };
                path.iter().filter(keep).copied().collect()
            }
            Self::MergeSlashes => {
                let mut merged = path.to_vec();
                merged.dedup_by(|a, b| *a == b'/' && *b == b'/');
                merged
            }
            Self::ResolveDots => resolved(path),
            Self::IgnoreCase => path.to_ascii_lowercase(),
            Self::DropLastSlash => match path.split_last() {
                Some((b'/', rest)) if !rest.is_empty() => rest.to_vec(),
                _ => path.to_vec(),
            },
        }
    }
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(&byte) = path.get(at) {
        match (byte, digit(path.get(at + 1)), digit(path.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut dotted = false;
    for segment in path.split(|byte| *byte == b'/').skip(1) {
        dotted = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut out: Vec<u8> = kept.iter().flat_map(|part| [b"/".as_slice(), part].concat()).collect();
    if dotted || out.is_empty() {
        out.push(b'/');
    }
    out
}

// ── an app's own router ─────────────────────────────────────────────────────────────────────

/// The route that a plain router finds: of the templates that fit, the one that is narrowest at the first difference.
fn found<'t>(table: &[(&'t str, &str)], path: &[u8]) -> Option<&'t str> {
    let mut segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').skip(1).collect();
    if segments.last().is_some_and(|last| last.is_empty()) {
        segments.pop();
    }
    let fitting = table.iter().filter_map(|(name, template)| {
        let parts: Vec<&str> =
            template.split('/').skip(1).filter(|part| !part.is_empty()).collect();
        Some((ranks(&parts, &segments)?, *name))
    });
    fitting.min().map(|(_, name)| name)
}

fn ranks(parts: &[&str], segments: &[&[u8]]) -> Option<Vec<u8>> {
    let Some((part, parts)) = parts.split_first() else {
        return segments.is_empty().then(Vec::new);
    };
    if *part == "**" {
        return Some(vec![2]);
    }
    if part.ends_with("*}") {
        return segments.iter().any(|segment| !segment.is_empty()).then(|| vec![2]);
    }
    let (segment, segments) = segments.split_first()?;
    let rank = match part.starts_with('{') {
        true if !segment.is_empty() => 1,
        false if part.as_bytes() == *segment => 0,
        _ => return None,
    };
    let rest = ranks(parts, segments)?;
    Some([vec![rank], rest].concat())
}

// ── what it is asked ────────────────────────────────────────────────────────────────────────

fn path() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "admin",
        "admin",
        "Admin",
        "%61dmin",
        "adm%49n",
        "public",
        "public",
        "users",
        "a",
        "b",
        "c",
        "B",
        "x",
        "/",
        "/",
        "/",
        "/",
        "//",
        "%2f",
        "%2F",
        "%252f",
        "\\",
        "%5c",
        "%255c",
        ".",
        "..",
        "%2e",
        "%252e%252e",
        ";",
        ";",
        ";a=b",
        "%3b",
        "%253b",
        "%20",
        "%25",
        "-",
        "~",
        "%00",
        "#",
        "%",
        "%4",
        "é",
    ]);
    vec(pieces, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn plain_path() -> impl Strategy<Value = String> {
    let segment = select(vec!["admin", "public", "users", "a", "b", "c", "x", "y-z", "7"]);
    vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn every_reading_of_an_admitted_path_is_of_the_route_that_admitted_it(
        table in select(&TABLES[..]),
        paths in vec(path(), 24),
        servers in vec(vec(select(&Habit::ALL[..]), 1..8), 48),
    ) {
        let gate = Gate::of(&yaml(table));
        for path in paths {
            let decision = gate.live(&Ask::get(path.clone()), NOW);
            let Some(route) = admitted(&decision) else { continue };
            for habits in &servers {
                let mut read = path.clone().into_bytes();
                let mut decodings = 0;
                for habit in habits {
                    // Nobody decodes three times.
                    decodings += u8::from(matches!(habit, Habit::Decode));
                    if decodings <= 2 || !matches!(habit, Habit::Decode) {
                        read = habit.apply(&read);
                    }
                }
                if decodings == 0 {
                    read = decoded(&read);
                }
                prop_assert_eq!(
                    found(table, &read),
                    Some(route),
                    "{} is {} to a server that does {:?}",
                    &path,
                    String::from_utf8_lossy(&read),
                    habits
                );
            }
        }
    }

    #[test]
    fn a_plain_path_goes_where_the_file_says(
        table in select(&TABLES[..]),
        paths in vec(plain_path(), 8),
    ) {
        let gate = Gate::of(&yaml(table));
        for path in paths {
            let decision = gate.live(&Ask::get(path.clone()), NOW);
            prop_assert_eq!(admitted(&decision), found(table, path.as_bytes()), "{}", path);
        }
    }
}
