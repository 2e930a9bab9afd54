//! `portcullis user import`: users from elsewhere, with the hashes of their passwords. All of them
//! are judged before the first is added, and they are added together or not at all.

use std::{
    collections::HashMap,
    fs,
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::json;

use super::{
    accounts::{self, Somebody},
    output::{self, Format},
    user,
};
use crate::{
    compile::Outcome,
    model::{Permission, PlanName, Secret, folded_username},
    policy::password::HashKind,
    store::{Store, UserTerms},
};

/// Bytes of a list at most.
const LONGEST: u64 = 1 << 30;

/// Faults that are told at most.
const MOST_FAULTS: usize = 20;

/// A user as the list has it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Listed {
    id: Option<Text>,
    username: String,
    password: Option<String>,
    roles: Vec<String>,
    permissions: Vec<String>,
    plan: Option<String>,
    disabled: bool,
}

/// An id is a number in many systems.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Text {
    Number(i64),
    Text(String),
}

/// Imports a list.
pub(super) async fn run(
    path: &Path,
    format: Format,
    outcome: &Outcome,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let name = path.display();
    let length = fs::metadata(path).with_context(|| format!("cannot read `{name}`"))?.len();
    if length > LONGEST {
        bail!("`{name}` is larger than 1 GiB");
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read `{name}`"))?;
    let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    let listed = if is_json { from_json(&bytes)? } else { from_csv(&bytes)? };
    drop(bytes);
    let users = judged(&listed, outcome)?;
    let progress = Progress::of(users.len());
    let author = Somebody::here();
    let imported = store.import_users(&users, &author.author(), |done| progress.tell(done)).await;
    if let Err((index, fault)) = imported {
        progress.end();
        let place = index.and_then(|index| listed.get(index)).map(|(place, _)| place);
        let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
        bail!("{place}{fault}; nothing was imported");
    }
    progress.end();
    match format {
        Format::Json => output::print_line(json!({ "imported": users.len() }))?,
        Format::Human => output::print_line(format_args!("imported {} users", users.len()))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn from_json(bytes: &[u8]) -> anyhow::Result<Vec<(String, Listed)>> {
    let listed: Vec<Listed> = serde_json::from_slice(bytes).context("not a JSON list of users")?;
    let numbered = listed.into_iter().enumerate();
    Ok(numbered.map(|(index, user)| (format!("item {}", index + 1), user)).collect())
}

/// A header line names the columns; several roles or permissions in one cell stand with spaces or `;`
/// between them.
fn from_csv(bytes: &[u8]) -> anyhow::Result<Vec<(String, Listed)>> {
    const COLUMNS: [&str; 7] =
        ["id", "username", "password", "roles", "permissions", "plan", "disabled"];
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().context("not CSV")?.clone();
    for column in &header {
        let column = column.trim_start_matches('\u{feff}');
        if !COLUMNS.contains(&column) {
            bail!("unknown column `{column}`; there are {}", COLUMNS.join(", "));
        }
    }
    let names: Vec<&str> =
        header.iter().map(|column| column.trim_start_matches('\u{feff}')).collect();
    let mut users = Vec::new();
    for row in reader.records() {
        let row = row.context("not CSV")?;
        let line = row.position().map_or(0, csv::Position::line);
        let mut user = Listed::default();
        for (name, cell) in names.iter().zip(&row) {
            if cell.is_empty() {
                continue;
            }
            let words = || {
                let words = cell.split([' ', ';']).filter(|word| !word.is_empty());
                words.map(str::to_owned).collect()
            };
            match *name {
                "id" => user.id = Some(Text::Text(cell.to_owned())),
                "username" => cell.clone_into(&mut user.username),
                "password" => user.password = Some(cell.to_owned()),
                "roles" => user.roles = words(),
                "permissions" => user.permissions = words(),
                "plan" => user.plan = Some(cell.to_owned()),
                _ => user.disabled = flag(cell).with_context(|| format!("line {line}"))?,
            }
        }
        users.push((format!("line {line}"), user));
    }
    Ok(users)
}

fn flag(cell: &str) -> anyhow::Result<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "t" => Ok(true),
        "0" | "false" | "no" | "f" => Ok(false),
        _ => bail!("`disabled` is `true` or `false`"),
    }
}

/// All users, or all that is wrong with them. A fault never repeats a hash.
fn judged(listed: &[(String, Listed)], outcome: &Outcome) -> anyhow::Result<Vec<UserTerms>> {
    let mut users = Vec::with_capacity(listed.len());
    let mut faults = Vec::new();
    let (mut names, mut subjects) = (HashMap::new(), HashMap::new());
    for (place, user) in listed {
        match judge(user, outcome) {
            Err(fault) => faults.push(format!("{place}: {fault:#}")),
            Ok(user) => {
                if let Some(first) = names.insert(folded_username(&user.username), place) {
                    faults.push(format!("{place}: the username is that of {first}"));
                } else if let Some(first) = subjects.insert(user.subject.clone(), place) {
                    faults.push(format!("{place}: the id is that of {first}"));
                }
                users.push(user);
            }
        }
    }
    if faults.is_empty() {
        return Ok(users);
    }
    let more = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    if more > 0 {
        faults.push(format!("and {more} faults more"));
    }
    bail!("nothing was imported\n{}", faults.join("\n"))
}

fn judge(listed: &Listed, outcome: &Outcome) -> anyhow::Result<UserTerms> {
    let username = accounts::word(&listed.username, "a username")?.to_owned();
    let subject = match &listed.id {
        None => username.clone(),
        Some(Text::Number(number)) => number.to_string(),
        Some(Text::Text(text)) => accounts::word(text, "an id")?.to_owned(),
    };
    user::refuse_twins(outcome, Some(&subject), &username)?;
    let password = listed.password.as_deref().filter(|hash| !hash.is_empty());
    let password = password.map(hash).transpose()?;
    let roles = listed.roles.iter().map(|role| accounts::known_role(outcome, role));
    let permissions = listed.permissions.iter();
    let permissions =
        permissions.map(|one| Ok(Permission::from(accounts::word(one, "a permission")?)));
    let plan = listed.plan.as_deref().map(|plan| accounts::word(plan, "a plan"));
    Ok(UserTerms {
        subject,
        username,
        password,
        roles: roles.collect::<anyhow::Result<_>>()?,
        permissions: permissions.collect::<anyhow::Result<_>>()?,
        plan: plan.transpose()?.map(PlanName::from),
        disabled: listed.disabled,
    })
}

/// A hash in the form that we check. Django writes the name of the hasher before those forms that
/// have one of their own.
fn hash(text: &str) -> anyhow::Result<Secret> {
    if text.starts_with("bcrypt_sha256$") {
        bail!("bcrypt over a SHA-256 is not checked here; let these users set a new password");
    }
    let text =
        text.strip_prefix("argon2").filter(|rest| rest.starts_with("$argon2")).unwrap_or(text);
    let text = text.strip_prefix("bcrypt$").filter(|rest| rest.starts_with("$2")).unwrap_or(text);
    let hash = Secret::new(text);
    match HashKind::judge(&hash) {
        Ok(_) => Ok(hash),
        Err(why) => bail!("the password's hash cannot be used: {why}"),
    }
}

/// How far a long import is, on a terminal.
struct Progress {
    all: usize,
    shown: bool,
}

impl Progress {
    fn of(all: usize) -> Self {
        Self { all, shown: all > 1000 && io::stderr().is_terminal() }
    }

    fn tell(&self, done: usize) {
        if self.shown && (done.is_multiple_of(500) || done == self.all) {
            output::tell(format_args!("\r{done} of {}", self.all));
        }
    }

    fn end(&self) {
        if self.shown {
            output::tell("\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_list_is_read_by_its_header() {
        let text = "username,password,roles,disabled,id\nalice, x ,admin;user,no,7\nbob,,,TRUE,\n";
        let listed = from_csv(text.as_bytes()).unwrap();
        assert_eq!(listed[0].0, "line 2");
        let (alice, bob) = (&listed[0].1, &listed[1].1);
        assert_eq!((alice.username.as_str(), alice.password.as_deref()), ("alice", Some("x")));
        assert_eq!(alice.roles, ["admin", "user"]);
        assert!(matches!(&alice.id, Some(Text::Text(id)) if id == "7"));
        assert!(bob.disabled && bob.id.is_none() && bob.password.is_none());
        assert!(from_csv(b"username,passwd\n").is_err());
        assert!(from_csv(b"username,disabled\na,perhaps\n").is_err());
    }

    #[test]
    fn a_json_list_is_read_and_an_unknown_member_refused() {
        let listed = from_json(br#"[{"id": 7, "username": "alice", "roles": ["admin"]}]"#).unwrap();
        assert!(matches!(listed[0].1.id, Some(Text::Number(7))));
        assert!(from_json(br#"[{"username": "alice", "is_superuser": true}]"#).is_err());
    }

    #[test]
    fn a_hash_loses_the_name_of_the_hasher_that_has_a_form_of_its_own() {
        let salted = "a".repeat(53);
        assert_eq!(
            hash(&format!("bcrypt$$2b$12${salted}")).unwrap().expose(),
            format!("$2b$12${salted}").as_bytes()
        );
        let argon2 = "$argon2i$v=19$m=512,t=2,p=2$c29tZXNhbHRzYWx0$+bZZe7rNFmpo+Tnjn4bQFlcVhekFGCWbSs/kQqTmDS4";
        assert_eq!(hash(&format!("argon2{argon2}")).unwrap().expose(), argon2.as_bytes());
        for bad in
            ["hunter2", "md5$salt$d41d8cd98f00b204e9800998ecf8427e", "bcrypt_sha256$$2b$12$x"]
        {
            let fault = hash(bad).unwrap_err().to_string();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
