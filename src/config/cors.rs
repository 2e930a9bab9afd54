//! `cors`: which pages of other origins may read answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Header, Method, Origin, Period, Switch};

/// Which pages of other origins may read answers: settings, `upstream` for an app that answers
/// preflights itself, or `false` for none.
pub type CorsRule = Switch<CorsSetting>;

/// Settings, or the word `upstream`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CorsSetting {
    /// The app does it.
    Upstream(AtUpstream),
    /// The gateway does it.
    Gateway(Box<Cors>),
}

/// The word `upstream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtUpstream {
    /// Preflights go to the app, unauthenticated, and its headers are left alone.
    Upstream,
}

/// Which pages of other origins may read answers. On a route, what is absent comes from
/// `defaults.cors`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins: exact, `https://*.example.com`, or `*` for any.
    pub allow_origins: Option<Vec<Origin>>,
    /// Whether pages may send cookies and credentials. Not with the origin `*`. Default: `false`.
    pub allow_credentials: Option<bool>,
    /// Methods, within those of the route. Default: those of the route.
    pub allow_methods: Option<Vec<Method>>,
    /// Request headers beside the safelisted ones; `*` for any.
    pub allow_headers: Option<Vec<Header>>,
    /// Response headers that pages may read beside the safelisted ones.
    pub expose_headers: Option<Vec<Header>>,
    /// How long a browser may remember the answer to a preflight.
    pub max_age: Option<Period>,
}
