//! Listening sockets handed from a running process to the one that takes its place.
//!
//! The successor waits at a socket of the file system; the process that is told to (SIGQUIT) connects
//! to it, sends its listening sockets, and goes on serving until the successor says that it serves
//! too. No connection is refused in between: both accept from the same sockets for a moment. If
//! anything fails, the old process serves on as if nothing had been said.

use std::{
    fs, io,
    io::{BufRead as _, BufReader, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            fs::{DirBuilderExt as _, MetadataExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt::socket_peercred,
};
use serde::{Deserialize, Serialize};

use super::listen::Bound;

/// How long a successor waits for the sockets of a running process.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the other side of a handover may be silent: a successor reads its store and asks issuers
/// for their keys before it says that it serves.
const SILENCE: Duration = Duration::from_secs(60);

/// Sockets that fit into one message (`SCM_MAX_FD` of Linux).
const MOST: usize = 253;

/// Bytes of the message beside them.
const LONGEST: u64 = 64 << 10;

/// The successor's word that it serves.
const SERVING: &[u8] = b"serving\n";

/// The answer that it may go on alone. Without it the old process serves on, and the successor must not.
const GO: &[u8] = b"go\n";

/// Why sockets were not handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverFault {
    /// The file system or the other process.
    #[error("{what}: {cause}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// Others could put a socket of theirs in its place.
    #[error(
        "the directory `{0}` of `server.upgrade_socket` must be this user's alone: `chmod 700` it"
    )]
    NotPrivate(PathBuf),
    /// Another successor waits.
    #[error("another process waits at `{0}` to take over")]
    Taken(PathBuf),
    /// Nobody handed anything over.
    #[error("no running process handed its sockets over within {} s: send it SIGQUIT", PATIENCE.as_secs())]
    Nobody,
    /// The other process is not this user's.
    #[error("the process at the other end belongs to another user")]
    Stranger,
    /// What came is not what a gateway sends.
    #[error("the other process did not say what it was to say")]
    Unintelligible,
    /// More than one message holds.
    #[error("only {MOST} listeners can be handed over")]
    TooMany,
}

fn because(what: &'static str) -> impl Fn(io::Error) -> HandoverFault {
    move |cause| HandoverFault::Io { what, cause }
}

/// What is said beside the sockets.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    /// The addresses of the sockets as configured, in their order.
    listeners: Vec<SocketAddr>,
}

/// A successor that waits for the sockets of a running process.
#[derive(Debug)]
pub struct Successor {
    listener: UnixListener,
    path: PathBuf,
}

impl Successor {
    /// Waits at this place from now on, whose directory is made if it is not there.
    ///
    /// # Errors
    /// The directory is not private, another successor waits, or the system says no.
    pub fn wait_at(path: &Path) -> Result<Self, HandoverFault> {
        let directory = directory(path);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(because("cannot make the directory of `server.upgrade_socket`"))?;
        judge_directory(directory)?;
        let bind = || UnixListener::bind(path);
        let listener = match bind() {
            // Left behind by one that did not end well, unless somebody is there.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if UnixStream::connect(path).is_ok() {
                    return Err(HandoverFault::Taken(path.to_owned()));
                }
                fs::remove_file(path).and_then(|()| bind())
            }
            bound => bound,
        };
        let listener = listener.map_err(because("cannot wait at `server.upgrade_socket`"))?;
        let successor = Self { listener, path: path.to_owned() };
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .map_err(because("cannot make `server.upgrade_socket` private"))?;
        Ok(successor)
    }

    /// Waits for the sockets, which takes a while.
    ///
    /// # Errors
    /// Nobody hands any over in time.
    pub fn receive(self) -> Result<Inheritance, HandoverFault> {
        let cannot = because("cannot wait at `server.upgrade_socket`");
        self.listener.set_nonblocking(true).map_err(&cannot)?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.listener.accept() {
                // Whoever says nothing, or nothing that can be understood, was only looking.
                Ok((stream, _)) => {
                    if let Ok(inheritance) = Inheritance::read(stream) {
                        return Ok(inheritance);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(cannot(error)),
            }
        }
        Err(HandoverFault::Nobody)
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // A file that stays is found to be nobody's by the next.
        let _ = fs::remove_file(&self.path);
    }
}

