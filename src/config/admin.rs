//! `admin`: the listener for metrics, health and the admin API.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{HostPattern, ListenAddress, SecretSource};

/// The listener for metrics, health and the admin API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port.
    pub listen: ListenAddress,
    /// What callers of the admin API present as `Authorization: Bearer`, 16 characters or more.
    /// Required when `listen` is not a loopback address; empty is none.
    #[schemars(extend("x-may-be-empty" = true))]
    pub token: Option<SecretSource>,
    /// More names that the listener may be called by, beside its address.
    pub hosts: Vec<HostPattern>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: ListenAddress::loopback(9090), token: None, hosts: Vec::new() }
    }
}
