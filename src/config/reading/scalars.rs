//! Scalars: `${NAME}` replaced, then read as what the key wants.

use std::{borrow::Cow, ops::Range};

use serde_yaml::Value;

use super::{Here, NamedFile, Reader, Step};
use crate::config::{
    codes,
    diagnostic::{Diagnostic, quoted},
    document::Style,
    scalar::{Scalar, VariableFault, expand, resolve},
    shape::Shape,
    source::{Span, mask},
    suggest,
    values::{Rule, StoreUrl, ValueFault, Written as _},
};

/// A scalar that is being read.
struct Given<'t> {
    /// As it stands in the file.
    written: &'t str,
    /// With variables replaced.
    text: Cow<'t, str>,
    /// Whether any were.
    expanded: bool,
    /// What it is as it stands, variables aside.
    scalar: Scalar,
    /// Whether it is never shown.
    hidden: bool,
    range: Range<usize>,
}

/// Why a choice does not take the scalar.
enum Refusal<'s> {
    /// It is of another type.
    Other,
    /// It is a number beyond the bounds.
    Beyond(&'static str, String),
    /// It is not in the notation.
    Notation(&'s Rule, ValueFault),
    /// It is none of the words.
    Words,
}

impl<'d> Reader<'d, '_> {
    pub(super) fn scalar(
        &mut self,
        here: &Here<'d, '_>,
        shape: &Shape,
        written: &str,
        style: Style,
    ) -> Option<Value> {
        let scalar = resolve(written, style);
        if scalar == Scalar::Null {
            return self.null(here, shape, written);
        }
        let range = here.site.range();
        // A username and a password in a URL are secret wherever they stand, and so may be what
        // stands where a digest or a mapping with secrets is meant.
        let misplaced = || {
            let fits = |choice: &Shape| match choice {
                Shape::Text(Some(rule)) => (rule.judge)(written).is_ok(),
                _ => false,
            };
            (shape.keeps_secret() || shape.keeps_secrets_within())
                && !shape.choices().iter().any(fits)
        };
        let hidden = shape.is_secret() || mask::is_url_with_user(written) || misplaced();
        if hidden {
            self.secrets.push(range.clone());
        }
        let (text, expanded) = match shape.expands().then(|| expand(written, self.environment)) {
            None | Some(Ok(None)) => (Cow::Borrowed(written), false),
            Some(Ok(Some(text))) => {
                self.expansions.add(&text, written, hidden, range.clone());
                (Cow::Owned(text), true)
            }
            Some(Err(fault)) => return self.variable(&range, fault),
        };
        let given = Given { written, text, expanded, scalar, hidden, range };
        let mut refusals = Vec::new();
        for choice in shape.choices() {
            match given.fit(choice) {
                Ok(value) => return self.accept(&given, choice, value),
                Err(refusal) => refusals.push(refusal),
            }
        }
        self.refuse(shape, &given, refusals);
        None
    }

    /// A value that fits; what remains is whether it may be empty, and the files that it names.
    fn accept(&mut self, given: &Given<'_>, choice: &Shape, value: Value) -> Option<Value> {
        let Shape::Text(Some(rule)) = choice else { return Some(value) };
        if rule.format == crate::config::values::FilePath::FORMAT {
            let is_secret = matches!(self.path.last(), Some(Step::Key("file")));
            self.files.push(NamedFile {
                path: given.text.clone().into_owned(),
                range: given.range.clone(),
                key: self.path_text(),
                filled: is_secret && !self.may_be_empty,
            });
        }
        if rule.secret && given.text.is_empty() && !self.may_be_empty {
            let fault = self.error(codes::EMPTY_SECRET, given.range.clone(), "the secret is empty");
            self.note(match given.expanded {
                true => fault.help(format!("{} expands to nothing", quoted(given.written))),
                false => fault,
            });
            return None;
        }
        let in_clear = rule.in_clear || StoreUrl::has_password(rule, &given.text);
        let in_clear = rule.secret && in_clear && !given.expanded && !given.text.is_empty();
        if in_clear {
            let span = Span::new(self.document.source(), given.range.clone());
            let message = "a secret stands in clear in the file";
            let warning = Diagnostic::warning(codes::SECRET_IN_CLEAR, span, message);
            self.note(warning.help("write `${NAME}` and set that variable, or `{ file: PATH }`"));
        }
        Some(value)
    }

    fn refuse(&mut self, shape: &Shape, given: &Given<'_>, refusals: Vec<Refusal<'_>>) {
        let words = shape.choices().iter().flat_map(|choice| match choice {
            Shape::Word(words) => words.as_slice(),
            _ => &[],
        });
        let near = suggest::nearest(given.written, words.map(|word| word.as_str().into()));
        let near = near.filter(|_| !given.expanded).map(|near| format!("did you mean `{near}`?"));
        let mut worded = false;
        for refusal in refusals {
            match refusal {
                Refusal::Beyond(code, message) => {
                    let fault = self.error(code, given.range.clone(), message);
                    return self.note(fault.fixed());
                }
                Refusal::Notation(rule, fault) => return self.notation(given, rule, fault, near),
                Refusal::Words => worded = true,
                Refusal::Other => {}
            }
        }
        let code = if worded { codes::INVALID_VALUE } else { codes::WRONG_TYPE };
        let message = given.instead_of(&shape.expected());
        let fault = self.error(code, given.range.clone(), message).fixed();
        let help = near.or_else(|| given.advice(shape));
        self.note(match help {
            Some(help) => fault.help(help),
            None => fault,
        });
    }

    fn notation(
        &mut self,
        given: &Given<'_>,
        rule: &Rule,
        fault: ValueFault,
        near: Option<String>,
    ) {
        // What a variable holds is not repeated.
        let repeats = |reason: &String| !given.text.is_empty() && reason.contains(&*given.text);
        let reason = fault.reason.filter(|reason| !given.expanded || !repeats(reason));
        let diagnostic = match reason {
            Some(reason) => self.error(fault.code, given.range.clone(), reason),
            None => {
                let message = given.instead_of(rule.expects);
                self.error(fault.code, given.range.clone(), message).fixed()
            }
        };
        let help = near.or(fault.help).filter(|_| !given.expanded);
        self.note(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
    }

    fn null(&mut self, here: &Here<'d, '_>, shape: &Shape, written: &str) -> Option<Value> {
        let range = if written.is_empty() { here.head() } else { here.site.range() };
        let message = match here.key {
            Some(key) => format!("{} has no value", quoted(key.name)),
            None => "the item has no value".to_owned(),
        };
        let fault = self.error(codes::NULL_VALUE, range, message);
        let switch = shape.choices().iter().any(|choice| matches!(choice, Shape::False));
        let help = match switch {
            true => "give it a value, write `false` to switch it off, or remove the line",
            false => "give it a value, or remove the line; `[]` and `{}` are values",
        };
        self.note(fault.help(help));
        None
    }

    fn variable(&mut self, range: &Range<usize>, fault: VariableFault) -> Option<Value> {
        let written = self.document.source().slice(range.clone());
        match fault {
            VariableFault::Malformed => {
                let message = "`${…}` is not `${NAME}` or `${NAME:-default}`";
                let fault = self.error(codes::INVALID_VARIABLE, range.clone(), message);
                self.note(fault.help("write `$${` for a literal `${`"));
            }
            VariableFault::Unset(name) => {
                let variable = format!("${{{name}}}");
                let at = written.find(&variable).map_or(range.clone(), |at| {
                    let start = range.start + at;
                    start..start + variable.len()
                });
                let message = format!("the environment variable {} is not set", quoted(&name));
                let fault = self.error(codes::UNSET_VARIABLE, at, message);
                self.note(fault.help(format!("set it, or give a default: `${{{name}:-default}}`")));
            }
        }
        None
    }
}

impl Given<'_> {
    fn fit<'s>(&self, choice: &'s Shape) -> Result<Value, Refusal<'s>> {
        match choice {
            Shape::Any => self.as_it_is(),
            Shape::Boolean => self.boolean().map(Value::Bool).ok_or(Refusal::Other),
            Shape::False => match self.boolean() {
                Some(false) => Ok(Value::Bool(false)),
                _ => Err(Refusal::Other),
            },
            Shape::Integer { least, most, words } => {
                let number = self.whole().ok_or(Refusal::Other)?;
                let fits = (*least..=*most).contains(&number);
                if fits && (words.is_empty() || words.contains(&number)) {
                    return Ok(number.into());
                }
                let (code, expected) = match (words.is_empty(), *most) {
                    (false, _) => (codes::INVALID_VALUE, choice.expected()),
                    (true, i64::MAX) => {
                        (codes::OUT_OF_RANGE, format!("a number of {least} or more"))
                    }
                    (true, most) => {
                        (codes::OUT_OF_RANGE, format!("a number from {least} to {most}"))
                    }
                };
                Err(Refusal::Beyond(code, self.instead_of(&expected)))
            }
            Shape::List { .. } | Shape::Map { .. } | Shape::Object(_) | Shape::OneOf(_) => {
                Err(Refusal::Other)
            }
            Shape::Text(rule) => self.text(*rule),
            Shape::Word(words) => match self.is_text() {
                true if words.iter().any(|word| **word == *self.text) => {
                    Ok(self.text.as_ref().into())
                }
                true => Err(Refusal::Words),
                false => Err(Refusal::Other),
            },
        }
    }

    /// A value of whatever type it looks like.
    fn as_it_is(&self) -> Result<Value, Refusal<'static>> {
        match self.scalar {
            Scalar::Boolean(yes) => Ok(yes.into()),
            Scalar::Null => Err(Refusal::Other),
            Scalar::Number => {
                self.text.parse::<f64>().map_or(Err(Refusal::Other), |number| Ok(number.into()))
            }
            Scalar::Text => Ok(self.text.as_ref().into()),
            Scalar::Whole(number) => Ok(number.into()),
        }
    }

    fn text(&self, rule: Option<&'static Rule>) -> Result<Value, Refusal<'static>> {
        let Some(rule) = rule else {
            return self.is_text().then(|| self.text.as_ref().into()).ok_or(Refusal::Other);
        };
        if self.is_text() || rule.numeric {
            let judged = (rule.judge)(&self.text);
            return judged
                .map(|()| self.text.as_ref().into())
                .map_err(|fault| Refusal::Notation(rule, fault));
        }
        match self.scalar {
            // A number may just lack its unit: what its notation says is the better advice.
            Scalar::Number | Scalar::Whole(_) => match (rule.judge)(&self.text) {
                Err(fault) if fault.reason.is_some() => Err(Refusal::Notation(rule, fault)),
                _ => Err(Refusal::Other),
            },
            _ => Err(Refusal::Other),
        }
    }

    /// How to mend a value of the wrong type.
    fn advice(&self, shape: &Shape) -> Option<String> {
        if self.expanded || self.hidden {
            return None;
        }
        let takes = |kind: fn(&Shape) -> bool| shape.choices().iter().any(kind);
        let number = takes(|choice| matches!(choice, Shape::Integer { .. }));
        let boolean = takes(|choice| matches!(choice, Shape::Boolean));
        let written = self.written;
        match self.scalar {
            Scalar::Boolean(true) if takes(|choice| matches!(choice, Shape::False)) => Some(
                "`false` switches it off; to have it, remove the key or write its settings".into(),
            ),
            Scalar::Text if number && written.parse::<i64>().is_ok() => {
                Some("write the number without quotes".into())
            }
            Scalar::Text if boolean && written.parse::<bool>().is_ok() => {
                Some(format!("write `{written}` without quotes"))
            }
            Scalar::Text if takes(is_list_of_text) => {
                Some(format!("write a list: `[{}]`", quoted(written).trim_matches('`')))
            }
            Scalar::Boolean(_) | Scalar::Number | Scalar::Whole(_)
                if shape.choices().iter().any(|choice| self.would_be(choice)) =>
            {
                Some(format!("for text, put it in quotes: `\"{written}\"`"))
            }
            Scalar::Text => {
                let key = shape.choices().iter().find_map(main_key)?;
                Some(format!(
                    "write a mapping: `{{ {key}: {} }}`",
                    quoted(written).trim_matches('`')
                ))
            }
            _ => None,
        }
    }

    /// Whether it would be right as text.
    fn would_be(&self, shape: &Shape) -> bool {
        match shape {
            Shape::Text(Some(rule)) => (rule.judge)(self.written).is_ok(),
            Shape::Text(None) => true,
            _ => false,
        }
    }

    fn is_text(&self) -> bool {
        self.expanded || self.scalar == Scalar::Text
    }

    fn boolean(&self) -> Option<bool> {
        match self.scalar {
            _ if self.expanded => self.text.trim().parse().ok(),
            Scalar::Boolean(value) => Some(value),
            _ => None,
        }
    }

    fn whole(&self) -> Option<i64> {
        match self.scalar {
            _ if self.expanded => self.text.trim().parse().ok(),
            Scalar::Whole(number) => Some(number),
            _ => None,
        }
    }

    /// "expected …, found …", without what must not be shown: what is expected is of the schema, and
    /// what was found stands in the file.
    fn instead_of(&self, expected: &str) -> String {
        match self.scalar {
            _ if self.hidden => format!("expected {expected}"),
            _ if self.expanded => {
                format!(
                    "expected {expected}, but {} expands to something else",
                    quoted(self.written)
                )
            }
            Scalar::Boolean(_) | Scalar::Number | Scalar::Whole(_) | Scalar::Null => {
                format!("expected {expected}, found {}", self.written)
            }
            Scalar::Text => format!("expected {expected}, found {}", quoted(self.written)),
        }
    }
}

fn is_list_of_text(shape: &Shape) -> bool {
    matches!(shape, Shape::List { item, .. } if matches!(**item, Shape::Text(_)))
}

/// The key of a mapping that has just one required key, of text.
fn main_key(shape: &Shape) -> Option<&str> {
    let Shape::Object(object) = shape else { return None };
    let mut required = object.keys.iter().filter(|(_, property)| property.required);
    let (key, property) = required.next()?;
    let text = property.shape.choices().iter().any(|choice| matches!(choice, Shape::Text(_)));
    (required.next().is_none() && text).then_some(key)
}
