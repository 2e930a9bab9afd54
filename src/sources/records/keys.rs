//! A million API keys in little memory.
//!
//! A key takes one entry in a table without holes; two indexes hold its place, four bytes each. What
//! many keys have in common (roles, permissions, plan, networks) is kept once. An answer is put
//! together when it is asked for.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use ahash::RandomState;
use hashbrown::HashTable;

use crate::{
    model::{Cidr, Permission, PlanName, Role, Timestamp},
    policy::{accounts::ApiKey, digest::Digest},
    store::{KeyTerms, StoredKey},
};

/// The keys of a store.
#[derive(Debug, Default)]
pub(super) struct Keys {
    entries: Slab,
    by_digest: HashTable<u32>,
    /// Every entry of an id: a key that was rotated has two.
    by_id: HashTable<u32>,
    grants: HashSet<Arc<Grants>, RandomState>,
    seed: RandomState,
}

/// What many keys have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Grants {
    roles: Arc<[Role]>,
    permissions: Arc<[Permission]>,
    plan: Option<PlanName>,
    networks: Arc<[Cidr]>,
}

#[derive(Debug)]
struct Entry {
    digest: Digest,
    id: Arc<str>,
    owner: Option<Arc<str>>,
    grants: Arc<Grants>,
    /// Seconds since 1970; the greatest number is never.
    until: i64,
    /// Minutes since 1970.
    used: AtomicU32,
    shut: bool,
    is_users: bool,
}

/// A key that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// As the judge sees it.
    pub key: ApiKey,
    /// Whether it is worth nothing while its owner is no user.
    pub is_users: bool,
    /// Whether this minute is the first in which it is used.
    pub is_fresh_use: bool,
}

impl Keys {
    /// The key with this digest. `now` notes its use; absent, nothing is noted.
    pub fn find(&self, digest: &Digest, now: Option<Timestamp>) -> Option<Found> {
        let same = |place: &u32| self.entries.at(*place).is_some_and(|one| one.digest == *digest);
        let place = self.by_digest.find(hash_of(digest), same)?;
        Some(Self::found(self.entries.at(*place)?, now))
    }

    /// The key with this id; of one that was rotated, what is good for longer.
    pub fn find_by_id(&self, id: &str) -> Option<Found> {
        let places = self.by_id.iter_hash(self.seed.hash_one(id));
        let entries = places.filter_map(|place| self.entries.at(*place));
        let entry = entries.filter(|entry| &*entry.id == id).max_by_key(|entry| entry.until)?;
        Some(Self::found(entry, None))
    }

    fn found(entry: &Entry, now: Option<Timestamp>) -> Found {
        let is_fresh_use = now.is_some_and(|now| {
            let minute = u32::try_from(now.seconds() / 60).unwrap_or(0);
            entry.used.load(Ordering::Relaxed) != minute
                && entry.used.swap(minute, Ordering::Relaxed) != minute
        });
        let Grants { roles, permissions, plan, networks } = &*entry.grants;
        let key = ApiKey {
            id: Arc::clone(&entry.id),
            subject: Arc::clone(entry.owner.as_ref().unwrap_or(&entry.id)),
            roles: Arc::clone(roles),
            permissions: Arc::clone(permissions),
            plan: plan.clone(),
            networks: Arc::clone(networks),
            expires: (entry.until != i64::MAX).then(|| Timestamp::from_seconds(entry.until)),
            disabled: entry.shut,
        };
        Found { key, is_users: entry.is_users, is_fresh_use }
    }

    /// Keeps a key as it is now, in the place of what it was.
    pub fn put(&mut self, key: &StoredKey) {
        let terms = &key.terms;
        let used = self.remove(&terms.id).max(minutes(key.last_used));
        let id: Arc<str> = terms.id.as_str().into();
        let owner: Option<Arc<str>> = terms.owner.as_deref().map(Into::into);
        let grants = self.grants_of(terms);
        let shut = key.disabled || key.revoked.is_some();
        let until = terms.expires.map_or(i64::MAX, Timestamp::seconds);
        let entry = |sha256, until| Entry {
            digest: Digest::from_bytes(sha256),
            id: Arc::clone(&id),
            owner: owner.clone(),
            grants: Arc::clone(&grants),
            until,
            used: AtomicU32::new(used),
            shut,
            is_users: terms.is_users,
        };
        self.insert(entry(terms.sha256, until));
        if let Some(previous) = key.previous {
            self.insert(entry(previous.sha256, until.min(previous.until.seconds())));
        }
    }

