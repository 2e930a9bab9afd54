//! What `explain` says is what the gateway does.

use proptest::{collection::vec, prelude::*, sample::select};

use portcullis::{model::Timestamp, policy::Decision};

use super::{
    cases,
    gate::{Ask, Gate, NOW, admitted, denial},
    world::{asked, key, sha256},
};

/// What a client, an app and the log notice of a decision.
fn noticed(decision: &Decision) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        admitted(decision).map(str::to_owned),
        denial(decision).cloned(),
        decision.route.as_ref().map(|route| route.name.clone()),
        decision.principal.as_ref().map(|principal| principal.subject.clone()),
        decision.shadow.clone(),
        decision.remark,
    )
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn looking_and_deciding_agree((world, requests) in asked()) {
        let gate = Gate::of(&world.yaml());
        for request in &requests {
            let ask = request.ask();
            prop_assert_eq!(noticed(&gate.dry(&ask, NOW)), noticed(&gate.live(&ask, NOW)));
        }
    }

    #[test]
    fn looking_sees_what_was_counted_and_counts_nothing(
        quota in select(vec!["2/second", "3/2 seconds", "1/second; 4/5 seconds"]),
        algorithm in select(vec!["sliding_window", "fixed_window", "token_bucket"]),
        by in select(vec!["client_ip", "principal", "route", "[principal, client_ip]"]),
        shadow in any::<bool>(),
        calls in vec((0_i64..900_000, 0..2_usize, 0..2_u8, 0..3_u8), 40),
    ) {
        let gate = Gate::of(&format!(
            "upstreams: {{ app: {{ builtin: echo }} }}
authentication:
  api_keys:
    header: X-API-Key
    keys: [{{ id: k0, sha256: {} }}, {{ id: k1, sha256: {} }}]
routes:
  - match: {{ path: /x }}
    upstream: app
    rate_limit: {{ limit: '{quota}', by: {by}, algorithm: {algorithm} }}
    mode: {}
",
            sha256(&key(0)),
            sha256(&key(1)),
            if shadow { "shadow" } else { "enforce" },
        ));
        let mut micros = NOW.micros();
        for (step, who, client, looks) in calls {
            micros += step;
            let now = Timestamp::from_micros(micros);
            let mut ask = Ask::get("/x").header("x-api-key", &key(who));
            ask.peer = [192, 0, 2, client].into();
            let looked: Vec<_> = (0..=looks).map(|_| noticed(&gate.dry(&ask, now))).collect();
            let done = noticed(&gate.live(&ask, now));
            for looked in looked {
                prop_assert_eq!(&looked, &done);
            }
        }
    }
}
