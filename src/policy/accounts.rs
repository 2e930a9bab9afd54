//! Users and API keys, as the judge sees them.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{digest::Digest, password::HashKind};
use crate::model::{Cidr, Permission, PlanName, Role, Secret, Timestamp, folded_username};

/// An account with a password.
#[derive(Clone, Debug)]
pub struct User {
    /// Its id, which is the subject of what it is issued.
    pub subject: Arc<str>,
    /// The name it logs in by.
    pub username: Arc<str>,
    /// The hash of its password: bcrypt or argon2id, in the usual text forms.
    pub password: Option<Secret>,
    /// Roles as granted.
    pub roles: Arc<[Role]>,
    /// Its own permissions, beside those of its roles.
    pub permissions: Arc<[Permission]>,
    /// Its plan.
    pub plan: Option<PlanName>,
    /// Whether it is shut out.
    pub disabled: bool,
}

/// An API key, known by its digest only.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its public id.
    pub id: Arc<str>,
    /// Whom it speaks for.
    pub subject: Arc<str>,
    /// Roles as granted.
    pub roles: Arc<[Role]>,
    /// Its own permissions, beside those of its roles.
    pub permissions: Arc<[Permission]>,
    /// Its plan.
    pub plan: Option<PlanName>,
    /// Where it may be used from; empty is anywhere.
    pub networks: Arc<[Cidr]>,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Whether it is shut out.
    pub disabled: bool,
}

impl ApiKey {
    /// Whether its time is over.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether it may be used from there.
    pub fn serves_at(&self, client: IpAddr) -> bool {
        self.networks.is_empty() || Cidr::any_contains(&self.networks, client)
    }
}

/// The accounts of the configuration file.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    users: HashMap<Arc<str>, Arc<User>>,
    subjects: HashMap<Arc<str>, Arc<str>>,
    keys: HashMap<Digest, Arc<ApiKey>>,
    ids: HashMap<Arc<str>, Digest>,
    /// Of each user what tells its password from others.
    stamps: HashMap<Arc<str>, String>,
    kinds: Vec<HashKind>,
}

impl Accounts {
    /// Gathers them; of two with one subject, username or digest the later stands (the compiler
    /// has refused such files).
    pub fn new(users: Vec<User>, keys: Vec<(Digest, ApiKey)>) -> Self {
        let mut accounts = Self { kinds: kinds(&users), ..Self::default() };
        for user in users {
            accounts.stamps.insert(user.subject.clone(), stamp(&user));
            accounts.subjects.insert(user.username.clone(), user.subject.clone());
            accounts.users.insert(user.subject.clone(), Arc::new(user));
        }
        accounts.ids = keys.iter().map(|(digest, key)| (key.id.clone(), *digest)).collect();
        accounts.keys = keys.into_iter().map(|(digest, key)| (digest, Arc::new(key))).collect();
        accounts
    }

    /// The user with this subject.
    pub fn user(&self, subject: &str) -> Option<&Arc<User>> {
        self.users.get(subject)
    }

    /// The user who logs in by this name.
    pub fn user_by_name(&self, username: &str) -> Option<&Arc<User>> {
        self.users.get(self.subjects.get(username)?)
    }

    /// What tells this user's password from those that it had and will have.
    pub fn stamp(&self, subject: &str) -> Option<&str> {
        self.stamps.get(subject).map(String::as_str)
    }

    /// Whether the user has another password now than when it opened this login. Of one that is no
    /// user here nothing is known.
    pub fn has_changed_since(&self, subject: &str, family: &str) -> bool {
        let then = stamp_in(family);
        then.is_some_and(|then| self.stamp(subject).is_some_and(|now| now != then))
    }

    /// A user whose name is this one but for its spelling.
    pub fn user_spelled_like(&self, username: &str) -> Option<&Arc<User>> {
        let folded = folded_username(username);
        self.users.values().find(|user| folded_username(&user.username) == folded)
    }

    /// The API key with this digest.
    pub fn key(&self, digest: &Digest) -> Option<&Arc<ApiKey>> {
        self.keys.get(digest)
    }

    /// Whether there is an API key with this id.
    pub fn has_key(&self, id: &str) -> bool {
        self.ids.contains_key(id)
    }

    /// Whether an API key speaks under this name, which is its id, with no user behind it.
    pub fn has_key_alone(&self, subject: &str) -> bool {
        let speaks = self.key_by_id(subject).is_some_and(|key| *key.subject == *subject);
        speaks && self.user(subject).is_none()
    }

    /// The API key with this id.
    pub fn key_by_id(&self, id: &str) -> Option<&Arc<ApiKey>> {
        self.key(self.ids.get(id)?)
    }

    /// The kinds of hashes in use, the costliest first; never none. Of more than eight the cheapest
    /// are left out.
    pub fn kinds(&self) -> &[HashKind] {
        if self.kinds.is_empty() { &[HashKind::USUAL] } else { &self.kinds }
    }

    /// The kinds of these hashes and of others in use, as above.
    pub fn kinds_with(&self, others: impl IntoIterator<Item = HashKind>) -> Vec<HashKind> {
        let kinds = costliest(self.kinds.iter().copied().chain(others).collect());
        if kinds.is_empty() { vec![HashKind::USUAL] } else { kinds }
    }

    /// All users, in no order.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }
}

/// Stands in the id of a login before what tells its user's password from others.
pub const STAMPED: char = '.';

/// The stamp in the id of a login; there is none where its user was not one of the file.
pub fn stamp_in(family: &str) -> Option<&str> {
    family.split_once(STAMPED).map(|(_, stamp)| stamp)
}

/// The beginning of a digest of the salted hash: it tells nothing of the password.
fn stamp(user: &User) -> String {
    let digest = user.password.as_ref().map(|hash| Digest::of(hash.expose()).to_string());
    digest.unwrap_or_default().get(..16).unwrap_or_default().to_owned()
}

/// A password is checked against one hash of each kind, so that they are bounded.
const MOST_KINDS: usize = 8;

fn kinds(users: &[User]) -> Vec<HashKind> {
    let hashes = users.iter().filter_map(|user| user.password.as_ref());
    costliest(hashes.filter_map(HashKind::of).collect())
}

fn costliest(mut kinds: Vec<HashKind>) -> Vec<HashKind> {
    kinds.sort_unstable_by_key(|kind| std::cmp::Reverse((kind.cost(), *kind)));
    kinds.dedup();
    kinds.truncate(MOST_KINDS);
    kinds
}
