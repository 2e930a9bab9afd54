//! `log`: what is written to stderr.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is written to stderr.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// One JSON object a line, or text for people.
    pub format: LogFormat,
    /// The least important messages that are still written.
    pub level: LogLevel,
    /// Whether each request gets a line.
    pub access: bool,
    /// Whether that line says who it was: principal, issuer, roles and permissions.
    pub identity: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: LogLevel::Info, access: true, identity: true }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// For people.
    Text,
}

// From the fewest lines to the most.
/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What needs somebody to act.
    Error,
    /// What may need it.
    Warn,
    /// What happens.
    Info,
    /// How it happens.
    Debug,
    /// Everything.
    Trace,
}
