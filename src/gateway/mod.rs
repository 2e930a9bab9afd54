//! The living whole: what is live now, how it becomes something else, and whether it is well.

mod certificates;
mod fingerprint;
pub mod health;
mod load;
pub mod names;
pub mod own;
pub mod reload;
mod request_id;
mod snapshot;
pub mod targets;
pub mod upkeep;
pub mod watch;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus::IntGauge;

use crate::{
    compile::Serving,
    config::diagnostic::Diagnostic,
    model::Timestamp,
    observe::{AccessLog, LogTerms, Metrics, logging::Logging},
    sources::Records,
};
use fingerprint::Fingerprint;
pub use health::Readiness;
pub use load::Unloadable;
pub use reload::{Failed, Reloaded};
pub use request_id::RequestId;
pub use snapshot::Snapshot;

/// The gateway as it runs.
#[derive(Debug)]
pub struct Gateway {
    file: PathBuf,
    live: ArcSwap<Snapshot>,
    /// What sockets and threads were made by; what differs from it needs a restart.
    begun_with: Serving,
    /// Where it listens, port 0 resolved.
    listeners: OnceLock<Vec<SocketAddr>>,
    started: Timestamp,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    logging: Arc<Logging>,
    access_log: AccessLog,
    /// Held by the one reload that runs.
    reloading: tokio::sync::Mutex<()>,
    /// The content that was last looked at, whether it could be used or not.
    seen: Mutex<Fingerprint>,
    last: Mutex<reload::Last>,
}

/// A configuration that can be served, and what is odd about it.
#[derive(Debug)]
pub struct Loaded {
    /// What can be served.
    snapshot: Snapshot,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
    fingerprint: Fingerprint,
}

impl Loaded {
    /// What the process needs.
    pub fn serving(&self) -> &Serving {
        self.snapshot.serving()
    }

    /// What is known of the store, if there is one.
    pub fn records(&self) -> Option<&Arc<Records>> {
        self.snapshot.memory().records.as_ref()
    }

    /// How it is to log.
    pub fn log(&self) -> LogTerms {
        *self.snapshot.log()
    }
}

impl Gateway {
    /// Reads and compiles the file for the first time.
    ///
    /// # Errors
    /// The file cannot be read, or has faults.
    pub fn load(file: &std::path::Path, metrics: &Arc<Metrics>) -> Result<Loaded, Unloadable> {
        load::load(file, metrics, None).map_err(|refused| refused.why)
    }

    /// A gateway that begins with this configuration, within the runtime that serves.
    pub fn begin(
        file: PathBuf,
        loaded: Loaded,
        metrics: Arc<Metrics>,
        logging: Arc<Logging>,
    ) -> Arc<Self> {
        let Loaded { snapshot, fingerprint, .. } = loaded;
        let now = SystemTime::now().into();
        metrics.loaded(seconds(now));
        certificates::measure(snapshot.serving(), &metrics);
        snapshot.remotes().follow();
        Arc::new(Self {
            file,
            begun_with: snapshot.serving().clone(),
            live: ArcSwap::from_pointee(snapshot),
            listeners: OnceLock::new(),
            started: now,
            readiness: Readiness::default(),
            access_log: AccessLog::new(logging.queue().clone()),
            metrics,
            logging,
            reloading: tokio::sync::Mutex::new(()),
            seen: Mutex::new(fingerprint),
            last: Mutex::new(reload::Last::default()),
        })
    }

    /// Asks upstreams' targets from now on whether they are well.
    pub fn probe_targets(self: &Arc<Self>) {
        targets::probe::begin(self);
    }

    /// What is live. A request keeps what it began with.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.live.load_full()
    }

    /// The file that it serves.
    pub fn file(&self) -> &std::path::Path {
        &self.file
    }

    /// What sockets and threads were made by.
    pub fn begun_with(&self) -> &Serving {
        &self.begun_with
    }

    /// Says where it listens; what is said first stays.
    pub fn listens(&self, addresses: Vec<SocketAddr>) {
        let _ = self.listeners.set(addresses);
    }

    /// Where it listens.
    pub fn listeners(&self) -> &[SocketAddr] {
        self.listeners.get().map_or(&[], Vec::as_slice)
    }

    /// When it began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Whether it takes requests.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// What it is up to, as whoever sends it requests should see it: it has not begun before each issuer
    /// was asked for its keys.
    pub fn phase(&self) -> health::Phase {
        let tried = || self.snapshot().remotes().issuers().all(|one| one.health().tried);
        match self.readiness.phase() {
            health::Phase::Serving if !self.readiness.issuers_tried(tried()) => {
                health::Phase::Starting
            }
            phase => phase,
        }
    }

    /// The metrics of the process.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Where lines about requests go.
    pub fn access_log(&self) -> &AccessLog {
        &self.access_log
    }

    /// Counts a request as being answered until this is dropped.
    pub fn in_flight(&self) -> InFlight {
        InFlight::new(&self.metrics.in_flight)
    }

    /// The metrics in the text exposition format, those that are looked up included.
    ///
    /// # Errors
    /// A family that cannot be written; a fault of this program.
    pub fn exposition(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.metrics.log_lines_dropped(self.logging.queue().dropped());
        let snapshot = self.snapshot();
        upkeep::measure(snapshot.memory(), &self.metrics);
        snapshot.measure_targets(SystemTime::now().into());
        upkeep::measure_issuers(snapshot.remotes(), &self.metrics);
        self.metrics.exposition()
    }
}

/// Unix time, as metrics tell it.
fn seconds(time: Timestamp) -> f64 {
    time.micros() as f64 / 1e6
}

/// A request that is being answered.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl InFlight {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
