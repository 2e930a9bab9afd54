//! Connections for the handshakes of WebSockets: what was written is dealt with before anything is
//! read.
//!
//! Once a request's head is sent, the library beneath waits at once for the upstream's answer and
//! for word that the request has no body. Both may be there. If it takes the answer first and that
//! is a 101, it takes the end of the body, which comes after it, for the end of the WebSocket. So
//! the first reads after a write have nothing yet, which costs a turn of the task each, and the
//! word about the body comes first.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use async_trait::async_trait;
use pingora::{
    Error, ErrorType, Result,
    connectors::L4Connect,
    protocols::l4::{
        socket::SocketAddr,
        stream::Stream,
        virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::clock::Clock;

/// Turns that a read waits after a write: a turn may end early, but not so many in a row.
const TURNS: u8 = 4;

/// Connects to such upstreams.
#[derive(Debug)]
pub(super) struct Patience(pub Option<Arc<Clock>>);

#[async_trait]
impl L4Connect for Patience {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let Some(address) = address.as_inet() else {
            return Error::e_explain(ErrorType::SocketError, "not an address of the internet");
        };
        let stream = TcpStream::connect(address).await.map_err(|error| {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    ErrorType::ConnectNoRoute
                }
                io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
                _ => ErrorType::ConnectError,
            };
            Error::because(kind, "connecting for a WebSocket", error)
        })?;
        let socket: Box<dyn VirtualSocket> = Box::new(Patient::new(stream, self.0.clone()));
        Ok(VirtualSocketStream::new(socket).into())
    }
}

/// A connection whose reads wait their turn.
#[derive(Debug)]
struct Patient<S> {
    stream: S,
    /// Turns that the next reads still wait.
    turns: u8,
    /// The client's. A stream that was cut ends here too, where the upstream takes no more of it.
    clock: Option<Arc<Clock>>,
}

impl<S> Patient<S> {
    const fn new(stream: S, clock: Option<Arc<Clock>>) -> Self {
        Self { stream, turns: TURNS, clock }
    }

    fn goes_on(&self, context: &Context<'_>) -> io::Result<()> {
        let cut = self.clock.as_ref().and_then(|clock| clock.goes_on(context.waker()).err());
        cut.map_or(Ok(()), |_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl VirtualSocket for Patient<TcpStream> {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match option {
            VirtualSockOpt::NoDelay => self.stream.set_nodelay(true),
            // A WebSocket that falls silent is ended by the connection's clock.
            _ => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(left) = this.turns.checked_sub(1) {
            this.turns = left;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.goes_on(context)?;
        this.turns = TURNS;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.goes_on(context)?;
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_was_written_is_dealt_with_before_the_answer_is_read() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Patient::new(near, None);
        near.write_all(b"hello").await.unwrap();
        far.write_all(b"answer").await.unwrap();
        let (say, mut said) = tokio::sync::mpsc::channel(1);
        say.send(()).await.unwrap();
        let mut answer = [0; 6];
        tokio::select! {
            biased;
            _ = near.read_exact(&mut answer) => panic!("the answer came first"),
            _ = said.recv() => {}
        }
        near.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
    }
}
