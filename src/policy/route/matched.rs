//! What matching found: the route, and the values of its parameters.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::forest::Hit;
use super::pattern::PathPattern;

/// The route that governs a request.
#[derive(Clone, Debug)]
pub struct Match<'r> {
    /// The route's place in the list that the table was built from.
    pub route: usize,
    /// The template that matched.
    pub pattern: &'r PathPattern,
    /// The values of the template's parameters.
    pub params: Params<'r>,
}

/// The path parameters of a request, by name, percent-decoded once.
#[derive(Clone, Debug, Default)]
pub struct Params<'r> {
    values: Values<'r>,
    remainder: Option<&'r str>,
}

/// The values of a pattern's parameters, in their order.
pub(super) type Values<'a> = SmallVec<[(&'a str, Cow<'a, [u8]>); 4]>;

impl<'r> Params<'r> {
    pub(super) fn new(values: Values<'r>, remainder: Option<&'r str>) -> Self {
        Self { values, remainder }
    }

    /// The value of a parameter. Nothing if the template has none of that name, or if the value
    /// is not UTF-8, which is refused where the route's policy uses the parameter.
    ///
    /// The value of a remainder is its segments joined by `/`, without a trailing slash.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        value_of(&self.values, name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Names and values from left to right, those left out that are not UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .filter_map(|(name, value)| Some((*name, std::str::from_utf8(value).ok()?)))
    }

    /// The remainder of this name as it came: still encoded, with its trailing slash. Nothing
    /// for any other parameter.
    #[must_use]
    pub fn raw_remainder(&self, name: &str) -> Option<&'r str> {
        let (last, _) = self.values.last()?;
        self.remainder.filter(|_| *last == name)
    }
}

impl<'r> FromIterator<(&'r str, &'r str)> for Params<'r> {
    fn from_iter<I: IntoIterator<Item = (&'r str, &'r str)>>(pairs: I) -> Self {
        let value = |(name, value): (&'r str, &'r str)| (name, Cow::Borrowed(value.as_bytes()));
        Self { values: pairs.into_iter().map(value).collect(), remainder: None }
    }
}

/// The value of a parameter by its name.
pub(super) fn value_of<'v>(values: &'v Values<'_>, name: &str) -> Option<&'v [u8]> {
    values.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
}

/// The values that a hit gives a template's parameters, out of these segments. `whole` are the
/// segments of the remainder in one piece, where they lie in one.
pub(super) fn values<'a>(
    hit: &Hit,
    pattern: &'a PathPattern,
    segments: &[&'a [u8]],
    whole: Option<&'a [u8]>,
) -> Values<'a> {
    let mut values = Values::new();
    for (name, depth) in pattern.parameters().zip(&hit.captures) {
        let value = segments.get(usize::from(*depth)).copied().unwrap_or_default();
        values.push((name, Cow::Borrowed(value)));
    }
    if let Some(name) = pattern.remainder() {
        let left = hit.remainder.and_then(|depth| segments.get(depth..)).unwrap_or_default();
        let joined = match (whole, left) {
            (Some(whole), _) => Cow::Borrowed(whole),
            (None, [only]) => Cow::Borrowed(*only),
            (None, several) => Cow::Owned(several.join(&b'/')),
        };
        values.push((name, joined));
    }
    values
}
