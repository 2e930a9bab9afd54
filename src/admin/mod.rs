//! The admin listener: health, metrics, status, reload. A socket of its own, exact routes, and
//! guards before everything that tells or changes something.

mod audit;
mod guard;
mod health;
mod keys;
pub mod records;
pub mod serve;
mod status;
mod users;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderValue, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;

use crate::{
    config::diagnostic::Diagnostic,
    gateway::{Failed, Gateway, RequestId, reload::Trigger},
    policy::problem::{Asks, Problem},
};
use guard::Guard;

/// The admin listener's requests and what answers them.
pub(crate) fn routes(gateway: Arc<Gateway>, listen: SocketAddr) -> Router {
    let guard = Arc::new(Guard::new(&gateway.begun_with().admin, listen));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status::show))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/audit", get(audit::list))
        .route("/api/v1/users", get(users::list).post(users::add))
        .route("/api/v1/users/{id}", get(users::show).patch(users::change).delete(users::remove))
        .route("/api/v1/keys", get(keys::list).post(keys::make))
        .route("/api/v1/keys/{id}", get(keys::show).patch(keys::change).delete(keys::revoke))
        .route("/api/v1/keys/{id}/rotate", post(keys::rotate))
        .fallback(async || refuse(StatusCode::NOT_FOUND, "no_route", "There is nothing here"))
        .method_not_allowed_fallback(async || {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
        })
        .layer(DefaultBodyLimit::max(records::LONGEST_BODY))
        .layer(middleware::from_fn_with_state(guard, guard::judge))
        .with_state(gateway)
}

async fn metrics(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.exposition() {
        Ok(text) => {
            let kind = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
            ([kind], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal error")
        }
    }
}

async fn reload(State(gateway): State<Arc<Gateway>>) -> Response {
    match gateway.reload(Trigger::Admin).await {
        Ok(reloaded) => Json(json!({
            "generation": reloaded.generation,
            "warnings": listed(&reloaded.warnings),
            "restart_needed": reloaded.restart,
        }))
        .into_response(),
        Err(Failed { diagnostics }) => {
            let faults = diagnostics.iter().filter(|one| one.is_error()).count();
            let detail = format!("The file has {faults} fault(s); what was live stays so");
            let mut body = body(StatusCode::UNPROCESSABLE_ENTITY, "invalid_config", &detail);
            if let Some(members) = body.as_object_mut() {
                members.insert("faults".to_owned(), listed(&diagnostics));
            }
            problem(StatusCode::UNPROCESSABLE_ENTITY, &body)
        }
    }
}

fn listed(diagnostics: &[Diagnostic]) -> serde_json::Value {
    diagnostics.iter().map(Diagnostic::to_json).collect()
}

/// A refusal in the same shape as those of the proxy.
fn refuse(status: StatusCode, code: &'static str, detail: &str) -> Response {
    problem(status, &body(status, code, detail))
}

fn body(status: StatusCode, code: &'static str, detail: &str) -> serde_json::Value {
    let problem = Problem {
        status,
        code,
        detail: detail.to_owned().into(),
        headers: Vec::new(),
        asks: Asks::Here,
    };
    let reply = problem.reply(RequestId::fresh().as_str());
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

fn problem(status: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body.to_string()).into_response()
}
