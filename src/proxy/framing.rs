//! Framing and syntax of a request (RFC 9112), judged on the header as it was received: the parser
//! mends some things quietly, and what is mended here may be read otherwise behind us.

use std::str;

use http::Method;

use crate::policy::{Denial, client::is_authority, server::RequestLimits};

/// A request head whose framing can be read in one way only. Borrowed from the received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head<'r> {
    /// From the first `/` of the target up to `?`; `*` for `OPTIONS *`.
    pub path: &'r str,
    /// What stands behind `?`.
    pub query: Option<&'r str>,
    /// The `Host` header, else the authority of an absolute target, else empty (HTTP/1.0 only).
    pub host: &'r str,
    /// How the body is delimited.
    pub body: Body,
    /// Whether the target was an absolute URI.
    pub absolute: bool,
}

/// How a body is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// By chunks; in HTTP/2 by the end of its stream.
    Chunked,
    /// By its length.
    Length(u64),
    /// There is none.
    None,
}

/// Reads a request head, from its request line to the empty line.
///
/// # Errors
/// 400 for whatever can be read in two ways, 414 and 431 for what is too large.
pub(crate) fn read<'r>(raw: &'r [u8], limits: &RequestLimits) -> Result<Head<'r>, Denial> {
    let mut lines = Lines(raw);
    let mut first = lines.next()?;
    // Empty lines before the request line are ignored (RFC 9112, section 2.2).
    while first.is_empty() && !lines.0.is_empty() {
        first = lines.next()?;
    }
    let line = RequestLine::read(first)?;
    let mut fields = Fields::default();
    loop {
        let field = lines.next()?;
        if field.is_empty() {
            break;
        }
        fields.take(field)?;
    }
    // First of all, so that whatever else is wrong is told on a connection whose state is known.
    let body = fields.framing(line.version)?;
    let length = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    limits.admit(length(line.target.len()), length(raw.len()), fields.count)?;
    let target = Target::read(line.target, line.method)?;
    Ok(Head {
        path: target.path,
        query: target.query,
        host: fields.authority(&target, line.version)?,
        body,
        absolute: target.authority.is_some(),
    })
}

fn bad<T>(why: &'static str) -> Result<T, Denial> {
    Err(Denial::BadRequest { why })
}

/// The lines of a head. Each ends in CR LF, and neither stands anywhere else.
struct Lines<'r>(&'r [u8]);

impl<'r> Lines<'r> {
    fn next(&mut self) -> Result<&'r [u8], Denial> {
        let end = memchr::memchr2(b'\r', b'\n', self.0);
        let Some((line, rest)) = end.and_then(|end| self.0.split_at_checked(end)) else {
            return bad("the header does not end");
        };
        let Some(rest) = rest.strip_prefix(b"\r\n") else {
            return bad("a line does not end in CR LF");
        };
        self.0 = rest;
        Ok(line)
    }
}

/// The version of HTTP/1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

struct RequestLine<'r> {
    method: &'r [u8],
    target: &'r [u8],
    version: Version,
}

impl<'r> RequestLine<'r> {
    fn read(line: &'r [u8]) -> Result<Self, Denial> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return bad("the request line does not have three parts");
        };
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
            return bad("the method is not a token");
        }
        let version = match version {
            b"HTTP/1.0" => Version::Http10,
            b"HTTP/1.1" => Version::Http11,
            _ => return bad("the protocol version is unknown"),
        };
        Ok(Self { method, target, version })
    }
}

/// A request target (RFC 9112, section 3.2) reduced to path and query.
struct Target<'r> {
    authority: Option<&'r str>,
    path: &'r str,
    query: Option<&'r str>,
}

