//! `portcullis key`: API keys in the store, while the gateway runs or not. A key is shown once.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    accounts::{self, Common, Grants, Somebody},
    file,
    output::{self, Format},
};
use crate::{
    compile::Outcome,
    config::values::{Period, Written as _},
    model::{Cidr, Permission, Role, Timestamp},
    observe::logging::rfc3339,
    policy::digest::Digest,
    store::{KeyTerms, MintedKey, Store, StoredKey, USERS_ID, is_key_id},
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
    /// Make a key and show it, once; without a store, print its entry for the file
    Create(Create),
    /// List all keys
    List(Common),
    /// Revoke a key for good
    Revoke(One),
    /// Make another key with the same id; the old one stays good for a while
    Rotate(Rotate),
    /// Show what is known of a key
    Show(One),
}

#[derive(clap::Args, Debug)]
struct Create {
    /// Its public id, of letters, digits and hyphens; one at random if absent
    id: Option<String>,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// The subject it speaks for; its id if absent. A user who is shut out shuts out his keys
    #[arg(long, value_name = "SUBJECT")]
    owner: Option<String>,
    #[command(flatten)]
    grants: Grants,
    /// A network or address from which it is accepted; may be repeated
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<Cidr>,
    /// When it ends, such as 2030-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = file::time)]
    expires: Option<Timestamp>,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
struct One {
    /// The key's id
    id: String,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
struct Rotate {
    /// The key's id
    id: String,
    /// How long the old key stays good, such as 7d; 0s ends it at once
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = period)]
    keep_old: Period,
    #[command(flatten)]
    common: Common,
}

fn period(text: &str) -> Result<Period, String> {
    Period::read(text).map_err(|_| format!("expected {}", Period::EXPECTS))
}

/// Does what is asked.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        Action::Create(create) => {
            within(&create.common, async |outcome| make(create, outcome).await)
        }
        Action::List(common) => within(common, async |outcome| {
            let store = accounts::opened(outcome).await?;
            list(common, &store).await
        }),
        Action::Revoke(one) => within(&one.common, async |outcome| {
            let store = accounts::opened(outcome).await?;
            let author = Somebody::here();
            let revoked = store.revoke_key(&one.id, &author.author()).await;
            let revoked = revoked.with_context(|| format!("cannot revoke `{}`", one.id))?;
            accounts::show_one(one.common.format, &shown(&revoked))
        }),
        Action::Rotate(rotate) => within(&rotate.common, async |outcome| {
            let store = accounts::opened(outcome).await?;
            let minted = MintedKey::mint(Some(&rotate.id))?;
            let until = file::now() + rotate.keep_old.0;
            let author = Somebody::here();
            let rotated =
                store.rotate_key(&rotate.id, &minted.sha256, until, &author.author()).await;
            let rotated = rotated.with_context(|| format!("cannot rotate `{}`", rotate.id))?;
            output::tell(format_args!("the old key is good until {}\n", rfc3339(until)));
            hand_over(rotate.common.format, &minted, shown(&rotated))
        }),
        Action::Show(one) => within(&one.common, async |outcome| {
            let store = accounts::opened(outcome).await?;
            let Some(key) = store.key(&one.id).await? else {
                bail!("the store has no key `{}`; those of the file stand there", one.id);
            };
            accounts::show_one(one.common.format, &shown(&key))
        }),
    }
}

fn within(
    common: &Common,
    act: impl AsyncFnOnce(&Outcome) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    match accounts::compiled(common)? {
        Ok(outcome) => accounts::wait(act(&outcome)),
        Err(code) => Ok(code),
    }
}

