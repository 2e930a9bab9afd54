//! What `user` and `key` have in common: the store that the file names, who acts, and how lists are
//! shown.

use std::{future::Future, process::ExitCode};

use anyhow::{Context, bail};
use serde_json::Value;

use super::{
    file::{self, FileArgument},
    output::{self, Colour, Format, Style},
};
use crate::{
    compile::Outcome,
    model::{Permission, PlanName, Role},
    store::{Author, Store},
};

/// The file, and the form of results.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Common {
    #[command(flatten)]
    pub file: FileArgument,
    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What a user or a key may be granted.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Grants {
    /// A role; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// A permission beside those of the roles; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION")]
    pub permissions: Vec<String>,
    /// The plan, for `limit: plan`
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
}

impl Grants {
    /// The roles, all of which the file defines if it defines any.
    pub fn roles(&self, outcome: &Outcome) -> anyhow::Result<Vec<Role>> {
        self.roles.iter().map(|role| known_role(outcome, role)).collect()
    }

    /// The permissions.
    pub fn permissions(&self) -> anyhow::Result<Vec<Permission>> {
        let named = self.permissions.iter();
        named.map(|one| Ok(Permission::from(word(one, "a permission")?))).collect()
    }

    /// The plan.
    pub fn plan(&self) -> anyhow::Result<Option<PlanName>> {
        let plan = self.plan.as_deref();
        plan.map(|one| Ok(PlanName::from(word(one, "a plan")?))).transpose()
    }
}

/// A role that the file defines; any word where it defines none.
pub(super) fn known_role(outcome: &Outcome, role: &str) -> anyhow::Result<Role> {
    let graph = &outcome.policy.roles;
    if graph.names().next().is_some() && !graph.defines(role) {
        let known: Vec<&str> = graph.names().map(Role::as_str).collect();
        bail!("role `{role}` is not defined; the file defines {}", known.join(", "));
    }
    Ok(Role::from(word(role, "a role")?))
}

/// A name as it may stand in a header and a list.
pub(super) fn word<'t>(text: &'t str, what: &str) -> anyhow::Result<&'t str> {
    let usual = !text.is_empty()
        && text.len() <= 255
        && text.trim() == text
        && !text.chars().any(|one| one.is_control() || one == ',');
    if !usual {
        bail!("{what} has 1 to 255 characters, no comma and no space around it");
    }
    Ok(text)
}

/// The compiled file; its faults are told on stderr if it has any.
pub(super) fn compiled(common: &Common) -> anyhow::Result<Result<Outcome, ExitCode>> {
    let outcome = file::load_quietly(&common.file, file::now())?;
    Ok(outcome.ok_or(ExitCode::FAILURE))
}

/// The store of a file.
pub(super) async fn opened(outcome: &Outcome) -> anyhow::Result<Store> {
    let Some(terms) = &outcome.serving.store else {
        bail!("the file names no store: add `store: sqlite:portcullis.db`");
    };
    Store::open(&terms.location).await.context("cannot use the store")
}

/// Runs something that waits for the store.
pub(super) fn wait<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start")?.block_on(work)
}

/// Whoever types the command, as the audit log names it: by whom the process runs, which nobody chooses,
/// and beside it whom `sudo` says it runs for, which anybody may set.
pub(super) struct Somebody(String);

impl Somebody {
    pub fn here() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self(named(uid, &accounts, file::variable("SUDO_USER").as_deref()))
    }

    /// As the author of a change that is made now.
    pub fn author(&self) -> Author<'_> {
        Author { who: &self.0, origin: "cli", at: file::now() }
    }
}

/// The name of a user of the machine, or its number where it has none there.
fn named(uid: u32, accounts: &str, sudo: Option<&str>) -> String {
    let entry = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let number = fields.nth(1)?.parse::<u32>().ok()?;
        (number == uid).then_some(name)
    });
    let name = entry.map_or_else(|| format!("uid {uid}"), str::to_owned);
    let plain = |name: &&str| {
        let usual = |one: char| one.is_ascii_alphanumeric() || "._-$@\\".contains(one);
        (1..=64).contains(&name.len()) && name.chars().all(usual)
    };
    match sudo.filter(plain) {
        Some(sudo) => format!("{name} (SUDO_USER {sudo})"),
        None => name,
    }
}

/// Shows rows as a table, or as a JSON list of objects.
pub(super) fn show_list(
    format: Format,
    columns: &[&str],
    rows: &[Value],
) -> anyhow::Result<ExitCode> {
    match format {
        Format::Json => output::print_line(format_args!("{:#}", Value::from(rows.to_vec())))?,
        Format::Human => output::print(table(columns, rows, Colour::of_stdout()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows one thing as lines, or as a JSON object.
pub(super) fn show_one(format: Format, thing: &Value) -> anyhow::Result<ExitCode> {
    match format {
        Format::Json => output::print_line(format_args!("{thing:#}"))?,
        Format::Human => {
            let members = thing.as_object();
            let width = members.into_iter().flatten().map(|(name, _)| name.len()).max();
            let width = width.unwrap_or(0) + 1;
            for (name, value) in members.into_iter().flatten() {
                let name = format!("{name}:");
                output::print_line(format_args!("{name:width$} {}", cell(value)))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(columns: &[&str], rows: &[Value], colour: Colour) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            columns.iter().map(|column| cell(row.get(column).unwrap_or(&Value::Null))).collect()
        })
        .collect();
    let width = |index: usize, name: &str| {
        let longest =
            cells.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        longest.chain([name.len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> =
        columns.iter().enumerate().map(|(index, name)| width(index, name)).collect();
    let line = |cells: &mut dyn Iterator<Item = String>| {
        let padded = cells.zip(&widths).map(|(cell, width)| {
            let gap = width.saturating_sub(cell.chars().count());
            format!("{cell}{:gap$}", "")
        });
        let line: Vec<String> = padded.collect();
        line.join("  ").trim_end().to_owned()
    };
    let head = line(&mut columns.iter().map(|name| name.to_uppercase().replace('_', " ")));
    let mut text = format!("{}\n", colour.paint(Style::Bold, head));
    for row in cells {
        text.push_str(&line(&mut row.into_iter()));
        text.push('\n');
    }
    text
}

/// A value in a table, whatever it holds.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => output::shown(text).to_string(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_audit_log_names_the_user_of_the_process_and_not_who_the_environment_says_it_is() {
        let accounts = "root:x:0:0::/root:/bin/sh\nbad\n:x:7:7\nalice:x:1000:1000::/:/bin/sh\n";
        assert_eq!(named(1000, accounts, None), "alice");
        assert_eq!(named(1000, accounts, Some("root")), "alice (SUDO_USER root)");
        assert_eq!(named(0, accounts, Some("a\nb")), "root");
        assert_eq!(named(7, accounts, None), "uid 7");
        assert_eq!(named(12, "", Some("")), "uid 12");
    }

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells() {
        let rows = [
            json!({ "id": "7", "roles": ["admin", "user"], "disabled": false }),
            json!({ "id": "a\u{1b}[2J", "roles": [], "disabled": true }),
        ];
        assert_eq!(
            table(&["id", "roles", "disabled"], &rows, Colour::Never),
            "ID          ROLES       DISABLED\n7           admin,user  no\na\\u{1b}[2J  -           yes\n"
        );
    }
}
