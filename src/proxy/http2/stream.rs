//! One request of an HTTP/2 connection, with a clock of its own.
//!
//! The library's own session waits for ever for a client, and knows nothing of how long an upstream may
//! take. So each of its waits is judged by the clock that the phases of the request set, as
//! [`Guarded`](super::super::guarded::Guarded) does it for a connection of HTTP/1.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    protocols::{
        Digest,
        http::{
            HttpTask,
            custom::{CustomMessageWrite, server::Session},
            v2::server::HttpSession,
        },
        l4::socket::SocketAddr,
    },
};

use super::{
    super::{clock::Clock, guarded::Alarm},
    tally::Tally,
};

/// Of a body that nobody wants, so much is read and dropped after the answer: some clients take the
/// reset of a stream that they still send on for the failure of its answer.
const DRAINED: usize = 64 << 10;

/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// One request.
pub(super) struct Stream {
    session: HttpSession,
    clock: Arc<Clock>,
    alarm: Alarm,
    /// Whether the body was read to its end. Trailers behind it are not read.
    whole: bool,
    tally: Arc<Tally>,
}

impl Stream {
    pub fn new(session: HttpSession, clock: Arc<Clock>, tally: Arc<Tally>) -> Self {
        Self { session, clock, alarm: Alarm::default(), whole: false, tally }
    }

    /// Reads a piece of the body, in time.
    async fn read(&mut self) -> Result<Option<Bytes>> {
        let Self { session, clock, alarm, .. } = self;
        let piece = in_time(clock, alarm, session.read_body_bytes()).await?;
        self.whole |= matches!(piece, Ok(None));
        piece
    }

    /// Reads what is left of a small body after the answer.
    async fn drain(&mut self) {
        let until = tokio::time::Instant::now() + DRAIN_TIME;
        let mut left = DRAINED;
        while !self.is_body_done() {
            let piece = tokio::time::timeout_at(until, self.session.read_body_bytes()).await;
            let Ok(Ok(Some(piece))) = piece else { return };
            match left.checked_sub(piece.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    }
}

/// Waits, as long as the clock allows.
async fn in_time<T>(clock: &Clock, alarm: &mut Alarm, wait: impl Future<Output = T>) -> Result<T> {
    let mut wait = pin!(wait);
    std::future::poll_fn(|context| {
        if clock.goes_on(context.waker()).is_err() {
            let error = Error::explain(ErrorType::ReadTimedout, "it was cut");
            return Poll::Ready(Err(error.into_down()));
        }
        if let Poll::Ready(output) = wait.as_mut().poll(context) {
            clock.received(Instant::now);
            return Poll::Ready(Ok(output));
        }
        loop {
            match clock.waiting(Instant::now(), context.waker()) {
                Err(_) => {
                    let error = Error::explain(ErrorType::ReadTimedout, "waited for too long");
                    return Poll::Ready(Err(error.into_down()));
                }
                Ok(until) => std::task::ready!(alarm.poll(context, until)),
            }
        }
    })
    .await
}

/// Waits until the stream is cut; how long a client may take no bytes is judged by the session.
async fn unless_cut<T>(clock: &Clock, wait: impl Future<Output = T>) -> Result<T> {
    let mut wait = pin!(wait);
    std::future::poll_fn(|context| {
        if clock.goes_on(context.waker()).is_err() {
            let error = Error::explain(ErrorType::WriteTimedout, "it was cut");
            return Poll::Ready(Err(error.into_down()));
        }
        wait.as_mut().poll(context).map(Ok)
    })
    .await
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.session.response_written().is_none() {
            self.tally.given_up();
        }
    }
}

#[async_trait]
impl Session for Stream {
    fn req_header(&self) -> &RequestHeader {
        self.session.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.session.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        if self.is_body_done() {
            return Ok(None);
        }
        self.read().await
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.is_body_done() {
            return self.read().await;
        }
        let Self { session, clock, alarm, .. } = self;
        // Only the end of the stream comes now.
        match in_time(clock, alarm, session.idle()).await? {
            Ok(_) => Error::e_explain(ErrorType::ConnectionClosed, "the client gave it up"),
            Err(error) => Error::e_because(ErrorType::ConnectionClosed, "the client left", error),
        }
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.session.drain_request_body().await
    }

    async fn write_response_header(
        &mut self,
        header: Box<ResponseHeader>,
        end: bool,
    ) -> Result<()> {
        self.session.write_response_header(header, end)
    }

    async fn write_response_header_ref(
        &mut self,
        header: &ResponseHeader,
        end: bool,
    ) -> Result<()> {
        self.session.write_response_header_ref(header, end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        let Self { session, clock, .. } = self;
        unless_cut(clock, session.write_body(data, end)).await??;
        self.clock.sent(&[]);
        Ok(())
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.session.write_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let Self { session, clock, .. } = self;
        let end = unless_cut(clock, session.response_duplex_vec(tasks)).await??;
        self.clock.sent(&[]);
        Ok(end)
    }

    fn set_read_timeout(&mut self, _: Option<Duration>) {
        // The clock judges reading.
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.session.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.session.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.session.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.session.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.session.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.session.response_written()
    }

    async fn shutdown(&mut self, _: u32, context: &str) {
        self.abandon(context).await;
    }

    async fn abandon(&mut self, _: &str) {
        // Sends nothing where the answer is complete.
        self.session.shutdown();
        self.drain().await;
    }

    fn is_body_done(&mut self) -> bool {
        self.whole || self.session.is_body_done()
    }

    async fn finish(&mut self) -> Result<()> {
        self.session.finish()?;
        if self.session.response_written().is_some() {
            self.drain().await;
        }
        Ok(())
    }

    fn is_body_empty(&mut self) -> bool {
        self.session.is_body_empty()
    }

    fn body_bytes_sent(&self) -> usize {
        self.session.body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.session.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.session.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.session.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.session.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.session.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.session.pseudo_raw_h1_request_header()
    }

    fn enable_retry_buffering(&mut self) {
        self.session.enable_retry_buffering();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.session.retry_buffer_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.session.get_retry_buffer()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn futures_core::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>>
    {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _: Box<dyn futures_core::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
