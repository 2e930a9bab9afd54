//! Changes that this process makes: they count here before whoever made them is answered.

use super::Records;
use crate::{
    model::{Secret, Timestamp},
    store::{
        Author, Entry, Family, KeyChange, NewFamily, NewKey, NewUser, Position, Revocation,
        RevocationKind, Store, StoreFault, StoredKey, StoredUser, Use, UserChange,
    },
};

/// What a change does to what is known.
enum Effect<'a> {
    Key(&'a StoredKey),
    KeyShut(&'a StoredKey),
    Nothing,
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
    pub fn store(&self) -> Result<&Store, StoreFault> {
        self.store.get().ok_or(StoreFault::Slow)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// As [`Store::add_user`].
    pub async fn add_user(
        &self,
        user: &NewUser,
        author: &Author<'_>,
        now: Timestamp,
    ) -> Result<StoredUser, StoreFault> {
        let mut position = self.position.lock().await;
        let added = self.store()?.add_user(user, author, now).await?;
        self.take_up(&mut position, Effect::User(&added), now).await;
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
        author: &Author<'_>,
        entry: &Entry<'_>,
        now: Timestamp,
    ) -> Result<StoredUser, StoreFault> {
        let mut position = self.position.lock().await;
        let changed = self.store()?.change_user(subject, wanted, author, entry, now).await?;
        let effect =
            if wanted.cuts_off() { Effect::UserCutOff(&changed) } else { Effect::User(&changed) };
        self.take_up(&mut position, effect, now).await;
        Ok(changed)
    }

    /// Removes a user and its keys.
    ///
    /// # Errors
    /// As [`Store::remove_user`].
    pub async fn remove_user(
        &self,
        subject: &str,
        author: &Author<'_>,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut position = self.position.lock().await;
        let revision = self.store()?.remove_user(subject, author, now).await?;
        self.take_up(&mut position, Effect::UserGone(subject, revision), now).await;
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
        author: &Author<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreFault> {
        let mut position = self.position.lock().await;
        let replaced = self.store()?.upgrade_password(subject, old, new, author, now).await?;
        if replaced {
            self.take_up(&mut position, Effect::Nothing, now).await;
        }
        Ok(replaced)
    }

    /// Keeps a new key.
    ///
    /// # Errors
    /// As [`Store::add_key`].
    pub async fn add_key(
        &self,
        key: &NewKey,
        author: &Author<'_>,
        now: Timestamp,
    ) -> Result<StoredKey, StoreFault> {
        let mut position = self.position.lock().await;
        let added = self.store()?.add_key(key, author, now).await?;
        self.take_up(&mut position, Effect::Key(&added), now).await;
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
        author: &Author<'_>,
        entry: &Entry<'_>,
        now: Timestamp,
    ) -> Result<StoredKey, StoreFault> {
        let mut position = self.position.lock().await;
        let changed = self.store()?.change_key(id, wanted, author, entry, now).await?;
        let shut = wanted.disabled == Some(true);
        let effect = if shut { Effect::KeyShut(&changed) } else { Effect::Key(&changed) };
        self.take_up(&mut position, effect, now).await;
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
        author: &Author<'_>,
        now: Timestamp,
    ) -> Result<StoredKey, StoreFault> {
        let mut position = self.position.lock().await;
        let rotated = self.store()?.rotate_key(id, sha256, until, author, now).await?;
        self.take_up(&mut position, Effect::Key(&rotated), now).await;
        Ok(rotated)
    }

    /// Revokes a key for good.
    ///
    /// # Errors
    /// As [`Store::revoke_key`].
    pub async fn revoke_key(
        &self,
        id: &str,
        author: &Author<'_>,
        now: Timestamp,
    ) -> Result<StoredKey, StoreFault> {
        let mut position = self.position.lock().await;
        let revoked = self.store()?.revoke_key(id, author, now).await?;
        self.take_up(&mut position, Effect::KeyShut(&revoked), now).await;
        Ok(revoked)
    }

    /// Takes something back.
    ///
    /// # Errors
    /// As [`Store::revoke`].
    pub async fn revoke(
        &self,
        revocation: &Revocation,
        author: &Author<'_>,
        entry: &Entry<'_>,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut position = self.position.lock().await;
        self.store()?.revoke(revocation, author, entry, now).await?;
        self.take_up(&mut position, Effect::Revoked(revocation), now).await;
        Ok(())
    }

    /// Ends a family of refresh tokens.
    ///
    /// # Errors
    /// As [`Store::end_family`].
    pub async fn end_family(
        &self,
        family: &Family,
        author: &Author<'_>,
        entry: &Entry<'_>,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let mut position = self.position.lock().await;
        let revocation = self.store()?.end_family(family, author, entry, now).await?;
        self.take_up(&mut position, Effect::Revoked(&revocation), now).await;
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

    /// The store was changed from here. What that does to what is known is done at once, without
    /// the store; then the rest is asked for, and if that fails, it is asked for again later.
    async fn take_up(&self, position: &mut Option<Position>, effect: Effect<'_>, now: Timestamp) {
        self.apply(effect, now);
        // A fault is logged there.
        let _ = self.catch_up(position).await;
    }

    fn apply(&self, effect: Effect<'_>, now: Timestamp) {
        let mut known = self.known.write();
        let mut mark = |kind, name: &str, revision| {
            known.marks.put(&Revocation::of_all(kind, name, now, revision));
        };
        match effect {
            Effect::Nothing => {}
            Effect::Revoked(revocation) => known.marks.put(revocation),
            Effect::Key(key) => known.keys.put(key),
            Effect::KeyShut(key) => {
                mark(RevocationKind::Key, &key.id, key.revision);
                known.keys.put(key);
            }
            Effect::User(user) => known.users.put(user.clone()),
            Effect::UserCutOff(user) => {
                mark(RevocationKind::Subject, &user.subject, user.revision);
                known.users.put(user.clone());
            }
            Effect::UserGone(subject, revision) => {
                mark(RevocationKind::Subject, subject, revision);
                known.users.remove(subject);
                for id in known.keys.owned_by(subject) {
                    known.keys.shut(&id);
                    let mark = Revocation::of_all(RevocationKind::Key, &id, now, revision);
                    known.marks.put(&mark);
                }
            }
        }
    }
}
