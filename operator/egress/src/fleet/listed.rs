//! The replicas as the API server has them. Asked for again and again, not watched: each answer shows that it is one of now.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::api::{Api, ListParams};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;

use super::roster::Seen;
use super::{Fleet, Replicas};

/// By which the chart's Service finds them, too.
const LABELS: &str = "app.kubernetes.io/name=ccos,app.kubernetes.io/component=egress";

/// For one answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tells the fleet what there is. Never ends.
pub async fn watch<R: Replicas>(pods: Api<Pod>, fleet: Arc<Fleet<R>>) {
    // Without a resource version: what the API server has now, not what it had once.
    let (list, mut beats) = (ListParams::default().labels(LABELS), interval(fleet.times.beat));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let asked = Instant::now();
        match timeout(PATIENCE, pods.list(&list)).await {
            Ok(Ok(found)) => fleet.seen(found.items.iter().filter_map(seen).collect(), asked),
            Ok(Err(error)) => warn!(%error, "the API server does not say which replicas there are"),
            Err(_) => warn!("the API server does not say in time which replicas there are"),
        }
    }
}

fn seen(pod: &Pod) -> Option<Seen> {
    let status = pod.status.as_ref();
    let ready = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let ready = ready.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let phase = status.and_then(|status| status.phase.as_deref());
    let containers = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let running = |state: &Option<ContainerState>| state.as_ref().is_some_and(|state| state.running.is_some());
    let seconds =
        |pod: &Pod| pod.metadata.deletion_grace_period_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Some(Seen {
        uid: pod.metadata.uid.clone()?,
        address: status.and_then(|status| status.pod_ip.as_deref()?.parse().ok()),
        ready,
        ends_within: pod.metadata.deletion_timestamp.as_ref().map(|_| Duration::from_secs(seconds(pod).unwrap_or(0))),
        runs: !matches!(phase, Some("Succeeded" | "Failed")) && containers.iter().any(|one| running(&one.state)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(deletion: &serde_json::Value, phase: &str, ready: &str, state: &serde_json::Value) -> Seen {
        let mut pod = json!({
            "metadata": {"uid": "u"},
            "status": {"phase": phase, "podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{"name": "egress", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state}]},
        });
        for (field, value) in deletion.as_object().unwrap() {
            pod["metadata"][field] = value.clone();
        }
        seen(&serde_json::from_value(pod).unwrap()).unwrap()
    }

    #[test]
    fn a_pod_is_what_its_kubelet_says() {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        let (none, ends) =
            (json!({}), json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 35}));
        let usual = pod(&none, "Running", "True", &running);
        assert_eq!((usual.ready, usual.runs, usual.ends_within), (true, true, None));
        assert_eq!(usual.address, Some([10, 0, 0, 7].into()));
        let ends = pod(&ends, "Running", "False", &running);
        assert_eq!((ends.ready, ends.runs, ends.ends_within), (false, true, Some(Duration::from_secs(35))));
        for state in [json!({"waiting": {"reason": "CrashLoopBackOff"}}), json!({"terminated": {"exitCode": 137}})] {
            assert!(!pod(&none, "Running", "False", &state).runs, "{state}");
        }
        assert!(!pod(&none, "Failed", "False", &running).runs);
    }
}
