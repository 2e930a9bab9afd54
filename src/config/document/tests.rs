use std::time::Instant;

use super::*;
use crate::config::codes;

fn parse(text: &str) -> (Option<Document>, Vec<Diagnostic>) {
    Document::parse(&Arc::new(Source::new("gateway.yaml", text)))
}

fn tree(text: &str) -> Document {
    let (document, faults) = parse(text);
    assert!(faults.is_empty(), "{faults:?}");
    document.unwrap()
}

fn found(text: &str) -> Vec<(&'static str, String)> {
    parse(text).1.iter().map(|fault| (fault.code, place(fault))).collect()
}

fn place(fault: &Diagnostic) -> String {
    fault
        .span
        .as_ref()
        .map_or_else(String::new, |span| format!("{}:{}", span.start().line, span.start().column))
}

#[test]
fn every_value_and_every_key_has_its_place() {
    let text = "routes:\n  - match: { path: \"/a\" }\n    allow:\n      - roles: [user, admin]\n";
    let document = tree(text);
    let role = document.at("routes[0].allow[0].roles[1]");
    assert_eq!(role.content(), Content::Scalar("admin", Style::Plain));
    assert_eq!(role.span().to_string(), "gateway.yaml:4:23");
    let path = document.at("routes[0].match.path");
    assert_eq!(path.content(), Content::Scalar("/a", Style::Quoted));
    assert_eq!(path.span().shown(), "\"/a\"");
    assert_eq!(document.at("routes[0]").key_span("allow").to_string(), "gateway.yaml:3:5");
    assert_eq!(document.at("routes[0].allow[0].roles").span().shown(), "[user, admin]");
    assert_eq!(document.at("routes[0].match").span().shown(), "{ path: \"/a\" }");
    assert_eq!(document.at("routes[0]").span().start().column, 5);
    assert_eq!(document.at("routes[0]").span().end().line, 4);
    assert_eq!(document.at("routes").line(), 2);
}

#[test]
fn a_step_to_what_is_not_there_stays_where_it_is() {
    let document = tree("server:\n  workers: 2\n");
    let near = document.at("server.workers.number[3]");
    assert_eq!(near.content(), Content::Scalar("2", Style::Plain));
    assert!(document.root().find("admin").is_none());
}

