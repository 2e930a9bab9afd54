//! What is found wrong, gathered until all of the file has been looked at.

use std::{borrow::Cow, ops::Range};

use crate::config::{
    diagnostic::Diagnostic,
    document::{Content, Site},
    source::Span,
    suggest,
};

/// Everything found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    found: Vec<Diagnostic>,
}

/// What was just found, to add to.
pub(super) struct Note<'f>(Option<&'f mut Diagnostic>);

impl Faults {
    /// The file cannot be used.
    pub fn fault(
        &mut self,
        code: &'static str,
        at: Site<'_>,
        message: impl Into<String>,
    ) -> Note<'_> {
        self.push(Diagnostic::error(code, at.span(), message))
    }

    /// It can, but is likely not meant so.
    pub fn warning(
        &mut self,
        code: &'static str,
        at: Site<'_>,
        message: impl Into<String>,
    ) -> Note<'_> {
        self.push(Diagnostic::warning(code, at.span(), message))
    }

    /// As [`Faults::fault`], pointing at a part of the text that stands there.
    pub fn fault_within(
        &mut self,
        code: &'static str,
        at: Site<'_>,
        part: &Range<usize>,
        message: impl Into<String>,
    ) -> Note<'_> {
        self.push(Diagnostic::error(code, span_of_part(at, part), message))
    }

    /// Whether something was found for which the file cannot be used.
    pub fn any_fault(&self) -> bool {
        self.found.iter().any(Diagnostic::is_error)
    }

    /// Everything that was found.
    pub fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }

    fn push(&mut self, diagnostic: Diagnostic) -> Note<'_> {
        self.found.push(diagnostic);
        Note(self.found.last_mut())
    }
}

impl Note<'_> {
    /// Adds how to mend it.
    pub fn help(self, help: impl Into<String>) -> Self {
        self.change(|found| found.help = Some(help.into()))
    }

    /// Adds another place that it has to do with.
    pub fn beside(self, at: Site<'_>, what: &str) -> Self {
        self.change(|found| found.labels.push((at.span(), what.to_owned())))
    }

    fn change(mut self, change: impl FnOnce(&mut Diagnostic)) -> Self {
        if let Some(found) = &mut self.0 {
            change(found);
        }
        self
    }
}

/// A name that is not defined: the nearest that is, and where such names are defined.
pub(super) fn undefined<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
    defined: &str,
) -> String {
    match suggest::nearest(name, known.map(Cow::Borrowed)) {
        Some(near) => format!("did you mean `{near}`? {defined}"),
        // Alone it is no sentence behind another.
        None => {
            let mut letters = defined.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

/// The place of a part of a text. Where the text was written with escapes or over several lines,
/// the place of the whole.
fn span_of_part(at: Site<'_>, part: &Range<usize>) -> Span {
    let whole = at.span();
    let Content::Scalar(text, _) = at.content() else { return whole };
    let range = whole.range();
    let written = whole.source().slice(range.clone());
    let quote = written.len().checked_sub(text.len()).filter(|more| *more <= 2).unwrap_or(0) / 2;
    if written.get(quote..quote + text.len()) != Some(text) {
        return whole;
    }
    let start = range.start + quote;
    whole.narrowed(start + part.start..start + part.end)
}
