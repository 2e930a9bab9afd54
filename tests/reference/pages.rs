//! The reference.

use std::fmt::Write as _;

use portcullis::{cli, config::codes, config::values::RULES, observe::families};

use super::{cell, denials, keys::Schema, table};

const MADE: &str = "<!-- Made by `UPDATE_DOCS=1 cargo test --test reference`; changes go into what it is made from. -->\n";

pub fn reference() -> String {
    let parts = [
        format!(
            "# Reference\n\n{MADE}
- [The file](#the-file): every key, and [how values are written](#how-values-are-written)
- [Diagnostics](#diagnostics): what `check` finds
- [Refusals](#refusals): what clients are told, and what the log says beside
- [Metrics](#metrics)
- [Commands](#commands)\n"
        ),
        file(),
        notations(),
        diagnostics(),
        refusals(),
        metrics(),
        commands(),
    ];
    parts.join("\n")
}

fn file() -> String {
    let mut text = "## The file

`[]` is an item of a list, `*` any name. Where a list is meant that may have one item, the item alone will do if the type says so.
Text in which `${NAME}` stands takes the variable's value, whatever the type. `portcullis schema` prints the same for editors.
".to_owned();
    for section in Schema::of_this_version().sections() {
        let (first, others) = section.places.split_first().unwrap();
        let title = if first.is_empty() { "The whole" } else { &format!("`{first}`") };
        let _ = write!(
            text,
            "\n### {title}\n\n{}\n",
            section.about.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        if !others.is_empty() {
            let others: Vec<_> = others.iter().map(|place| format!("`{place}`")).collect();
            let _ = writeln!(text, "The same stands at {}.", others.join(", "));
        }
        let rows = section
            .keys
            .into_iter()
            .map(|key| vec![format!("`{}`", key.name), key.kind, key.default, key.about]);
        text += "\n";
        text += &table(&["key", "type", "default", "meaning"], rows);
    }
    text
}

fn notations() -> String {
    let rows = Schema::of_this_version().notations().into_iter().map(|format| {
        let rule = RULES.iter().find(|rule| rule.format == format);
        let expects = match rule {
            Some(rule) => rule.expects.to_owned(),
            None => panic!("`{format}` has no rule"),
        };
        let name = format!("<a id=\"{format}\"></a>{}", format.replace('-', " "));
        vec![name, expects]
    });
    format!("## How values are written\n\n{}", table(&["type", "what is expected"], rows))
}

fn diagnostics() -> String {
    let rows =
        codes::ALL.iter().map(|(code, meaning)| vec![format!("`{code}`"), (*meaning).to_owned()]);
    format!(
        "## Diagnostics\n\nCodes do not change their meaning. [Checking](checking.md) says which are warnings.\n\n{}",
        table(&["code", "meaning"], rows)
    )
}

fn refusals() -> String {
    let rows = denials::all().into_iter().map(|refusal| {
        let problem = refusal.denial.problem();
        vec![
            problem.status.as_u16().to_string(),
            format!("`{}`", problem.code),
            format!("`{}`", refusal.denial.reason()),
            problem.detail.into_owned(),
            refusal.meaning,
        ]
    });
    format!(
        "## Refusals

Clients get the status and, as `application/problem+json` (RFC 9457), the code and the detail. The log and
`portcullis_decisions_total` name the exact reason. `…` stands for what the request brings along. Where an API key is the only
method, its status may be set by `authentication.api_keys.reject_status`.

{}",
        table(&["status", "code", "reason", "detail", "when"], rows)
    )
}

fn metrics() -> String {
    let rows = families::ALL.iter().map(|family| {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        vec![
            format!("`{}`", family.name),
            family.kind.as_str().to_owned(),
            labels.join(", "),
            family.help.to_owned(),
        ]
    });
    format!(
        "## Metrics\n\nOf the admin listener, at `/metrics`.\n\n{}",
        table(&["family", "kind", "labels", "meaning"], rows)
    )
}

fn commands() -> String {
    let mut text = "## Commands\n".to_owned();
    let mut line = cli::definition();
    line.build();
    describe(&line, &mut text);
    text
}

fn describe(command: &clap::Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "\n### `{name}`\n\n{}.\n", cell(&about));
    let rows: Vec<_> = command
        .get_arguments()
        .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
        .map(|argument| {
            let default = argument.get_default_values().iter().map(|value| value.to_string_lossy());
            let mut default =
                default.map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
            if argument.is_required_set() {
                "required".clone_into(&mut default);
            }
            let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let words: Vec<String> = argument
                .get_possible_values()
                .iter()
                .filter(|_| argument.get_action().takes_values())
                .map(|value| format!("`{}`", value.get_name()))
                .collect();
            if !words.is_empty() {
                help += &format!(": {}", words.join(", "));
            }
            if let Some(variable) = argument.get_env() {
                help += &format!(" (or `{}` in the environment)", variable.to_string_lossy());
            }
            vec![flag(argument), default, help]
        })
        .collect();
    if !rows.is_empty() {
        let _ = write!(text, "\n{}", table(&["argument", "default", "meaning"], rows));
    }
    for inner in command.get_subcommands() {
        describe(inner, text);
    }
}

/// An argument as it is written.
fn flag(argument: &clap::Arg) -> String {
    let value = argument.get_action().takes_values().then(|| {
        let names = argument.get_value_names().unwrap_or_default();
        names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ")
    });
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let names: Vec<String> = [short, long].into_iter().flatten().collect();
    let written = [names.join(", "), value.unwrap_or_default()];
    format!(
        "`{}`",
        written.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ")
    )
}
