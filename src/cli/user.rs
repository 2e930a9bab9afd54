//! `portcullis user`: users in the store, while the gateway runs or not.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::Subcommand;

use super::{
    accounts::{self, Common, Grants, Somebody},
    hash_password, import, output,
};
use crate::{
    admin::records::user as shown,
    compile::Outcome,
    model::Secret,
    store::{KEYS_ID, PasswordSet, Store, StoredUser, UserChange, UserTerms},
};

/// What the command is told.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user; the password is asked for twice, or read from stdin
    Add(Add),
    /// Shut a user out, with all that it was issued
    Disable(One),
    /// Let a user in again
    Enable(One),
    /// Add the users of a CSV or JSON file, with the hashes of their passwords: all or none
    Import(Import),
    /// List all users
    List(Common),
    /// Remove a user and revoke its keys
    Remove(One),
    /// Change a user
    Set(Set),
    /// Show a user
    Show(One),
}

#[derive(clap::Args, Debug)]
struct Add {
    /// The name it logs in by
    username: String,
    /// The subject of its tokens, which never changes; the username if absent
    #[arg(long)]
    id: Option<String>,
    #[command(flatten)]
    grants: Grants,
    /// Without a password the user cannot log in
    #[arg(long)]
    no_password: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
struct One {
    /// Its username or its id
    user: String,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
struct Import {
    /// A list of users: `.csv` with a header line, or `.json`
    path: PathBuf,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
struct Set {
    /// Its username or its id
    user: String,
    /// Another name to log in by
    #[arg(long)]
    username: Option<String>,
    /// Ask for a new password, or read it from stdin
    #[arg(long, conflicts_with = "no_password")]
    password: bool,
    /// Take the password away
    #[arg(long)]
    no_password: bool,
    #[command(flatten)]
    grants: Grants,
    /// Take all roles away
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    /// Take its own permissions away
    #[arg(long, conflicts_with = "permissions")]
    no_permissions: bool,
    /// Take the plan away
    #[arg(long, conflicts_with = "plan")]
    no_plan: bool,
    #[command(flatten)]
    common: Common,
}

/// Does what is asked.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        Action::Add(add) => {
            within(&add.common, async |outcome, store| add_user(add, outcome, store).await)
        }
        Action::Disable(one) => turn(one, true),
        Action::Enable(one) => turn(one, false),
        Action::Import(import) => within(&import.common, async |outcome, store| {
            import::run(&import.path, import.common.format, outcome, store).await
        }),
        Action::List(common) => within(common, async |_, store| list(common, store).await),
        Action::Remove(one) => within(&one.common, async |_, store| {
            let user = find(store, &one.user).await?;
            store.remove_user(&user.terms.subject, &Somebody::here().author()).await?;
            output::tell(format_args!("removed {}\n", output::shown(&user.terms.username)));
            Ok(ExitCode::SUCCESS)
        }),
        Action::Set(set) => {
            within(&set.common, async |outcome, store| change(set, outcome, store).await)
        }
        Action::Show(one) => within(&one.common, async |_, store| {
            accounts::show_one(one.common.format, &shown(&find(store, &one.user).await?))
        }),
    }
}

fn within(
    common: &Common,
    act: impl AsyncFnOnce(&Outcome, &Store) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let outcome = match accounts::compiled(common)? {
        Ok(outcome) => outcome,
        Err(code) => return Ok(code),
    };
    accounts::wait(async {
        let store = accounts::opened(&outcome).await?;
        let done = act(&outcome, &store).await;
        store.close().await;
        done
    })
}

async fn add_user(add: &Add, outcome: &Outcome, store: &Store) -> anyhow::Result<ExitCode> {
    let username = accounts::word(&add.username, "a username")?.to_owned();
    let subject = match &add.id {
        Some(id) => accounts::word(id, "an id")?.to_owned(),
        None => username.clone(),
    };
    refuse_twins(outcome, Some(&subject), &username)?;
    let password = if add.no_password { None } else { Some(new_hash()?) };
    let user = UserTerms {
        subject,
        username,
        password,
        roles: add.grants.roles(outcome)?,
        permissions: add.grants.permissions()?,
        plan: add.grants.plan()?,
        disabled: false,
    };
    let added = store.add_user(&user, &Somebody::here().author()).await?;
    accounts::show_one(add.common.format, &shown(&added))
}

