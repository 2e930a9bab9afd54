//! `streams`: how long what never ends by itself may last.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::Period;

/// WebSocket connections and server-sent events. What is absent comes from `defaults`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Streams {
    /// How long one may be silent on both sides. Default: 10m.
    pub idle: Option<Period>,
    /// Whether one ends when the credential that opened it does. When that is taken back it ends
    /// whatever stands here. Default: true.
    pub close_at_expiry: Option<bool>,
    /// How much longer it may last than its credential. Default: 10s.
    pub grace: Option<Period>,
}