#[test]
fn scalars_are_read_in_every_style() {
    let text =
        "a: plain\nb: 'it''s'\nc: \"\\u00e9\"\nd: |\n  x\n  y\ne: >-\n  x\n  y\nf: \u{e9}\u{e9}\n";
    let document = tree(text);
    let texts: Vec<_> = document
        .root()
        .entries()
        .map(|entry| match entry.value.content() {
            Content::Scalar(text, _) => text.to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["plain", "it's", "\u{e9}", "x\ny\n", "x y", "\u{e9}\u{e9}"]);
    assert_eq!(document.at("f").span().shown(), "\u{e9}\u{e9}");
}

#[test]
fn an_alias_stands_for_its_anchor() {
    let document = tree("a: &limit { limit: 1/s }\nb: *limit\nc: [*limit, *limit]\n");
    assert_eq!(document.at("c[1].limit").span().to_string(), "gateway.yaml:1:20");
    let document = tree("a: &x value\nb: *x\nc: [&y\n  \"q\", &z ]\n");
    assert_eq!(document.at("b").span().shown(), "value");
    assert_eq!(document.at("c[0]").span().shown(), "\"q\"");
    assert_eq!(document.at("c[1]").span().shown(), "");
}

#[test]
fn a_key_that_stands_twice_is_a_fault_that_shows_both() {
    let (document, faults) = parse("log: {}\nserver:\n  a: 1\n  'a': 2\nlog: {}\n");
    assert!(document.is_some(), "the rest is still read");
    let places: Vec<_> = faults.iter().map(place).collect();
    assert_eq!(places, ["4:3", "5:1"]);
    assert_eq!(faults[1].labels[0].0.to_string(), "gateway.yaml:1:1");
}

#[test]
fn a_key_that_stands_twice_is_found_in_a_large_mapping_too() {
    let mut text: String = (0..2000).map(|n| format!("k{n}: {n}\n")).collect();
    text.push_str("k7: again\nk1999: again\n");
    let places: Vec<_> = found(&text).into_iter().map(|(_, place)| place).collect();
    assert_eq!(places, ["2001:1", "2002:1"]);
}

#[test]
fn what_has_no_meaning_here_is_refused() {
    for (text, code, place) in [
        ("a: 1\n<<: { b: 1 }\n", codes::MERGE_KEY, "2:1"),
        ("a: !!str 1\n", codes::YAML_TAG, "1:4"),
        ("a: !secret { b: 1 }\n", codes::YAML_TAG, "1:4"),
        ("a: 1\n---\nb: 1\n", codes::SEVERAL_DOCUMENTS, "2:1"),
        ("[a]: 1\n", codes::INVALID_KEY, "1:1"),
        ("? { a: b }\n: 1\n", codes::INVALID_KEY, "1:3"),
        (": 1\n", codes::INVALID_KEY, "1:1"),
        ("a: &x 1\n*x : 2\n", codes::INVALID_KEY, "2:1"),
        ("server:\n\tlisten: 1\n", codes::YAML_TAB, "2:1"),
        ("a: [1, 2\nb: 3\n", codes::YAML_SYNTAX, "2:2"),
        ("a: *nowhere\n", codes::YAML_SYNTAX, "1:4"),
        ("a: &x [*x]\n", codes::YAML_SYNTAX, "1:8"),
        ("", codes::EMPTY_FILE, ""),
        ("# nothing\n", codes::EMPTY_FILE, ""),
    ] {
        assert_eq!(found(text), [(code, place.to_owned())], "{text}");
    }
}

#[test]
fn a_document_may_begin_with_a_line_of_dashes() {
    assert!(tree("---\na: 1\n").root().find("a").is_some());
    assert!(tree("\u{feff}a: 1\n").root().find("a").is_some());
}

#[test]
fn places_hold_whatever_ends_the_lines() {
    let text = "\u{feff}a: \u{e9}\u{1f511}\r\nb:   \u{e9}\t # \u{e9}\u{e9}\r\n\r\nc: \"\u{e9}\\n\"   \rd: \u{85}x\n".to_owned()
        + &(0..200).map(|n| format!("k{n}: [\u{e9}, {{\u{e9}: v}}] # \u{e9}\r\n")).collect::<String>();
    let document = tree(&text);
    for entry in document.root().entries() {
        assert_eq!(entry.span().shown(), entry.name);
    }
    for n in 0..200 {
        assert_eq!(document.at(&format!("k{n}[1]")).span().shown(), "{\u{e9}: v}");
        assert_eq!(document.at(&format!("k{n}")).line(), 5 + n);
    }
}

#[test]
fn nesting_ends_at_64_levels() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(found(&deep(64)).is_empty());
    assert_eq!(found(&deep(65))[0].0, codes::TOO_DEEP);
    let through_an_alias = format!("a: &x {}\nb: [[*x]]\n", deep(62));
    assert_eq!(found(&through_an_alias)[0].0, codes::TOO_DEEP);
}

#[test]
fn hostile_text_is_refused_at_once() {
    let started = Instant::now();
    let million = 1 << 20;
    for text in [
        "[".repeat(4 * million),
        "{a: ".repeat(2 * million),
        "{\"a\":".repeat(million),
        "- ".repeat(4 * million),
        "? ".repeat(4 * million),
        "[{".repeat(3 * million),
        (0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
    ] {
        assert_eq!(found(&text)[0].0, codes::TOO_DEEP, "{:?}", parse(&text).1);
    }
    assert_eq!(found(&"a: 1 \n".repeat(2 * million))[0].0, codes::FILE_TOO_LARGE);
    let seconds = started.elapsed().as_secs();
    assert!(seconds < 20, "took {seconds} s in a debug build");
}

#[test]
fn a_document_has_only_so_many_values() {
    let source = Arc::new(Source::new("gateway.yaml", format!("[{}]", "a,".repeat(1000))));
    let (document, faults) = builder::build(&source, 1000);
    assert!(document.is_none());
    assert_eq!(faults[0].code, codes::FILE_TOO_LARGE);
    assert!(builder::build(&source, 1001).0.is_some());
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let aliases = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert_eq!(found(&bomb)[0].0, codes::TOO_MANY_ALIASES);
}
