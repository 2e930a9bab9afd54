//! Metrics, the access log and the gateway's own log. Knows what a decision is; changes nothing.

pub mod access_log;
pub mod families;
mod line;
pub mod logging;
pub mod metrics;
pub mod queue;
pub mod trouble;

pub use access_log::{AccessLog, Entry};
pub use logging::{Format, Level, LogTerms};
pub use metrics::Metrics;
