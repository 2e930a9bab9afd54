//! portcullis itself, as a process in a directory of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::app::{binary, gather};
use super::{Call, Raw, eventually};

/// What a configuration of the tests begins with: free ports for both listeners.
pub const PORTS: &str = "version: 1\nserver: { listen: [{ address: '127.0.0.1:0' }] }\nadmin: { listen: '127.0.0.1:0' }\n";

/// A gateway that has yet to be started.
pub struct Setting {
    directory: TempDir,
    yaml: String,
    elsewhere: Option<PathBuf>,
    environment: Vec<(String, String)>,
    log: Option<File>,
}

impl Setting {
    /// Puts `value` where the configuration says `@NAME@`.
    pub fn put(mut self, name: &str, value: &str) -> Self {
        let place = format!("@{name}@");
        assert!(self.yaml.contains(&place), "the configuration has no {place}");
        self.yaml = self.yaml.replace(&place, value);
        self
    }

    /// A file beside the configuration.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.directory.path().join(name), content).unwrap();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Reads this file instead of one of its own.
    pub fn at(mut self, config: &Path) -> Self {
        self.elsewhere = Some(config.to_owned());
        self
    }

    /// Starts it and waits until both listeners are open.
    pub fn start(self) -> Gateway {
        let mut gateway = self.spawn(&[]);
        gateway.wait_for_listeners();
        gateway
    }

    /// Starts it with a log that goes to this file, where nobody reads it, and waits until both listeners answer: this one
    /// for clients, that one for the admin API.
    pub fn start_unheard(mut self, log: File, proxy: SocketAddr, admin: SocketAddr) -> Gateway {
        self.log = Some(log);
        let mut gateway = self.spawn(&[]);
        (gateway.proxy, gateway.admin) = (proxy, admin);
        eventually("both listeners", || {
            assert!(gateway.runs(), "portcullis ended");
            TcpStream::connect(proxy).and_then(|_| TcpStream::connect(admin)).ok()
        });
        gateway
    }

    /// Starts it as the successor of a running gateway, and waits until it waits to be handed that one's
    /// sockets.
    pub fn succeed(self) -> Gateway {
        let gateway = self.spawn(&["--upgrade"]);
        gateway.wait_for_log("a successor", |line| line["event"] == "upgrade_waiting");
        gateway
    }

    /// Starts it and waits for it to end, which it must.
    pub fn fail(self) -> (ExitStatus, String) {
        self.fail_with(&[])
    }

    /// The same with more on the command line.
    pub fn fail_with(self, more: &[&str]) -> (ExitStatus, String) {
        let mut gateway = self.spawn(more);
        let status = gateway.wait();
        (status, gateway.output())
    }

    fn spawn(self, more: &[&str]) -> Gateway {
        let config = self.elsewhere.unwrap_or_else(|| {
            let config = self.directory.path().join("gateway.yaml");
            fs::write(&config, &self.yaml).unwrap();
            config
        });
        let mut child = Command::new(binary())
            .args(["run", "-c"])
            .arg(&config)
            .args(more)
            .env_remove("PORTCULLIS_DEMO")
            .env_remove("PORTCULLIS_ADMIN_TOKEN")
            .envs(self.environment)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.log.map_or_else(Stdio::piped, Stdio::from))
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut readers = vec![gather(child.stdout.take().unwrap(), &said)];
        readers.extend(child.stderr.take().map(|stderr| gather(stderr, &said)));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Gateway {
            child,
            proxy: nowhere,
            admin: nowhere,
            directory: self.directory,
            config,
            said,
            readers,
        }
    }
}

fn address(line: &Value) -> SocketAddr {
    line["address"].as_str().unwrap().parse().unwrap()
}

