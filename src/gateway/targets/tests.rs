use std::{collections::HashMap, time::Duration};

use super::*;
use crate::{
    compile::{self, Circumstances},
    config::load,
    policy::upstream::{HealthCheck, Probe},
};

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

/// The pool of an upstream with these settings.
fn pool(settings: &str) -> Pool {
    let yaml = format!(
        "version: 1\nupstreams: {{ app: {{ {settings} }} }}\n\
         routes: [{{ match: {{ path: '/**' }}, upstream: app, auth: none }}]\n"
    );
    pool_of(&yaml)
}

/// The pool of the only upstream of a file.
fn pool_of(yaml: &str) -> Pool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, yaml).unwrap();
    let compiled =
        compile::compile(&load::load(&file, &|_| None).unwrap(), &Circumstances::default());
    let Some(outcome) = compiled.outcome else { panic!("{:?}", compiled.diagnostics) };
    let metrics = Metrics::new("0", "0").unwrap();
    Pool::new(&outcome.policy.upstreams[0], &metrics, None)
}

/// Where a thousand requests go.
fn shares(pool: &Pool, key: impl Fn(u64) -> u64) -> HashMap<usize, usize> {
    let mut shares = HashMap::new();
    for number in 0..1000 {
        let visit = pool.pick(&Tried::new(), NOW, || key(number)).unwrap();
        *shares.entry(visit.target).or_default() += 1;
    }
    shares
}

const THREE: &str = "targets: [http://10.0.0.1:1, { url: http://10.0.0.2:1, weight: 3 }, \
                     http://10.0.0.3:1]";

#[test]
fn by_turns_every_target_gets_its_weight_and_the_heavy_one_is_not_asked_in_a_row() {
    assert_eq!(pick::turns(&[1, 3, 1]), [1, 0, 1, 2, 1]);
    assert_eq!(pick::turns(&[10, 10]), [0, 1]);
    assert_eq!(pick::turns(&[7]), [0]);
    assert!(pick::turns(&[1000, 999, 1]).len() <= 1003, "a round is bounded");
    assert_eq!(shares(&pool(THREE), |_| 0), HashMap::from([(0, 200), (1, 600), (2, 200)]));
}

#[test]
fn at_random_every_target_gets_about_its_weight() {
    let shares = shares(&pool(&format!("{THREE}, load_balance: random")), |_| 0);
    assert!((500..700).contains(&shares[&1]), "{shares:?}");
    assert!((120..280).contains(&shares[&0]), "{shares:?}");
}

#[test]
fn the_same_key_goes_to_the_same_target_and_only_those_of_a_lost_one_move() {
    let pool = pool(&format!("{THREE}, load_balance: {{ hash: client_ip }}"));
    let target = |key: u64| pool.pick(&Tried::new(), NOW, || key_of(&key)).unwrap().target;
    let before: Vec<usize> = (0..1000).map(target).collect();
    assert_eq!(before, (0..1000).map(target).collect::<Vec<_>>());
    let heavy = before.iter().filter(|target| **target == 1).count();
    assert!((500..700).contains(&heavy), "{heavy} of 1000 for weight 3 of 5");
    pool.targets[0].standing.eject(NOW, Duration::from_secs(1));
    for (key, before) in (0..1000).zip(before) {
        let now = target(key);
        assert_ne!(now, 0);
        assert!(before == 0 || now == before, "key {key} moved from {before} to {now}");
    }
}

#[test]
fn the_target_with_fewer_requests_under_way_is_taken() {
    let two = "targets: [http://10.0.0.1:1, http://10.0.0.2:1], load_balance: least_requests";
    let pool = pool(two);
    let visits: Vec<Visit> =
        (0..100).map(|_| pool.pick(&Tried::new(), NOW, || 0).unwrap()).collect();
    let at_first = visits.iter().filter(|visit| visit.target == 0).count();
    assert_eq!(at_first, 50, "of two both are compared each time");
    drop(visits.into_iter().filter(|visit| visit.target == 1).collect::<Vec<_>>());
    let next = pool.pick(&Tried::new(), NOW, || 0).unwrap();
    assert_eq!(pool.targets[next.target].standing.under_way.load(Relaxed), 1);
}

