//! A request's head as HTTP/2 says it (RFC 9113, section 8.3), held to what [`super::super::framing`]
//! asks of HTTP/1.
//!
//! Fields in capitals or out of order, those that speak of a connection, and lengths that contradict
//! each other end the stream before it comes here.

use std::str;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use pingora::http::RequestHeader;

use super::super::{
    exchange::ReadHead,
    framing::{Body, Head},
};
use crate::policy::{Denial, client::is_authority, server::RequestLimits};

/// Reads a head. `ended` is whether nothing follows it.
///
/// # Errors
/// 400 for what can be read in two ways, 414 and 431 for what is too large.
pub(in crate::proxy) fn read(
    request: &RequestHeader,
    ended: bool,
    limits: &RequestLimits,
) -> Result<ReadHead, Denial> {
    let body = body(&request.headers, ended)?;
    let target = request.raw_path();
    let host = host(request)?;
    let fields = Fields::of(&request.headers);
    let line = request.method.as_str().len() + target.len() + "  HTTP/1.1\r\n".len();
    let authority = "host: \r\n".len() + host.len();
    let in_uri = usize::from(request.uri.authority().is_some());
    limits.admit(
        length(target.len()),
        length(line + fields.bytes + authority * in_uri),
        length(fields.count + in_uri),
    )?;
    if request.uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return bad("the scheme is neither http nor https");
    }
    let Ok(target) = str::from_utf8(target) else {
        return bad("the target is not text");
    };
    let is_path = target.starts_with('/') || (target == "*" && request.method == Method::OPTIONS);
    if !is_path {
        return bad("the target is not a path");
    }
    let raw = Bytes::from([host, target].concat());
    let text = str::from_utf8(&raw).unwrap_or_default();
    let Some((host, target)) = text.split_at_checked(host.len()) else {
        return bad("the target is not text");
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    Ok(ReadHead::keep(&raw, &Head { path, query, host, body, absolute: false }))
}

/// Has what clients may send in several fields stand in one (RFC 9113, section 8.2.3), as it is judged
/// and as HTTP/1 sends it.
pub(in crate::proxy) fn join_cookies(request: &mut RequestHeader) {
    let mut lines = request.headers.get_all(header::COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let lines = request.headers.get_all(header::COOKIE).iter().map(|line| line.as_bytes());
    let joined = lines.collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(value) = http::HeaderValue::from_bytes(&joined) {
        // Fails only for names that are none.
        let _ = request.insert_header(header::COOKIE, value);
    }
}

fn bad<T>(why: &'static str) -> Result<T, Denial> {
    Err(Denial::BadRequest { why })
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Whom the request is for. That `Host` is what `:authority` says, and that one of them is there, was
/// seen to before.
fn host(request: &RequestHeader) -> Result<&str, Denial> {
    let host = match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
    };
    host.filter(|host| is_authority(host)).map_or_else(|| bad("the authority is malformed"), Ok)
}

/// What the fields would be on lines of HTTP/1.
struct Fields {
    bytes: usize,
    count: usize,
}

impl Fields {
    fn of(headers: &HeaderMap) -> Self {
        let bytes =
            headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
        Self { bytes: bytes.sum::<usize>() + "\r\n".len(), count: headers.len() }
    }
}

/// How the body is delimited: by the end of its stream, and by what is said of its length.
fn body(headers: &HeaderMap, ended: bool) -> Result<Body, Denial> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let (length, another) = (lengths.next(), lengths.next());
    if another.is_some() {
        return bad("there is more than one Content-Length");
    }
    let Some(length) = length else {
        return Ok(if ended { Body::None } else { Body::Chunked });
    };
    let digits = length.as_bytes().iter().all(u8::is_ascii_digit);
    let length = length.to_str().ok().filter(|_| digits).and_then(|text| text.parse().ok());
    match length {
        None => bad("Content-Length is not a number"),
        Some(0) => Ok(Body::None),
        // The library compares it with the bytes that come, but not where none may come.
        Some(_) if ended => bad("Content-Length is not that of the body"),
        Some(length) => Ok(Body::Length(length)),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> RequestHeader {
        let mut builder = Request::builder().method(method).uri(uri).version(http::Version::HTTP_2);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0.into()
    }

    fn read(request: &RequestHeader) -> Result<ReadHead, Denial> {
        super::read(request, true, &RequestLimits::default())
    }

    #[test]
    fn a_head_is_kept_as_it_came() {
        let head = read(&request("GET", "https://a.example:8443/x%20y?q=1", &[])).unwrap();
        assert_eq!((head.host(), head.path()), ("a.example:8443", "/x%20y"));
        assert_eq!((head.query(), head.body), (Some("q=1"), Body::None));
        let head = read(&request("GET", "/", &[("host", "b.example")])).unwrap();
        assert_eq!((head.host(), head.path(), head.query()), ("b.example", "/", None));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for (method, uri, fields) in [
            ("GET", "*", &[("host", "a")][..]),
            ("GET", "https://a_b^/", &[]),
            ("GET", "ftp://a.example/", &[]),
            ("GET", "https://a.example/", &[("content-length", "1")]),
            ("GET", "https://a.example/", &[("content-length", "0"), ("content-length", "0")]),
            ("GET", "https://a.example/", &[("content-length", "0, 0")]),
            ("GET", "https://a.example/", &[("content-length", "+0")]),
        ] {
            let uri = uri.parse::<http::Uri>();
            let Ok(uri) = uri else { continue };
            let refused = read(&request(method, &uri.to_string(), fields));
            assert!(matches!(refused, Err(Denial::BadRequest { .. })), "{method} {uri} {fields:?}");
        }
        let options = read(&request("OPTIONS", "*", &[("host", "a")])).unwrap();
        assert_eq!(options.path(), "*");
    }

    #[test]
    fn a_body_is_as_long_as_it_says_or_ends_with_its_stream() {
        let of = |fields: &[(&str, &str)], ended| {
            let request = request("POST", "https://a.example/", fields);
            super::read(&request, ended, &RequestLimits::default()).unwrap().body
        };
        assert_eq!(of(&[], false), Body::Chunked);
        assert_eq!(of(&[("content-length", "5")], false), Body::Length(5));
        assert_eq!(of(&[("content-length", "0")], false), Body::None);
        assert_eq!(of(&[("content-length", "0")], true), Body::None);
    }

    #[test]
    fn cookies_in_several_fields_are_joined() {
        let several = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")];
        let mut request = request("GET", "https://a.example/", &several);
        join_cookies(&mut request);
        let lines: Vec<_> = request.headers.get_all("cookie").iter().collect();
        assert_eq!(lines, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn limits_count_as_lines_of_http_1_would() {
        let limits = |header_bytes, header_count, uri_bytes| RequestLimits {
            header_bytes,
            header_count,
            uri_bytes,
            ..RequestLimits::default()
        };
        let request = request("GET", "https://a.example/abc", &[("x", "1"), ("y", "2")]);
        let judge = |limits| super::read(&request, true, &limits).map(|_| ());
        // GET /abc HTTP/1.1, host: a.example, x: 1, y: 2 and the empty line
        let bytes = 19 + 17 + 6 + 6 + 2;
        assert_eq!(judge(limits(bytes, 3, 4)), Ok(()));
        assert_eq!(judge(limits(bytes - 1, 3, 4)), Err(Denial::HeadersTooLarge));
        assert_eq!(judge(limits(bytes, 2, 4)), Err(Denial::HeadersTooLarge));
        assert_eq!(judge(limits(bytes, 3, 3)), Err(Denial::UriTooLong));
    }
}
