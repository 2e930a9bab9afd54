//! The file that is shipped works as it stands, and the README says what really happens.

use std::fs;
use std::process::Command;

use crate::harness::{Gateway, Setting, binary, root};

/// `gateway.yaml` as shipped, on free ports.
fn shipped() -> Setting {
    let yaml = fs::read_to_string(root().join("gateway.yaml")).unwrap();
    let (proxy, admin) = ("127.0.0.1:8080", "127.0.0.1:9090");
    assert!(yaml.contains(proxy) && yaml.contains(admin));
    Gateway::with_whole(&yaml.replace(proxy, "127.0.0.1:0").replace(admin, "127.0.0.1:0"))
}

/// One command of the README and what it is said to print.
struct Step {
    command: String,
    printed: String,
}

/// Every `$` line of the blocks marked `console`, except those that build or serve.
fn steps(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    let mut continued = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside && continued {
            let step = steps.last_mut().unwrap();
            step.command.push('\n');
            step.command.push_str(line);
            continued = line.ends_with('\\');
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            continued = command.ends_with('\\');
            steps.push(Step { command: command.to_owned(), printed: String::new() });
        } else if let Some(step) = steps.last_mut().filter(|_| inside) {
            step.printed.push_str(line);
            step.printed.push('\n');
        }
    }
    let serves = |step: &Step| {
        ["make ", "cargo ", "portcullis run"].iter().any(|c| step.command.starts_with(c))
    };
    steps.retain(|step| !serves(step));
    steps
}

/// Whether the text reads as expected, where `…` stands for anything.
fn fits(expected: &str, text: &str) -> bool {
    let mut fragments = expected.trim().split('…');
    let Some(mut rest) = text.trim().strip_prefix(fragments.next().unwrap()) else {
        return false;
    };
    let mut last = "";
    for fragment in fragments {
        last = fragment;
        match rest.find(fragment) {
            Some(at) => rest = &rest[at + fragment.len()..],
            None => return false,
        }
    }
    if expected.contains('…') { text.trim().ends_with(last) } else { rest.is_empty() }
}

#[test]
fn the_tour_of_the_readme_prints_what_it_says() {
    let gateway = shipped().start();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let steps = steps(&readme);
    assert!(
        steps.iter().filter(|step| step.command.contains("curl")).count() >= 6,
        "the README has no tour"
    );
    let script: String =
        steps.iter().map(|step| format!("{}\necho; echo @@@\n", step.command)).collect();
    let script = script
        .replace("127.0.0.1:8080", &gateway.address().to_string())
        .replace("127.0.0.1:9090", &gateway.admin_address().to_string())
        .replace("target/release/portcullis", binary().to_str().unwrap());
    let output = Command::new("sh").arg("-c").arg(&script).current_dir(root()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed = printed.replace(&gateway.address().to_string(), "127.0.0.1:8080");
    let mut printed = printed.split("@@@\n");
    for step in &steps {
        let text = printed.next().unwrap().trim().replace('\r', "");
        assert!(
            fits(&step.printed, &text),
            "$ {}\n{}\nbut it prints\n{text}",
            step.command,
            step.printed
        );
    }
}

#[test]
fn the_shipped_file_warns_of_its_secrets_and_is_refused_off_loopback() {
    let gateway = shipped().start();
    gateway.wait_for_log("a warning", |line| {
        line["level"].as_str().is_some_and(|level| level.eq_ignore_ascii_case("warn"))
            && line.to_string().contains("demonstration")
    });
    let yaml = fs::read_to_string(root().join("gateway.yaml")).unwrap();
    let open = yaml.replace("127.0.0.1:8080", "0.0.0.0:0").replace("127.0.0.1:9090", "127.0.0.1:0");
    let (status, output) = Gateway::with_whole(&open).fail();
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("demonstration"), "{output}");
    let trusting = yaml
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9090", "127.0.0.1:0")
        .replace("\nserver:\n", "\nserver:\n  trusted_proxies: [10.0.0.0/8]\n");
    let (status, output) = Gateway::with_whole(&trusting).fail();
    assert_eq!(status.code(), Some(1), "{output}");
    Gateway::with_whole(&trusting).env("PORTCULLIS_DEMO", "1").start();
}

#[test]
fn expected_output_is_matched_with_gaps() {
    for (expected, text, fitting) in [
        ("abc", "abc\n", true),
        ("abc", "abcd", false),
        ("a…c", "abbbc", true),
        ("a…c", "abbbcd", false),
        ("…b…", "abc", true),
        ("", "", true),
        ("", "x", false),
    ] {
        assert_eq!(fits(expected, text), fitting, "{expected} {text}");
    }
}
