//! What an upstream receives: the received header, changed as the permit's plan says. The built-in
//! echo answers from the same.

use http::{HeaderMap, HeaderName, StatusCode, header};
use pingora::{
    Result,
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
                header.append_header(name.clone(), value.clone())?;
            }
            HeaderEdit::Remove(name) => {
                header.remove_header(name);
            }
            HeaderEdit::Set(name, value) => header.insert_header(name.clone(), value.clone())?,
        }
    }
    match &plan.target {
        Some(target) => header.set_raw_path(target.as_bytes())?,
        None if head.absolute => header.set_raw_path(&local_part(head))?,
        None => {}
    }
    // Of several targets the plan could not know which it would be. And HTTP/1.0 need not say whom
    // it asks; HTTP/1.1, which goes upstream, must.
    if let Some(target) = target
        && (upstream.host == HostHeader::Target || !header.headers.contains_key(header::HOST))
    {
        header.insert_header(header::HOST, target.authority.as_str())?;
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

/// Has a body end where the connection does, for a client that cannot read chunks (RFC 9112,
/// section 7).
pub(super) fn unchunk(session: &mut Session, header: &mut ResponseHeader) {
    if header.remove_header(&header::TRANSFER_ENCODING).is_some() {
        session.set_keepalive(None);
    }
}

/// Stamps a response with what the decision says of it. Informational ones are left alone; the one
/// that ends a handshake says which request it was.
pub(super) fn response(header: &mut ResponseHeader, plan: &ResponsePlan) -> Result<()> {
    if header.status.is_informational() {
        return match (header.status, plan.request_id()) {
            (StatusCode::SWITCHING_PROTOCOLS, Some((name, id))) => {
                header.insert_header(name.clone(), id.clone())
            }
            _ => Ok(()),
        };
    }
    for (name, value) in plan.security_headers.iter().flat_map(|headers| headers.iter()) {
        header.insert_header(name.clone(), value.clone())?;
    }
    for edit in &plan.edits {
        match edit {
            HeaderEdit::Append(name, value) => {
                header.append_header(name.clone(), value.clone())?;
            }
            HeaderEdit::Remove(name) => {
                header.remove_header(name);
            }
            HeaderEdit::Set(name, value) => header.insert_header(name.clone(), value.clone())?,
        }
    }
    Ok(())
}

/// Whether the client waits for leave to send its body (RFC 9110, section 10.1.1).
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_interim_answer_is_left_alone_and_the_end_of_a_handshake_has_the_requests_id() {
        let mut plan = ResponsePlan::default();
        for (name, value) in [("x-request-id", "r-1"), ("x-other", "1")] {
            let name = HeaderName::from_static(name);
            plan.edits.push(HeaderEdit::Set(name, HeaderValue::from_static(value)));
        }
        for (status, ids, others) in [(100, 0, 0), (103, 0, 0), (101, 1, 0), (200, 1, 1)] {
            let mut header = ResponseHeader::build(status, None).unwrap();
            response(&mut header, &plan).unwrap();
            let count = |name: &str| header.headers.get_all(name).iter().count();
            assert_eq!((count("x-request-id"), count("x-other")), (ids, others), "{status}");
        }
    }
}
