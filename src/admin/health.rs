//! Liveness and readiness.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::json;

use crate::gateway::{Gateway, health::Phase};

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
    let checks = json!({ "config": "ok", "listeners": word });
    (status, Json(json!({ "status": word, "checks": checks })))
}
