//! Which target takes a request.

use std::{
    hash::Hash,
    sync::{LazyLock, atomic::Ordering::Relaxed},
};

use ahash::RandomState;

use super::{Pool, Visit};
use crate::{model::Timestamp, policy::upstream::Balance};

/// The longest round of turns; finer weights are rounded.
const LONGEST: u32 = 1000;

/// The share of a target that is just back.
const LEAST_SHARE: f64 = 0.1;

/// Targets that a request has been at already.
pub type Tried = smallvec::SmallVec<[u16; 4]>;

impl Pool {
    /// A target for a request, none of those that it was at already. `key` is asked for where the
    /// same goes to the same.
    pub fn pick(&self, tried: &Tried, now: Timestamp, key: impl FnOnce() -> u64) -> Option<Visit> {
        let targets = self.upstream.service.targets();
        let key = match self.upstream.balance {
            Balance::Hash(_) => Some(key()),
            Balance::LeastRequests | Balance::Random | Balance::RoundRobin => None,
        };
        let target = match targets.len() {
            0 => None,
            1 => self.is_open(0, tried, |_| true).then_some(0),
            _ => self.choose(tried, now, key),
        }?;
        let standing = &self.targets.get(target)?.standing;
        let turn = match key {
            // One with several addresses is at each in turn; the same is always at the same.
            Some(key) => usize::try_from(key).unwrap_or_default(),
            None if targets.get(target)?.name.is_some() => standing.visits.fetch_add(1, Relaxed),
            None => 0,
        };
        Some(Visit::begin(target, turn, standing))
    }

    fn choose(&self, tried: &Tried, now: Timestamp, key: Option<u64>) -> Option<usize> {
        let key = key.unwrap_or_else(|| match self.upstream.balance {
            // Who is tried again takes nobody's turn.
            Balance::RoundRobin if tried.is_empty() => self.turn.fetch_add(1, Relaxed),
            Balance::RoundRobin => self.turn.load(Relaxed),
            Balance::Hash(_) | Balance::LeastRequests | Balance::Random => chance(),
        });
        let is_in = |one: &super::Standing| !one.is_ejected(now);
        self.among(key, |target| {
            self.is_open(target, tried, |one| is_in(one) && self.takes_its_share(one, now))
        })
        // Whoever is just back gets all if nobody else is there.
        .or_else(|| self.among(key, |target| self.is_open(target, tried, is_in)))
        // One that is left out for its failures is better than none.
        .or_else(|| self.among(key, |target| self.is_open(target, tried, |_| true)))
    }

    /// Whether a target takes this request, as far as it is back: its share grows with the time, from
    /// a tenth. Where the same goes to the same, nothing is turned away.
    fn takes_its_share(&self, standing: &super::Standing, now: Timestamp) -> bool {
        let (Some(whole), false) =
            (self.upstream.slow_start, matches!(self.upstream.balance, Balance::Hash(_)))
        else {
            return true;
        };
        let Some(back) = standing.back_for(now, whole).filter(|back| *back < whole) else {
            return true;
        };
        let share = (back.as_secs_f64() / whole.as_secs_f64()).max(LEAST_SHARE);
        unit(chance()) < share
    }

    fn among(&self, key: u64, open: impl Fn(usize) -> bool) -> Option<usize> {
        match self.upstream.balance {
            Balance::Hash(_) => self.nearest(key, open),
            Balance::LeastRequests => {
                let first = self.in_turn(key, &open)?;
                let other = self.in_turn(mixed(key), |target| target != first && open(target));
                let busy = |target: usize| {
                    let under_way = |entry: &super::Entry| entry.standing.under_way.load(Relaxed);
                    let under_way = self.targets.get(target).map_or(u32::MAX, under_way);
                    let weight = self.upstream.service.targets().get(target);
                    let weight = weight.map_or(1, |target| target.weight.max(1));
                    // Compared as shares: 3 of weight 3 is as busy as 1 of weight 1.
                    u64::from(under_way) * u64::from(LONGEST) / u64::from(weight)
                };
                Some(match other {
                    Some(other) if busy(other) < busy(first) => other,
                    Some(_) | None => first,
                })
            }
            Balance::Random | Balance::RoundRobin => self.in_turn(key, open),
        }
    }

