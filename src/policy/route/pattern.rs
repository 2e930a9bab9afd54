//! Path templates: `/users/{id}`, `/files/{rest*}`, `/admin/**`.

use std::fmt;

use thiserror::Error;

/// No template is longer than this.
const MAX_BYTES: usize = 2048;
/// No template is deeper than this, so that matching never recurses deeper either.
const MAX_SEGMENTS: usize = 64;

/// A path template. Its literal text is what a request's segment reads once percent-decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    tail: Tail,
}

/// One whole segment of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Matches a segment that decodes to exactly this text.
    Literal(Box<str>),
    /// Matches any segment that is not empty, and names it.
    Parameter(Box<str>),
}

/// What follows the segments of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tail {
    /// `/**`: nothing, or anything beneath.
    Beneath,
    /// Nothing, but for one trailing slash.
    End,
    /// `/{name*}`: one or more segments, named.
    Remainder(Box<str>),
}

/// Why a text is no template.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PatternFault {
    /// A character that no path can spell, or that a path is refused for spelling.
    #[error("`{0}` cannot stand in a path template")]
    Character(char),
    /// `:name`, as other routers write a parameter.
    #[error("`{segment}` reads like a parameter of another router: write `{{{name}}}`")]
    ColonParameter {
        /// The segment as written.
        segment: String,
        /// The name it seems to give.
        name: String,
    },
    /// Another template follows `/**` or `{name*}`.
    #[error("`{0}` matches all that remains, so nothing may follow it")]
    AfterRemainder(String),
    /// `.` or `..`, which no request may hold.
    #[error("a segment may not be `{0}`: no request with such a segment is let through")]
    Dots(String),
    /// Two parameters of one name.
    #[error("the parameter `{0}` stands twice in the template")]
    DuplicateParameter(String),
    /// `//`.
    #[error("a template has no empty segment")]
    EmptySegment,
    /// A parameter name that an expression could not use.
    #[error("`{0}` is no parameter name: use letters, digits and `_`, not beginning with a digit")]
    Name(String),
    /// The text does not begin with `/`.
    #[error("a path template begins with `/`")]
    NoSlash,
    /// A parameter beside other text, or braces that do not pair.
    #[error(
        "`{0}`: a parameter is a whole segment, written `{{name}}` or, at the end, `{{name*}}`"
    )]
    PartialParameter(String),
    /// A percent-encoded literal.
    #[error("`{0}`: literal text is written as it reads decoded, without `%`")]
    PercentEncoded(String),
    /// `*` anywhere but in `/**` and `{name*}`.
    #[error("`{0}`: one segment is `{{name}}`, all that follows is `/**` or `/{{name*}}`")]
    Star(String),
    /// Over the bounds on length or depth.
    #[error("a path template has at most {MAX_BYTES} bytes and {MAX_SEGMENTS} segments")]
    TooLong,
    /// A trailing slash, which a template covers anyway.
    #[error("a template does not end in `/`: it matches the path with and without it")]
    TrailingSlash,
}

