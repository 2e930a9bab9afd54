//! HTTP/2 frame by frame, sent as it is told: no library would send half of what the tests send.

use std::net::SocketAddr;

use super::Raw;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What a connection begins with (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// The code of a reset or of a farewell.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answer {
        status: u16,
        body: String,
    },
    Reset(u32),
    /// The whole connection ended.
    Ended(Option<u32>),
}

impl Outcome {
    /// The status and the problem's code, where the gateway answered with one.
    #[track_caller]
    pub fn problem(&self) -> (u16, String) {
        let Self::Answer { status, body } = self else { panic!("no answer: {self:?}") };
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        (*status, body["code"].as_str().unwrap_or_default().to_owned())
    }

    #[track_caller]
    pub fn status(&self) -> u16 {
        let Self::Answer { status, .. } = self else { panic!("no answer: {self:?}") };
        *status
    }
}

/// A connection.
pub struct Frames {
    pub raw: Raw,
}

impl Frames {
    /// Begins a connection in clear.
    pub fn connect(address: SocketAddr) -> Self {
        Self::begin(Raw::connect(address))
    }

    /// Begins a connection on this one.
    pub fn begin(mut raw: Raw) -> Self {
        // No table that changes: what comes back can be read a block at a time.
        raw.send(PREFACE).send(Frame::bytes(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]));
        Self { raw }
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> &mut Self {
        self.raw.send(Frame::bytes(kind, flags, stream, payload));
        self
    }

    /// Sends what the other side may refuse to take.
    pub fn offer(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.raw.offer(Frame::bytes(kind, flags, stream, payload))
    }

    /// A request's header in one frame.
    pub fn header(&mut self, stream: u32, flags: u8, fields: &[(&str, &str)]) -> &mut Self {
        self.send(HEADERS, flags | END_HEADERS, stream, &block(fields))
    }

    /// A `GET` for this path.
    pub fn get(&mut self, stream: u32, path: &str) -> &mut Self {
        self.header(stream, END_STREAM, &get(path))
    }

    /// The next frame that is not about the connection's settings; none at its end.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let head = self.raw.try_exactly(9)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
            let payload = self.raw.try_exactly(length as usize)?;
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            match (frame.kind, frame.flags & ACK) {
                (SETTINGS | PING, 0) => {
                    let payload = if frame.kind == PING { &frame.payload[..] } else { &[] };
                    self.offer(frame.kind, ACK, 0, payload);
                }
                (SETTINGS | PING, _) | (WINDOW_UPDATE, _) => {}
                _ => return Some(frame),
            }
        }
    }

    /// Waits until everything sent so far has been read; whether the connection is still there.
    pub fn is_heard(&mut self) -> bool {
        self.offer(PING, 0, 0, b"are you?");
        loop {
            let Some(head) = self.raw.try_exactly(9) else { return false };
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            if self.raw.try_exactly(length as usize).is_none() {
                return false;
            }
            if head[3] == PING && head[4] & ACK != 0 {
                return true;
            }
        }
    }

    /// What becomes of a request.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut body, mut farewell) = (None, Vec::new(), None);
        loop {
            let Some(frame) = self.next() else { return Outcome::Ended(farewell) };
            if frame.kind == GOAWAY {
                farewell = Some(frame.code());
            }
            if frame.stream != stream || frame.kind == GOAWAY {
                continue;
            }
            match frame.kind {
                RESET => return Outcome::Reset(frame.code()),
                HEADERS if status.is_none() => status = Some(read_status(&frame.payload)),
                DATA => body.extend(&frame.payload),
                _ => {}
            }
            if frame.flags & END_STREAM != 0 {
                let body = String::from_utf8_lossy(&body).into_owned();
                return Outcome::Answer { status: status.unwrap(), body };
            }
        }
    }
}

/// The fields of a `GET` in clear.
pub fn get(path: &str) -> [(&str, &str); 4] {
    [(":method", "GET"), (":scheme", "http"), (":authority", "x.example"), (":path", path)]
}

/// A header block whose fields are all written out (RFC 7541, section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(name.as_bytes(), &mut block);
        string(value.as_bytes(), &mut block);
    }
    block
}

fn string(text: &[u8], block: &mut Vec<u8>) {
    if let Ok(length @ 0..127) = u8::try_from(text.len()) {
        block.push(length);
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(text);
}

/// The status that a header block begins with: of the static table, or written out in Huffman's code,
/// of which only the digits are needed.
fn read_status(block: &[u8]) -> u16 {
    // A change of the table's size may stand before it.
    let block = &block[block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap()..];
    match block[0] {
        first @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)],
        0x08 | 0x48 | 0x18 => {
            let length = usize::from(block[1] & 0x7f);
            let bytes = &block[2..2 + length];
            let text = if block[1] & 0x80 == 0 { bytes.to_vec() } else { digits(bytes) };
            std::str::from_utf8(&text).unwrap().parse().unwrap()
        }
        other => panic!("a header that begins with {other:#x}"),
    }
}

fn digits(bytes: &[u8]) -> Vec<u8> {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut text = Vec::new();
    while text.len() < 3 {
        let five = (0..5).fold(0, |code, _| code << 1 | bits.next().unwrap());
        text.push(match five {
            0..=2 => b'0' + five,
            // Six bits: 3 is 011001, 9 is 011111.
            _ => b'3' + (five << 1 | bits.next().unwrap()) - 0b01_1001,
        });
    }
    text
}
