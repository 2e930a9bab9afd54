//! Lines of a source with what is secret replaced by `***`.

use std::ops::Range;

use super::Source;

/// A part of the text as it may be shown.
pub(super) struct Excerpt {
    pub text: String,
    /// Pieces of the source, each with the piece of `text` that stands for it. In order.
    moves: Vec<(Range<usize>, Range<usize>)>,
    /// Where the part begins in the source.
    start: usize,
}

impl Excerpt {
    /// Where a range of the source stands in the text.
    pub fn moved(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.offset(range.start, false);
        start..self.offset(range.end, true).max(start)
    }

    fn offset(&self, offset: usize, end: bool) -> usize {
        let before = |(piece, _): &(Range<usize>, Range<usize>)| {
            if end { piece.start < offset } else { piece.start <= offset }
        };
        let last = self.moves.partition_point(before).checked_sub(1);
        let moved = match last.and_then(|at| self.moves.get(at)) {
            None => offset.saturating_sub(self.start),
            Some((piece, shown)) if offset < piece.end => {
                if end {
                    shown.end
                } else {
                    shown.start
                }
            }
            Some((piece, shown)) => shown.end + (offset - piece.end),
        };
        moved.min(self.text.len())
    }
}

/// The text in a range within one line, secrets replaced.
pub(super) fn masked(source: &Source, range: Range<usize>) -> Excerpt {
    let hidden = source.hidden();
    let first = hidden.partition_point(|secret| secret.end <= range.start);
    let mut excerpt = Excerpt { text: String::new(), moves: Vec::new(), start: range.start };
    let mut at = range.start;
    for secret in hidden.iter().skip(first).take_while(|secret| secret.start < range.end) {
        let piece = secret.start.max(at)..secret.end.min(range.end);
        if piece.is_empty() {
            continue;
        }
        excerpt.text.push_str(source.slice(at..piece.start));
        let start = excerpt.text.len();
        excerpt.text.push_str(&as_written(source.slice(piece.clone())));
        excerpt.moves.push((piece.clone(), start..excerpt.text.len()));
        at = piece.end;
    }
    excerpt.text.push_str(source.slice(at..range.end));
    excerpt
}

/// A secret as it may be shown: `${NAME}` stays and so do quotes around it, everything else is
/// `***`.
pub(crate) fn as_written(text: &str) -> String {
    if text.trim_matches(['"', '\'']).is_empty() {
        return text.to_owned();
    }
    for quote in ['"', '\''] {
        let within = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        if let Some(within) = within {
            return format!("{quote}{}{quote}", as_written(within));
        }
    }
    let indent = text.len() - text.trim_start().len();
    let (blank, text) = text.split_at(indent);
    let mut shown = blank.to_owned();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, variable) = rest.split_at(rest.find("${").unwrap_or(rest.len()));
        if !literal.trim_matches(['"', '\'']).is_empty() && !shown.ends_with("***") {
            shown.push_str("***");
        }
        let end = variable.find('}').map_or(variable.len(), |at| at + 1);
        let (variable, tail) = variable.split_at(end);
        let name = variable.strip_prefix("${").and_then(|inner| inner.strip_suffix('}'));
        match name.map(|inner| inner.split_once(":-")) {
            None if variable.is_empty() => {}
            None => shown.push_str("***"),
            Some(None) => shown.push_str(variable),
            Some(Some((_, ""))) => shown.push_str(variable),
            Some(Some((name, _))) => {
                shown.push_str("${");
                shown.push_str(name);
                shown.push_str(":-***}");
            }
        }
        rest = tail;
    }
    shown
}

/// Whether a key's name says that its value is secret.
pub(crate) fn is_suspect(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    const WORDS: [&str; 12] = [
        "api-key",
        "api_key",
        "apikey",
        "authorization",
        "base64",
        "cookie",
        "credential",
        "passw",
        "private",
        "secret",
        "sha256",
        "token",
    ];
    WORDS.iter().any(|word| key.contains(word))
}

/// Whether a text is a URL with a user in it, whose password is a secret.
pub(crate) fn is_url_with_user(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

/// What looks like a secret in text that could not be parsed: everything behind the colon of a
/// key that sounds so, to the end of its line; and what stands in a URL before an `@`.
pub(super) fn suspects(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let shown = line.trim_end();
        let colon = shown.match_indices(':').find(|(at, _)| {
            let key = shown.get(..*at).unwrap_or_default();
            let word = key.rsplit([' ', ',', '{', '[']).find(|word| !word.is_empty());
            word.is_some_and(|word| is_suspect(word.trim_matches(['"', '\''])))
        });
        let pem = shown.len() >= 40 && !shown.contains([' ', ':']);
        if pem {
            ranges.push(start..start + shown.len());
        } else if let Some((at, _)) = colon {
            let tail = shown.get(at + 1..).unwrap_or_default();
            let value = start + at + 1 + (tail.len() - tail.trim_start().len());
            if value < start + shown.len() {
                ranges.push(value..start + shown.len());
            }
        }
        start += line.len();
    }
    ranges
}
