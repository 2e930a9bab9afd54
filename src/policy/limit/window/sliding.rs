//! Never more than the amount in any window of that length.
//!
//! An exact log would keep a time for every request. This one keeps a time for every sixtieth of a
//! window in which something was counted, that of the *last* request there, and frees all of that
//! sixtieth together, one window after it. Hence a place is never freed early, and at most 1/60 of
//! the window late; with fewer than one request in each sixtieth the log is exact. A counter holds
//! as many slots as it has busy sixtieths, 62 at most, so one that has seen a single request is
//! small (and a flood of fresh keys cheap).

use smallvec::SmallVec;

use super::{Look, Pace};

const SLOTS_PER_WINDOW: i64 = 60;

/// The requests of the last window, gathered by sixtieths of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlidingWindow {
    // INVARIANT: the sum of all `slots`' counts, none of which is zero.
    total: u32,
    // From the oldest to the newest.
    slots: SmallVec<[Slot; 1]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    last: i64,
    count: u32,
}

impl SlidingWindow {
    pub(super) fn look(&self, pace: &Pace, now: i64) -> Look {
        let back = self.set_back(pace, now);
        let at = self.not_before_newest(now, back);
        let mut used = self.total;
        let mut wait = 0;
        for slot in &self.slots {
            let free_at = slot.last.saturating_sub(back).saturating_add(pace.window);
            if free_at > at {
                wait = free_at.saturating_sub(now);
                break;
            }
            used = used.saturating_sub(slot.count);
        }
        let remaining = pace.amount.saturating_sub(used);
        Look::new(remaining > 0, remaining, wait)
    }

    pub(super) fn take(&mut self, pace: &Pace, now: i64) -> Look {
        let at = self.settle(pace, now);
        let room = self.total < pace.amount;
        if room {
            self.count(pace, at);
        }
        let oldest = self.slots.first().map_or(at, |slot| slot.last);
        let wait = oldest.saturating_add(pace.window).saturating_sub(now);
        Look::new(room, pace.amount.saturating_sub(self.total), wait)
    }

    pub(super) fn give_back(&mut self, pace: &Pace, taken: i64, now: i64) {
        self.settle(pace, now);
        let taken_in = sixtieth(pace, taken);
        // The slot of that time, or, if it was counted later than it was taken, an older one, which
        // frees sooner: never one that is freed after it.
        let slots = self.slots.iter_mut().enumerate().rev();
        let mut slots = slots.filter(|(_, slot)| sixtieth(pace, slot.last) <= taken_in);
        let Some((index, slot)) = slots.next() else { return };
        slot.count = slot.count.saturating_sub(1);
        self.total = self.total.saturating_sub(1);
        if slot.count == 0 {
            self.slots.remove(index);
        }
    }

    #[cfg(test)]
    pub(super) fn slot_count(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn fresh_at(&self, pace: &Pace) -> i64 {
        self.slots.last().map_or(i64::MIN, |slot| slot.last.saturating_add(pace.window))
    }

    fn count(&mut self, pace: &Pace, at: i64) {
        self.total += 1;
        match self.slots.last_mut() {
            Some(newest) if sixtieth(pace, newest.last) == sixtieth(pace, at) => {
                newest.last = at;
                newest.count += 1;
            }
            _ => {
                self.slots.push(Slot { last: at, count: 1 });
            }
        }
    }

    // Brings the log to `now`, and says at which time a request of now is counted.
    fn settle(&mut self, pace: &Pace, now: i64) -> i64 {
        let back = self.set_back(pace, now);
        if back > 0 {
            for slot in &mut self.slots {
                slot.last = slot.last.saturating_sub(back);
            }
        }
        let at = self.not_before_newest(now, 0);
        let freed = |slot: &&Slot| slot.last.saturating_add(pace.window) <= at;
        let gone = self.slots.iter().take_while(freed).count();
        if gone > 0 {
            let freed: u32 = self.slots.drain(..gone).map(|slot| slot.count).sum();
            self.total = self.total.saturating_sub(freed);
        }
        at
    }

    // By how much the clock was set back, if by more than a window.
    fn set_back(&self, pace: &Pace, now: i64) -> i64 {
        let ahead = self.slots.last().map_or(0, |newest| newest.last.saturating_sub(now));
        if ahead > pace.window { ahead } else { 0 }
    }

    fn not_before_newest(&self, now: i64, back: i64) -> i64 {
        self.slots.last().map_or(now, |newest| now.max(newest.last.saturating_sub(back)))
    }
}

fn sixtieth(pace: &Pace, time: i64) -> i64 {
    // A window is at least a second long, so the divisor is not zero.
    time.div_euclid(pace.window / SLOTS_PER_WINDOW)
}
