//! What is wrong with a path however it is read: the spellings that are refused on every route.
//!
//! A path is judged with its slashes replaced by NUL ([`Judged::raw`]): a NUL of the client's is
//! refused in every spelling, so that no decoded byte can be mistaken for a separator.

use super::Ambiguity;

/// Stands between the segments of a path that is judged.
pub(super) const SEPARATOR: u8 = 0;

/// A path that holds nothing that is refused everywhere.
pub(in crate::policy) struct Judged {
    /// What there is to read differently.
    pub(super) marks: Marks,
    /// The segments decoded once, joined by [`SEPARATOR`]; only for a path that holds `%`.
    pub(super) decoded: Option<Vec<u8>>,
}

/// What a path holds that apps read differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) backslash: bool,
    pub(super) empty_segment: bool,
    pub(super) percent: bool,
    pub(super) semicolon: bool,
    pub(super) upper_case: bool,
}

impl Marks {
    /// Whether there is no other reading than the path itself, letter case apart.
    pub(super) fn is_plain(self) -> bool {
        !(self.backslash || self.empty_segment || self.percent || self.semicolon)
    }
}

/// Judges a path as received, which begins with `/`. No allocation unless it holds `%`.
///
/// # Errors
/// A dot segment, a control character or whitespace, a byte outside ASCII, `#`, an invalid
/// percent-encoding; the first two also percent-encoded once or twice.
pub(in crate::policy) fn judge(path: &str) -> Result<Judged, Ambiguity> {
    let (marks, dots) = scan(path)?;
    if dots {
        refuse_dot_segments(path.as_bytes())?;
    }
    if !marks.percent {
        return Ok(Judged { marks, decoded: None });
    }
    let once = decode(&joined(path), Escapes::MustBeValid)?;
    refuse_dot_segments(&once)?;
    refuse_odd_encodings(&once)?;
    if once.contains(&b'%') {
        let twice = decode(&once, Escapes::MayBeText)?;
        refuse_dot_segments(&twice)?;
        refuse_odd_encodings(&twice)?;
    }
    Ok(Judged { marks, decoded: Some(once) })
}

/// The path without its first slash, the other slashes as separators.
pub(super) fn joined(path: &str) -> Vec<u8> {
    let rest = path.strip_prefix('/').unwrap_or(path);
    rest.bytes().map(|byte| if byte == b'/' { SEPARATOR } else { byte }).collect()
}

/// What stands in the raw bytes, and whether a `.` is among them.
fn scan(path: &str) -> Result<(Marks, bool), Ambiguity> {
    let mut seen = 0;
    let mut last = 0;
    for byte in path.bytes() {
        let kind = KINDS.get(usize::from(byte)).copied().unwrap_or(REFUSED);
        seen |= kind | (kind & last & SLASH) << 1;
        last = kind;
    }
    if seen & REFUSED != 0 {
        return Err(refused(path));
    }
    let marks = Marks {
        backslash: seen & BACKSLASH != 0,
        empty_segment: seen & SLASHES != 0,
        percent: seen & PERCENT != 0,
        semicolon: seen & SEMICOLON != 0,
        upper_case: seen & UPPER_CASE != 0,
    };
    Ok((marks, seen & DOT != 0))
}

const SLASH: u8 = 1;
const SLASHES: u8 = 1 << 1;
const DOT: u8 = 1 << 2;
const PERCENT: u8 = 1 << 3;
const SEMICOLON: u8 = 1 << 4;
const BACKSLASH: u8 = 1 << 5;
const UPPER_CASE: u8 = 1 << 6;
const REFUSED: u8 = 1 << 7;

/// What each byte is, so that a plain path costs one look and no branch a byte.
static KINDS: [u8; 256] = kinds();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses a bad index")]
const fn kinds() -> [u8; 256] {
    let mut kinds = [0; 256];
    let mut byte = 0_u8;
    loop {
        kinds[byte as usize] = match byte {
            b'/' => SLASH,
            b'.' => DOT,
            b'%' => PERCENT,
            b';' => SEMICOLON,
            b'\\' => BACKSLASH,
            b'A'..=b'Z' => UPPER_CASE,
            0..=b' ' | b'#' | b'?' | 0x7f.. => REFUSED,
            _ => 0,
        };
        if byte == u8::MAX {
            return kinds;
        }
        byte += 1;
    }
}