    /// The first that is open, from this turn on.
    fn in_turn(&self, turn: u64, open: impl Fn(usize) -> bool) -> Option<usize> {
        let length = self.turns.len();
        let start = usize::try_from(turn % u64::try_from(length.max(1)).ok()?).ok()?;
        let turns = self.turns.iter().cycle().skip(start).take(length);
        turns.map(|target| usize::from(*target)).find(|target| open(*target))
    }

    /// The open target with the highest lot for this key: when one goes, only its own keys move
    /// (rendezvous hashing; Thaler and Ravishankar, 1998), and weights count exactly.
    fn nearest(&self, key: u64, open: impl Fn(usize) -> bool) -> Option<usize> {
        let targets = self.upstream.service.targets().iter().enumerate();
        let lot = |authority: &str, weight: u32| {
            // The weighted lot is the weight over the exponential variate that it makes.
            f64::from(weight.max(1)) / -unit(FIXED.hash_one((key, authority))).ln()
        };
        targets
            .filter(|(index, _)| open(*index))
            .map(|(index, target)| (index, lot(&target.authority, target.weight)))
            .max_by(|(_, one), (_, other)| one.total_cmp(other))
            .map(|(index, _)| index)
    }

    fn is_open(
        &self,
        target: usize,
        tried: &Tried,
        fits: impl Fn(&super::Standing) -> bool,
    ) -> bool {
        let was_there = tried.iter().any(|one| usize::from(*one) == target);
        let standing = self.targets.get(target).map(|entry| &entry.standing);
        !was_there && standing.is_some_and(|standing| standing.is_healthy() && fits(standing))
    }
}

/// The same in every process and after every start, so that gateways side by side agree.
static FIXED: RandomState = RandomState::with_seeds(0x706f, 0x7274, 0x6375, 0x6c6c);

/// A key for what goes to the same target: equal for equal values, in every process.
pub fn key_of(value: &impl Hash) -> u64 {
    FIXED.hash_one(value)
}

/// A number that nobody can foresee.
fn chance() -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    KEYS.hash_one(NEXT.fetch_add(1, Relaxed))
}

/// In (0, 1], as even as the number is.
fn unit(number: u64) -> f64 {
    ((number >> 11) as f64 + 1.0) / (1u64 << 53) as f64
}

fn mixed(key: u64) -> u64 {
    FIXED.hash_one(key)
}

/// Targets by their weight, those of one as far apart as can be: at each turn every target earns
/// its weight, and the richest pays for all.
pub(super) fn turns(weights: &[u32]) -> Vec<u16> {
    let greatest = weights.iter().copied().fold(0, common_divisor).max(1);
    let total: u64 = weights.iter().map(|weight| u64::from(weight / greatest)).sum();
    let scale = total.div_ceil(u64::from(LONGEST)).max(1);
    let weights: Vec<i64> = weights
        .iter()
        .map(|weight| i64::try_from(u64::from(weight / greatest).div_ceil(scale)).unwrap_or(1))
        .collect();
    let total: i64 = weights.iter().sum();
    let mut wealth = vec![0_i64; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        for (wealth, weight) in wealth.iter_mut().zip(&weights) {
            *wealth += weight;
        }
        // The first of the richest.
        let richest = wealth.iter().enumerate().rev().max_by_key(|(_, wealth)| **wealth);
        let Some((index, _)) = richest else { break };
        if let Some(wealth) = wealth.get_mut(index) {
            *wealth -= total;
        }
        turns.extend(u16::try_from(index));
    }
    turns
}

const fn common_divisor(mut one: u32, mut other: u32) -> u32 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}
