//! Thousands of clients who do nothing, or next to nothing, beside those who work.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::harness::{Gateway, Load, Peer, Raw, Tally, eventually, percentile, size};

const YAML: &str = "
version: 1
server:
  listen: [{ address: '127.0.0.1:0' }]
  limits: { header_timeout: 10s, idle_timeout: 10m, connections: 20000 }
admin: { listen: '127.0.0.1:0' }
log: { access: false }
upstreams: { app: '@APP@' }
routes:
  - { name: all, match: { path: '/**' }, upstream: app, auth: none }
";

/// Clients who send a header byte by byte and never come to its end. Whom the gateway cuts off comes again.
struct Drips {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    done: AtomicBool,
    rounds: AtomicUsize,
    cut: AtomicUsize,
}

impl Drips {
    fn start(address: SocketAddr, clients: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let connect = || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").unwrap();
                stream
            };
            let mut streams: Vec<TcpStream> = (0..clients).map(|_| connect()).collect();
            while !own.done.load(SeqCst) {
                for stream in &mut streams {
                    if stream.write_all(b"x").is_err() {
                        own.cut.fetch_add(1, SeqCst);
                        *stream = connect();
                    }
                }
                own.rounds.fetch_add(1, SeqCst);
                thread::sleep(Duration::from_millis(500));
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// How many were cut off so far.
    fn cut(&self) -> usize {
        self.shared.cut.load(SeqCst)
    }
}

impl Drop for Drips {
    fn drop(&mut self) {
        self.shared.done.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }
}

/// What the clients who work see, while the others are as they are.
fn measure(gateway: &Gateway, requests: usize) -> Tally {
    let load = Load::start(gateway.address(), "GET", "/work", 4);
    load.wait_for(requests / 10).so_far();
    load.wait_for(requests);
    let tally = load.stop();
    assert_eq!(tally.wrong(&["200"]), 0, "{:?}", tally.outcomes);
    tally
}

#[test]
fn thousands_who_are_idle_or_drip_slow_nobody_down_and_cost_little_memory() {
    let (idle, dripping) = (size("SOAK_IDLE", 1_000), size("SOAK_DRIPPING", 100));
    let requests = size("SOAK_CROWD_REQUESTS", 1_500);
    let upstream = Peer::echoing();
    let gateway = Gateway::with_whole(YAML).put("APP", &upstream.url()).start();
    let open = format!("portcullis_connections{{listener=\"{}\"}}", gateway.address());
    let alone = measure(&gateway, requests);
    let at_first = gateway.memory();
    let mut quiet: Vec<Raw> = (0..idle).map(|_| Raw::connect(gateway.address())).collect();
    // Half of them have had an answer, and keep the connection.
    for raw in quiet.iter_mut().step_by(2) {
        raw.send("GET /once HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(raw.answer().status, 200);
    }
    let drips = Drips::start(gateway.address(), dripping);
    eventually("all of them", || (gateway.metric(&open) >= (idle + dripping) as f64).then_some(()));
    let crowded = measure(&gateway, requests);
    eventually("the first to be cut off", || (drips.cut() > 0).then_some(()));
    let held = gateway.memory();
    // Whoever was idle is served as before.
    for raw in quiet.iter_mut().step_by(7) {
        raw.send("GET /still HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(raw.answer().status, 200);
    }
    let cut = drips.cut();
    drop((quiet, drips));
    eventually("their end", || (gateway.metric(&open) < 16.0).then_some(()));
    let again = measure(&gateway, requests);
    let left = gateway.memory();
    let tail = |tally: &Tally| percentile(&tally.times, 99);
    let each = (held.saturating_sub(at_first)) / (idle + dripping) as u64;
    println!(
        "\n| {idle} idle, {dripping} dripping beside {requests} requests | p99 {:.2?} before, {:.2?} with them, {:.2?} after | \
         {} → {} → {} MiB, {:.1} KiB each | {cut} cut off |",
        tail(&alone),
        tail(&crowded),
        tail(&again),
        at_first >> 20,
        held >> 20,
        left >> 20,
        each as f64 / 1024.0
    );
    let usual = tail(&alone).max(tail(&again)).max(Duration::from_millis(5));
    assert!(tail(&crowded) < usual * 8, "{:?} instead of {usual:?}", tail(&crowded));
    assert!(each < 64 << 10, "{each} bytes for each connection");
    assert!(left < held + super::ROOM);
}
