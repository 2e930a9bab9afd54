//! `when`: a condition in CEL, compiled at load and bounded by construction.
//!
//! Names, functions and regular expressions are checked when the file is loaded, and so is the
//! work that one evaluation can cost. What can still go wrong then is data: a claim that is not
//! there, a value of another type, a list that is too long. A condition that meets it has no
//! value, which never lets anybody in.
//!
//! The language behind it stays in this folder.

mod cost;
mod fault;
mod names;
mod outcome;
mod pattern;
mod values;

use std::{ops::Range, sync::LazyLock};

use cel::{
    Context, Env, IdedExpr, Value,
    common::{ast::SourceInfo, types::CelBool},
};
use http::HeaderName;

pub use fault::{ConditionFault, ConditionFaultKind};

use crate::{model::Timestamp, policy::scope::Scope};
use names::Reference;
use pattern::Pattern;
use values::{Reader, Trouble};

/// Bytes of an expression.
const MAX_SOURCE: usize = 4096;
/// How deep an expression may be nested: a level takes up to 40 KiB of stack to evaluate.
const MAX_DEPTH: usize = 24;
/// How deep comprehensions may be nested.
const MAX_LOOPS: usize = 2;
/// Items of a list or map that a request or principal brings.
const MAX_ITEMS: usize = 256;

/// A condition, compiled.
pub struct Condition {
    source: String,
    expression: IdedExpr,
    references: Vec<Reference>,
    patterns: Vec<Pattern>,
}

/// Why a condition has no value for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unevaluable {
    /// A query parameter that it reads comes twice, and an application may read either.
    #[error("a query parameter that it reads comes twice")]
    Duplicate,
    /// A value that is not there, or is of another type than it takes.
    #[error("{0}")]
    Fault(String),
    /// It came to something other than true or false.
    #[error("it is neither true nor false")]
    NotBoolean,
    /// A list or map has more items than an evaluation takes.
    #[error("a list or map has more than {MAX_ITEMS} items")]
    TooLong,
}

static ENV: LazyLock<std::sync::Arc<Env>> = LazyLock::new(|| std::sync::Arc::new(pattern::env()));
static ROOT: LazyLock<Context<'static, 'static>> =
    LazyLock::new(|| Context::with_env(std::sync::Arc::clone(&ENV)));

impl Condition {
    /// Compiles a condition of a route with these path parameters.
    pub fn compile<P: AsRef<str> + Sync>(
        source: &str,
        params: &[P],
    ) -> Result<Self, ConditionFault> {
        if source.len() > MAX_SOURCE {
            let kind = ConditionFaultKind::TooLarge { bytes: source.len() };
            return Err(ConditionFault { kind, span: 0..source.len() });
        }
        let params: Vec<&str> = params.iter().map(AsRef::as_ref).collect();
        // The parser recurses, at up to a hundred kilobytes of stack a level, before it counts.
        let compiled = std::thread::scope(|threads| {
            std::thread::Builder::new()
                .stack_size(64 << 20)
                .spawn_scoped(threads, || compile(source, &params))
                .map(|thread| thread.join())
        });
        match compiled {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => {
                let kind = ConditionFaultKind::Syntax("it cannot be parsed".to_owned());
                Err(ConditionFault { kind, span: 0..source.len() })
            }
        }
    }

    /// As written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it asks about the principal, and so does not hold without one.
    pub fn needs_principal(&self) -> bool {
        self.references.iter().any(Reference::needs_principal)
    }

    /// The request headers that it reads by name, which must reach the upstream as they were read.
    pub fn headers(&self) -> impl Iterator<Item = HeaderName> {
        let names = self.references.iter().filter_map(Reference::header);
        names.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
    }

    /// The path parameters that it reads, which must be the same in every reading of a path.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.references.iter().filter_map(Reference::param)
    }

    /// Whether it holds for a request.
    ///
    /// # Errors
    /// If it has no value: then it does not hold in `allow`, and denies in `deny`.
    pub fn holds(&self, scope: &Scope<'_>, now: Timestamp) -> Result<bool, Unevaluable> {
        let reader = Reader::new(&self.references, &self.patterns, scope, now);
        let value = self.evaluate(&reader);
        // Whatever came out: a value that was cut short or is ambiguous has decided nothing.
        match reader.trouble() {
            Some(Trouble::Duplicate) => Err(Unevaluable::Duplicate),
            Some(Trouble::TooLong) => Err(Unevaluable::TooLong),
            None => value,
        }
    }

    fn evaluate(&self, reader: &Reader<'_>) -> Result<bool, Unevaluable> {
        let mut context = ROOT.new_inner_scope();
        context.set_variable_resolver(reader);
        match Value::resolve_val(&self.expression, &context) {
            Ok(value) => match value.downcast_ref::<CelBool>() {
                Some(holds) => Ok(*holds.inner()),
                None => Err(Unevaluable::NotBoolean),
            },
            Err(error) => Err(Unevaluable::Fault(self.explain(&error))),
        }
    }

    /// The error in the words of the source: references stand in the expression by their number.
    /// Values are left out, which may be secrets.
    fn explain(&self, error: &cel::ExecutionError) -> String {
        match error {
            cel::ExecutionError::UndeclaredReference(name) => {
                let written = names::number(name, names::REFERENCE)
                    .and_then(|at| self.references.get(at))
                    .map_or_else(|| name.to_string(), ToString::to_string);
                format!("`{written}` has no value")
            }
            cel::ExecutionError::NoSuchKey(key) => format!("`{key}` is not there"),
            cel::ExecutionError::NoSuchOverload(_)
            | cel::ExecutionError::UnsupportedBinaryOperator(..)
            | cel::ExecutionError::ValuesNotComparable(..)
            | cel::ExecutionError::UnexpectedType { .. } => {
                "an operation does not take a value of this type".to_owned()
            }
            _ => "it fails to evaluate".to_owned(),
        }
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Condition").field(&self.source).finish()
    }
}

fn compile(source: &str, params: &[&str]) -> Result<Condition, ConditionFault> {
    let parsed = ENV.parser().parse_with_source_info(source);
    let (mut expression, positions) =
        parsed.map_err(|errors| fault::of_parser(source, &errors.errors))?;
    let mut names = names::Names::new(source, params, &positions);
    names.check(&mut expression)?;
    let (references, patterns) = names.into_parts();
    cost::check(&expression, &references)
        .map_err(|kind| ConditionFault { kind, span: 0..source.len() })?;
    if !outcome::may_be_boolean(&expression, &references) {
        let kind = ConditionFaultKind::NotBoolean;
        return Err(ConditionFault { kind, span: 0..source.len() });
    }
    Ok(Condition { source: source.to_owned(), expression, references, patterns })
}

/// Where a node stands in the source, in bytes.
fn span(source: &str, positions: &SourceInfo, id: u64) -> Range<usize> {
    let (start, stop) = positions.offset_for(id).unwrap_or((0, 0));
    let byte = |chars: u32| {
        let mut places = source.char_indices().map(|(at, _)| at);
        places.nth(chars as usize).unwrap_or(source.len())
    };
    let (start, stop) = (byte(start), byte(stop.saturating_add(1)));
    if start < stop { start..stop } else { 0..source.len() }
}

#[cfg(test)]
mod tests;
