//! What an upstream receives: the received header, changed as the permit's plan says. The built-in
//! echo answers from the same.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header, response};
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    proxy::Session,
};
use smallvec::SmallVec;

use super::exchange::ReadHead;
use crate::policy::{
    Permit,
    forward::{
        HeaderEdit, ResponsePlan,
        fold::{is_hop_by_hop, may_be_nominated},
    },
    upstream::{HostHeader, Target, Upstream},
};

/// Room for the headers that are put on most answers.
const ADDED: usize = 16;

/// Takes out of a received header what was said of the connection: the permit's plan was worked out
/// on it, and nobody after that needs it. What is no complete handshake upgrades nothing, whatever
/// an upstream answers.
pub(super) fn settle_connection(header: &mut RequestHeader, websocket: bool) -> Result<()> {
    if websocket {
        return header.insert_header(header::CONNECTION, "Upgrade");
    }
    header.remove_header(&header::CONNECTION);
    header.remove_header(&header::UPGRADE);
    Ok(())
}

/// Turns a received header into the one that goes upstream.
pub(super) fn request(
    header: &mut RequestHeader,
    head: &ReadHead,
    permit: &Permit,
    upstream: &Upstream,
    target: Option<&Target>,
) -> Result<()> {
    let plan = permit.plan();
    for edit in &plan.edits {
        match edit {
            HeaderEdit::Append(name, value) => {
                header.append_header(spelled(name), value.clone())?;
            }
            HeaderEdit::Remove(name) => {
                header.remove_header(name);
            }
            HeaderEdit::Set(name, value) => header.insert_header(spelled(name), value.clone())?,
        }
    }
    match &plan.target {
        Some(target) => header.set_raw_path(target.as_bytes())?,
        None if head.absolute => header.set_raw_path(&local_part(head))?,
        None => {}
    }
    // Of several targets the plan could not know which it would be. And HTTP/1.0 need not say whom
    // it asks, HTTP/2 says it elsewhere; what goes upstream must.
    let preserved = Some(head.host()).filter(|host| !host.is_empty());
    let own = target.map(|target| target.authority.as_str());
    let host = match upstream.host {
        HostHeader::Target => own,
        _ if header.headers.contains_key(header::HOST) => None,
        _ => preserved.or(own),
    };
    host.map_or(Ok(()), |host| header.insert_header(header::HOST, host))
}

/// Says that trailers are understood where the client did, by HTTP/2 all the way (RFC 9110, section
/// 10.1.4): some servers of gRPC answer nobody else.
pub(super) fn keep_te(received: &RequestHeader, header: &mut RequestHeader) -> Result<()> {
    let both = received.version == Version::HTTP_2 && header.version == Version::HTTP_2;
    if both && received.headers.contains_key(header::TE) {
        return header.insert_header(header::TE, "trailers");
    }
    Ok(())
}

/// Path and query of an absolute target.
fn local_part(head: &ReadHead) -> Vec<u8> {
    let mut target = Vec::with_capacity(64);
    target.extend_from_slice(head.path().as_bytes());
    if let Some(query) = head.query() {
        target.push(b'?');
        target.extend_from_slice(query.as_bytes());
    }
    target
}

/// Takes out of an upstream's response what it said of its own connection (RFC 9110, section
/// 7.6.1), and of lengths that were said twice all but one: the parser takes only equal ones.
pub(super) fn from_upstream(header: &mut ResponseHeader) -> Result<()> {
    if header.status.is_informational() {
        return Ok(());
    }
    judge_framing(header)?;
    let nominated: SmallVec<[HeaderName; 4]> = header
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| may_be_nominated(name))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| header.headers.contains_key(name))
        .collect();
    let left = header.headers.keys().filter(|name| is_hop_by_hop(name)).cloned();
    let gone: SmallVec<[HeaderName; 4]> = nominated.into_iter().chain(left).collect();
    for name in &gone {
        header.remove_header(name);
    }
    let mut lengths = header.headers.get_all(header::CONTENT_LENGTH).iter();
    if let (Some(length), Some(_)) = (lengths.next(), lengths.next()) {
        let length = length.clone();
        header.insert_header(header::CONTENT_LENGTH, length)?;
    }
    Ok(())
}

/// Refuses a response whose end cannot be told for sure (RFC 9112, section 6.3): any coding but a single
/// `chunked`, any length but one number. One without a body keeps no length of one (RFC 9110, section
/// 8.6).
fn judge_framing(header: &mut ResponseHeader) -> Result<()> {
    let broken = |why| Err(Error::explain(ErrorType::InvalidHTTPHeader, why).into_up());
    let mut codings = header.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return broken("a transfer coding other than chunked");
    }
    let lengths = header.headers.get_all(header::CONTENT_LENGTH).iter();
    if lengths.map(HeaderValue::as_bytes).any(|length| !length.iter().all(u8::is_ascii_digit)) {
        return broken("a length that is no number");
    }
    if header.status == StatusCode::NO_CONTENT {
        header.remove_header(&header::CONTENT_LENGTH);
    }
    Ok(())
}

