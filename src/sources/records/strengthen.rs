//! A hash from elsewhere is replaced by the usual one once its password is at hand.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

use super::{Records, now};
use crate::{
    policy::{accounts::User, password::HashKind},
    sources::passwords::Passwords,
    store::Author,
};

/// Users whose hash is being replaced; one more waits for its next login.
const MOST: usize = 64;

/// The users whose hash is being replaced.
#[derive(Debug, Default)]
pub(super) struct Strengthening(Mutex<HashSet<Arc<str>>>);

impl Records {
    /// Replaces the hash of a password that was just found right by the usual one, if it is weaker.
    /// Whoever logs in does not wait for it, and if it fails, his next login tries again.
    pub fn strengthen(self: &Arc<Self>, user: &Arc<User>, password: &[u8], checks: &Passwords) {
        let Some(old) = user.password.clone() else { return };
        if !HashKind::of(&old).is_some_and(HashKind::is_weak) {
            return;
        }
        {
            let mut running = self.strengthening.0.lock();
            if running.len() >= MOST || !running.insert(Arc::clone(&user.subject)) {
                return;
            }
        }
        let (records, user) = (Arc::clone(self), Arc::clone(user));
        let hashing = checks.hash(password);
        tokio::spawn(async move {
            if let Some(new) = hashing.await {
                let by = Author { who: &user.subject, origin: "login", at: now() };
                let done = records.upgrade_password(&user.subject, &old, &new, &by).await;
                if let Err(fault) = done {
                    tracing::warn!(event = "hash_not_replaced", subject = &*user.subject, %fault);
                }
            }
            records.strengthening.0.lock().remove(&user.subject);
        });
    }
}
