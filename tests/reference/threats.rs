//! `docs/threats.md`: how others were broken, and the tests that hold the defence.

use std::fs;

use super::root;

/// A row of the table.
#[derive(Debug)]
pub struct Threat {
    pub id: String,
    pub what: String,
    /// Names of test functions.
    pub tests: Vec<String>,
    /// Names of rows of policy tests.
    pub cases: Vec<String>,
}

/// The rows of `docs/threats.md`.
pub fn all() -> Vec<Threat> {
    let page = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let held = page.split("\n## ").next().unwrap();
    let rows = held.lines().filter(|line| line.starts_with("| attack-"));
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").map(str::trim).collect();
        let [id, what, _, held] = cells[..] else { panic!("{line}") };
        let mut threat =
            Threat { id: id.to_owned(), what: what.to_owned(), tests: vec![], cases: vec![] };
        for one in held.split("; ") {
            if let Some(case) = one.strip_prefix('“').and_then(|one| one.strip_suffix('”')) {
                threat.cases.push(case.to_owned());
            } else {
                threat.tests.push(one.trim_matches('`').to_owned());
            }
        }
        threat
    })
    .collect()
}

/// The numbers of all rows, those of what this version does not have among them.
fn numbers() -> Vec<usize> {
    let page = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let ids = page.lines().filter_map(|line| line.strip_prefix("| attack-"));
    let mut numbers: Vec<usize> =
        ids.map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn every_attack_that_is_known_has_a_row() {
    let numbers = numbers();
    assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>());
    assert!(numbers.len() >= 70);
}
