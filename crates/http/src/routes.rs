//! Which path answers what.

use crate::{metrics, stats, vars};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use nokv_server::{Figure, Service};
use serde_json::json;
use std::time::Duration;

/// How long a readiness check may take: longer, and it is not ready.
const READY_MAX: Duration = Duration::from_secs(10);

const INDEX: &str = "\
NoKV
  /healthz     is the process there
  /readyz      do the store and its object store work
  /metrics     figures for Prometheus
  /stats       the same as JSON
  /debug/vars  counters by group
";

/// All routes.
pub(crate) fn router(service: Service) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(all_metrics))
        .route("/stats", get(all_stats))
        .route("/debug/vars", get(all_vars))
        .with_state(service)
}

async fn ready(State(service): State<Service>) -> Response {
    let failure = match tokio::time::timeout(READY_MAX, service.prove()).await {
        Ok(Ok(())) => return Json(json!({ "ready": true })).into_response(),
        Ok(Err(failure)) => json!({
            "ready": false,
            "reason": failure.reason().code(),
            "message": failure.message(),
        }),
        Err(_) => json!({
            "ready": false,
            "reason": "DeadlineExceeded",
            "message": "the store or its object store did not answer within 10 s",
        }),
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(failure)).into_response()
}

/// Draws the figures beside the runtime: the engine's take locks of its tables.
async fn draw(service: Service) -> Result<Vec<Figure>, Response> {
    let drawn = tokio::task::spawn_blocking(move || service.figures()).await;
    drawn.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn all_metrics(State(service): State<Service>) -> Result<Response, Response> {
    let page = metrics::page(draw(service).await?);
    let page = page.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())?;
    let content_type = [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)];
    Ok((content_type, page).into_response())
}

async fn all_stats(State(service): State<Service>) -> Result<Response, Response> {
    Ok(Json(stats::page(&draw(service).await?)).into_response())
}

async fn all_vars(State(service): State<Service>) -> Result<Response, Response> {
    Ok(Json(vars::page(&draw(service).await?)).into_response())
}