/// What is wrong with the first byte that is refused raw.
fn refused(path: &str) -> Ambiguity {
    let first = path.bytes().find(|byte| KINDS.get(usize::from(*byte)) == Some(&REFUSED));
    match first {
        Some(b'#') => Ambiguity::Fragment,
        Some(0x80..) => Ambiguity::NonAscii,
        _ => Ambiguity::ControlCharacter,
    }
}

/// What an escape that is none means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// A `%` without two hexadecimal digits stays text, as lenient decoders have it.
    MayBeText,
    /// It is a fault.
    MustBeValid,
}

/// Decodes once. An escape never yields a control character, so never a separator.
pub(super) fn decode(bytes: &[u8], escapes: Escapes) -> Result<Vec<u8>, Ambiguity> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        match escaped(after) {
            Some((value, _)) if value.is_ascii_control() => {
                return Err(Ambiguity::ControlCharacter);
            }
            Some((value, after)) => {
                decoded.push(value);
                rest = after;
            }
            None if escapes == Escapes::MustBeValid => return Err(Ambiguity::InvalidEncoding),
            None => decoded.push(b'%'),
        }
    }
    Ok(decoded)
}

/// The byte that the two digits after a `%` stand for, and what follows them.
fn escaped(after: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = after else {
        return None;
    };
    Some((hexadecimal(*high)? << 4 | hexadecimal(*low)?, rest))
}

fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Whether a percent-encoded visible ASCII character stands in this raw segment.
pub(super) fn encodes_visible_ascii(segment: &[u8]) -> bool {
    let mut rest = segment;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' && escaped(after).is_some_and(|(value, _)| value.is_ascii_graphic()) {
            return true;
        }
    }
    false
}

/// Whether a raw segment reads as this text, decoded once.
pub(in crate::policy) fn reads(segment: &str, text: &str) -> bool {
    segment == text
        || segment.contains('%')
            && decode(segment.as_bytes(), Escapes::MustBeValid)
                .is_ok_and(|decoded| decoded == text.as_bytes())
}

/// Refuses `.` and `..` between separators of any kind, also once `;…` is dropped.
fn refuse_dot_segments(bytes: &[u8]) -> Result<(), Ambiguity> {
    for segment in bytes.split(|byte| matches!(*byte, SEPARATOR | b'/' | b'\\')) {
        let named = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        if matches!(named, b"." | b"..") {
            return Err(Ambiguity::DotSegment);
        }
    }
    Ok(())
}

