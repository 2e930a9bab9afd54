//! Streams end with the credential that opened them: when its time is over, or when it, or whom it
//! speaks for, is no longer let in.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::task::JoinHandle;

use super::clock::{Clock, Overdue};
use crate::{
    gateway::Snapshot,
    model::{Principal, Timestamp},
    policy::{authn, rules::StreamTerms},
};

/// How often it is asked whether a credential was taken back.
const OFTEN: Duration = Duration::from_millis(250);

/// How often the calendar is looked at, which may be set while a stream lasts.
const SELDOM: Duration = Duration::from_secs(30);

/// Watches over a stream for as long as it is held.
#[derive(Debug)]
pub(super) struct Lease(JoinHandle<()>);

impl Lease {
    /// Watches over a stream that this principal opened. The snapshot that it began with decides to
    /// its end; what is revoked in the store counts at once.
    pub fn new(
        snapshot: Arc<Snapshot>,
        principal: Arc<Principal>,
        terms: StreamTerms,
        clock: Arc<Clock>,
    ) -> Self {
        let ends = principal.expires.zip(terms.grace).map(|(expires, grace)| expires + grace);
        Self(tokio::spawn(async move {
            let why = watch(&snapshot, &principal, ends).await;
            clock.cut(why);
        }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn left_until(end: Timestamp) -> Duration {
    end.since(SystemTime::now().into())
}

/// Waits until the credential is worth nothing any more, and says why.
async fn watch(snapshot: &Snapshot, principal: &Principal, ends: Option<Timestamp>) -> Overdue {
    // What stands in the file stays for as long as the snapshot does.
    let may_change = snapshot.memory().records.is_some();
    let (begun, at_first) = (Instant::now(), ends.map(left_until));
    loop {
        // A clock that is set back gives no time that was not there.
        let passed = begun.elapsed();
        let left = ends.map(left_until).zip(at_first);
        let left = left.map(|(left, first)| left.min(first.saturating_sub(passed)));
        if left.is_some_and(|left| left.is_zero()) {
            return Overdue::Expired;
        }
        if may_change {
            let sources = snapshot.sources();
            // What nobody can be asked about goes on.
            if authn::is_taken_back(snapshot.policy(), principal, &sources).await == Ok(true) {
                return Overdue::Revoked;
            }
        }
        let longest = if may_change { OFTEN } else { SELDOM };
        tokio::time::sleep(left.map_or(longest, |left| left.min(longest))).await;
    }
}
