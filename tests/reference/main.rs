//! Pages under `docs/` that are made, not written: the reference, from the types, lists and definitions that the program
//! itself uses; and what is tested where, from the tests. `UPDATE_DOCS=1 cargo test --test reference` makes them anew.

mod coverage;
mod denials;
mod evidence;
mod keys;
mod pages;
mod threats;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails if a page is not what it would be today, or writes it.
fn hold(page: &str, text: &str) {
    let path: PathBuf = root().join("docs").join(page);
    if env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(path, text).unwrap();
    }
    let stands = fs::read_to_string(path).unwrap_or_default();
    if let Some((line, (is, be))) = stands
        .lines()
        .chain([""])
        .zip(text.lines().chain([""]))
        .enumerate()
        .find(|(_, (a, b))| a != b)
    {
        panic!(
            "docs/{page} is stale from line {} on:\n  is        {is}\n  should be {be}\n\
             UPDATE_DOCS=1 cargo test --test reference",
            line + 1
        );
    }
    assert_eq!(stands.len(), text.len(), "docs/{page} is stale at its end");
}

#[test]
fn the_reference_is_that_of_this_version() {
    hold("reference.md", &pages::reference());
}

#[test]
fn the_coverage_is_that_of_these_tests() {
    hold("coverage.md", &coverage::page());
}

/// A text as it stands in a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A table, with its columns no wider than they are.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    let mut text = line(&head) + &line(&vec!["---".to_owned(); head.len()]);
    for row in rows {
        assert_eq!(row.len(), head.len(), "{row:?}");
        text += &line(&row.iter().map(|text| cell(text)).collect::<Vec<_>>());
    }
    text
}