    /// How many digests are known.
    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// The ids of the keys of this owner. Looks at every key.
    pub fn owned_by(&self, owner: &str) -> Vec<Arc<str>> {
        let owned = |entry: &&Entry| entry.owner.as_deref() == Some(owner);
        self.entries.iter().filter(owned).map(|entry| Arc::clone(&entry.id)).collect()
    }

    /// Shuts a key out.
    pub fn shut(&mut self, id: &str) {
        let hash = self.seed.hash_one(id);
        let entries = &self.entries;
        let same = |place: &u32| entries.at(*place).is_some_and(|entry| &*entry.id == id);
        let places: Vec<u32> =
            self.by_id.iter_hash(hash).copied().filter(|place| same(place)).collect();
        for place in places {
            if let Some(entry) = self.entries.at_mut(place) {
                entry.shut = true;
            }
        }
    }

    /// Forgets a key; the minute of its last use.
    fn remove(&mut self, id: &str) -> u32 {
        let hash = self.seed.hash_one(id);
        let mut used = 0;
        loop {
            let entries = &self.entries;
            let same = |place: &u32| entries.at(*place).is_some_and(|entry| &*entry.id == id);
            let Ok(found) = self.by_id.find_entry(hash, same) else { return used };
            let (place, _) = found.remove();
            let Some(entry) = self.entries.take(place) else { return used };
            if let Ok(found) =
                self.by_digest.find_entry(hash_of(&entry.digest), |other| *other == place)
            {
                found.remove();
            }
            used = used.max(entry.used.load(Ordering::Relaxed));
            // The set itself holds one, and this entry another.
            if Arc::strong_count(&entry.grants) == 2 {
                self.grants.remove(&entry.grants);
            }
        }
    }

    fn insert(&mut self, entry: Entry) {
        let (digest, id) = (hash_of(&entry.digest), self.seed.hash_one(&*entry.id));
        let Some(place) = self.entries.add(entry) else { return };
        let entries = &self.entries;
        self.by_digest.insert_unique(digest, place, |place| {
            entries.at(*place).map_or(0, |entry| hash_of(&entry.digest))
        });
        let seed = &self.seed;
        self.by_id.insert_unique(id, place, |place| {
            entries.at(*place).map_or(0, |entry| seed.hash_one(&*entry.id))
        });
    }

    fn grants_of(&mut self, key: &KeyTerms) -> Arc<Grants> {
        let grants = Grants {
            roles: key.roles.as_slice().into(),
            permissions: key.permissions.as_slice().into(),
            plan: key.plan.clone(),
            networks: key.networks.as_slice().into(),
        };
        if let Some(known) = self.grants.get(&grants) {
            return Arc::clone(known);
        }
        let grants = Arc::new(grants);
        self.grants.insert(Arc::clone(&grants));
        grants
    }
}

