//! What is counted for all executions together.

use std::sync::Arc;

use ccos_profile::egress::Refusal;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWay {
    way: &'static str,
}

/// Counters and gauges.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    established: Counter,
    open: Gauge,
    refused: Family<ByReason, Counter>,
    sent: Counter,
    received: Counter,
    executions: Gauge,
    reviews: Counter,
    watch_age: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ccos_egress");
        let (established, open, refused, executions) =
            (Counter::default(), Gauge::default(), Family::<ByReason, Counter>::default(), Gauge::default());
        let (bytes, reviews, watch_age) = (Family::<ByWay, Counter>::default(), Counter::default(), Gauge::default());
        registry.register("connections", "Connections that were established", established.clone());
        registry.register("connections_open", "Connections that are established", open.clone());
        registry.register("refused", "Connections that were refused or cut, by reason", refused.clone());
        registry.register("bytes", "Bytes that passed", bytes.clone());
        registry.register("executions", "Executions that run, as far as the proxy sees", executions.clone());
        registry.register("token_reviews", "Tokens that the API server was asked about", reviews.clone());
        registry.register("watch_age_seconds", "Since the watch of pods was last known to live", watch_age.clone());
        // So that a rule about a reason has a series before the first of its kind.
        for reason in Refusal::ALL {
            drop(refused.get_or_create(&ByReason { reason: reason.token() }));
        }
        let way = |way| Counter::clone(&bytes.get_or_create(&ByWay { way }));
        Self {
            registry: Arc::new(registry),
            established,
            open,
            refused,
            sent: way("sent"),
            received: way("received"),
            executions,
            reviews,
            watch_age,
        }
    }
}

/// Counts one connection as open until it is dropped.
pub(crate) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn connected(&self) -> Open {
        self.established.inc();
        self.open.inc();
        Open(self.open.clone())
    }

    /// Counts a refusal, and says how many there were for this reason.
    pub(crate) fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.get_or_create(&ByReason { reason: refusal.token() }).inc() + 1
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    pub(crate) fn reviewed(&self) {
        self.reviews.inc();
    }

    pub(crate) fn executions(&self, number: usize) {
        self.executions.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub(crate) fn watched(&self, age: std::time::Duration) {
        self.watch_age.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    }

    /// The text of `/metrics`.
    /// # Errors
    /// If it can't be written.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
