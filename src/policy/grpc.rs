//! gRPC, as far as the gateway takes part: which requests are calls, and how a refusal is told in its
//! terms.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::{
    decision::Reply,
    problem::{Asks, Problem},
};

/// What calls have for a content type, alone or before `+` or `;`.
const CONTENT_TYPE: &[u8] = b"application/grpc";

/// Whether these are the headers of a call.
pub fn is_call(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return false };
    let Some((kind, rest)) = kind.as_bytes().split_at_checked(CONTENT_TYPE.len()) else {
        return false;
    };
    kind.eq_ignore_ascii_case(CONTENT_TYPE) && matches!(rest, [] | [b'+' | b';' | b' ', ..])
}

/// The status of a call that an answer with this one stands for.
const fn status(status: StatusCode) -> u8 {
    match status.as_u16() {
        400 => 3,
        401 => 16,
        403 => 7,
        404 | 405 => 12,
        413 | 429 | 431 => 8,
        502 | 503 => 14,
        504 => 4,
        _ => 13,
    }
}

static STATUS: HeaderName = HeaderName::from_static("grpc-status");
static MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a header says how a call ended.
pub fn is_trailer(name: &HeaderName) -> bool {
    *name == STATUS || *name == MESSAGE
}

/// How a call ends whose credential is worth nothing any more.
pub fn ended() -> Reply {
    Problem {
        status: StatusCode::UNAUTHORIZED,
        code: "invalid_token",
        detail: "The credential is no longer good".into(),
        headers: Vec::new(),
        asks: Asks::Here,
    }
    .trailers_only()
}

impl Problem {
    /// The answer to a call: headers that are its trailers at the same time.
    pub fn trailers_only(&self) -> Reply {
        let mut headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
            (STATUS.clone(), HeaderValue::from(u16::from(status(self.status)))),
        ];
        if let Ok(message) = HeaderValue::try_from(encoded(&self.detail)) {
            headers.push((MESSAGE.clone(), message));
        }
        headers.push((header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
        let stays = self.headers.iter().filter(|(name, _)| *name == header::RETRY_AFTER);
        headers.extend(stays.cloned());
        Reply { status: StatusCode::OK, headers, body: bytes::Bytes::new() }
    }
}

/// Percent-encodes whatever is not visible ASCII or a space.
fn encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' => text.push_str("%25"),
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Denial;

    #[test]
    fn a_call_is_told_by_its_content_type() {
        let is = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            is_call(&headers)
        };
        for kind in ["application/grpc", "Application/gRPC+proto", "application/grpc;charset=x"] {
            assert!(is(kind), "{kind}");
        }
        for kind in
            ["application/grpc-web", "application/grpcx", "application/json", "application/grp"]
        {
            assert!(!is(kind), "{kind}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }

    #[test]
    fn every_status_has_its_counterpart() {
        let statuses = [
            (400, 3),
            (401, 16),
            (403, 7),
            (404, 12),
            (405, 12),
            (408, 13),
            (413, 8),
            (414, 13),
            (421, 13),
            (429, 8),
            (431, 8),
            (500, 13),
            (502, 14),
            (503, 14),
            (504, 4),
        ];
        for (http, grpc) in statuses {
            assert_eq!(status(StatusCode::from_u16(http).unwrap()), grpc, "{http}");
        }
    }

    #[test]
    fn a_refusal_of_a_call_is_told_in_trailers_and_says_when_to_come_back() {
        let denial = Denial::Unavailable(crate::policy::sources::Unavailable { what: "a store" });
        let reply = denial.problem().trailers_only();
        let of = |name: &str| {
            let found = reply.headers.iter().find(|(found, _)| found == name);
            found.map(|(_, value)| value.to_str().unwrap().to_owned())
        };
        assert_eq!((reply.status, of("grpc-status").as_deref()), (StatusCode::OK, Some("14")));
        assert_eq!(of("retry-after").as_deref(), Some("1"));
        assert_eq!(of("content-type").as_deref(), Some("application/grpc"));
        let message = of("grpc-message").unwrap();
        assert_eq!(message, "A service that the answer depends on is unavailable");
        assert!(reply.body.is_empty());
    }

    #[test]
    fn a_message_holds_nothing_but_visible_ascii() {
        assert_eq!(encoded("50% für\nalle"), "50%25 f%C3%BCr%0Aalle");
    }
}
