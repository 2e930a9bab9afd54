//! A database that crashes, hangs, or is not there yet: nobody is let in for it, and whoever is known
//! is not kept out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{FILE_KEY, command, login, made, setting, told, with_key};
use crate::{
    harness::{Gateway, eventually},
    postgres::Postgres,
};

/// Clients that ask again and again, each with its own key, and what they were answered.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<BTreeMap<(&'static str, u16), u32>>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn on(gateway: &Arc<Gateway>, keys: &[(&'static str, String)]) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let threads = keys.iter().cloned().map(|(name, key)| {
            let (gateway, stop) = (Arc::clone(gateway), Arc::clone(&stop));
            let answers: Arc<Mutex<BTreeMap<_, _>>> = Arc::clone(&answers);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let status = with_key(&gateway, &key);
                    *answers.lock().unwrap().entry((name, status)).or_default() += 1;
                }
            })
        });
        let threads = threads.collect();
        Self { stop, answers, threads }
    }

    /// What they have been answered since they were last asked.
    fn take(&self) -> BTreeMap<(&'static str, u16), u32> {
        std::mem::take(&mut *self.answers.lock().unwrap())
    }

    fn end(self) -> BTreeMap<(&'static str, u16), u32> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        std::mem::take(&mut *self.answers.lock().unwrap())
    }
}

/// Nobody was answered anything but this.
#[track_caller]
fn only(answers: &BTreeMap<(&'static str, u16), u32>, expected: &[(&str, &[u16])]) {
    for ((name, status), count) in answers {
        let (_, allowed) = expected.iter().find(|(one, _)| one == name).unwrap();
        assert!(allowed.contains(status), "{name}: {status}, {count} times\n{answers:?}");
    }
}

#[test]
fn a_crash_under_load_lets_nobody_in_and_recovers_without_a_restart() {
    let server = Postgres::start();
    let gateway = Arc::new(setting(&server.database(), "2s").start());
    let good = made(&gateway, &["good"]);
    let revoked = made(&gateway, &["revoked"]);
    told(&gateway, &["key", "revoke", "revoked"], "");
    told(&gateway, &["user", "add", "bob"], "builder");
    eventually("the good key", || (with_key(&gateway, &good) == 200).then_some(()));
    eventually("the user", || (login(&gateway, "bob", "builder") == 200).then_some(()));
    let keys = [
        ("file", FILE_KEY.to_owned()),
        ("good", good.clone()),
        ("revoked", revoked),
        ("unknown", "nobody's".to_owned()),
    ];
    let load = Load::on(&gateway, &keys);

    for round in 0..2 {
        server.crash();
        eventually("the outage", || (gateway.metric("portcullis_store_up") == 0.0).then_some(()));
        let ready = gateway.admin("GET", "/readyz").send();
        assert_eq!(ready.ok().json()["checks"]["store"], "degraded");
        assert_eq!(login(&gateway, "bob", "builder"), 503, "a login needs the store itself");
        assert_eq!(login(&gateway, "alice", "wonderland"), 200, "not for a user of the file");
        eventually("the end of what is known", || (with_key(&gateway, &good) == 503).then_some(()));
        let answers = load.take();
        only(
            &answers,
            &[
                ("file", &[200]),
                ("good", &[200, 503]),
                ("revoked", &[401, 503]),
                ("unknown", &[401, 503]),
            ],
        );
        assert!(answers.contains_key(&("good", 200)), "{round}: {answers:?}");
        assert!(answers.contains_key(&("unknown", 503)), "{round}: {answers:?}");

        server.resume();
        eventually("recovery", || (with_key(&gateway, &good) == 200).then_some(()));
        let key = made(&gateway, &[if round == 0 { "first" } else { "second" }]);
        eventually("a new key", || (with_key(&gateway, &key) == 200).then_some(()));
        eventually("the user", || (login(&gateway, "bob", "builder") == 200).then_some(()));
        only(
            &load.take(),
            &[
                ("file", &[200]),
                ("good", &[200, 503]),
                ("revoked", &[401, 503]),
                ("unknown", &[401, 503]),
            ],
        );
        assert_eq!(gateway.metric("portcullis_store_up"), 1.0);
    }
    load.end();
    let log = gateway.output();
    assert!(log.contains("store_down") && log.contains("store_up"), "{log}");
}

#[test]
fn a_database_that_hangs_is_no_answer_either() {
    let server = Postgres::start();
    let gateway = Arc::new(setting(&server.database(), "2s").start());
    let good = made(&gateway, &["good"]);
    eventually("the good key", || (with_key(&gateway, &good) == 200).then_some(()));
    server.hang();
    let begun = Instant::now();
    eventually("silence", || (with_key(&gateway, "nobody's") == 503).then_some(()));
    eventually("the end of what is known", || {
        let asked = Instant::now();
        let status = with_key(&gateway, &good);
        assert!(asked.elapsed() < Duration::from_secs(2), "no request waits for the store");
        (status == 503).then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(with_key(&gateway, FILE_KEY), 200);
    server.go_on();
    eventually("recovery", || (with_key(&gateway, &good) == 200).then_some(()));
}

#[test]
fn a_gateway_starts_without_its_database_and_finds_it_later() {
    let server = Postgres::start();
    let url = server.database();
    let key = {
        let gateway = setting(&url, "10m").start();
        made(&gateway, &["good"])
    };
    server.crash();
    let gateway = setting(&url, "10m").start();
    assert_eq!(with_key(&gateway, FILE_KEY), 200);
    assert_eq!(with_key(&gateway, &key), 503, "what was never seen is not answered");
    assert_eq!(command(&gateway, &["key", "list"], "").status.code(), Some(1));
    server.resume();
    eventually("the database", || (with_key(&gateway, &key) == 200).then_some(()));
}
