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

use clap::{CommandFactory, Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    about = "A reverse-proxy authentication gateway: one process and one YAML file in front of unmodified apps",
    args_conflicts_with_subcommands = true,
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
    let arguments = behind_the_command(arguments.into_iter().collect());
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => return later::explain(error),
    };
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

/// Moves a file that is named before the command to where the command takes it: behind its last word.
fn behind_the_command(arguments: Vec<OsString>) -> Vec<OsString> {
    let option = match arguments.get(1).and_then(|word| word.to_str()) {
        Some("-c" | "--config") => 2,
        Some(word) if word.starts_with("-c") || word.starts_with("--config=") => 1,
        _ => return arguments,
    };
    let mut command = definition();
    let words = arguments.iter().skip(1 + option).take_while(|word| {
        let found = command.find_subcommand(word).cloned();
        found.map(|found| command = found).is_some()
    });
    let words = words.count();
    let mut arguments = arguments;
    if words > 0 {
        // The option comes behind the words.
        arguments
            .get_mut(1..1 + option + words)
            .into_iter()
            .for_each(|part| part.rotate_left(option));
    }
    arguments
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
        for (line, meant) in [
            ("-c other.yaml check --strict", "check -c other.yaml --strict"),
            ("--config=other.yaml token issue alice", "token issue --config=other.yaml alice"),
            ("-cother.yaml explain GET /", "explain -cother.yaml GET /"),
            ("check -c other.yaml", "check -c other.yaml"),
            ("-c other.yaml", "-c other.yaml"),
            ("-c check", "-c check"),
            ("-c", "-c"),
            ("--upgrade check", "--upgrade check"),
        ] {
            let words = |line: &str| -> Vec<OsString> {
                std::iter::once("portcullis").chain(line.split(' ')).map(OsString::from).collect()
            };
            assert_eq!(behind_the_command(words(line)), words(meant), "{line}");
        }
        let of_none = ["portcullis", "-c", "other.yaml", "schema"].map(OsString::from).to_vec();
        assert!(CommandLine::try_parse_from(behind_the_command(of_none)).is_err());
    }
}
