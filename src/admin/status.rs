//! How the gateway is, in one answer.

use std::{sync::Arc, time::SystemTime};

use axum::{Json, extract::State, response::IntoResponse};
use serde_json::json;

use crate::{gateway::Gateway, model::Timestamp, observe::logging::rfc3339};

pub(super) async fn show(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    let snapshot = gateway.snapshot();
    let last = gateway.last_reload();
    let now = Timestamp::from(SystemTime::now());
    let refused = last.refused.map(|(at, faults)| json!({ "at": rfc3339(at), "faults": faults }));
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "status": gateway.readiness().phase().as_str(),
        "file": gateway.file().display().to_string(),
        "generation": snapshot.generation(),
        "loaded_at": rfc3339(snapshot.loaded_at()),
        "started_at": rfc3339(gateway.started()),
        "uptime_seconds": now.since(gateway.started()).as_secs(),
        "listeners": gateway.listeners(),
        "routes": snapshot.policy().routes.len(),
        "upstreams": snapshot.policy().upstreams.len(),
        "requests_in_flight": gateway.metrics().in_flight.get(),
        "refused_reload": refused,
        "restart_needed": last.restart,
    }))
}
