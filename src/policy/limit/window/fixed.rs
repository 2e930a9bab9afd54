//! Windows that begin at the first request.

use super::{Look, Pace};

/// A window that was opened by its first request, and how many it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixedWindow {
    start: i64,
    count: u32,
}

impl FixedWindow {
    pub(super) fn look(self, pace: &Pace, now: i64) -> Look {
        let current = self.at(pace, now);
        let remaining = pace.amount.saturating_sub(current.count);
        Look::new(remaining > 0, remaining, current.wait(pace, now))
    }

    pub(super) fn take(&mut self, pace: &Pace, now: i64) -> Look {
        *self = self.at(pace, now);
        let room = self.count < pace.amount;
        self.count += u32::from(room);
        Look::new(room, pace.amount.saturating_sub(self.count), self.wait(pace, now))
    }

    pub(super) fn give_back(&mut self, pace: &Pace, taken: i64, now: i64) {
        *self = self.at(pace, now);
        // A place taken before this window began went with its own.
        if taken >= self.start {
            self.count = self.count.saturating_sub(1);
        }
    }

    pub(super) fn fresh_at(self, pace: &Pace) -> i64 {
        match self.count {
            0 => i64::MIN,
            _ => self.start.saturating_add(pace.window),
        }
    }

    // The window that `now` falls into.
    fn at(self, pace: &Pace, now: i64) -> Self {
        let age = now.saturating_sub(self.start);
        if self.count == 0 || age >= pace.window {
            Self { start: now, count: 0 }
        } else if age < -pace.window {
            Self { start: now, ..self }
        } else {
            self
        }
    }

    fn wait(self, pace: &Pace, now: i64) -> i64 {
        match self.count {
            0 => 0,
            _ => self.start.saturating_add(pace.window).saturating_sub(now),
        }
    }
}
