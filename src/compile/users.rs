//! `users`: accounts with a password.

use std::collections::HashMap;

use super::{Input, faults::Faults, limits::Plans, roles::Roles};
use crate::{
    config::{codes, document::Site, users::User as Written},
    model::Secret,
    policy::accounts::User,
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
    let mut users = Vec::with_capacity(input.config.users.len());
    for (index, user) in input.config.users.iter() {
        let at = place.item(index);
        if let Some(first) = names.insert(user.username.as_str(), index) {
            let message = format!("two users have the username `{}`", user.username.as_str());
            let first = place.item(first).key("username");
            faults
                .fault(codes::DUPLICATE, at.key("username"), message)
                .beside(first, "the first")
                .help("give each user a name of its own");
        } else if let Some(first) = subjects.insert(user.subject().as_str(), index) {
            let message = format!("two users have the id `{}`", user.subject().as_str());
            let here = at.key(if user.id.is_some() { "id" } else { "username" });
            faults
                .fault(codes::DUPLICATE, here, message)
                .beside(place.item(first), "the first")
                .help("the id is the subject of a user's tokens: give each one of its own");
        }
        roles.refer_all(&user.roles, at.key("roles"), faults);
        plans.refer(input, user.plan.as_ref(), at.key("plan"), faults);
        judge_password(input, user, at.key("password"), faults);
        users.push(compiled(user));
    }
    warn_of_logins(input, faults);
    users
}

/// Warns where users could log in, and none of them can.
fn warn_of_logins(input: &Input<'_>, faults: &mut Faults) {
    let can = |user: &Written| user.password.is_some() && !user.disabled;
    if input.config.users.iter().any(|(_, user)| can(user)) || input.is_faulty("users") {
        return;
    }
    let (root, config) = (input.root(), input.config);
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
    if let Some(why) = malformed(&hash.0) {
        faults
            .fault(codes::INVALID_HASH, at, format!("the password's hash cannot be used: {why}"))
            .help("`portcullis hash-password` makes one");
    }
    input.demonstration.judge(hash.0.expose(), at, faults);
}

/// Why no password could ever match the hash, or why it would cost too much to try.
fn malformed(hash: &Secret) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(hash.expose()) else { return Some("it is not text") };
    if text.starts_with("$argon2id$") {
        return malformed_argon2(text);
    }
    // `$2b$12$` and 53 characters of salt and digest.
    let mut parts = text.split('$').skip(2);
    let (Some(cost), Some(rest), None) = (parts.next(), parts.next(), parts.next()) else {
        return Some("it is not `$2b$COST$…`");
    };
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    if cost.len() != 2 || rest.len() != 53 || !rest.bytes().all(alphabet) {
        return Some("a bcrypt hash has a cost of two digits and 53 characters");
    }
    match cost.parse::<u32>() {
        Ok(4..=16) => None,
        Ok(_) => Some("the cost is between 4 and 16"),
        Err(_) => Some("its cost is not a number"),
    }
}

fn malformed_argon2(text: &str) -> Option<&'static str> {
    let Ok(hash) = argon2::PasswordHash::new(text) else {
        return Some("it is not `$argon2id$v=19$m=…,t=…,p=…$SALT$DIGEST`");
    };
    if hash.hash.is_none() || hash.salt.is_none() {
        return Some("its salt or its digest is missing");
    }
    let Ok(parameters) = argon2::Params::try_from(&hash) else {
        return Some("its parameters are out of range");
    };
    // One check may take 256 MiB and some seconds at most.
    let dear =
        parameters.m_cost() > 256 << 10 || parameters.t_cost() > 16 || parameters.p_cost() > 16;
    dear.then_some("checking it would take more than 256 MiB, 16 passes or 16 lanes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_no_password_matches_is_malformed() {
        let salted = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        for text in [
            "$2b$12$short".to_owned(),
            format!("$2b$99${salted}"),
            format!("$2b$1${salted}"),
            format!("$2b$12${salted}$more"),
            "$argon2id$v=19$m=19456,t=2,p=1".to_owned(),
            "$argon2id$nonsense".to_owned(),
            "$argon2id$v=19$m=4194304,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo+Tnjn4bQFlcVhekFGCWbSs/kQqTmDS4".to_owned(),
        ] {
            assert!(malformed(&Secret::new(text.as_str())).is_some(), "{text}");
        }
        for text in [
            format!("$2b$12${salted}"),
            "$argon2id$v=19$m=19456,t=2,p=1$7swLxdSg49RGJ4hGpnzKGQ$+bZZe7rNFmpo+Tnjn4bQFlcVhekFGCWbSs/kQqTmDS4".to_owned(),
        ] {
            assert_eq!(malformed(&Secret::new(text.as_str())), None, "{text}");
        }
    }
}
