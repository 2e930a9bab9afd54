//! The path that goes upstream, where it is not the path that came.
//!
//! What `strip_prefix` and `rewrite` make is judged once more: authorization looked at the path
//! that came, and a path put together afterwards must not say something else.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use super::{
    Template,
    template::{Name, Part, TemplateValue},
};
use crate::policy::{
    Denial,
    route::{Ambiguity, PathPattern, PatternFault, Segment, Tail, spelling},
    scope::Scope,
};

/// All but the unreserved characters of RFC 3986, section 2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What becomes of the path. The prefix goes first; a rewrite makes the path anew.
#[derive(Debug, Default)]
pub struct PathPlan {
    /// What is cut from its beginning.
    pub strip_prefix: Option<PathPrefix>,
    /// What it is replaced by.
    pub rewrite: Option<Template>,
}

/// Why a path that was made may not go upstream: 400 `ambiguous_path`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PathFault {
    /// What came out is ambiguous by itself.
    #[error("{0}")]
    Ambiguous(#[from] Ambiguity),
    /// A value that stands for one segment is empty, `.` or `..`.
    #[error("a value in the path is empty or a dot segment")]
    Value,
}

impl From<PathFault> for Denial {
    fn from(fault: PathFault) -> Self {
        let why = match &fault {
            PathFault::Ambiguous(ambiguity) => ambiguity.reason(),
            PathFault::Value => "rewritten_value",
        };
        Self::AmbiguousPath { why }
    }
}

/// Whole segments from the beginning of a path: `/api/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPrefix {
    segments: Box<[Box<str>]>,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PrefixFault {
    /// A parameter or `**`.
    #[error("a prefix is literal text, without parameters")]
    Parameter,
    /// The text is no path template either.
    #[error("{0}")]
    Pattern(#[from] PatternFault),
    /// `/` alone.
    #[error("the prefix `/` strips nothing")]
    Root,
}

impl PathPrefix {
    /// Parses a prefix, written like the literal beginning of a template.
    ///
    /// # Errors
    /// What is no template, has parameters, or strips nothing.
    pub fn parse(text: &str) -> Result<Self, PrefixFault> {
        let pattern = PathPattern::parse(text)?;
        if pattern.tail() != &Tail::End {
            return Err(PrefixFault::Parameter);
        }
        let literal = |segment: &Segment| match segment {
            Segment::Literal(text) => Ok(text.clone()),
            Segment::Parameter(_) => Err(PrefixFault::Parameter),
        };
        let segments: Vec<Box<str>> =
            pattern.segments().iter().map(literal).collect::<Result<_, _>>()?;
        match segments.is_empty() {
            true => Err(PrefixFault::Root),
            false => Ok(Self { segments: segments.into() }),
        }
    }

    /// The received path without the prefix, still as it came; a prefix stripped whole leaves
    /// `/`. A path that does not begin with the prefix is left alone.
    ///
    /// # Errors
    /// What is left is ambiguous by itself.
    pub fn strip<'r>(&self, path: &'r str) -> Result<&'r str, PathFault> {
        let mut left = path;
        for segment in &self.segments {
            let Some(rest) = left.strip_prefix('/') else {
                return Ok(path);
            };
            let end = rest.find('/').unwrap_or(rest.len());
            let (received, rest) = rest.split_at(end);
            if !spelling::reads(received, segment) {
                return Ok(path);
            }
            left = rest;
        }
        let left = if left.is_empty() { "/" } else { left };
        refuse_ambiguous(left)?;
        Ok(left)
    }
}

impl PathPlan {
    /// The path that goes upstream; nothing if it is the received one.
    ///
    /// # Errors
    /// What comes out may not be sent.
    pub fn apply(&self, scope: &Scope<'_>) -> Result<Option<String>, PathFault> {
        if let Some(rewrite) = &self.rewrite {
            return fill(rewrite, scope)?.finish().map(Some);
        }
        let Some(prefix) = &self.strip_prefix else { return Ok(None) };
        let received = scope.facts.path;
        let stripped = prefix.strip(received)?;
        Ok((stripped != received).then(|| stripped.to_owned()))
    }
}

