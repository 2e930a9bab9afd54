//! From the file to something that can be served.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{Loaded, fingerprint::Fingerprint, names::Names, own::is_own, snapshot::Snapshot};
use crate::{
    compile::{self, Circumstances, Compiled},
    config::{self, codes, diagnostic::Diagnostic},
    observe::Metrics,
};

/// Set to `1` by whoever wants the demonstration secrets where others can reach the gateway.
const DEMONSTRATION: &str = "PORTCULLIS_DEMO";

/// How often a file is read that names others each time.
const ROUNDS: usize = 3;

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

/// A file that there is nothing to serve of.
#[derive(Debug)]
pub(super) struct Refused {
    /// Why.
    pub why: Unloadable,
    /// The file and all that it names, from before they were read: once one of them is another, it is
    /// worth another look.
    pub fingerprint: Fingerprint,
}

/// Reads and compiles the file. Opens files and looks names up: not for a thread that serves.
///
/// # Errors
/// The file cannot be read, or has faults.
pub(super) fn load(
    file: &Path,
    metrics: &Arc<Metrics>,
    old: Option<&Snapshot>,
) -> Result<Loaded, Refused> {
    let known = old.map_or(&[] as &[PathBuf], |old| &old.serving().files);
    let (fingerprint, read) = read(file, known);
    let loaded = match read {
        Ok(loaded) => loaded,
        Err(error) => return Err(Refused { why: Unloadable::Unreadable(error), fingerprint }),
    };
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
        is_own,
    };
    let Compiled { outcome, diagnostics } = compile::compile(&loaded, &circumstances);
    let Some(outcome) = outcome else {
        return Err(Refused { why: Unloadable::Faulty(diagnostics), fingerprint });
    };
    Ok(Loaded {
        snapshot: Snapshot::succeed(outcome.policy, outcome.serving, names, metrics, now, old),
        warnings: diagnostics,
        fingerprint,
    })
}

/// Reads the file and all that it names, which was looked at before: what changes in between is seen as
/// a change later. Only a file says what it names, so one that names more than was looked at is
/// read once more.
fn read(
    file: &Path,
    known: &[PathBuf],
) -> (Fingerprint, Result<config::Loaded, config::load::Unreadable>) {
    let mut files = known.to_vec();
    if !files.iter().any(|known| known == file) {
        files.push(file.to_owned());
    }
    let mut rounds = 0;
    loop {
        let before = Fingerprint::take(&files);
        let loaded = match config::load(file, &|name| std::env::var(name).ok()) {
            Ok(loaded) => loaded,
            Err(error) => return (before, Err(error)),
        };
        let named = loaded.files.watched();
        rounds += 1;
        match before.of(&named) {
            Some(fingerprint) => return (fingerprint, Ok(loaded)),
            // It names others each time it is read: somebody is at it, and that is a change later.
            None if rounds == ROUNDS => return (before, Ok(loaded)),
            None => files = named,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_faulty_file_names_is_watched_as_it_was_before_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let (file, key) = (folder.path().join("gateway.yaml"), folder.path().join("key"));
        std::fs::write(&file, "token: { secret: { file: key } }\n").unwrap();
        let (fingerprint, loaded) = read(&file, &[]);
        assert!(loaded.unwrap().is_faulty());
        assert_eq!(fingerprint, Fingerprint::take([&file, &key]));
        std::fs::write(&key, "k").unwrap();
        assert_ne!(fingerprint, fingerprint.again());
    }

    #[test]
    fn a_file_that_is_gone_is_watched_with_what_it_named() {
        let folder = tempfile::tempdir().unwrap();
        let known = ["gateway.yaml", "key"].map(|name| folder.path().join(name));
        let (fingerprint, loaded) = read(&known[0], &known);
        assert!(loaded.is_err());
        assert!(fingerprint.files().eq(&known));
    }
}