/// What a running process left to its successor.
#[derive(Debug)]
pub struct Inheritance {
    stream: UnixStream,
    sockets: Vec<(SocketAddr, TcpListener)>,
}

impl Inheritance {
    fn read(mut stream: UnixStream) -> Result<Self, HandoverFault> {
        let cannot = because("cannot receive sockets");
        stream.set_nonblocking(false).map_err(&cannot)?;
        stream.set_read_timeout(Some(SILENCE)).map_err(&cannot)?;
        judge_peer(&stream)?;
        let (mut text, sockets) = receive(&stream).map_err(&cannot)?;
        if !text.ends_with(b"\n") {
            BufReader::new((&mut stream).take(LONGEST))
                .read_until(b'\n', &mut text)
                .map_err(&cannot)?;
        }
        let message: Message =
            serde_json::from_slice(&text).map_err(|_| HandoverFault::Unintelligible)?;
        if message.listeners.len() != sockets.len() {
            return Err(HandoverFault::Unintelligible);
        }
        let sockets = sockets.into_iter().map(TcpListener::from);
        Ok(Self { stream, sockets: message.listeners.into_iter().zip(sockets).collect() })
    }

    /// The socket for an address as configured, once.
    pub fn take(&mut self, address: SocketAddr) -> Option<Bound> {
        let place = self.sockets.iter().position(|(there, _)| *there == address)?;
        let (_, socket) = self.sockets.remove(place);
        Some(Bound { address: socket.local_addr().ok()?, socket })
    }

    /// Tells the process that left it that it is no longer needed, and waits for its leave.
    ///
    /// # Errors
    /// It serves on, or is gone: it gave the handover up.
    pub fn serving(mut self) -> Result<(), HandoverFault> {
        let unheard = because("the old process gave the handover up");
        self.stream.write_all(SERVING).map_err(&unheard)?;
        hear(&self.stream, GO).map_err(&unheard)
    }
}

/// Hands listening sockets to the successor at this place, each with its address as configured, and
/// waits until it serves.
///
/// # Errors
/// Nobody waits there, or the successor does not come so far.
pub fn hand_over(path: &Path, sockets: &[(SocketAddr, TcpListener)]) -> Result<(), HandoverFault> {
    if sockets.len() > MOST {
        return Err(HandoverFault::TooMany);
    }
    judge_directory(directory(path))?;
    let stream = UnixStream::connect(path)
        .map_err(because("no successor waits at `server.upgrade_socket`"))?;
    judge_peer(&stream)?;
    let cannot = because("cannot hand the sockets over");
    stream.set_read_timeout(Some(SILENCE)).map_err(&cannot)?;
    stream.set_write_timeout(Some(SILENCE)).map_err(&cannot)?;
    let message = Message { listeners: sockets.iter().map(|(address, _)| *address).collect() };
    let mut text = serde_json::to_vec(&message).map_err(|_| HandoverFault::Unintelligible)?;
    text.push(b'\n');
    send(&stream, &text, sockets).map_err(&cannot)?;
    let unserved = because("the successor did not come to serve");
    hear(&stream, SERVING).map_err(&unserved)?;
    (&stream).write_all(GO).map_err(&unserved)
}

