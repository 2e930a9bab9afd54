//! A client's connection that ends by itself when its other end, or the upstream it waits for,
//! takes too long.
//!
//! While the gateway waits for an upstream it keeps an eye on the client too, to notice that it
//! went away; so this one stream sees every wait of a request. Who reads from it stops looking when
//! it finds the next request there, so what a client sends ahead is held back until its turn.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
    raw_connect::ProxyDigest,
    tls::{SslDigest, TlsRef},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Sleep,
};

use super::{
    clock::{Clock, Overdue, Phase},
    connection::{Entrance, Line},
    frames,
    request_line::RequestLine,
};

/// How long a client that is still sending is listened to after its answer.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that wait to be sent together: the head of an answer and a short body are one packet.
/// Longer pieces are not copied; what waits goes with them.
const TOGETHER: usize = 4 << 10;

/// Bytes of a next request that are taken from a client before their turn.
const AHEAD: usize = 1 << 10;

/// A connection and its clock.
#[derive(Debug)]
pub(super) struct Guarded {
    stream: Stream,
    /// What waits to be sent.
    held: Vec<u8>,
    line: Line,
    alarm: Alarm,
    /// Until when a client that is still sending is listened to.
    linger_until: Option<Instant>,
    /// What the client sent ahead.
    ahead: Vec<u8>,
    /// The line that the request began with, as it came.
    request_line: RequestLine,
}

impl Guarded {
    pub fn new(stream: Stream, clock: Arc<Clock>, entrance: Entrance) -> Self {
        Self {
            stream,
            held: Vec::new(),
            line: Line { clock, entrance },
            alarm: Alarm::default(),
            linger_until: None,
            ahead: Vec::new(),
            request_line: RequestLine::default(),
        }
    }

    /// Whether the request's line has more parts than method, target and version.
    pub fn has_spaced_target(&self) -> bool {
        self.request_line.is_spaced()
    }

    /// What is known of it.
    pub const fn line(&self) -> &Line {
        &self.line
    }

