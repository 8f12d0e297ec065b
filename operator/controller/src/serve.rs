//! Probes and metrics.

use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::error;

use crate::metrics::Metrics;
use crate::watches::WatchAges;

/// A watch asks anew at least every 290 s; one that did not for this long hangs.
const WATCH_DEADLINE: Duration = Duration::from_mins(7);

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, metrics: Metrics, ages: WatchAges) {
    let ready = metrics.clone();
    let router = Router::new()
        .route("/healthz", get(move || async move { health(&ages) }))
        .route("/readyz", get(move || async move { readiness(&ready) }))
        .route("/metrics", get(move || async move { metrics.text().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR) }));
    if let Err(error) = axum::serve(listener, router).await {
        error!(%error, "probes are not served any more");
    }
}

/// A controller whose watch hangs looks well and does nothing: it has to be restarted.
fn health(ages: &WatchAges) -> (StatusCode, String) {
    match ages.all().into_iter().find(|(_, age)| *age > WATCH_DEADLINE) {
        None => (StatusCode::OK, "ok".to_owned()),
        Some((resource, age)) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the watch of {resource} has been silent for {}s", age.as_secs()))
        }
    }
}

fn readiness(metrics: &Metrics) -> (StatusCode, &'static str) {
    if metrics.is_ready() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "caches are being filled")
    }
}

/// Resolves at SIGTERM or SIGINT.
pub(crate) async fn terminated() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        error!("signals can't be waited for: only SIGKILL will end this process");
        return std::future::pending().await;
    };
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
}
