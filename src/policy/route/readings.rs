//! The other ways in which an app behind the gateway could read a path.
//!
//! A reading is what is left of the path after some of these steps, in some order: `;…` dropped
//! from segments; `\`, and `/` that came encoded, taken as slashes; empty segments merged; a
//! leading `//name` taken as an authority, as a URL parser does; a trailing slash dropped;
//! everything decoded a second time. An app may take a step before it decodes or after, so that
//! all orders are looked at. Letter case is not a step: each reading is looked up twice.

use std::fmt;

use super::spelling::{Escapes, SEPARATOR, decode};

/// More distinct readings than this are refused.
const MAX_READINGS: usize = 64;

/// A difference between two spellings of a path that an app can keep apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// `/A` and `/a`.
    Case,
    /// `%2561` and `%61`.
    DoubleEncoding,
    /// `//a` and `/a`.
    EmptySegments,
    /// `%2f`, `%5c`, `\` and `/`.
    EncodedSlash,
    /// `/a;v=1` and `/a`.
    Parameters,
}

impl Difference {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 5] = [
        Self::Case,
        Self::DoubleEncoding,
        Self::EmptySegments,
        Self::EncodedSlash,
        Self::Parameters,
    ];

    /// The difference of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|difference| difference.name() == name)
    }

    /// Its name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Case => "case",
            Self::DoubleEncoding => "double_encoding",
            Self::EmptySegments => "empty_segments",
            Self::EncodedSlash => "encoded_slash",
            Self::Parameters => "parameters",
        }
    }
}

/// The differences that a route's upstream keeps apart; none by default.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Distinguishes(u8);

impl Distinguishes {
    /// An upstream that may take any spelling for any other.
    pub const NOTHING: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub fn with(self, difference: Difference) -> Self {
        Self(self.0 | 1 << difference as u8)
    }

    /// Whether the upstream keeps this difference apart.
    #[must_use]
    pub fn keeps(self, difference: Difference) -> bool {
        self.0 & 1 << difference as u8 != 0
    }
}

impl FromIterator<Difference> for Distinguishes {
    fn from_iter<I: IntoIterator<Item = Difference>>(differences: I) -> Self {
        differences.into_iter().fold(Self::NOTHING, Self::with)
    }
}

impl fmt::Debug for Distinguishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = Difference::ALL.into_iter().filter(|difference| self.keeps(*difference));
        f.debug_set().entries(kept.map(Difference::name)).finish()
    }
}

/// Every distinct reading of a path that an upstream could take, the path itself decoded once
/// first; segments are joined by [`SEPARATOR`]. Nothing if there are too many.
///
/// `raw` is a path that [`judge`](super::spelling::judge) let pass, not decoded yet.
pub(super) fn enumerate(raw: Vec<u8>, distinguishes: Distinguishes) -> Option<Vec<Vec<u8>>> {
    let steps = Steps(distinguishes);
    let mut received = vec![raw];
    close(&mut received, |reading, found| steps.before_decoding(reading, found))?;
    let mut readings = Vec::with_capacity(received.len());
    for reading in &received {
        insert(&mut readings, decode(reading, Escapes::MustBeValid).ok()?)?;
    }
    close(&mut readings, |reading, found| steps.after_decoding(reading, found))?;
    if distinguishes.keeps(Difference::DoubleEncoding) {
        return Some(readings);
    }
    let escaped: Vec<&Vec<u8>> =
        readings.iter().filter(|reading| reading.contains(&b'%')).collect();
    if escaped.is_empty() {
        return Some(readings);
    }
    let mut twice = Vec::new();
    for reading in escaped {
        let again = decode(reading, Escapes::MayBeText).ok()?;
        if !readings.contains(&again) {
            insert(&mut twice, again)?;
        }
    }
    close(&mut twice, |reading, found| steps.after_decoding(reading, found))?;
    for reading in twice {
        insert(&mut readings, reading)?;
    }
    Some(readings)
}

/// Adds what the steps make of every reading, until there is nothing new.
fn close(
    readings: &mut Vec<Vec<u8>>,
    mut steps: impl FnMut(&[u8], &mut Vec<Vec<u8>>),
) -> Option<()> {
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(reading) = readings.get(next) {
        steps(reading, &mut found);
        for reading in found.drain(..) {
            insert(readings, reading)?;
        }
        next += 1;
    }
    Some(())
}

fn insert(readings: &mut Vec<Vec<u8>>, reading: Vec<u8>) -> Option<()> {
    if readings.contains(&reading) {
        return Some(());
    }
    if readings.len() == MAX_READINGS {
        return None;
    }
    readings.push(reading);
    Some(())
}

/// The steps that an upstream could take. Each one appends what it makes of a reading, if that
/// is something else.
#[derive(Clone, Copy)]
struct Steps(Distinguishes);

impl Steps {
    fn before_decoding(self, reading: &[u8], found: &mut Vec<Vec<u8>>) {
        if !self.0.keeps(Difference::EmptySegments) {
            found.extend(without_authority(reading));
        }
        self.at_any_time(reading, found);
    }

    fn after_decoding(self, reading: &[u8], found: &mut Vec<Vec<u8>>) {
        if !self.0.keeps(Difference::EncodedSlash) {
            found.extend(split_at(reading, b'/'));
        }
        self.at_any_time(reading, found);
    }

    fn at_any_time(self, reading: &[u8], found: &mut Vec<Vec<u8>>) {
        if !self.0.keeps(Difference::EncodedSlash) {
            found.extend(split_at(reading, b'\\'));
        }
        if !self.0.keeps(Difference::Parameters) {
            found.extend(without_parameters(reading));
        }
        if !self.0.keeps(Difference::EmptySegments) {
            found.extend(without_empty_segments(reading));
        }
        found.extend(without_trailing_slash(reading));
    }
}

