//! Clients that ask without end, each request another one, and keep count of what becomes of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Raw, eventually};

/// The clients; they end with this value.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    done: AtomicBool,
    asked: AtomicUsize,
    right: AtomicUsize,
    tally: Mutex<Tally>,
}

/// What became of requests: by status, `cut` where an answer broke off, `lost` where there was none, and `mixed` where it was
/// another request's.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub outcomes: BTreeMap<String, usize>,
    /// How long each whole answer took.
    pub times: Vec<Duration>,
    /// When something other than 200 was last answered.
    pub trouble: Option<Instant>,
}

impl Tally {
    /// Those that came to none of these.
    pub fn wrong(&self, right: &[&str]) -> usize {
        let wrong = self.outcomes.iter().filter(|(outcome, _)| !right.contains(&outcome.as_str()));
        wrong.map(|(_, count)| count).sum()
    }
}

impl Load {
    /// So many clients at this address, each with a connection of its own that it keeps for as long as it may. They ask for
    /// what is below `path`, and expect an answer whose first line is the target.
    pub fn start(
        address: SocketAddr,
        method: &'static str,
        path: &'static str,
        clients: usize,
    ) -> Self {
        let shared = Arc::new(Shared {
            done: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            right: AtomicUsize::new(0),
            tally: Mutex::default(),
        });
        let client = |number: usize| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.ask(address, method, &format!("{path}/{number}")))
        };
        let clients = (0..clients).map(client).collect();
        Self { shared, clients }
    }

    /// Waits until so many more requests have come to an end.
    pub fn wait_for(&self, more: usize) -> &Self {
        Self::wait(&self.shared.asked, more);
        self
    }

    /// Waits until so many more were answered with 200.
    pub fn wait_for_right(&self, more: usize) -> &Self {
        Self::wait(&self.shared.right, more);
        self
    }

    /// A soak may take longer than other tests, as long as it goes on.
    fn wait(count: &AtomicUsize, more: usize) {
        let end = count.load(SeqCst) + more;
        while count.load(SeqCst) < end {
            let before = count.load(SeqCst);
            eventually("the next request", || (count.load(SeqCst) > before).then_some(()));
        }
    }

    /// What became of all requests so far, which are forgotten.
    pub fn so_far(&self) -> Tally {
        std::mem::take(&mut self.shared.tally.lock().unwrap())
    }

    /// Ends it; what became of the requests since `so_far`.
    pub fn stop(mut self) -> Tally {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.shared.done.store(true, SeqCst);
        for client in self.clients.drain(..) {
            let ended = client.join();
            assert!(ended.is_ok() || thread::panicking(), "a client failed");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn ask(&self, address: SocketAddr, method: &str, path: &str) {
        let mut kept: Option<Raw> = None;
        for number in 0.. {
            if self.done.load(SeqCst) {
                return;
            }
            let target = format!("{path}/{number}");
            let mut raw = kept.take().unwrap_or_else(|| Raw::connect(address));
            let began = Instant::now();
            let length = if method == "POST" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
            raw.offer(format!("{method} {target} HTTP/1.1\r\nHost: x\r\n{length}"));
            let answer = raw.try_answer();
            let took = began.elapsed();
            let is_own =
                |body: &[u8]| body.split(|byte| *byte == b'\n').next() == Some(target.as_bytes());
            let outcome = match &answer {
                Ok(answer) if answer.status == 200 && !is_own(&answer.body) => "mixed".to_owned(),
                Ok(answer) => answer.status.to_string(),
                Err(true) => "cut".to_owned(),
                Err(false) => "lost".to_owned(),
            };
            self.count(&outcome, took);
            let stays = |word: &str| !word.eq_ignore_ascii_case("close");
            kept = answer
                .is_ok_and(|answer| answer.header("connection").is_none_or(stays))
                .then_some(raw);
        }
    }

    fn count(&self, outcome: &str, took: Duration) {
        let mut tally = self.tally.lock().unwrap();
        *tally.outcomes.entry(outcome.to_owned()).or_default() += 1;
        tally.times.push(took);
        if outcome == "200" {
            self.right.fetch_add(1, SeqCst);
        } else {
            tally.trouble = Some(Instant::now());
        }
        drop(tally);
        self.asked.fetch_add(1, SeqCst);
    }
}

/// The time that so many of a hundred took at most.
pub fn percentile(times: &[Duration], hundredths: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() * hundredths / 100).min(times.len() - 1)]
}
