//! A new configuration takes the place of the old one, or the old one stays.

use std::{sync::Arc, time::SystemTime};

use super::{
    Gateway, Loaded, certificates,
    fingerprint::Fingerprint,
    load::{self, Refused},
    seconds,
};
use crate::{
    compile::{Listen, Serving},
    config::diagnostic::Diagnostic,
    model::Timestamp,
};

/// What asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A caller of the admin API.
    Admin,
    /// The file, or one that it names, changed.
    Change,
    /// SIGHUP.
    Signal,
}

impl Trigger {
    /// As in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Change => "change",
            Self::Signal => "signal",
        }
    }
}

/// A reload that took effect.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The generation that is live now.
    pub generation: u64,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
    /// Keys whose change needs a restart.
    pub restart: Vec<&'static str>,
}

/// A reload that did not: nothing changed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Every fault of the file, warnings among them.
    pub diagnostics: Vec<Diagnostic>,
}

/// How the last reload went, for the status.
#[derive(Clone, Debug, Default)]
pub struct Last {
    /// When a reload was last refused, and how many faults there were, unless one succeeded since.
    pub refused: Option<(Timestamp, usize)>,
    /// Keys whose change waits for a restart.
    pub restart: Vec<&'static str>,
}

impl Gateway {
    /// Reads the file again. One reload runs at a time; whoever comes meanwhile waits for its own.
    ///
    /// # Errors
    /// The file has a fault, and what was live stays so.
    pub async fn reload(self: &Arc<Self>, trigger: Trigger) -> Result<Reloaded, Failed> {
        let _alone = self.reloading.lock().await;
        let gateway = self.clone();
        // Files are read and names looked up: not on a thread that serves.
        let loaded = tokio::task::spawn_blocking(move || {
            let old = gateway.snapshot();
            load::load(&gateway.file, &gateway.metrics, Some(&old))
        });
        match loaded.await {
            Ok(Ok(loaded)) => {
                let reloaded = self.take_up(loaded, trigger);
                self.probe_targets();
                Ok(reloaded)
            }
            Ok(Err(Refused { why, fingerprint })) => {
                Err(self.keep(why.into_diagnostics(), fingerprint, trigger))
            }
            Err(_) => {
                let fault = Diagnostic::of_file("internal", "the file could not be compiled");
                Err(self.keep(vec![fault], self.look(), trigger))
            }
        }
    }

    fn take_up(&self, loaded: Loaded, trigger: Trigger) -> Reloaded {
        let Loaded { snapshot, warnings, fingerprint } = loaded;
        let generation = snapshot.generation();
        let restart = needs_restart(&self.begun_with, snapshot.serving());
        self.logging.change(snapshot.log());
        certificates::measure(snapshot.serving(), &self.metrics);
        snapshot.remotes().follow();
        let snapshot = Arc::new(snapshot);
        let old = self.live.swap(snapshot.clone());
        snapshot.displace(&old, &self.metrics);
        self.metrics.reloaded(seconds(SystemTime::now().into()));
        *self.seen.lock() = fingerprint;
        *self.last.lock() = Last { refused: None, restart: restart.clone() };
        tracing::info!(event = "reloaded", trigger = trigger.as_str(), generation);
        for warning in &warnings {
            report(warning);
        }
        if !restart.is_empty() {
            tracing::warn!(
                event = "restart_needed",
                keys = restart.join(", "),
                "these keys changed and take effect with the next start"
            );
        }
        Reloaded { generation, warnings, restart }
    }

    fn keep(
        &self,
        diagnostics: Vec<Diagnostic>,
        fingerprint: Fingerprint,
        trigger: Trigger,
    ) -> Failed {
        self.metrics.reload_failed();
        let now = SystemTime::now().into();
        *self.seen.lock() = fingerprint;
        let faults = diagnostics.iter().filter(|one| one.is_error()).count();
        self.last.lock().refused = Some((now, faults));
        tracing::error!(
            event = "reload_failed",
            trigger = trigger.as_str(),
            faults,
            "the file has faults; what was live stays so"
        );
        for diagnostic in &diagnostics {
            report(diagnostic);
        }
        Failed { diagnostics }
    }

    /// How the last reload went.
    pub fn last_reload(&self) -> Last {
        self.last.lock().clone()
    }

    /// Whether the files differ from what was last looked at.
    pub(super) fn differs(&self, now: &Fingerprint) -> bool {
        *self.seen.lock() != *now
    }

    /// The files that matter, as they are now.
    pub(super) fn look(&self) -> Fingerprint {
        self.watched().again()
    }

    /// The files that matter, as they were last looked at.
    pub(super) fn watched(&self) -> Fingerprint {
        self.seen.lock().clone()
    }
}

/// Writes a diagnostic to the log, with its place.
pub fn report(diagnostic: &Diagnostic) {
    let place = diagnostic.span.as_ref().map(|span| {
        let start = span.start();
        format!("{}:{}:{}", span.source().name(), start.line, start.column)
    });
    let place = place.unwrap_or_default();
    let help = diagnostic.help.as_deref().unwrap_or_default();
    if diagnostic.is_error() {
        tracing::error!(
            event = "fault",
            code = diagnostic.code,
            place,
            help,
            "{}",
            diagnostic.message
        );
    } else {
        tracing::warn!(
            event = "warning",
            code = diagnostic.code,
            place,
            help,
            "{}",
            diagnostic.message
        );
    }
}

/// The keys that sockets and threads were made by and that say something else now.
fn needs_restart(begun: &Serving, now: &Serving) -> Vec<&'static str> {
    let secret =
        |serving: &Serving| serving.admin.token.as_ref().map(|token| token.expose().to_vec());
    let mut keys = Vec::new();
    let same = |(begun, now): (&Listen, &Listen)| begun.is_like(now);
    if begun.listen.len() != now.listen.len() || !begun.listen.iter().zip(&now.listen).all(same) {
        keys.push("server.listen");
    }
    if begun.http2 != now.http2 {
        keys.push("server.http2");
    }
    if begun.workers != now.workers {
        keys.push("server.workers");
    }
    if begun.admin.listen != now.admin.listen
        || begun.admin.hosts != now.admin.hosts
        || secret(begun) != secret(now)
    {
        keys.push("admin");
    }
    let location = |serving: &Serving| serving.store.as_ref().map(|store| store.location.clone());
    if location(begun) != location(now) {
        keys.push("store");
    }
    keys
}
