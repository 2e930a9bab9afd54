//! How long a connection may wait for its other end, phase by phase.
//!
//! One clock a connection, read by the stream that wraps it ([`super::guarded`]) and set by the
//! phases of a request. It holds no timer: the stream arms one only while it waits, and lets an
//! earlier one run on, so that a busy connection never touches the timer wheel.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The next request, not a byte of which is there.
    Idle,
    /// The rest of a header.
    Header,
    /// The request's body.
    Body,
    /// The head of the upstream's response.
    Response,
    /// The rest of the upstream's response.
    Relay,
}

/// A wait that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The client did not send or take bytes.
    Client,
    /// The upstream did not answer or went silent.
    Upstream,
}

/// The clock of a connection.
#[derive(Debug)]
pub(super) struct Clock(Mutex<State>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// How long the phase may last without a sign of life; for [`Phase::Header`] in all.
    limit: Duration,
    /// How long the header of the next request may take.
    header_limit: Duration,
    /// How long the client may refuse to take bytes.
    write_limit: Duration,
    /// Since when nothing has moved.
    since: Option<Instant>,
    /// Since when the client takes no bytes.
    blocked_since: Option<Instant>,
    overdue: Option<Overdue>,
    /// Whether the client is still sending what nobody reads.
    unread: bool,
    /// Whether all of the request is there, so that what comes now is of the next.
    whole: bool,
}

impl Clock {
    /// For a connection on which nothing has been received.
    pub fn new(idle: Duration, header: Duration) -> Self {
        Self(Mutex::new(State {
            phase: Phase::Idle,
            limit: idle,
            header_limit: header,
            write_limit: idle,
            since: None,
            blocked_since: None,
            overdue: None,
            unread: false,
            whole: false,
        }))
    }

    /// Waits for the next request.
    pub fn rest(&self, idle: Duration, header: Duration) {
        let mut state = self.0.lock();
        state.unread = false;
        state.whole = false;
        state.header_limit = header;
        state.write_limit = idle;
        state.enter(Phase::Idle, idle);
    }

    /// Waits for something else from now on.
    pub fn enter(&self, phase: Phase, limit: Duration) {
        self.0.lock().enter(phase, limit);
    }

    /// The other side of the gateway gave a sign of life.
    pub fn touch(&self) {
        self.0.lock().since = None;
    }

    /// The request is there to its end; or its connection is no longer one of requests.
    pub fn whole(&self, whole: bool) {
        self.0.lock().whole = whole;
    }

    /// Whether what the client sends now is of its next request.
    pub(super) fn is_whole(&self) -> bool {
        self.0.lock().whole
    }

    /// The connection ends although the client is still sending.
    pub fn leave_unread(&self) {
        self.0.lock().unread = true;
    }

    /// Whether the client is still sending what nobody reads.
    pub(super) fn is_unread(&self) -> bool {
        self.0.lock().unread
    }

    /// What took too long, if something did.
    pub fn overdue(&self) -> Option<Overdue> {
        self.0.lock().overdue
    }

    /// Bytes came from the client; in which phase.
    pub(super) fn received(&self, now: impl FnOnce() -> Instant) -> Phase {
        let mut state = self.0.lock();
        let phase = state.phase;
        match phase {
            Phase::Idle => {
                let limit = state.header_limit;
                state.enter(Phase::Header, limit);
                state.since = Some(now());
            }
            Phase::Header => {}
            Phase::Body | Phase::Relay | Phase::Response => state.since = None,
        }
        phase
    }

    /// Bytes went to the client.
    pub(super) fn sent(&self) {
        let mut state = self.0.lock();
        state.blocked_since = None;
        if state.phase == Phase::Relay {
            state.since = None;
        }
    }

    /// Nothing is there to be read: until when that may last.
    ///
    /// # Errors
    /// It has lasted too long.
    pub(super) fn waiting(&self, now: Instant) -> Result<Instant, Overdue> {
        let mut state = self.0.lock();
        let until = *state.since.get_or_insert(now) + state.limit;
        let whose = match state.phase {
            Phase::Body | Phase::Header | Phase::Idle => Overdue::Client,
            Phase::Relay | Phase::Response => Overdue::Upstream,
        };
        state.judge(now, until, whose)
    }

    /// The client takes no bytes: until when that may last.
    ///
    /// # Errors
    /// It has lasted too long.
    pub(super) fn blocked(&self, now: Instant) -> Result<Instant, Overdue> {
        let mut state = self.0.lock();
        let until = *state.blocked_since.get_or_insert(now) + state.write_limit;
        state.judge(now, until, Overdue::Client)
    }
}

impl State {
    fn enter(&mut self, phase: Phase, limit: Duration) {
        self.phase = phase;
        self.limit = limit;
        self.since = None;
    }

    fn judge(&mut self, now: Instant, until: Instant, whose: Overdue) -> Result<Instant, Overdue> {
        if now < until {
            return Ok(until);
        }
        self.overdue = Some(whose);
        Err(whose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);
    const HEADER: Duration = Duration::from_secs(10);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_header_has_its_time_from_its_first_byte_however_it_drips() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        assert_eq!(clock.waiting(start), Ok(after(start, 60)));
        clock.received(|| after(start, 50));
        for drip in 51..60 {
            assert_eq!(clock.waiting(after(start, drip)), Ok(after(start, 60)));
            clock.received(|| after(start, drip));
        }
        assert_eq!(clock.waiting(after(start, 60)), Err(Overdue::Client));
        assert_eq!(clock.overdue(), Some(Overdue::Client));
    }

    #[test]
    fn a_body_may_last_as_long_as_it_keeps_coming() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        clock.enter(Phase::Body, IDLE);
        assert!(clock.waiting(start).is_ok());
        clock.received(|| after(start, 59));
        assert!(clock.waiting(after(start, 100)).is_ok());
        assert_eq!(clock.waiting(after(start, 160)), Err(Overdue::Client));
    }

    #[test]
    fn a_relay_is_kept_alive_by_either_side() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        clock.enter(Phase::Relay, IDLE);
        assert!(clock.waiting(start).is_ok());
        clock.touch();
        assert!(clock.waiting(after(start, 70)).is_ok());
        clock.sent();
        assert!(clock.waiting(after(start, 140)).is_ok());
        assert_eq!(clock.waiting(after(start, 200)), Err(Overdue::Upstream));
    }

    #[test]
    fn bytes_of_the_client_do_not_prolong_the_wait_for_a_header_that_began() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        clock.received(|| start);
        clock.enter(Phase::Response, HEADER);
        assert!(clock.waiting(start).is_ok());
        assert_eq!(clock.waiting(after(start, 10)), Err(Overdue::Upstream));
    }

    #[test]
    fn a_client_that_takes_no_bytes_is_overdue() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        clock.enter(Phase::Relay, IDLE);
        assert!(clock.blocked(start).is_ok());
        clock.sent();
        assert!(clock.blocked(after(start, 100)).is_ok());
        assert_eq!(clock.blocked(after(start, 160)), Err(Overdue::Client));
    }
}
