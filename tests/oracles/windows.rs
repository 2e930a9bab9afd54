//! The `limits` library, whose notation quotas are written in. It keeps the time of every call and is asked about each one
//! with the calls that the judge let through before it.

use serde_json::{Value, json};

use portcullis::model::Timestamp;

use crate::{
    ask,
    gate::{Ask, Gate, NOW, admitted},
};

/// Quotas of one window each, so that a sixtieth of it is one length of time: how many, in how many seconds.
const QUOTAS: [(&str, i64, i64); 5] = [
    ("3/second", 3, 1),
    ("1 per 3 seconds", 1, 3),
    ("10/minute", 10, 60),
    ("25 per 2 minute", 25, 120),
    ("4/hour", 4, 3600),
];

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Times of calls: in bursts, evenly, and just around the end of a window.
fn times(amount: i64, window: i64, numbers: &mut Numbers) -> Vec<i64> {
    let mut time = NOW.micros();
    let mut times = Vec::new();
    for _ in 0..300 {
        time += match numbers.below(6) {
            0..=2 => numbers.below(window / 100),
            3 => numbers.below(window / 4),
            4 => window - window / 60 + numbers.below(window / 30),
            _ => numbers.below(2 * window),
        };
        let burst = 1 + numbers.below(1 + amount / 2);
        times.extend((0..burst).map(|_| time));
    }
    times
}

/// What we say of each call.
fn judged(quota: &str, algorithm: &str, times: &[i64]) -> Vec<bool> {
    let gate = Gate::of(&format!(
        "upstreams: {{ app: {{ builtin: echo }} }}
routes:
  - {{ match: {{ path: /x }}, upstream: app, auth: none, rate_limit: {{ limit: '{quota}', by: route, algorithm: {algorithm} }} }}
"
    ));
    let ask = Ask::get("/x");
    let call = |time: &i64| admitted(&gate.live(&ask, Timestamp::from_micros(*time))).is_some();
    times.iter().map(call).collect()
}

fn seconds(micros: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "microseconds of this century are exact")]
    let micros = micros as f64;
    micros / 1e6
}

#[test]
fn a_window_lets_through_what_the_limits_library_does_and_frees_a_place_at_most_a_sixtieth_late() {
    let mut numbers = Numbers(7);
    let mut series = Vec::new();
    let mut ours = Vec::new();
    for (algorithm, strategy) in [("sliding_window", "moving"), ("fixed_window", "fixed")] {
        for (quota, amount, length) in QUOTAS {
            let window = length * 1_000_000;
            let times = times(amount, window, &mut numbers);
            let verdicts = judged(quota, algorithm, &times);
            let calls: Vec<Value> = times
                .iter()
                .zip(&verdicts)
                .map(|(time, admitted)| json!([seconds(*time - NOW.micros()) + 1e6, admitted]))
                .collect();
            // A sixtieth of a window, and what a float may be off by.
            let late = if algorithm == "sliding_window" { seconds(window) / 60.0 } else { 0.0 };
            series.push(json!({ "quota": quota, "strategy": strategy, "late": late + 1e-5, "calls": calls }));
            ours.push((quota, algorithm, times, verdicts));
        }
    }
    let answers = ask("windows", &Value::from(series));
    for ((quota, algorithm, times, verdicts), theirs) in
        ours.iter().zip(answers.as_array().unwrap())
    {
        let mut refused = 0;
        for ((time, ours), theirs) in times.iter().zip(verdicts).zip(theirs.as_array().unwrap()) {
            let since = time - NOW.micros();
            let (now, early) = (theirs[0] == true, theirs[1] == true);
            refused += usize::from(!ours);
            assert!(
                now || !ours,
                "{quota} {algorithm}: we alone let through the call at {since} µs"
            );
            assert!(*ours || !early, "{quota} {algorithm}: we alone refuse the call at {since} µs");
        }
        let some = times.len() / 10;
        assert!((some..9 * some).contains(&refused), "{quota} {algorithm}: {refused} refused");
    }
}
