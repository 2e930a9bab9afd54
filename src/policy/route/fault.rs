//! Why no route was found for a request. Refusals of the request, not faults of the file.

use http::Method;
use thiserror::Error;

use crate::policy::decision::Denial;

/// Why a request falls under no route.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RouteFault {
    /// An override header or `_method` names a method of another route, or the method is written in
    /// small letters: `ambiguous_method`.
    #[error("apps could take the method for one that does not fall under the same route")]
    AmbiguousMethod,
    /// The path has readings that this gateway will not choose between: `ambiguous_path`.
    #[error("{0}")]
    AmbiguousPath(Ambiguity),
    /// The Host header is no host: `bad_request`.
    #[error("the host is malformed")]
    MalformedHost,
    /// The target is neither `/…`, an absolute URI nor `*`: `bad_request`.
    #[error("the request target is malformed")]
    MalformedTarget,
    /// The most specific pattern has no route for the method: `method_not_allowed`.
    #[error("the path has no route for the method")]
    MethodNotAllowed {
        /// The methods that it has routes for, as `Allow` lists them.
        allow: Vec<Method>,
    },
    /// No pattern matches: `no_route`.
    #[error("no route matches")]
    NoRoute,
}

/// What makes a path ambiguous: the exact cause, for the log and `explain`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Ambiguity {
    /// NUL or a control character or raw whitespace, raw or encoded once or twice.
    #[error("the path holds a control character")]
    ControlCharacter,
    /// A `.` or `..` segment, in whatever spelling.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// A visible ASCII character is percent-encoded in a segment that a literal matched.
    #[error("the path encodes a character of a literal segment")]
    EncodedLiteral,
    /// `#` in the request target.
    #[error("the request target holds a fragment")]
    Fragment,
    /// `%` without two hexadecimal digits, or a character encoded longer than UTF-8 allows.
    #[error("the path holds an invalid percent-encoding")]
    InvalidEncoding,
    /// A byte outside ASCII that is not percent-encoded.
    #[error("the path holds a byte outside ASCII")]
    NonAscii,
    /// Another reading of the path falls under another route, or under none.
    #[error("the path can be read as `{reading}`, which another route governs")]
    OtherRoute {
        /// That reading, with control and non-ASCII bytes escaped.
        reading: String,
    },
    /// A path parameter that the route's policy uses differs in another reading.
    #[error("the parameter `{name}` has another value when the path is read as `{reading}`")]
    ParameterDiffers {
        /// The parameter's name.
        name: String,
        /// That reading, with control and non-ASCII bytes escaped.
        reading: String,
    },
    /// A path parameter that the route's policy uses is not UTF-8.
    #[error("the parameter `{name}` is not text")]
    ParameterNotText {
        /// The parameter's name.
        name: String,
    },
    /// What a rewrite or `strip_prefix` made does not begin with exactly one `/`.
    #[error("the path does not begin with a single slash")]
    Start,
    /// The path has more than 64 distinct readings.
    #[error("the path has too many readings")]
    TooManyReadings,
}

impl Ambiguity {
    /// The cause without what the client wrote, for the log.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ControlCharacter => "control_character",
            Self::DotSegment => "dot_segment",
            Self::EncodedLiteral => "encoded_literal",
            Self::Fragment => "fragment",
            Self::InvalidEncoding => "invalid_encoding",
            Self::NonAscii => "non_ascii",
            Self::OtherRoute { .. } => "other_route",
            Self::ParameterDiffers { .. } => "parameter_differs",
            Self::ParameterNotText { .. } => "parameter_not_text",
            Self::Start => "start",
            Self::TooManyReadings => "too_many_readings",
        }
    }
}

impl From<RouteFault> for Denial {
    fn from(fault: RouteFault) -> Self {
        match fault {
            RouteFault::AmbiguousMethod => Self::AmbiguousMethod,
            RouteFault::AmbiguousPath(ambiguity) => Self::AmbiguousPath { why: ambiguity.reason() },
            RouteFault::MalformedHost => Self::BadRequest { why: "The host is malformed" },
            RouteFault::MalformedTarget => {
                Self::BadRequest { why: "The request target is malformed" }
            }
            RouteFault::MethodNotAllowed { allow } => Self::MethodNotAllowed { allow },
            RouteFault::NoRoute => Self::NoRoute,
        }
    }
}

impl From<Ambiguity> for RouteFault {
    fn from(ambiguity: Ambiguity) -> Self {
        Self::AmbiguousPath(ambiguity)
    }
}
