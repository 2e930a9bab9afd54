//! `portcullis completions SHELL`.

use std::process::ExitCode;

use clap_complete::Shell;

use super::output;

/// What the command is told.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// The shell that will read the script
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::definition(), "portcullis", &mut script);
    output::print(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