#[test]
fn a_failing_target_is_left_out_for_its_time_and_never_more_than_half() {
    let pool = pool(&format!("{THREE}, ejection: {{ consecutive_failures: 2, for: 10s }}"));
    pool.failed(0, NOW);
    pool.answered(0, 500, NOW);
    pool.failed(0, NOW);
    assert!(!pool.targets[0].standing.is_ejected(NOW), "an answer between two failures");
    pool.answered(0, 503, NOW);
    assert!(pool.targets[0].standing.is_ejected(NOW));
    assert!(!shares(&pool, |_| 0).contains_key(&0));
    for _ in 0..10 {
        pool.failed(1, NOW);
    }
    assert!(!pool.targets[1].standing.is_ejected(NOW), "two of three are more than half");
    assert!(!pool.targets[0].standing.is_ejected(NOW + Duration::from_secs(10)));
}

#[test]
fn the_only_target_is_never_left_out_for_its_failures() {
    let pool = pool("targets: [http://10.0.0.1:1], ejection: { consecutive_failures: 1 }");
    pool.failed(0, NOW);
    assert!(pool.pick(&Tried::new(), NOW, || 0).is_some());
}

#[test]
fn health_checks_turn_a_target_after_so_many_in_a_row() {
    let terms = HealthCheck {
        probe: Probe::Tcp,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        unhealthy_after: 3,
        healthy_after: 2,
    };
    let standing = Standing::new("a");
    let turns = |answers: &[bool]| {
        answers.iter().map(|one| standing.checked(*one, &terms, NOW)).collect::<Vec<_>>()
    };
    assert_eq!(turns(&[false, false, true, false, false]), [false; 5]);
    assert_eq!(turns(&[false]), [true]);
    assert!(!standing.is_healthy());
    assert_eq!(turns(&[true, false, true]), [false; 3]);
    assert_eq!(turns(&[true]), [true]);
    assert!(standing.is_healthy());
}

#[test]
fn where_no_target_is_healthy_none_is_picked() {
    let pool = pool(&format!("{THREE}, health_check: {{ unhealthy_after: 1 }}"));
    let terms = pool.upstream.health_check.clone().unwrap();
    for entry in &pool.targets {
        entry.standing.checked(false, &terms, NOW);
    }
    assert!(pool.pick(&Tried::new(), NOW, || 0).is_none());
}

#[test]
fn a_request_is_not_sent_twice_to_where_it_was() {
    let pool = pool(THREE);
    for _ in 0..20 {
        let tried = Tried::from_slice(&[0, 1]);
        assert_eq!(pool.pick(&tried, NOW, || 0).unwrap().target, 2);
    }
    assert!(pool.pick(&Tried::from_slice(&[0, 1, 2]), NOW, || 0).is_none());
}

#[test]
fn retries_are_paid_for_by_requests() {
    let pool = pool(&format!("{THREE}, retries: {{ budget: 20% }}"));
    let afforded = |pool: &Pool| (0..1000).take_while(|_| pool.afford_retry()).count();
    assert_eq!(afforded(&pool), 10, "in advance");
    (0..40).for_each(|_| pool.begin());
    assert_eq!(afforded(&pool), 8, "a fifth of forty");
    (0..1000).for_each(|_| pool.begin());
    assert_eq!(afforded(&pool), 10, "and no more than that is saved");
}

#[test]
fn what_retries_have_spent_outlives_a_reload() {
    let settings = format!("{THREE}, retries: {{ budget: 20% }}");
    let old = pool(&settings);
    while old.afford_retry() {}
    let metrics = Metrics::new("0", "0").unwrap();
    let new = Pool::new(&pool(&settings).upstream, &metrics, Some(&old));
    assert!(!new.afford_retry());
    (0..5).for_each(|_| new.begin());
    assert!(old.afford_retry(), "requests of before spend from the same");
    assert!(!new.afford_retry());
}

