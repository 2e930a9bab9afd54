//! `portcullis explain METHOD URL`: the same decision as the proxy's, without a server, with each
//! of its steps.

use std::{fmt::Write as _, io::Read, net::IpAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::{
    file::{self, FileArgument},
    inquiry::{Findings, Inquiry},
    output::{self, Colour, Format, Style, shown},
};
use crate::{
    model::Timestamp,
    policy::{Verdict, trail::Outcome},
    sources::{Dry, Remotes},
};

/// What the command is told.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: FileArgument,
    /// The request's method
    method: String,
    /// Its path with the query as it stands on the wire, or a URL
    url: String,
    /// A header, `Name: value`; `@FILE` reads one from each line of a file, `@-` from stdin
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The address of the connection's other end
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client_ip: IpAddr,
    /// The client shows a certificate that names this subject
    #[arg(long, value_name = "SUBJECT")]
    client_cert: Option<String>,
    /// When the request comes, such as 2030-01-01T00:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = file::time)]
    at: Option<Timestamp>,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A file of headers is never longer than this.
const LONGEST: u64 = 1 << 20;

/// Decides, and prints how.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let now = arguments.at.unwrap_or_else(file::now);
    let Some(outcome) = file::load_quietly(&arguments.file, now)? else {
        return Ok(ExitCode::FAILURE);
    };
    let mut inquiry = Inquiry::new(&arguments.method, &arguments.url)?;
    inquiry.set_peer(arguments.client_ip);
    if let Some(subject) = &arguments.client_cert {
        inquiry.certificate(subject);
    }
    for written in &arguments.headers {
        add(&mut inquiry, written)?;
    }
    let memory = file::memory(&outcome)?;
    let (policy, serving) = (outcome.policy, outcome.serving);
    let remotes = Remotes::for_inquiry(&policy, serving.state_dir.as_deref());
    let sources = Dry::new(&policy, &memory).asking(&remotes).showing_credentials();
    let findings = inquiry.judge(&policy, &sources, None, now)?;
    file::tell_of(&remotes);
    match arguments.format {
        Format::Json => output::print_line(format_args!("{:#}", to_json(&findings)))?,
        Format::Human => {
            let file = arguments.file.config.display().to_string();
            output::print(to_text(&findings, &file, Colour::of_stdout()))?;
        }
    }
    Ok(match findings.decision.verdict {
        Verdict::Deny(_) => ExitCode::from(3),
        Verdict::Answer(_) | Verdict::Forward(_) | Verdict::Serve(_) => ExitCode::SUCCESS,
    })
}

fn add(inquiry: &mut Inquiry, written: &str) -> anyhow::Result<()> {
    let Some(file) = written.strip_prefix('@') else {
        return add_line(inquiry, written);
    };
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().lock().take(LONGEST).read_to_string(&mut text),
        file => std::fs::File::open(PathBuf::from(file))
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read headers from `{}`", shown(file)))?;
    text.lines().filter(|line| !line.trim().is_empty()).try_for_each(|line| add_line(inquiry, line))
}

fn add_line(inquiry: &mut Inquiry, line: &str) -> anyhow::Result<()> {
    // The value may be a credential, so that only the name is shown.
    let Some((name, value)) = line.split_once(':') else {
        bail!("a header is written `Name: value`");
    };
    inquiry.header(name.trim(), value.trim())
}

/// The stable form for scripts.
pub(super) fn to_json(findings: &Findings) -> Value {
    let decision = &findings.decision;
    let answer = &findings.answer;
    let principal = decision.principal.as_ref().map(|principal| {
        json!({
            "subject": &*principal.subject,
            "issuer": principal.issuer.as_str(),
            "method": principal.method.as_str(),
            "roles": principal.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
            "permissions": principal.permissions.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        })
    });
    let sent = findings.sent.as_ref().map(|sent| {
        json!({
            "upstream": sent.upstream,
            "target": sent.target,
            "headers": headers_json(&sent.headers, &findings.secret),
        })
    });
    json!({
        "verdict": verdict(&decision.verdict),
        "status": answer.status,
        "code": answer.code,
        "reason": answer.reason,
        "detail": answer.detail,
        "shadow": decision.shadow.as_ref().map(|denial| denial.problem().code),
        "route": decision.route.as_ref().map(|route| route.name.as_str()),
        "line": decision.route.as_ref().map(|route| route.line).filter(|line| *line > 0),
        "principal": principal,
        "steps": findings.steps,
        "request": sent,
        "response": { "headers": headers_json(&answer.headers, &findings.secret) },
    })
}