/// The running gateway; it ends with this value.
pub struct Gateway {
    child: Child,
    proxy: SocketAddr,
    admin: SocketAddr,
    directory: TempDir,
    config: PathBuf,
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Gateway {
    /// A gateway with this configuration, to which the free ports are added.
    pub fn with(yaml: &str) -> Setting {
        Self::with_whole(&format!("{PORTS}{yaml}"))
    }

    /// A gateway with exactly this configuration.
    pub fn with_whole(yaml: &str) -> Setting {
        let directory = tempfile::tempdir().unwrap();
        Setting {
            directory,
            yaml: yaml.to_owned(),
            elsewhere: None,
            environment: Vec::new(),
            log: None,
        }
    }

    /// Waits until both listeners are open.
    pub fn wait_for_listeners(&mut self) {
        let announced = |gateway: &Self, listener: &str| {
            gateway.logged(|line| line["event"] == "listening" && line["listener"] == listener)
        };
        let (proxy, admin) = eventually("both listeners", || {
            let (proxy, admin) = (announced(self, "proxy"), announced(self, "admin"));
            if proxy.is_none() || admin.is_none() {
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none(), "portcullis ended ({ended:?})\n{}", self.output());
            }
            Some((address(&proxy?), address(&admin?)))
        });
        (self.proxy, self.admin) = (proxy, admin);
    }

    pub fn address(&self) -> SocketAddr {
        self.proxy
    }

    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub fn config(&self) -> &Path {
        &self.config
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn call(&self, method: &str, target: &str) -> Call {
        Call::new(method, self.proxy, target)
    }

    pub fn get(&self, target: &str) -> Call {
        self.call("GET", target)
    }

    pub fn admin(&self, method: &str, target: &str) -> Call {
        Call::new(method, self.admin, target)
    }

    /// A connection to send bytes over.
    pub fn raw(&self) -> Raw {
        Raw::connect(self.proxy)
    }

    /// Logs in with a password; the access token.
    pub fn login(&self, username: &str, password: &str) -> String {
        let form = [("grant_type", "password"), ("username", username), ("password", password)];
        let answer = self.call("POST", "/auth/token").form(&form).send();
        answer.ok().json()["access_token"].as_str().unwrap().to_owned()
    }

    /// The first log line that fits.
    pub fn logged(&self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let lines = self.said.lock().unwrap();
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find(|line| fits(line))
    }

    /// Waits for a log line that fits.
    pub fn wait_for_log(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || self.logged(&fits))
    }

    /// All that it has printed so far.
    pub fn output(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// The value of one series of `/metrics`, spelled as it stands there; 0 if it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let answer = self.admin("GET", "/metrics").send();
        let text = answer.ok().text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until it says that it is ready.
    pub fn wait_until_ready(&self) {
        eventually("readiness", || {
            (self.admin("GET", "/readyz").send().status == 200).then_some(())
        });
    }

    /// Sends it a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Bytes of memory that it has.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// File descriptors that it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// From now on it may have so many file descriptors.
    pub fn allow_descriptors(&self, most: usize) {
        let id = self.child.id().to_string();
        let status =
            Command::new("prlimit").args(["--pid", &id, &format!("--nofile={most}:")]).status();
        assert!(status.unwrap().success());
    }

    /// Processor time that it has used, in hundredths of a second.
    pub fn processor_time(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit(") ").next().unwrap();
        after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }

    /// How many log lines fit.
    pub fn count_logged(&self, fits: impl Fn(&Value) -> bool) -> usize {
        let lines = self.said.lock().unwrap();
        let lines = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line| fits(line)).count()
    }

    /// Runs a command of portcullis against its file.
    pub fn portcullis(&self, arguments: &[&str]) -> Output {
        Command::new(binary()).args(arguments).arg("-c").arg(&self.config).output().unwrap()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let status = eventually("the end of portcullis", || self.child.try_wait().unwrap());
        // What it said last is read after it has ended.
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        status
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- portcullis said\n{}", self.output());
        }
        if !self.runs() {
            return;
        }
        self.signal("TERM");
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.runs() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
            } else {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

pub(super) fn signal(id: u32, name: &str) {
    // The shell's own `kill`: the standard library has none but SIGKILL.
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().unwrap();
    assert!(status.success(), "no process {id} to send {name}");
}