/// Waits for this word of the other process.
fn hear(stream: &UnixStream, word: &[u8]) -> io::Result<()> {
    let mut heard = Vec::new();
    stream.take(word.len() as u64).read_to_end(&mut heard)?;
    if heard == word { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn send(
    mut stream: &UnixStream,
    text: &[u8],
    sockets: &[(SocketAddr, TcpListener)],
) -> io::Result<()> {
    let borrowed: Vec<_> = sockets.iter().map(|(_, socket)| socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !beside.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = sendmsg(stream, &[IoSlice::new(text)], &mut beside, SendFlags::NOSIGNAL)?;
    stream.write_all(text.get(sent..).unwrap_or_default())
}

/// The first bytes and the sockets that came with them.
fn receive(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut text = vec![0; 4 << 10];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(stream, &mut [IoSliceMut::new(&mut text)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    text.truncate(message.bytes);
    let mut sockets = Vec::new();
    for part in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(passed) = part {
            sockets.extend(passed);
        }
    }
    Ok((text, sockets))
}

/// Refuses to trust a place where others could have put something.
fn judge_directory(directory: &Path) -> Result<(), HandoverFault> {
    let found = fs::metadata(directory)
        .map_err(because("no successor waits at `server.upgrade_socket`"))?;
    let own = rustix::process::geteuid().as_raw();
    if found.uid() == own && found.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(HandoverFault::NotPrivate(directory.to_owned()))
    }
}

fn judge_peer(stream: &UnixStream) -> Result<(), HandoverFault> {
    let peer = socket_peercred(stream)
        .map_err(|error| because("cannot tell whose the other process is")(error.into()))?;
    let own = rustix::process::geteuid();
    if peer.uid == own { Ok(()) } else { Err(HandoverFault::Stranger) }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, thread};

    use super::*;

    fn socket() -> (SocketAddr, TcpListener) {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    #[test]
    fn sockets_change_hands_and_nobody_is_refused_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/own.sock");
        let successor = Successor::wait_at(&path).unwrap();
        let (first, second) = (socket(), socket());
        let addresses = [first.0, second.0];
        let old = thread::spawn({
            let path = path.clone();
            move || hand_over(&path, &[first, second])
        });
        let mut inheritance = successor.receive().unwrap();
        assert!(inheritance.take("192.0.2.1:1".parse().unwrap()).is_none());
        for address in addresses {
            let waiting = TcpStream::connect(address).unwrap();
            let bound = inheritance.take(address).unwrap();
            assert_eq!(bound.address, address);
            assert!(inheritance.take(address).is_none(), "once");
            let (_, peer) = bound.socket.accept().unwrap();
            assert_eq!(peer, waiting.local_addr().unwrap());
        }
        inheritance.serving().unwrap();
        old.join().unwrap().unwrap();
        assert!(!path.exists(), "nothing is left behind");
    }

    #[test]
    fn a_successor_that_ends_leaves_the_old_process_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/own.sock");
        let kept = socket();
        assert!(matches!(hand_over(&path, &[]), Err(HandoverFault::Io { .. })), "nobody waits");
        let successor = Successor::wait_at(&path).unwrap();
        let copy = (kept.0, kept.1.try_clone().unwrap());
        let old = thread::spawn({
            let path = path.clone();
            move || hand_over(&path, &[copy])
        });
        drop(successor.receive().unwrap());
        assert!(matches!(old.join().unwrap(), Err(HandoverFault::Io { .. })));
        TcpStream::connect(kept.0).unwrap();
        kept.1.accept().unwrap();
    }

    #[test]
    fn a_successor_that_the_old_process_waited_for_in_vain_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/own.sock");
        let successor = Successor::wait_at(&path).unwrap();
        let old = thread::spawn({
            let path = path.clone();
            move || {
                let stream = UnixStream::connect(path).unwrap();
                let sockets = [socket()];
                let message = Message { listeners: vec![sockets[0].0] };
                let text = serde_json::to_string(&message).unwrap() + "\n";
                send(&stream, text.as_bytes(), &sockets).unwrap();
            }
        });
        let inheritance = successor.receive().unwrap();
        old.join().unwrap();
        assert!(matches!(inheritance.serving(), Err(HandoverFault::Io { .. })));
    }

    #[test]
    fn what_only_looks_is_not_taken_for_a_predecessor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/own.sock");
        let successor = Successor::wait_at(&path).unwrap();
        assert!(matches!(Successor::wait_at(&path), Err(HandoverFault::Taken(_))));
        let mut other = UnixStream::connect(&path).unwrap();
        other.write_all(b"{\"listeners\":[\"127.0.0.1:1\"]}\n").unwrap();
        let old = thread::spawn({
            let path = path.clone();
            move || hand_over(&path, &[socket()])
        });
        let inheritance = successor.receive().unwrap();
        inheritance.serving().unwrap();
        old.join().unwrap().unwrap();
    }

    #[test]
    fn a_place_that_others_can_write_to_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::DirBuilder::new().mode(0o777).create(&open).unwrap();
        fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
        let path = open.join("own.sock");
        assert!(matches!(Successor::wait_at(&path), Err(HandoverFault::NotPrivate(_))));
        assert!(matches!(hand_over(&path, &[]), Err(HandoverFault::NotPrivate(_))));
    }

    #[test]
    fn what_a_successor_left_behind_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/own.sock");
        fs::DirBuilder::new().mode(0o700).create(folder.path().join("run")).unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        Successor::wait_at(&path).unwrap();
    }
}
