//! `rate_limit`: how often requests may come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{LimitKey, OneOrMany, QuotaText};

/// How often requests may come.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitRule {
    /// How many within which time, such as `10/minute`; several joined by `;`. `plan` is that of
    /// the principal's plan under `plans`.
    pub limit: QuotaText,
    /// What is counted apart: `client_ip`, `principal`, `api_key`, `header:NAME`, `route`, or
    /// several of them together. A key that is absent counts as `client_ip`. Default:
    /// `client_ip`; for `limit: plan` it is `principal`.
    pub by: Option<OneOrMany<LimitKey>>,
    /// How it is counted. Default: `sliding_window`.
    pub algorithm: Option<LimitAlgorithm>,
    /// How many a `token_bucket` holds. Default: the number of the limit.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: Option<u32>,
}

/// How a limit is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitAlgorithm {
    /// In windows that begin at the first request.
    FixedWindow,
    /// Never more than the number in any window of that length.
    SlidingWindow,
    /// Refilled evenly; holds `burst`.
    TokenBucket,
}
