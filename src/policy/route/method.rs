//! The methods of a route, and the ways a client can ask an app to act on another method.

use http::Method;
use thiserror::Error;

use crate::policy::lookalike::{form_decoded, lookalikes};

/// The methods that have a bit of their own, in the order in which `Allow` names them.
static KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

/// The methods that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MethodSet {
    /// Every method.
    Any,
    /// Those named.
    Named {
        /// A bit for each of [`KNOWN`].
        known: u16,
        /// All others, sorted.
        others: Box<[Method]>,
    },
}

/// Why a text is no method of a route.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MethodFault {
    /// Lower-case letters: methods are compared with case.
    #[error("`{0}`: methods are written in upper case")]
    Case(String),
    /// Not a token.
    #[error("`{0}` is no method")]
    Malformed(String),
}

/// Parses one method of a route.
///
/// # Errors
/// What is no token, and lower-case letters: `get` is not `GET`.
pub fn parse_method(text: &str) -> Result<Method, MethodFault> {
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(MethodFault::Case(text.to_owned()));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| MethodFault::Malformed(text.to_owned()))
}

impl MethodSet {
    /// The set of these methods.
    pub fn named(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut known = 0;
        let mut others = Vec::new();
        for method in methods {
            match bit(&method) {
                0 => others.push(method),
                bit => known |= bit,
            }
        }
        others.sort_by(|left, right| left.as_str().cmp(right.as_str()));
        others.dedup();
        Self::Named { known, others: others.into() }
    }

    /// Whether the set holds the method itself. That `HEAD` falls under `GET` is decided where
    /// all routes of a pattern are in sight.
    #[must_use]
    pub fn contains(&self, method: &Method) -> bool {
        match self {
            Self::Any => true,
            Self::Named { known, others } => match bit(method) {
                0 => others.contains(method),
                bit => known & bit != 0,
            },
        }
    }

    /// Whether some method is in both.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, set) | (set, Self::Any) => !set.is_empty(),
            (Self::Named { known: left, others }, Self::Named { known: right, others: more }) => {
                left & right != 0 || others.iter().any(|method| more.contains(method))
            }
        }
    }

    /// Whether it holds every method.
    #[must_use]
    pub fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    /// Whether no request can have a method of this set: CONNECT and TRACE are refused before
    /// routing.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Named { known, others } => {
                known & !(bit(&Method::CONNECT) | bit(&Method::TRACE)) == 0 && others.is_empty()
            }
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Any => false,
            Self::Named { known, others } => *known == 0 && others.is_empty(),
        }
    }

    /// The methods, `HEAD` beside `GET`, as `Allow` lists them.
    #[must_use]
    pub fn allow(&self) -> Vec<Method> {
        allow([self])
    }

    /// The methods in the set by name; nothing for [`MethodSet::Any`].
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        let (known, others): (u16, &[Method]) = match self {
            Self::Any => (0, &[]),
            Self::Named { known, others } => (*known, others),
        };
        KNOWN.iter().filter(move |method| known & bit(method) != 0).chain(others)
    }
}

/// What `Allow` lists for routes that share a pattern.
pub(super) fn allow<'s>(sets: impl IntoIterator<Item = &'s MethodSet>) -> Vec<Method> {
    let mut known = 0;
    let mut others: Vec<&Method> = Vec::new();
    for set in sets {
        match set {
            MethodSet::Any => known |= u16::MAX,
            MethodSet::Named { known: bits, others: more } => {
                known |= bits;
                others.extend(more.iter());
            }
        }
    }
    if known & bit(&Method::GET) != 0 {
        known |= bit(&Method::HEAD);
    }
    known &= !(bit(&Method::CONNECT) | bit(&Method::TRACE));
    others.sort_by(|left, right| left.as_str().cmp(right.as_str()));
    others.dedup();
    let known = KNOWN.iter().filter(|method| known & bit(method) != 0);
    known.chain(others).cloned().collect()
}

/// The methods in both sets as text; `any` for every method.
pub(super) fn common(left: &MethodSet, right: &MethodSet) -> String {
    match (left, right) {
        (MethodSet::Any, MethodSet::Any) => "any".to_owned(),
        (MethodSet::Any, named) | (named, MethodSet::Any) => list(named.iter()),
        (left, right) => list(left.iter().filter(|method| right.contains(method))),
    }
}

fn list<'m>(methods: impl Iterator<Item = &'m Method>) -> String {
    methods.map(Method::as_str).collect::<Vec<_>>().join(", ")
}

fn bit(method: &Method) -> u16 {
    match *method {
        Method::GET => 1,
        Method::HEAD => 1 << 1,
        Method::POST => 1 << 2,
        Method::PUT => 1 << 3,
        Method::PATCH => 1 << 4,
        Method::DELETE => 1 << 5,
        Method::OPTIONS => 1 << 6,
        Method::CONNECT => 1 << 7,
        Method::TRACE => 1 << 8,
        _ => 0,
    }
}