/// Where a redirect leads: a path on the same host, or a URL whose scheme and authority the
/// template spells out.
///
/// # Errors
/// A value that cannot stand in a path, or a path that could be taken for another host.
pub fn location(to: &Template, scope: &Scope<'_>) -> Result<HeaderValue, PathFault> {
    let writer = fill(to, scope)?;
    let path = match writer.path.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"),
        None => &writer.path,
    };
    refuse_ambiguous(before_query(path))?;
    HeaderValue::try_from(writer.path).map_err(|_| PathFault::Value)
}

/// Fills a template in. A name without a value is an empty one.
fn fill(template: &Template, scope: &Scope<'_>) -> Result<PathWriter, PathFault> {
    let mut writer = PathWriter::default();
    for part in template.parts() {
        match part {
            Part::Literal(text) => writer.text(text),
            Part::Name(Name::Path(name)) if scope.params.raw_remainder(name).is_some() => {
                writer.remainder(scope.params.raw_remainder(name).unwrap_or_default());
            }
            Part::Name(name) => {
                let value = name.value(scope);
                writer.value(&value.as_ref().map(TemplateValue::text).unwrap_or_default())?;
            }
        }
    }
    Ok(writer)
}

fn before_query(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Puts a path together from the parts of a `rewrite` or `redirect` template.
#[derive(Debug, Default)]
pub struct PathWriter {
    path: String,
}

impl PathWriter {
    /// Appends text of the template.
    pub fn text(&mut self, text: &str) {
        self.path.push_str(text);
    }

    /// Appends a remainder as it came.
    pub fn remainder(&mut self, raw: &str) {
        self.path.push_str(raw);
    }

    /// Appends a value, encoded as one segment.
    ///
    /// # Errors
    /// A value that is empty, `.` or `..`.
    pub fn value(&mut self, value: &str) -> Result<(), PathFault> {
        if matches!(value, "" | "." | "..") {
            return Err(PathFault::Value);
        }
        self.path.extend(utf8_percent_encode(value, SEGMENT));
        Ok(())
    }

    /// The path.
    ///
    /// # Errors
    /// What came out is ambiguous by itself, or does not begin with a single slash.
    pub fn finish(self) -> Result<String, PathFault> {
        refuse_ambiguous(before_query(&self.path))?;
        Ok(self.path)
    }
}

/// Refuses what is refused of every path, and a beginning other than a single `/`.
fn refuse_ambiguous(path: &str) -> Result<(), Ambiguity> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(Ambiguity::Start);
    };
    // URL parsers take `/\name/` and, with `;…` dropped, `/;/name/` for `//name/`: an authority.
    let first = rest.split_once(['/', '\\']).map(|(first, _)| first);
    if first.is_some_and(|first| first.split(';').next() == Some("")) {
        return Err(Ambiguity::Start);
    }
    spelling::judge(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip<'r>(prefix: &str, path: &'r str) -> Result<&'r str, PathFault> {
        PathPrefix::parse(prefix).unwrap().strip(path)
    }

    #[test]
    fn a_prefix_is_cut_at_whole_segments() {
        assert_eq!(strip("/api", "/api/users/7"), Ok("/users/7"));
        assert_eq!(strip("/api/v1", "/api/v1/x/"), Ok("/x/"));
        assert_eq!(strip("/api", "/apix/y"), Ok("/apix/y"));
        assert_eq!(strip("/api/v1", "/api"), Ok("/api"));
        assert_eq!(strip("/api", "/x/api"), Ok("/x/api"));
    }

    #[test]
    fn a_prefix_stripped_whole_leaves_the_root() {
        assert_eq!(strip("/api", "/api"), Ok("/"));
        assert_eq!(strip("/api", "/api/"), Ok("/"));
    }

    #[test]
    fn a_prefix_is_compared_with_what_the_segment_reads_and_the_rest_stays_as_it_came() {
        assert_eq!(strip("/my files", "/my%20files/a%20b"), Ok("/a%20b"));
        assert_eq!(strip("/größe", "/gr%c3%b6%C3%9Fe/x%2Fy"), Ok("/x%2Fy"));
        assert_eq!(strip("/api", "/API/x"), Ok("/API/x"));
    }

    #[test]
    fn what_a_stripped_prefix_leaves_is_judged() {
        assert_eq!(strip("/api", "/api//admin"), Err(Ambiguity::Start.into()));
        assert_eq!(strip("/api", "/api//"), Err(Ambiguity::Start.into()));
        for path in ["/api/\\x/admin", "/api/;/x/admin", "/api/;a\\x/admin", "/api/\\"] {
            assert_eq!(strip("/api", path), Err(Ambiguity::Start.into()), "{path}");
        }
        assert_eq!(strip("/api", "/api/;x"), Ok("/;x"));
        assert_eq!(strip("/api", "/api/../admin"), Err(Ambiguity::DotSegment.into()));
    }

    #[test]
    fn a_prefix_is_literal() {
        assert_eq!(PathPrefix::parse("/"), Err(PrefixFault::Root));
        for text in ["/{a}", "/a/**", "/{a*}"] {
            assert_eq!(PathPrefix::parse(text), Err(PrefixFault::Parameter), "{text}");
        }
        for text in ["", "api", "/a/", "/a//b", "/..", "/%61"] {
            assert!(matches!(PathPrefix::parse(text), Err(PrefixFault::Pattern(_))), "{text}");
        }
    }

    fn written(
        parts: impl FnOnce(&mut PathWriter) -> Result<(), PathFault>,
    ) -> Result<String, PathFault> {
        let mut path = PathWriter::default();
        parts(&mut path)?;
        path.finish()
    }

    #[test]
    fn a_value_is_encoded_as_one_segment() {
        for (value, expected) in [
            ("a b", "/v/a%20b"),
            ("a/b", "/v/a%2Fb"),
            ("ä;?#", "/v/%C3%A4%3B%3F%23"),
            ("a-._~Z9", "/v/a-._~Z9"),
            ("...", "/v/..."),
        ] {
            let made = written(|path| {
                path.text("/v/");
                path.value(value)
            });
            assert_eq!(made.as_deref(), Ok(expected));
        }
    }

    #[test]
    fn a_value_that_would_not_be_one_segment_is_refused() {
        for value in ["", ".", ".."] {
            assert_eq!(written(|path| path.value(value)), Err(PathFault::Value), "{value}");
        }
        for (value, why) in [
            ("%2e%2e", Ambiguity::DotSegment),
            ("../x", Ambiguity::DotSegment),
            ("..;x", Ambiguity::DotSegment),
            ("a\\..", Ambiguity::DotSegment),
            ("a\nb", Ambiguity::ControlCharacter),
            ("%00", Ambiguity::ControlCharacter),
        ] {
            let made = written(|path| {
                path.text("/v/");
                path.value(value)
            });
            assert_eq!(made, Err(why.into()), "{value:?}");
        }
    }

    #[test]
    fn what_a_rewrite_makes_is_judged() {
        let rest = |before: &str, rest: &str| {
            written(|path| {
                path.text(before);
                path.remainder(rest);
                Ok(())
            })
        };
        assert_eq!(rest("/v2/", "a%2Fb;x/").as_deref(), Ok("/v2/a%2Fb;x/"));
        assert_eq!(rest("/v2/", "a//b").as_deref(), Ok("/v2/a//b"));
        assert_eq!(rest("/", "/a"), Err(Ambiguity::Start.into()));
        assert_eq!(rest("", "a"), Err(Ambiguity::Start.into()));
        assert_eq!(rest("/v.", "./a"), Ok("/v../a".to_owned()));
        assert_eq!(rest("/.", "./a"), Err(Ambiguity::DotSegment.into()));
        assert_eq!(rest("/v%2", "e"), Ok("/v%2e".to_owned()));
        assert_eq!(rest("/a?", "../b").as_deref(), Ok("/a?../b"));
    }
}
