//! What goes wrong around a gateway under load: each fault is made with the real thing, everybody else's requests stay right,
//! and afterwards it is as before.
//!
//! Each prints its figures, which `make soak` shows (`SOAK_FAULT_REQUESTS` is how many requests a fault lasts): requests, what
//! became of them, how many of those came to what must not be, how long after its end the fault was over, and memory before
//! and after.

mod clock;
mod crowd;
mod descriptors;
mod log;
mod names;
mod targets;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Load, Peer, Tally, eventually, size};

/// Requests for which a fault lasts, and as many before and after it.
fn requests() -> usize {
    size("SOAK_FAULT_REQUESTS", 150)
}

const YAML: &str = "
version: 1
server: { listen: [{ address: '127.0.0.1:0' }] }
admin: { listen: '127.0.0.1:0' }
log: { access: false }
upstreams:
  app:
    targets: ['@BAD@', '@GOOD@']
    timeouts: { connect: 250ms, response: 1s, idle: 1s }
    ejection: { consecutive_failures: 3, for: 1s }
    retries: { attempts: 1, on: [connect], budget: 20% }
  other: '@OTHER@'
routes:
  - { name: app, match: { path: '/app/{rest*}' }, upstream: app, auth: none }
  - { name: other, match: { path: '/other/{rest*}' }, upstream: other, auth: none }
";

/// What may become of a request that one of several faults may meet.
const FAILED: &[&str] = &["200", "502", "503", "504"];
/// The same once an answer has begun.
const CUT: &[&str] = &["200", "502", "503", "504", "cut"];

/// A gateway under load: one target that a fault befalls, one that is well beside it, and another upstream.
struct Scene {
    gateway: Gateway,
    good: Peer,
    _other: Peer,
    reads: Load,
    writes: Load,
    others: Load,
    /// Memory and descriptors before the load.
    at_first: (u64, usize),
}

impl Scene {
    fn begin(bad: &str) -> Self {
        let (good, other) = (Peer::echoing(), Peer::echoing());
        let setting = Gateway::with_whole(YAML).put("BAD", bad).put("GOOD", &good.url());
        Self::before(setting.put("OTHER", &other.url()).start(), good, other)
    }

    fn before(gateway: Gateway, good: Peer, other: Peer) -> Self {
        let at_first = (gateway.memory(), gateway.descriptors());
        let load = |method, path, clients| Load::start(gateway.address(), method, path, clients);
        let (reads, writes) = (load("GET", "/app/read", 4), load("POST", "/app/write", 2));
        let others = load("GET", "/other/read", 2);
        let scene = Self { reads, writes, others, gateway, good, _other: other, at_first };
        scene.go_on();
        scene
    }

    /// Waits until as many requests as a fault lasts have come to an end.
    fn go_on(&self) {
        for load in [&self.reads, &self.writes, &self.others] {
            load.wait_for(requests() / 3);
        }
    }

    /// Fails unless all has gone well so far; what comes after is counted anew.
    #[track_caller]
    fn is_well(&self) {
        for load in [&self.reads, &self.writes, &self.others] {
            let tally = load.so_far();
            assert_eq!(tally.wrong(&["200"]), 0, "{:?}", tally.outcomes);
        }
    }

    /// Ends the load, and waits until the gateway has nothing left of it.
    ///
    /// `right` is what may have become of requests to the upstream with the fault, which `ended` then and whose target was
    /// `back` so long after.
    fn end(mut self, fault: &str, right: &[&str], (ended, back): (Instant, Duration)) -> Figures {
        let (reads, writes) = (self.reads.stop(), self.writes.stop());
        let others = self.others.stop();
        let wrong = reads.wrong(right) + writes.wrong(right) + others.wrong(&["200"]);
        let tallies = [reads, writes, others];
        let recovery = after(&tallies, ended).max(back);
        let (memory, descriptors) = self.at_first;
        eventually("descriptors to be given back", || {
            (self.gateway.descriptors() <= descriptors + 8).then_some(())
        });
        let series = "portcullis_requests_in_flight";
        eventually("requests to end", || (self.gateway.metric(series) == 0.0).then_some(()));
        let figures = Figures {
            wrong,
            recovery,
            tallies: tallies.to_vec(),
            memory: (memory, self.gateway.memory()),
        };
        assert!(self.gateway.runs());
        figures.print(fault);
        assert!(figures.memory.1 < memory + ROOM, "{:?} bytes", figures.memory);
        figures
    }
}

/// Memory that a gateway may keep after the load that it had not before: connections' buffers, allocator's pages.
const ROOM: u64 = 48 << 20;

/// How long after this moment something went wrong last.
fn after(tallies: &[Tally], moment: Instant) -> Duration {
    let last = tallies.iter().filter_map(|tally| tally.trouble).max();
    last.map_or(Duration::ZERO, |last| last.saturating_duration_since(moment))
}

/// What came of a fault.
struct Figures {
    wrong: usize,
    recovery: Duration,
    tallies: Vec<Tally>,
    memory: (u64, u64),
}

impl Figures {
    fn outcomes(&self) -> BTreeMap<&str, usize> {
        let mut all = BTreeMap::new();
        for (outcome, count) in self.tallies.iter().flat_map(|tally| &tally.outcomes) {
            *all.entry(&**outcome).or_default() += count;
        }
        all
    }

    fn print(&self, fault: &str) {
        let outcomes = self.outcomes();
        let requests: usize = outcomes.values().sum();
        let outcomes: Vec<String> =
            outcomes.iter().map(|(outcome, count)| format!("{count} × {outcome}")).collect();
        let (before, after) = (self.memory.0 >> 20, self.memory.1 >> 20);
        println!(
            "\n| {fault} | {requests} | {} | {} | {:.1} s | {before} → {after} MiB |",
            outcomes.join(", "),
            self.wrong,
            self.recovery.as_secs_f64()
        );
    }

    /// Fails if anything came to what must not be.
    #[track_caller]
    fn right(&self) {
        assert_eq!(self.wrong, 0, "{:?}", self.outcomes());
    }
}

/// Fails if a request that may not be repeated came twice.
#[track_caller]
fn none_came_twice<'r>(requests: impl IntoIterator<Item = &'r str>) {
    let mut seen = std::collections::HashSet::new();
    for request in requests.into_iter().filter(|request| request.contains("/app/write/")) {
        assert!(seen.insert(request.to_owned()), "{request} came twice");
    }
}
