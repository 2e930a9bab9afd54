//! Literal patterns as values of the language, compiled once, and the functions that conditions
//! may call.

use std::any::Any;

use cel::{
    Env, ExecutionError,
    common::{
        types::{CelBool, CelString, STRING_TYPE, Type},
        value::{CowVal, StaticVal, Val},
    },
};
use regex::{Regex, RegexBuilder};

/// The functions that conditions may call, beside the comprehensions and `has`.
pub(super) const FUNCTIONS: [&str; 24] = [
    "bool",
    "contains",
    "double",
    "duration",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "uint",
    // What comprehensions are made of.
    "@in",
    "@not_strictly_false",
];

/// The language: the standard library without optional values, and patterns.
pub(super) fn env() -> Env {
    let mut env = Env::stdlib().with_optional_support(false);
    // The only overload with this signature, so that it cannot be refused.
    let added = env.add_overload(
        "matches",
        "matches_compiled",
        vec![STRING_TYPE, Type::new_unspecified_type(PATTERN_NAME)],
        matches,
    );
    debug_assert!(added.is_ok());
    env
}

fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [text, pattern] = arguments.as_slice() else {
        return Err(ExecutionError::invalid_argument_count(2, arguments.len()));
    };
    match (text.downcast_ref::<CelString<'_>>(), pattern.downcast_ref::<Pattern>()) {
        (Some(text), Some(pattern)) => {
            Ok(CowVal::owned(CelBool::from(pattern.0.is_match(text.inner()))))
        }
        _ => Err(ExecutionError::missing_argument_or_target()),
    }
}

static PATTERN_TYPE: Type = Type::new_unspecified_type(PATTERN_NAME);
const PATTERN_NAME: &str = "portcullis.pattern";

/// A regular expression, compiled once.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern that takes time in proportion to the text, and bounded memory.
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(pattern).size_limit(1 << 20).dfa_size_limit(1 << 20).build();
        built.map(Self).map_err(|error| {
            // The last line says what is wrong; those before draw the pattern.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).trim().to_owned()
        })
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN_TYPE
    }

    fn cel_type() -> &'static Type {
        &PATTERN_TYPE
    }

    fn equals(&self, _other: &dyn Val) -> bool {
        false
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}
