//! `portcullis reload` and `portcullis status`: a few words with a running gateway.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Response, StatusCode},
};

use super::output::{self, Colour, Format, Style};

/// An answer is never longer than this.
const LONGEST: u64 = 4 << 20;

/// What the commands are told.
#[derive(clap::Args, Debug)]
pub(super) struct Arguments {
    /// Where the gateway's admin listener is; its token comes from PORTCULLIS_ADMIN_TOKEN
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    admin: String,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Makes the gateway read its file again.
pub(super) fn reload(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (status, body) = ask(arguments, "POST", "/api/v1/reload")?;
    match status {
        StatusCode::OK => show(arguments.format, &body),
        StatusCode::UNPROCESSABLE_ENTITY => {
            complain_of_faults(arguments.format, &body)?;
            Ok(ExitCode::FAILURE)
        }
        status => refused(status, &body),
    }
}

/// Says how the gateway is.
pub(super) fn status(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (status, body) = ask(arguments, "GET", "/api/v1/status")?;
    match status {
        StatusCode::OK => show(arguments.format, &body),
        status => refused(status, &body),
    }
}

fn ask(arguments: &Arguments, method: &str, path: &str) -> anyhow::Result<(StatusCode, Value)> {
    let base = arguments.admin.trim_end_matches('/');
    if !base.starts_with("http://") {
        bail!(
            "the admin listener speaks plain HTTP: `--admin` is a URL such as http://127.0.0.1:9090"
        );
    }
    let url = format!("{base}{path}");
    let token = std::env::var("PORTCULLIS_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
    let bearer = token.map(|token| format!("Bearer {token}"));
    let agent = agent();
    let sent = match (method, bearer) {
        ("POST", None) => agent.post(&url).send_empty(),
        ("POST", Some(bearer)) => agent.post(&url).header("Authorization", bearer).send_empty(),
        (_, None) => agent.get(&url).call(),
        (_, Some(bearer)) => agent.get(&url).header("Authorization", bearer).call(),
    };
    let mut answer: Response<Body> = sent.with_context(|| format!("cannot reach {base}"))?;
    let status = answer.status();
    let text = answer
        .body_mut()
        .with_config()
        .limit(LONGEST)
        .read_to_string()
        .with_context(|| format!("cannot read the answer of {base}"))?;
    // What answers something else than JSON is no gateway of ours; its status says enough.
    Ok((status, serde_json::from_str(&text).unwrap_or_default()))
}

/// Goes straight to the listener: no proxy of the environment sees the token, no redirect takes
/// it elsewhere.
fn agent() -> Agent {
    Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn show(format: Format, body: &Value) -> anyhow::Result<ExitCode> {
    match format {
        Format::Json => output::print_line(format_args!("{body:#}"))?,
        Format::Human => {
            let mut text = String::new();
            list(&mut text, body, 0);
            output::print(text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A JSON value as indented `name: value` lines.
fn list(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let mut line = |name: &str, value: &Value| match value {
        Value::Array(items) if items.is_empty() => {}
        Value::Object(_) | Value::Array(_) => {
            text.push_str(&format!("{indent}{}:\n", output::shown(name)));
            list(text, value, depth + 1);
        }
        Value::String(word) => {
            text.push_str(&format!("{indent}{}: {}\n", output::shown(name), output::shown(word)));
        }
        scalar => text.push_str(&format!("{indent}{}: {scalar}\n", output::shown(name))),
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| line(name, value)),
        Value::Array(items) => items.iter().for_each(|item| line("-", item)),
        scalar => text.push_str(&format!("{indent}{scalar}\n")),
    }
}

/// The faults for which the new file was refused, as the gateway tells them.
fn complain_of_faults(format: Format, body: &Value) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::print_line(format_args!("{body:#}"));
    }
    output::complain("the file was refused; the gateway goes on with the one it has");
    let faults = ["faults", "diagnostics"].iter().find_map(|name| body.get(name)?.as_array());
    for fault in faults.into_iter().flatten() {
        let word = |name: &str| fault.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| fault.get(name).and_then(Value::as_u64).unwrap_or_default();
        output::tell(format_args!(
            "  {}:{}:{} {}[{}]: {}\n",
            output::shown(word("file")),
            number("line"),
            number("column"),
            Colour::of_stderr().paint(Style::Bad, output::shown(word("severity"))),
            output::shown(word("code")),
            output::shown(word("message")),
        ));
    }
    Ok(())
}

fn refused(status: StatusCode, body: &Value) -> anyhow::Result<ExitCode> {
    let detail = body.get("detail").and_then(Value::as_str).unwrap_or_default();
    let hint = match status {
        StatusCode::UNAUTHORIZED => "; set PORTCULLIS_ADMIN_TOKEN to the file's `admin.token`",
        _ => "",
    };
    bail!("the gateway refused with {status}: {}{hint}", output::shown(detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_listed_line_by_line() {
        let mut text = String::new();
        let body = json!({"generation": 2, "checks": {"config": "ok\u{1b}"}, "listeners": ["a"]});
        list(&mut text, &body, 0);
        assert!(text.contains("generation: 2\n"), "{text}");
        assert!(text.contains("checks:\n  config: ok\\u{1b}\n"), "{text}");
        assert!(text.contains("listeners:\n  -: a\n"), "{text}");
    }

    #[test]
    fn a_listener_that_is_not_there_is_an_error() {
        let arguments = Arguments { admin: "http://127.0.0.1:1".into(), format: Format::Human };
        assert!(status(&arguments).unwrap_err().to_string().contains("cannot reach"));
        let arguments = Arguments { admin: "https://127.0.0.1:1".into(), format: Format::Human };
        assert!(reload(&arguments).is_err());
    }
}
