//! Probes, metrics, and what executions did: on a port of its own that executions can't reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use ccos_profile::egress::Refusal;
use tokio::net::TcpListener;
use tracing::error;

use crate::cluster::Cluster;
use crate::metrics::Metrics;

/// The audience of the token that the controller shows here.
pub const AUDIENCE: &str = "ccos-egress-usage";

/// A watch that was silent for so long hangs: the proxy has to be restarted.
const HANGS: Duration = Duration::from_mins(7);

/// What the endpoints tell about.
#[derive(Clone)]
pub struct Admin {
    /// Who runs.
    pub cluster: Arc<Cluster>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether the proxy was told to stop.
    pub drains: Arc<AtomicBool>,
    /// The only service account that may ask what executions did.
    pub reader: String,
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, admin: Admin) {
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .route("/executions/{uid}/usage", get(usage))
        .with_state(admin);
    if let Err(error) = axum::serve(listener, router).await {
        error!(%error, "probes are not served any more");
    }
}

async fn health(State(admin): State<Admin>) -> (StatusCode, String) {
    let age = admin.cluster.age();
    if age <= HANGS {
        (StatusCode::OK, "ok".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("the watch of pods has been silent for {}s", age.as_secs()))
    }
}

async fn readiness(State(admin): State<Admin>) -> (StatusCode, String) {
    if admin.drains.load(Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "it drains".to_owned());
    }
    if admin.cluster.is_ready() {
        (StatusCode::OK, "ok".to_owned())
    } else {
        let age = admin.cluster.age().as_secs();
        (StatusCode::SERVICE_UNAVAILABLE, format!("pods are not listed, or the watch has been silent for {age}s"))
    }
}

async fn metrics(State(admin): State<Admin>) -> Result<String, StatusCode> {
    admin.metrics.watched(admin.cluster.age());
    admin.metrics.text().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// What one pod did. Names of hosts tell about the executions of others, so only the controller is told.
async fn usage(State(admin): State<Admin>, Path(uid): Path<String>, headers: HeaderMap) -> Response {
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = token.and_then(|text| text.strip_prefix("Bearer ")) else {
        return (StatusCode::UNAUTHORIZED, "the controller's token is wanted").into_response();
    };
    match admin.cluster.account_of(token, AUDIENCE).await {
        Ok(account) if account == admin.reader => {}
        Ok(_) => return (StatusCode::FORBIDDEN, "only the controller is told").into_response(),
        Err(unknown) if unknown.refusal == Refusal::NotReady => {
            return (StatusCode::SERVICE_UNAVAILABLE, unknown.message).into_response();
        }
        Err(unknown) => return (StatusCode::FORBIDDEN, unknown.message).into_response(),
    }
    match admin.cluster.usage(&uid) {
        Some(usage) => Json(usage).into_response(),
        None => (StatusCode::NOT_FOUND, "no such pod was seen").into_response(),
    }
}