fn headers_json(headers: &HeaderMap, secret: &[HeaderName]) -> Value {
    let mut members = Map::new();
    for name in headers.keys() {
        let lines = headers.get_all(name).iter();
        let lines = lines.map(|line| Value::from(text(name, line, secret)));
        members.insert(name.as_str().to_owned(), Value::Array(lines.collect()));
    }
    Value::Object(members)
}

/// A header's value; credentials that go upstream are not shown.
fn text(name: &HeaderName, value: &HeaderValue, secret: &[HeaderName]) -> String {
    if secret.contains(name) {
        return "***".to_owned();
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

const fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Answer(_) => "answered",
        Verdict::Deny(_) => "denied",
        Verdict::Forward(_) => "forwarded",
        Verdict::Serve(_) => "served",
    }
}

/// The form for people.
pub(super) fn to_text(findings: &Findings, file: &str, colour: Colour) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = steps(&mut out, findings, file, colour);
    let _ = conclusion(&mut out, findings, colour);
    out
}

fn steps(out: &mut String, findings: &Findings, file: &str, colour: Colour) -> std::fmt::Result {
    for step in &findings.steps {
        let (mark, style) = match step.outcome {
            Outcome::Passed => ("+", Style::Good),
            Outcome::Refused => ("x", Style::Bad),
            Outcome::Skipped => ("-", Style::Faint),
        };
        let mark = colour.paint(style, mark);
        write!(out, "{mark} {:<15} {}", step.step, shown(&step.detail))?;
        match step.line {
            Some(line) => {
                let place = format!("{file}:{line}");
                writeln!(out, "  {}", colour.paint(Style::Faint, shown(&place)))?;
            }
            None => writeln!(out)?,
        }
    }
    writeln!(out)
}

fn conclusion(out: &mut String, findings: &Findings, colour: Colour) -> std::fmt::Result {
    let answer = &findings.answer;
    let status = answer.status.map(|status| status.to_string()).unwrap_or_default();
    match (&findings.decision.verdict, &findings.sent) {
        (Verdict::Deny(_), _) => {
            let code = answer.code.unwrap_or_default();
            let detail = answer.detail.as_deref().unwrap_or_default();
            let denied = colour.paint(Style::Bad, "denied");
            writeln!(out, "{denied}: {status} {code}: {}", shown(detail))?;
            let reason = answer.reason.unwrap_or_default();
            writeln!(out, "  the log says: {}", shown(reason))?;
        }
        (Verdict::Answer(_), _) => {
            writeln!(
                out,
                "{}: {status}, by the gateway itself",
                colour.paint(Style::Good, "answered")
            )?;
        }
        (Verdict::Serve(_), _) => {
            writeln!(
                out,
                "{}: by the gateway's own endpoint",
                colour.paint(Style::Good, "allowed")
            )?;
        }
        (Verdict::Forward(_), None) => {}
        (Verdict::Forward(_), Some(sent)) => {
            let allowed = colour.paint(Style::Good, "allowed");
            writeln!(out, "{allowed}: to upstream `{}` as", shown(&sent.upstream))?;
            writeln!(out, "  {}", shown(&sent.target))?;
            headers(out, &sent.headers, &findings.secret)?;
        }
    }
    if let Some(denial) = &findings.decision.shadow {
        let code = denial.problem().code;
        writeln!(
            out,
            "{}: {code}, let through by `mode: shadow`",
            colour.paint(Style::Warning, "shadow")
        )?;
    }
    if !answer.headers.is_empty() {
        writeln!(out, "on the response")?;
        headers(out, &answer.headers, &findings.secret)?;
    }
    Ok(())
}

fn headers(out: &mut String, headers: &HeaderMap, secret: &[HeaderName]) -> std::fmt::Result {
    headers.iter().try_for_each(|(name, value)| {
        writeln!(out, "  {name}: {}", shown(&text(name, value, secret)))
    })
}