async fn make(create: &Create, outcome: &Outcome) -> anyhow::Result<ExitCode> {
    if let Some(id) = &create.id
        && !is_key_id(id)
    {
        bail!("an id has 1 to 64 letters, digits and hyphens");
    }
    let minted = MintedKey::mint(create.id.as_deref())?;
    if outcome.policy.accounts.has_key(&minted.id) {
        bail!("the file has a key `{}` already", minted.id);
    }
    let owner = create.owner.as_deref().map(|owner| accounts::word(owner, "a subject"));
    let owner = owner.transpose()?.map(str::to_owned);
    let is_users = outcome.policy.accounts.user(owner.as_ref().unwrap_or(&minted.id)).is_some();
    if is_users && owner.is_none() {
        bail!("the {USERS_ID} is taken: the file has a user `{}`", minted.id);
    }
    let key = KeyTerms {
        id: minted.id.clone(),
        sha256: minted.sha256,
        name: create
            .name
            .as_deref()
            .map(|name| accounts::word(name, "a name"))
            .transpose()?
            .map(str::to_owned),
        owner,
        is_users,
        roles: create.grants.roles(outcome)?,
        permissions: create.grants.permissions()?,
        plan: create.grants.plan()?,
        networks: create.networks.clone(),
        expires: create.expires,
    };
    if outcome.serving.store.is_none() {
        return print_entry(create.common.format, &minted, &key);
    }
    let store = accounts::opened(outcome).await?;
    let added = store.add_key(&key, &Somebody::here().author()).await?;
    hand_over(create.common.format, &minted, shown(&added))
}

/// Shows a new key, this once: to scripts beside what it is, to people on stdout alone.
fn hand_over(format: Format, minted: &MintedKey, mut thing: Value) -> anyhow::Result<ExitCode> {
    let text = String::from_utf8_lossy(minted.text.expose());
    match format {
        Format::Json => {
            if let Some(members) = thing.as_object_mut() {
                members.insert("key".to_owned(), text.into());
            }
            output::print_line(format_args!("{thing:#}"))?;
        }
        Format::Human => {
            output::tell(format_args!(
                "the key `{}`, which is shown this once and kept nowhere:\n",
                minted.id
            ));
            output::print_line(text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Without a store: the key on stderr, and on stdout what stands in the file.
fn print_entry(format: Format, minted: &MintedKey, key: &KeyTerms) -> anyhow::Result<ExitCode> {
    let mut entry = json!({
        "id": key.id,
        "sha256": Digest::from_bytes(key.sha256).to_string(),
    });
    let mut put = |name: &str, value: Value| {
        if let Some(members) = entry.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(owner) = &key.owner {
        put("subject", owner.as_str().into());
    }
    if !key.roles.is_empty() {
        put("roles", key.roles.iter().map(Role::as_str).collect());
    }
    if !key.permissions.is_empty() {
        put("permissions", key.permissions.iter().map(Permission::as_str).collect());
    }
    if let Some(plan) = &key.plan {
        put("plan", plan.as_str().into());
    }
    if !key.networks.is_empty() {
        put("networks", key.networks.iter().map(Cidr::to_string).collect());
    }
    if let Some(expires) = key.expires {
        put("expires", rfc3339(expires).into());
    }
    let text = String::from_utf8_lossy(minted.text.expose());
    match format {
        Format::Json => {
            output::print_line(format_args!("{:#}", json!({ "key": text, "entry": entry })))?;
        }
        Format::Human => {
            output::tell(format_args!(
                "the key, which is shown this once and kept nowhere:\n{text}\n\
                 its entry for `authentication.api_keys.keys`, as the file names no store:\n"
            ));
            // What JSON is, YAML is too.
            output::print_line(format_args!("- {entry}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(common: &Common, store: &Store) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    let mut last = String::new();
    loop {
        let page = store.keys_after(&last, 1000).await?;
        let Some(end) = page.last() else { break };
        last.clone_from(&end.terms.id);
        rows.extend(page.iter().map(shown));
    }
    let columns = ["id", "name", "subject", "roles", "state", "expires", "last_used"];
    accounts::show_list(common.format, &columns, &rows)
}

fn shown(key: &StoredKey) -> Value {
    crate::admin::records::key(key, file::now())
}
