//! Text with a name, and places in it. A place knows how to be shown without the secrets on its
//! lines.

pub(super) mod mask;

use std::{
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

/// How many bytes of a line are shown at most, about.
const MOST: usize = 200;

/// A file's text.
pub struct Source {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    /// Sorted ranges that are never shown. Until they are known, what looks like a secret is one.
    hidden: OnceLock<Vec<Range<usize>>>,
}

impl Source {
    /// A text under the name that diagnostics give it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        Self { name: name.into(), text, lines, hidden: OnceLock::new() }
    }

    /// The name that diagnostics give it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text in a range; empty if the range is none of the text's.
    pub fn slice(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    /// Says which ranges are secret. Only the first call counts.
    pub(super) fn hide(&self, ranges: impl IntoIterator<Item = Range<usize>>) {
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let _ = self.hidden.set(ranges);
    }

    fn hidden(&self) -> &[Range<usize>] {
        self.hidden.get_or_init(|| mask::suspects(&self.text))
    }

    /// The number of the line that holds the offset, from 0.
    pub(super) fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// Where a line begins, and where it ends without its break; the last line's for any beyond.
    pub(super) fn line(&self, number: usize) -> Range<usize> {
        let end = self.lines.get(number + 1).map_or(self.text.len(), |next| *next);
        let start = self.lines.get(number).map_or(self.text.len(), |start| *start);
        start..start + self.slice(start..end).trim_end_matches(['\n', '\r']).len()
    }

    /// The range, widened to whole characters.
    fn whole_characters(&self, range: Range<usize>) -> Range<usize> {
        self.text.floor_char_boundary(range.start)..self.text.ceil_char_boundary(range.end)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the text: it may hold secrets.
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A place in a source.
#[derive(Clone, Debug)]
pub struct Span {
    source: Arc<Source>,
    range: Range<usize>,
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Span {
    /// The bytes from `range.start` to `range.end` of the source's text.
    pub fn new(source: &Arc<Source>, range: Range<usize>) -> Self {
        Self { source: Arc::clone(source), range }
    }

    /// The text it stands in.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The bytes, counted from the beginning of the source.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// A part of it, by the bytes of the source.
    #[must_use]
    pub fn narrowed(&self, range: Range<usize>) -> Self {
        Self { source: Arc::clone(&self.source), range }
    }

    /// Where it begins.
    pub fn start(&self) -> Position {
        self.position(self.range.start)
    }

    /// Where it ends: the column behind its last character.
    pub fn end(&self) -> Position {
        self.position(self.range.end)
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.source.line_of(offset);
        let start = self.source.line(line).start;
        Position { line: line + 1, column: self.source.slice(start..offset).chars().count() + 1 }
    }

    /// The text itself, secrets masked, at most the first line of it and 200 characters.
    pub fn shown(&self) -> String {
        let (line, _, range) = self.excerpt();
        line.get(range).unwrap_or_default().chars().take(200).collect()
    }

    /// The line it begins on with secrets masked, the line's number from 1, and the part of that
    /// line to point at. Of a very long line it is a piece.
    pub(super) fn excerpt(&self) -> (String, usize, Range<usize>) {
        let number = self.source.line_of(self.range.start);
        let line = self.source.line(number);
        let start = self.range.start.min(line.end);
        let range = start..self.range.end.clamp(start, line.end.min(start + MOST));
        let window = if line.len() > 2 * MOST {
            line.start.max(start.saturating_sub(MOST / 2))..line.end.min(start + MOST)
        } else {
            line
        };
        let excerpt = mask::masked(&self.source, self.source.whole_characters(window));
        let range = excerpt.moved(&self.source.whole_characters(range));
        (excerpt.text, number + 1, range)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.start();
        write!(f, "{}:{line}:{column}", self.source.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, part: &str) -> Span {
        let start = text.find(part).unwrap();
        Span::new(&Arc::new(Source::new("gateway.yaml", text)), start..start + part.len())
    }

    #[test]
    fn columns_count_characters() {
        let span = span("a: 1\n\u{e9}\u{e9}: wrong\n", "wrong");
        assert_eq!(span.to_string(), "gateway.yaml:2:5");
        assert_eq!(span.end(), Position { line: 2, column: 10 });
    }

    #[test]
    fn a_place_at_the_end_of_the_text_has_a_position() {
        let source = Arc::new(Source::new("x", "a\nb"));
        assert_eq!(Span::new(&source, 3..3).start(), Position { line: 2, column: 2 });
        assert_eq!(Span::new(&source, 900..901).shown(), "");
    }

    #[test]
    fn what_looks_like_a_secret_is_one_until_it_is_known() {
        let text = "token: { secret: hunter2, path: /x\n";
        assert!(!span(text, "path").excerpt().0.contains("hunter2"));
        assert_eq!(span("password: \"hunter2\n", "\"hunter2").shown(), "***");
    }

    #[test]
    fn a_secret_is_shown_as_written_where_it_is_a_variable() {
        let text = "secret: ${JWT_SECRET}\nother: ${A:-hunter2}\n";
        let span = span(text, "${JWT_SECRET}");
        span.source.hide([8..21, 29..43]);
        assert_eq!(span.excerpt().0, "secret: ${JWT_SECRET}");
        let other = Span::new(&span.source, 22..27);
        assert_eq!(other.excerpt().0, "other: ${A:-***}");
    }

    #[test]
    fn quotes_around_a_secret_stay_so_that_the_place_under_it_is_right() {
        let text = "{ secret: \"${S}\", password: 'hunter2', roels: 1 }";
        let span = span(text, "roels");
        span.source.hide([10..16, 28..37]);
        let (line, _, range) = span.excerpt();
        assert_eq!(line, "{ secret: \"${S}\", password: '***', roels: 1 }");
        assert_eq!(&line[range], "roels");
    }

    #[test]
    fn a_part_behind_a_secret_is_still_pointed_at() {
        let text = "- { password: hunter2, roels: [a] }";
        let span = span(text, "roels");
        span.source.hide(std::iter::once(14..21));
        let (line, number, range) = span.excerpt();
        assert_eq!((line.as_str(), number), ("- { password: ***, roels: [a] }", 1));
        assert_eq!(&line[range], "roels");
    }
}
