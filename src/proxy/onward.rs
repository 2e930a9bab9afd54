//! What an upstream receives: the received header, changed as the permit's plan says. The built-in
//! echo answers from the same.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    proxy::Session,
};
use smallvec::SmallVec;

use super::{
    exchange::ReadHead,
    spelling::{self, Spelled as _, spelled},
};
use crate::policy::{
    Permit,
    forward::{
        ResponsePlan,
        fold::{is_hop_by_hop, may_be_nominated},
    },
    upstream::{HostHeader, Target, Upstream},
};

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
    if spelling::is_lost(header, &plan.edits) {
        header.edit(&plan.edits)?;
    } else {
        spelling::change_request(header, |headers| {
            plan.edits.iter().for_each(|edit| edit.apply(headers));
        })?;
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
    if !header.has_case() {
        return spelling::change_response(header, |headers| plan.apply(headers));
    }
    for name in plan.replaced(&header.headers) {
        header.remove_header(&name);
    }
    for (name, value) in plan.security_headers.iter().flat_map(|headers| headers.iter()) {
        header.insert_header(spelled(name), value.clone())?;
    }
    header.edit(&plan.edits)
}

/// Whether the client waits for leave to send its body (RFC 9110, section 10.1.1).
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::forward::HeaderEdit;

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
}
