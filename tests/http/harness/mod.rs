//! What every test here is made of: the gateway as a process, applications to put behind it, a recording upstream, and two
//! clients, one that speaks proper HTTP and one that sends what it is told.
//!
//! Nothing sleeps to let something happen: every wait has a condition, and a deadline that fails the test.

mod answer;
mod app;
mod dns;
pub mod frames;
mod gateway;
mod load;
mod peer;
mod raw;
mod recorder;
mod socket;
mod stopwatch;
mod tls;

use std::time::{Duration, Instant};

pub use answer::{Answer, Call};
pub use app::{App, ask, binary, node, root, tool};
pub use dns::Dns;
pub use gateway::{Gateway, PORTS, Setting};
pub use load::{Load, Tally, percentile};
pub use peer::{Mood, Peer, Reply};
pub use raw::Raw;
pub use recorder::{After, Recorder};
pub use socket::Socket;
pub use stopwatch::Stopwatch;
pub use tls::{Authority, Guest, Identity, Secured};

/// How long anything may take before the test fails. Long, because the machine may be busy; no test waits it out.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A size that the small form of a test has, or that a soak asks for by this name.
pub fn size(name: &str, small: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(small)
}

/// Waits until `condition` gives a value.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