fn split_at(reading: &[u8], slash: u8) -> Option<Vec<u8>> {
    let separated = |byte: &u8| if *byte == slash { SEPARATOR } else { *byte };
    reading.contains(&slash).then(|| reading.iter().map(separated).collect())
}

fn without_parameters(reading: &[u8]) -> Option<Vec<u8>> {
    if !reading.contains(&b';') {
        return None;
    }
    let mut kept = Vec::with_capacity(reading.len());
    let mut dropping = false;
    for byte in reading {
        match *byte {
            SEPARATOR => dropping = false,
            b';' => dropping = true,
            _ => {}
        }
        if !dropping {
            kept.push(*byte);
        }
    }
    Some(kept)
}

/// Merges runs of slashes; one at the end stays.
fn without_empty_segments(reading: &[u8]) -> Option<Vec<u8>> {
    let mut kept: Vec<u8> = Vec::with_capacity(reading.len());
    let mut after_slash = true;
    for byte in reading {
        let slash = *byte == SEPARATOR;
        if !(slash && after_slash) {
            kept.push(*byte);
        }
        after_slash = slash;
    }
    (kept.len() != reading.len()).then_some(kept)
}

/// One trailing slash is dropped wherever a path is looked up, so that only a further one makes
/// a reading.
fn without_trailing_slash(reading: &[u8]) -> Option<Vec<u8>> {
    match reading {
        [SEPARATOR] => Some(Vec::new()),
        [kept @ .., SEPARATOR] if kept.ends_with(&[SEPARATOR]) => Some(kept.to_vec()),
        _ => None,
    }
}

/// What is left of `//name/path` for a parser that takes it as a reference with an authority.
fn without_authority(reading: &[u8]) -> Option<Vec<u8>> {
    let [SEPARATOR, after @ ..] = reading else {
        return None;
    };
    let end = after.iter().position(|byte| *byte == SEPARATOR);
    Some(end.and_then(|at| after.get(at + 1..)).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::route::spelling::joined;

    fn readings(path: &str, kept: &[Difference]) -> Vec<String> {
        let found = enumerate(joined(path), kept.iter().copied().collect()).expect("few readings");
        let mut shown: Vec<String> = found
            .iter()
            .map(|reading| String::from_utf8_lossy(reading).replace('/', "!").replace('\0', "/"))
            .collect();
        shown.sort();
        shown
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        assert_eq!(readings("/users/7", &[]), ["users/7"]);
        assert_eq!(readings("/users/7/", &[]), ["users/7/"]);
        assert_eq!(readings("/", &[]), [""]);
    }

    #[test]
    fn each_step_adds_its_reading() {
        assert_eq!(readings("/a%2fb", &[]), ["a!b", "a/b"]);
        assert_eq!(readings("/a%5cb", &[]), ["a/b", "a\\b"]);
        assert_eq!(readings("/a\\b", &[]), ["a/b", "a\\b"]);
        assert_eq!(readings("/a;x/b", &[]), ["a/b", "a;x/b"]);
        assert_eq!(readings("/a//b", &[]), ["a//b", "a/b"]);
        assert_eq!(readings("/a//", &[]), ["a/", "a//"]);
        assert_eq!(readings("/%2561", &[]), ["%61", "a"]);
        assert_eq!(readings("//a/b", &[]), ["/a/b", "a/b", "b"]);
        assert_eq!(readings("/100%25", &[]), ["100%"]);
    }

    #[test]
    fn steps_before_and_after_decoding_are_combined() {
        assert_eq!(readings("/a;x%2fb", &[]), ["a", "a/b", "a;x!b", "a;x/b"]);
        assert_eq!(readings("/a%253bx", &[]), ["a", "a%3bx", "a;x"]);
        assert_eq!(readings("/a%252fb", &[]), ["a!b", "a%2fb", "a/b"]);
        assert_eq!(readings("/a\\%5cb", &[]), ["a//b", "a/\\b", "a/b", "a\\\\b"]);
        assert!(readings("/x/;a/b", &[]).contains(&"x/b".to_owned()));
        assert!(readings("/;a/x/b", &[]).contains(&"x/b".to_owned()));
    }

    #[test]
    fn a_lenient_decoder_reads_the_escapes_that_it_can() {
        assert_eq!(readings("/%2561/100%25", &[]), ["%61/100%", "a/100%"]);
    }

    #[test]
    fn what_the_upstream_keeps_apart_is_not_read() {
        assert_eq!(readings("/a%2f\\b", &[Difference::EncodedSlash]), ["a!\\b"]);
        assert_eq!(readings("/a;x", &[Difference::Parameters]), ["a;x"]);
        assert_eq!(readings("//a//b", &[Difference::EmptySegments]), ["/a//b"]);
        assert_eq!(readings("/%2561", &[Difference::DoubleEncoding]), ["%61"]);
    }

    #[test]
    fn readings_are_bounded() {
        assert_eq!(enumerate(joined(&"/".repeat(100)), Distinguishes::NOTHING), None);
        let apart = Distinguishes::NOTHING.with(Difference::EmptySegments);
        assert_eq!(
            enumerate(joined(&format!("/a{}", "/".repeat(63))), apart).map(|found| found.len()),
            Some(63)
        );
        assert_eq!(enumerate(joined(&format!("/a{}", "/".repeat(65))), apart), None);
    }

    #[test]
    fn a_difference_is_known_by_its_name() {
        for difference in Difference::ALL {
            assert_eq!(Difference::parse(difference.name()), Some(difference));
        }
        assert_eq!(Difference::parse("Case"), None);
    }
}
