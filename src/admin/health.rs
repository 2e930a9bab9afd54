//! Liveness and readiness.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;

use crate::{
    gateway::{Gateway, health::Phase},
    sources::records::Standing,
};

/// The process answers.
pub(super) async fn alive() -> impl IntoResponse {
    Json(json!({ "status": "ok" }))
}

/// Whether requests should be sent here.
pub(super) async fn ready(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    let phase = gateway.readiness().phase();
    let (status, word) = match phase {
        Phase::Serving => (StatusCode::OK, "ok"),
        Phase::Draining | Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, phase.as_str()),
    };
    let mut checks = serde_json::Map::new();
    checks.insert("config".to_owned(), json!("ok"));
    checks.insert("listeners".to_owned(), json!(word));
    if let Some(records) = &gateway.snapshot().memory().records {
        let heard = records.standing() == Standing::Current;
        // What is known of the store goes on for a while, and the file's own accounts for ever.
        let store = if heard { "ok" } else { "degraded" };
        checks.insert("store".to_owned(), json!(store));
    }
    (status, Json(json!({ "status": word, "checks": checks })))
}
