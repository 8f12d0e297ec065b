//! What operators see: health, readiness, metrics, and the log of decisions.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::keys::Shared;
use crate::watch::{DEAD, Pulses};

/// Labels of a review.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reviewed {
    /// The kind; one that is not ours counts as `unknown`, since labels come from requests.
    pub kind: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// `mutate` or `validate`.
    pub webhook: &'static str,
    /// `allowed`, or how it was refused.
    pub outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Denied {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lined {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    kind: &'static str,
}

/// What is counted.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reviews: Family<Reviewed, Counter>,
    denials: Family<Denied, Counter>,
    lines: Family<Lined, Counter>,
    seconds: Histogram,
    ages: Family<Watched, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let reviews = Family::<Reviewed, Counter>::default();
        let denials = Family::<Denied, Counter>::default();
        let lines = Family::<Lined, Counter>::default();
        // Between what a decision costs and what the API server waits for.
        let seconds = Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]);
        let ages = Family::<Watched, Gauge>::default();
        let mut registry = Registry::with_prefix("ccos");
        registry.register("webhook_reviews", "Admission reviews that were answered", reviews.clone());
        registry.register("webhook_denials", "Reasons for which executions were denied", denials.clone());
        registry.register("audit_lines", "Lines for the audit trail, by whether they were written", lines.clone());
        registry.register("webhook_review_seconds", "Time to answer an admission review", seconds.clone());
        registry.register("watch_last_event_age_seconds", "Time since a watch was last heard of", ages.clone());
        Self { registry: Arc::new(registry), reviews, denials, lines, seconds, ages }
    }
}

impl Metrics {
    /// Counts a review and, if it was denied, each reason.
    pub fn reviewed(&self, labels: &Reviewed, reasons: &[String], took: Duration) {
        self.reviews.get_or_create(labels).inc();
        for reason in reasons {
            self.denials.get_or_create(&Denied { reason: reason.clone() }).inc();
        }
        self.seconds.observe(took.as_secs_f64());
    }

    /// Counts a line of the audit trail.
    pub fn lined(&self, written: bool) {
        let outcome = if written { "written" } else { "failed" };
        self.lines.get_or_create(&Lined { outcome }).inc();
    }
}

/// What the probes look at.
#[derive(Clone)]
pub struct Probes {
    /// What is counted.
    pub metrics: Metrics,
    /// The watches.
    pub pulses: Pulses,
    /// The receipt keys.
    pub keys: Shared,
    /// The caches are filled, and a certificate is served.
    pub serving: Arc<AtomicBool>,
    /// The end has begun.
    pub ending: Arc<AtomicBool>,
}

/// The probes' server.
pub fn router(probes: Probes) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn healthz(State(probes): State<Probes>) -> Response {
    let dead: Vec<String> = probes
        .pulses
        .ages()
        .into_iter()
        .filter(|(_, age)| *age > DEAD)
        .map(|(kind, age)| format!("the watch of {kind} was not heard of for {}s", age.as_secs()))
        .collect();
    if dead.is_empty() {
        "ok\n".into_response()
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, dead.join("\n")).into_response()
    }
}

async fn readyz(State(probes): State<Probes>) -> Response {
    let missing = if probes.ending.load(Ordering::Relaxed) {
        "is ending\n"
    } else if probes.keys.get().is_none() {
        "has no receipt key yet\n"
    } else if !probes.serving.load(Ordering::Relaxed) {
        "has no certificate, or has not read all contexts and providers yet\n"
    } else {
        return "ok\n".into_response();
    };
    (StatusCode::SERVICE_UNAVAILABLE, missing).into_response()
}

async fn metrics(State(probes): State<Probes>) -> Response {
    for (kind, age) in probes.pulses.ages() {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        probes.metrics.ages.get_or_create(&Watched { kind }).set(seconds);
    }
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &probes.metrics.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Logs an error with its sources.
pub fn warn(what: &str, error: &dyn Error) {
    let mut sources = Vec::new();
    let mut source = error.source();
    while let Some(error) = source {
        sources.push(error.to_string());
        source = error.source();
    }
    tracing::warn!(error = %error, sources = sources.join(": "), "{what}");
}
