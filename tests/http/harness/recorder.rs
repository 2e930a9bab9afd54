//! An upstream that keeps every byte it was sent, and so can say that it was not asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use super::{PATIENCE, eventually};

/// One request as it stood on the wire.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request line and the header lines, to and with the empty line.
    pub head: Vec<u8>,
    /// The body with any chunk framing still in it.
    pub body: Vec<u8>,
}

impl Received {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.head).unwrap()
    }

    /// The request target, as it came.
    pub fn target(&self) -> &str {
        self.text().split(' ').nth(1).unwrap()
    }

    /// Every header line as name and value, in order and spelled as they came.
    pub fn lines(&self) -> Vec<(&str, &str)> {
        self.text()
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
            .collect()
    }

    /// All values of a header, whatever its letter case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.lines().into_iter();
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The value of a header that came exactly once.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }
}

/// What becomes of the connection once a request has been answered.
pub enum After {
    /// The next request may come.
    KeepOpen,
    Close,
}

type Script = dyn Fn(&Received, &mut TcpStream) -> After + Send + Sync;

/// The upstream; it stops with the value.
pub struct Recorder {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Box<Script>,
    received: Mutex<Vec<Received>>,
    contacts: AtomicUsize,
    stopped: AtomicBool,
}

impl Recorder {
    /// Answers everything with `200` and `ok`.
    pub fn start() -> Self {
        Self::answering(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok",
        )
    }

    /// Answers everything with these bytes.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::scripted(move |_, stream| match stream.write_all(&answer) {
            Ok(()) => After::KeepOpen,
            Err(_) => After::Close,
        })
    }

    /// Answers everything at this address with these words.
    pub fn at(address: SocketAddr, word: &'static str) -> Self {
        let length = word.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{word}");
        let script =
            move |_: &Received, stream: &mut TcpStream| match stream.write_all(answer.as_bytes()) {
                Ok(()) => After::KeepOpen,
                Err(_) => After::Close,
            };
        Self::listening(TcpListener::bind(address).unwrap(), script)
    }

    /// Lets `script` answer on the socket itself, once a request has been read whole.
    pub fn scripted(
        script: impl Fn(&Received, &mut TcpStream) -> After + Send + Sync + 'static,
    ) -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// An upstream whose answers to `/held` wait for a word on the channel.
    pub fn holding() -> (Self, mpsc::Sender<()>) {
        let (sender, receiver) = mpsc::channel();
        let receiver = Mutex::new(receiver);
        let upstream = Self::scripted(move |request, stream| {
            if request.target() == "/held" {
                let _ = receiver.lock().unwrap().recv_timeout(PATIENCE);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            After::KeepOpen
        });
        (upstream, sender)
    }

    /// Lets `script` answer on a socket that listens already.
    pub fn listening(
        listener: TcpListener,
        script: impl Fn(&Received, &mut TcpStream) -> After + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            script: Box::new(script),
            received: Mutex::default(),
            contacts: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                shared.contacts.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.serve(stream.unwrap()));
            }
        });
        Self { address, state }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// How many requests so far.
    pub fn count(&self) -> usize {
        self.state.received.lock().unwrap().len()
    }

    /// The latest request.
    pub fn last(&self) -> Received {
        self.received().pop().expect("the upstream was not asked")
    }

    /// Waits until so many requests have come.
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually("a request to the upstream", || {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
    }

    /// How often somebody connected, whether or not a request followed.
    pub fn contacts(&self) -> usize {
        self.state.contacts.load(Ordering::SeqCst)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let mut waiting = Vec::new();
        while let Some(head) = read_until(&mut stream, &mut waiting, b"\r\n\r\n") {
            let mut request = Received { head, body: Vec::new() };
            let has = |name: &str, value: &str| {
                request.all(name).iter().any(|found| found.eq_ignore_ascii_case(value))
            };
            if has("expect", "100-continue") {
                let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            let chunked = has("transfer-encoding", "chunked");
            let length =
                request.header("content-length").map_or(0, |length| length.parse().unwrap());
            let body = if chunked {
                read_chunks(&mut stream, &mut waiting)
            } else {
                read_exactly(&mut stream, &mut waiting, length)
            };
            let Some(body) = body else { return };
            request.body = body;
            self.received.lock().unwrap().push(request.clone());
            if let After::Close = (self.script)(&request, &mut stream) {
                return;
            }
        }
    }
}

fn fill(stream: &mut TcpStream, waiting: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 * 1024];
    let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
    waiting.extend_from_slice(&buffer[..length]);
    Some(())
}

fn read_exactly(stream: &mut TcpStream, waiting: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while waiting.len() < length {
        fill(stream, waiting)?;
    }
    let rest = waiting.split_off(length);
    Some(std::mem::replace(waiting, rest))
}

fn read_until(stream: &mut TcpStream, waiting: &mut Vec<u8>, mark: &[u8]) -> Option<Vec<u8>> {
    loop {
        let found = waiting.windows(mark.len()).position(|window| window == mark);
        if let Some(at) = found {
            return read_exactly(stream, waiting, at + mark.len());
        }
        fill(stream, waiting)?;
    }
}

fn read_chunks(stream: &mut TcpStream, waiting: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_until(stream, waiting, b"\r\n")?;
        let size = std::str::from_utf8(&line).ok()?.trim().split(';').next()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        body.extend(line);
        if size == 0 {
            loop {
                let trailer = read_until(stream, waiting, b"\r\n")?;
                body.extend_from_slice(&trailer);
                if trailer == b"\r\n" {
                    return Some(body);
                }
            }
        }
        body.extend(read_exactly(stream, waiting, size + 2)?);
    }
}
