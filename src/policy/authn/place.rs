//! Where a bearer token may stand.

use std::fmt;

use http::{HeaderName, header};

/// A place in which bearer tokens are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// The cookie of this name; letter case matters.
    Cookie(String),
    /// This header: behind the scheme in `Authorization`, the whole value elsewhere.
    Header(HeaderName),
    /// The query parameter of this name.
    Query(String),
}

impl TokenPlace {
    /// The `Authorization` header (RFC 6750, section 2.1).
    pub fn authorization() -> Self {
        Self::Header(header::AUTHORIZATION)
    }

    /// The header that it is, if it is one.
    pub fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Header(name) => Some(name),
            Self::Cookie(_) | Self::Query(_) => None,
        }
    }

    /// Whether it is the `Authorization` header.
    pub fn is_authorization(&self) -> bool {
        matches!(self, Self::Header(name) if name == header::AUTHORIZATION)
    }
}

/// As it stands in the file.
impl fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}
