//! `users`: accounts with a password.

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{Label, PasswordHash};
use crate::model::{Permission, PlanName, Role};

/// An account.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The subject, unique. Default: the username.
    pub id: Option<Label>,
    /// What the user logs in with, unique.
    pub username: Label,
    /// The hash of the password, bcrypt or argon2id, as `portcullis hash-password` prints it.
    /// Without one the user cannot log in.
    pub password: Option<PasswordHash>,
    /// The user's roles.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// The user's permissions, beside those of the roles.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// The user's plan, for `limit: plan`.
    pub plan: Option<PlanName>,
    /// Whether the user is refused, with every token too where users are required.
    #[serde(default)]
    pub disabled: bool,
}

impl User {
    /// The id, or the username in its place.
    pub fn subject(&self) -> &Label {
        self.id.as_ref().unwrap_or(&self.username)
    }
}
