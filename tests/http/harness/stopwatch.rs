//! Time as a machine has it that does nothing else.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::thread;
use std::time::{Duration, Instant};

/// How often it looks.
const TICK: Duration = Duration::from_millis(5);

/// What of the time between two looks counts at most: the rest went to others.
const MOST: Duration = Duration::from_millis(15);

/// A watch that stands still while the machine has no time for it, and so none for the gateway: what
/// is to happen within a second may take longer by the clock where others keep both processors busy.
pub struct Stopwatch(Arc<AtomicU64>);

impl Stopwatch {
    pub fn start() -> Self {
        let counted = Arc::new(AtomicU64::new(0));
        let ticking = Arc::downgrade(&counted);
        thread::spawn(move || {
            let mut last = Instant::now();
            while let Some(counted) = ticking.upgrade() {
                let passed = last.elapsed().min(MOST);
                last = Instant::now();
                counted.fetch_add(u64::try_from(passed.as_micros()).unwrap(), Ordering::Relaxed);
                drop(counted);
                thread::sleep(TICK);
            }
        });
        Self(counted)
    }

    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn a_watch_counts_what_passes_on_an_idle_machine_and_no_more() {
    let (began, watch) = (Instant::now(), Stopwatch::start());
    let counted = super::eventually("a tenth of a second", || {
        let counted = watch.elapsed();
        (counted >= Duration::from_millis(100)).then_some(counted)
    });
    assert!(counted <= began.elapsed());
}
