//! A change of the file takes effect without a request being lost, or not at all.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::harness::{Gateway, Recorder, eventually};
use crate::people::{corp_claims, hs256};

const YAML: &str = "
upstreams: { app: '@APP@' }
defaults: { rate_limit: { limit: 1000/minute, by: route } }
routes:
  - { name: old, match: { path: /old }, upstream: app, auth: none }
";

const SECRET: &str = "9d2c41fbb1a04e3f8c67d05a2be1f937";
const NEW_ROUTE: &str = "  - { name: new, match: { path: /new }, upstream: app, auth: none }\n";
const FAULT: &str = "  - { name: bad, match: { path: /bad }, upstream: nowhere, auth: none }\n";

const RELOADED: &str = r#"portcullis_config_reloads_total{outcome="success"}"#;
const REFUSED: &str = r#"portcullis_config_reloads_total{outcome="failure"}"#;

fn gateway(upstream: &Recorder) -> Gateway {
    Gateway::with(YAML).put("APP", &upstream.url()).start()
}

fn append(gateway: &Gateway, lines: &str) {
    let text = fs::read_to_string(gateway.config()).unwrap();
    replace(gateway.config(), &(text + lines));
}

/// As editors do it: the whole new file under the old name.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

fn wait_for_metric(gateway: &Gateway, series: &str, value: f64) {
    eventually(series, || (gateway.metric(series) >= value).then_some(()));
}

#[test]
fn a_changed_file_is_taken_up_by_itself() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    gateway.get("/new").send().refused(404, "no_route");
    gateway.get("/old").send().ok();
    append(&gateway, NEW_ROUTE);
    wait_for_metric(&gateway, RELOADED, 1.0);
    gateway.get("/new").send().ok();
    // What has not changed goes on counting.
    let left = gateway.get("/old").send().ok().header("x-ratelimit-remaining").map(str::to_owned);
    assert_eq!(left.as_deref(), Some("998"));
}

#[test]
fn metrics_tell_of_what_the_live_file_names_and_no_more() {
    let upstream = Recorder::start();
    let yaml = |number: usize| {
        let url = upstream.url();
        format!(
            "version: 1
server: {{ listen: [{{ address: '127.0.0.1:0' }}] }}
admin: {{ listen: '127.0.0.1:0' }}
authentication: {{ jwt: {{ corp: {{ issuer: i{number}, audiences: [a], algorithms: [HS256], secret: '{SECRET}' }} }} }}
upstreams: {{ up{number}: '{url}' }}
routes:
  - {{ name: route{number}, match: {{ path: /x }}, upstream: up{number}, auth: none, rate_limit: {{ limit: {}/minute, by: route }} }}
",
            number + 1
        )
    };
    let gateway = Gateway::with_whole(&yaml(0)).start();
    for number in 0..30 {
        replace(gateway.config(), &yaml(number));
        gateway.admin("POST", "/api/v1/reload").send().ok();
        for _ in 0..=number {
            gateway.get("/x").send().ok();
        }
        gateway.get("/x").send().refused(429, "rate_limited");
    }
    let metrics = gateway.admin("GET", "/metrics").send();
    let named = |name: &str| metrics.text().lines().filter(|line| line.contains(name)).count();
    assert_eq!((named("route28"), named("up28"), named("29-per-minute")), (0, 0, 0));
    assert!(named("route29") > 4 && named("up29") > 2 && named("30-per-minute") > 0);
    let routes = metrics.text().lines().filter(|line| line.contains("route=\"route"));
    assert!(
        routes.clone().all(|line| line.contains("route29")),
        "{:?}",
        routes.collect::<Vec<_>>()
    );
}

#[test]
fn a_faulty_file_changes_nothing_and_the_log_says_why() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    append(&gateway, &format!("{NEW_ROUTE}{FAULT}"));
    wait_for_metric(&gateway, REFUSED, 1.0);
    gateway.get("/old").send().ok();
    gateway.get("/new").send().refused(404, "no_route");
    assert_eq!(gateway.metric("portcullis_config_last_reload_successful"), 0.0);
    eventually("the fault in the log", || {
        let output = gateway.output();
        (output.contains("nowhere") && output.contains("gateway.yaml:")).then_some(())
    });
    let text = fs::read_to_string(gateway.config()).unwrap().replace(FAULT, "");
    replace(gateway.config(), &text);
    wait_for_metric(&gateway, RELOADED, 1.0);
    gateway.get("/new").send().ok();
    assert_eq!(gateway.metric("portcullis_config_last_reload_successful"), 1.0);
}

#[test]
fn a_signal_or_the_admin_api_reload_at_once() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    gateway.signal("HUP");
    wait_for_metric(&gateway, RELOADED, 1.0);

    append(&gateway, NEW_ROUTE);
    let answer = gateway.admin("POST", "/api/v1/reload").send();
    answer.ok();
    assert!(answer.json()["generation"].as_u64().unwrap() >= 3, "{}", answer.text());
    gateway.get("/new").send().ok();

    append(&gateway, FAULT);
    let answer = gateway.admin("POST", "/api/v1/reload").send();
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("nowhere"), "{}", answer.text());
    gateway.get("/new").send().ok();
}

