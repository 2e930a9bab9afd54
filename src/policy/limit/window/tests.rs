//! The oracles below keep every admitted time and know nothing of slots, starts and fractions.

use proptest::prelude::*;

use super::*;
use crate::policy::limit::Quotas;

const SECOND: i64 = 1_000_000;

fn pace(quota: &str, algorithm: Algorithm) -> Pace {
    Pace::new(quota.parse::<Quotas>().unwrap().as_slice()[0], algorithm)
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn bucket(burst: u32) -> Algorithm {
    Algorithm::TokenBucket { burst: Some(burst) }
}

const ALL: [Algorithm; 3] =
    [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::TokenBucket { burst: None }];

#[test]
fn zero_denies_all_whatever_the_algorithm() {
    for algorithm in [ALL.as_slice(), &[bucket(5)]].concat() {
        let look = State::Fresh.take(&pace("0/minute", algorithm), at(0));
        assert_eq!(look, Look { room: false, remaining: 0, wait: Duration::from_secs(60) });
    }
}

#[test]
fn the_eleventh_call_of_a_minute_is_refused() {
    for algorithm in ALL {
        let pace = pace("10/minute", algorithm);
        let mut state = State::Fresh;
        for left in (0..10).rev() {
            let look = state.take(&pace, at(SECOND));
            assert_eq!((look.room, look.remaining), (true, left), "{algorithm:?}");
        }
        assert!(!state.take(&pace, at(SECOND)).room, "{algorithm:?}");
    }
}

#[test]
fn a_sliding_window_counts_across_the_edge_of_a_minute() {
    let pace = pace("10/minute", Algorithm::SlidingWindow);
    let mut state = State::Fresh;
    let mut tries =
        |second, count| (0..count).filter(|_| state.take(&pace, at(second * SECOND)).room).count();
    assert_eq!([tries(59, 10), tries(61, 10), tries(118, 1), tries(119, 10)], [10, 0, 0, 10]);
}

#[test]
fn a_sliding_window_is_exact_for_a_steady_caller() {
    let pace = pace("10/minute", Algorithm::SlidingWindow);
    let mut state = State::Fresh;
    assert!((0..1000).all(|call| state.take(&pace, at(call * 6 * SECOND)).room));
}

#[test]
fn a_fixed_window_begins_at_the_first_request() {
    let pace = pace("2/minute", Algorithm::FixedWindow);
    let mut state = State::Fresh;
    let mut take = |second| state.take(&pace, at(second * SECOND)).room;
    assert_eq!([50, 60, 109, 110, 111, 112].map(&mut take), [true, true, false, true, true, false]);
}

#[test]
fn a_bucket_refills_evenly_and_holds_its_burst() {
    let pace = pace("6/minute", bucket(3));
    let mut state = State::Fresh;
    let mut take = |second| state.take(&pace, at(second * SECOND)).room;
    assert_eq!(
        [0, 0, 0, 0, 9, 10, 10, 1000, 1000, 1000, 1000].map(&mut take),
        [true, true, true, false, false, true, false, true, true, true, false]
    );
}

#[test]
fn a_bucket_does_not_drift_with_an_odd_quota() {
    let pace = pace("7/second", bucket(1));
    let mut state = State::Fresh;
    let taken = (0..70 * SECOND / 10).filter(|step| state.take(&pace, at(step * 10)).room);
    // One at the start and seven in each second; a try comes every 10 microseconds, so each place
    // is found at most 10 microseconds late.
    assert!((489..=490).contains(&taken.count()));
}

#[test]
fn a_fixed_window_that_only_a_returned_place_opened_is_closed_again() {
    let pace = pace("1/minute", Algorithm::FixedWindow);
    let mut state = State::Fresh;
    state.take(&pace, at(0));
    state.give_back(&pace, at(0), at(SECOND));
    assert!(state.take(&pace, at(50 * SECOND)).room);
    assert!(!state.take(&pace, at(109 * SECOND)).room);
    state.give_back(&pace, at(0), at(109 * SECOND));
    assert!(!state.take(&pace, at(109 * SECOND)).room, "it was of an earlier window");
}

#[test]
fn a_state_of_another_algorithm_starts_fresh() {
    let mut state = State::Fresh;
    for algorithm in ALL {
        assert!(state.take(&pace("1/day", algorithm), at(0)).room);
    }
}

#[test]
fn a_clock_that_was_wrong_by_a_day_locks_nobody_out_for_a_day() {
    for algorithm in ALL {
        let pace = pace("2/minute", algorithm);
        let mut state = State::Fresh;
        let day = 86_400 * SECOND;
        assert!(state.take(&pace, at(day)).room);
        assert!(state.take(&pace, at(day)).room);
        let set_back = state.take(&pace, at(0));
        assert!(!set_back.room, "{algorithm:?}: no place is freed by setting the clock");
        assert!(set_back.wait <= Duration::from_secs(60), "{algorithm:?}");
        assert!(state.take(&pace, at(60 * SECOND)).room, "{algorithm:?}");
    }
}

#[test]
fn a_counter_keeps_no_more_than_62_slots() {
    let pace = pace("4000000000/second", Algorithm::SlidingWindow);
    let mut state = State::Fresh;
    for step in 0..100_000 {
        state.take(&pace, at(step * 100));
        let State::Sliding(window) = &state else { panic!("not sliding") };
        assert!(window.slot_count() <= 62);
    }
    assert!(size_of::<State>() <= 40);
}

#[test]
fn extreme_times_and_quotas_do_not_overflow() {
    for algorithm in [ALL.as_slice(), &[bucket(u32::MAX)]].concat() {
        for quota in ["4294967295/100 years", "1/100 years", "4294967295/second"] {
            let pace = pace(quota, algorithm);
            let mut state = State::Fresh;
            for time in [0, i64::MAX, i64::MIN, -1, i64::MAX, 0, i64::MIN] {
                state.look(&pace, at(time));
                state.take(&pace, at(time));
                state.give_back(&pace, at(time), at(time));
                state.fresh_at(&pace);
            }
        }
    }
}

// Requests by the microseconds since the one before: dense, within a slot, around a whole window.
fn schedule() -> impl Strategy<Value = Vec<i64>> {
    let gap = prop_oneof![
        4 => Just(0),
        4 => 0..50_000_i64,
        2 => 0..SECOND,
        1 => SECOND - 20_000..SECOND + 20_000,
        1 => 0..5 * SECOND,
    ];
    proptest::collection::vec(gap, 1..300).prop_map(|gaps| {
        let mut now = 1_700_000_000 * SECOND;
        gaps.iter()
            .map(|gap| {
                now += gap;
                now
            })
            .collect()
    })
}

fn quota() -> impl Strategy<Value = (u32, i64)> {
    (1..40_u32, 1..4_i64)
}

fn sliding_admitted(amount: u32, seconds: i64, times: &[i64]) -> (Vec<i64>, Vec<(i64, Look)>) {
    let pace = pace(&format!("{amount}/{seconds} seconds"), Algorithm::SlidingWindow);
    let mut state = State::Fresh;
    let (mut log, mut refused) = (Vec::new(), Vec::new());
    for time in times {
        let look = state.take(&pace, at(*time));
        if look.room { log.push(*time) } else { refused.push((*time, look)) }
    }
    (log, refused)
}

proptest! {
    #[test]
    fn a_sliding_window_admits_no_more_than_its_amount_in_any_window(
        (amount, seconds) in quota(), times in schedule()
    ) {
        let (log, _) = sliding_admitted(amount, seconds, &times);
        for first_and_one_too_many in log.windows(amount as usize + 1) {
            let span = first_and_one_too_many.last().unwrap() - first_and_one_too_many[0];
            prop_assert!(span >= seconds * SECOND);
        }
    }

    #[test]
    fn a_sliding_window_frees_a_place_at_most_a_sixtieth_late(
        (amount, seconds) in quota(), times in schedule()
    ) {
        let (log, refused) = sliding_admitted(amount, seconds, &times);
        let window = seconds * SECOND;
        for (time, _) in refused {
            let longest = window + window / 60;
            let counted = log.iter().filter(|past| **past <= time && *past + longest > time);
            prop_assert!(counted.count() >= amount as usize);
        }
    }

    #[test]
    fn a_fixed_window_admits_its_amount_from_each_first_request(
        (amount, seconds) in quota(), times in schedule()
    ) {
        let pace = pace(&format!("{amount}/{seconds} seconds"), Algorithm::FixedWindow);
        let mut state = State::Fresh;
        let (mut start, mut count) = (i64::MIN / 2, 0);
        for time in times {
            if time - start >= seconds * SECOND {
                (start, count) = (time, 0);
            }
            count += 1;
            prop_assert_eq!(state.take(&pace, at(time)).room, count <= amount);
        }
    }

    // Exact rational bookkeeping, in other units than the steps': per bucket, tokens times window.
    #[test]
    fn a_bucket_admits_exactly_what_has_flowed_in(
        (amount, seconds) in quota(), burst in 1..50_u32, times in schedule()
    ) {
        let pace = pace(&format!("{amount}/{seconds} seconds"), bucket(burst));
        let window = i128::from(seconds * SECOND);
        let full = i128::from(burst) * window;
        let mut state = State::Fresh;
        let (mut level, mut before) = (full, times[0]);
        for time in times {
            level = full.min(level + i128::from(time - before) * i128::from(amount));
            before = time;
            let room = level >= window;
            level -= if room { window } else { 0 };
            let look = state.take(&pace, at(time));
            prop_assert_eq!(look.room, room);
            prop_assert_eq!(i128::from(look.remaining), level / window);
        }
    }

    #[test]
    fn a_look_says_what_a_take_would_find_and_a_refusal_changes_nothing(
        (amount, seconds) in quota(), times in schedule(), which in 0..3_usize
    ) {
        let pace = pace(&format!("{amount}/{seconds} seconds"), ALL[which]);
        let mut state = State::Fresh;
        for time in times {
            let seen = state.look(&pace, at(time));
            let taken = state.take(&pace, at(time));
            prop_assert_eq!(seen.room, taken.room);
            prop_assert_eq!(seen.remaining, taken.remaining + u32::from(taken.room));
            if !taken.room {
                prop_assert_eq!(seen, taken);
                prop_assert_eq!(state.look(&pace, at(time)), taken);
            }
            let after = state.look(&pace, at(time));
            prop_assert_eq!(after.remaining, taken.remaining);
            prop_assert_eq!(after.wait, taken.wait);
        }
    }

    // Also when the clock is read out of order: what is told counts from the time that was given.
    #[test]
    fn after_the_wait_one_more_passes_and_not_a_moment_before(
        (amount, seconds) in quota(),
        times in schedule(),
        skews in proptest::collection::vec(0..30_000_i64, 300),
        which in 0..3_usize
    ) {
        let pace = pace(&format!("{amount}/{seconds} seconds"), ALL[which]);
        let mut state = State::Fresh;
        for (time, skew) in times.iter().zip(skews) {
            let now = at(time - skew);
            let look = state.take(&pace, now);
            if look.wait.is_zero() {
                prop_assert_eq!(look.remaining, pace.burst());
                continue;
            }
            let then = now + look.wait;
            prop_assert!(state.look(&pace, then).remaining > look.remaining);
            let earlier = then - Duration::from_micros(1);
            prop_assert!(state.look(&pace, earlier).remaining <= look.remaining);
        }
    }

    #[test]
    fn a_state_is_as_good_as_fresh_from_when_it_says(
        (amount, seconds) in quota(), times in schedule(), which in 0..3_usize
    ) {
        let pace = pace(&format!("{amount}/{seconds} seconds"), ALL[which]);
        let mut state = State::Fresh;
        for time in &times {
            state.take(&pace, at(*time));
        }
        let fresh = state.fresh_at(&pace);
        prop_assert_eq!(state.look(&pace, fresh).remaining, amount);
        prop_assert!(state.look(&pace, fresh - Duration::from_micros(1)).remaining < amount);
    }

    // The oracle is a log of what is held. Times may be read out of order by a little.
    #[test]
    fn places_that_are_held_are_counted_and_those_given_back_are_free(
        (amount, seconds) in quota(),
        times in schedule(),
        skews in proptest::collection::vec(prop_oneof![Just(0), 0..30_000_i64], 300),
        returns in proptest::collection::vec(proptest::option::of(0..30_usize), 300),
    ) {
        let pace = pace(&format!("{amount}/{seconds} seconds"), Algorithm::SlidingWindow);
        let mut state = State::Fresh;
        let (mut held, mut latest) = (Vec::<(i64, usize)>::new(), 0);
        for (index, (time, (skew, after))) in times.iter().zip(skews.iter().zip(returns)).enumerate() {
            let now = time - skew;
            let before = state.look(&pace, at(now));
            if state.take(&pace, at(now)).room {
                held.push((now, after.map_or(usize::MAX, |after| index + after)));
            }
            if before.room && after == Some(0) && *skew == 0 {
                let mut returned = state.clone();
                returned.give_back(&pace, at(now), at(now));
                let free = returned.look(&pace, at(now)).remaining;
                prop_assert_eq!(free, before.remaining);
            }
            held.retain(|(taken, due)| {
                if *due == index {
                    state.give_back(&pace, at(*taken), at(now));
                }
                *due != index
            });
            latest = latest.max(now);
            let counted = held.iter().filter(|(taken, _)| taken + seconds * SECOND > latest);
            let free = state.look(&pace, at(now)).remaining as usize;
            prop_assert!(free + counted.count() <= amount as usize);
        }
    }

    // Two histories: with the place taken and given back, and without. The first never has more
    // places left than the second; given back at once, it has as many.
    #[test]
    fn a_token_given_back_is_no_more_than_was_taken(
        (amount, seconds) in quota(),
        burst in 1..20_u32,
        times in schedule(),
        taken in 0..300_usize,
        held in 0..40_usize,
    ) {
        let pace = pace(&format!("{amount}/{seconds} seconds"), bucket(burst));
        let (mut with, mut without) = (State::Fresh, State::Fresh);
        let taken = taken % times.len();
        let back = (taken + held).min(times.len() - 1);
        let mut took = false;
        for (index, time) in times.iter().enumerate() {
            let now = at(*time);
            if index == taken {
                took = with.take(&pace, now).room;
            } else if with.take(&pace, now).room {
                prop_assert!(without.take(&pace, now).room);
            }
            if index == back && took {
                with.give_back(&pace, at(times[taken]), now);
            }
            let (left, right) = (with.look(&pace, now), without.look(&pace, now));
            prop_assert!(left.remaining <= right.remaining);
            if held == 0 && index == taken {
                prop_assert_eq!(left.remaining, right.remaining);
            }
        }
    }
}
