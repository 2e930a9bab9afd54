//! The configuration file as commands need it: read, compiled, and its faults told.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use anyhow::Context as _;

use super::output::{self, Colour, Style};
use crate::{
    compile::{self, Circumstances, Compiled, Outcome},
    config::{Loaded, diagnostic, values::Written},
    model::{StoreLocation, Timestamp},
    sources::{Memory, Records, Remotes},
};

/// Which file.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct FileArgument {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "gateway.yaml")]
    pub config: PathBuf,
}

/// Reads and compiles a file without looking up names.
///
/// # Errors
/// If the file itself cannot be read.
pub(super) fn compile(file: &FileArgument, now: Timestamp) -> anyhow::Result<(Loaded, Compiled)> {
    let loaded = crate::config::load(&file.config, &variable)?;
    let circumstances = Circumstances {
        now,
        demonstration_allowed: variable("PORTCULLIS_DEMO").is_some_and(|value| value == "1"),
        is_own: crate::gateway::own::is_own,
        ..Circumstances::default()
    };
    let compiled = compile::compile(&loaded, &circumstances);
    Ok((loaded, compiled))
}

/// The same for commands that need a file without faults: those are told on stderr, warnings are
/// left to `portcullis check`.
pub(super) fn load_quietly(file: &FileArgument, now: Timestamp) -> anyhow::Result<Option<Outcome>> {
    let (_, compiled) = compile(file, now)?;
    if compiled.outcome.is_none() {
        let faults: Vec<_> =
            compiled.diagnostics.into_iter().filter(|found| found.is_error()).collect();
        let coloured = Colour::of_stderr() == Colour::Always;
        output::tell(diagnostic::to_text(&faults, coloured));
        return Ok(None);
    }
    Ok(compiled.outcome)
}

/// Says on stderr of whom nothing was to be had: what depends on them is decided as it would be
/// while they are down.
pub(super) fn tell_of(remotes: &Remotes) {
    for complaint in remotes.complaints() {
        let mark = Colour::of_stderr().paint(Style::Warning, "warning");
        output::tell(format_args!("{mark}: {}\n", output::shown(&complaint)));
    }
}

/// Memory for one decision: with what the store holds, if the file names one that is there. Nothing is
/// counted, so that one place is enough.
pub(super) fn memory(outcome: &Outcome) -> anyhow::Result<Memory> {
    let memory = Memory::new(1);
    let Some(store) = &outcome.serving.store else { return Ok(memory) };
    // To look is not to make one.
    if let StoreLocation::Sqlite(file) = &store.location
        && !file.exists()
    {
        return Ok(memory);
    }
    let records = Records::new(store.location.clone(), store.max_stale);
    super::accounts::wait(async { records.begin().await.context("cannot use the store") })?;
    Ok(Memory { records: Some(Arc::new(records)), ..memory })
}

/// An environment variable, if it is set and text.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A time as it is written on the command line.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::read(text).map_err(|_| "a time is written like 2030-01-01T00:00:00Z".to_owned())
}

/// The present.
pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}
