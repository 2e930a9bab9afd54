//! Changes that this process makes: they count here before whoever made them is answered.

use super::{Records, Row};
use crate::{
    model::{Secret, Timestamp},
    store::{
        Author, Entry, Family, KeyChange, KeyTerms, NewFamily, Revocation, RevocationKind, Store,
        StoreFault, StoredKey, StoredUser, Use, UserChange, UserTerms,
    },
};

/// What a change does to what is known.
pub(super) enum Effect<'a> {
    Key(&'a StoredKey),
    KeyShut(&'a StoredKey),
    Revoked(&'a Revocation),
    User(&'a StoredUser),
    UserCutOff(&'a StoredUser),
    UserGone(&'a str, i64),
}

impl Records {
    /// The store, for whoever only reads.
    ///
    /// # Errors
    /// It was never there.
    pub fn store(&self) -> Result<Store, StoreFault> {
        self.store.read().clone().ok_or(StoreFault::Slow)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// As [`Store::add_user`].
    pub async fn add_user(
        &self,
        user: &UserTerms,
        by: &Author<'_>,
    ) -> Result<StoredUser, StoreFault> {
        let added = self.store()?.add_user(user, by).await?;
        self.take_up(Effect::User(&added), added.revision, by.at).await;
        Ok(added)
    }

    /// Changes a user.
    ///
    /// # Errors
    /// As [`Store::change_user`].
    pub async fn change_user(
        &self,
        subject: &str,
        wanted: &UserChange,
        by: &Author<'_>,
    ) -> Result<StoredUser, StoreFault> {
        let changed = self.store()?.change_user(subject, wanted, by).await?;
        let effect =
            if wanted.cuts_off() { Effect::UserCutOff(&changed) } else { Effect::User(&changed) };
        self.take_up(effect, changed.revision, by.at).await;
        Ok(changed)
    }

    /// Removes a user and its keys.
    ///
    /// # Errors
    /// As [`Store::remove_user`].
    pub async fn remove_user(&self, subject: &str, by: &Author<'_>) -> Result<(), StoreFault> {
        let revision = self.store()?.remove_user(subject, by).await?;
        self.take_up(Effect::UserGone(subject, revision), revision, by.at).await;
        Ok(())
    }

    /// Replaces the hash of a password that was found right.
    ///
    /// # Errors
    /// As [`Store::upgrade_password`].
    pub async fn upgrade_password(
        &self,
        subject: &str,
        old: &Secret,
        new: &Secret,
        by: &Author<'_>,
    ) -> Result<bool, StoreFault> {
        let replaced = self.store()?.upgrade_password(subject, old, new, by).await?;
        if replaced {
            // Whoever still has the old hash is asked again when he opens a login: nothing hurries.
            let _ = self.follow().await;
        }
        Ok(replaced)
    }

    /// Keeps a new key.
    ///
    /// # Errors
    /// As [`Store::add_key`].
    pub async fn add_key(&self, key: &KeyTerms, by: &Author<'_>) -> Result<StoredKey, StoreFault> {
        let added = self.store()?.add_key(key, by).await?;
        self.take_up(Effect::Key(&added), added.revision, by.at).await;
        Ok(added)
    }

    /// Changes a key.
    ///
    /// # Errors
    /// As [`Store::change_key`].
    pub async fn change_key(
        &self,
        id: &str,
        wanted: &KeyChange,
        by: &Author<'_>,
    ) -> Result<StoredKey, StoreFault> {
        let changed = self.store()?.change_key(id, wanted, by).await?;
        let shut = wanted.disabled == Some(true);
        let effect = if shut { Effect::KeyShut(&changed) } else { Effect::Key(&changed) };
        self.take_up(effect, changed.revision, by.at).await;
        Ok(changed)
    }

    /// Puts a new key in the place of the old one.
    ///
    /// # Errors
    /// As [`Store::rotate_key`].
    pub async fn rotate_key(
        &self,
        id: &str,
        sha256: &[u8; 32],
        until: Timestamp,
        by: &Author<'_>,
    ) -> Result<StoredKey, StoreFault> {
        let rotated = self.store()?.rotate_key(id, sha256, until, by).await?;
        self.take_up(Effect::Key(&rotated), rotated.revision, by.at).await;
        Ok(rotated)
    }

    /// Revokes a key for good.
    ///
    /// # Errors
    /// As [`Store::revoke_key`].
    pub async fn revoke_key(&self, id: &str, by: &Author<'_>) -> Result<StoredKey, StoreFault> {
        let revoked = self.store()?.revoke_key(id, by).await?;
        self.take_up(Effect::KeyShut(&revoked), revoked.revision, by.at).await;
        Ok(revoked)
    }

    /// Takes something back.
    ///
    /// # Errors
    /// As [`Store::revoke`].
    pub async fn revoke(
        &self,
        revocation: &Revocation,
        entry: &Entry<'_>,
        by: &Author<'_>,
    ) -> Result<(), StoreFault> {
        let revision = self.store()?.revoke(revocation, entry, by).await?;
        let revocation = Revocation { revision, ..revocation.clone() };
        self.take_up(Effect::Revoked(&revocation), revision, by.at).await;
        Ok(())
    }

    /// Ends a family of refresh tokens.
    ///
    /// # Errors
    /// As [`Store::end_family`].
    pub async fn end_family(
        &self,
        family: &Family,
        entry: &Entry<'_>,
        by: &Author<'_>,
    ) -> Result<(), StoreFault> {
        let revocation = self.store()?.end_family(family, entry, by).await?;
        self.take_up(Effect::Revoked(&revocation), revocation.revision, by.at).await;
        Ok(())
    }

    /// Opens a family of refresh tokens.
    ///
    /// # Errors
    /// As [`Store::open_family`].
    pub async fn open_family(
        &self,
        family: &NewFamily<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        self.store()?.open_family(family, now).await
    }

    /// Uses a refresh token.
    ///
    /// # Errors
    /// As [`Store::use_refresh_token`].
    pub async fn use_refresh_token(
        &self,
        token: &[u8; 32],
        next: &[u8; 32],
        now: Timestamp,
    ) -> Result<Use, StoreFault> {
        self.store()?.use_refresh_token(token, next, now).await
    }

    /// The store was changed from here, by this change. While the store made it nobody was kept from
    /// anything, so that memory may have come further meanwhile, or others' changes may be in it that
    /// came later: nothing older is put over something newer. What the change does is done at once,
    /// without the store; then the rest is asked for, and if that fails, it is asked for again later.
    pub(super) async fn take_up(&self, effect: Effect<'_>, revision: i64, now: Timestamp) {
        let mut place = self.place.lock().await;
        if place.has(revision) {
            return;
        }
        let is_latest = place.is_latest(effect.of(), revision);
        self.apply(&effect, is_latest, now);
        // A fault is logged there.
        let caught_up = self.catch_up(&mut place).await;
        if caught_up.is_ok() && !place.has(revision) {
            // The store was set back in between: what was put there is of another history.
            place.position = None;
            let _ = self.catch_up(&mut place).await;
        }
    }

    /// What is taken back is so whatever came later; a row is only put where none is later.
    fn apply(&self, effect: &Effect<'_>, is_latest: bool, now: Timestamp) {
        let mut known = self.known.write();
        let mut mark = |kind, name: &str, revision| {
            known.marks.put(&Revocation::of_all(kind, name, now, revision));
        };
        match *effect {
            Effect::Revoked(revocation) => known.marks.put(revocation),
            Effect::KeyShut(key) => mark(RevocationKind::Key, &key.terms.id, key.revision),
            Effect::UserCutOff(user) => {
                mark(RevocationKind::Subject, &user.terms.subject, user.revision)
            }
            Effect::UserGone(subject, revision) => {
                mark(RevocationKind::Subject, subject, revision);
                for id in known.keys.owned_by(subject) {
                    known.keys.shut(&id);
                    let mark = Revocation::of_all(RevocationKind::Key, &id, now, revision);
                    known.marks.put(&mark);
                }
            }
            Effect::Key(_) | Effect::User(_) => {}
        }
        match *effect {
            Effect::Key(key) | Effect::KeyShut(key) if is_latest => known.keys.put(key),
            Effect::User(user) | Effect::UserCutOff(user) if is_latest => {
                known.users.put(user.clone());
            }
            Effect::UserGone(subject, _) if is_latest => known.users.remove(subject),
            _ => {}
        }
    }
}

impl Effect<'_> {
    /// Whose row it puts.
    fn of(&self) -> Row {
        match *self {
            Self::Key(key) | Self::KeyShut(key) => Row::Key(key.terms.id.clone()),
            Self::User(user) | Self::UserCutOff(user) => Row::User(user.terms.subject.clone()),
            Self::UserGone(subject, _) => Row::User(subject.to_owned()),
            Self::Revoked(revocation) => Row::Mark(revocation.name.clone()),
        }
    }
}
