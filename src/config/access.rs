//! `auth`, `allow` and `deny`: who may pass.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{AuthMethod, Expression, Label, OneOrMany};
use crate::model::{Cidr, Permission, Role};

/// How clients say who they are: a method or a list of methods, of which the first whose
/// credential is present decides; `none`; `optional`; or `{ optional: [jwt] }`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AuthRule {
    /// Nobody is asked, or nobody must answer.
    Word(AuthWord),
    /// Whoever presents a credential is judged by it, others pass without a principal.
    Optional(OptionalAuth),
    /// A credential is required.
    Methods(OneOrMany<AuthMethod>),
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthWord {
    /// Nobody: the route is public.
    None,
    /// The methods of `defaults.auth`, whose credential may be absent.
    Optional,
}

/// Methods whose credential may be absent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptionalAuth {
    /// The methods.
    #[schemars(length(min = 1))]
    pub optional: Vec<AuthMethod>,
}

/// Conditions that must all hold. It has at least one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Block {
    /// The principal has one of these roles, granted or included.
    #[schemars(length(min = 1))]
    pub roles: Option<Vec<Role>>,
    /// The principal has all of these permissions.
    #[schemars(length(min = 1))]
    pub permissions: Option<Vec<Permission>>,
    /// The client's address is in one of these networks.
    #[schemars(length(min = 1))]
    pub networks: Option<Vec<Cidr>>,
    /// The path parameter that must be the principal's subject.
    pub owner: Option<Owner>,
    /// A condition in CEL over `principal`, `claims`, `path`, `query`, `headers`, `request`,
    /// `client` and `now`.
    pub when: Option<Expression>,
}

/// The path parameter that must be the principal's subject.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Owner {
    /// Its name, where all principals come from one source.
    Parameter(Label),
    /// With the issuers whose subjects it speaks of.
    Of(OwnerOf),
}

/// A path parameter and the issuers whose subjects it speaks of.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnerOf {
    /// The path parameter.
    pub parameter: Label,
    /// Names under `authentication.jwt`; `local` is the gateway's own users, keys and tokens.
    #[schemars(length(min = 1))]
    pub issuers: Vec<Label>,
}

/// What a cookie or Basic credential is worth on a request that another site caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrossSite {
    /// It counts.
    Allow,
    /// It does not count on methods that change something.
    Deny,
}

/// Whether refusals are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// `allow`, `deny` and `rate_limit` are decided, counted and logged, and let through.
    Shadow,
}
