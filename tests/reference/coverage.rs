//! What is tested where.

use portcullis::config::codes;

use super::{
    denials, evidence,
    evidence::{Case, Document, Evidence, Test, shown},
    keys::{Schema, beneath},
    table, threats,
};

/// As many as a reader needs; with more, pages would change with every new test.
const ENOUGH: usize = 1;

/// What stands in an empty cell until the test fails.
const NOTHING: &str = "NOTHING";

pub fn page() -> String {
    let evidence = Evidence::gather();
    let parts = [
        "# What is tested where

<!-- Made by `UPDATE_DOCS=1 cargo test --test reference`, which fails on an empty cell. -->

Each table names the first of the tests that exercise what it lists.
"
        .to_owned(),
        keys(&evidence),
        refusals(&evidence),
        diagnostics(&evidence),
        attacks(&evidence),
    ];
    let page = parts.join("\n");
    let empty: Vec<&str> = page.lines().filter(|line| line.contains(NOTHING)).collect();
    assert!(empty.is_empty(), "no test exercises\n{}", empty.join("\n"));
    page
}

fn joined(cells: impl IntoIterator<Item = String>) -> String {
    let mut cells: Vec<String> = cells.into_iter().collect();
    cells.dedup();
    cells.truncate(ENOUGH);
    if cells.is_empty() { NOTHING.to_owned() } else { cells.join(", ") }
}

fn of_test(test: &Test) -> String {
    format!("{}: `{}`", shown(&test.file), test.name)
}

fn of_case(case: &Case) -> String {
    format!("{}: {}", shown(&case.file), case.name)
}

fn keys(evidence: &Evidence) -> String {
    let mut rows = Vec::new();
    for section in Schema::of_this_version().sections() {
        for key in section.keys {
            let paths: Vec<String> =
                section.places.iter().map(|place| beneath(place, &key.name)).collect();
            let uses = |document: &&Document| paths.iter().any(|path| document.keys.contains(path));
            let files =
                evidence.documents.iter().filter(uses).map(|document| shown(&document.file));
            rows.push(vec![format!("`{}`", paths[0]), joined(files)]);
        }
    }
    format!("## Keys of the file\n\n{}", table(&["key", "files that use it"], rows))
}

fn refusals(evidence: &Evidence) -> String {
    let rows = denials::all().into_iter().map(|refusal| {
        let (reason, code) = (refusal.denial.reason(), refusal.denial.problem().code);
        // A code that several reasons share shows none of them.
        let by_code = reason == code;
        let expects = |case: &&Case| {
            let same =
                |name: &str, value: &str| case.expect[name].is_null() || case.expect[name] == value;
            let says =
                !case.expect["reason"].is_null() || by_code && !case.expect["code"].is_null();
            says && same("reason", reason) && same("code", code)
        };
        let literal = format!("\"{reason}\"");
        let asserts = |test: &&Test| {
            test.body.contains(&refusal.variant) || by_code && test.body.contains(&literal)
        };
        let cases = evidence.cases.iter().filter(expects).map(of_case);
        let tests = evidence.tests.iter().filter(asserts).map(of_test);
        let found = joined(cases.chain(tests));
        vec![format!("`{reason}`"), format!("`{code}`"), found]
    });
    let rows: Vec<_> = rows.collect();
    format!("## Refusals\n\n{}", table(&["reason", "code", "tests"], rows))
}

fn diagnostics(evidence: &Evidence) -> String {
    let rows = codes::ALL.iter().map(|(code, _)| {
        let of_code = |name: &&String| name.split('.').next() == Some(*code);
        let file = |name: &String| shown(&format!("tests/diagnostics/bad/{name}"));
        let files = evidence.bad.iter().filter(of_code).map(file);
        let constant = format!("codes::{}", code.replace('-', "_").to_uppercase());
        let asserts = |test: &&Test| test.body.contains(&constant);
        let tests = evidence.tests.iter().filter(asserts).map(of_test);
        let found = joined(files.chain(tests));
        vec![format!("`{code}`"), found]
    });
    let rows: Vec<_> = rows.collect();
    format!("## Diagnostics\n\n{}", table(&["code", "files and tests"], rows))
}

fn attacks(evidence: &Evidence) -> String {
    let rows = threats::all().into_iter().map(|threat| {
        let tests = threat.tests.iter().map(|name| {
            let found = evidence.tests.iter().find(|test| test.name == *name);
            of_test(found.unwrap_or_else(|| panic!("{}: no test is called `{name}`", threat.id)))
        });
        let cases = threat.cases.iter().map(|name| {
            let found = evidence.cases.iter().find(|case| case.name == *name);
            of_case(found.unwrap_or_else(|| panic!("{}: no case is called `{name}`", threat.id)))
        });
        let found: Vec<String> = tests.chain(cases).collect();
        let found = if found.is_empty() { NOTHING.to_owned() } else { found.join(", ") };
        vec![threat.id, threat.what, found]
    });
    let rows: Vec<_> = rows.collect();
    format!(
        "## Attacks\n\nOf [threats](threats.md).\n\n{}",
        table(&["row", "broken elsewhere", "tests"], rows)
    )
}

#[test]
fn tests_and_literals_are_found_in_a_source() {
    let found = evidence::Evidence::gather();
    let of = |name: &str| found.tests.iter().find(|test| test.name == name).map(|test| &*test.file);
    assert_eq!(of("pingora_stays_in_the_proxy"), Some("tests/architecture.rs"));
    assert_eq!(of("the_definition_has_no_contradiction"), Some("src/cli/mod.rs"));
    assert!(found.tests.len() > 500 && found.cases.len() > 250);
    let cors = found.documents.iter().find(|document| document.file == "tests/http/cors.rs");
    assert!(cors.unwrap().keys.contains("defaults.cors.allow_origins"));
}
