//! The users of a store, by subject and by name.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ahash::RandomState;

use crate::{
    model::Secret,
    policy::{accounts::User, password::HashKind},
    store::StoredUser,
};

/// The users of a store.
#[derive(Debug, Default)]
pub(super) struct Users {
    users: HashMap<Arc<str>, Arc<User>, RandomState>,
    /// Subjects by the name that the user logs in by.
    names: HashMap<Arc<str>, Arc<str>, RandomState>,
    /// How many hashes of each kind there are.
    kinds: BTreeMap<HashKind, usize>,
}

impl Users {
    /// The user with this subject.
    pub fn find(&self, subject: &str) -> Option<&Arc<User>> {
        self.users.get(subject)
    }

    /// The user who logs in by this name.
    pub fn find_by_name(&self, username: &str) -> Option<&Arc<User>> {
        self.users.get(self.names.get(username)?)
    }

    /// Keeps a user as it is now, in the place of what it was.
    pub fn put(&mut self, user: StoredUser) {
        let user = user.terms;
        self.remove(&user.subject);
        let user = Arc::new(User {
            subject: user.subject.into(),
            username: user.username.into(),
            password: user.password.filter(is_sound),
            roles: user.roles.into(),
            permissions: user.permissions.into(),
            plan: user.plan,
            disabled: user.disabled,
        });
        if let Some(kind) = kind(&user) {
            *self.kinds.entry(kind).or_default() += 1;
        }
        self.names.insert(Arc::clone(&user.username), Arc::clone(&user.subject));
        self.users.insert(Arc::clone(&user.subject), user);
    }

    /// Forgets a user.
    pub fn remove(&mut self, subject: &str) {
        let Some(old) = self.users.remove(subject) else { return };
        // The name may be somebody else's by now.
        if self.names.get(&old.username).is_some_and(|holder| **holder == *subject) {
            self.names.remove(&old.username);
        }
        if let Some(kind) = kind(&old)
            && let Some(count) = self.kinds.get_mut(&kind)
        {
            *count -= 1;
            if *count == 0 {
                self.kinds.remove(&kind);
            }
        }
    }

    /// The kinds of hashes in use.
    pub fn kinds(&self) -> impl Iterator<Item = HashKind> {
        self.kinds.keys().copied()
    }
}

/// Whether a hash may be checked: one that would take the machine's memory was not put there by us.
fn is_sound(hash: &Secret) -> bool {
    let judged = HashKind::judge(hash);
    if let Err(why) = judged {
        tracing::error!(event = "store_damaged", why, "a password's hash cannot be used");
    }
    judged.is_ok()
}

fn kind(user: &User) -> Option<HashKind> {
    user.password.as_ref().and_then(HashKind::of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Timestamp, store::UserTerms};

    fn user(subject: &str, username: &str, cost: u32) -> StoredUser {
        StoredUser {
            terms: UserTerms {
                subject: subject.into(),
                username: username.into(),
                password: Some(Secret::new(format!("$2b${cost:02}${}", "a".repeat(53)))),
                roles: vec![],
                permissions: vec![],
                plan: None,
                disabled: false,
            },
            created: Timestamp::from_seconds(1),
            last_login: None,
            revision: 1,
        }
    }

    #[test]
    fn two_users_may_swap_their_names() {
        let mut users = Users::default();
        users.put(user("1", "alice", 4));
        users.put(user("2", "bob", 4));
        users.put(user("1", "bob", 4));
        users.put(user("2", "alice", 4));
        let subject = |name| &*users.find_by_name(name).unwrap().subject;
        assert_eq!((subject("bob"), subject("alice")), ("1", "2"));
    }

    #[test]
    fn a_kind_is_in_use_while_somebody_has_such_a_hash() {
        let mut users = Users::default();
        users.put(user("1", "alice", 4));
        users.put(user("2", "bob", 5));
        users.put(user("1", "alice", 5));
        assert_eq!(users.kinds().collect::<Vec<_>>(), [HashKind::Bcrypt { cost: 5 }]);
        users.remove("1");
        users.remove("2");
        assert_eq!((users.kinds().count(), users.names.len()), (0, 0));
    }
}
