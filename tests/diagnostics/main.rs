//! What `portcullis check` says of bad files. Each file under `bad/` is named after the code that
//! it is about, with a variant behind a dot if there are several; its snapshot is what a person
//! reads.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use portcullis::{
    compile::{Circumstances, Compiled, compile},
    config::{self, codes, diagnostic},
    model::Timestamp,
};

const BAD: &str = "tests/diagnostics/bad";

/// Codes that no file in a folder can have: it would be too large for the repository.
const ELSEWHERE: &[&str] = &[codes::FILE_TOO_LARGE];

/// Codes that may be of the file as a whole.
const WHOLE: &[&str] = &[codes::EMPTY_FILE, codes::NOT_UTF8, codes::TOO_MANY_FAULTS];

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "JWT_SECRET" => "9d2c41fbb1a04e3f8c67d05a2be1f937",
        "DEMO_SECRET" => "portcullis-demonstration-secret-for-loopback-only",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

fn bad_files() -> Vec<PathBuf> {
    let entries = fs::read_dir(BAD).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

fn compiled(file: &Path) -> Compiled {
    let loaded = config::load(file, &environment).unwrap();
    // The beginning of 2027.
    let now = Timestamp::from_seconds(1_798_761_600);
    compile(&loaded, &Circumstances { now, ..Circumstances::default() })
}

fn name(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_bad_file_is_told_of_as_its_snapshot_says() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for file in bad_files() {
            let told = diagnostic::to_text(&compiled(&file).diagnostics, false);
            insta::assert_snapshot!(name(&file), told.replace(BAD, "."));
        }
    });
}

#[test]
fn a_bad_file_has_the_fault_that_it_is_named_after() {
    for file in bad_files() {
        let name = name(&file);
        let code = name.split('.').next().unwrap();
        if code == "ten-sections" {
            continue;
        }
        let diagnostics = compiled(&file).diagnostics;
        let found: Vec<_> = diagnostics.iter().map(|one| one.code).collect();
        assert!(found.contains(&code), "{name} has {found:?}");
    }
}

#[test]
fn every_code_has_a_bad_file() {
    let files = bad_files();
    let seen: BTreeSet<String> = files
        .iter()
        .map(|file| name(file).split('.').next().unwrap().to_owned())
        .chain(ELSEWHERE.iter().map(|code| (*code).to_owned()))
        .collect();
    let missing: Vec<_> =
        codes::ALL.iter().map(|(code, _)| *code).filter(|code| !seen.contains(*code)).collect();
    assert!(missing.is_empty(), "no file under {BAD} is named after {missing:?}");
    assert!(files.len() >= 60, "only {} files", files.len());
}

#[test]
fn ten_faults_in_ten_sections_are_ten_diagnostics_of_one_run() {
    let compiled = compiled(Path::new(BAD).join("ten-sections.yaml").as_path());
    let lines: BTreeSet<_> = compiled
        .diagnostics
        .iter()
        .filter(|one| one.is_error())
        .filter_map(|one| one.span.as_ref().map(|span| span.start().line))
        .collect();
    assert_eq!(lines.len(), 10, "{}", diagnostic::to_text(&compiled.diagnostics, false));
}

/// The faults of a bad file, each as its code and line.
fn faults_of(name: &str) -> Vec<(&'static str, usize)> {
    let diagnostics = compiled(&Path::new(BAD).join(name)).diagnostics;
    let line = |one: &diagnostic::Diagnostic| one.span.as_ref().map_or(0, |span| span.start().line);
    diagnostics.iter().filter(|one| one.is_error()).map(|one| (one.code, line(one))).collect()
}

