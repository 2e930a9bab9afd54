//! Others judge the same: PyJWT of tokens, the `limits` library of quotas, Starlette's middleware of cross-origin requests.
//! Each runs beside the judge in the environment that `scripts/setup test` has made, and knows nothing of it.

mod cors;
#[path = "../properties/gate.rs"]
#[allow(dead_code, reason = "the properties ask for more of it")]
mod gate;
mod tokens;
mod windows;

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// Asks `NAME.py` of this folder one question in JSON.
fn ask(name: &str, question: &Value) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join(".tools/python/bin/python");
    assert!(python.exists(), "run `make test`, which installs what the tests need");
    let mut child = Command::new(python)
        .arg(root.join("tests/oracles").join(name).with_extension("py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name}: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}
