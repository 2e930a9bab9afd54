//! What it costs to charge a request to its limits, keys included: from the caller to the outcome.
//!
//! Leaves out how the limits of a route are found and how headers are written, save `headers`.
//! Times are per request; `threads` has as many requests at once as there are cores.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed},
};

use divan::{Bencher, black_box, counter::ItemsCount};
use portcullis::{
    model::Timestamp,
    policy::limit::{Algorithm, By, Caller, Charged, Charges, Limit, Scope},
    sources::counters::Local,
};

const ALGORITHMS: [&str; 3] = ["sliding_window", "fixed_window", "token_bucket"];
const MANY: u32 = 100_000;

fn main() {
    divan::main();
}

fn limit(quotas: &str, algorithm: &str) -> Limit {
    let algorithm = match algorithm {
        "fixed_window" => Algorithm::FixedWindow,
        "token_bucket" => Algorithm::TokenBucket { burst: None },
        _ => Algorithm::SlidingWindow,
    };
    Limit::new(&Scope::Defaults, &quotas.parse().unwrap(), vec![By::ClientIp], algorithm)
}

// A clock of its own, a microsecond later at each call.
struct Clock(AtomicI64);

impl Clock {
    fn new() -> Self {
        Self(AtomicI64::new(1_700_000_000_000_000))
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1, Relaxed))
    }
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(number).into()
}

fn charge(local: &Local, limit: &Limit, client: u32, now: Timestamp) -> Charged {
    let mut charges = Charges::new();
    limit.charge_to(&Caller::at(address(client)), &mut charges);
    local.charge(&charges, now)
}

#[divan::bench(args = ALGORITHMS)]
fn hot_key(bencher: Bencher<'_, '_>, algorithm: &str) {
    let (local, limit, clock) = (Local::new(1), limit("1000000/minute", algorithm), Clock::new());
    bencher.bench(|| charge(&local, &limit, black_box(1), clock.now()));
}

#[divan::bench(args = ALGORITHMS)]
fn hot_key_refused(bencher: Bencher<'_, '_>, algorithm: &str) {
    let (local, limit, clock) = (Local::new(1), limit("10/day", algorithm), Clock::new());
    bencher.bench(|| charge(&local, &limit, black_box(1), clock.now()));
}

#[divan::bench(args = ALGORITHMS)]
fn many_keys(bencher: Bencher<'_, '_>, algorithm: &str) {
    let local = Local::new(1_000_000);
    let (limit, clock) = (limit("1000000/minute", algorithm), Clock::new());
    (0..MANY).for_each(|client| drop(charge(&local, &limit, client, clock.now())));
    let next = AtomicU32::new(0);
    // A stride that visits them out of order.
    let client = || next.fetch_add(7919, Relaxed) % MANY;
    bencher.bench(|| charge(&local, &limit, client(), clock.now()));
}

#[divan::bench]
fn fresh_keys_beyond_the_bound(bencher: Bencher<'_, '_>) {
    let local = Local::new(MANY as usize);
    let (limit, clock) = (limit("10/day", "sliding_window"), Clock::new());
    (0..2 * MANY).for_each(|client| drop(charge(&local, &limit, client, clock.now())));
    let next = AtomicU32::new(2 * MANY);
    bencher.bench(|| charge(&local, &limit, next.fetch_add(1, Relaxed), clock.now()));
}

#[divan::bench]
fn three_quotas(bencher: Bencher<'_, '_>) {
    let (local, clock) = (Local::new(1), Clock::new());
    let limit = limit("100000/second; 1000000/minute; 10000000/day", "sliding_window");
    bencher.bench(|| charge(&local, &limit, black_box(1), clock.now()));
}

#[divan::bench(threads = [1, 0], args = ["one key", "many keys"])]
fn threads(bencher: Bencher<'_, '_>, keys: &str) {
    let local = Local::new(1_000_000);
    let (limit, clock) = (limit("1000000/second", "sliding_window"), Clock::new());
    let next = AtomicU32::new(0);
    bencher.counter(ItemsCount::new(1_u32)).bench(|| {
        let client = if keys == "one key" { 1 } else { next.fetch_add(7919, Relaxed) % MANY };
        charge(&local, &limit, client, clock.now())
    });
}

#[divan::bench]
fn headers(bencher: Bencher<'_, '_>) {
    let (local, limit, clock) = (Local::new(1), limit("10/minute", "sliding_window"), Clock::new());
    let charged = charge(&local, &limit, 1, clock.now());
    let standing = charged.standing().unwrap();
    bencher.bench(|| standing.header_values(clock.now()));
}
