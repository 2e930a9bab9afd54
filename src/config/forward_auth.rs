//! `authentication.forward_auth`: services that know who sent a request.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    introspection::{never, one_second},
    values::{Header, Period, ServiceUrl},
};

/// A service that is asked who sent a request: a `GET` with some of its headers, which answers 2xx with
/// headers that say who, or 401 or 403.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuth {
    /// Where it is asked.
    pub url: ServiceUrl,
    /// Headers of the request that it is sent, those that may hold a credential. A request with none of
    /// them has none. They go no further, unless `forward_credentials` says so.
    #[schemars(length(min = 1))]
    pub send: Vec<Header>,
    /// Headers of its answer that go upstream. No client may send them.
    #[serde(default)]
    pub take: Vec<Header>,
    /// The header of its answer that says the subject. It is taken, as are the following.
    pub subject: Header,
    /// The one that says the roles, with commas between.
    pub roles: Option<Header>,
    /// The one that says the permissions, with commas or spaces between.
    pub permissions: Option<Header>,
    /// The one that says the plan.
    pub plan: Option<Header>,
    /// How long it may take to answer, at most `30s`.
    #[serde(default = "one_second")]
    pub timeout: Period,
    /// How long a good answer serves requests for which the service would be told the very same. Default:
    /// `0s`, every request asks.
    #[serde(default = "never")]
    pub cache: Period,
}
