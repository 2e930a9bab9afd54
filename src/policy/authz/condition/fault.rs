//! Why a text is no condition.

use std::ops::Range;

use cel::ParseError;

/// Why a text is no condition, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ConditionFault {
    /// Why.
    pub kind: ConditionFaultKind,
    /// The offending bytes of the text; all of it where no place can be told.
    pub span: Range<usize>,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionFaultKind {
    /// One evaluation could take too long.
    #[error("it could take too many steps: loop over fewer lists, or look for less in each")]
    Costly,
    /// It is nested too deeply.
    #[error("it is nested too deeply: split it into several blocks, or use `in [...]`")]
    Deep,
    /// It could build too large a value.
    #[error("it could build a value of many megabytes: do not collect lists within lists")]
    Large,
    /// Comprehensions within comprehensions within comprehensions.
    #[error("`all`, `exists`, `map` and their like may be nested twice at most")]
    Loops,
    /// A loop over more items than a list may have.
    #[error("it loops over more than 256 items")]
    LongList,
    /// A name that stands for several values.
    #[error("`{name}` has no value of its own: name one of its members, as in `{name}.{member}`")]
    NoValue {
        /// As written.
        name: String,
        /// One that it has.
        member: String,
    },
    /// A text, number, time, list or map.
    #[error("it is neither true nor false, whatever the request: compare it with something")]
    NotBoolean,
    /// A pattern that is made by the expression.
    #[error("the pattern of `matches` must be a literal")]
    PatternNotLiteral,
    /// A pattern that is none.
    #[error("`{pattern}` is no regular expression: {why}")]
    PatternMalformed {
        /// As written.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// Not CEL.
    #[error("{0}")]
    Syntax(String),
    /// Too many bytes.
    #[error("it has {bytes} bytes; at most 4096 are taken")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// A function that is not there.
    #[error("there is no function `{name}` of this form")]
    UnknownFunction {
        /// As written.
        name: String,
        /// All that there are.
        known: Vec<String>,
    },
    /// A name that is not there.
    #[error("`{name}` is no name that a condition can use")]
    UnknownName {
        /// As written.
        name: String,
        /// All that could have been meant.
        known: Vec<String>,
    },
    /// A header name in upper case.
    #[error("header names are written in lower case here: `{0}`")]
    UpperCaseHeader(String),
}

/// The parser's first complaint, with its place.
pub(super) fn of_parser(source: &str, errors: &[ParseError]) -> ConditionFault {
    let Some(error) = errors.first() else {
        let kind = ConditionFaultKind::Syntax("it cannot be parsed".to_owned());
        return ConditionFault { kind, span: 0..source.len() };
    };
    // Everything behind the first clause is a dump of the parser's state.
    let text = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    let first = text.split(['\n', ';']).next().unwrap_or_default();
    let message = if first.is_empty() || first.contains("OtherError") {
        "it is nested too deeply or is not complete"
    } else {
        first
    };
    let (line, column) = error.pos;
    let start = usize::try_from(line)
        .ok()
        .and_then(|line| line.checked_sub(1))
        .and_then(|above| {
            let begin: usize = source.split_inclusive('\n').take(above).map(str::len).sum();
            let column = usize::try_from(column).ok()?.saturating_sub(1);
            let rest = source.get(begin..)?;
            Some(begin + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
        })
        .filter(|start| *start < source.len());
    let span = match start {
        Some(start) => start..start + source.get(start..).map_or(0, first_char_len),
        None => 0..source.len(),
    };
    ConditionFault { kind: ConditionFaultKind::Syntax(message.to_owned()), span }
}

fn first_char_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}
