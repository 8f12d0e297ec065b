//! What is counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::watches::WatchAges;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResource {
    resource: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(crate) struct Rescanned {
    /// Of what.
    pub(crate) kind: String,
    /// What came of it.
    pub(crate) outcome: &'static str,
    /// Why: one of our reasons, or nothing.
    pub(crate) reason: String,
}

/// Counters, and whether the controller is ready.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    finished: Family<ByReason, Counter>,
    retried: Family<ByReason, Counter>,
    waited: Family<ByReason, Counter>,
    rescanned: Family<Rescanned, Gauge>,
    started: Counter,
    failed: Counter,
    lines: Family<ByOutcome, Counter>,
    leader: Gauge,
    listed: Gauge,
    unreadable: Gauge,
    watch_age: Family<ByResource, Gauge>,
    ready: Arc<AtomicBool>,
    ages: WatchAges,
}

impl Metrics {
    pub(crate) fn new(ages: WatchAges) -> Self {
        let mut registry = Registry::with_prefix("ccos");
        let (finished, retried, waited, rescanned, lines) =
            (Family::default(), Family::default(), Family::default(), Family::default(), Family::default());
        let (started, failed) = (Counter::default(), Counter::default());
        let (leader, listed, unreadable, watch_age) =
            (Gauge::default(), Gauge::default(), Gauge::default(), Family::default());
        registry.register("executions_finished", "Executions that ended, by reason", finished.clone());
        registry.register("attempts_retried", "Attempts after which there was another, by their end", retried.clone());
        registry.register("executions_waited", "Times that an execution began to wait, by reason", waited.clone());
        let what = "Objects held against what is granted today, by kind, outcome and reason";
        registry.register("rescan_results", what, rescanned.clone());
        registry.register("executions_started", "Pods that were made", started.clone());
        registry.register("reconcile_errors", "Reconciliations that will be tried again", failed.clone());
        registry.register("audit_lines", "Lines for the audit trail, by whether they were written", lines.clone());
        registry.register("leader", "1 on the replica that leads", leader.clone());
        registry.register("watchlist_records", "Records of the lists of malicious providers", listed.clone());
        registry.register(
            "watchlist_unreadable",
            "Lists of malicious providers that can't be read; while there is one, nothing starts",
            unreadable.clone(),
        );
        registry.register("watch_last_event_age_seconds", "Since a watch was last known to live", watch_age.clone());
        Self {
            registry: Arc::new(registry),
            finished,
            retried,
            waited,
            rescanned,
            started,
            failed,
            lines,
            leader,
            listed,
            unreadable,
            watch_age,
            ready: Arc::default(),
            ages,
        }
    }

    pub(crate) fn finished(&self, reason: &str) {
        self.finished.get_or_create(&ByReason { reason: reason.to_owned() }).inc();
    }

    pub(crate) fn retried(&self, reason: &str) {
        self.retried.get_or_create(&ByReason { reason: reason.to_owned() }).inc();
    }

    pub(crate) fn waited(&self, reason: &str) {
        self.waited.get_or_create(&ByReason { reason: reason.to_owned() }).inc();
    }

    /// What was found, instead of what was found before.
    pub(crate) fn rescanned(&self, before: &BTreeMap<Rescanned, i64>, found: &BTreeMap<Rescanned, i64>) {
        // Not cleared: a scrape in between would end alerts.
        for gone in before.keys().filter(|labels| !found.contains_key(labels)) {
            self.rescanned.remove(gone);
        }
        for (labels, count) in found {
            self.rescanned.get_or_create(labels).set(*count);
        }
    }

    pub(crate) fn started(&self) {
        self.started.inc();
    }

    pub(crate) fn failed(&self) {
        self.failed.inc();
    }

    pub(crate) fn watchlist(&self, records: usize, faults: usize) {
        self.listed.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.unreadable.set(i64::try_from(faults).unwrap_or(i64::MAX));
    }

    pub(crate) fn lined(&self, written: bool) {
        let outcome = if written { "written" } else { "failed" };
        self.lines.get_or_create(&ByOutcome { outcome }).inc();
    }

    pub(crate) fn leads(&self) {
        self.leader.set(1);
    }

    pub(crate) fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// A replica that waits for the Lease is ready too: it can take over.
    pub(crate) fn is_ready(&self) -> bool {
        self.leader.get() == 0 || self.ready.load(Ordering::Relaxed)
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        for (resource, age) in self.ages.all() {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            self.watch_age.get_or_create(&ByResource { resource }).set(seconds);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
