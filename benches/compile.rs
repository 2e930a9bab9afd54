//! What it costs to take up a file of many routes: its text read, and what was read compiled.
//!
//! `file_to_policy` begins with a file on disk and ends with all that is swapped in, metric handles
//! aside; `load` is its first half, `compile` its second. Leaves out looking up names of upstreams.

use std::{fmt::Write as _, io::Write as _};

use divan::{Bencher, black_box};
use portcullis::{
    compile::{self, Circumstances},
    config,
};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [10, 1_000, 10_000];

fn main() {
    divan::main();
}

/// A gateway before so many routes: every one with a credential, a role or permissions, some with
/// limits of their own.
fn text(routes: usize) -> String {
    let mut text = String::from(
        r#"version: 1
upstreams: { app: "http://127.0.0.1:9000" }
users:
  - username: alice
    password: "$argon2id$v=19$m=19456,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo+Tnjn4bQFlcVhekFGCWbSs/kQqTmDS4"
    roles: [user]
token: { path: /auth/token, secret: "a secret of more than thirty-two bytes, for a bench" }
roles:
  user: { permissions: [read:items] }
  admin: { includes: [user], permissions: [write:items] }
defaults:
  auth: [jwt]
  rate_limit: { limit: 100/minute, by: client_ip }
routes:
"#,
    );
    for number in 0..routes {
        let (service, kind) = (number / 5, number % 5);
        // Writing to a string cannot fail.
        let _ = match kind {
            0 => writeln!(
                text,
                "  - name: item-{service}\n    match: {{ path: \"/api/service-{service}/items/{{id}}\", methods: [GET] }}\n    upstream: app\n    allow: {{ permissions: [read:items] }}"
            ),
            1 => writeln!(
                text,
                "  - name: items-{service}\n    match: {{ path: /api/service-{service}/items, methods: [GET, POST] }}\n    upstream: app\n    allow: {{ roles: [user] }}\n    rate_limit: {{ limit: 10/minute, by: principal }}"
            ),
            2 => writeln!(
                text,
                "  - name: order-{service}\n    match: {{ path: \"/api/service-{service}/users/{{user_id}}/orders/{{order_id}}\" }}\n    upstream: app\n    allow: {{ owner: user_id }}"
            ),
            3 => writeln!(
                text,
                "  - name: files-{service}\n    match: {{ path: \"/files/service-{service}/**\" }}\n    upstream: app\n    allow: {{ roles: [admin] }}"
            ),
            _ => writeln!(
                text,
                "  - name: health-{service}\n    match: {{ path: /health/service-{service}, methods: [GET] }}\n    upstream: app\n    auth: none"
            ),
        };
    }
    text
}

fn loaded(text: &str) -> config::Loaded {
    config::load_text("bench.yaml", text, &|_| None)
}

fn compiled(loaded: &config::Loaded) -> compile::Outcome {
    let compiled = compile::compile(loaded, &Circumstances::default());
    let Some(outcome) = compiled.outcome else { panic!("{:?}", compiled.diagnostics) };
    outcome
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn load(bencher: Bencher<'_, '_>, routes: usize) {
    let text = text(routes);
    bencher.bench(|| loaded(black_box(&text)));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn compile(bencher: Bencher<'_, '_>, routes: usize) {
    let loaded = loaded(&text(routes));
    bencher.bench(|| compiled(black_box(&loaded)));
}

#[divan::bench(args = SIZES, sample_count = 20)]
fn file_to_policy(bencher: Bencher<'_, '_>, routes: usize) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text(routes).as_bytes()).expect("written");
    bencher.bench(|| {
        let loaded = config::load(file.path(), &|_| None).expect("a file");
        compiled(&loaded)
    });
}
