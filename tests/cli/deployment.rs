//! `docs/deployment.md` and the unit beside it: what they show is what the program takes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use portcullis::cli;

/// What the page's pieces of a file leave out.
const REST: &str = "
version: 1
upstreams: { app: { builtin: echo } }
routes: [{ match: { path: '/**' }, upstream: app, auth: none }]
";

/// What a block begins with that is not of `gateway.yaml`.
const POD: &str = "# Of the pod's template.\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/deployment.md")).unwrap()
}

fn unit() -> String {
    fs::read_to_string(root().join("docs/portcullis@.service")).unwrap()
}

fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let begin = format!("```{language}\n");
    let blocks = page.split(begin.as_str()).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The value of a key that stands in the unit once.
fn value(unit: &str, key: &str) -> String {
    let given = |line: &'_ str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
    let mut values: Vec<String> = unit.lines().filter_map(given).collect();
    assert_eq!(values.len(), 1, "{key}: {values:?}");
    values.remove(0)
}

/// Fails unless the command line is one of ours.
fn is_taken(words: &[&str]) {
    let parsed = cli::definition().try_get_matches_from(words);
    assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
}

#[test]
fn every_piece_of_a_file_is_a_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = folder.path().join("tls/live");
    fs::create_dir_all(&certificates).unwrap();
    for (fixture, name) in [("p256.cert.pem", "fullchain.pem"), ("p256.pem", "privkey.pem")] {
        let fixture = root().join("tests/fixtures/keys").join(fixture);
        fs::copy(fixture, certificates.join(name)).unwrap();
    }
    let page = page();
    let pieces: Vec<&str> =
        blocks(&page, "yaml").into_iter().filter(|block| !block.starts_with(POD)).collect();
    assert!(pieces.len() >= 5, "{}", pieces.len());
    for piece in pieces {
        let file = folder.path().join("gateway.yaml");
        fs::write(&file, format!("{piece}{REST}")).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(["check", "-c"])
            .arg(&file)
            .env("PORTCULLIS_ADMIN_TOKEN", "a-token-of-the-admin-listener")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success(), "{piece}\n{told}");
    }
}

#[test]
fn a_pod_is_asked_where_the_gateway_answers() {
    let page = page();
    let pods: Vec<&str> =
        blocks(&page, "yaml").into_iter().filter(|block| block.starts_with(POD)).collect();
    let [pod] = pods[..] else { panic!("{} pods", pods.len()) };
    let pod: serde_yaml::Value = serde_yaml::from_str(pod).unwrap();
    let container = &pod["spec"]["containers"][0];
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], 9090);
    }
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/etc/portcullis");
    // The file beside it waits for 5 and 20 seconds.
    assert!(pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap() > 25);
}

#[test]
fn every_command_of_ours_is_taken() {
    let page = page();
    let mut count = 0;
    for block in blocks(&page, "sh") {
        for command in block.replace("\\\n", " ").lines().flat_map(|line| line.split(" && ")) {
            let mut words: Vec<&str> = command.split_whitespace().collect();
            let name = words.first().and_then(|word| word.rsplit('/').next());
            if matches!(name, Some("portcullis" | "portcullis.new")) {
                words[0] = "portcullis";
                is_taken(&words);
                count += 1;
            }
        }
    }
    assert!(count >= 4, "{count}");
}

#[test]
fn the_unit_starts_and_stops_it_as_it_wants_to_be() {
    let unit = unit();
    for key in ["ExecStart", "ExecStartPre"] {
        let line = value(&unit, key);
        let mut words: Vec<&str> =
            line.split_whitespace().filter(|word| *word != "$UPGRADE").collect();
        assert_eq!(words[0], "/usr/local/bin/portcullis");
        words[0] = "portcullis";
        is_taken(&words);
        if line.ends_with("$UPGRADE") {
            is_taken(&[&words[..], &["--upgrade"]].concat());
        }
    }
    assert_eq!(value(&unit, "KillSignal"), "SIGTERM");
    assert!(value(&unit, "ExecReload").contains("-HUP"));
    let number = |key: &str| value(&unit, key).parse::<u64>().unwrap();
    assert!(number("TimeoutStopSec") > 30, "`server.drain_timeout` is 30s by default");
    assert!(number("LimitNOFILE") > 2 * 50_000, "`server.limits.connections` is 50000 by default");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("portcullis@.service");
    let text = unit().replace("/usr/local/bin/portcullis", env!("CARGO_BIN_EXE_portcullis"));
    fs::write(&file, text).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&file).output();
    // Not every machine has it.
    let Ok(verified) = verified else { return };
    let told = String::from_utf8_lossy(&verified.stderr);
    assert!(!told.contains("portcullis@"), "{told}");
}
