//! `authentication.api_keys`: keys for programs.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::values::{Header, Label, List, Sha256Hex};
use crate::model::{Cidr, Permission, PlanName, Role, Timestamp};

/// Keys for programs. One of `header` and `query` is there, or both.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiKeys {
    /// The header that carries the key. Absent: headers are not looked at.
    pub header: Option<Header>,
    /// The query parameter that carries the key. Absent: the query is not looked at.
    pub query: Option<Label>,
    /// The status of a refusal where `api_key` is a route's only method: 403 suits clients that
    /// were written against an app that answered so.
    pub reject_status: RejectStatus,
    /// The keys.
    pub keys: List<ApiKey>,
}

/// An API key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Its name in logs and limits, unique.
    pub id: Label,
    /// The SHA-256 digest of the whole key, in hexadecimal. The key itself is nowhere stored.
    pub sha256: Sha256Hex,
    /// The subject it stands for. Default: the id.
    pub subject: Option<Label>,
    /// Its roles.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Its permissions, beside those of its roles.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// Its plan, for `limit: plan`.
    pub plan: Option<PlanName>,
    /// The networks it is accepted from. Absent: any.
    #[schemars(length(min = 1))]
    pub networks: Option<Vec<Cidr>>,
    /// When it ends (RFC 3339). Absent: never.
    pub expires: Option<Timestamp>,
    /// Whether it is refused.
    #[serde(default)]
    pub disabled: bool,
}

/// The status of a refusal where `api_key` is a route's only method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RejectStatus {
    /// 401, with `WWW-Authenticate`.
    #[default]
    Unauthorized,
    /// 403.
    Forbidden,
}

impl<'de> Deserialize<'de> for RejectStatus {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u16::deserialize(from)? {
            401 => Ok(Self::Unauthorized),
            403 => Ok(Self::Forbidden),
            _ => Err(serde::de::Error::custom("expected 401 or 403")),
        }
    }
}

impl Serialize for RejectStatus {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u16(match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
        })
    }
}

impl JsonSchema for RejectStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "reject-status".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "enum": [401, 403] })
    }
}
