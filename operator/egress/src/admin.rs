//! Probes and metrics, on a port of its own that executions can't reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tracing::error;

use crate::cluster::{Cluster, OfCluster};
use crate::fleet::Fleet;
use crate::metrics::Metrics;

/// A watch that was silent for so long hangs: the proxy has to be restarted.
const HANGS: Duration = Duration::from_mins(7);

/// What the endpoints tell about.
#[derive(Clone)]
pub struct Admin {
    /// Who runs.
    pub cluster: Arc<Cluster>,
    /// Which replica serves whom.
    pub fleet: Arc<Fleet<OfCluster>>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether the proxy was told to stop.
    pub drains: Arc<AtomicBool>,
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, admin: Admin) {
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
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
    if !admin.fleet.has_waited() {
        return (StatusCode::SERVICE_UNAVAILABLE, "it waits until nobody from before can have connections".to_owned());
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
