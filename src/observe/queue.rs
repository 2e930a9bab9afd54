//! Lines on their way to the log: gathered in memory, and written by one thread, many at a time.
//!
//! Nobody waits for the log. A line that comes alone is written at once; where many come, those of
//! a few milliseconds are written together, so that neither the thread is woken nor the system
//! called for each. What does not fit into the bounded memory is dropped and counted.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

/// How long lines are gathered after others were written.
const GATHERED: Duration = Duration::from_millis(10);

/// Bytes that may wait for the writer.
const BOUND: usize = 4 << 20;

/// Bytes of memory that are kept when nothing waits.
const KEPT: usize = 128 << 10;

/// How long the end of the process waits for a log that takes nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to the writer; cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct State {
    lines: Vec<u8>,
    writer: Stage,
}

/// What the writer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It waits for a line, and must be woken.
    Resting,
    /// It writes or gathers, and looks again by itself.
    Busy,
    /// It writes what is left.
    Closing,
    /// It has ended.
    Closed,
}

/// Keeps the writer alive: when this is dropped, everything is written that waits.
#[derive(Debug)]
pub struct Guard(Arc<Shared>);

impl Queue {
    /// Starts a thread that writes to this.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(to: impl Write + Send + 'static) -> io::Result<(Self, Guard)> {
        let state = State { lines: Vec::new(), writer: Stage::Busy };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(to))?;
        Ok((Self(Arc::clone(&shared)), Guard(shared)))
    }

    /// Hands over lines, each with its end. Never waits for the log.
    pub fn push(&self, lines: &[u8]) {
        let shared = &*self.0;
        let mut state = shared.state.lock();
        let ended = matches!(state.writer, Stage::Closing | Stage::Closed);
        if ended || state.lines.len().saturating_add(lines.len()) > BOUND {
            drop(state);
            shared.lose(lines);
            return;
        }
        state.lines.extend_from_slice(lines);
        if state.writer == Stage::Resting {
            state.writer = Stage::Busy;
            drop(state);
            shared.changed.notify_all();
        }
    }

    /// How many lines were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

/// Each write is whole lines.
impl Write for Queue {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn write_to(&self, mut to: impl Write) {
        let mut batch = Vec::new();
        loop {
            let last = self.take(&mut batch);
            if to.write_all(&batch).and_then(|()| to.flush()).is_err() {
                self.lose(&batch);
            }
            batch.clear();
            batch.shrink_to(KEPT);
            if last {
                break;
            }
            self.gather();
        }
        self.state.lock().writer = Stage::Closed;
        self.changed.notify_all();
    }

    /// Waits for lines and takes all; whether they are the last.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let mut state = self.state.lock();
        while state.lines.is_empty() && state.writer != Stage::Closing {
            state.writer = Stage::Resting;
            self.changed.wait(&mut state);
        }
        mem::swap(batch, &mut state.lines);
        state.writer == Stage::Closing
    }

    fn gather(&self) {
        let mut state = self.state.lock();
        if state.writer == Stage::Busy {
            self.changed.wait_for(&mut state, GATHERED);
        }
    }

    fn lose(&self, lines: &[u8]) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.writer = Stage::Closing;
        self.0.changed.notify_all();
        let until = std::time::Instant::now() + PATIENCE;
        while state.writer != Stage::Closed
            && !self.0.changed.wait_until(&mut state, until).timed_out()
        {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Tells of every write, and waits for leave to go on where it is asked to.
    struct Told {
        tell: Sender<Vec<u8>>,
        leave: Option<Receiver<()>>,
    }

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.tell.send(bytes.to_vec()).map_err(io::Error::other)?;
            if let Some(leave) = &self.leave {
                leave.recv().map_err(io::Error::other)?;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(leave: Option<Receiver<()>>) -> (Queue, Guard, Receiver<Vec<u8>>) {
        let (tell, told) = channel();
        let (queue, guard) = Queue::start(Told { tell, leave }).unwrap();
        (queue, guard, told)
    }

    #[test]
    fn a_line_that_comes_alone_is_written_without_another_word() {
        let (queue, _guard, told) = told(None);
        for line in ["one\n", "two\n"] {
            queue.push(line.as_bytes());
            assert_eq!(told.recv().unwrap(), line.as_bytes());
        }
    }

    #[test]
    fn at_the_end_every_line_is_written_once_and_each_threads_in_its_order() {
        let (queue, guard, told) = told(None);
        thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let queue = queue.clone();
                scope.spawn(move || {
                    (0..5000).for_each(|number| queue.push(format!("{name} {number}\n").as_bytes()))
                });
            }
        });
        drop(guard);
        let written = String::from_utf8(told.try_iter().flatten().collect()).unwrap();
        for name in ["a", "b", "c", "d"] {
            let own = written
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.trim().parse::<i32>().ok());
            assert!(own.eq(0..5000), "{name}");
        }
        assert_eq!((written.lines().count(), queue.dropped()), (20_000, 0));
    }

    #[test]
    fn what_does_not_fit_is_dropped_whole_and_counted_and_nobody_waits() {
        let (leave, asked) = channel();
        let (queue, guard, told) = told(Some(asked));
        queue.push(b"first\n");
        assert_eq!(told.recv().unwrap(), b"first\n");
        // The writer is held up from here on.
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        (0..BOUND / 1024 + 7).for_each(|_| queue.push(&line));
        assert_eq!(queue.dropped(), 7);
        drop(leave);
        drop(guard);
        // Whoever writes was told that nobody takes it, and counts what was lost so.
        assert_eq!(queue.dropped(), 7 + 1 + (BOUND / 1024) as u64);
    }

    #[test]
    fn what_comes_after_the_end_is_dropped() {
        let (queue, guard, _told) = told(None);
        drop(guard);
        queue.push(b"late\n");
        assert_eq!(queue.dropped(), 1);
    }
}