/// Gives up the record of how names are spelled where nothing is lost by it, because each would be
/// written the same without: many servers spell theirs so, and a response is then changed at half
/// the cost.
pub(super) fn forget_spelling(header: &mut ResponseHeader) -> Result<()> {
    let usual = header.get_reason_phrase() == header.status.canonical_reason();
    if !(usual && header.has_case()) {
        return Ok(());
    }
    if header.case_header_iter().all(|(name, _)| is_written_alike(name.as_slice())) {
        let empty = ResponseHeader::build_no_case(header.status, Some(0))?;
        let mut parts = response::Parts::from(std::mem::replace(header, empty));
        // Fails only beyond a number of headers that no answer has, and then they are added all the
        // same or refused one by one.
        let _ = parts.headers.try_reserve(ADDED);
        *header = ResponseHeader::from(parts);
    }
    Ok(())
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

/// Has a body end where the connection does, for a client that cannot read chunks (RFC 9112,
/// section 7).
pub(super) fn unchunk(session: &mut Session, header: &mut ResponseHeader) {
    if header.remove_header(&header::TRANSFER_ENCODING).is_some() {
        session.set_keepalive(None);
    }
}

/// Stamps a response with what the decision says of it. Informational ones are left alone, but for
/// the one that ends a handshake: it is the last, as any other is.
pub(super) fn response(header: &mut ResponseHeader, plan: &ResponsePlan) -> Result<()> {
    if header.status.is_informational() && header.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    for name in plan.replaced(&header.headers) {
        header.remove_header(&name);
    }
    for (name, value) in plan.security_headers.iter().flat_map(|headers| headers.iter()) {
        header.insert_header(spelled(name), value.clone())?;
    }
    for edit in &plan.edits {
        match edit {
            HeaderEdit::Append(name, value) => {
                header.append_header(spelled(name), value.clone())?;
            }
            HeaderEdit::Remove(name) => {
                header.remove_header(name);
            }
            HeaderEdit::Set(name, value) => header.insert_header(spelled(name), value.clone())?,
        }
    }
    Ok(())
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

/// Whether the client waits for leave to send its body (RFC 9110, section 10.1.1).
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use pingora::http::IntoCaseHeaderName as _;

    use super::*;

    #[test]
    fn an_interim_answer_is_left_alone_and_the_end_of_a_handshake_is_an_answer_like_any_other() {
        let nosniff = (HeaderName::from_static("x-secure"), HeaderValue::from_static("1"));
        let mut plan = ResponsePlan::default();
        plan.security_headers = Some([nosniff].into());
        for (name, value) in [("x-request-id", "r-1"), ("x-other", "1")] {
            let name = HeaderName::from_static(name);
            plan.edits.push(HeaderEdit::Set(name, HeaderValue::from_static(value)));
        }
        for (status, stamped) in [(100, 0), (103, 0), (101, 1), (200, 1)] {
            let mut header = ResponseHeader::build(status, None).unwrap();
            response(&mut header, &plan).unwrap();
            let count = |name: &str| header.headers.get_all(name).iter().count();
            for name in ["x-request-id", "x-other", "x-secure"] {
                assert_eq!(count(name), stamped, "{status} {name}");
            }
        }
    }

    #[test]
    fn trailers_are_understood_upstream_where_http_2_is_spoken_all_the_way() {
        let header = |version, te: &str| {
            let mut header = RequestHeader::build("POST", b"/", None).unwrap();
            header.set_version(version);
            if !te.is_empty() {
                header.insert_header(header::TE, te).unwrap();
            }
            header
        };
        for (received, te, sent, kept) in [
            (Version::HTTP_2, "trailers", Version::HTTP_2, true),
            (Version::HTTP_2, "", Version::HTTP_2, false),
            (Version::HTTP_11, "trailers", Version::HTTP_2, false),
            (Version::HTTP_2, "trailers", Version::HTTP_11, false),
        ] {
            let mut onward = header(sent, "");
            keep_te(&header(received, te), &mut onward).unwrap();
            assert_eq!(onward.headers.contains_key(header::TE), kept, "{received:?} {te} {sent:?}");
        }
    }

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
            forget_spelling(&mut header).unwrap();
            assert_eq!((wire(&header), header.has_case()), (before, !forgotten), "{names:?}");
        }
    }

    #[test]
    fn an_unusual_phrase_is_kept() {
        let mut header = ResponseHeader::build(200, None).unwrap();
        header.set_reason_phrase(Some("Fine")).unwrap();
        forget_spelling(&mut header).unwrap();
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