impl<'r> Target<'r> {
    fn read(target: &'r [u8], method: &[u8]) -> Result<Self, Denial> {
        let Ok(target) = str::from_utf8(target) else {
            return bad("the target is not text");
        };
        if target.contains('#') {
            return Err(Denial::AmbiguousPath { why: "a fragment" });
        }
        if target == "*" && method == Method::OPTIONS.as_str().as_bytes() {
            return Ok(Self { authority: None, path: target, query: None });
        }
        let (authority, local) = match target.split_once("://") {
            _ if target.starts_with('/') => (None, target),
            Some((scheme, rest)) if is_http(scheme) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let Some((authority, local)) = rest.split_at_checked(end) else {
                    return bad("the target is malformed");
                };
                (Some(authority), local)
            }
            _ => return bad("the target is neither a path nor an absolute URI"),
        };
        let (path, query) = match local.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (local, None),
        };
        Ok(Self { authority, path: if path.is_empty() { "/" } else { path }, query })
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// What the header fields say of the framing.
#[derive(Default)]
struct Fields<'r> {
    count: u64,
    content_length: Seen<&'r [u8]>,
    host: Seen<&'r [u8]>,
    transfer_encoding: Seen<&'r [u8]>,
}

/// How often a field came.
#[derive(Default)]
enum Seen<T> {
    #[default]
    Never,
    Once(T),
    Often,
}

impl<T> Seen<T> {
    fn put(&mut self, value: T) {
        *self = match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Often => Self::Often,
        };
    }
}

impl<'r> Fields<'r> {
    fn take(&mut self, line: &'r [u8]) -> Result<(), Denial> {
        self.count += 1;
        let colon = memchr::memchr(b':', line);
        let Some((name, value)) = colon.and_then(|colon| line.split_at_checked(colon)) else {
            return bad("a header line has no colon");
        };
        // A folded line begins with white space, which no name does.
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return bad("a header name is not a token");
        }
        let value = value.strip_prefix(b":").unwrap_or(value);
        // Looks at every byte, since that takes less time than to stop at the first.
        let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 127;
        if value.iter().fold(false, |found, byte| found | control(byte)) {
            return bad("a header value has a control character");
        }
        let value = value.trim_ascii();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host.put(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length.put(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.transfer_encoding.put(value);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whom the request is for (RFC 9112, section 3.2.2 and 3.3).
    fn authority(&self, target: &Target<'r>, version: Version) -> Result<&'r str, Denial> {
        let host = match self.host {
            Seen::Never if version == Version::Http10 => target.authority.unwrap_or_default(),
            Seen::Never => return bad("there is no Host"),
            Seen::Often => return bad("there is more than one Host"),
            Seen::Once(host) => match str::from_utf8(host) {
                Ok(host) if is_authority(host) => host,
                _ => return bad("Host is malformed"),
            },
        };
        match target.authority {
            Some(authority) if !is_authority(authority) => bad("the target's host is malformed"),
            Some(authority) if !authority.eq_ignore_ascii_case(host) => {
                bad("Host is not that of the target")
            }
            Some(_) | None => Ok(host),
        }
    }

    fn framing(&self, version: Version) -> Result<Body, Denial> {
        match (&self.transfer_encoding, &self.content_length) {
            (Seen::Never, Seen::Never) => Ok(Body::None),
            (Seen::Never, Seen::Once(text)) => match digits(text) {
                Some(0) => Ok(Body::None),
                Some(length) => Ok(Body::Length(length)),
                None => bad("Content-Length is not a number"),
            },
            (Seen::Never, Seen::Often) => bad("there is more than one Content-Length"),
            (_, Seen::Once(_) | Seen::Often) => {
                bad("there are both Content-Length and Transfer-Encoding")
            }
            (Seen::Often, Seen::Never) => bad("there is more than one Transfer-Encoding"),
            (Seen::Once(_), Seen::Never) if version == Version::Http10 => {
                bad("HTTP/1.0 has no Transfer-Encoding")
            }
            (Seen::Once(coding), Seen::Never) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Body::Chunked)
            }
            (Seen::Once(_), Seen::Never) => bad("the transfer coding is not exactly chunked"),
        }
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// RFC 9110, section 5.6.2.
const fn is_token(byte: u8) -> bool {
    /// A bit for each byte of ASCII.
    const TOKEN: u128 = {
        let mut bits = 0;
        let mut byte = 0;
        while byte < 128 {
            let mark = matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
            if mark || byte.is_ascii_alphanumeric() {
                bits |= 1 << byte;
            }
            byte += 1;
        }
        bits
    };
    byte < 128 && TOKEN >> byte & 1 == 1
}

#[cfg(test)]
mod tests;