    /// Reads what the client still sends, for a while. A socket that is closed over unread bytes
    /// resets the connection, and the answer may be lost on its way (RFC 9112, section 9.6).
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let until = *self.linger_until.get_or_insert_with(|| Instant::now() + LINGER);
        let mut bytes = [0; 8 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && Instant::now() < until => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.alarm.poll(context, until),
            }
        }
    }

    /// Looks whether the client is still there, and puts aside what it sends ahead.
    fn look_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < AHEAD {
            let mut bytes = [0; AHEAD];
            let room = AHEAD.saturating_sub(self.ahead.len());
            let mut buffer = ReadBuf::new(bytes.get_mut(..room).unwrap_or_default());
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.ahead.extend_from_slice(buffer.filled());
                }
                // It has sent all it will, not gone away.
                Poll::Ready(Ok(()))
                    if !self.ahead.is_empty() && !self.line.clock.ends_with_client() =>
                {
                    return Poll::Pending;
                }
                pending_or_ended => return pending_or_ended,
            }
        }
        Poll::Pending
    }

    /// Reads, first of all what was put aside.
    fn take(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(self.ahead.drain(..length).as_slice());
        Poll::Ready(Ok(()))
    }

    /// Takes bytes to be sent: short ones wait for more, longer ones go at once, behind those that
    /// wait and in one call.
    fn put(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.held.len().saturating_add(bytes.len()) <= TOGETHER {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        while !self.held.is_empty() {
            let slices = [io::IoSlice::new(&self.held), io::IoSlice::new(bytes)];
            let sent = Pin::new(&mut self.stream).poll_write_vectored(context, &slices);
            if let Some(sent @ 1..) = self.sent(ready!(sent)?)? {
                return Poll::Ready(Ok(sent));
            }
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// Sends what waits.
    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let sent = Pin::new(&mut self.stream).poll_write(context, &self.held);
            self.sent(ready!(sent)?)?;
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// So many bytes were sent, those that waited first; how many of others, if all of those were.
    fn sent(&mut self, bytes: usize) -> io::Result<Option<usize>> {
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let others = bytes.checked_sub(self.held.len());
        self.held.drain(..bytes.min(self.held.len()));
        Ok(others)
    }

    /// Tells the client of a WebSocket that was cut why it ends. A client that takes no bytes now is
    /// told nothing.
    fn take_leave(&mut self, context: &mut Context<'_>) {
        if self.line.clock.takes_leave() {
            self.held.extend_from_slice(&frames::CLOSE);
            self.line.clock.leave_unread();
            let _ = self.send(context);
        }
    }

    /// Nothing goes over a stream that was cut, however busy it is; who waits is woken when it is.
    fn goes_on(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.line.clock.goes_on(context.waker()).map_err(|_| {
            self.take_leave(context);
            io::ErrorKind::TimedOut.into()
        })
    }

    /// Nothing moves: sleeps until that is too long. `moved` is asked again when the alarm goes
    /// off, since the clock may have moved on.
    fn sleep<T>(
        &mut self,
        context: &mut Context<'_>,
        judge: impl Fn(&Clock, Instant, &Waker) -> Result<Instant, Overdue>,
    ) -> Poll<io::Result<T>> {
        loop {
            match judge(&self.line.clock, Instant::now(), context.waker()) {
                Err(_) => {
                    self.take_leave(context);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                Ok(until) => ready!(self.alarm.poll(context, until)),
            }
        }
    }
}

/// A timer that is armed late and re-armed seldom: one that goes off too early is set again, one
/// that would go off too late is moved.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Sleeps until then.
    pub fn poll(&mut self, context: &mut Context<'_>, until: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until.into())));
        if sleep.deadline().into_std() > until || sleep.is_elapsed() {
            sleep.as_mut().reset(until.into());
        }
        sleep.as_mut().poll(context)
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.goes_on(context)?;
        let before = buffer.filled().len();
        let read = if this.line.clock.puts_aside() {
            this.look_ahead(context)
        } else {
            this.take(context, buffer)
        };
        match read {
            Poll::Pending => {
                // Nothing more comes for now, so nothing more joins what waits to be sent.
                if !this.held.is_empty()
                    && let Poll::Ready(Err(error)) = this.send(context)
                {
                    return Poll::Ready(Err(error));
                }
                this.sleep(context, Clock::waiting)
            }
            Poll::Ready(outcome) => {
                let bytes = buffer.filled().get(before..).unwrap_or_default();
                if !bytes.is_empty() {
                    match this.line.clock.received(Instant::now) {
                        Phase::Idle => this.request_line.begin(bytes),
                        Phase::Header => this.request_line.go_on(bytes),
                        Phase::Body | Phase::Place | Phase::Relay | Phase::Response => {}
                    }
                }
                Poll::Ready(outcome)
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.goes_on(context)?;
        match this.put(context, bytes) {
            Poll::Pending => this.sleep(context, Clock::blocked),
            Poll::Ready(outcome) => {
                let taken = *outcome.as_ref().unwrap_or(&0);
                this.line.clock.sent(bytes.get(..taken).unwrap_or_default());
                Poll::Ready(outcome)
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.goes_on(context)?;
        match this.send(context) {
            Poll::Pending => this.sleep(context, Clock::blocked),
            Poll::Ready(outcome) => {
                this.line.clock.sent(&[]);
                Poll::Ready(outcome)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger_until.is_none() {
            ready!(this.send(context))?;
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        if this.line.clock.is_unread() {
            ready!(this.linger(context));
        }
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for Guarded {
    async fn shutdown(&mut self) {
        // However it ends, the connection ends.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

#[async_trait]
impl Peek for Guarded {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.stream.try_peek(buffer).await
    }
}

impl UniqueID for Guarded {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Guarded {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Guarded {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl GetProxyDigest for Guarded {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Guarded {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::{super::clock::Phase, *};

    fn guarded(idle: u64, header: u64) -> (tokio::io::DuplexStream, Guarded, Arc<Clock>) {
        let (client, server) = tokio::io::duplex(16);
        let clock =
            Arc::new(Clock::new(Duration::from_millis(idle), Duration::from_millis(header)));
        (client, Guarded::new(Box::new(server), clock.clone(), Entrance::default()), clock)
    }

    #[tokio::test]
    async fn a_connection_without_a_request_ends_after_the_idle_time() {
        let (_client, mut stream, clock) = guarded(20, 60_000);
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(clock.overdue(), Some(Overdue::Client));
    }

    #[tokio::test]
    async fn a_header_that_began_ends_after_the_header_time() {
        let (mut client, mut stream, _) = guarded(60_000, 20);
        client.write_all(b"G").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'G');
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_long_wait_outlives_an_alarm_that_was_set_for_a_short_one() {
        let (mut client, mut stream, clock) = guarded(30, 30);
        client.write_all(b"G").await.unwrap();
        stream.read_u8().await.unwrap();
        // Arms the alarm for the header.
        let mut byte = [0];
        tokio::select! {
            biased;
            _ = stream.read(&mut byte) => unreachable!("nothing was sent"),
            () = tokio::task::yield_now() => {}
        }
        clock.enter(Phase::Response, Duration::from_secs(60));
        let late = async {
            tokio::time::sleep(Duration::from_millis(60)).await;
            client.write_all(b"x").await.unwrap();
        };
        let (read, ()) = tokio::join!(stream.read(&mut byte), late);
        assert_eq!(read.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_client_that_takes_no_bytes_ends_the_connection() {
        let (_client, mut stream, clock) = guarded(20, 20);
        clock.enter(Phase::Relay, Duration::from_secs(60));
        stream.write_all(&[0; 64]).await.unwrap();
        let error = stream.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(clock.overdue(), Some(Overdue::Client));
    }

    #[tokio::test]
    async fn a_stream_that_was_cut_ends_however_busy_it_is() {
        let (mut client, mut stream, clock) = guarded(60_000, 60_000);
        clock.enter(Phase::Relay, Duration::from_secs(60));
        clock.stream(false);
        client.write_all(b"some bytes").await.unwrap();
        assert!(stream.read_u8().await.is_ok());
        clock.cut(Overdue::Revoked);
        assert_eq!(stream.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(stream.flush().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
