//! What the operator wrote, and faults in it. Knows the file's shape, its spans and its values;
//! does not know what they mean for a request.

pub mod access;
pub mod admin;
pub mod api_keys;
pub mod authentication;
pub mod codes;
pub mod cors;
pub mod defaults;
pub mod diagnostic;
pub mod document;
pub mod expansions;
pub mod forward_auth;
pub mod headers;
pub mod identity;
pub mod introspection;
pub mod issuers;
mod later;
pub mod limits;
pub mod load;
pub mod log;
pub mod reading;
pub mod roles;
pub mod routes;
mod scalar;
pub mod schema;
pub mod server;
mod shape;
pub mod source;
pub mod streams;
pub mod suggest;
pub mod token;
pub mod upstreams;
pub mod users;
pub mod values;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{PlanName, Role, UpstreamName};
pub use load::{Companion, Loaded, load, load_companion, load_text};
use values::{FolderPath, List, Named, QuotaText};

/// The file's shape.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The version of this format.
    pub version: Version,
    /// Where the gateway listens, and the bounds on what it accepts.
    pub server: server::Server,
    /// The listener for metrics, health and the admin API.
    pub admin: admin::Admin,
    /// What is written to stderr.
    pub log: log::Log,
    /// Where users, API keys, grants and the audit log are kept: `sqlite:FILE`, created at the first
    /// start, or `postgres://…`. Absent: there is this file alone.
    pub store: Option<values::StoreUrl>,
    /// How long what is known of the store still serves while it is away. Default: `10m`.
    pub store_max_stale: Option<values::Period>,
    /// A folder for the last good keys of issuers, so that a restart works while one is down.
    /// Default: that of the store, if the store is a file; else they are not kept.
    pub state_dir: Option<FolderPath>,
    /// The services behind the gateway, by name.
    pub upstreams: Named<UpstreamName, upstreams::Upstream>,
    /// The methods by which clients say who they are.
    pub authentication: authentication::Authentication,
    /// Accounts with a password.
    pub users: List<users::User>,
    /// The gateway as an issuer of its own.
    pub token: Option<token::Token>,
    /// Named sets of permissions. When present, a role that is named in this file and not defined
    /// here is a fault.
    pub roles: Option<Named<Role, roles::RoleSettings>>,
    /// Quotas by plan, for `limit: plan`. `default` serves principals without a known plan.
    pub plans: Named<PlanName, QuotaText>,
    /// The counters of all limits.
    pub rate_limits: roles::RateLimits,
    /// What upstreams are told about a principal.
    pub identity: identity::Identity,
    /// For every route that does not say otherwise.
    pub defaults: defaults::Defaults,
    /// Which requests lead where, and who may make them.
    pub routes: List<routes::Route>,
}

/// The version of the file's format: 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u64::deserialize(from)? {
            1 => Ok(Self),
            _ => Err(serde::de::Error::custom("expected 1")),
        }
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "version".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "enum": [1] })
    }
}
