//! `users`: accounts with a password.

use std::collections::HashMap;

use super::{Input, faults::Faults, limits::Plans, roles::Roles};
use crate::{
    config::{codes, document::Site, users::User as Written},
    model::folded_username,
    policy::{accounts::User, password::HashKind},
};

/// Reads `users`.
pub(super) fn compile(
    input: &Input<'_>,
    roles: &Roles<'_>,
    plans: &Plans,
    faults: &mut Faults,
) -> Vec<User> {
    let place = input.root().key("users");
    let mut names = HashMap::new();
    let mut subjects = HashMap::new();
    let mut spellings = HashMap::new();
    let mut users = Vec::with_capacity(input.config.users.len());
    for (index, user) in input.config.users.iter() {
        let at = place.item(index);
        let twin = spellings.insert(folded_username(user.username.as_str()), index);
        if let Some(first) = names.insert(user.username.as_str(), index) {
            let message = format!("two users have the username `{}`", user.username.as_str());
            let first = place.item(first).key("username");
            faults
                .fault(codes::DUPLICATE, at.key("username"), message)
                .beside(first, "the first")
                .help("give each user a name of its own");
        } else if input.lacks(at, "id") {
            // Whose subject the user would have is not known.
        } else if let Some(first) = subjects.insert(user.subject().as_str(), index) {
            let message = format!("two users have the id `{}`", user.subject().as_str());
            let here = at.key(if user.id.is_some() { "id" } else { "username" });
            faults
                .fault(codes::DUPLICATE, here, message)
                .beside(place.item(first), "the first")
                .help("the id is the subject of a user's tokens: give each one of its own");
        } else if let Some(first) = twin {
            warn_of_twin(user, place.item(first), at, faults);
        }
        roles.refer_all(&user.roles, at.key("roles"), faults);
        plans.refer(input, user.plan.as_ref(), at.key("plan"), faults);
        judge_password(input, user, at.key("password"), faults);
        users.push(compiled(user));
    }
    warn_of_logins(input, faults);
    users
}

/// Both can log in, and nobody can tell them apart.
fn warn_of_twin(user: &Written, first: Site<'_>, at: Site<'_>, faults: &mut Faults) {
    let message = format!(
        "the username `{}` differs from another's in its letter case only",
        user.username.as_str()
    );
    faults
        .warning(codes::TWIN_USERS, at.key("username"), message)
        .beside(first.key("username"), "the first")
        .help("give each user a name of its own; their failed logins count together");
}

/// Warns where users could log in, and none of them can.
fn warn_of_logins(input: &Input<'_>, faults: &mut Faults) {
    let can = |user: &Written| user.password.is_some() && !user.disabled;
    if input.config.users.iter().any(|(_, user)| can(user)) || input.is_faulty("users") {
        return;
    }
    let (root, config) = (input.root(), input.config);
    // The store may have some, now or later.
    if config.store.is_some() || input.is_faulty("store") {
        return;
    }
    let token = config.token.as_ref().is_some_and(|token| token.path.is_some());
    let basic = config.authentication.basic.is_some();
    let places =
        [(token, root.key("token").key("path")), (basic, root.key("authentication").key("basic"))];
    for (_, at) in places.into_iter().filter(|(there, _)| *there) {
        faults
            .warning(
                codes::NO_PASSWORD,
                at,
                "no user has a password, so that every login is refused",
            )
            .help(
                "give a user under `users` a `password`, as `portcullis hash-password` prints it",
            );
    }
}

fn compiled(user: &Written) -> User {
    User {
        subject: user.subject().as_str().into(),
        username: user.username.as_str().into(),
        password: user.password.as_ref().map(|hash| hash.0.clone()),
        roles: user.roles.as_slice().into(),
        permissions: user.permissions.as_slice().into(),
        plan: user.plan.clone(),
        disabled: user.disabled,
    }
}

fn judge_password(input: &Input<'_>, user: &Written, at: Site<'_>, faults: &mut Faults) {
    let Some(hash) = &user.password else { return };
    if let Err(why) = HashKind::judge(&hash.0) {
        faults
            .fault(codes::INVALID_HASH, at, format!("the password's hash cannot be used: {why}"))
            .help("`portcullis hash-password` makes one");
    }
    input.demonstration.judge(hash.0.expose(), at, faults);
}
