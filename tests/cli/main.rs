//! The binary as scripts and people use it: exit codes, what goes to which stream, stable forms.

mod deployment;

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

const AT: &str = "2030-01-01T00:00:00Z";
const KEY: &str = "X-API-Key: portcullis-demo-key";

fn run(arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn explain_tells_each_step_and_what_goes_upstream() {
    let allowed = run(&["explain", "GET", "/items/1?api_key=x", "-H", KEY, "--at", AT], "");
    assert_eq!(allowed.status.code(), Some(3), "the same credential twice: {}", out(&allowed));
    let allowed = run(&["explain", "GET", "/items/1?q=1", "-H", KEY, "--at", AT], "");
    assert_eq!((allowed.status.code(), err(&allowed).as_str()), (Some(0), ""));
    insta::assert_snapshot!("explain-allowed", out(&allowed));
    let denied = run(&["explain", "DELETE", "/users/2", "--at", AT, "--format", "json"], "");
    assert_eq!(denied.status.code(), Some(3));
    let told: Value = serde_json::from_slice(&denied.stdout).unwrap();
    insta::assert_json_snapshot!("explain-denied", told);
}

#[test]
fn explain_reads_headers_from_a_file_and_from_stdin() {
    let lines = format!("{KEY}\n\nX-Other: 1\n");
    let allowed = run(&["explain", "GET", "/me", "-H", "@-", "--at", AT], &lines);
    assert_eq!(allowed.status.code(), Some(0), "{}{}", out(&allowed), err(&allowed));
    assert!(out(&allowed).contains("x-other: 1"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    std::fs::write(&file, lines).unwrap();
    let named = format!("@{}", file.display());
    assert_eq!(run(&["explain", "GET", "/me", "-H", &named], "").status.code(), Some(0));
    assert_eq!(run(&["explain", "GET", "/me", "-H", "@nowhere"], "").status.code(), Some(1));
}

#[test]
fn explain_never_prints_a_credential() {
    for format in ["human", "json"] {
        let denied = run(
            &[
                "explain",
                "GET",
                "/hello",
                "-H",
                "Authorization: Bearer hunter2",
                "-H",
                "X-API-Key: hunter2",
                "--format",
                format,
            ],
            "",
        );
        assert_eq!(denied.status.code(), Some(0), "the route is public and removes nothing");
        assert!(!out(&denied).contains("hunter2") && !err(&denied).contains("hunter2"));
    }
    let wrong = run(&["explain", "GET", "/me", "-H", "X-API-Key hunter2"], "");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(!err(&wrong).contains("hunter2"), "{}", err(&wrong));
}

#[test]
fn explain_fails_on_what_it_cannot_judge() {
    for arguments in [
        &["explain", "GET", "nowhere"][..],
        &["explain", "G T", "/"],
        &["explain", "-c", "tests/diagnostics/bad/unknown-role.yaml", "GET", "/"],
        &["explain", "-c", "nowhere.yaml", "GET", "/"],
    ] {
        let failed = run(arguments, "");
        assert_eq!(failed.status.code(), Some(1), "{arguments:?}");
        assert!(!err(&failed).is_empty() && out(&failed).is_empty(), "{arguments:?}");
    }
}

#[test]
fn explain_says_where_the_file_asks_for_an_endpoint_of_the_gateways_own() {
    let served = run(&["explain", "POST", "/auth/token", "--format", "json"], "");
    assert_eq!(served.status.code(), Some(0), "{}{}", out(&served), err(&served));
    let told: Value = serde_json::from_slice(&served.stdout).unwrap();
    let file = std::fs::read_to_string("gateway.yaml").unwrap();
    let line = told["line"].as_u64().unwrap();
    let written = file.lines().nth(usize::try_from(line).unwrap() - 1).unwrap();
    assert_eq!(written.trim(), "path: /auth/token");
}

#[test]
fn explain_refuses_a_head_that_the_listener_would() {
    for (url, header) in [
        ("/hel lo", "A: b"),
        ("/hello?a b", "A: b"),
        ("/hello?a#b", "A: b"),
        ("*", "A: b"),
        ("/hello", "Host:"),
        ("/hello", "Transfer-Encoding: gzip"),
        ("/hello", "Content-Length: 1, 1"),
    ] {
        let refused = run(&["explain", "GET", url, "-H", header, "--format", "json"], "");
        assert_eq!(refused.status.code(), Some(3), "{url} {header}: {}", out(&refused));
        let told: Value = serde_json::from_slice(&refused.stdout).unwrap();
        assert_eq!(told["status"], 400, "{url} {header}");
    }
    let twice = run(&["explain", "GET", "/hello", "-H", "Host: a", "-H", "Host: b"], "");
    assert_eq!(twice.status.code(), Some(3), "{}", out(&twice));
}

#[test]
fn a_token_that_is_issued_is_accepted_and_another_is_not() {
    let issued = run(&["token", "issue", "alice"], "");
    assert_eq!(issued.status.code(), Some(0), "{}", err(&issued));
    let token = out(&issued);
    let inspected = run(&["token", "inspect", "-", "--format", "json"], &token);
    assert_eq!(inspected.status.code(), Some(0), "{}", out(&inspected));
    let told: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(told["principal"]["subject"], "alice");
    let forged = format!("{}x", token.trim());
    let refused = run(&["token", "inspect", &forged], "");
    assert_eq!(refused.status.code(), Some(3));
    assert!(out(&refused).contains("refused"), "{}", out(&refused));
    assert_eq!(run(&["token", "issue", "mallory"], "").status.code(), Some(1));
}

#[test]
fn test_says_that_it_does_not_ask_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let rest = "upstreams: { app: { builtin: echo } }
authentication: { api_keys: { header: X-API-Key } }
routes: [{ match: { path: /** }, upstream: app }]
";
    let with = put("with.yaml", &format!("version: 1\nstore: sqlite:store.db\n{rest}"));
    let without = put("without.yaml", &format!("version: 1\n{rest}"));
    let case = |extra: &str, status: u16| {
        format!(
            "cases: [{{ name: one, request: {{ path: / }}, {extra}, expect: {{ status: {status} }} }}]"
        )
    };
    let key = put("key.yaml", &case("credentials: { api_key: pk_x }", 401));
    let principal = put("principal.yaml", &case("principal: { subject: dora }", 200));
    let told = |file: &str, cases: &str| {
        let done = run(&["test", "-c", file, cases], "");
        assert_eq!(done.status.code(), Some(0), "{}", out(&done));
        err(&done)
    };
    assert!(told(&with, &key).contains("the store is not asked"));
    assert_eq!(told(&with, &principal), "");
    assert_eq!(told(&without, &key), "");
    assert!(!folder.path().join("store.db").exists());
}

#[test]
fn a_password_from_a_pipe_is_hashed_and_never_shown() {
    let hashed = run(&["hash-password"], "wonderland\n");
    let hash = out(&hashed);
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    assert!(!hash.contains("wonderland") && err(&hashed).is_empty());
    let bcrypt = run(&["hash-password", "--algorithm", "bcrypt"], "wonderland");
    assert!(out(&bcrypt).starts_with("$2b$12$"));
    assert_eq!(run(&["hash-password"], "").status.code(), Some(1));
}

#[test]
fn schema_and_completions_are_on_stdout() {
    let schema: Value = serde_json::from_slice(&run(&["schema"], "").stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(&run(&["completions", shell], "")).contains("hash-password"), "{shell}");
    }
}

#[test]
fn what_a_later_version_brings_is_named() {
    for arguments in [&["diff", "new.yaml"][..], &["init"]] {
        let failed = run(arguments, "");
        assert_eq!(failed.status.code(), Some(1));
        let what = format!("`portcullis {}` is not available in this version", arguments[0]);
        assert!(err(&failed).contains(&what), "{}", err(&failed));
    }
    let failed = run(&["test", "--coverage", "cases.yaml"], "");
    assert!(err(&failed).contains("is not available in this version"));
}

#[test]
fn a_wrong_command_line_is_1_and_help_is_0() {
    for arguments in [
        &["explain"][..],
        &["explain", "GET", "/", "--format", "xml"],
        &["test"],
        &["check", "--nonsense"],
        &["token"],
        &["nonsense"],
    ] {
        let failed = run(arguments, "");
        assert_eq!(failed.status.code(), Some(1), "{arguments:?}");
        assert!(!err(&failed).is_empty() && out(&failed).is_empty(), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["explain", "--help"], &["token", "-h"]] {
        let told = run(arguments, "");
        assert_eq!(told.status.code(), Some(0), "{arguments:?}");
        assert!(err(&told).is_empty() && !out(&told).is_empty(), "{arguments:?}");
    }
}

#[test]
fn check_says_in_json_too_that_a_file_cannot_be_read() {
    let failed = run(&["check", "-c", "nowhere.yaml", "--format", "json"], "");
    assert_eq!((failed.status.code(), err(&failed).as_str()), (Some(2), ""));
    let told: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!(told["valid"], false);
    let fault = &told["diagnostics"][0];
    assert_eq!((&fault["id"], &fault["file"]), (&"unreadable-file".into(), &"nowhere.yaml".into()));
    assert_eq!(fault["severity"], "error");
}

#[test]
fn a_gateway_that_does_not_run_is_unreachable() {
    for command in ["status", "reload"] {
        let failed = run(&[command, "--admin", "http://127.0.0.1:1"], "");
        assert_eq!(failed.status.code(), Some(1));
        assert!(err(&failed).contains("cannot reach http://127.0.0.1:1"), "{}", err(&failed));
    }
}

#[test]
fn help_names_every_command() {
    let help = run(&["--help"], "");
    assert_eq!(help.status.code(), Some(0));
    insta::assert_snapshot!("help", out(&help));
    assert!(out(&run(&["--version"], "")).starts_with("portcullis "));
}