#[test]
fn a_fault_in_an_item_hides_no_other_fault_of_it() {
    let found = faults_of("unknown-key.beside-others.yaml");
    let expected = [
        // upstreams
        (codes::OUT_OF_RANGE, 5),
        (codes::UNKNOWN_KEY, 6),
        // an issuer
        (codes::INVALID_VALUE, 14),
        (codes::UNKNOWN_KEY, 15),
        (codes::UNKNOWN_ROLE, 16),
        // API keys
        (codes::UNKNOWN_KEY, 22),
        (codes::INVALID_VALUE, 23),
        (codes::UNKNOWN_ROLE, 24),
        (codes::DUPLICATE, 25),
        // users
        (codes::UNKNOWN_KEY, 28),
        (codes::WRONG_TYPE, 28),
        (codes::UNKNOWN_ROLE, 28),
        (codes::DUPLICATE, 29),
        // a role
        (codes::UNKNOWN_ROLE, 31),
        (codes::INVALID_VALUE, 31),
        (codes::UNKNOWN_KEY, 31),
        // routes
        (codes::INVALID_VALUE, 33),
        (codes::UNKNOWN_UPSTREAM, 34),
        (codes::UNKNOWN_KEY, 35),
        (codes::UNKNOWN_ROLE, 37),
        (codes::CONTRADICTION, 38),
        (codes::INVALID_QUOTA, 38),
        (codes::INVALID_VALUE, 39),
        (codes::OUT_OF_RANGE, 39),
        (codes::INVALID_VALUE, 43),
        (codes::INVALID_EXPRESSION, 44),
        (codes::ROUTE_OVERLAP, 45),
        (codes::UNKNOWN_UPSTREAM, 47),
    ];
    for fault in expected {
        assert!(found.contains(&fault), "{fault:?} is not among {found:?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:?}");
}

#[test]
fn what_was_refused_is_not_said_to_be_missing() {
    let file = Path::new(BAD).join("wrong-type.without-follow-up.yaml");
    let told = diagnostic::to_text(&compiled(&file).diagnostics, false);
    let mut lines: Vec<_> =
        faults_of("wrong-type.without-follow-up.yaml").into_iter().map(|(_, line)| line).collect();
    let count = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), count - 2, "one fault a line, of an issuer and the token two: {told}");
    let warned = compiled(&file).diagnostics.iter().any(|one| !one.is_error());
    assert!(!warned, "{told}");
}

#[test]
fn every_diagnostic_is_one_line_and_has_a_place() {
    for file in bad_files() {
        for one in compiled(&file).diagnostics {
            let told = diagnostic::to_text(std::slice::from_ref(&one), false);
            assert!(!one.message.ends_with('.') && !one.message.contains('\n'), "{told}");
            assert!(one.span.is_some() || WHOLE.contains(&one.code), "{told}");
            assert!(one.help.is_some_and(|help| !help.is_empty()), "how to mend it: {told}");
        }
    }
}

#[test]
fn no_diagnostic_shows_a_secret() {
    for file in bad_files() {
        let diagnostics = compiled(&file).diagnostics;
        let told = diagnostic::to_text(&diagnostics, false);
        let json: Vec<_> = diagnostics.iter().map(|one| one.to_json().to_string()).collect();
        let shown = format!("{told}{}", json.join("\n"));
        for secret in
            ["9d2c41fbb1a0", "demonstration-secret-for", "0123456789abcdef0123", "OWQyYzQx"]
        {
            assert!(!shown.contains(secret), "{}: {shown}", file.display());
        }
    }
}

fn check(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.arg("check").args(arguments).env_clear();
    for name in ["JWT_SECRET", "DEMO_SECRET"] {
        command.env(name, environment(name).unwrap());
    }
    command.output().unwrap()
}

#[test]
fn the_exit_code_tells_valid_from_invalid_from_unreadable() {
    let bad = |name: &str| format!("{BAD}/{name}.yaml");
    let code = |arguments: &[&str]| check(arguments).status.code();
    assert_eq!(code(&["-c", "gateway.yaml"]), Some(0));
    assert_eq!(code(&["-c", "gateway.yaml", "--strict"]), Some(1));
    assert_eq!(code(&["-c", &bad("unknown-role")]), Some(1));
    assert_eq!(code(&["-c", &bad("shadow-route")]), Some(0), "a warning alone");
    assert_eq!(code(&["-c", "nowhere.yaml"]), Some(2));
    assert_eq!(code(&["-c", "tests"]), Some(2));
}

#[test]
fn the_json_form_is_on_stdout_and_whole() {
    let file = format!("{BAD}/unknown-role.yaml");
    let output = check(&["-c", &file, "--format", "json"]);
    assert!(output.stderr.is_empty());
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["valid"], false);
    let first = &told["diagnostics"][0];
    assert_eq!(first["code"], "unknown-role");
    assert_eq!(first["severity"], "error");
    assert_eq!((&first["line"], &first["text"]), (&7.into(), &"admn".into()));
    assert!(first["help"].as_str().unwrap().contains("did you mean `admin`?"), "{first}");
}

#[test]
fn the_human_form_has_faults_on_stderr_and_the_verdict_on_stdout() {
    let file = format!("{BAD}/unknown-role.yaml");
    let output = check(&["-c", &file]);
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(out, format!("{file}: not valid, 3 faults\n"));
    assert!(err.contains("error[unknown-role]") && !err.contains('\u{1b}'), "{err}");
}

#[test]
fn a_file_over_its_bound_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("gateway.yaml");
    fs::write(&large, " ".repeat(9 << 20)).unwrap();
    let found = compiled(&large).diagnostics;
    assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), [codes::FILE_TOO_LARGE]);
}
