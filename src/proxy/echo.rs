//! The built-in upstream: answers with the request that an upstream would have received.

use std::{collections::BTreeMap, net::IpAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use pingora::http::RequestHeader;
use serde_json::{Value, json};

use super::{body::Read, reply};
use crate::policy::decision::Reply;

/// Bytes of a body that are sent back.
pub(super) const KEPT: usize = 64 << 10;

/// What stands for the address of the echo in logs and metrics.
pub(super) const TARGET: &str = "echo";

/// The answer to a request that went onward with this header.
pub(super) fn answer(header: &RequestHeader, body: &Read, client: Option<IpAddr>) -> Reply {
    let target = String::from_utf8_lossy(header.raw_path());
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&*target, None),
    };
    let mut headers = BTreeMap::<&str, String>::new();
    for (name, value) in &header.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str())
            .and_modify(|line| {
                line.push_str(", ");
                line.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    let mut answer = json!({
        "method": header.method.as_str(),
        "path": path,
        "query": query,
        "headers": headers,
        "client": client.map(|client| client.to_string()),
        "body": std::str::from_utf8(&body.bytes).unwrap_or_default(),
        "body_bytes": body.length,
    });
    if let (Err(_), Some(members)) = (std::str::from_utf8(&body.bytes), answer.as_object_mut()) {
        members.remove("body");
        members.insert("body_base64".to_owned(), Value::String(STANDARD.encode(&body.bytes)));
    }
    reply::json(StatusCode::OK, &answer)
}