/// Refuses C1 control characters, and the overlong forms by which decoders were tricked into
/// reading `.` and `/` (RFC 3629, section 10). None of these bytes occurs within another
/// character.
fn refuse_odd_encodings(bytes: &[u8]) -> Result<(), Ambiguity> {
    for (byte, next) in bytes.iter().zip(bytes.iter().skip(1)) {
        match (byte, next) {
            (0xc2, 0x80..=0x9f) => return Err(Ambiguity::ControlCharacter),
            (0xc0 | 0xc1, 0x80..=0xbf) | (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f) => {
                return Err(Ambiguity::InvalidEncoding);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Folds letter case the way lenient apps compare: every character to upper, then to lower case,
/// so that `ſ` and the Kelvin sign are the letters they pass for. Bytes that are not UTF-8 stay.
pub(super) fn fold_case(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_ascii() {
        return bytes.to_ascii_lowercase();
    }
    let mut folded = Vec::with_capacity(bytes.len());
    let mut buffer = [0; 4];
    for chunk in bytes.utf8_chunks() {
        let upper = chunk.valid().chars().flat_map(char::to_uppercase);
        for letter in upper.flat_map(char::to_lowercase) {
            folded.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
        }
        folded.extend_from_slice(chunk.invalid());
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(path: &str) -> Option<Ambiguity> {
        judge(path).err()
    }

    #[test]
    fn a_dot_segment_is_refused_in_every_spelling() {
        for path in [
            "/.",
            "/..",
            "/a/.",
            "/a/..",
            "/a/../b",
            "/a/./b",
            "/..;x",
            "/.;/b",
            "/..;x=1/b",
            "/%2e",
            "/%2E%2e/b",
            "/.%2e",
            "/%252e%252e/b",
            "/%252e.",
            "/..%3bx",
            "/..%253bx",
            "/%2e%2e%3b",
            "/a%2f..%2fb",
            "/a%2f.",
            "/a%5c..",
            "/a\\..\\b",
            "/..\\b",
            "/..%2fb",
            "/..%5cb",
            "/..%252fb",
            "/a%252f%252e%252e",
            "/a/..%00"[..5].as_ref(),
            "/..;%2f",
            "/%2e;%2fa",
            "/a/..//",
            "//..",
            "/a/%2e%2e/",
            "/..;a;b",
        ] {
            assert_eq!(fault(path), Some(Ambiguity::DotSegment), "{path}");
        }
    }

    #[test]
    fn dots_within_a_name_are_not_dot_segments() {
        for path in [
            "/...",
            "/a..b",
            "/..a",
            "/a..",
            "/.a",
            "/a.",
            "/%2ea",
            "/a;..",
            "/a;x/b",
            "/.well-known/x",
            "/....",
            "/%252e%252e%252e",
        ] {
            assert_eq!(fault(path), None, "{path}");
        }
    }

    #[test]
    fn a_control_character_is_refused_raw_and_encoded_once_or_twice() {
        for path in [
            "/a\0",
            "/a\t",
            "/a b",
            "/a\r\n",
            "/a\x7f",
            "/a%00",
            "/a%0a",
            "/a%0D",
            "/a%7f",
            "/a%1f",
            "/a%2500",
            "/a%250a",
            "/a%257F",
            "/a%c2%85",
            "/a%25c2%2580",
            "/%",
        ] {
            let expected =
                if path == "/%" { Ambiguity::InvalidEncoding } else { Ambiguity::ControlCharacter };
            assert_eq!(fault(path), Some(expected), "{path:?}");
        }
    }

    #[test]
    fn an_encoding_must_be_valid() {
        for path in [
            "/%",
            "/a%",
            "/a%2",
            "/%zz",
            "/%2g",
            "/%u002f",
            "/%c0%ae",
            "/%c0%af",
            "/%e0%80%ae",
            "/%f0%80%80%ae",
            "/%25c0%25ae",
            "/%-1",
            "/% 41",
        ] {
            let expected = if path == "/% 41" {
                Ambiguity::ControlCharacter
            } else {
                Ambiguity::InvalidEncoding
            };
            assert_eq!(fault(path), Some(expected), "{path}");
        }
        for path in ["/100%25", "/%25zz", "/%e9", "/%c3%a9", "/%C0", "/%ff", "/%20"] {
            assert_eq!(fault(path), None, "{path}");
        }
    }

    #[test]
    fn raw_bytes_outside_ascii_and_fragments_are_refused() {
        assert_eq!(fault("/ä"), Some(Ambiguity::NonAscii));
        assert_eq!(fault("/a#b"), Some(Ambiguity::Fragment));
    }

    #[test]
    fn a_plain_path_is_decoded_by_nobody() {
        let judged = judge("/users/7/a.b-c_d~e!$&'()*+,=:@").unwrap();
        assert!(judged.marks.is_plain() && judged.decoded.is_none() && !judged.marks.upper_case);
    }

    #[test]
    fn letters_that_pass_for_ascii_fold_to_ascii() {
        assert_eq!(fold_case("AdMin\u{212a}\u{17f}ß\u{131}".as_bytes()), "adminksssi".as_bytes());
        assert_eq!(
            fold_case(b"\xc3\x89\xffA"),
            "é\u{0}a"
                .as_bytes()
                .iter()
                .map(|b| if *b == 0 { 0xff } else { *b })
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn visible_ascii_behind_an_escape_is_seen() {
        for segment in ["%61dmin", "a%7e", "%21", "%25"] {
            assert!(encodes_visible_ascii(segment.as_bytes()), "{segment}");
        }
        for segment in ["admin", "%20", "%c3%a9", ""] {
            assert!(!encodes_visible_ascii(segment.as_bytes()), "{segment}");
        }
    }
}
