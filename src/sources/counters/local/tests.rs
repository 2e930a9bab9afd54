use std::{
    collections::BTreeMap,
    sync::{
        Barrier,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use super::*;
use crate::policy::limit::{Algorithm, By, Caller, Charges, Limit, LoginLimit, Scope};

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

fn limit(name: &'static str, quotas: &str) -> Limit {
    let quotas = quotas.parse().unwrap();
    Limit::new(&Scope::Own(name), &quotas, vec![By::ClientIp], Algorithm::default())
}

fn charges<'l>(limits: impl IntoIterator<Item = &'l Limit>, client: u32) -> Charges<'l> {
    let caller = Caller::at(std::net::Ipv4Addr::from(client).into());
    let mut charges = Charges::new();
    for limit in limits {
        limit.charge_to(&caller, &mut charges);
    }
    charges
}

fn admitted(charged: &Charged) -> bool {
    matches!(charged, Charged::Admitted(_))
}

fn remaining(local: &Local, limit: &Limit, client: u32) -> u32 {
    local.look(&charges([limit], client), NOW).standing().unwrap().remaining
}

fn on_threads(count: usize, work: impl Fn(usize) + Sync) {
    let together = Barrier::new(count);
    thread::scope(|scope| {
        for number in 0..count {
            let (together, work) = (&together, &work);
            scope.spawn(move || {
                together.wait();
                work(number);
            });
        }
    });
}

#[test]
fn a_request_that_one_limit_refuses_takes_no_place_under_another() {
    let local = Local::new(1);
    let (narrow, wide) = (limit("narrow", "2/minute"), limit("wide", "10/hour"));
    for expected in [true, true, false, false] {
        let charged = local.charge(&charges([&wide, &narrow], 1), NOW);
        assert_eq!(admitted(&charged), expected);
        assert_eq!(charged.standing().unwrap().rule.quota().amount(), 2);
    }
    assert_eq!(remaining(&local, &wide, 1), 8);
}

#[test]
fn several_quotas_of_one_limit_are_all_counted() {
    let local = Local::new(1);
    let limit = limit("both", "3/second; 5/minute");
    let mut passed = Vec::new();
    for second in 0..3 {
        let now = NOW + Duration::from_secs(second);
        let tries = (0..4).filter(|_| admitted(&local.charge(&charges([&limit], 1), now)));
        passed.push(tries.count());
    }
    assert_eq!(passed, [3, 2, 0]);
}

#[test]
fn a_limit_that_is_listed_twice_is_charged_once() {
    let local = Local::new(1);
    let limit = limit("twice", "5/minute");
    assert!(admitted(&local.charge(&charges([&limit, &limit], 1), NOW)));
    assert_eq!(remaining(&local, &limit, 1), 4);
}

#[test]
fn nothing_to_charge_is_admitted_without_a_standing() {
    let local = Local::new(1);
    let charged = local.charge(&[], NOW);
    assert!(admitted(&charged) && charged.standing().is_none());
    assert!(local.is_empty());
}

#[test]
fn a_look_takes_no_place_and_opens_no_counter() {
    let local = Local::new(1);
    let limit = limit("looked at", "1/minute");
    assert!(admitted(&local.look(&charges([&limit], 1), NOW)));
    assert!(local.is_empty());
    local.charge(&charges([&limit], 1), NOW);
    for _ in 0..2 {
        assert!(!admitted(&local.look(&charges([&limit], 1), NOW)));
    }
}

#[test]
fn a_refusal_tells_the_longest_wait_of_all_that_refuse() {
    let local = Local::new(1);
    let (short, long) = (limit("short", "1/second"), limit("long", "1/minute"));
    local.charge(&charges([&short, &long], 1), NOW);
    let charged = local.charge(&charges([&short, &long], 1), NOW);
    assert!(!admitted(&charged));
    assert_eq!(charged.standing().unwrap().retry_after(), 60);
}

#[test]
fn logins_that_succeed_give_their_places_back() {
    let local = Local::new(1);
    let limit = LoginLimit::new(&"5/minute".parse().unwrap());
    let client = "192.0.2.1".parse().unwrap();
    for _ in 0..100 {
        let charges = limit.charges(client, "alice");
        assert!(admitted(&local.charge(&charges, NOW)));
        local.give_back(&charges, NOW, NOW);
    }
    let tries = (0..7).filter(|_| admitted(&local.charge(&limit.charges(client, "Alice"), NOW)));
    assert_eq!(tries.count(), 5);
    let tries = (0..99).filter(|other| {
        let name = format!("user{other}");
        admitted(&local.charge(&limit.charges(client, &name), NOW))
    });
    assert_eq!(tries.count(), 45, "fifty by one address, whatever the names");
}

