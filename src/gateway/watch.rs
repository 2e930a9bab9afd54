//! Notices that the file, or one that it names, has changed.
//!
//! Folders are watched rather than files: editors and ConfigMaps put a new file in the place of
//! the old one, and a watch on the old one would see nothing more. What counts is the content once
//! it has rested; where the system reports nothing (network file systems), a look now and then
//! finds it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::{Gateway, fingerprint::Fingerprint, reload::Trigger};

/// How long a content must rest before it is read as a configuration.
const REST: Duration = Duration::from_millis(300);

/// How often the files are looked at although nothing was reported.
const LOOK: Duration = Duration::from_secs(30);

/// Watches and reloads for as long as the gateway lives, and for each SIGHUP that is passed on.
pub async fn watch(gateway: Arc<Gateway>, mut hangups: mpsc::Receiver<()>) {
    let (changed, mut changes) = mpsc::channel(1);
    let mut folders = Folders::new(changed);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // What happened in a folder before it was watched nobody reports.
        let is_new = folders.follow(&gateway.watched());
        tokio::select! {
            biased;
            () = std::future::ready(()), if is_new => {}
            Some(()) = hangups.recv() => {
                // Its faults are in the log.
                let _ = gateway.reload(Trigger::Signal).await;
                continue;
            }
            _ = look.tick() => {}
            _ = changes.recv() => {}
        }
        if rested(&gateway).await {
            let _ = gateway.reload(Trigger::Change).await;
        }
    }
}

/// Waits until the content rests; whether it then differs from what was last looked at.
async fn rested(gateway: &Arc<Gateway>) -> bool {
    let mut now = look(gateway).await;
    while gateway.differs(&now) {
        tokio::time::sleep(REST).await;
        let again = look(gateway).await;
        if again == now {
            return gateway.differs(&again);
        }
        now = again;
    }
    false
}

async fn look(gateway: &Arc<Gateway>) -> Fingerprint {
    let reader = gateway.clone();
    let read = tokio::task::spawn_blocking(move || reader.look());
    match read.await {
        Ok(fingerprint) => fingerprint,
        Err(_) => gateway.look(),
    }
}

/// The folders that are watched.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    fn new(changed: mpsc::Sender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is reported too, and the gateway reads the files itself.
            let is_change = event.map_or(true, |event| !matches!(event.kind, EventKind::Access(_)));
            if is_change {
                // Full means that a look is due already.
                let _ = changed.try_send(());
            }
        });
        let watcher = watcher.inspect_err(|error| {
            tracing::warn!(event = "no_watch", %error, "changes of the file are noticed by looking at it");
        });
        Self { watcher: watcher.ok(), watched: BTreeSet::new() }
    }

    /// Watches the folders of these files, and those of the files that they stand for. Whether there
    /// are some that were not watched.
    fn follow(&mut self, files: &Fingerprint) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let wanted: BTreeSet<PathBuf> = files.files().flat_map(|file| folders(file)).collect();
        for folder in self.watched.difference(&wanted) {
            // It may be gone.
            let _ = watcher.unwatch(folder);
        }
        let watched: BTreeSet<PathBuf> = wanted
            .into_iter()
            .filter(|folder| {
                self.watched.contains(folder)
                    || watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
            })
            .collect();
        let is_new = !watched.is_subset(&self.watched);
        self.watched = watched;
        is_new
    }
}

/// The folder of a file and that of the file that it stands for; for a folder that is not there yet the
/// one in which it will be.
fn folders(file: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let parent = |file: &Path| {
        let named = |folder: &Path| match folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => folder.to_owned(),
        };
        file.ancestors().skip(1).map(named).find(|folder| folder.is_dir())
    };
    let real = std::fs::canonicalize(file).ok().and_then(|file| parent(&file));
    parent(file).into_iter().chain(real)
}
