//! What a client in clear begins with: the preface of HTTP/2 (RFC 9113, section 3.4) or a request of
//! HTTP/1. It is looked at and put back.

use std::time::Duration;

use pingora::{protocols::l4::stream::Stream, server::ShutdownWatch};
use tokio::{io::AsyncReadExt as _, time::Instant};

/// What no request of HTTP/1 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that are looked at in one go: most heads of HTTP/1 have fewer.
const LOOKED_AT: usize = 1 << 10;

/// The protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Version 1.0 or 1.1.
    Http1,
    /// Version 2.
    Http2,
}

/// Which protocol a client speaks; none if it goes away, takes too long for its first words, or the
/// gateway stops before it says any.
pub(super) async fn protocol(
    stream: &mut Stream,
    idle: Duration,
    header: Duration,
    stop: &mut ShutdownWatch,
) -> Option<Protocol> {
    let mut bytes = [0; LOOKED_AT];
    let mut length = 0;
    let mut until = Instant::now() + idle;
    loop {
        let room = bytes.get_mut(length..).unwrap_or_default();
        let read = tokio::select! {
            biased;
            read = stream.read(room) => read.ok()?,
            () = stopped(stop) => return None,
            () = tokio::time::sleep_until(until) => return None,
        };
        if length == 0 {
            // From its first byte on it has the time of a header in all, however it drips.
            until = Instant::now() + header;
        }
        length += read;
        let said = bytes.get(..length).unwrap_or_default();
        let protocol = match judge(said) {
            // It has said all that it will.
            None if read == 0 && length > 0 => Protocol::Http1,
            None if read == 0 => return None,
            None => continue,
            Some(protocol) => protocol,
        };
        stream.rewind(said);
        return Some(protocol);
    }
}

/// Which protocol begins so; none if that is open.
fn judge(said: &[u8]) -> Option<Protocol> {
    let common = said.len().min(PREFACE.len());
    if said.get(..common) != PREFACE.get(..common) {
        Some(Protocol::Http1)
    } else if common == PREFACE.len() {
        Some(Protocol::Http2)
    } else {
        None
    }
}

/// Waits until the gateway is told to stop; for ever if nobody is left to tell.
pub(super) async fn stopped(stop: &mut ShutdownWatch) {
    if stop.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_preface_is_http_2_and_what_differs_is_known_at_once() {
        assert_eq!(judge(b""), None);
        assert_eq!(judge(b"PRI * HTTP/2.0\r\n\r\nSM\r\n"), None);
        assert_eq!(judge(PREFACE), Some(Protocol::Http2));
        assert_eq!(judge(&[PREFACE, b"\0\0\0"].concat()), Some(Protocol::Http2));
        for begin in [&b"G"[..], b"PO", b"PRI * HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nXX"] {
            assert_eq!(judge(begin), Some(Protocol::Http1), "{}", begin.escape_ascii());
        }
    }
}
