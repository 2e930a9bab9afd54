//! `portcullis token issue` and `portcullis token inspect`: the gateway's own tokens made by hand,
//! and what the file makes of a token.

use std::{
    io::{self, Read},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    accounts::{self, Somebody},
    file::{self, FileArgument},
    output::{self, Colour, Format, Style, shown},
};
use crate::{
    compile::Outcome,
    model::{Principal, Timestamp},
    policy::{
        Policy,
        authn::{JwtRule, Refused, TokenOrigin, judge_token},
        decision::TokenFault,
    },
    sources::{Dry, Memory, Remotes},
    store::Entry,
    token,
};

/// What the command is told.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Mint a token of the gateway's own for a user of the file
    Issue(Issue),
    /// Say what is in a token, and whether and why the file accepts it
    Inspect(Inspect),
}

#[derive(clap::Args, Debug)]
struct Issue {
    #[command(flatten)]
    file: FileArgument,
    /// The user's name
    username: String,
    /// Only these of the user's permissions, with spaces between, and no roles
    #[arg(long)]
    scope: Option<String>,
}

#[derive(clap::Args, Debug)]
struct Inspect {
    #[command(flatten)]
    file: FileArgument,
    /// The token, or `-` to read it from stdin, where no list of processes shows it
    token: String,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A token is never longer than this.
const LONGEST: u64 = 64 << 10;

/// Issues or inspects.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Issue(arguments) => issue(arguments),
        Command::Inspect(arguments) => inspect(arguments),
    }
}

fn issue(arguments: &Issue) -> anyhow::Result<ExitCode> {
    let now = file::now();
    let Some(outcome) = file::load_quietly(&arguments.file, now)? else {
        return Ok(ExitCode::FAILURE);
    };
    let scope = arguments.scope.as_deref();
    let memory = file::memory(&outcome)?;
    let Issued { subject, minted } =
        issue_for(&outcome.policy, &memory, &arguments.username, scope, now)?;
    if memory.records.is_some() {
        note(&outcome, &subject, &minted)?;
    }
    output::print_line(minted.token)?;
    Ok(ExitCode::SUCCESS)
}

/// A token, and whom it speaks for.
pub(super) struct Issued {
    pub(super) subject: Arc<str>,
    pub(super) minted: token::Minted,
}

/// Leaves a line in the audit log; without it there is no token.
fn note(outcome: &Outcome, subject: &str, minted: &token::Minted) -> anyhow::Result<()> {
    let granted = &minted.granted;
    let said = json!({
        "jti": granted.claims.get("jti"), "exp": granted.claims.get("exp"), "scope": granted.scope,
    });
    let detail = said.to_string();
    let entry = Entry { action: "token.issue", target: subject, detail: &detail };
    accounts::wait(async {
        let store = accounts::opened(outcome).await?;
        let noted = store.note(&entry, &Somebody::here().author()).await;
        store.close().await;
        noted.context("the audit log cannot be written, so that no token is issued")
    })
}

/// A token as the gateway would issue it to a user.
///
/// # Errors
/// If the gateway issues none, or not to this user.
pub(super) fn issue_for(
    policy: &Policy,
    memory: &Memory,
    username: &str,
    scope: Option<&str>,
    now: Timestamp,
) -> anyhow::Result<Issued> {
    let terms = policy.issuing.as_deref().context("the file has no `token` section")?;
    let user = match (policy.accounts.user_by_name(username), &memory.records) {
        (Some(user), _) => Some(Arc::clone(user)),
        (None, None) => None,
        (None, Some(records)) => records.user_by_name(username)?,
    };
    let user = user.with_context(|| format!("no user is named `{}`", shown(username)))?;
    if user.disabled {
        bail!("the user `{}` is disabled", shown(username));
    }
    let minted = token::mint(terms, &user, &policy.roles, scope, now)?;
    Ok(Issued { subject: Arc::clone(&user.subject), minted })
}

