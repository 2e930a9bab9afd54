//! An upstream, or a service that is asked, which behaves as a test says from now on.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::recorder::Received;
use super::{After, Recorder, eventually};

/// How it behaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Mood {
    /// It answers.
    Well,
    /// It answers everything with 503.
    Down,
    /// It answers everything with these bytes, and keeps the connection.
    Says(Vec<u8>),
    /// It answers everything with these bytes, and ends.
    SaysLast(Vec<u8>),
    /// It answers, and sends these bytes behind, which nobody asked for.
    SaysMore(Vec<u8>),
    /// It sends its answer byte by byte, with so much time between them.
    Drips(Duration),
    /// It does not answer until it is in another mood.
    Held,
    /// It resets the connection instead of an answer.
    Resets,
}

/// The service; it stops with the value. What it was asked is the recorder's to tell.
pub struct Peer {
    server: Recorder,
    mood: Arc<Mutex<Mood>>,
}

/// Where it is well it says what the test's closure makes of a request: a status with its phrase, header lines, a body.
pub struct Reply(pub &'static str, pub String, pub String);

impl Reply {
    pub fn bytes(self) -> Vec<u8> {
        let Self(status, lines, body) = self;
        let length = body.len();
        format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {length}\r\n\r\n{body}").into_bytes()
    }
}

impl Peer {
    /// Answers as this says, while it is well.
    pub fn start(reply: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::over(TcpListener::bind("127.0.0.1:0").unwrap(), reply)
    }

    /// The same on a socket that listens already.
    pub fn over(
        listener: TcpListener,
        reply: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let mood = Arc::new(Mutex::new(Mood::Well));
        let own = Arc::clone(&mood);
        let server = Recorder::listening(listener, move |request, stream| {
            eventually("the peer to go on", || (*own.lock().unwrap() != Mood::Held).then_some(()));
            let mood = own.lock().unwrap().clone();
            let done = match mood {
                Mood::Well | Mood::Held => stream.write_all(&reply(request).bytes()),
                Mood::Down => {
                    let down = Reply("503 Service Unavailable", String::new(), String::new());
                    stream.write_all(&down.bytes())
                }
                Mood::Says(bytes) => stream.write_all(&bytes),
                Mood::SaysLast(bytes) => {
                    let _ = stream.write_all(&bytes);
                    return After::Close;
                }
                Mood::SaysMore(more) => stream.write_all(&[reply(request).bytes(), more].concat()),
                Mood::Drips(pause) => drip(stream, &reply(request).bytes(), pause),
                Mood::Resets => {
                    reset(stream);
                    return After::Close;
                }
            };
            if done.is_ok() { After::KeepOpen } else { After::Close }
        });
        Self { server, mood }
    }

    /// Answers everything with the request's target, so that whose answer it is can be told.
    pub fn echoing() -> Self {
        Self::start(Self::echo)
    }

    /// What [`Self::echoing`] answers.
    pub fn echo(request: &Received) -> Reply {
        Reply("200 OK", String::new(), format!("{}\n", request.target()))
    }

    /// From now on it behaves so.
    pub fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

impl Deref for Peer {
    type Target = Recorder;

    fn deref(&self) -> &Recorder {
        &self.server
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.is(Mood::Well);
    }
}

fn drip(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte])?;
        thread::sleep(pause);
    }
    Ok(())
}

/// Ends a connection with a reset, as a host does that knows nothing of it.
fn reset(stream: &TcpStream) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _entered = runtime.enter();
    let stream = stream.try_clone().unwrap();
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::TcpStream::from_std(stream).unwrap();
    stream.set_zero_linger().unwrap();
}
