//! Liveness and readiness.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde_json::{Map, json};

use crate::{
    gateway::{Gateway, health::Phase},
    sources::{records::Standing, remote::Health},
};

/// The process answers.
pub(super) async fn alive() -> impl IntoResponse {
    Json(json!({ "status": "ok" }))
}

/// Whether requests should be sent here.
pub(super) async fn ready(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    let snapshot = gateway.snapshot();
    let issuers: Vec<Health> = snapshot.remotes().issuers().map(|one| one.health()).collect();
    let phase = gateway.phase();
    let (status, word) = match phase {
        Phase::Serving => (StatusCode::OK, "ok"),
        Phase::Draining | Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, phase.as_str()),
    };
    let listeners = gateway.readiness().phase();
    let listeners = if listeners == Phase::Serving { "ok" } else { listeners.as_str() };
    let mut checks = Map::new();
    checks.insert("config".to_owned(), "ok".into());
    checks.insert("listeners".to_owned(), listeners.into());
    for issuer in &issuers {
        checks.insert(format!("issuer:{}", issuer.name), state(issuer).into());
    }
    for authority in snapshot.remotes().authorities() {
        // One that is silent takes nothing down but the credentials that it would speak on.
        let state = if authority.fault().is_none() { "ok" } else { "degraded" };
        checks.insert(authority.label(), state.into());
    }
    if let Some(records) = &snapshot.memory().records {
        let heard = records.standing() == Standing::Current;
        // What is known of the store goes on for a while, and the file's own accounts for ever.
        checks.insert("store".to_owned(), if heard { "ok" } else { "degraded" }.into());
    }
    (status, Json(json!({ "status": word, "checks": checks })))
}

/// An issuer that is down takes nothing down: its last good keys serve, and tokens of others.
const fn state(issuer: &Health) -> &'static str {
    match issuer {
        Health { fault: Some(_), .. } => "degraded",
        Health { tried: false, .. } => "starting",
        Health { .. } => "ok",
    }
}
