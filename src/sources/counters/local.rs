//! Counts in the memory of this process: bounded, and exact under concurrency.
//!
//! **All or none.** A step locks the counters of all its limits, sees whether each has a place, and
//! only then takes one in each. As every place is looked for and taken under one set of locks, no
//! other step comes between: never is more admitted than the steps of [`State`] admit one after
//! another, and a refused request changes no count.
//!
//! **No deadlock.** There are three kinds of locks: registers, shards of the map, counters. A step
//! waits for counters in the order of their keys, each once, and holds nothing else meanwhile.
//! Whoever opens a counter holds one register and waits for shards; whoever holds a shard waits for
//! nothing. An eviction under a register takes a counter's lock only if it is free. So every wait
//! is for a holder further down the order register, counter, shard (and among counters by key).
//!
//! **Eviction loses no place that counts.** A counter leaves the map while its lock is held, and is
//! marked evicted before that lock is let go; its key can be opened anew only under the same
//! register. So a step that finds all its counters unmarked once it holds them charges the very
//! counters that everybody else finds; otherwise it looks them up again.
//!
//! **Keys.** A counter is found by 128 bits of a keyed hash: SipHash, the pseudorandom function
//! that the standard library keeps its maps with, twice with different first bytes, under a key
//! that is drawn at start and never leaves the process. To count on somebody else's counter a
//! client would have to find a collision of a function that he can neither compute nor see, among
//! 2^128 values; a million keys collide by chance with a probability of 2^-89. Nothing that a
//! client sends is kept.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::register::{Counter, Register, Tally};
use crate::{
    model::Timestamp,
    policy::limit::{Charge, Charged, Look, Rule, Standing, State},
};

/// Counts in memory. It outlives reloads: a rule that did not change is found again by its id,
/// and what belongs to rules that are gone ages out.
///
/// A counter that has seen one request takes some 200 bytes, one that is busy through a whole
/// sliding window up to 1,200.
#[derive(Debug)]
pub struct Local {
    secret: RandomState,
    counters: DashMap<u128, Arc<Counter>, ahash::RandomState>,
    registers: [Mutex<Register>; REGISTERS],
}

const REGISTERS: usize = 16;
const SMALLEST_BOUND: usize = 1024;

// Most requests are charged to four quotas or fewer.
type Few<T> = SmallVec<[T; 4]>;

struct Place<'c> {
    key: u128,
    rule: &'c Arc<Rule>,
}

impl Local {
    /// Room for so many counters, and never for fewer than 1024; beyond it the one unused for
    /// longest makes room, by and large, and starts fresh when it comes back.
    pub fn new(bound: usize) -> Self {
        let share = share_of(bound);
        Self {
            secret: RandomState::new(),
            counters: DashMap::default(),
            registers: std::array::from_fn(|_| Mutex::new(Register::new(share))),
        }
    }

