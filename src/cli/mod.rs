//! The command line: one file a command. Everything is wired together here, and nothing is
//! decided.

mod accounts;
mod check;
mod completions;
mod explain;
mod file;
mod hash_password;
mod import;
mod inquiry;
mod key;
mod later;
pub mod output;
mod remote;
mod run;
mod schema;
pub mod test;
mod token;
mod user;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    about = "A reverse-proxy authentication gateway: one process and one YAML file in front of unmodified apps",
    disable_help_subcommand = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Arguments,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
enum Command {
    /// Say everything that is wrong with the file
    Check(check::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
    /// Decide on a request without a server, and say why
    Explain(explain::Arguments),
    /// Hash a password for the file
    HashPassword(hash_password::Arguments),
    /// API keys in the store
    Key(key::Arguments),
    /// Make a running gateway read its file again
    Reload(remote::Arguments),
    /// Serve the file; the same as no command
    Run(run::Arguments),
    /// Print the JSON Schema of the file, for editors
    Schema,
    /// Say how a running gateway is
    Status(remote::Arguments),
    /// Run policy tests against the file
    Test(test::Arguments),
    /// Make and read tokens
    Token(token::Arguments),
    /// Users in the store
    User(user::Arguments),
}

/// Reads the command line, does what it says, and returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Libraries that speak TLS take the process's provider; the first to be installed stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => return later::explain(error),
    };
    if line.command.is_some() && line.run.upgrade {
        let message = "`--upgrade` is of `portcullis run`";
        return later::explain(definition().error(ErrorKind::ArgumentConflict, message));
    }
    let outcome = match line.command {
        None => run::serve(&line.run),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Completions(arguments)) => completions::run(&arguments),
        Some(Command::Explain(arguments)) => explain::run(&arguments),
        Some(Command::HashPassword(arguments)) => hash_password::run(&arguments),
        Some(Command::Key(arguments)) => key::run(&arguments),
        Some(Command::Reload(arguments)) => remote::reload(&arguments),
        Some(Command::Run(arguments)) => run::serve(&arguments),
        Some(Command::Schema) => schema::run(),
        Some(Command::Status(arguments)) => remote::status(&arguments),
        Some(Command::Test(arguments)) => test::run(&arguments),
        Some(Command::Token(arguments)) => token::run(&arguments),
        Some(Command::User(arguments)) => user::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        output::complain(format_args!("{error:#}"));
        ExitCode::FAILURE
    })
}

/// The definition of the command line, from which help and completions are made.
pub fn definition() -> clap::Command {
    CommandLine::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_has_no_contradiction() {
        definition().debug_assert();
    }

    #[test]
    fn the_file_may_be_named_before_the_command_and_behind_it() {
        for line in ["-c other.yaml check", "check -c other.yaml", "--config=other.yaml check"] {
            let words = std::iter::once("portcullis").chain(line.split(' '));
            let matches = definition().try_get_matches_from(words).unwrap();
            let (name, check) = matches.subcommand().unwrap();
            let file = check.get_one::<std::path::PathBuf>("config").unwrap();
            assert_eq!((name, file.to_str()), ("check", Some("other.yaml")), "{line}");
        }
        let nested = ["portcullis", "-c", "other.yaml", "token", "issue", "alice"];
        let matches = definition().try_get_matches_from(nested).unwrap();
        let (_, token) = matches.subcommand().unwrap();
        let (_, issue) = token.subcommand().unwrap();
        let file = issue.get_one::<std::path::PathBuf>("config").unwrap();
        assert_eq!(file.to_str(), Some("other.yaml"));
    }
}
