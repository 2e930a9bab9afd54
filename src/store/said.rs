//! What the audit log says of a change beside whom it is about: what is changed, and what it is
//! from then on, as JSON. Of passwords it says that they were set, and nothing of them.

use std::fmt::Display;

use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{KeyChange, KeyTerms, PasswordSet, UserChange, UserTerms};
use crate::model::{Permission, PlanName, Role, Timestamp};

/// What is said of a new user.
pub(super) fn of_user(user: &UserTerms) -> String {
    let UserTerms { subject: _, username, password, roles, permissions, plan, disabled } = user;
    let change = UserChange {
        username: Some(username.clone()),
        password: password.clone().map(PasswordSet::To),
        roles: (!roles.is_empty()).then(|| roles.clone()),
        permissions: (!permissions.is_empty()).then(|| permissions.clone()),
        plan: plan.clone().map(Some),
        disabled: disabled.then_some(true),
    };
    of_user_change(&change)
}

/// What is said of a user's change.
pub(super) fn of_user_change(change: &UserChange) -> String {
    let UserChange { username, password, roles, permissions, plan, disabled } = change;
    let password = password.as_ref().map(|password| match password {
        PasswordSet::To(_) => "set",
        PasswordSet::Nothing => "taken away",
    });
    told([
        ("username", username.as_ref().map(|name| json!(name))),
        ("password", password.map(Value::from)),
        ("roles", roles.as_deref().map(|all| list(all.iter().map(Role::as_str)))),
        ("permissions", permissions.as_deref().map(permissions_of)),
        ("plan", plan.as_ref().map(plan_of)),
        ("disabled", disabled.map(Value::from)),
    ])
}

/// What is said of a new key.
pub(super) fn of_key(key: &KeyTerms) -> String {
    let change = KeyChange {
        name: key.name.clone().map(Some),
        roles: (!key.roles.is_empty()).then(|| key.roles.clone()),
        permissions: (!key.permissions.is_empty()).then(|| key.permissions.clone()),
        plan: key.plan.clone().map(Some),
        networks: (!key.networks.is_empty()).then(|| key.networks.clone()),
        expires: key.expires.map(Some),
        disabled: None,
    };
    told(
        members_of(&change)
            .into_iter()
            .chain([("owner", key.owner.as_ref().map(|one| json!(one)))]),
    )
}

/// What is said of a key's change.
pub(super) fn of_key_change(change: &KeyChange) -> String {
    told(members_of(change))
}

type Member = (&'static str, Option<Value>);

fn members_of(change: &KeyChange) -> [Member; 7] {
    let KeyChange { name, roles, permissions, plan, networks, expires, disabled } = change;
    [
        ("name", name.as_ref().map(|name| json!(name))),
        ("roles", roles.as_deref().map(|all| list(all.iter().map(Role::as_str)))),
        ("permissions", permissions.as_deref().map(permissions_of)),
        ("plan", plan.as_ref().map(plan_of)),
        ("networks", networks.as_deref().map(list)),
        ("expires", expires.map(|expires| json!(expires.map(time_of)))),
        ("disabled", disabled.map(Value::from)),
    ]
}

fn told(members: impl IntoIterator<Item = Member>) -> String {
    let said = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>()).to_string()
}

fn permissions_of(all: &[Permission]) -> Value {
    list(all.iter().map(Permission::as_str))
}

fn plan_of(plan: &Option<PlanName>) -> Value {
    json!(plan.as_ref().map(PlanName::as_str))
}

fn list(all: impl IntoIterator<Item = impl Display>) -> Value {
    all.into_iter().map(|one| one.to_string()).collect()
}

fn time_of(time: Timestamp) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(time.seconds()).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    #[test]
    fn the_log_says_what_became_of_a_user_and_nothing_of_his_password() {
        let change = UserChange {
            username: None,
            password: Some(PasswordSet::To(Secret::new("$2b$04$hush"))),
            roles: Some(vec![Role::from("admin"), Role::from("a \"b\"")]),
            permissions: Some(vec![]),
            plan: Some(None),
            disabled: Some(true),
        };
        let said: Value = serde_json::from_str(&of_user_change(&change)).unwrap();
        let expected = json!({
            "password": "set", "roles": ["admin", "a \"b\""], "permissions": [], "plan": null, "disabled": true,
        });
        assert_eq!(said, expected);
    }

    #[test]
    fn the_log_says_what_became_of_a_key() {
        let change = KeyChange {
            networks: Some(vec!["192.0.2.0/24".parse().unwrap()]),
            expires: Some(Some(Timestamp::from_seconds(0))),
            ..KeyChange::default()
        };
        assert_eq!(
            of_key_change(&change),
            r#"{"expires":"1970-01-01T00:00:00Z","networks":["192.0.2.0/24"]}"#
        );
    }
}
