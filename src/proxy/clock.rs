//! How long a connection may wait for its other end, phase by phase.
//!
//! One clock a connection, read by the stream that wraps it ([`super::guarded`]) and set by the
//! phases of a request. It holds no timer: the stream arms one only while it waits, and lets an
//! earlier one run on, so that a busy connection never touches the timer wheel.

use std::{
    future::Future,
    pin::pin,
    sync::OnceLock,
    task::{Poll, Waker, ready},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{frames::Frames, guarded::Alarm};

/// How long after its cut a stream may go on that does not notice, because it waits for the upstream to
/// take bytes.
const LAST_RESORT: Duration = Duration::from_millis(500);

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The next request, not a byte of which is there.
    Idle,
    /// The rest of a header.
    Header,
    /// The request's body.
    Body,
    /// A place at the upstream. What the client sends meanwhile is put aside.
    Place,
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
    /// Nobody, but the credential that opened the stream has ended.
    Expired,
    /// Nobody, but the credential that opened the stream was taken back.
    Revoked,
}

/// How long a client let the gateway wait for the body of its request, which is not there to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dawdling {
    /// In all.
    pub whole: Duration,
    /// Since its last bytes.
    pub silence: Duration,
}

/// The clock of a connection.
#[derive(Debug)]
pub(super) struct Clock {
    state: Mutex<State>,
    /// When the stream that the connection carried was cut; nothing comes after it.
    cut: OnceLock<Instant>,
}

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
    /// For how long it was waited within the phase until something moved.
    waited: Duration,
    /// Since when the client takes no bytes.
    blocked_since: Option<Instant>,
    overdue: Option<Overdue>,
    /// Whether the client is still sending what nobody reads.
    unread: bool,
    /// Whether all of the request is there, so that what comes now is of the next.
    whole: bool,
    /// What the connection carries, if that may be cut.
    stream: Option<Streaming>,
}

/// A stream that may be cut.
#[derive(Debug, Default)]
struct Streaming {
    /// Whom to wake when it is.
    waiting: Option<Waker>,
    /// How far it has come, where it is a WebSocket.
    frames: Option<Frames>,
    /// Why it was.
    cut: Option<Overdue>,
}

impl Clock {
    /// For a connection on which nothing has been received.
    pub fn new(idle: Duration, header: Duration) -> Self {
        let state = Mutex::new(State {
            phase: Phase::Idle,
            limit: idle,
            header_limit: header,
            write_limit: idle,
            since: None,
            waited: Duration::ZERO,
            blocked_since: None,
            overdue: None,
            unread: false,
            whole: false,
            stream: None,
        });
        Self { state, cut: OnceLock::new() }
    }

    /// Waits for the next request.
    pub fn rest(&self, idle: Duration, header: Duration) {
        let mut state = self.state.lock();
        state.unread = false;
        state.whole = false;
        state.stream = None;
        state.header_limit = header;
        state.write_limit = idle;
        state.enter(Phase::Idle, idle);
    }

    /// Waits for something else from now on.
    pub fn enter(&self, phase: Phase, limit: Duration) {
        self.state.lock().enter(phase, limit);
    }

    /// The other side of the gateway gave a sign of life.
    pub fn touch(&self) {
        self.state.lock().since = None;
    }

    /// The request is there to its end; or its connection is no longer one of requests.
    pub fn whole(&self, whole: bool) {
        self.state.lock().whole = whole;
    }

    /// Whether what the client sends now is put aside: it is of its next request, or what it is for
    /// is not known yet.
    pub(super) fn puts_aside(&self) -> bool {
        let state = self.state.lock();
        state.whole || state.phase == Phase::Place
    }

    /// Whether a client that sends no more has gone away, even if something of it was put aside.
    pub(super) fn ends_with_client(&self) -> bool {
        self.state.lock().phase == Phase::Place
    }

    /// How long the client has let the gateway wait for a body that is not there to its end.
    pub fn dawdling(&self, now: Instant) -> Dawdling {
        let state = self.state.lock();
        if state.whole || state.phase != Phase::Body {
            return Dawdling::default();
        }
        let silence =
            state.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        Dawdling { whole: state.waited + silence, silence }
    }

    /// A stream begins, which may be cut; a WebSocket, or one of events.
    pub fn stream(&self, websocket: bool) {
        let frames = websocket.then(Frames::new);
        self.state.lock().stream = Some(Streaming { frames, ..Streaming::default() });
    }

