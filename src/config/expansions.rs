//! What variables were replaced by, so that no fault repeats it: the value may be a secret whatever
//! key it stands at.

use std::{borrow::Cow, fmt, ops::Range};

use super::{
    diagnostic::Diagnostic,
    source::{Span, mask},
};

/// From how many bytes on a value is looked for outside quotes too: a shorter one may be a word.
const TELLING: usize = 8;

/// From how many bytes on a value is looked for within a longer quotation.
const WITHIN: usize = 4;

/// Every scalar of a file in which a variable was replaced.
#[derive(Clone, Default)]
pub struct Expansions(Vec<Expansion>);

#[derive(Clone)]
struct Expansion {
    value: String,
    /// As it stands in the file; of a secret without what stands in clear.
    written: String,
    range: Range<usize>,
}

impl Expansions {
    /// Notes a scalar; `secret` is whether nothing of it is shown but the names of variables.
    pub(super) fn add(&mut self, value: &str, written: &str, secret: bool, range: Range<usize>) {
        let written = if secret { mask::as_written(written) } else { written.to_owned() };
        if !value.is_empty() && value != written {
            self.0.push(Expansion { value: value.to_owned(), written, range });
        }
    }

    /// Puts what was written in the place of what came of it, in all that a diagnostic says.
    pub(crate) fn conceal(&self, diagnostics: &mut [Diagnostic]) {
        if self.0.is_empty() {
            return;
        }
        for diagnostic in diagnostics {
            let mut places: Vec<Span> = diagnostic.span.iter().cloned().collect();
            places.extend(diagnostic.labels.iter().map(|(span, _)| span.clone()));
            let message = Some(&mut diagnostic.message).filter(|_| !diagnostic.fixed);
            let said = message.into_iter().chain(&mut diagnostic.help);
            for text in said.chain(diagnostic.labels.iter_mut().map(|(_, what)| what)) {
                if let Cow::Owned(concealed) = self.concealed(text, &places) {
                    *text = concealed;
                }
            }
        }
    }

    fn concealed<'t>(&self, text: &'t str, places: &[Span]) -> Cow<'t, str> {
        let pieces = text.split('`').enumerate();
        let pieces: Vec<_> = pieces
            .map(|(index, piece)| match index % 2 {
                0 => self.replaced(piece, TELLING),
                _ => self.quotation(piece, places),
            })
            .collect();
        match pieces.iter().all(|piece| matches!(piece, Cow::Borrowed(_))) {
            true => Cow::Borrowed(text),
            false => Cow::Owned(pieces.join("`")),
        }
    }

    /// A piece between backticks: a value, a part of one, or something with one in it.
    fn quotation<'t>(&self, piece: &'t str, places: &[Span]) -> Cow<'t, str> {
        let core = piece.strip_suffix('…').unwrap_or(piece);
        // What stands in the file in so many words is no secret of a variable.
        let literal = |place: &Span| place.source().slice(place.range()).contains(core);
        if core.is_empty() || places.iter().any(literal) {
            return Cow::Borrowed(piece);
        }
        let is_here = |one: &&Expansion| {
            let within = |place: &Span| {
                let place = place.range();
                one.range.start <= place.start && place.start < one.range.end
            };
            places.iter().any(within) && one.value.contains(core)
        };
        let cut = core.len() < piece.len();
        let whole = |one: &&Expansion| one.value == core || (cut && one.value.starts_with(core));
        match self.0.iter().find(whole).or_else(|| self.0.iter().find(is_here)) {
            Some(one) => Cow::Owned(one.written.clone()),
            None => self.replaced(piece, WITHIN),
        }
    }

    /// The text with every value of so many bytes or more as it was written.
    fn replaced<'t>(&self, text: &'t str, least: usize) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for one in &self.0 {
            if one.value.len() >= least && text.contains(&one.value) {
                text = Cow::Owned(text.replace(&one.value, &one.written));
            }
        }
        text
    }
}

impl fmt::Debug for Expansions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expansions").field("count", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{codes, source::Source};

    /// What a message about a place says in the end. The place is of a scalar `${PLAN}`, which
    /// stands for `hunter22/minut`, or of a word that stands in the file as it is.
    fn said(message: &str, place: Range<usize>) -> String {
        let source = Arc::new(Source::new("x", "plan: ${PLAN}\nrole: admin\n"));
        let mut expansions = Expansions::default();
        expansions.add("hunter22/minut", "${PLAN}", false, 6..13);
        expansions.add("admin", "${ROLE:-admin}", true, 90..91);
        let fault = Diagnostic::error(codes::INVALID_QUOTA, Span::new(&source, place), message);
        let mut faults = [fault.help(message)];
        expansions.conceal(&mut faults);
        let [fault] = faults;
        assert_eq!(fault.help.as_deref(), Some(fault.message.as_str()));
        fault.message
    }

    #[test]
    fn a_value_and_each_part_of_it_is_said_as_it_was_written() {
        assert_eq!(said("`hunter22/minut` is no quota", 6..13), "`${PLAN}` is no quota");
        assert_eq!(said("`minut` is no unit", 6..13), "`${PLAN}` is no unit");
        assert_eq!(said("`hunter22…` is no quota", 14..18), "`${PLAN}` is no quota");
        assert_eq!(said("route `GET /hunter22/minut`", 14..18), "route `GET /${PLAN}`");
        assert_eq!(said("there is hunter22/minut", 14..18), "there is ${PLAN}");
        assert_eq!(said("role `admin`", 0..4), "role `${ROLE:-***}`");
    }

    #[test]
    fn words_of_the_schema_are_said_whatever_a_variable_holds() {
        let source = Arc::new(Source::new("x", "level: ${LEVEL}\n"));
        let mut expansions = Expansions::default();
        expansions.add("warning", "${LEVEL}", false, 7..15);
        let message = "expected `error`, `warn` or `info`";
        let place = || Span::new(&source, 7..15);
        let fault = || Diagnostic::error(codes::INVALID_VALUE, place(), message);
        let mut faults = [fault().fixed().help("not `warning`"), fault()];
        expansions.conceal(&mut faults);
        assert_eq!(faults[0].message, message);
        assert_eq!(faults[0].help.as_deref(), Some("not `${LEVEL}`"));
        assert_eq!(faults[1].message, "expected `error`, `${LEVEL}` or `info`", "it may be a part");
    }

    #[test]
    fn what_stands_in_the_file_itself_is_said() {
        assert_eq!(said("role `admin` is not defined", 20..25), "role `admin` is not defined");
        assert_eq!(said("`minut` is no unit", 14..18), "`minut` is no unit");
        assert_eq!(said("the admin listener", 0..4), "the admin listener");
    }
}
