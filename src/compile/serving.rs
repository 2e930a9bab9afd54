//! What the process needs beside the policy: where it listens, how it logs, how it stops.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Input,
    faults::Faults,
    secrets, server,
    tls::{self, TlsTerms},
};
use crate::{
    config::{
        codes,
        log::{LogFormat, LogLevel},
    },
    model::{Secret, StoreLocation},
};

/// What the process needs beside the policy.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The addresses to serve on.
    pub listen: Vec<Listen>,
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
    /// How many threads serve; none is one a core.
    pub workers: Option<u16>,
    /// How much longer requests are accepted once the gateway was told to stop.
    pub drain_delay: Duration,
    /// How long running requests may take to end after that.
    pub drain_timeout: Duration,
    /// Where a successor waits for the sockets of this process.
    pub upgrade_socket: Option<PathBuf>,
    /// The admin listener.
    pub admin: AdminTerms,
    /// What is written to stderr.
    pub log: LogTerms,
    /// Where users, keys and grants are kept beside the file.
    pub store: Option<StoreTerms>,
    /// Where the last good keys of issuers are kept.
    pub state_dir: Option<PathBuf>,
    /// Who is asked for the addresses of upstreams' names; whom the system asks if nobody is named.
    pub resolver: Vec<SocketAddr>,
    /// The file and all that it names: what is watched.
    pub files: Vec<PathBuf>,
}

/// A listener.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where.
    pub address: SocketAddr,
    /// How it speaks TLS, if it does.
    pub tls: Option<Arc<TlsTerms>>,
    /// Where it sends clients that came in clear, instead of serving them.
    pub redirect: Option<HttpsPort>,
    /// Whether trusted proxies announce whom a connection is from.
    pub announced: bool,
}

/// The port at which clients find the same by `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpsPort {
    /// This one.
    Fixed(u16),
    /// That of the listener at this place of `server.listen`.
    Of(usize),
}

impl Listen {
    /// Whether the socket of one will do for the other.
    pub fn is_like(&self, other: &Self) -> bool {
        self.address == other.address && self.tls.is_some() == other.tls.is_some()
    }
}

/// The admin listener's terms.
#[derive(Clone, Debug)]
pub struct AdminTerms {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What callers of the admin API present; absent lets loopback callers read.
    pub token: Option<Secret>,
    /// More names that it may be called by, in lower case.
    pub hosts: Vec<String>,
}

/// The store's terms.
#[derive(Clone, Debug)]
pub struct StoreTerms {
    /// Where it is.
    pub location: StoreLocation,
    /// How long what is known of it serves while it is away.
    pub max_stale: Duration,
}

/// What is written to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTerms {
    /// The form of a line.
    pub format: LogFormat,
    /// How much is logged.
    pub level: LogLevel,
    /// Whether each request gets a line.
    pub access: bool,
    /// Whether that line says who it was.
    pub identity: bool,
}

/// A token of the admin API has at least so many bytes.
const LEAST_TOKEN: usize = 16;

/// Reads what the process needs.
pub(super) fn compile(input: &Input<'_>, faults: &mut Faults) -> Serving {
    let (server, log) = (&input.config.server, &input.config.log);
    Serving {
        listen: tls::listeners(input, faults),
        http2: server.http2,
        workers: server::workers(input, faults),
        drain_delay: server.drain_delay.0,
        drain_timeout: server.drain_timeout.0,
        upgrade_socket: server
            .upgrade_socket
            .as_ref()
            .map(|path| input.loaded.files.beside(path.as_path())),
        admin: admin(input, faults),
        log: LogTerms {
            format: log.format,
            level: log.level,
            access: log.access,
            identity: log.identity,
        },
        store: store(input, faults),
        state_dir: state_dir(input),
        resolver: server
            .resolver
            .iter()
            .flat_map(|all| all.as_slice())
            .map(|server| server.0)
            .collect(),
        files: input.loaded.files.watched(),
    }
}

/// How long a store may be away before nobody relies on what is known of it.
const MAX_STALE: Duration = Duration::from_secs(600);

fn store(input: &Input<'_>, faults: &mut Faults) -> Option<StoreTerms> {
    let at = input.root();
    let Some(written) = &input.config.store else {
        if input.config.store_max_stale.is_some() && !input.is_faulty("store") {
            faults
                .fault(
                    codes::MISSING_KEY,
                    at.key("store_max_stale"),
                    "`store_max_stale` is there, and no store is",
                )
                .help("add `store: sqlite:portcullis.db`, or remove it");
        }
        return None;
    };
    let max_stale = input.config.store_max_stale.map_or(MAX_STALE, |written| written.0);
    let location = match &written.0 {
        StoreLocation::Sqlite(file) => StoreLocation::Sqlite(input.loaded.files.beside(file)),
        other @ StoreLocation::Postgres(_) => other.clone(),
    };
    Some(StoreTerms { location, max_stale })
}

/// Where state is kept: where the file says, else beside a store that is a file.
fn state_dir(input: &Input<'_>) -> Option<PathBuf> {
    let files = &input.loaded.files;
    if let Some(folder) = &input.config.state_dir {
        return Some(files.beside(folder.as_path()));
    }
    match &input.config.store.as_ref()?.0 {
        StoreLocation::Sqlite(file) => files.beside(file).parent().map(Path::to_owned),
        StoreLocation::Postgres(_) => None,
    }
}

fn admin(input: &Input<'_>, faults: &mut Faults) -> AdminTerms {
    let admin = &input.config.admin;
    let at = input.root().key("admin");
    let listen = admin.listen.0;
    let token =
        admin.token.as_ref().and_then(|token| secrets::read(input, token, at.key("token"), faults));
    let token = token.filter(|token| !token.is_empty());
    // It may be there, and only could not be read.
    let untold = input.lacks(at, "token") || input.is_faulty("admin.token");
    match &token {
        Some(token) if token.expose().len() < LEAST_TOKEN => {
            faults
                .fault(
                    codes::ADMIN_TOKEN,
                    at.key("token"),
                    format!("`admin.token` is shorter than {LEAST_TOKEN} characters"),
                )
                .help("make one: `openssl rand -hex 32`");
        }
        Some(token) if !token.expose().iter().all(|byte| (b'!'..=b'~').contains(byte)) => {
            faults
                .fault(
                    codes::ADMIN_TOKEN,
                    at.key("token"),
                    "`admin.token` has characters that no `Authorization` header can hold",
                )
                .help("use visible ASCII without spaces: `openssl rand -hex 32`");
        }
        None if !listen.ip().is_loopback() && !untold => {
            faults
                .fault(
                    codes::ADMIN_TOKEN,
                    at.key("listen"),
                    "other machines can reach the admin listener, and `admin.token` is not set",
                )
                .help("set `token: ${PORTCULLIS_ADMIN_TOKEN}`, or listen on 127.0.0.1");
        }
        Some(_) | None => {}
    }
    if !admin.hosts.is_empty() && admin.token.is_none() && !untold {
        faults
            .warning(codes::NO_EFFECT, at.key("hosts"), "without `admin.token` these names are not taken")
            .help("set `token`: without it only loopback names count, so that no page of another name can reach the admin API");
    }
    let host = |host: &str| host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let hosts = admin.hosts.iter().map(|name| host(&name.0)).collect();
    AdminTerms { listen, token, hosts }
}
