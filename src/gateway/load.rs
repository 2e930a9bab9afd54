//! From the file to something that can be served.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{Loaded, fingerprint::Fingerprint, names::Names, snapshot::Snapshot};
use crate::{
    compile::{self, Circumstances, Compiled},
    config::{self, codes, diagnostic::Diagnostic},
    observe::Metrics,
};

/// Set to `1` by whoever wants the demonstration secrets where others can reach the gateway.
const DEMONSTRATION: &str = "PORTCULLIS_DEMO";

/// Why there is nothing to serve.
#[derive(Debug)]
pub enum Unloadable {
    /// The file has faults; warnings are among them.
    Faulty(Vec<Diagnostic>),
    /// The file cannot be read.
    Unreadable(config::load::Unreadable),
}

impl Unloadable {
    /// As diagnostics of the file.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        match self {
            Self::Faulty(diagnostics) => diagnostics,
            Self::Unreadable(error) => {
                vec![Diagnostic::of_file(codes::UNREADABLE_FILE, error.to_string())]
            }
        }
    }
}

/// Reads and compiles the file. Opens files and looks names up: not for a thread that serves.
///
/// # Errors
/// The file cannot be read, or has faults.
pub(super) fn load(
    file: &Path,
    metrics: &Arc<Metrics>,
    old: Option<&Snapshot>,
) -> Result<Loaded, Unloadable> {
    // Taken before the files are read: a change in between is seen as one later.
    let before = Fingerprint::take(old.map_or(&[] as &[PathBuf], |old| &old.serving().files));
    let loaded =
        config::load(file, &|name| std::env::var(name).ok()).map_err(Unloadable::Unreadable)?;
    let now = SystemTime::now().into();
    let servers = loaded.config.server.resolver.as_ref();
    let servers: Vec<_> =
        servers.into_iter().flat_map(|all| all.as_slice()).map(|server| server.0).collect();
    let wanted = compile::names_to_look_up(&loaded.config);
    let names = Names::load(wanted, &servers, old.map(Snapshot::names));
    let circumstances = Circumstances {
        now,
        demonstration_allowed: std::env::var_os(DEMONSTRATION).is_some_and(|value| value == "1"),
        addresses: names.all(),
    };
    let Compiled { outcome, diagnostics } = compile::compile(&loaded, &circumstances);
    let Some(outcome) = outcome else { return Err(Unloadable::Faulty(diagnostics)) };
    let same_files = before.files().eq(&outcome.serving.files);
    let fingerprint = if same_files { before } else { Fingerprint::take(&outcome.serving.files) };
    Ok(Loaded {
        snapshot: Snapshot::succeed(outcome.policy, outcome.serving, names, metrics, now, old),
        warnings: diagnostics,
        fingerprint,
    })
}