#[test]
fn counts_survive_a_reload_that_did_not_change_the_quota() {
    let local = Local::new(1);
    for _ in 0..2 {
        local.charge(&charges([&limit("kept", "10/minute; 100/hour")], 1), NOW);
    }
    assert_eq!(remaining(&local, &limit("kept", "10/minute; 200/hour"), 1), 8);
    assert_eq!(remaining(&local, &limit("other", "10/minute"), 1), 10);
}

#[test]
fn concurrent_requests_get_exactly_as_many_places_as_there_are() {
    for algorithm in
        [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::TokenBucket { burst: None }]
    {
        let local = Local::new(1);
        let quotas = "500/hour".parse().unwrap();
        let limit = Limit::new(&Scope::Defaults, &quotas, vec![By::ClientIp], algorithm);
        let passed = AtomicUsize::new(0);
        on_threads(8, |_| {
            for _ in 0..200 {
                if admitted(&local.charge(&charges([&limit], 1), NOW)) {
                    passed.fetch_add(1, SeqCst);
                }
            }
        });
        assert_eq!(passed.into_inner(), 500, "{algorithm:?}");
    }
}

// Every thread charges overlapping sets of limits, in an order of its own. What each limit has
// admitted by the threads' own books is what is missing in it, and never more than there was.
#[test]
fn concurrent_steps_over_shared_limits_charge_all_or_none_and_never_block_each_other() {
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let local = Local::new(1);
    let limits: Vec<Limit> = NAMES.map(|name| limit(name, "700/day")).into();
    let books: Vec<AtomicUsize> = NAMES.map(|_| AtomicUsize::new(0)).into();
    let refused = AtomicUsize::new(0);
    on_threads(8, |thread| {
        let mut random = u32::try_from(thread).unwrap() + 1;
        for _ in 0..500 {
            // xorshift
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let mut chosen: Vec<usize> = (0..6).filter(|bit| random >> bit & 1 == 1).collect();
            if thread % 2 == 1 {
                chosen.reverse();
            }
            let set = chosen.iter().map(|index| &limits[*index]);
            if admitted(&local.charge(&charges(set, 1), NOW)) {
                for index in chosen {
                    books[index].fetch_add(1, SeqCst);
                }
            } else {
                refused.fetch_add(1, SeqCst);
            }
        }
    });
    for (limit, book) in limits.iter().zip(books) {
        let passed = u32::try_from(book.into_inner()).unwrap();
        assert!(passed <= 700);
        assert_eq!(remaining(&local, limit, 1), 700 - passed);
    }
    assert!(refused.into_inner() > 0);
}

#[test]
fn places_given_back_by_many_threads_are_all_there_again() {
    let local = Local::new(1);
    let limit = limit("given back", "3/minute");
    let inside = AtomicUsize::new(0);
    on_threads(8, |_| {
        for _ in 0..300 {
            let charges = charges([&limit], 1);
            if admitted(&local.charge(&charges, NOW)) {
                assert!(inside.fetch_add(1, SeqCst) < 3);
                inside.fetch_sub(1, SeqCst);
                local.give_back(&charges, NOW, NOW);
            }
        }
    });
    assert_eq!(remaining(&local, &limit, 1), 3);
}

#[test]
fn a_million_hostile_keys_stay_within_the_bound() {
    const BOUND: usize = 10_000;
    let local = Local::new(BOUND);
    on_threads(2, |thread| {
        for key in 0..500_000 {
            let key = key * 2 + thread;
            let counter = local.open(local.digest(&key.to_be_bytes()), NOW);
            counter.is_fresh_at(Timestamp::MAX);
        }
    });
    assert!(local.len() <= BOUND, "{}", local.len());
    assert!(local.len() > BOUND * 9 / 10, "{}", local.len());
    assert_eq!(local.counters.len(), local.len());
}

#[test]
fn a_flood_of_fresh_keys_does_not_push_out_a_counter_in_use() {
    let local = Local::new(2048);
    let limit = limit("flooded", "100/day");
    let mut passed = 0;
    for flood in 0..2000_u32 {
        let now = NOW + Duration::from_millis(flood.into());
        passed += usize::from(admitted(&local.charge(&charges([&limit], 0), now)));
        for key in 0..50 {
            local.charge(&charges([&limit], flood * 50 + key + 1), now);
        }
    }
    assert_eq!(passed, 100);
}