    /// Cuts the stream that the connection carries, wherever it waits.
    pub fn cut(&self, why: Overdue) {
        let mut state = self.state.lock();
        let Some(stream) = &mut state.stream else { return };
        stream.cut = Some(why);
        let waiting = stream.waiting.take();
        state.overdue = Some(why);
        drop(state);
        self.cut.get_or_init(Instant::now);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Whether the stream was cut where the client can be told, which it then is, once.
    pub(super) fn takes_leave(&self) -> bool {
        let mut state = self.state.lock();
        let stream = state.stream.as_mut().filter(|stream| stream.cut.is_some());
        stream.and_then(|stream| stream.frames.take()).is_some_and(|frames| frames.is_between())
    }

    /// The connection ends although the client is still sending.
    pub fn leave_unread(&self) {
        self.state.lock().unread = true;
    }

    /// Whether the client is still sending what nobody reads.
    pub(super) fn is_unread(&self) -> bool {
        self.state.lock().unread
    }

    /// What took too long, if something did.
    pub fn overdue(&self) -> Option<Overdue> {
        self.state.lock().overdue
    }

    /// Bytes came from the client; in which phase.
    pub(super) fn received(&self, now: impl FnOnce() -> Instant) -> Phase {
        let mut state = self.state.lock();
        let phase = state.phase;
        match phase {
            Phase::Idle => {
                let limit = state.header_limit;
                state.enter(Phase::Header, limit);
                state.since = Some(now());
            }
            Phase::Header => {}
            Phase::Body | Phase::Place | Phase::Relay | Phase::Response => {
                if let Some(since) = state.since.take() {
                    state.waited += now().saturating_duration_since(since);
                }
            }
        }
        phase
    }

    /// Bytes went to the client, or are about to.
    pub(super) fn sent(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        if let Some(frames) = state.stream.as_mut().and_then(|stream| stream.frames.as_mut()) {
            frames.pass(bytes);
        }
        state.blocked_since = None;
        if state.phase == Phase::Relay {
            state.since = None;
        }
    }

    /// Nothing is there to be read: until when that may last.
    ///
    /// # Errors
    /// It has lasted too long.
    pub(super) fn waiting(&self, now: Instant, waker: &Waker) -> Result<Instant, Overdue> {
        let mut state = self.state.lock();
        state.wake_if_cut(waker)?;
        let until = *state.since.get_or_insert(now) + state.limit;
        let whose = match state.phase {
            Phase::Body | Phase::Header | Phase::Idle => Overdue::Client,
            Phase::Place | Phase::Relay | Phase::Response => Overdue::Upstream,
        };
        state.judge(now, until, whose)
    }

    /// Serves a request to its end. One whose stream was cut notices where it reads or writes next; if
    /// it does neither, it is given up.
    pub async fn to_the_end<T>(&self, serving: impl Future<Output = Option<T>>) -> Option<T> {
        let (mut serving, mut alarm) = (pin!(serving), Alarm::default());
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = serving.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            let Some(cut) = self.cut.get() else { return Poll::Pending };
            ready!(alarm.poll(context, *cut + LAST_RESORT));
            tracing::info!(
                event = "stream_given_up",
                "a stream that was cut waited for its upstream to take bytes"
            );
            Poll::Ready(None)
        })
        .await
    }

    /// What is sent from here on is the end of the stream that was cut.
    pub fn last_words(&self) {
        self.state.lock().stream = None;
    }

    /// Whether the stream goes on, whatever it does next.
    ///
    /// # Errors
    /// It was cut.
    pub(super) fn goes_on(&self, waker: &Waker) -> Result<(), Overdue> {
        self.state.lock().wake_if_cut(waker)
    }

    /// The client takes no bytes: until when that may last.
    ///
    /// # Errors
    /// It has lasted too long.
    pub(super) fn blocked(&self, now: Instant, waker: &Waker) -> Result<Instant, Overdue> {
        let mut state = self.state.lock();
        state.wake_if_cut(waker)?;
        let until = *state.blocked_since.get_or_insert(now) + state.write_limit;
        state.judge(now, until, Overdue::Client)
    }
}

impl State {
    fn enter(&mut self, phase: Phase, limit: Duration) {
        self.phase = phase;
        self.limit = limit;
        self.since = None;
        self.waited = Duration::ZERO;
    }

