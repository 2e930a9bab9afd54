//! What a later version brings: said clearly, instead of "unrecognized".

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::output;

const COMMANDS: &[&str] = &["diff", "init"];
const FLAGS: &[&str] = &["--admin", "--coverage", "--log"];

/// Prints what is wrong with a command line, or the help that it asked for.
pub(super) fn explain(error: clap::Error) -> ExitCode {
    if let Some(what) = not_yet(&error) {
        output::complain(format_args!("`{what}` is not available in this version"));
        return ExitCode::FAILURE;
    }
    // Nobody is left to tell if this fails.
    let _ = error.print();
    // Only help and version are no error. A wrong command line is one like any other: what else a
    // code could say, as 2 of `check` that the file is unreadable, is not said of it.
    if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn not_yet(error: &clap::Error) -> Option<String> {
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let command = word(ContextKind::InvalidSubcommand)?;
            COMMANDS.contains(&command).then(|| format!("portcullis {command}"))
        }
        ErrorKind::UnknownArgument => {
            let argument = word(ContextKind::InvalidArg)?;
            let flag = argument.split('=').next().unwrap_or(argument);
            if COMMANDS.contains(&flag) {
                return Some(format!("portcullis {flag}"));
            }
            FLAGS.contains(&flag).then(|| flag.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &[&str]) -> Option<String> {
        let error = super::super::definition().try_get_matches_from(line).unwrap_err();
        not_yet(&error)
    }

    #[test]
    fn what_a_later_version_brings_is_named() {
        assert_eq!(said(&["portcullis", "diff"]).as_deref(), Some("portcullis diff"));
        assert_eq!(said(&["portcullis", "test", "--coverage"]).as_deref(), Some("--coverage"));
    }

    #[test]
    fn a_slip_is_left_to_the_usual_message() {
        assert_eq!(said(&["portcullis", "chekc"]), None);
        assert_eq!(said(&["portcullis", "--nonsense"]), None);
    }
}
