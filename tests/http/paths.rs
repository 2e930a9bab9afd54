//! Servers that read paths each in their own way stand behind the gateway and say which handler they ran. Whatever the
//! spelling, the secret one never runs for a stranger.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::harness::{App, Gateway, Raw};

/// The secret beneath a public rest: the arrangement in which every misreading is a way in.
const BENEATH: &str = "
upstreams: { app: '@APP@' }
authentication: { api_keys: { header: X-API-Key, keys: [] } }
routes:
  - { name: secret, match: { path: '/admin/**' }, upstream: app, auth: [api_key] }
  - { name: rest, match: { path: '/**' }, upstream: app, auth: none }
";

/// The secret beside a public tree.
const BESIDE: &str = "
upstreams: { app: '@APP@' }
authentication: { api_keys: { header: X-API-Key, keys: [] } }
routes:
  - { name: secret, match: { path: '/admin/{rest*}' }, upstream: app, auth: [api_key] }
  - { name: front, match: { path: /admin }, upstream: app, auth: [api_key] }
  - { name: public, match: { path: '/public/**' }, upstream: app, auth: none }
  - { name: deep, match: { path: '/public/{one}/{two}/{three}' }, upstream: app, auth: none }
";

/// Targets that some server or other takes for `/admin` or something beneath it.
fn spellings() -> BTreeSet<String> {
    let slashes = [
        "/",
        "//",
        "///",
        "/./",
        "/.//",
        "/%2e/",
        "/%2E/",
        "/x/../",
        "/x/%2e%2e/",
        "/x/.%2e/",
        "/x/%2E./",
        "%2f",
        "%2F",
        "/%2f",
        "%2f/",
        "\\",
        "/\\",
        "%5c",
        "%5C",
        "/;/",
        "/;a=b/",
        "/;a/..;/",
        "/.;/",
        "/x/..;/",
        "/x/..;a=b/",
        "/x/..%3b/",
        "/%252e/",
        "/x/%252e%252e/",
        "%252f",
        "/%252f",
        "/x\\..\\",
        "/x%5c..%5c",
        "/x%2f..%2f",
        "/public/../",
        "/public/%2e%2e/",
        "/public/..%2f",
        "/public/..%5c",
        "/public/..;/",
        "/public/x/../../",
        "/public/%2e%2e%2f",
        "/public/.%2e/",
        "/public\\..\\",
        "/public//../",
        "/public/./../",
        "/public/;/../",
        "/public/%252e%252e/",
        "/public/%2e%2e;/",
        "/public/..//",
        "/public/..\\/",
    ];
    let names = [
        "admin",
        "Admin",
        "ADMIN",
        "aDmin",
        "%61dmin",
        "%61%64%6d%69%6e",
        "adm%69n",
        "%2561dmin",
        "%41dmin",
        "admin;",
        "admin;a=b",
        "admin;/..",
        "admin%3b",
        "admin%3B",
        "admin%20",
        "admin%00",
        "admin%2500",
        "admin.",
        "admin%2e",
        "admi%6e",
        "admin%23",
        "admin%3f",
        "admin%09",
        "ad%6Din",
    ];
    let tails = [
        "",
        "/",
        "//",
        "/panel",
        "/./panel",
        "%2fpanel",
        "\\panel",
        "/x/../panel",
        ";/panel",
        "?a=/../admin",
        "/.",
        "/%2e",
    ];
    let mut all = BTreeSet::new();
    for slash in slashes {
        for tail in tails {
            all.insert(format!("{slash}admin{tail}"));
        }
    }
    for name in names {
        for tail in tails {
            all.insert(format!("/{name}{tail}"));
        }
        for slash in ["//", "/./", "/x/../", "%2f", "/public/../", "/;/"] {
            all.insert(format!("{slash}{name}/panel"));
        }
    }
    all.extend(
        [
            "http://x/admin/panel",
            "http://x//admin/panel",
            "http://x/public/../admin",
            "HTTP://x/admin",
            "http:/admin",
            "http:admin",
            "//x/admin/panel",
            "/admin#",
            "/public#/../admin",
            "/public?/../admin",
            "*",
            "admin",
            "?/admin",
            "/admin/panel?x#y",
            "/%c0%afadmin",
            "/%c0%ae%c0%ae/admin",
            "/public/%c0%ae%c0%ae/admin",
            "/%ff/../admin",
            "/admin%",
            "/admin%2",
            "/admin%zz",
            "/\u{7f}admin",
            "/admin\u{e9}",
            "/\u{ff0f}admin",
            "/\u{2024}\u{2024}/admin",
        ]
        .map(str::to_owned),
    );
    all
}

