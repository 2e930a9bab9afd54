//! The audit log of the store: who changed what, when, from where.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::records::{Asked, Kept, LONGEST_PAGE, Refusal};
use crate::{observe::logging::rfc3339, store::Logged};

/// Which lines are asked for: the latest, or those before a number.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Lines {
    before: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn list(kept: Kept, Asked(lines): Asked<Lines>) -> Result<Response, Refusal> {
    let limit = lines.limit.unwrap_or(100).clamp(1, LONGEST_PAGE);
    let before = lines.before.unwrap_or(i64::MAX);
    let lines = kept.records.store()?.audit(before, limit).await?;
    let lines: Vec<Value> = lines.iter().map(shown).collect();
    Ok(Json(json!({ "audit": lines })).into_response())
}

fn shown(line: &Logged) -> Value {
    json!({
        "number": line.revision,
        "at": rfc3339(line.at),
        "who": line.who,
        "from": line.origin,
        "action": line.action,
        "target": line.target,
        "detail": line.detail,
    })
}
