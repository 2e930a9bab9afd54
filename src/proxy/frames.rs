//! Where one WebSocket frame ends and the next begins, on the way to the client (RFC 6455, section
//! 5.2). A gateway that ends the connection may say so only between two frames.

/// `Close` with the code for a violated policy (RFC 6455, sections 5.5.1 and 7.4.1: 1008).
pub(super) const CLOSE: [u8; 4] = [0x88, 2, 0x03, 0xf0];

/// What the head of an answer ends with.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// The longest head of a frame: two bytes, eight of length, four of a mask.
const LONGEST: usize = 14;

/// How far the bytes to the client have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// In the head of the answer; so many bytes of its end are there.
    Answer(usize),
    /// In the head of a frame, of which so many bytes are there; between two frames if none is.
    Head([u8; LONGEST], usize),
    /// In the payload of a frame, of which so much is to come.
    Payload(u64),
}

impl Frames {
    /// For an answer that is yet to be written.
    pub const fn new() -> Self {
        Self::Answer(0)
    }

    /// Whether a frame may begin here.
    pub const fn is_between(&self) -> bool {
        matches!(self, Self::Head(_, 0))
    }

    /// These bytes went to the client.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            *self = match *self {
                Self::Answer(seen) => {
                    bytes = rest;
                    match (END_OF_HEAD.get(seen), seen) {
                        (Some(expected), 3) if expected == first => Self::Head([0; LONGEST], 0),
                        (Some(expected), _) if expected == first => Self::Answer(seen + 1),
                        _ => Self::Answer(usize::from(*first == b'\r')),
                    }
                }
                Self::Head(mut head, length) => {
                    bytes = rest;
                    if let Some(place) = head.get_mut(length) {
                        *place = *first;
                    }
                    after_head(head, length + 1)
                }
                Self::Payload(left) => {
                    let here = left.min(bytes.len() as u64);
                    bytes = bytes.get(usize::try_from(here).unwrap_or(usize::MAX)..).unwrap_or(&[]);
                    payload(left - here)
                }
            };
        }
    }
}

/// What follows so many bytes of a frame's head.
fn after_head(head: [u8; LONGEST], length: usize) -> Frames {
    let [_, second, long @ ..] = head;
    let (size, mask) = (second & 0x7f, if second & 0x80 == 0 { 0 } else { 4 });
    let extended = match size {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if length < 2 + extended + mask {
        return Frames::Head(head, length);
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    payload(match long.get(..extended) {
        Some(bytes) if extended > 0 => number(bytes),
        _ => u64::from(size),
    })
}

const fn payload(left: u64) -> Frames {
    if left == 0 { Frames::Head([0; LONGEST], 0) } else { Frames::Payload(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nX: \r\r\n\r\n";

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(mask | length as u8),
            126..65536 => {
                frame.push(mask | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend(masked.then_some([1, 2, 3, 4]).into_iter().flatten());
        frame.resize(frame.len() + length, b'\r');
        frame
    }

    #[test]
    fn a_frame_may_begin_after_the_head_and_after_each_whole_frame_however_the_bytes_come() {
        for masked in [false, true] {
            for piece in [1, 2, 3, 7, 4096] {
                let mut frames = Frames::new();
                for part in HEAD.chunks(piece) {
                    assert!(!frames.is_between());
                    frames.pass(part);
                }
                assert!(frames.is_between());
                for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
                    for part in frame(length, masked).chunks(piece) {
                        frames.pass(part);
                    }
                    assert!(frames.is_between(), "{length} in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn no_frame_begins_within_another() {
        let mut frames = Frames::new();
        frames.pass(HEAD);
        let whole = frame(300, false);
        for end in 1..whole.len() {
            let mut partly = frames.clone();
            partly.pass(whole.get(..end).unwrap());
            assert!(!partly.is_between(), "{end}");
        }
    }

    #[test]
    fn the_last_word_is_a_whole_frame() {
        let mut frames = Frames::new();
        frames.pass(HEAD);
        frames.pass(&CLOSE);
        assert!(frames.is_between());
    }
}
