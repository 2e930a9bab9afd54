//! How names of headers are spelled on the wire. The base keeps each as it was received, in a second
//! map beside that of the values: a header that is set costs there the reading of its name and two
//! insertions. Where every name would be written the same without that record, it is given up, and
//! the headers are changed as the one map that they then are.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, request, response};
use pingora::{
    Error, ErrorType, Result,
    http::{IntoCaseHeaderName, RequestHeader, ResponseHeader},
};

use crate::policy::forward::HeaderEdit;

/// Room for the headers that are put on most messages.
const ADDED: usize = 16;

/// The headers of a message with the record of how they are spelled.
pub(super) trait Spelled {
    /// Sets a header beside others of its name.
    fn append(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> Result<()>;
    /// Sets a header in place of others of its name.
    fn insert(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> Result<()>;
    /// Takes a header out.
    fn remove(&mut self, name: &HeaderName);

    /// Makes these changes.
    fn edit(&mut self, edits: &[HeaderEdit]) -> Result<()> {
        for edit in edits {
            match edit {
                HeaderEdit::Append(name, value) => self.append(spelled(name), value.clone())?,
                HeaderEdit::Remove(name) => self.remove(name),
                HeaderEdit::Set(name, value) => self.insert(spelled(name), value.clone())?,
            }
        }
        Ok(())
    }
}

impl Spelled for RequestHeader {
    fn append(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> Result<()> {
        self.append_header(name, value).map(|_| ())
    }

    fn insert(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> Result<()> {
        self.insert_header(name, value)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

impl Spelled for ResponseHeader {
    fn append(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> Result<()> {
        self.append_header(name, value).map(|_| ())
    }

    fn insert(&mut self, name: impl IntoCaseHeaderName, value: HeaderValue) -> Result<()> {
        self.insert_header(name, value)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

/// Gives up the record of a response where nothing is lost by it: many servers spell theirs so.
pub(super) fn forget(header: &mut ResponseHeader) -> Result<()> {
    if header.has_case()
        && is_usual(header)
        && header.case_header_iter().all(|(name, _)| is_written_alike(name.as_slice()))
    {
        change_response(header, |_| ())?;
    }
    Ok(())
}

/// Whether its phrase is that of its status: only the base's own type keeps another.
fn is_usual(header: &ResponseHeader) -> bool {
    header.get_reason_phrase() == header.status.canonical_reason()
}

/// Changes a response that has no record of spellings, or needs none.
pub(super) fn change_response(
    header: &mut ResponseHeader,
    change: impl FnOnce(&mut HeaderMap),
) -> Result<()> {
    let phrase = header.get_reason_phrase().filter(|_| !is_usual(header)).map(str::to_owned);
    let empty = ResponseHeader::build_no_case(header.status, Some(0))?;
    let mut parts = response::Parts::from(std::mem::replace(header, empty));
    make_room(&mut parts.headers)?;
    change(&mut parts.headers);
    *header = ResponseHeader::from(parts);
    header.set_reason_phrase(phrase.as_deref())
}

/// Whether something would be lost if a request were changed without its record, once these edits
/// have taken out what they take out.
pub(super) fn is_lost(header: &RequestHeader, edits: &[HeaderEdit]) -> bool {
    let goes = |name: &[u8]| {
        edits.iter().any(|edit| match edit {
            HeaderEdit::Remove(gone) => gone.as_str().as_bytes().eq_ignore_ascii_case(name),
            HeaderEdit::Append(..) | HeaderEdit::Set(..) => false,
        })
    };
    let target = header.uri.path_and_query().map(|target| target.as_str().as_bytes());
    target != Some(header.raw_path())
        || header
            .case_header_iter()
            .map(|(name, _)| name.as_slice())
            .any(|name| !is_written_alike(name) && !goes(name))
}

/// Changes a request of which nothing is lost by it.
pub(super) fn change_request(
    header: &mut RequestHeader,
    change: impl FnOnce(&mut HeaderMap),
) -> Result<()> {
    let (empty, ()) = Request::new(()).into_parts();
    let ends = header.send_end_stream();
    let received = std::mem::replace(header, RequestHeader::from(empty));
    let mut parts = request::Parts::from(received);
    make_room(&mut parts.headers)?;
    change(&mut parts.headers);
    *header = RequestHeader::from(parts);
    if let Some(ends) = ends {
        header.set_send_end_stream(ends);
    }
    Ok(())
}

/// A map that is full must not be added to: it would panic.
fn make_room(headers: &mut HeaderMap) -> Result<()> {
    let full = |_| Error::explain(ErrorType::InvalidHTTPHeader, "too many headers");
    headers.try_reserve(ADDED).map_err(full)
}

/// Names that the base writes so where no spelling is recorded; all others in lower case.
const TITLED: [&str; 12] = [
    "Accept-Ranges",
    "Age",
    "Cache-Control",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Date",
    "Host",
    "Server",
    "Set-Cookie",
    "Transfer-Encoding",
];

/// Whether a name would be written so without a record of its spelling.
fn is_written_alike(name: &[u8]) -> bool {
    match TITLED.iter().find(|titled| titled.as_bytes().eq_ignore_ascii_case(name)) {
        Some(titled) => titled.as_bytes() == name,
        None => !name.iter().any(u8::is_ascii_uppercase),
    }
}

/// A name as it is written to the wire: as the base does where it is given a name alone, but without
/// copying those for each request that the gateway sets on most.
pub(super) fn spelled(name: &HeaderName) -> Bytes {
    let known = match name.as_str() {
        "accept-ranges" => "Accept-Ranges",
        "age" => "Age",
        "cache-control" => "Cache-Control",
        "connection" => "Connection",
        "content-encoding" => "Content-Encoding",
        "content-length" => "Content-Length",
        "content-type" => "Content-Type",
        "date" => "Date",
        "forwarded" => "forwarded",
        "host" => "Host",
        "ratelimit" => "ratelimit",
        "ratelimit-policy" => "ratelimit-policy",
        "server" => "Server",
        "set-cookie" => "Set-Cookie",
        "transfer-encoding" => "Transfer-Encoding",
        "www-authenticate" => "www-authenticate",
        "x-auth-method" => "x-auth-method",
        "x-content-type-options" => "x-content-type-options",
        "x-forwarded-for" => "x-forwarded-for",
        "x-forwarded-host" => "x-forwarded-host",
        "x-forwarded-port" => "x-forwarded-port",
        "x-forwarded-proto" => "x-forwarded-proto",
        "x-frame-options" => "x-frame-options",
        "x-ratelimit-limit" => "x-ratelimit-limit",
        "x-ratelimit-remaining" => "x-ratelimit-remaining",
        "x-ratelimit-reset" => "x-ratelimit-reset",
        "x-real-ip" => "x-real-ip",
        "x-request-id" => "x-request-id",
        "x-user-id" => "x-user-id",
        "x-user-permissions" => "x-user-permissions",
        "x-user-roles" => "x-user-roles",
        "x-xss-protection" => "x-xss-protection",
        other => return Bytes::copy_from_slice(other.as_bytes()),
    };
    Bytes::from_static(known.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::header;
    use pingora::http::IntoCaseHeaderName as _;

    use super::*;

    fn wire(header: &ResponseHeader) -> Vec<u8> {
        let mut wire = Vec::new();
        header.header_to_h1_wire(&mut wire);
        wire
    }

    #[test]
    fn a_spelling_is_forgotten_only_where_every_name_is_written_the_same_without() {
        for (names, forgotten) in [
            (&["Server", "Content-Type", "Content-Length", "x-trace", "Set-Cookie"][..], true),
            (&["content-type"], false),
            (&["X-Trace"], false),
            (&["ETag", "Content-Length"], false),
        ] {
            let mut header = ResponseHeader::build(200, None).unwrap();
            for name in names {
                header.append_header(Bytes::from_static(name.as_bytes()), "v").unwrap();
            }
            let before = wire(&header);
            forget(&mut header).unwrap();
            assert_eq!((wire(&header), header.has_case()), (before, !forgotten), "{names:?}");
        }
    }

    fn request(target: &str, names: &[&'static str]) -> RequestHeader {
        let mut header = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        for name in names {
            header.append_header(*name, "v").unwrap();
        }
        header
    }

    #[test]
    fn a_request_is_changed_without_its_record_only_where_nothing_is_lost_by_it() {
        let gone = [HeaderEdit::Remove(header::AUTHORIZATION)];
        for (target, names, edits, lost) in [
            ("/a", &["Host", "accept", "x-trace"][..], &[][..], false),
            ("/a", &["host"], &[], true),
            ("/a", &["Host", "User-Agent"], &[], true),
            ("/a", &["Host", "Authorization"], &[], true),
            ("/a", &["Host", "Authorization"], &gone, false),
            ("http://h.example/a", &["Host"], &[], true),
        ] {
            assert_eq!(is_lost(&request(target, names), edits), lost, "{target} {names:?}");
        }
    }

    #[test]
    fn a_request_is_the_same_on_the_wire_with_its_record_and_without() {
        let set = |name, value| HeaderEdit::Set(name, HeaderValue::from_static(value));
        let edits = [
            HeaderEdit::Remove(header::AUTHORIZATION),
            set(HeaderName::from_static("x-user-id"), "u1"),
            set(header::COOKIE, "a=1"),
            HeaderEdit::Append(header::COOKIE, HeaderValue::from_static("b=2")),
            set(header::ACCEPT, "*/*"),
        ];
        let names = ["Host", "accept", "Authorization", "x-trace", "x-trace"];
        let (mut with, mut without) = (request("/a?b", &names), request("/a?b", &names));
        with.edit(&edits).unwrap();
        change_request(&mut without, |headers| edits.iter().for_each(|edit| edit.apply(headers)))
            .unwrap();
        let wire = |header: &RequestHeader| {
            let mut wire = header.raw_path().to_vec();
            header.header_to_h1_wire(&mut wire);
            wire
        };
        assert_eq!(wire(&with), wire(&without));
        assert!(with.has_case() && !without.has_case());
    }

    #[test]
    fn a_request_of_http_2_ends_where_it_ended() {
        for ends in [false, true] {
            let mut header = request("/a", &[]);
            header.set_version(http::Version::HTTP_2);
            header.set_send_end_stream(ends);
            change_request(&mut header, |_| ()).unwrap();
            assert_eq!(header.send_end_stream(), Some(ends));
        }
    }

    #[test]
    fn an_unusual_phrase_is_kept() {
        let mut header = ResponseHeader::build(200, None).unwrap();
        header.set_reason_phrase(Some("Fine")).unwrap();
        forget(&mut header).unwrap();
        assert_eq!(header.get_reason_phrase(), Some("Fine"));
    }

    #[test]
    fn names_are_spelled_as_the_base_spells_them() {
        for name in [
            header::ACCEPT_RANGES,
            header::AGE,
            header::ALLOW,
            header::CACHE_CONTROL,
            header::CONNECTION,
            header::CONTENT_ENCODING,
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::DATE,
            header::FORWARDED,
            header::HOST,
            header::LOCATION,
            header::SERVER,
            header::SET_COOKIE,
            header::TRANSFER_ENCODING,
            header::VARY,
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("x-tenant"),
        ] {
            assert_eq!(spelled(&name), (&name).into_case_header_name().as_slice(), "{name}");
        }
    }
}