impl PathPattern {
    /// Parses a template.
    ///
    /// # Errors
    /// A text that could never match a request, or would not mean what it seems to say.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(PatternFault::NoSlash);
        };
        if text.len() > MAX_BYTES {
            return Err(PatternFault::TooLong);
        }
        let mut segments = Vec::new();
        let mut tail = Tail::End;
        let mut pieces = rest.split('/').peekable();
        while let Some(piece) = pieces.next() {
            let last = pieces.peek().is_none();
            match Piece::parse(piece, last, segments.is_empty())? {
                Piece::Nothing => {}
                Piece::Segment(segment) => segments.push(segment),
                Piece::Tail(_) if !last => {
                    return Err(PatternFault::AfterRemainder(piece.to_owned()));
                }
                Piece::Tail(found) => tail = found,
            }
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(PatternFault::TooLong);
        }
        let pattern = Self { text: text.into(), segments: segments.into(), tail };
        pattern.refuse_duplicates()?;
        Ok(pattern)
    }

    /// The segments before the tail.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What follows the segments.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the parameters from left to right, a named remainder last.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        let named = self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name) => Some(&**name),
        });
        let remainder = match &self.tail {
            Tail::Beneath | Tail::End => None,
            Tail::Remainder(name) => Some(&**name),
        };
        named.chain(remainder)
    }

    /// The name of the remainder, if the template names it.
    #[must_use]
    pub fn remainder(&self) -> Option<&str> {
        match &self.tail {
            Tail::Remainder(name) => Some(name),
            Tail::Beneath | Tail::End => None,
        }
    }

    /// Whether some literal of the template holds a `;`, which most apps read as the end of the
    /// segment.
    #[must_use]
    pub fn has_semicolon(&self) -> bool {
        self.segments.iter().any(|segment| match segment {
            Segment::Literal(text) => text.contains(';'),
            Segment::Parameter(_) => false,
        })
    }

    fn refuse_duplicates(&self) -> Result<(), PatternFault> {
        let mut names: Vec<&str> = self.parameters().collect();
        names.sort_unstable();
        let twice = names.iter().zip(names.iter().skip(1)).find(|(left, right)| left == right);
        match twice {
            Some((name, _)) => Err(PatternFault::DuplicateParameter((*name).to_owned())),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What one piece between slashes says.
enum Piece {
    Nothing,
    Segment(Segment),
    Tail(Tail),
}

impl Piece {
    fn parse(piece: &str, last: bool, first: bool) -> Result<Self, PatternFault> {
        match piece {
            "" if last && first => return Ok(Self::Nothing),
            "" if last => return Err(PatternFault::TrailingSlash),
            "" => return Err(PatternFault::EmptySegment),
            "." | ".." => return Err(PatternFault::Dots(piece.to_owned())),
            "**" => return Ok(Self::Tail(Tail::Beneath)),
            _ => {}
        }
        if let Some(inner) = piece.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            if inner.contains(['{', '}']) {
                return Err(PatternFault::PartialParameter(piece.to_owned()));
            }
            return match inner.strip_suffix('*') {
                Some(name) => Ok(Self::Tail(Tail::Remainder(parameter_name(name)?))),
                None => Ok(Self::Segment(Segment::Parameter(parameter_name(inner)?))),
            };
        }
        literal(piece).map(|text| Self::Segment(Segment::Literal(text)))
    }
}

fn parameter_name(name: &str) -> Result<Box<str>, PatternFault> {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if begins && characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(name.into())
    } else {
        Err(PatternFault::Name(name.to_owned()))
    }
}

