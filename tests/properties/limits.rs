//! How many get through.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*, sample::select};

use portcullis::{model::Timestamp, policy::Denial};

use super::{
    cases,
    gate::{Ask, Gate, NOW, admitted, denial},
    world::{key, sha256},
};

/// Quotas as they are written: how many, in how many seconds.
const QUOTAS: [(&str, &[(usize, i64)]); 5] = [
    ("3/second", &[(3, 1)]),
    ("5 per 2 seconds", &[(5, 2)]),
    ("1/3 seconds", &[(1, 3)]),
    ("2/second; 5/4 seconds", &[(2, 1), (5, 4)]),
    ("7/minute", &[(7, 60)]),
];

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    ClientIp,
    Principal,
    Route,
    Both,
}

impl By {
    const fn text(self) -> &'static str {
        match self {
            Self::ClientIp => "client_ip",
            Self::Principal => "principal",
            Self::Route => "route",
            Self::Both => "[client_ip, principal]",
        }
    }

    fn key(self, client: u8, who: usize) -> (u8, usize) {
        match self {
            Self::ClientIp => (client, 0),
            Self::Principal => (0, who),
            Self::Route => (0, 0),
            Self::Both => (client, who),
        }
    }
}

fn gate(limits: &[(&str, By)], algorithm: &str) -> Gate {
    let limits: Vec<String> = limits
        .iter()
        .map(|(quota, by)| {
            format!("{{ limit: '{quota}', by: {}, algorithm: {algorithm} }}", by.text())
        })
        .collect();
    Gate::of(&format!(
        "upstreams: {{ app: {{ builtin: echo }} }}
authentication:
  api_keys:
    header: X-API-Key
    keys: [{{ id: k0, sha256: {} }}, {{ id: k1, sha256: {} }}]
routes:
  - {{ match: {{ path: /x }}, upstream: app, rate_limit: [{}] }}
",
        sha256(&key(0)),
        sha256(&key(1)),
        limits.join(", "),
    ))
}

fn call(client: u8, who: usize) -> Ask {
    let mut ask = Ask::get("/x").header("x-api-key", &key(who));
    ask.peer = [192, 0, 2, client].into();
    ask
}

/// Steps between calls: none, a little, and about the length of a window.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => Just(0),
        3 => 0_i64..50_000,
        2 => 0_i64..1_100_000,
        1 => 990_000_i64..1_010_000,
        1 => 1_900_000_i64..4_100_000,
    ]
}

/// The most that any window of this length holds.
fn fullest(times: &[i64], micros: i64) -> usize {
    let within =
        |start: &i64| times.iter().filter(|time| (*start..start + micros).contains(*time)).count();
    times.iter().map(within).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn no_window_ever_holds_more_than_its_quota(
        written in vec((select(&QUOTAS[..]), select(vec![By::ClientIp, By::Principal, By::Route, By::Both])), 1..3),
        calls in vec((step(), 1_u8..3, 0..2_usize), 1..120),
    ) {
        let distinct: BTreeSet<_> = written.iter().map(|((quota, _), by)| (*quota, *by)).collect();
        prop_assume!(distinct.len() == written.len());
        let limits: Vec<_> = written.iter().map(|((quota, _), by)| (*quota, *by)).collect();
        let gate = gate(&limits, "sliding_window");
        let mut micros = NOW.micros();
        let mut let_through = vec![BTreeMap::<_, Vec<i64>>::new(); written.len()];
        for (index, (step, client, who)) in calls.into_iter().enumerate() {
            micros += step;
            let decision = gate.live(&call(client, who), Timestamp::from_micros(micros));
            if admitted(&decision).is_some() {
                for (place, (_, by)) in let_through.iter_mut().zip(&written) {
                    place.entry(by.key(client, who)).or_default().push(micros);
                }
            } else {
                let limited = matches!(denial(&decision), Some(Denial::RateLimited { .. }));
                prop_assert!(limited && index > 0, "{:?}", decision.verdict);
            }
        }
        for (((_, quotas), by), counted) in written.iter().zip(&let_through) {
            for (key, times) in counted {
                for (amount, seconds) in *quotas {
                    let most = fullest(times, seconds * 1_000_000);
                    prop_assert!(most <= *amount, "{most} of {amount} in {seconds} s by {by:?} {key:?}");
                }
            }
        }
    }

    #[test]
    fn other_ways_to_count_hold_what_they_promise(
        (quota, quotas) in select(&QUOTAS[..]),
        algorithm in select(vec!["fixed_window", "token_bucket"]),
        steps in vec(step(), 1..150),
    ) {
        let gate = gate(&[(quota, By::Route)], algorithm);
        let mut micros = NOW.micros();
        let mut times = Vec::new();
        for step in steps {
            micros += step;
            if admitted(&gate.live(&call(1, 0), Timestamp::from_micros(micros))).is_some() {
                times.push(micros);
            }
        }
        // Both let up to twice the amount through around an edge, or out of a full bucket.
        for (amount, seconds) in quotas {
            let most = fullest(&times, seconds * 1_000_000);
            prop_assert!(most <= 2 * amount, "{most} of {amount} in {seconds} s");
        }
        prop_assert!(!times.is_empty());
    }

    #[test]
    fn a_refused_caller_gets_in_after_the_wait_it_was_told(
        (quota, _) in select(&QUOTAS[..]),
        algorithm in select(vec!["sliding_window", "fixed_window", "token_bucket"]),
        steps in vec(step(), 1..60),
    ) {
        let gate = gate(&[(quota, By::Principal)], algorithm);
        let mut micros = NOW.micros();
        for step in steps {
            micros += step;
            let decision = gate.live(&call(1, 0), Timestamp::from_micros(micros));
            let Some(Denial::RateLimited { retry_after, .. }) = denial(&decision) else { continue };
            micros += i64::try_from(*retry_after).unwrap() * 1_000_000;
            let decision = gate.live(&call(1, 0), Timestamp::from_micros(micros));
            prop_assert!(admitted(&decision).is_some(), "{:?}", decision.verdict);
        }
    }
}
