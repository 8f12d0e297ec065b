//! The executions that run, by the UID of their pod.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use ccos_profile::egress::ANNOTATION;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::identify::Execution;
use crate::metrics::Metrics;

/// Pods that have ended and are remembered: an event that comes late must not bring one back.
const PAST: usize = 1024;

/// Who runs, and who did.
pub(super) struct Table {
    entries: Mutex<Entries>,
    /// Changes with each pod that is new.
    changed: watch::Sender<()>,
    metrics: Metrics,
}

#[derive(Default)]
struct Entries {
    running: HashMap<String, Arc<Execution>>,
    past: VecDeque<String>,
}

impl Table {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { entries: Mutex::default(), changed: watch::Sender::new(()), metrics }
    }

    /// A pod was made or changed.
    pub(super) fn seen(&self, pod: &Pod) {
        let Some(uid) = &pod.metadata.uid else { return };
        if !runs(pod) {
            return self.gone(uid);
        }
        let annotation = pod.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION)).cloned();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        match entries.running.get(uid) {
            Some(known) if known.annotation == annotation => return,
            // The controller writes rules once, when it makes the pod. Another hand's are nobody's grant.
            Some(known) => {
                warn!(
                    namespace = known.namespace,
                    pod = known.pod,
                    "the rules of a running pod were changed: it is cut off"
                );
                entries.end(uid);
            }
            None if entries.past.contains(uid) => return,
            None => {
                let metadata = &pod.metadata;
                let namespace = metadata.namespace.clone().unwrap_or_default();
                let name = metadata.name.clone().unwrap_or_default();
                let execution = Arc::new(Execution::new(namespace, name, uid.clone(), annotation));
                entries.running.insert(uid.clone(), execution);
            }
        }
        self.metrics.executions(entries.running.len());
        drop(entries);
        self.changed.send_replace(());
    }

    /// A pod has ended, or is about to.
    pub(super) fn gone(&self, uid: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.end(uid);
        self.metrics.executions(entries.running.len());
    }

    /// There are no other pods than these.
    pub(super) fn only(&self, uids: &HashSet<String>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<String> = entries.running.keys().filter(|uid| !uids.contains(*uid)).cloned().collect();
        for uid in gone {
            entries.end(&uid);
        }
        self.metrics.executions(entries.running.len());
    }

    /// The execution, while it runs.
    pub(super) fn running(&self, uid: &str) -> Option<Arc<Execution>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).running.get(uid).cloned()
    }

    /// All that run.
    pub(super) fn all(&self) -> Vec<Arc<Execution>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).running.values().cloned().collect()
    }

    /// Resolves when the pod is there.
    pub(super) async fn appears(&self, uid: &str) {
        let mut changed = self.changed.subscribe();
        while self.running(uid).is_none() {
            if changed.changed().await.is_err() {
                return; // the sender is gone with the table
            }
        }
    }
}

impl Entries {
    fn end(&mut self, uid: &str) {
        if let Some(execution) = self.running.remove(uid) {
            execution.end();
            let Execution { namespace, pod, uid, account, .. } = execution.as_ref();
            let usage = account.usage();
            info!(
                namespace,
                pod,
                uid,
                sent = usage.bytes_sent,
                received = usage.bytes_received,
                connections = usage.connections,
                denials = usage.denials.len(),
                "an execution ended"
            );
            if self.past.len() == PAST {
                self.past.pop_front();
            }
            self.past.push_back(uid.clone());
        }
    }
}

/// Whether its execution may still have connections. Not from the moment on at which it is told to end: what was cancelled or
/// has expired must not use the time that it is given to clean up.
fn runs(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && matches!(phase, None | Some("Pending" | "Running"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        Table::new(Metrics::default())
    }

    fn pod(change: &serde_json::Value) -> Pod {
        let mut pod = json!({
            "metadata": {"uid": "u1", "name": "p", "namespace": "n",
                "annotations": {ANNOTATION: r#"{"outbound":[],"blocked":[]}"#}},
            "status": {"phase": "Running"},
        });
        for (part, fields) in change.as_object().unwrap() {
            for (field, value) in fields.as_object().unwrap() {
                pod[part][field] = value.clone();
            }
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn only_what_runs_is_known_and_each_end_ends_it() {
        for end in [
            json!({"status": {"phase": "Succeeded"}}),
            json!({"status": {"phase": "Failed"}}),
            json!({"status": {"phase": "Unknown"}}),
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            json!({"metadata": {"annotations": {ANNOTATION: r#"{"outbound":[{"host":"a.example","ports":[]}],"blocked":[]}"#}}}),
            json!({"metadata": {"annotations": {}}}),
        ] {
            let table = table();
            table.seen(&pod(&json!({})));
            let execution = table.running("u1").expect("it runs");
            assert!(!execution.has_ended());
            table.seen(&pod(&end));
            assert!(table.running("u1").is_none(), "{end}");
            assert!(execution.has_ended(), "{end}");
            table.seen(&pod(&json!({})));
            assert!(table.running("u1").is_none(), "it came back after {end}");
        }
    }

    #[test]
    fn what_a_new_list_lacks_has_ended() {
        let table = table();
        table.seen(&pod(&json!({})));
        table.only(&HashSet::from(["u1".to_owned()]));
        assert!(table.running("u1").is_some());
        table.only(&HashSet::new());
        assert!(table.running("u1").is_none());
    }

    #[test]
    fn what_is_past_is_bounded() {
        let table = table();
        for number in 0..PAST + 10 {
            let uid = format!("u{number}");
            table.seen(&pod(&json!({"metadata": {"uid": uid}})));
            table.gone(&uid);
        }
        assert_eq!(table.entries.lock().unwrap().past.len(), PAST);
    }

    #[test]
    fn rules_that_cannot_be_read_grant_nothing_and_say_why() {
        let table = table();
        table.seen(&pod(
            &json!({"metadata": {"annotations": {ANNOTATION: r#"{"outbound":[],"blocked":[{"host":"*"}]}"#}}}),
        ));
        let execution = table.running("u1").unwrap();
        let message = execution.grants.as_ref().unwrap_err();
        assert!(message.starts_with(r#"blocked[0].host "*" is no pattern: expected a host"#), "{message}");
    }
}
