//! The line that a request begins with, as its bytes came in.
//!
//! The parser escapes a space inside a request target, so that what it hands on does not tell
//! `/a b` from `/a%20b` any more. Whoever reads the first as three parts and whoever reads it as
//! four see different requests (RFC 9112, section 3), so the line is looked at before it is parsed.

/// How a line of HTTP/1 ends.
const VERSION: &[u8] = b" HTTP/1.";

/// The room for such an end: the version's last digit and a CR behind it.
const END: usize = VERSION.len() + 2;

/// What was seen of a line.
#[derive(Debug, Default)]
pub(super) struct RequestLine {
    spaces: usize,
    /// Its last bytes so far.
    end: Vec<u8>,
    whole: bool,
}

impl RequestLine {
    /// The first bytes of a request.
    pub fn begin(&mut self, bytes: &[u8]) {
        self.spaces = 0;
        self.end.clear();
        self.whole = false;
        self.go_on(bytes);
    }

    /// Further bytes of it.
    pub fn go_on(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.whole && !rest.is_empty() {
            let line = memchr::memchr(b'\n', rest);
            let (piece, next) = rest.split_at(line.unwrap_or(rest.len()));
            self.spaces += memchr::memchr_iter(b' ', piece).count();
            // Empty lines before the request line are ignored (RFC 9112, section 2.2).
            let is_blank = self.end.is_empty() && matches!(piece, [] | [b'\r']);
            if line.is_some() && !is_blank {
                self.whole = true;
            }
            // Nearly no line has to be remembered.
            if (line.is_none() || self.spaces > 2) && !is_blank {
                self.remember(piece);
            }
            rest = next.get(1..).unwrap_or_default();
        }
    }

    /// Whether it is a whole line with more than two spaces. One that does not end in a version is
    /// the rest of something else that came ahead.
    pub fn is_spaced(&self) -> bool {
        let end = self.end.strip_suffix(b"\r").unwrap_or(&self.end);
        let version = end.get(..end.len().saturating_sub(1)).unwrap_or_default();
        self.whole && self.spaces > 2 && version.ends_with(VERSION)
    }

    fn remember(&mut self, piece: &[u8]) {
        let kept = piece.get(piece.len().saturating_sub(END)..).unwrap_or_default();
        self.end.extend_from_slice(kept);
        let surplus = self.end.len().saturating_sub(END);
        self.end.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether these bytes are spaced, however they are cut.
    fn is_spaced(text: &str) -> bool {
        let (bytes, mut line) = (text.as_bytes(), RequestLine::default());
        line.begin(bytes);
        let spaced = line.is_spaced();
        for cut in 1..bytes.len() {
            line.begin(&bytes[..cut]);
            line.go_on(&bytes[cut..]);
            assert_eq!(line.is_spaced(), spaced, "{text:?} cut at {cut}");
        }
        line.begin(&bytes[..1]);
        bytes[1..].iter().for_each(|byte| line.go_on(&[*byte]));
        assert_eq!(line.is_spaced(), spaced, "{text:?} byte by byte");
        spaced
    }

    #[test]
    fn a_line_of_three_parts_is_sound() {
        assert!(!is_spaced("GET / HTTP/1.1\r\nHost: a\r\nAccept: a b c d\r\n\r\n"));
        assert!(!is_spaced("\r\n\r\nGET / HTTP/1.0\r\nA: a b c HTTP/1.1\r\n\r\n"));
    }

    #[test]
    fn a_line_with_a_space_in_its_target_is_not() {
        for line in
            ["GET /a b HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET /a?b c HTTP/1.0"]
        {
            assert!(is_spaced(&format!("{line}\r\nHost: a\r\n\r\n")), "{line}");
            assert!(is_spaced(&format!("\r\n{line}\nHost: a\r\n\r\n")), "{line}");
        }
    }

    #[test]
    fn the_rest_of_a_header_is_no_request_line() {
        assert!(!is_spaced("Accept: a b c d\r\n\r\n"));
        assert!(!is_spaced("GET /a b HTTP/1.1"), "its end is not there yet");
    }
}