// All threads charge two keys in turn, which so are never idle, and every second one floods the
// register with others meanwhile.
#[test]
fn counts_stay_exact_while_others_are_evicted() {
    let local = Local::new(1);
    let limit = limit("stormy", "300/day");
    let clock = AtomicI64::new(NOW.micros());
    let passed = [const { AtomicUsize::new(0) }; 2];
    on_threads(6, |thread| {
        let thread = u32::try_from(thread).unwrap();
        for turn in 0..2000_u32 {
            let tick = || Timestamp::from_micros(clock.fetch_add(1, SeqCst));
            for (key, passed) in passed.iter().enumerate() {
                let charges = charges([&limit], u32::try_from(key).unwrap());
                if admitted(&local.charge(&charges, tick())) {
                    passed.fetch_add(1, SeqCst);
                }
            }
            if thread % 2 == 0 {
                local.charge(&charges([&limit], 1000 + turn * 8 + thread), tick());
            }
        }
    });
    assert_eq!(local.len(), 1024);
    assert_eq!(passed.map(AtomicUsize::into_inner), [300, 300]);
}

#[test]
fn counters_that_are_as_good_as_fresh_make_room_first() {
    let local = Local::new(1024);
    let (minute, day) = (limit("minute", "5/minute"), limit("day", "5/day"));
    for key in 0..400 {
        local.charge(&charges([&day], key), NOW);
        local.charge(&charges([&minute], key), NOW);
    }
    let later = NOW + Duration::from_secs(61);
    for key in 1000..1300 {
        local.charge(&charges([&minute], key), later);
    }
    let kept = (0..400).filter(|key| remaining(&local, &day, *key) == 4).count();
    assert!(kept > 380, "{kept}");
}

#[test]
fn a_sweep_drops_what_is_as_good_as_fresh_and_nothing_else() {
    let local = Local::new(10_000);
    let (minute, day) = (limit("minute", "5/minute"), limit("day", "5/day"));
    for key in 0..3000 {
        local.charge(&charges([&minute], key), NOW);
    }
    for key in 0..500 {
        local.charge(&charges([&day], key), NOW);
    }
    local.sweep(NOW);
    assert_eq!(local.len(), 3500);
    local.sweep(NOW + Duration::from_secs(60));
    assert_eq!(local.len(), 500);
    assert_eq!(local.counters.len(), 500);
    assert!((0..500).all(|key| remaining(&local, &day, key) == 4));
}

#[test]
fn a_smaller_bound_holds_at_once() {
    let local = Local::new(10_000);
    let limit = limit("shrunk", "5/day");
    for key in 0..5000 {
        local.charge(&charges([&limit], key), NOW);
    }
    assert_eq!(local.len(), 5000);
    local.bound_to(2000, NOW);
    assert!(local.len() <= 2000);
    assert_eq!(local.counters.len(), local.len());
}

// An independent book: for each key the times at which it was admitted.
#[test]
fn many_keys_over_time_are_each_counted_for_themselves() {
    let local = Local::new(100_000);
    let limit = limit("separate", "3/10 seconds");
    let mut books: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for tick in 0..20_000_u64 {
        let key = u32::try_from(tick * 7919 % 97).unwrap();
        let now = NOW + Duration::from_millis(tick * 5);
        if admitted(&local.charge(&charges([&limit], key), now)) {
            books.entry(key).or_default().push(tick * 5);
        }
    }
    for (key, times) in books {
        assert!(times.windows(4).all(|four| four[3] - four[0] >= 10_000), "{key}");
        assert!(times.len() > 20);
    }
}

#[test]
fn a_counter_is_small() {
    // With the allocation's own words, its places in the map and in the register: some 200 bytes.
    assert!(size_of::<Counter>() <= 112, "{}", size_of::<Counter>());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn a_refused_request_passes_all_its_limits_after_the_wait_it_was_told(
        gaps in proptest::collection::vec(0..400_u64, 1..200)
    ) {
        let local = Local::new(1);
        let limits = [
            limit("a", "3/second; 20/10 seconds"),
            limit("b", "5/2 seconds"),
            Limit::new(
                &Scope::Own("c"),
                &"10/5 seconds".parse().unwrap(),
                vec![By::ClientIp],
                Algorithm::TokenBucket { burst: Some(4) },
            ),
            Limit::new(
                &Scope::Own("d"),
                &"12/7 seconds".parse().unwrap(),
                vec![By::ClientIp],
                Algorithm::FixedWindow,
            ),
        ];
        let charges = charges(&limits, 1);
        let mut now = NOW;
        for gap in gaps {
            now = now + Duration::from_millis(gap);
            let Charged::Refused(standing) = local.charge(&charges, now) else { continue };
            proptest::prop_assert_eq!(standing.remaining, 0);
            let told = now + standing.wait;
            proptest::prop_assert!(admitted(&local.look(&charges, told)));
            let told = now + Duration::from_secs(standing.retry_after());
            proptest::prop_assert!(admitted(&local.look(&charges, told)));
            let earlier = now + standing.wait - Duration::from_micros(1);
            proptest::prop_assert!(!admitted(&local.look(&charges, earlier)));
        }
    }
}
