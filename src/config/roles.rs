//! `roles`, `plans` and `rate_limits`: what principals may do, and how often.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Permission, Role};

/// A named set of permissions.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoleSettings {
    /// Roles whose permissions it has too. Who holds it counts as holding them.
    pub includes: Vec<Role>,
    /// What it permits.
    pub permissions: Vec<Permission>,
}

/// The counters of all limits.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// How many counters are kept in memory. Beyond it the least used is dropped, and its key
    /// starts fresh. Fewer than 1024 are 1024.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub keys: u64,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { keys: 1_000_000 }
    }
}
