//! Policies and what is expected of them, in the product's own format and by the code behind
//! `portcullis test`. Each folder is a feature: its `gateway.yaml` and its `cases.yaml`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use portcullis::{
    cli::{output::Colour, test::Suite, test::cases::Cases},
    compile::{Circumstances, Outcome, compile},
    config::{self, diagnostic},
    model::Timestamp,
};

/// The beginning of 2027: when a request comes that does not say.
const NOW: Timestamp = Timestamp::from_seconds(1_798_761_600);

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn bare(_: &str) -> Option<String> {
    None
}

fn compiled(folder: &Path) -> Outcome {
    let loaded = config::load(&folder.join("gateway.yaml"), &bare).unwrap();
    let compiled = compile(&loaded, &Circumstances { now: NOW, ..Circumstances::default() });
    let told = diagnostic::to_text(&compiled.diagnostics, false);
    compiled.outcome.unwrap_or_else(|| panic!("{told}"))
}

fn cases(folder: &Path) -> Cases {
    let read = config::load_companion::<Cases>(&folder.join("cases.yaml"), &bare).unwrap();
    assert!(read.diagnostics.is_empty(), "{}", diagnostic::to_text(&read.diagnostics, false));
    read.value
}

#[test]
fn every_case_of_every_policy_passes() {
    let mut failed = String::new();
    let mut count = 0;
    for folder in folders() {
        let outcome = compiled(&folder);
        let suite = Suite::new(&outcome.policy);
        for (_, case) in cases(&folder).cases.iter() {
            count += 1;
            let report = suite.run(case, NOW);
            if !report.passed() {
                let name = case.name.as_str();
                let told = report.to_text("gateway.yaml", Colour::Never);
                failed.push_str(&format!("{}: {name}\n{told}\n", folder.display()));
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
    assert!(count >= 250, "only {count} cases were found");
}

#[test]
fn every_issuer_of_the_guide_is_a_valid_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("docs/issuers.md")).unwrap();
    let blocks = guide.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let issuers: Vec<&str> = blocks.filter(|block| block.starts_with("issuer: ")).collect();
    assert!(issuers.len() >= 7, "{}", issuers.len());
    for issuer in issuers {
        let issuer: String = issuer.lines().map(|line| format!("      {line}\n")).collect();
        let text = format!(
            "version: 1\nauthentication:\n  jwt:\n    one:\n{issuer}\
             upstreams: {{ app: {{ builtin: echo }} }}\n\
             routes: [{{ match: {{ path: /** }}, upstream: app, auth: jwt }}]\n"
        );
        let loaded = config::load_text("gateway.yaml", &text, &bare);
        let compiled = compile(&loaded, &Circumstances { now: NOW, ..Circumstances::default() });
        let told = diagnostic::to_text(&compiled.diagnostics, false);
        assert!(compiled.outcome.is_some() && told.is_empty(), "{text}\n{told}");
    }
}

#[test]
fn the_cases_of_the_guide_hold_of_the_shipped_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("docs/policy-tests.md")).unwrap();
    let cases = guide.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("cases.yaml"), cases).unwrap();
    let outcome = compiled(root);
    let suite = Suite::new(&outcome.policy);
    let read = self::cases(scratch.path());
    assert_eq!(read.cases.len(), 4);
    for (_, case) in read.cases.iter() {
        let report = suite.run(case, NOW);
        assert!(report.passed(), "{}", report.to_text("gateway.yaml", Colour::Never));
    }
}

#[test]
fn a_name_says_what_its_case_is_about_and_no_other() {
    for folder in folders() {
        let cases = cases(&folder);
        let names: Vec<&str> = cases.cases.iter().map(|(_, case)| case.name.as_str()).collect();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), distinct.len(), "{}", folder.display());
    }
}

#[test]
fn the_command_passes_what_holds_and_fails_what_does_not() {
    let folder = folders().into_iter().find(|folder| folder.ends_with("authorization")).unwrap();
    let run = |cases: &Path| {
        Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["test", "-c"])
            .arg(folder.join("gateway.yaml"))
            .arg(cases)
            .output()
            .unwrap()
    };
    let good = run(&folder.join("cases.yaml"));
    let said = String::from_utf8(good.stdout).unwrap();
    assert!(good.status.success(), "{said}");
    assert!(said.contains("0 failed"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours outside a terminal");

    let scratch = tempfile::tempdir().unwrap();
    let wrong = scratch.path().join("wrong.yaml");
    let text = "cases:\n  - name: it is open\n    request: { path: /any }\n    expect: { allowed: true }\n";
    fs::write(&wrong, text).unwrap();
    let bad = run(&wrong);
    let said = String::from_utf8(bad.stdout).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{said}");
    for part in ["FAIL it is open", "allowed: expected true, found false", "gateway.yaml:"] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }

    fs::write(&wrong, "cases:\n  - name: a slip\n    request: { pth: /any }\n    expect: {}\n")
        .unwrap();
    let bad = run(&wrong);
    let told = String::from_utf8(bad.stderr).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{told}");
    assert!(told.contains("unknown-key") && told.contains("did you mean `path`?"), "{told}");
}
