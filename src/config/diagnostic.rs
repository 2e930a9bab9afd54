//! A fault in the file: where, what, and how to mend it. For people with the place underlined,
//! for scripts as JSON.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Report, Snippet};
use serde_json::{Map, Value};

use super::{
    codes,
    source::{Position, Span},
};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but is likely not meant so.
    Warning,
}

impl Severity {
    /// As it stands in the JSON form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A fault in the file.
#[derive(Clone, Debug)]
#[must_use]
pub struct Diagnostic {
    /// What kind of fault; one of [`codes::ALL`](super::codes::ALL).
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: one line, lower case, no full stop.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Where. Absent where the file as a whole is meant.
    pub span: Option<Span>,
    /// Other places that it has to do with, with what they are.
    pub labels: Vec<(Span, String)>,
    /// Whether its message repeats nothing that a variable holds, whatever words are in it.
    pub(super) fixed: bool,
}

impl Diagnostic {
    /// A fault that makes the file unusable.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            help: None,
            span: Some(span),
            labels: Vec::new(),
            fixed: false,
        }
    }

    /// A likely mistake.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// A fault of the file as a whole.
    pub fn of_file(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            help: None,
            span: None,
            labels: Vec::new(),
            fixed: false,
        }
    }

    /// Adds how to mend it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place that it has to do with.
    pub fn label(mut self, span: Span, what: impl Into<String>) -> Self {
        self.labels.push((span, what.into()));
        self
    }

    /// Says that its message repeats nothing that a variable holds: all in it is of the schema, or
    /// stands in the file.
    pub(super) fn fixed(self) -> Self {
        Self { fixed: true, ..self }
    }

    /// Whether the file cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The stable form for scripts. Lines and columns count from 1, columns in characters.
    pub fn to_json(&self) -> Value {
        let place = |span: &Span| {
            let (start, end) = (span.start(), span.end());
            Map::from_iter([
                ("file".to_owned(), span.source().name().into()),
                ("line".to_owned(), start.line.into()),
                ("column".to_owned(), start.column.into()),
                ("end_line".to_owned(), end.line.into()),
                ("end_column".to_owned(), end.column.into()),
                ("text".to_owned(), span.shown().into()),
            ])
        };
        let label = |(span, what): &(Span, String)| {
            let mut label = place(span);
            label.insert("message".to_owned(), what.as_str().into());
            Value::Object(label)
        };
        let mut object = self.span.as_ref().map(place).unwrap_or_default();
        object.insert("id".to_owned(), self.code.into());
        object.insert("code".to_owned(), self.code.into());
        object.insert("severity".to_owned(), self.severity.as_str().into());
        object.insert("message".to_owned(), self.message.as_str().into());
        object.insert("help".to_owned(), self.help.as_deref().into());
        object.insert("labels".to_owned(), self.labels.iter().map(label).collect());
        Value::Object(object)
    }

    /// The form for people: message, place, the line with the place underlined, help.
    pub fn to_text(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(printable(&self.message)).id(self.code);
        let mut group = title.elements(None::<Origin<'_>>);
        let mut columns = Vec::new();
        let primary = self.span.iter().map(|span| (span, AnnotationKind::Primary, None));
        let others = self
            .labels
            .iter()
            .map(|(span, what)| (span, AnnotationKind::Context, Some(printable(what))));
        for (span, kind, what) in primary.chain(others) {
            let (line, number, range) = span.excerpt();
            columns
                .push((span, line.get(..range.start).map_or(0, |left| left.chars().count()) + 1));
            let snippet = Snippet::source(line).line_start(number).path(span.source().name());
            group = group.element(snippet.annotation(kind.span(range).label(what)));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(printable(help)));
        }
        let report: Report<'_> = &[group];
        let mut text = renderer.render(report);
        for (span, shown) in columns {
            // A masked secret moves what stands behind it; the place is that of the file.
            let Position { line, column } = span.start();
            if shown != column {
                let name = span.source().name();
                let masked = format!("{name}:{line}:{shown}");
                text = text.replacen(&masked, &format!("{name}:{line}:{column}"), 1);
            }
        }
        text.push('\n');
        text
    }
}