/// Whether a header of this name makes apps act on the method that it names, whatever its case
/// and separators: some servers hand `_` and `-` to the app as one.
#[must_use]
pub fn is_override_header(name: &str) -> bool {
    const NAMES: [&str; 3] = ["x-http-method", "x-http-method-override", "x-method-override"];
    let fold = |byte: u8| match byte.to_ascii_lowercase() {
        letter @ (b'a'..=b'z' | b'0'..=b'9') => letter,
        _ => b'-',
    };
    NAMES.iter().any(|known| known.len() == name.len() && known.bytes().eq(name.bytes().map(fold)))
}

/// The values that apps could take for `_method` in a query, decoded.
///
/// Read as widely as frameworks do, see [`lookalikes`].
pub fn overrides_in_query(query: &[u8]) -> impl Iterator<Item = String> {
    lookalikes(query, "_method").map(form_decoded)
}

/// The method that an override names: apps trim it and compare it without case. Nothing if it
/// is no single method.
pub(super) fn overriding_method(value: &str) -> Option<Method> {
    Method::from_bytes(value.trim().to_ascii_uppercase().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_lists_head_beside_get_and_each_method_once() {
        let get = MethodSet::named([Method::GET]);
        let more = MethodSet::named([Method::DELETE, parse_method("PURGE").unwrap(), Method::POST]);
        assert_eq!(list(allow([&get, &more, &more]).iter()), "GET, HEAD, POST, DELETE, PURGE");
        assert_eq!(list(more.allow().iter()), "POST, DELETE, PURGE");
    }

    #[test]
    fn sets_intersect_in_a_common_method_only() {
        let purge = MethodSet::named([parse_method("PURGE").unwrap()]);
        let get = MethodSet::named([Method::GET, Method::HEAD]);
        assert!(
            !purge.intersects(&get) && purge.intersects(&purge) && get.intersects(&MethodSet::Any)
        );
        assert!(MethodSet::Any.intersects(&MethodSet::Any));
        assert!(!MethodSet::named([]).intersects(&MethodSet::Any));
    }

    #[test]
    fn a_method_is_an_upper_case_token() {
        assert_eq!(parse_method("get"), Err(MethodFault::Case("get".into())));
        for text in ["", "A B", "GET,POST"] {
            assert_eq!(parse_method(text), Err(MethodFault::Malformed(text.into())), "{text}");
        }
        assert_eq!(parse_method("M-SEARCH").unwrap().as_str(), "M-SEARCH");
    }

    #[test]
    fn only_connect_and_trace_are_out_of_reach() {
        assert!(MethodSet::named([Method::CONNECT, Method::TRACE]).is_unreachable());
        assert!(!MethodSet::named([Method::CONNECT, Method::GET]).is_unreachable());
        assert!(!MethodSet::Any.is_unreachable());
    }

    #[test]
    fn override_headers_are_known_by_their_folded_name() {
        for name in [
            "X-HTTP-Method-Override",
            "x_http_method_override",
            "X.Http~Method",
            "X-METHOD-OVERRIDE",
        ] {
            assert!(is_override_header(name), "{name}");
        }
        for name in ["X-HTTP-Methods", "X-HTTP-Method-", "Method", ""] {
            assert!(!is_override_header(name), "{name}");
        }
    }

    #[test]
    fn an_override_in_the_query_is_found_however_it_is_spelled() {
        for query in [
            "_method=PUT",
            "a=b&_method=PUT",
            "a;_method=PUT",
            "%5fmethod=PUT",
            "_method%5B%5D=PUT",
            "_method[0]=PUT",
            ".method=P%55T",
            "+_method=PUT",
            "_Method=PUT",
            "_method%00x=PUT",
            "[method=PUT",
        ] {
            assert_eq!(
                overrides_in_query(query.as_bytes()).collect::<Vec<_>>(),
                ["PUT"],
                "{query}"
            );
        }
        for query in ["", "method=PUT", "x_method=PUT", "a=_method", "__method=1", "_methods=1"] {
            assert_eq!(overrides_in_query(query.as_bytes()).count(), 0, "{query}");
        }
        assert_eq!(overrides_in_query(b"_method&_method=a").collect::<Vec<_>>(), ["", "a"]);
    }

    #[test]
    fn an_override_names_one_method_whatever_its_case() {
        assert_eq!(overriding_method(" delete "), Some(Method::DELETE));
        for value in ["", " ", "DELETE, GET", "DEL\0"] {
            assert_eq!(overriding_method(value), None, "{value:?}");
        }
    }
}
