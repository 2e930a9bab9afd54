//! The commands as a person sees them, on a terminal.

use serde_json::{Value, json};

use super::{SQLITE, command, login, setting};
use crate::harness::{Gateway, ask, binary, eventually};

/// What a command shows on a terminal, and how it ends, where these are typed.
fn on_terminal(gateway: &Gateway, words: &[&str], answers: &[&str]) -> (i64, String) {
    let config = gateway.config().display().to_string();
    let program = binary();
    let program = [program.to_str().unwrap()];
    let command: Vec<&str> = program.iter().chain(words).chain(&["-c", &config]).copied().collect();
    let done = ask("terminal", &json!({ "command": command, "answers": answers }));
    assert_eq!(done["unasked"], json!([]), "{done}");
    (done["code"].as_i64().unwrap(), done["text"].as_str().unwrap().replace("\r\n", "\n"))
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown() {
    let gateway = setting(SQLITE, "10m").start();
    let add = ["user", "add", "dora", "--role=user"];
    let (code, text) = on_terminal(&gateway, &add, &["one password", "another one"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("Password: \nAgain: \n"), "{text:?}");
    assert!(text.contains("the two passwords differ"), "{text}");
    let (code, text) = on_terminal(&gateway, &add, &["", ""]);
    assert!(code == 1 && text.contains("the password is empty"), "{text}");

    let (code, text) = on_terminal(&gateway, &add, &["explorer of maps", "explorer of maps"]);
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("explorer"), "{text}");
    assert!(text.contains("username:") && text.contains("dora"), "{text}");
    eventually("a login", || (login(&gateway, "dora", "explorer of maps") == 200).then_some(()));

    let set = ["user", "set", "dora", "--password"];
    let (code, text) = on_terminal(&gateway, &set, &["a better one", "a better one"]);
    assert!(code == 0 && !text.contains("better"), "{text}");
    eventually("the other password", || {
        (login(&gateway, "dora", "a better one") == 200).then_some(())
    });
}

#[test]
fn lists_are_tables_on_a_terminal_and_objects_in_a_pipe() {
    let gateway = setting(SQLITE, "10m").start();
    for words in [
        &["user", "add", "dora", "--no-password", "--role=user", "--role=admin"][..],
        &["user", "add", "a-rather-long-name", "--no-password", "--id=9"],
        &["key", "create", "ci", "--role=user"],
    ] {
        assert!(command(&gateway, words, "").status.success(), "{words:?}");
    }
    let (code, text) = on_terminal(&gateway, &["user", "list"], &[]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((code, lines.len()), (0, 3), "{text}");
    assert_eq!(
        lines,
        [
            "\u{1b}[1mID    USERNAME            ROLES       PLAN  DISABLED  LAST LOGIN\u{1b}[0m",
            "9     a-rather-long-name  -           -     no        -",
            "dora  dora                user,admin  -     no        -",
        ]
    );
    let (code, text) = on_terminal(&gateway, &["key", "list"], &[]);
    assert!(code == 0 && text.starts_with("\u{1b}[1mID"), "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("ci "), "{text}");
    let piped = command(&gateway, &["user", "list", "--format=json"], "");
    let listed: Value = serde_json::from_slice(&piped.stdout).unwrap();
    assert_eq!(listed[1]["username"], "dora");
    let piped = command(&gateway, &["user", "list"], "");
    assert!(!String::from_utf8(piped.stdout).unwrap().contains('\u{1b}'), "no colour in a pipe");
}