#[test]
fn turns_go_on_through_a_reload() {
    let old = pool(THREE);
    let first = old.pick(&Tried::new(), NOW, || 0).unwrap().target;
    let metrics = Metrics::new("0", "0").unwrap();
    let new = Pool::new(&old.upstream, &metrics, Some(&old));
    assert_ne!(new.pick(&Tried::new(), NOW, || 0).unwrap().target, first);
}

#[test]
fn how_a_target_stands_outlives_a_reload() {
    let old = pool(&format!("{THREE}, ejection: {{}}"));
    old.targets[1].standing.eject(NOW, Duration::from_secs(10));
    let metrics = Metrics::new("0", "0").unwrap();
    let new = pool("targets: [http://10.0.0.2:1, http://10.0.0.9:1]");
    let new = Pool::new(&new.upstream, &metrics, Some(&old));
    assert!(new.targets[0].standing.is_ejected(NOW));
    assert!(!new.targets[1].standing.is_ejected(NOW));
}

const SLOW: &str = "
version: 1
upstreams:
  app:
    targets: ['http://10.0.0.1:1', { url: 'http://10.0.0.2:1', weight: 3 }, 'http://10.0.0.3:1']
    load_balance: random
    slow_start: 100s
routes: [{ match: { path: '/**' }, upstream: app, auth: none }]
";

#[test]
fn a_target_that_comes_back_gets_its_share_little_by_little() {
    for balance in ["random", "round_robin", "least_requests"] {
        let pool = pool_of(&SLOW.replace("random", balance));
        let terms = HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            unhealthy_after: 1,
            healthy_after: 1,
        };
        let standing = &pool.targets[1].standing;
        let share = |after: u64| {
            let now = NOW + Duration::from_secs(after);
            let of = |_| pool.pick(&Tried::new(), now, || 0).unwrap().target;
            (0..2000).map(of).filter(|target| *target == 1).count()
        };
        assert!(share(0) > 800, "nobody is slow at the start: {balance}");
        standing.checked(false, &terms, NOW);
        standing.checked(true, &terms, NOW);
        let (first, middle, whole) = (share(1), share(50), share(100));
        assert!(first < middle && middle < whole, "{balance}: {first} {middle} {whole}");
        assert!(first > 0 && first < 400, "{balance}: {first} of 2000");
        assert!(whole > 800, "{balance}: {whole} of 2000");
    }
}

#[test]
fn a_clock_that_is_set_back_keeps_no_target_out() {
    let pool = pool(
        "targets: [http://10.0.0.1:1, http://10.0.0.2:1], ejection: { consecutive_failures: 1, for: 10s }, slow_start: 100s",
    );
    pool.failed(0, NOW);
    let standing = &pool.targets[0].standing;
    assert!(standing.is_ejected(NOW - Duration::from_secs(5)), "as clocks of several threads go");
    let back = NOW - Duration::from_secs(3600);
    assert!(!standing.is_ejected(back));
    let went = (0..1000).filter(|_| pool.pick(&Tried::new(), back, || 0).unwrap().target == 0);
    assert_eq!(went.count(), 500, "nor slow");
}

#[test]
fn a_target_whose_ejection_is_over_comes_back_slowly_and_alone_it_gets_all() {
    let pool = pool(
        "targets: [http://10.0.0.1:1, http://10.0.0.2:1], ejection: { consecutive_failures: 1, for: 10s }, slow_start: 100s",
    );
    pool.failed(0, NOW);
    let now = NOW + Duration::from_secs(11);
    let share = |tried: &Tried| {
        let of = |_| pool.pick(tried, now, || 0).unwrap().target;
        (0..1000).map(of).filter(|target| *target == 0).count()
    };
    assert!(share(&Tried::new()) < 300);
    assert_eq!(share(&Tried::from_slice(&[1])), 1000);
}
