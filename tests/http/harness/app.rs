//! An application of `tests/http/apps` as a process: it takes a free port and says which.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use super::{Call, eventually};

/// The root of the project.
pub fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// A program that `scripts/setup test` has brought.
pub fn tool(name: &str) -> PathBuf {
    let path = root().join(".tools").join(name);
    assert!(
        path.exists(),
        ".tools/{name} is missing: run `make test`, which installs what the tests need"
    );
    path
}

/// The portcullis that is tested: the one of this build, or the one that a soak names.
pub fn binary() -> PathBuf {
    let named = std::env::var_os("PORTCULLIS_TEST_BINARY").map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_portcullis")))
}

/// `tests/http/apps/NAME.py`, ready to be run.
pub fn python(name: &str) -> Command {
    let mut command = Command::new(tool("python/bin/python"));
    command
        .arg(root().join("tests/http/apps").join(name).with_extension("py"))
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PORTCULLIS_TEST_TOOLS", root().join(".tools/bin"));
    command
}

/// A program for Node, put into this directory with what it imports.
pub fn node(directory: &Path, name: &str, code: &str) -> Command {
    let script = directory.join(name).with_extension("mjs");
    fs::write(&script, code).unwrap();
    let modules = directory.join("node_modules");
    if !modules.exists() {
        symlink(tool("node_modules"), modules).unwrap();
    }
    let mut command = Command::new(tool("bin/node"));
    command.arg(script);
    command
}

/// Asks a program that answers one JSON question, as `tokens.py` does.
pub fn ask(name: &str, question: &Value) -> Value {
    let mut child = python(name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name}: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The running application. It ends with this value, and when the tests end however they do: it watches its standard input.
pub struct App {
    child: Child,
    input: Option<ChildStdin>,
    address: SocketAddr,
    said: Arc<Mutex<Vec<String>>>,
}

impl App {
    /// Starts `tests/http/apps/NAME.py` with these arguments.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = python(name);
        command.args(arguments);
        Self::run(name, &mut command)
    }

    /// Starts a program for Node, which can import what `scripts/setup test` has installed.
    pub fn node(directory: &Path, name: &str, code: &str) -> Self {
        Self::run(name, &mut node(directory, name, code))
    }

    fn run(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        gather(child.stdout.take().unwrap(), &said);
        gather(child.stderr.take().unwrap(), &said);
        let address = eventually("an application that says where it listens", || {
            let ended = child.try_wait().unwrap();
            let lines = said.lock().unwrap().clone();
            let announced = lines.iter().find_map(|line| line.strip_prefix("listening "));
            assert!(ended.is_none(), "{name}: {ended:?}\n{}", lines.join("\n"));
            announced?.parse().ok()
        });
        Self { input: child.stdin.take(), child, address, said }
    }

    /// The one such application that all tests share; it ends when they do.
    pub fn shared(name: &'static str, arguments: &[&'static str]) -> Arc<Self> {
        type Shared = Mutex<HashMap<(&'static str, Vec<&'static str>), Arc<App>>>;
        static SHARED: LazyLock<Shared> = LazyLock::new(Shared::default);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let place = shared.entry((name, arguments.to_vec()));
        Arc::clone(place.or_insert_with(|| Arc::new(Self::start(name, arguments))))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A request to the application itself, past the gateway.
    pub fn call(&self, method: &str, target: &str) -> Call {
        Call::new(method, self.address, target)
    }

    pub fn get(&self, target: &str) -> Call {
        self.call("GET", target)
    }

    /// Sends it a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        super::gateway::signal(self.child.id(), name);
    }

    /// What it has printed so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.input.take());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) {
            if std::time::Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

/// Keeps every line that a process prints.
pub fn gather(
    from: impl std::io::Read + Send + 'static,
    into: &Arc<Mutex<Vec<String>>>,
) -> thread::JoinHandle<()> {
    let into = Arc::clone(into);
    thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            into.lock().unwrap().push(text);
            line.clear();
        }
    })
}