/// A user of the file goes before one of the store, who would then be somebody else's shadow; and one
/// with the id of a key of the file would be spoken for by it. A subject that stays is no new one.
pub(super) fn refuse_twins(
    outcome: &Outcome,
    subject: Option<&str>,
    username: &str,
) -> anyhow::Result<()> {
    let accounts = &outcome.policy.accounts;
    if let Some(user) = accounts.user_spelled_like(username) {
        bail!("the file has a user `{}` already", output::shown(&user.username));
    }
    let Some(subject) = subject else { return Ok(()) };
    if accounts.user(subject).is_some() {
        bail!("the file has a user with the id `{}` already", output::shown(subject));
    }
    if accounts.has_key_alone(subject) {
        bail!("the {KEYS_ID} is taken: the file has a key `{}`", output::shown(subject));
    }
    Ok(())
}

fn new_hash() -> anyhow::Result<Secret> {
    let password = hash_password::new_password()?;
    Ok(Secret::new(hash_password::usual_hash(&password)?))
}

fn turn(one: &One, disabled: bool) -> anyhow::Result<ExitCode> {
    within(&one.common, async |_, store| {
        let user = find(store, &one.user).await?;
        let wanted = UserChange { disabled: Some(disabled), ..UserChange::default() };
        let author = Somebody::here();
        let changed = store.change_user(&user.terms.subject, &wanted, &author.author()).await;
        accounts::show_one(one.common.format, &shown(&changed?))
    })
}

async fn change(set: &Set, outcome: &Outcome, store: &Store) -> anyhow::Result<ExitCode> {
    let user = find(store, &set.user).await?;
    let username = set.username.as_deref().map(|name| accounts::word(name, "a username"));
    let username = username.transpose()?.map(str::to_owned);
    if let Some(username) = &username {
        refuse_twins(outcome, None, username)?;
    }
    let (roles, permissions) = (set.grants.roles(outcome)?, set.grants.permissions()?);
    let mut wanted = UserChange {
        username,
        password: set.no_password.then_some(PasswordSet::Nothing),
        roles: (set.no_roles || !roles.is_empty()).then_some(roles),
        permissions: (set.no_permissions || !permissions.is_empty()).then_some(permissions),
        plan: (set.no_plan || set.grants.plan.is_some()).then_some(set.grants.plan()?),
        disabled: None,
    };
    if set.password {
        wanted.password = Some(PasswordSet::To(new_hash()?));
    }
    if wanted.is_empty() {
        bail!("nothing is to be changed: see `portcullis user set --help`");
    }
    let author = Somebody::here();
    let changed = store.change_user(&user.terms.subject, &wanted, &author.author()).await;
    accounts::show_one(set.common.format, &shown(&changed?))
}

async fn list(common: &Common, store: &Store) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    let mut last = String::new();
    loop {
        let page = store.users_after(&last, 1000).await?;
        let Some(end) = page.last() else { break };
        last.clone_from(&end.terms.subject);
        rows.extend(page.iter().map(shown));
    }
    let columns = ["id", "username", "roles", "plan", "disabled", "last_login"];
    accounts::show_list(common.format, &columns, &rows)
}

/// The user with this id, or else with this name.
async fn find(store: &Store, name: &str) -> anyhow::Result<StoredUser> {
    let by_id = store.user(name).await?;
    let by_name = store.user_by_name(name).await?;
    match (by_id, by_name) {
        (Some(one), Some(other)) if one.terms.subject != other.terms.subject => {
            bail!("`{name}` is the id of one user and the name of another: say the other of both")
        }
        (Some(user), _) | (None, Some(user)) => Ok(user),
        (None, None) => {
            bail!("the store has no user `{name}`; those of the file are changed there")
        }
    }
}
