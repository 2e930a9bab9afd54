//! `portcullis check`: all that can be known of a file without serving it.

use std::process::ExitCode;

use serde_json::json;

use super::{
    file::{self, FileArgument},
    output::{self, Colour, Format, Style},
};
use crate::config::{
    codes,
    diagnostic::{self, Diagnostic},
};

/// What the command is told.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: FileArgument,
    /// Warnings are faults too
    #[arg(long)]
    strict: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints every fault and warning.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (_, compiled) = match file::compile(&arguments.file, file::now()) {
        Ok(read) => read,
        Err(error) => {
            match arguments.format {
                Format::Json => print_json(arguments, &[unreadable(&error)], false)?,
                Format::Human => output::complain(format_args!("{error:#}")),
            }
            return Ok(ExitCode::from(2));
        }
    };
    let compiled = if arguments.strict { compiled.strict() } else { compiled };
    let valid = compiled.outcome.is_some();
    let found = &compiled.diagnostics;
    match arguments.format {
        Format::Json => print_json(arguments, found, valid)?,
        Format::Human => {
            let coloured = Colour::of_stderr() == Colour::Always;
            output::tell(diagnostic::to_text(found, coloured));
            let name = arguments.file.config.display();
            let summary = summary(found, valid);
            let style = if valid { Style::Good } else { Style::Bad };
            let verdict = if valid { "valid" } else { "not valid" };
            let verdict = Colour::of_stdout().paint(style, verdict);
            output::print_line(format_args!("{name}: {verdict}{summary}"))?;
        }
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The file as a whole cannot be read.
fn unreadable(error: &anyhow::Error) -> Diagnostic {
    Diagnostic::of_file(codes::UNREADABLE_FILE, format!("{error:#}"))
        .help("name the file with `-c FILE`, and let this user read it")
}

/// One object, whatever is wrong: each fault names a file, those of the file as a whole this one.
fn print_json(arguments: &Arguments, found: &[Diagnostic], valid: bool) -> anyhow::Result<()> {
    let found: Vec<_> = found
        .iter()
        .map(|one| {
            let mut one = one.to_json();
            if let Some(one) = one.as_object_mut() {
                one.entry("file")
                    .or_insert_with(|| arguments.file.config.display().to_string().into());
            }
            one
        })
        .collect();
    output::print_line(format_args!("{:#}", json!({ "valid": valid, "diagnostics": found })))
}

fn summary(found: &[Diagnostic], valid: bool) -> String {
    let errors = found.iter().filter(|one| one.is_error()).count();
    let warnings = found.len() - errors;
    let count = |number: usize, word: &str| match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    };
    match (errors, warnings) {
        (0, 0) if valid => String::new(),
        (0, warnings) => format!(", {}", count(warnings, "warning")),
        (errors, 0) => format!(", {}", count(errors, "fault")),
        (errors, warnings) => {
            format!(", {}, {}", count(errors, "fault"), count(warnings, "warning"))
        }
    }
}
