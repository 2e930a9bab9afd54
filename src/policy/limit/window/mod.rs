//! Counting as pure steps: a small plain state, a pace, and the time as an argument.
//!
//! All three algorithms answer in the same words, [`Look`], and keep the same promises:
//!
//! - A refused step changes no count.
//! - After `wait`, and if nothing else is counted meanwhile, `remaining` is larger than now by at
//!   least one. So a refused request that comes back after `wait` finds a place.
//! - Time that goes backwards never frees a place. A step back within the window (two threads that
//!   read the clock in one order and count in the other) is counted at the last time seen; a
//!   larger one (a clock that was set) is read as if no time had passed since the last step, so
//!   that a clock once wrong by a day does not lock anybody out for a day.

mod bucket;
mod fixed;
mod sliding;

use std::time::Duration;

use self::{bucket::TokenBucket, fixed::FixedWindow, sliding::SlidingWindow};
use super::Quota;
use crate::model::Timestamp;

/// How a quota is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// In windows that begin at the first request: up to twice the amount around their edge.
    FixedWindow,
    /// Never more than the amount in any window of that length.
    #[default]
    SlidingWindow,
    /// Evenly refilled: `burst` at once, and the amount in each window thereafter.
    TokenBucket {
        /// How many the bucket holds; absent = the amount.
        burst: Option<u32>,
    },
}

/// A quota and the way it is counted, in the units that steps calculate with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    amount: u32,
    // Microseconds; 1 s to 100 years, so that sums with any sane time do not saturate.
    window: i64,
    algorithm: Algorithm,
}

impl Pace {
    /// The pace of a quota.
    pub fn new(quota: Quota, algorithm: Algorithm) -> Self {
        let window = i64::try_from(quota.window().as_micros()).unwrap_or(i64::MAX);
        Self { amount: quota.amount(), window, algorithm }
    }

    fn burst(&self) -> u32 {
        match self.algorithm {
            Algorithm::TokenBucket { burst } => burst.unwrap_or(self.amount),
            Algorithm::FixedWindow | Algorithm::SlidingWindow => self.amount,
        }
    }

    // `0/minute` denies all, whatever the algorithm and burst.
    fn denies_all(&self) -> bool {
        self.amount == 0 || self.burst() == 0
    }
}

/// What a counter says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether there was a place before this step (and, after [`State::take`], it was taken).
    pub room: bool,
    /// How many places are free after this step.
    pub remaining: u32,
    /// How long until one more place is free; zero when none is taken. The whole window where
    /// there never will be one.
    pub wait: Duration,
}

impl Look {
    fn new(room: bool, remaining: u32, wait_micros: i64) -> Self {
        let wait = Duration::from_micros(u64::try_from(wait_micros).unwrap_or(0));
        Self { room, remaining, wait }
    }
}

/// What has been counted under one key. It belongs to one [`Pace`]: under one of another algorithm
/// it starts fresh.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing is counted.
    #[default]
    Fresh,
    /// For [`Algorithm::FixedWindow`].
    Fixed(FixedWindow),
    /// For [`Algorithm::SlidingWindow`].
    Sliding(SlidingWindow),
    /// For [`Algorithm::TokenBucket`].
    Bucket(TokenBucket),
}

impl State {
    /// What a request at `now` would find.
    pub fn look(&self, pace: &Pace, now: Timestamp) -> Look {
        let now = now.micros();
        match (self, pace.algorithm) {
            _ if pace.denies_all() => Look::new(false, 0, pace.window),
            (Self::Fixed(state), Algorithm::FixedWindow) => state.look(pace, now),
            (Self::Sliding(state), Algorithm::SlidingWindow) => state.look(pace, now),
            (Self::Bucket(state), Algorithm::TokenBucket { .. }) => state.look(pace, now),
            _ => Look::new(true, pace.burst(), 0),
        }
    }

    /// Takes a place at `now` if there is one.
    pub fn take(&mut self, pace: &Pace, now: Timestamp) -> Look {
        if pace.denies_all() {
            return self.look(pace, now);
        }
        match (&mut *self, pace.algorithm) {
            (Self::Fixed(state), Algorithm::FixedWindow) => state.take(pace, now.micros()),
            (Self::Sliding(state), Algorithm::SlidingWindow) => state.take(pace, now.micros()),
            (Self::Bucket(state), Algorithm::TokenBucket { .. }) => state.take(pace, now.micros()),
            _ => {
                *self = Self::opened(pace.algorithm, now);
                self.take(pace, now)
            }
        }
    }

    fn opened(algorithm: Algorithm, now: Timestamp) -> Self {
        match algorithm {
            Algorithm::FixedWindow => Self::Fixed(FixedWindow::default()),
            Algorithm::SlidingWindow => Self::Sliding(SlidingWindow::default()),
            Algorithm::TokenBucket { .. } => Self::Bucket(TokenBucket::full(now.micros())),
        }
    }

    /// Gives back a place that was taken at `taken`, as far as it is still held at `now`. Whatever
    /// else is counted stays so for as long as it was to be.
    pub fn give_back(&mut self, pace: &Pace, taken: Timestamp, now: Timestamp) {
        let (taken, now) = (taken.micros(), now.micros());
        match (self, pace.algorithm) {
            (Self::Fixed(state), Algorithm::FixedWindow) => state.give_back(pace, taken, now),
            (Self::Sliding(state), Algorithm::SlidingWindow) => state.give_back(pace, taken, now),
            (Self::Bucket(state), Algorithm::TokenBucket { .. }) => {
                state.give_back(pace, taken, now);
            }
            _ => {}
        }
    }

    /// From when on this state is as good as a fresh one.
    pub fn fresh_at(&self, pace: &Pace) -> Timestamp {
        Timestamp::from_micros(match self {
            Self::Fresh => i64::MIN,
            Self::Fixed(state) => state.fresh_at(pace),
            Self::Sliding(state) => state.fresh_at(pace),
            Self::Bucket(state) => state.fresh_at(),
        })
    }
}

#[cfg(test)]
mod tests;