    /// Takes a place under every one of these charges, or under none.
    pub fn charge(&self, charges: &[Charge<'_>], now: Timestamp) -> Charged {
        match charges {
            [] => Charged::Admitted(None),
            [charge] => self.charge_one(charge, now),
            _ => self.charge_all(&self.places(charges), now),
        }
    }

    // What `charge_all` comes to for one: the step of a state is all or none by itself.
    fn charge_one(&self, charge: &Charge<'_>, now: Timestamp) -> Charged {
        let key = self.digest(charge.key.as_bytes());
        let pace = charge.rule.pace();
        loop {
            let counter = self.open(key, now);
            let mut tally = counter.tally.lock();
            let Tally::Live(state) = &mut *tally else { continue };
            let look = state.take(pace, now);
            counter.is_fresh_at(state.fresh_at(pace));
            drop(tally);
            let standing = Standing::new(charge.rule, look);
            return match look.room {
                true => Charged::Admitted(Some(standing)),
                false => Charged::Refused(standing),
            };
        }
    }

    fn charge_all(&self, places: &[Place<'_>], now: Timestamp) -> Charged {
        loop {
            let counters: Few<_> = places.iter().map(|place| self.open(place.key, now)).collect();
            // INVARIANT: in the order of keys, each once.
            let mut held: Few<_> = counters.iter().map(|counter| counter.tally.lock()).collect();
            let Some(mut states) = live(&mut held) else { continue };
            if let Some(refusing) = refusing(&states, places, now) {
                return Charged::Refused(refusing);
            }
            let mut closest = None;
            for ((state, place), counter) in states.iter_mut().zip(places).zip(&counters) {
                let look = state.take(place.rule.pace(), now);
                counter.is_fresh_at(state.fresh_at(place.rule.pace()));
                closest = closer(closest, (look, place.rule));
            }
            return Charged::Admitted(closest.map(|(look, rule)| Standing::new(rule, look)));
        }
    }

    /// What charging them now would come to. Takes no place.
    pub fn look(&self, charges: &[Charge<'_>], now: Timestamp) -> Charged {
        let mut closest = None;
        for place in self.places(charges) {
            let counter = self.find(place.key);
            let look = counter.as_ref().map(|counter| match &*counter.tally.lock() {
                Tally::Evicted => State::Fresh.look(place.rule.pace(), now),
                Tally::Live(state) => state.look(place.rule.pace(), now),
            });
            let look = look.unwrap_or_else(|| State::Fresh.look(place.rule.pace(), now));
            closest = closer(closest, (look, place.rule));
        }
        match closest {
            Some((look, rule)) if !look.room => Charged::Refused(Standing::new(rule, look)),
            closest => Charged::Admitted(closest.map(|(look, rule)| Standing::new(rule, look))),
        }
    }

    /// Gives back the places that were taken under these charges at `taken`, as far as they are
    /// still held.
    pub fn give_back(&self, charges: &[Charge<'_>], taken: Timestamp, now: Timestamp) {
        for place in self.places(charges) {
            let Some(counter) = self.find(place.key) else { continue };
            let mut tally = counter.tally.lock();
            if let Tally::Live(state) = &mut *tally {
                state.give_back(place.rule.pace(), taken, now);
                counter.is_fresh_at(state.fresh_at(place.rule.pace()));
            }
        }
    }

    /// Sets the bound on counters, and evicts what is above it.
    pub fn bound_to(&self, bound: usize, now: Timestamp) {
        let share = share_of(bound);
        for register in &self.registers {
            register.lock().bound_to(share, now, &|key| self.remove(key));
        }
    }

    /// Evicts counters that are as good as fresh, to give their memory back. Costs time in
    /// proportion to all there are, in short pieces; nothing depends on it being called.
    pub fn sweep(&self, now: Timestamp) {
        const PIECE: usize = 512;
        for register in &self.registers {
            let mut end = register.lock().len();
            while end > 0 {
                register.lock().sweep(end, PIECE, now, &|key| self.remove(key));
                end = end.saturating_sub(PIECE);
            }
        }
    }

    /// How many counters there are.
    pub fn len(&self) -> usize {
        self.registers.iter().map(|register| register.lock().len()).sum()
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    // In the order of keys. A rule that is listed twice is one rule, and charged once.
    fn places<'c>(&self, charges: &'c [Charge<'_>]) -> Few<Place<'c>> {
        let place = |charge: &'c Charge<'_>| Place {
            key: self.digest(charge.key.as_bytes()),
            rule: charge.rule,
        };
        let mut places: Few<_> = charges.iter().map(place).collect();
        places.sort_unstable_by_key(|place| place.key);
        places.dedup_by_key(|place| place.key);
        places
    }

    fn digest(&self, key: &[u8]) -> u128 {
        let half = |first| {
            let mut hasher = self.secret.build_hasher();
            hasher.write_u8(first);
            hasher.write(key);
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    }

    fn find(&self, key: u128) -> Option<Arc<Counter>> {
        self.counters.get(&key).map(|counter| Arc::clone(&counter))
    }

    fn open(&self, key: u128, now: Timestamp) -> Arc<Counter> {
        if let Some(counter) = self.find(key) {
            counter.touch(now);
            return counter;
        }
        let mut register = self.register(key).lock();
        if let Some(counter) = self.find(key) {
            return counter;
        }
        let counter = Arc::new(Counter::new(key, now));
        self.counters.insert(key, Arc::clone(&counter));
        register.enter(Arc::clone(&counter), now, &|key| self.remove(key));
        counter
    }

    fn remove(&self, key: u128) {
        self.counters.remove(&key);
    }

    #[expect(clippy::indexing_slicing, reason = "the index is a remainder")]
    fn register(&self, key: u128) -> &Mutex<Register> {
        &self.registers[(key % REGISTERS as u128) as usize]
    }
}

fn share_of(bound: usize) -> usize {
    bound.max(SMALLEST_BOUND) / REGISTERS
}

// The states under these locks, unless one of them was evicted.
fn live<'h>(held: &'h mut [MutexGuard<'_, Tally>]) -> Option<Few<&'h mut State>> {
    let states = held.iter_mut().map(|tally| match &mut **tally {
        Tally::Evicted => None,
        Tally::Live(state) => Some(state),
    });
    states.collect()
}

// Of the rules that have no place, the one that takes longest to have one.
fn refusing(states: &[&mut State], places: &[Place<'_>], now: Timestamp) -> Option<Standing> {
    let looks = states.iter().zip(places);
    let looks = looks.map(|(state, place)| (state.look(place.rule.pace(), now), place.rule));
    let refusing = looks.filter(|(look, _)| !look.room).max_by_key(|(look, _)| look.wait);
    refusing.map(|(look, rule)| Standing::new(rule, look))
}

type Seen<'c> = (Look, &'c Arc<Rule>);

fn closer<'c>(closest: Option<Seen<'c>>, seen: Seen<'c>) -> Option<Seen<'c>> {
    match closest {
        Some(other) if !Standing::is_closer(seen.0, other.0) => Some(other),
        _ => Some(seen),
    }
}

#[cfg(test)]
mod tests;