/// A digest is as good as random already; nobody chooses the digests that are in the table.
fn hash_of(digest: &Digest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *digest.bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn minutes(at: Option<Timestamp>) -> u32 {
    at.and_then(|at| u32::try_from(at.seconds() / 60).ok()).unwrap_or(0)
}

/// Entries in pieces, so that growing moves and doubles nothing.
#[derive(Debug, Default)]
struct Slab {
    pieces: Vec<Vec<Option<Entry>>>,
    free: Vec<u32>,
}

/// Entries of a piece.
const PIECE: usize = 1024;

impl Slab {
    fn at(&self, place: u32) -> Option<&Entry> {
        let place = place as usize;
        self.pieces.get(place / PIECE)?.get(place % PIECE)?.as_ref()
    }

    fn at_mut(&mut self, place: u32) -> Option<&mut Entry> {
        let place = place as usize;
        self.pieces.get_mut(place / PIECE)?.get_mut(place % PIECE)?.as_mut()
    }

    fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.pieces.iter().flatten().flatten()
    }

    /// The place where the entry is now; nothing if there are four thousand million.
    fn add(&mut self, entry: Entry) -> Option<u32> {
        if let Some(place) = self.free.pop() {
            let index = place as usize;
            *self.pieces.get_mut(index / PIECE)?.get_mut(index % PIECE)? = Some(entry);
            return Some(place);
        }
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let pieces = self.pieces.len();
        let piece = self.pieces.last_mut()?;
        let place = u32::try_from((pieces - 1) * PIECE + piece.len()).ok()?;
        piece.push(Some(entry));
        Some(place)
    }

    fn take(&mut self, place: u32) -> Option<Entry> {
        let index = place as usize;
        let taken = self.pieces.get_mut(index / PIECE)?.get_mut(index % PIECE)?.take();
        if taken.is_some() {
            self.free.push(place);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Previous;

    fn key(id: &str, byte: u8) -> StoredKey {
        StoredKey {
            terms: KeyTerms {
                id: id.into(),
                sha256: [byte; 32],
                name: None,
                owner: None,
                is_users: false,
                roles: vec![Role::from("user")],
                permissions: vec![],
                plan: None,
                networks: vec![],
                expires: None,
            },
            previous: None,
            disabled: false,
            revoked: None,
            created: Timestamp::from_seconds(1),
            last_used: None,
            revision: 1,
        }
    }

    fn found(keys: &Keys, byte: u8) -> Option<ApiKey> {
        keys.find(&Digest::from_bytes([byte; 32]), None).map(|found| found.key)
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Option<Entry>>() <= 96, "{}", size_of::<Option<Entry>>());
    }

    #[test]
    fn a_rotated_key_has_two_digests_until_it_is_put_again() {
        let mut keys = Keys::default();
        keys.put(&key("a", 1));
        let until = Timestamp::from_seconds(100);
        let rotated =
            StoredKey { previous: Some(Previous { sha256: [1; 32], until }), ..key("a", 2) };
        keys.put(&rotated);
        assert_eq!(found(&keys, 1).unwrap().expires, Some(until));
        assert_eq!(found(&keys, 2).unwrap().expires, None);
        keys.put(&key("a", 3));
        assert_eq!((keys.len(), keys.by_id.len(), keys.entries.free.len()), (1, 1, 1));
        assert!(found(&keys, 1).is_none() && found(&keys, 2).is_none());
    }

    #[test]
    fn a_revoked_key_is_known_and_shut() {
        let mut keys = Keys::default();
        keys.put(&StoredKey { revoked: Some(Timestamp::from_seconds(5)), ..key("a", 1) });
        keys.put(&key("b", 2));
        assert!(found(&keys, 1).unwrap().disabled && !found(&keys, 2).unwrap().disabled);
        keys.shut("b");
        assert!(found(&keys, 2).unwrap().disabled);
    }

    #[test]
    fn what_no_key_has_any_more_is_not_kept() {
        let mut keys = Keys::default();
        keys.put(&key("a", 1));
        let mut promoted = key("a", 1);
        promoted.terms.roles = vec![Role::from("admin")];
        keys.put(&promoted);
        assert_eq!(keys.grants.len(), 1);
        assert_eq!(&*found(&keys, 1).unwrap().roles, [Role::from("admin")]);
    }

    #[test]
    fn a_use_is_fresh_once_a_minute() {
        let mut keys = Keys::default();
        keys.put(&key("a", 1));
        let digest = Digest::from_bytes([1; 32]);
        let fresh = |seconds| {
            let now = Some(Timestamp::from_seconds(seconds));
            keys.find(&digest, now).unwrap().is_fresh_use
        };
        assert_eq!([fresh(600), fresh(601), fresh(659), fresh(660)], [true, false, false, true]);
    }

    #[test]
    fn many_keys_are_found_each_under_its_own_digest() {
        let mut keys = Keys::default();
        let digest = |index: u32| *Digest::of(&index.to_le_bytes()).bytes();
        for index in 0..5000_u32 {
            let mut one = key(&format!("k{index}"), 0);
            one.terms.sha256 = digest(index);
            keys.put(&one);
        }
        for index in (0..5000_u32).step_by(2) {
            keys.remove(&format!("k{index}"));
        }
        for index in 0..5000_u32 {
            let found = keys.find(&Digest::from_bytes(digest(index)), None);
            let expected = (index % 2 == 1).then(|| format!("k{index}"));
            assert_eq!(found.map(|found| found.key.id.to_string()), expected);
        }
    }
}
