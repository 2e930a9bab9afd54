//! `identity`: what upstreams are told about a principal.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{Header, Named, Template};

/// What upstreams are told about a principal.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Headers set on every forwarded request. A name that is set here is removed from what
    /// clients send. Default: `X-User-Id: "{principal.subject}"`, `X-User-Roles:
    /// "{principal.roles}"`, `X-User-Permissions: "{principal.permissions}"` and `X-Auth-Method:
    /// "{principal.method}"`.
    pub headers: Option<Named<Header, Template>>,
    /// Whether upstreams see the credential itself.
    pub forward_credentials: bool,
    /// Names of the built-in identity set that clients may send after all.
    pub accept: Vec<Header>,
    /// More names that no client may send.
    pub strip: Vec<Header>,
}
