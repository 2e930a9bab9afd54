//! `authentication`: the methods by which clients say who they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    api_keys::ApiKeys,
    forward_auth::ForwardAuth,
    introspection::Introspection,
    issuers::Issuer,
    values::{Named, QuotaText, RealmText, Switch},
};
use crate::model::IssuerName;

/// The methods by which clients say who they are.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Authentication {
    /// Issuers of bearer tokens (RFC 7519), by name. The name `token` is the gateway's own.
    pub jwt: Named<IssuerName, Issuer>,
    /// API keys.
    pub api_keys: Option<ApiKeys>,
    /// Usernames and passwords (RFC 7617).
    pub basic: Option<Basic>,
    /// Certificates that clients show to a listener with `tls.client_auth`.
    pub client_cert: Option<ClientCert>,
    /// Providers that are asked what a bearer token is worth (RFC 7662), by name.
    pub introspection: Named<IssuerName, Introspection>,
    /// Services that are asked who sent a request, by name.
    pub forward_auth: Named<IssuerName, ForwardAuth>,
    /// How many wrong credentials one address may present, or `false` for any number. Default:
    /// `60/minute`.
    pub failure_limit: Option<Switch<QuotaText>>,
}

/// Certificates of clients. The subject is the id of a user, whose roles and permissions count.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCert {
    /// Where in the certificate the id of the user stands. A certificate that has several such
    /// names is refused.
    pub subject: CertSubject,
}

/// A place in a certificate that names its owner (RFC 5280).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertSubject {
    /// The common name of its subject.
    Cn,
    /// The DNS name among its subject alternative names.
    SanDns,
    /// The URI among its subject alternative names.
    SanUri,
}

/// Usernames and passwords of the users of this file (RFC 7617).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Basic {
    /// What browsers show beside the prompt.
    pub realm: RealmText,
}

impl Default for Basic {
    fn default() -> Self {
        Self { realm: RealmText("portcullis".to_owned()) }
    }
}
