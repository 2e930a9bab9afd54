//! `portcullis test CASES.yaml…`: what an operator expects of the file, case by case.

pub mod cases;
mod compare;
mod run;

use std::{path::PathBuf, process::ExitCode};

use super::{
    file::{self, FileArgument},
    output::{self, Colour, Style, shown},
};
use crate::config::{self, diagnostic};

pub use run::{Report, Suite};

/// What the command is told.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: FileArgument,
    /// Files of cases
    #[arg(required = true, value_name = "CASES")]
    cases: Vec<PathBuf>,
}

/// Runs all cases and tells of those that fail.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let now = file::now();
    let Some(outcome) = file::load_quietly(&arguments.file, now)? else {
        return Ok(ExitCode::FAILURE);
    };
    let suite = Suite::with_state(&outcome.policy, outcome.serving.state_dir.as_deref());
    let colour = Colour::of_stdout();
    let (mut passed, mut failed) = (0, 0);
    let mut presented = false;
    for path in &arguments.cases {
        let read = config::load_companion::<cases::Cases>(path, &file::variable)?;
        output::tell(diagnostic::to_text(&read.diagnostics, Colour::of_stderr() == Colour::Always));
        if read.diagnostics.iter().any(diagnostic::Diagnostic::is_error) {
            failed += 1;
            continue;
        }
        for (index, case) in read.value.cases.iter() {
            let line = read.document.root().key("cases").item(index).line();
            let report = suite.run(case, now);
            presented |= case.credentials.is_some();
            let place = format!("{}:{line}", path.display());
            if report.passed() {
                passed += 1;
                output::print_line(format_args!(
                    "{} {}",
                    colour.paint(Style::Good, "ok  "),
                    shown(case.name.as_str())
                ))?;
            } else {
                failed += 1;
                let mark = colour.paint(Style::Bad, "FAIL");
                let place = colour.paint(Style::Faint, shown(&place));
                output::print_line(format_args!("{mark} {}  {place}", shown(case.name.as_str())))?;
                output::print(
                    report.to_text(&arguments.file.config.display().to_string(), colour),
                )?;
            }
        }
    }
    file::tell_of(suite.remotes());
    if outcome.serving.store.is_some() && presented {
        output::tell(
            "warning: the store is not asked, so that the same cases always come out the same: whoever is only there is \
             unknown here. Give a case `principal` in place of `credentials`\n",
        );
    }
    let style = if failed == 0 { Style::Good } else { Style::Bad };
    output::print_line(colour.paint(style, format_args!("{passed} passed, {failed} failed")))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
