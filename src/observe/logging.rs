//! The gateway's own log: one line per event on stderr, JSON or text, through one bounded queue
//! that the access log shares. Library records are let through without paths of the build machine.

use std::{
    fmt,
    io::{self, IsTerminal as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Registry,
    filter::{LevelFilter, Targets},
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt as _,
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt as _,
};

use super::{
    line,
    queue::{Guard, Queue},
};
use crate::model::Timestamp;

/// What `log` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogTerms {
    /// How lines look.
    pub format: Format,
    /// What is logged.
    pub level: Level,
    /// Whether there is an access log.
    pub access: bool,
    /// Whether the access log tells who the principal is.
    pub identity: bool,
}

impl Default for LogTerms {
    fn default() -> Self {
        Self { format: Format::Json, level: Level::Info, access: true, identity: true }
    }
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object a line.
    Json,
    /// For people.
    Text,
}

/// What is logged: this and what is graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What stopped.
    Error,
    /// What somebody should look at.
    Warn,
    /// What an operator did or waits for.
    Info,
    /// What helps to find a fault, the libraries' own records among it.
    Debug,
    /// Everything.
    Trace,
}

/// Events of this target are written whatever the level: the address of a listener is the answer
/// to a question (port 0), not chatter.
pub const ANNOUNCEMENT: &str = "portcullis::announcement";

/// The log of this process, kept alive until everything is written.
#[derive(Debug)]
pub struct Logging {
    queue: Queue,
    json: Arc<AtomicBool>,
    filter: Option<reload::Handle<Targets, Registry>>,
    chatty: &'static [&'static str],
    _guard: Guard,
}

impl Logging {
    /// Starts the writer and takes up every event of this process; a process that has a log
    /// already keeps that one for its events. `chatty` names the targets of libraries that write what
    /// requests bring; they are never heard.
    ///
    /// # Errors
    /// The system gives no thread for the writer.
    pub fn start(terms: &LogTerms, chatty: &'static [&'static str]) -> io::Result<Self> {
        let (queue, guard) = Queue::start(io::stderr())?;
        let json = Arc::new(AtomicBool::new(terms.format == Format::Json));
        let (filter, handle) = reload::Layer::new(targets(terms.level, chatty));
        let lines = queue.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(io::stderr().is_terminal())
            .event_format(Lines { json: json.clone() })
            .with_writer(move || lines.clone());
        let installed = tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok();
        Ok(Self { queue, json, filter: installed.then_some(handle), chatty, _guard: guard })
    }

    /// The queue that the access log writes to.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Takes up another format and level.
    pub fn change(&self, terms: &LogTerms) {
        self.json.store(terms.format == Format::Json, Ordering::Relaxed);
        if let Some(filter) = &self.filter {
            // Fails only where the subscriber is gone, and then there is nothing to change.
            let _ = filter.reload(targets(terms.level, self.chatty));
        }
    }
}

fn targets(level: Level, chatty: &[&'static str]) -> Targets {
    let ours = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // A library's line per failed request says nothing that the access log does not, a client could
    // write as many as it likes, and their details are whole heads, credentials included.
    let grave = ours.min(LevelFilter::WARN);
    let library = chatty.iter().map(|target| (*target, LevelFilter::OFF));
    Targets::new()
        .with_default(grave)
        .with_targets(library)
        .with_target("portcullis", ours)
        .with_target(ANNOUNCEMENT, LevelFilter::INFO)
}

struct Lines {
    json: Arc<AtomicBool>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = rfc3339(std::time::SystemTime::now().into());
        let mut fields = Fields::default();
        event.record(&mut fields);
        if self.json.load(Ordering::Relaxed) {
            fields.json(&now, event.metadata(), &mut writer)
        } else {
            fields.text(&now, event.metadata(), &mut writer)
        }
    }
}

/// The fields of an event. Those that a bridged `log` record carries about its own source are left
/// out, save its target.
#[derive(Default)]
struct Fields {
    message: Option<String>,
    target: Option<String>,
    rest: Vec<(&'static str, serde_json::Value)>,
}

impl Fields {
    fn json(self, now: &str, meta: &Metadata<'_>, writer: &mut Writer<'_>) -> fmt::Result {
        let level = meta.level().as_str().to_ascii_lowercase();
        // The time comes first, for people who read it all the same.
        write!(writer, "{{\"time\":\"{now}\",\"level\":\"{level}\"")?;
        let target = self.target.map(|target| ("target", target.into()));
        let message = self.message.map(|message| ("message", message.into()));
        for (name, value) in target.into_iter().chain(self.rest).chain(message) {
            write!(writer, ",{}:{value}", serde_json::Value::from(name))?;
        }
        writer.write_str("}\n")
    }

    fn text(self, now: &str, meta: &Metadata<'_>, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{now} {:5}", meta.level().as_str())?;
        if let Some(message) = &self.message {
            writer.write_char(' ')?;
            escaped(message, writer)?;
        }
        if let Some(target) = &self.target {
            write!(writer, " target={target}")?;
        }
        for (name, value) in &self.rest {
            write!(writer, " {name}=")?;
            match value {
                serde_json::Value::String(text) => escaped(text, writer)?,
                other => write!(writer, "{other}")?,
            }
        }
        writer.write_char('\n')
    }

    fn put(&mut self, field: &Field, value: serde_json::Value) {
        match field.name() {
            "message" => self.message = Some(as_text(value)),
            "log.target" => self.target = Some(as_text(value)),
            name if name.starts_with("log.") => {}
            name => self.rest.push((name, value)),
        }
    }
}

fn as_text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Text whose line breaks stay, indented, and whose other control characters are escaped.
fn escaped(text: &str, writer: &mut Writer<'_>) -> fmt::Result {
    for character in text.chars() {
        match character {
            '\n' => writer.write_str("\n  ")?,
            control if control.is_control() => write!(writer, "{}", control.escape_default())?,
            plain => writer.write_char(plain)?,
        }
    }
    Ok(())
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

/// In UTC, to the millisecond.
pub fn rfc3339(time: Timestamp) -> String {
    let mut text = Vec::with_capacity(24);
    line::push_rfc3339(time, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
