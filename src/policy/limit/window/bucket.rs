//! A bucket of tokens that refills evenly.
//!
//! The state is the moment at which the bucket will be full again, to the exact fraction of a
//! microsecond: nothing is rounded, so nothing drifts, however odd the quota.

use super::{Look, Pace};

/// A bucket, told by when it will be full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    full_at: i64,
    // To be added to `full_at`, in microseconds over the pace's amount; less than the amount.
    fraction: u32,
}

// Tokens are counted in parts: a token is as many parts as the window has microseconds, so that
// each microsecond brings exactly `amount` parts.
type Parts = u128;

impl TokenBucket {
    pub(super) fn full(now: i64) -> Self {
        Self { full_at: now, fraction: 0 }
    }

    pub(super) fn look(self, pace: &Pace, now: i64) -> Look {
        let missing = self.missing(pace, now);
        let remaining = remaining(pace, missing);
        Look::new(remaining > 0, remaining, wait(pace, missing))
    }

    pub(super) fn take(&mut self, pace: &Pace, now: i64) -> Look {
        let missing = self.missing(pace, now);
        let room = missing + token(pace) <= capacity(pace);
        let missing = if room { missing + token(pace) } else { missing };
        *self = Self::full_after(pace, now, missing);
        Look::new(room, remaining(pace, missing), wait(pace, missing))
    }

    pub(super) fn give_back(&mut self, pace: &Pace, taken: i64, now: i64) {
        // What has flowed in since may have flowed in thanks to the place that was taken (a full
        // bucket would have spilled it), so only the rest is given back.
        let since = parts_in(pace, now.saturating_sub(taken));
        let missing = self.missing(pace, now);
        let missing = missing.saturating_sub(token(pace).saturating_sub(since));
        *self = Self::full_after(pace, now, missing);
    }

    pub(super) fn fresh_at(self) -> i64 {
        self.full_at.saturating_add(i64::from(self.fraction > 0))
    }

    // Never more than the bucket holds, which it could seem to be when time goes backwards.
    fn missing(self, pace: &Pace, now: i64) -> Parts {
        let ahead = self.full_at.saturating_sub(now);
        if ahead < 0 {
            return 0;
        }
        (parts_in(pace, ahead) + Parts::from(self.fraction)).min(capacity(pace))
    }

    fn full_after(pace: &Pace, now: i64, missing: Parts) -> Self {
        let amount = Parts::from(pace.amount.max(1));
        let micros = i64::try_from(missing / amount).unwrap_or(i64::MAX);
        let fraction = u32::try_from(missing % amount).unwrap_or(0);
        Self { full_at: now.saturating_add(micros), fraction }
    }
}

fn token(pace: &Pace) -> Parts {
    Parts::from(pace.window.unsigned_abs())
}

fn capacity(pace: &Pace) -> Parts {
    Parts::from(pace.burst()) * token(pace)
}

fn parts_in(pace: &Pace, micros: i64) -> Parts {
    Parts::from(u64::try_from(micros).unwrap_or(0)) * Parts::from(pace.amount)
}

fn remaining(pace: &Pace, missing: Parts) -> u32 {
    u32::try_from(capacity(pace).saturating_sub(missing) / token(pace)).unwrap_or(u32::MAX)
}

// Until the next whole token.
fn wait(pace: &Pace, missing: Parts) -> i64 {
    if missing == 0 {
        return 0;
    }
    let part_of_token = capacity(pace).saturating_sub(missing) % token(pace);
    let micros = (token(pace) - part_of_token).div_ceil(Parts::from(pace.amount.max(1)));
    i64::try_from(micros).unwrap_or(i64::MAX)
}
