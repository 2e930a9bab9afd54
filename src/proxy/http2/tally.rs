//! The requests of a connection: how many are under way, and how many came to nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::Notify;

use super::STREAMS;

/// Requests under way for each that a client may have: one that has its answer is over for the client
/// a little sooner than for us.
const SLACK: u32 = 2;

/// Requests that any client may give up.
const FORGIVEN: u32 = 100;

/// The requests of a connection.
#[derive(Debug, Default)]
pub(super) struct Tally {
    begun: AtomicU32,
    under_way: AtomicU32,
    given_up: AtomicU32,
    rested: Notify,
}

impl Tally {
    /// A request begins.
    pub fn begin(this: &Arc<Self>) -> UnderWay {
        this.begun.fetch_add(1, Relaxed);
        this.under_way.fetch_add(1, Relaxed);
        UnderWay(this.clone())
    }

    /// The client gave one up before it was answered.
    pub fn given_up(&self) {
        self.given_up.fetch_add(1, Relaxed);
    }

    /// Whether the client opens and gives up requests for the work that it makes: more are under way
    /// than it may have, so that it must have reset some, or it gave up most of many.
    pub fn is_abused(&self) -> bool {
        let given_up = self.given_up.load(Relaxed);
        self.under_way.load(Relaxed) >= STREAMS * SLACK
            || (given_up >= FORGIVEN && given_up > self.begun.load(Relaxed) / 2)
    }

    /// Ends when there has been no request for so long.
    pub async fn rest(&self, time: Duration) {
        while self.under_way.load(Relaxed) > 0 {
            self.rested.notified().await;
        }
        tokio::time::sleep(time).await;
    }
}

/// Counts a request while it is under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Tally>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Relaxed) == 1 {
            self.0.rested.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_up_most_of_many_requests_is_told_from_who_gives_up_some() {
        let tally = Arc::new(Tally::default());
        for _ in 0..99 {
            drop(Tally::begin(&tally));
            tally.given_up();
        }
        assert!(!tally.is_abused(), "few may all be given up");
        for _ in 0..101 {
            drop(Tally::begin(&tally));
        }
        tally.given_up();
        assert!(!tally.is_abused(), "half of them were answered");
        for _ in 0..2 {
            drop(Tally::begin(&tally));
            tally.given_up();
        }
        assert!(tally.is_abused());
    }

    #[test]
    fn more_under_way_than_there_may_be_is_abuse() {
        let tally = Arc::new(Tally::default());
        let mut under_way: Vec<_> = (0..199).map(|_| Tally::begin(&tally)).collect();
        assert!(!tally.is_abused());
        under_way.push(Tally::begin(&tally));
        assert!(tally.is_abused());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_rests_from_its_last_request_on() {
        let tally = Arc::new(Tally::default());
        let under_way = Tally::begin(&tally);
        let limit = Duration::from_secs(60);
        let began = tokio::time::Instant::now();
        let ended = async {
            tokio::time::sleep(Duration::from_secs(300)).await;
            drop(under_way);
        };
        tokio::join!(tally.rest(limit), ended);
        assert_eq!(began.elapsed().as_secs(), 360);
    }
}