/// Which handler answers this target, if any does.
fn ran(raw: &mut Option<Raw>, address: SocketAddr, target: &str) -> Option<String> {
    let connection = raw.get_or_insert_with(|| Raw::connect(address));
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let answer = connection.answer();
    let over = answer.header("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
    if over || matches!(answer.status, 400..=499) {
        // Whoever refuses may close as well.
        *raw = None;
    }
    answer.header("x-handler").map(str::to_owned)
}

fn sweep(oracle: &'static str) {
    let app = App::shared("paths", &[oracle]);
    let spellings = spellings();
    assert!(spellings.len() >= 200);
    for yaml in [BENEATH, BESIDE] {
        let gateway = Gateway::with(yaml).put("APP", &app.url()).start();
        let mut raw = None;
        for target in &spellings {
            let handler = ran(&mut raw, gateway.address(), target);
            assert_ne!(
                handler.as_deref(),
                Some("secret"),
                "{oracle} ran its secret handler for {target}"
            );
        }
        // The gateway does not simply refuse all there is.
        for target in
            ["/public", "/public/", "/public/a/b/c", "/public/a%20b", "/public/x?y=/../admin"]
        {
            let handler = ran(&mut raw, gateway.address(), target);
            assert_eq!(handler.as_deref(), Some("public"), "{oracle} {target}");
        }
    }
}

/// As `ran`, for servers that may close without an answer.
fn direct(address: SocketAddr, target: &str) -> Option<String> {
    let mut connection = Raw::connect(address);
    connection
        .send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    let text = connection.rest();
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let line = text.lines().find_map(|line| line.strip_prefix("x-handler:"))?;
    Some(line.trim().to_owned())
}

#[test]
fn without_the_gateway_the_spellings_bite() {
    for (oracle, enough) in [
        ("nginx", 200),
        ("nginx-nocase", 200),
        ("werkzeug", 100),
        ("starlette", 50),
        ("node", 200),
        ("lenient", 500),
    ] {
        let app = App::shared("paths", &[oracle]);
        let spellings: Vec<String> = spellings().into_iter().collect();
        let bites: usize = std::thread::scope(|scope| {
            let lanes: Vec<_> = spellings
                .chunks(64)
                .map(|lane| {
                    let address = app.address();
                    let secret = move |target: &&String| {
                        direct(address, target).as_deref() == Some("secret")
                    };
                    scope.spawn(move || lane.iter().filter(secret).count())
                })
                .collect();
            lanes.into_iter().map(|lane| lane.join().unwrap()).sum()
        });
        assert!(
            bites >= enough,
            "only {bites} of {} spellings reach the secret of {oracle}",
            spellings.len()
        );
    }
}

#[test]
fn nginx_never_runs_its_secret_handler() {
    sweep("nginx");
}

#[test]
fn nginx_without_letter_case_never_runs_its_secret_handler() {
    sweep("nginx-nocase");
}

#[test]
fn werkzeug_never_runs_its_secret_handler() {
    sweep("werkzeug");
}

#[test]
fn starlette_never_runs_its_secret_handler() {
    sweep("starlette");
}

#[test]
fn node_never_runs_its_secret_handler() {
    sweep("node");
}

#[test]
fn the_most_lenient_server_never_runs_its_secret_handler() {
    sweep("lenient");
}