fn literal(piece: &str) -> Result<Box<str>, PatternFault> {
    if piece.contains(['{', '}']) {
        return Err(PatternFault::PartialParameter(piece.to_owned()));
    }
    if piece.contains('*') {
        return Err(PatternFault::Star(piece.to_owned()));
    }
    if piece.contains('%') {
        return Err(PatternFault::PercentEncoded(piece.to_owned()));
    }
    if let Some(name) = piece.strip_prefix(':')
        && parameter_name(name).is_ok()
    {
        let (segment, name) = (piece.to_owned(), name.to_owned());
        return Err(PatternFault::ColonParameter { segment, name });
    }
    // A request can spell these only percent-encoded, and an encoded visible character in a
    // literal segment is refused: the route could never match.
    let unspellable =
        |c: char| c.is_control() || matches!(c, '"' | '#' | '<' | '>' | '?' | '\\' | '`');
    match piece.chars().find(|c| unspellable(*c)) {
        Some(c) => Err(PatternFault::Character(c)),
        // `..;x` reads as a dot segment like the bare one.
        None if matches!(piece.split(';').next(), Some("." | "..")) => {
            Err(PatternFault::Dots(piece.to_owned()))
        }
        None => Ok(piece.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PathPattern, PatternFault> {
        PathPattern::parse(text)
    }

    #[test]
    fn a_template_lists_its_parameters_from_left_to_right() {
        let pattern = parse("/a/{one}/b/{two}/{three*}").unwrap();
        assert_eq!(pattern.parameters().collect::<Vec<_>>(), ["one", "two", "three"]);
        assert_eq!(pattern.remainder(), Some("three"));
        assert_eq!(pattern.to_string(), "/a/{one}/b/{two}/{three*}");
    }

    #[test]
    fn the_root_and_everything_are_templates() {
        assert_eq!(
            (parse("/").unwrap().segments().len(), parse("/").unwrap().tail()),
            (0, &Tail::End)
        );
        assert_eq!(parse("/**").unwrap().tail(), &Tail::Beneath);
        assert_eq!(parse("/{all*}").unwrap().remainder(), Some("all"));
    }

    #[test]
    fn what_a_path_can_spell_is_literal_text() {
        for text in [
            "/a.b-c_d~e",
            "/a;v=1",
            "/größe",
            "/a b",
            "/x:verb",
            "/@me",
            "/a+b,c=d",
            "/...",
            "/.well-known",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_no_request_could_match_is_no_template() {
        use PatternFault as F;
        let cases: Vec<(&str, F)> = vec![
            ("", F::NoSlash),
            ("users", F::NoSlash),
            ("*", F::NoSlash),
            ("//", F::EmptySegment),
            ("/a//b", F::EmptySegment),
            ("/a/", F::TrailingSlash),
            ("/a/**/", F::AfterRemainder("**".into())),
            ("/**/a", F::AfterRemainder("**".into())),
            ("/{rest*}/a", F::AfterRemainder("{rest*}".into())),
            ("/a/./b", F::Dots(".".into())),
            ("/..", F::Dots("..".into())),
            ("/..;x", F::Dots("..;x".into())),
            ("/{a}/{a}", F::DuplicateParameter("a".into())),
            ("/{a}/{a*}", F::DuplicateParameter("a".into())),
            ("/{a}/{b}/{a}", F::DuplicateParameter("a".into())),
            ("/{}", F::Name(String::new())),
            ("/{*}", F::Name(String::new())),
            ("/{1a}", F::Name("1a".into())),
            ("/{a-b}", F::Name("a-b".into())),
            ("/{ä}", F::Name("ä".into())),
            ("/{a b}", F::Name("a b".into())),
            ("/{a**}", F::Name("a*".into())),
            ("/x{a}", F::PartialParameter("x{a}".into())),
            ("/{a}x", F::PartialParameter("{a}x".into())),
            ("/{a}{b}", F::PartialParameter("{a}{b}".into())),
            ("/{a", F::PartialParameter("{a".into())),
            ("/a}", F::PartialParameter("a}".into())),
            ("/{{a}}", F::PartialParameter("{{a}}".into())),
            ("/*", F::Star("*".into())),
            ("/a*", F::Star("a*".into())),
            ("/***", F::Star("***".into())),
            ("/a**", F::Star("a**".into())),
            ("/%61dmin", F::PercentEncoded("%61dmin".into())),
            ("/100%", F::PercentEncoded("100%".into())),
            ("/:id", F::ColonParameter { segment: ":id".into(), name: "id".into() }),
            ("/a?b", F::Character('?')),
            ("/a#b", F::Character('#')),
            ("/a\\b", F::Character('\\')),
            ("/a\0b", F::Character('\0')),
            ("/a\u{85}b", F::Character('\u{85}')),
            ("/a<b", F::Character('<')),
        ];
        for (text, fault) in cases {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn length_and_depth_are_bounded() {
        assert_eq!(parse(&format!("/{}", "a".repeat(MAX_BYTES))), Err(PatternFault::TooLong));
        assert_eq!(parse(&"/a".repeat(MAX_SEGMENTS + 1)), Err(PatternFault::TooLong));
        assert!(parse(&"/a".repeat(MAX_SEGMENTS)).is_ok());
    }
}
