//! `portcullis schema`: the shape of the file, for editors.

use std::process::ExitCode;

use super::output;

/// Prints the JSON Schema of the configuration file.
pub(super) fn run() -> anyhow::Result<ExitCode> {
    output::print(crate::config::schema::text())?;
    Ok(ExitCode::SUCCESS)
}
