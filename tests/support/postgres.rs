//! A PostgreSQL server of the tests' own: a fresh cluster in a folder of its own, reached by a socket
//! in that folder, run by a user without privileges.

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::Connection as _;

/// The user that nobody is, on Debian and elsewhere.
const NOBODY: u32 = 65_534;

/// A server; it ends with the process of the tests, or with this value.
pub struct Postgres {
    folder: PathBuf,
    child: Mutex<Option<Child>>,
    /// Whoever reads from this ends the server and removes its folder once nobody writes any more:
    /// when this value is dropped, and when the tests end in whatever way.
    lease: Child,
}

impl Postgres {
    /// The server that all tests of this process share, each with a database of its own.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// A server of one's own.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap().keep();
        let data = folder.join("data");
        fs::create_dir(&data).unwrap();
        if is_root() {
            for path in [&folder, &data] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let made = Self::command(&folder, "initdb")
            .args([
                "-A",
                "trust",
                "-U",
                "portcullis",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "-D",
            ])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let script = "cat >/dev/null
            read -r id <\"$0/data/postmaster.pid\" && kill -QUIT \"$id\" &&
                for wait in 1 2 3 4 5 6 7 8 9; do kill -0 \"$id\" || break; sleep 0.2; done
            rm -rf \"$0\"";
        let lease = Command::new("sh")
            .args(["-c", script])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let server = Self { folder, child: Mutex::new(None), lease };
        server.resume();
        server
    }

    /// A fresh database; its URL.
    pub fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("db{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.run("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://portcullis@localhost/{name}?host={}", self.folder.display())
    }

    /// Runs a statement.
    pub fn run(&self, database: &str, statement: &str) {
        self.try_to_run(database, statement).unwrap();
    }

    /// Runs a statement, on a thread of its own: a test may have a runtime already.
    fn try_to_run(&self, database: &str, statement: &str) -> Result<(), sqlx::Error> {
        let (url, statement) = (self.url(database), statement.to_owned());
        let work = async move {
            sqlx::any::install_default_drivers();
            let mut connection = sqlx::AnyConnection::connect(&url).await?;
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
            connection.close().await
        };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
        std::thread::spawn(move || runtime().unwrap().block_on(work)).join().unwrap()
    }

    /// Starts it, the first time or again, and waits until it answers.
    pub fn resume(&self) {
        let mut log = fs::File::create(self.folder.join("log")).unwrap();
        writeln!(log, "starting").unwrap();
        let child = Self::command(&self.folder, "postgres")
            .arg("-D")
            .arg(self.folder.join("data"))
            .arg("-k")
            .arg(&self.folder)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        *self.child.lock().unwrap() = Some(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if self.try_to_run("postgres", "SELECT 1").is_ok() {
                return;
            }
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL does not start\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a crash would: no connection is closed in good order.
    pub fn crash(&self) {
        let child = self.child.lock().unwrap().take();
        let mut child = child.expect("it runs");
        self.signal(child.id(), "QUIT");
        child.wait().unwrap();
    }

    /// Makes it hang: connections stay open, and nothing is answered.
    pub fn hang(&self) {
        let child = self.child.lock().unwrap();
        self.signal_group(child.as_ref().expect("it runs").id(), "STOP");
    }

    /// Ends the hanging.
    pub fn go_on(&self) {
        let child = self.child.lock().unwrap();
        self.signal_group(child.as_ref().expect("it runs").id(), "CONT");
    }

    fn signal(&self, id: u32, name: &str) {
        let done = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().unwrap();
        assert!(done.success());
    }

    /// The server and all that it started, of which each is a group of its own.
    fn signal_group(&self, id: u32, name: &str) {
        let script = format!("kill -{name} {id} $(cat /proc/{id}/task/*/children)");
        let done = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(done.success());
    }

    fn command(folder: &Path, program: &str) -> Command {
        let mut command = Command::new(binaries().join(program));
        command.current_dir(folder).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = Command::new("sh").args(["-c", &format!("kill -QUIT {}", child.id())]).status();
            let _ = child.wait();
        }
        drop(self.lease.stdin.take());
        let _ = self.lease.wait();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Where the server's programs are: Debian keeps them off the path.
fn binaries() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
        folders.sort_by(|one, other| other.cmp(one));
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&path));
        let found = folders.into_iter().find(|folder| {
            ["initdb", "postgres"].iter().all(|program| folder.join(program).exists())
        });
        found.expect("no PostgreSQL server: `scripts/setup test` installs one")
    })
}