    /// Who waits is woken when the stream is cut.
    fn wake_if_cut(&mut self, waker: &Waker) -> Result<(), Overdue> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if let Some(why) = stream.cut {
            return Err(why);
        }
        if !stream.waiting.as_ref().is_some_and(|known| known.will_wake(waker)) {
            stream.waiting = Some(waker.clone());
        }
        Ok(())
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
        assert_eq!(clock.waiting(start, Waker::noop()), Ok(after(start, 60)));
        clock.received(|| after(start, 50));
        for drip in 51..60 {
            assert_eq!(clock.waiting(after(start, drip), Waker::noop()), Ok(after(start, 60)));
            clock.received(|| after(start, drip));
        }
        assert_eq!(clock.waiting(after(start, 60), Waker::noop()), Err(Overdue::Client));
        assert_eq!(clock.overdue(), Some(Overdue::Client));
    }

    #[test]
    fn a_body_may_last_as_long_as_it_keeps_coming() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        clock.enter(Phase::Body, IDLE);
        assert!(clock.waiting(start, Waker::noop()).is_ok());
        clock.received(|| after(start, 59));
        assert!(clock.waiting(after(start, 100), Waker::noop()).is_ok());
        assert_eq!(clock.waiting(after(start, 160), Waker::noop()), Err(Overdue::Client));
    }

    #[test]
    fn a_client_dawdles_for_as_long_as_its_body_is_waited_for() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        let dawdling = |whole, silence| Dawdling {
            whole: Duration::from_secs(whole),
            silence: Duration::from_secs(silence),
        };
        clock.enter(Phase::Body, IDLE);
        assert_eq!(clock.dawdling(start), dawdling(0, 0), "nobody has waited yet");
        assert!(clock.waiting(start, Waker::noop()).is_ok());
        clock.received(|| after(start, 5));
        assert_eq!(clock.dawdling(after(start, 9)), dawdling(5, 0), "the upstream is waited for");
        assert!(clock.waiting(after(start, 10), Waker::noop()).is_ok());
        assert_eq!(clock.dawdling(after(start, 12)), dawdling(7, 2));
        clock.whole(true);
        assert_eq!(clock.dawdling(after(start, 12)), dawdling(0, 0));
    }

    #[test]
    fn a_relay_is_kept_alive_by_either_side() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        clock.enter(Phase::Relay, IDLE);
        assert!(clock.waiting(start, Waker::noop()).is_ok());
        clock.touch();
        assert!(clock.waiting(after(start, 70), Waker::noop()).is_ok());
        clock.sent(b"x");
        assert!(clock.waiting(after(start, 140), Waker::noop()).is_ok());
        assert_eq!(clock.waiting(after(start, 200), Waker::noop()), Err(Overdue::Upstream));
    }

    #[test]
    fn bytes_of_the_client_do_not_prolong_the_wait_for_a_header_that_began() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        clock.received(|| start);
        clock.enter(Phase::Response, HEADER);
        assert!(clock.waiting(start, Waker::noop()).is_ok());
        assert_eq!(clock.waiting(after(start, 10), Waker::noop()), Err(Overdue::Upstream));
    }

    #[test]
    fn a_client_that_takes_no_bytes_is_overdue() {
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        clock.enter(Phase::Relay, IDLE);
        assert!(clock.blocked(start, Waker::noop()).is_ok());
        clock.sent(b"x");
        assert!(clock.blocked(after(start, 100), Waker::noop()).is_ok());
        assert_eq!(clock.blocked(after(start, 160), Waker::noop()), Err(Overdue::Client));
    }

    #[test]
    fn whoever_waits_on_a_stream_is_woken_when_it_is_cut() {
        struct Woken(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Woken {
            fn wake(self: std::sync::Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let woken = std::sync::Arc::new(Woken(false.into()));
        let clock = Clock::new(IDLE, HEADER);
        let start = Instant::now();
        clock.cut(Overdue::Revoked);
        assert!(clock.waiting(start, Waker::noop()).is_ok(), "no stream, nothing to cut");
        clock.stream(false);
        assert!(clock.waiting(start, &woken.clone().into()).is_ok());
        clock.cut(Overdue::Revoked);
        assert!(woken.0.load(std::sync::atomic::Ordering::Relaxed));
        assert_eq!(clock.waiting(start, Waker::noop()), Err(Overdue::Revoked));
        assert_eq!(clock.overdue(), Some(Overdue::Revoked));
    }

    #[tokio::test]
    async fn what_does_not_notice_that_it_was_cut_is_given_up() {
        let clock = Clock::new(IDLE, HEADER);
        clock.stream(false);
        let cut = async {
            clock.cut(Overdue::Revoked);
            std::future::pending::<Option<()>>().await
        };
        assert_eq!(clock.to_the_end(cut).await, None);
        assert_eq!(clock.to_the_end(async { Some(1) }).await, Some(1), "what ends is not given up");
    }
}