#[test]
fn a_directory_that_is_swapped_by_its_link_is_noticed() {
    let upstream = Recorder::start();
    let yaml = format!("{}{YAML}", crate::harness::PORTS).replace("@APP@", &upstream.url());
    let directory = tempfile::tempdir().unwrap();
    let version = |name: &str, text: &str| {
        fs::create_dir(directory.path().join(name)).unwrap();
        fs::write(directory.path().join(name).join("gateway.yaml"), text).unwrap();
    };
    // As Kubernetes lays out a ConfigMap.
    version("..1", &yaml);
    version("..2", &format!("{yaml}{NEW_ROUTE}"));
    version("..3", &yaml);
    symlink("..1", directory.path().join("..data")).unwrap();
    symlink("..data/gateway.yaml", directory.path().join("gateway.yaml")).unwrap();
    let gateway = Gateway::with("").at(&directory.path().join("gateway.yaml")).start();
    let swap = |name: &str| {
        symlink(name, directory.path().join("..tmp")).unwrap();
        fs::rename(directory.path().join("..tmp"), directory.path().join("..data")).unwrap();
    };
    gateway.get("/new").send().refused(404, "no_route");
    swap("..2");
    wait_for_metric(&gateway, RELOADED, 1.0);
    gateway.get("/new").send().ok();
    swap("..3");
    wait_for_metric(&gateway, RELOADED, 2.0);
    gateway.get("/new").send().refused(404, "no_route");
}

#[test]
fn a_secret_that_changes_in_its_file_is_taken_up_by_itself() {
    let upstream = Recorder::start();
    let yaml = "
upstreams: { app: '@APP@' }
authentication: { jwt: { corp: { issuer: https://id.example.com/, audiences: [orders-api], algorithms: [HS256], secret: { file: corp.secret } } } }
routes: [{ name: known, match: { path: /known }, upstream: app, auth: [jwt] }]
";
    let (old, new) = (
        "the-old-secret-of-the-corporation-for-tests",
        "the-new-secret-of-the-corporation-for-tests",
    );
    let gateway = Gateway::with(yaml)
        .put("APP", &upstream.url())
        .file("corp.secret", format!("{old}\n"))
        .start();
    let token = |secret: &str| hs256(&corp_claims("u1"), secret);
    gateway.get("/known").bearer(&token(old)).send().ok();
    gateway.get("/known").bearer(&token(new)).send().refused(401, "invalid_token");
    replace(&gateway.directory().join("corp.secret"), &format!("{new}\n"));
    wait_for_metric(&gateway, RELOADED, 1.0);
    gateway.get("/known").bearer(&token(new)).send().ok();
    gateway.get("/known").bearer(&token(old)).send().refused(401, "invalid_token");
}

#[test]
fn no_request_is_lost_while_the_file_changes_again_and_again() {
    let upstream = Recorder::start();
    let yaml = YAML.replace("1000/minute", "1000000/minute");
    let gateway = Gateway::with(&yaml).put("APP", &upstream.url()).start();
    let original = fs::read_to_string(gateway.config()).unwrap();
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut raw = gateway.raw();
                while !stop.load(Ordering::SeqCst) {
                    let status = raw.send("GET /old HTTP/1.1\r\nHost: x\r\n\r\n").answer().status;
                    assert_eq!(status, 200);
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 0..10 {
            let text =
                if round % 2 == 0 { format!("{original}{NEW_ROUTE}") } else { original.clone() };
            replace(gateway.config(), &text);
            gateway.admin("POST", "/api/v1/reload").send().ok();
            let expected = if round % 2 == 0 { 200 } else { 404 };
            assert_eq!(gateway.get("/new").send().status, expected, "in force at once");
            let before = served.load(Ordering::SeqCst);
            eventually("requests under the new file", || {
                (served.load(Ordering::SeqCst) > before + 20).then_some(())
            });
        }
        stop.store(true, Ordering::SeqCst);
    });
}

#[test]
fn what_needs_a_restart_is_reported_and_the_rest_takes_effect() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let text = fs::read_to_string(gateway.config()).unwrap();
    replace(
        gateway.config(),
        &text.replace("'127.0.0.1:0' }]", "'127.0.0.1:1' }]").replace("/old", "/newer"),
    );
    let answer = gateway.admin("POST", "/api/v1/reload").send();
    answer.ok();
    assert!(answer.text().contains("listen"), "{}", answer.text());
    gateway.get("/newer").send().ok();
    assert_eq!(gateway.admin("GET", "/api/v1/status").send().ok().json()["generation"], json!(2));
}

#[test]
fn a_file_that_was_missing_is_noticed_when_it_is_put_there() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let text = fs::read_to_string(gateway.config()).unwrap();
    let more = "token: { secret: { file: secrets/new.secret } }\n";
    replace(gateway.config(), &(text + NEW_ROUTE + more));
    wait_for_metric(&gateway, REFUSED, 1.0);
    gateway.get("/new").send().refused(404, "no_route");
    let folder = gateway.directory().join("secrets");
    fs::create_dir(&folder).unwrap();
    replace(&folder.join("new.secret"), "a secret of thirty-two bytes or so");
    wait_for_metric(&gateway, RELOADED, 1.0);
    gateway.get("/new").send().ok();
}

#[test]
fn a_file_that_was_faulty_is_looked_at_again_when_it_is_mended() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let secret = gateway.directory().join("new.secret");
    fs::write(&secret, "short").unwrap();
    let text = fs::read_to_string(gateway.config()).unwrap();
    let more = "token: { secret: { file: new.secret } }\n";
    replace(gateway.config(), &(text + NEW_ROUTE + more));
    wait_for_metric(&gateway, REFUSED, 1.0);
    replace(&secret, "a secret of thirty-two bytes or so");
    wait_for_metric(&gateway, RELOADED, 1.0);
    gateway.get("/new").send().ok();
}
