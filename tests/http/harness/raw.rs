//! The other client: sends the bytes it is given, and reads what comes back byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Answer, PATIENCE, tls::Secure};

/// What bytes go through.
enum Wire {
    Clear(TcpStream),
    Secure(Secure),
}

impl Wire {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(socket) => socket,
            Self::Secure(secure) => secure.socket(),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Clear(socket) => socket.write_all(bytes),
            Self::Secure(secure) => secure.write_all(bytes).and_then(|()| secure.flush()),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.read(buffer),
            Self::Secure(secure) => secure.read(buffer),
        }
    }
}

/// One connection.
pub struct Raw {
    stream: Wire,
    /// Read from the socket, not yet taken.
    waiting: Vec<u8>,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        Self::over(stream)
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: Wire::Clear(stream), waiting: Vec::new() }
    }

    pub fn secure(secure: Secure) -> Self {
        Self { stream: Wire::Secure(secure), waiting: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Sends what the other side may refuse to take: it may have answered and closed already.
    pub fn offer(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Does not wait long for the other side to take what it is offered.
    pub fn give_up_soon(&mut self) {
        let soon = std::time::Duration::from_millis(500);
        self.stream.socket().set_write_timeout(Some(soon)).unwrap();
    }

    /// The same connection once more, to send while the answer is waited for.
    pub fn other(&self) -> Self {
        Self::over(self.stream.socket().try_clone().unwrap())
    }

    /// Everything that was to be sent has been.
    pub fn finish(&mut self) -> &mut Self {
        let _ = self.stream.socket().shutdown(std::net::Shutdown::Write);
        self
    }

    /// The next answer with its body; a request that is answered without one (`HEAD`) reads its head only.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        match self.try_answer() {
            Ok(answer) => answer,
            Err(_) => panic!("closed before the end of an answer: {:?}", lossy(&self.waiting)),
        }
    }

    /// The same; if the other side closes before its end, whether its head was there.
    pub fn try_answer(&mut self) -> Result<Answer, bool> {
        let mut answer = self.try_head().ok_or(false)?;
        let is = |name: &str, value: &str| {
            answer.header(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
        };
        let empty = matches!(answer.status, 100..=199 | 204 | 304);
        let body = if empty {
            Some(Vec::new())
        } else if is("transfer-encoding", "chunked") {
            self.chunked()
        } else if let Some(length) = answer.header("content-length") {
            self.try_exactly(length.parse().unwrap())
        } else {
            Some(self.rest())
        };
        match body {
            Some(body) => {
                answer.body = body;
                Ok(answer)
            }
            None => Err(true),
        }
    }

    /// The next status line and headers, without a body.
    pub fn head(&mut self) -> Answer {
        let head = self.try_head();
        head.unwrap_or_else(|| panic!("closed before a head: {:?}", lossy(&self.waiting)))
    }

    fn try_head(&mut self) -> Option<Answer> {
        let head = self.try_until(b"\r\n\r\n")?;
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
        }
        Some(Answer { status, headers, body: Vec::new() })
    }

    /// Everything up to and including `mark`.
    #[track_caller]
    pub fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        let found = self.try_until(mark);
        found.unwrap_or_else(|| {
            panic!("closed before {:?}: {:?}", lossy(mark), lossy(&self.waiting))
        })
    }

    fn try_until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.waiting.windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                return Some(self.take(at + mark.len()));
            }
            self.fill().then_some(())?;
        }
    }

    /// So many bytes; none if the other side closes before.
    pub fn try_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.waiting.len() < length {
            self.fill().then_some(())?;
        }
        Some(self.take(length))
    }

    /// Everything until the other side closes.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.waiting)
    }

    /// One chunk of a chunked body; empty is the last.
    #[track_caller]
    pub fn chunk(&mut self) -> Vec<u8> {
        let chunk = self.try_chunk();
        chunk.unwrap_or_else(|| panic!("closed within a chunk: {:?}", lossy(&self.waiting)))
    }

    fn try_chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.try_until(b"\r\n")?;
        let size = std::str::from_utf8(&line).unwrap().trim().split(';').next().unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            while self.try_until(b"\r\n")?.len() > 2 {}
            return Some(Vec::new());
        }
        let chunk = self.try_exactly(size)?;
        assert_eq!(self.try_exactly(2)?, b"\r\n");
        Some(chunk)
    }

    /// Fails unless the other side closes and has nothing more to say.
    #[track_caller]
    pub fn closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "expected the end, not {:?}", lossy(&rest));
    }

    /// Whether the other side has answered or closed; does not wait.
    pub fn has_ended(&mut self) -> bool {
        self.stream.socket().set_nonblocking(true).unwrap();
        let ended = match self.stream.socket().peek(&mut [0]) {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        self.stream.socket().set_nonblocking(false).unwrap();
        ended
    }

    fn chunked(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.try_chunk()?;
            if chunk.is_empty() {
                return Some(body);
            }
            body.extend(chunk);
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.waiting.split_off(length);
        std::mem::replace(&mut self.waiting, rest)
    }

    /// Reads once; false at the end. A reset is an end as well: that is how a refused body is cut off. So is an alert of
    /// TLS: that is how a client's certificate is refused.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.waiting.extend_from_slice(&buffer[..length]);
                true
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset
                        | ErrorKind::BrokenPipe
                        | ErrorKind::UnexpectedEof
                        | ErrorKind::InvalidData
                ) =>
            {
                false
            }
            Err(error) => panic!("{error} after {:?}", lossy(&self.waiting)),
        }
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