fn inspect(arguments: &Inspect) -> anyhow::Result<ExitCode> {
    let now = file::now();
    let Some(outcome) = file::load_quietly(&arguments.file, now)? else {
        return Ok(ExitCode::FAILURE);
    };
    let token = match arguments.token.as_str() {
        "-" => {
            let mut text = String::new();
            io::stdin().lock().take(LONGEST).read_to_string(&mut text)?;
            text.trim().to_owned()
        }
        token => token.to_owned(),
    };
    let policy = &outcome.policy;
    let memory = file::memory(&outcome)?;
    let rule = rule(policy);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let remotes = Remotes::for_inquiry(policy, outcome.serving.state_dir.as_deref());
    let sources = Dry::new(policy, &memory).asking(&remotes).showing_credentials();
    let anywhere = TokenOrigin::default();
    let judged =
        runtime.block_on(judge_token(policy, &rule, token.as_bytes(), anywhere, &sources, now));
    file::tell_of(&remotes);
    match arguments.format {
        Format::Json => output::print_line(format_args!("{:#}", to_json(&token, &judged)))?,
        Format::Human => output::print(to_text(&token, &judged, Colour::of_stdout()))?,
    }
    Ok(if judged.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Whoever could say what a token is worth. Of several providers none is shown a token that may be
/// another's.
fn rule(policy: &Policy) -> JwtRule {
    let mut rule = JwtRule::of(policy.issuers.clone());
    if let [only] = policy.providers.as_slice() {
        rule.ask(Arc::clone(only));
    }
    rule
}

type Judged = Result<std::sync::Arc<Principal>, Refused>;

fn to_json(token: &str, judged: &Judged) -> Value {
    let (header, claims) = parts(token);
    let principal = judged.as_ref().ok().map(|principal| {
        json!({
            "subject": &*principal.subject,
            "issuer": principal.issuer.as_str(),
            "roles": principal.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
            "permissions": principal.permissions.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        })
    });
    let reason = judged.as_ref().err().map(reason);
    json!({
        "accepted": judged.is_ok(), "reason": reason, "principal": principal,
        "header": header, "claims": claims,
    })
}

fn to_text(token: &str, judged: &Judged, colour: Colour) -> String {
    let (header, claims) = parts(token);
    let mut text = String::new();
    for (name, part) in [("header", &header), ("claims", &claims)] {
        let name = colour.paint(Style::Bold, name);
        match part {
            // JSON escapes control characters, so that none reaches the terminal.
            Some(part) => text.push_str(&format!("{name} {part:#}\n")),
            None => text.push_str(&format!("{name} cannot be read\n")),
        }
    }
    for (claim, time) in times(claims.as_ref()) {
        text.push_str(&format!("  {claim} is {time}\n"));
    }
    match judged {
        Ok(principal) => {
            let list = |names: Vec<&str>| match names.as_slice() {
                [] => "none".to_owned(),
                names => shown(&names.join(", ")).to_string(),
            };
            text.push_str(&format!(
                "{} as `{}` of `{}`\n  roles: {}\n  permissions: {}\n",
                colour.paint(Style::Good, "accepted"),
                shown(&principal.subject),
                principal.issuer,
                list(principal.roles.iter().map(|role| role.as_str()).collect()),
                list(principal.permissions.iter().map(|one| one.as_str()).collect()),
            ));
        }
        Err(refused) => {
            let what = match refused {
                Refused::ByProvider(TokenFault::Issuer) => "the answer has another `iss`",
                Refused::ByProvider(fault) | Refused::Fault(fault) => why(*fault),
                Refused::Denied(_) => "nobody looked at it",
                Refused::Unavailable(_) => "what it depends on cannot be asked",
            };
            let mark = colour.paint(Style::Bad, "refused");
            text.push_str(&format!("{mark} ({}): {what}\n", reason(refused)));
        }
    }
    text
}

fn reason(refused: &Refused) -> &'static str {
    match refused {
        Refused::ByProvider(fault) | Refused::Fault(fault) => fault.as_str(),
        Refused::Denied(denial) => denial.reason(),
        Refused::Unavailable(_) => "unavailable",
    }
}

/// Header and claims as they stand in a token that nobody has vouched for.
fn parts(token: &str) -> (Option<Value>, Option<Value>) {
    let mut parts = token.split('.').map(|part| {
        let json = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
        serde_json::from_slice::<Value>(&json).ok()
    });
    (parts.next().flatten(), parts.next().flatten())
}

/// The times among the claims, for people.
fn times(claims: Option<&Value>) -> Vec<(&'static str, String)> {
    let time = |name| {
        let seconds = claims?.get(name)?.as_f64()?;
        let time = OffsetDateTime::from_unix_timestamp(seconds as i64).ok()?;
        Some((name, time.format(&Rfc3339).ok()?))
    };
    ["iat", "nbf", "exp"].into_iter().filter_map(time).collect()
}

/// A fault in words.
const fn why(fault: TokenFault) -> &'static str {
    match fault {
        TokenFault::Algorithm => "its issuer does not sign with the algorithm that it names",
        TokenFault::Audience => "it was issued for another audience",
        TokenFault::ClaimType => "a claim has the wrong type",
        TokenFault::Critical => "its header has `crit`, `cty` or `b64`",
        TokenFault::Client => "the API key that it was issued to is unknown, shut out or over",
        TokenFault::DisabledUser => "the user whom it speaks for is disabled",
        TokenFault::DuplicateClaim => "a member stands in it twice",
        TokenFault::Expired => "its time is over",
        TokenFault::Inactive => "its provider does not say that it is active",
        TokenFault::Issuer => "no issuer of the file has its `iss`",
        TokenFault::Malformed => "it is not a token in the compact form of JWS",
        TokenFault::MissingClaim => "a claim that must be there is not",
        TokenFault::NotYetValid => "its time has not come",
        TokenFault::Place => "it stands where its issuer's tokens are not looked for",
        TokenFault::Revoked => "it was taken back",
        TokenFault::Signature => "no key of its issuer made the signature",
        TokenFault::TooLarge => "it is longer than any token that is read",
        TokenFault::Type => "its `typ` is not one that its issuer uses",
        TokenFault::UnknownKey => "its issuer has no key with its `kid`",
        TokenFault::UnknownUser => "no user has its subject",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let text = include_str!("../../gateway.yaml");
        let loaded = crate::config::load_text("gateway.yaml", text, &|_| None);
        let compiled = crate::compile::compile(&loaded, &crate::compile::Circumstances::default());
        compiled.outcome.unwrap().policy
    }

    fn judged(policy: &Policy, token: &str, now: Timestamp) -> Judged {
        let memory = Memory::new(1);
        let rule = JwtRule::of(policy.issuers.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sources = Dry::new(policy, &memory);
        let anywhere = TokenOrigin::default();
        runtime.block_on(judge_token(policy, &rule, token.as_bytes(), anywhere, &sources, now))
    }

    #[test]
    fn what_is_issued_is_accepted_until_it_expires() {
        let policy = policy();
        let now = Timestamp::from_seconds(1_900_000_000);
        let token = issue_for(&policy, &Memory::new(1), "alice", None, now).unwrap().minted.token;
        let accepted = judged(&policy, &token, now);
        let text = to_text(&token, &accepted, Colour::Never);
        assert!(text.contains("accepted as `alice` of `local`\n  roles: user\n"), "{text}");
        assert_eq!(text.matches("exp is 2030-03-17T18:16:40Z").count(), 1, "{text}");
        let late = judged(&policy, &token, Timestamp::from_seconds(1_900_002_000));
        let json = to_json(&token, &late);
        assert_eq!((&json["accepted"], &json["reason"]), (&json!(false), &json!("expired")));
        assert_eq!(json["claims"]["sub"], "alice");
        let narrow = issue_for(&policy, &Memory::new(1), "alice", Some("read:items"), now)
            .unwrap()
            .minted
            .token;
        assert!(judged(&policy, &narrow, now).unwrap().roles.is_empty());
    }

    #[test]
    fn nobody_else_is_issued_a_token() {
        let now = Timestamp::from_seconds(1_900_000_000);
        assert!(issue_for(&policy(), &Memory::new(1), "mallory", None, now).is_err());
        assert!(issue_for(&policy(), &Memory::new(1), "alice", Some("delete:users"), now).is_err());
    }

    #[test]
    fn what_is_no_token_is_said_to_be_none() {
        let refused = judged(&policy(), "nonsense", Timestamp::default());
        let text = to_text("nonsense", &refused, Colour::Never);
        assert!(text.contains("header cannot be read") && text.contains("(malformed)"), "{text}");
    }
}