/// All of them for people, an empty line between two.
pub fn to_text(diagnostics: &[Diagnostic], coloured: bool) -> String {
    let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
    let texts: Vec<_> = diagnostics.iter().map(|fault| fault.to_text(&renderer)).collect();
    texts.join("\n")
}

/// Sorts by place; what has none comes first. Of two that are alike, as aliases make them, one
/// stays. What does not say how to mend it gets the general word for its code.
pub fn finish(diagnostics: &mut Vec<Diagnostic>) {
    for diagnostic in diagnostics.iter_mut().filter(|one| one.help.is_none()) {
        diagnostic.help = codes::remedy(diagnostic.code).map(str::to_owned);
    }
    diagnostics.sort_by(|a, b| {
        let place = |fault: &Diagnostic| {
            fault.span.as_ref().map(|span| (span.source().name().to_owned(), span.range().start))
        };
        place(a).cmp(&place(b))
    });
    diagnostics.dedup_by(|a, b| {
        let range = |fault: &Diagnostic| fault.span.as_ref().map(Span::range);
        a.code == b.code && a.message == b.message && range(a) == range(b)
    });
}

/// Text of the file for a message: in backticks, on one line, short, without control characters.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).flat_map(visible).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn visible(character: char) -> impl Iterator<Item = char> {
    let (escaped, plain) = match character {
        c if c.is_control() || is_invisible(c) => (Some(c.escape_default()), None),
        c => (None, Some(c)),
    };
    escaped.into_iter().flatten().chain(plain)
}

/// Characters that reorder or hide what a terminal shows.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn printable(text: &str) -> String {
    text.chars().flat_map(visible).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::config::source::Source;

    fn fault(text: &str, part: &str) -> Diagnostic {
        let source = Arc::new(Source::new("gateway.yaml", text));
        let start = text.find(part).unwrap();
        let span = Span::new(&source, start..start + part.len());
        Diagnostic::error(codes::UNKNOWN_KEY, span, format!("unknown key {}", quoted(part)))
            .help("did you mean `roles`?")
    }

    #[test]
    fn the_text_form_underlines_the_place() {
        let text = "users:\n  - username: alice\n    roels: [admin]\n";
        insta::assert_snapshot!(to_text(&[fault(text, "roels")], false), @r"
        error[unknown-key]: unknown key `roels`
         --> gateway.yaml:3:5
          |
        3 |     roels: [admin]
          |     ^^^^^
          |
          = help: did you mean `roles`?
        ");
    }

    #[test]
    fn another_place_is_shown_with_what_it_is() {
        let first = fault("admin: 1\nlog: 2\nadmin: 3\n", "admin");
        let source = Arc::new(Source::new("gateway.yaml", "admin: 1\nlog: 2\nadmin: 3\n"));
        let fault = first.label(Span::new(&source, 16..21), "again here");
        insta::assert_snapshot!(to_text(&[fault], false), @r"
        error[unknown-key]: unknown key `admin`
         --> gateway.yaml:1:1
          |
        1 | admin: 1
          | ^^^^^
          |
         ::: gateway.yaml:3:1
          |
        3 | admin: 3
          | ----- again here
          |
          = help: did you mean `roles`?
        ");
    }

    #[test]
    fn the_json_form_names_the_place() {
        let json = fault("a: 1\nroels: 1\n", "roels").to_json();
        assert_eq!(
            json,
            json!({
                "id": "unknown-key", "code": "unknown-key", "severity": "error", "message": "unknown key `roels`",
                "help": "did you mean `roles`?", "file": "gateway.yaml", "line": 2, "column": 1,
                "end_line": 2, "end_column": 6, "text": "roels", "labels": [],
            })
        );
    }

    #[test]
    fn text_of_the_file_cannot_steer_the_terminal() {
        let fault = fault("a\u{1b}[31mb: 1", "a\u{1b}[31mb");
        let text = to_text(&[fault], false);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("`a\\u{1b}[31mb`"), "{text}");
    }

    #[test]
    fn a_place_behind_a_masked_secret_keeps_its_column() {
        let text = "x: { secret: hunter2hunter2, roels: 1 }";
        let fault = fault(text, "roels");
        fault.span.as_ref().unwrap().source().hide(std::iter::once(13..27));
        let shown = to_text(&[fault], false);
        assert!(shown.contains("gateway.yaml:1:30"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
