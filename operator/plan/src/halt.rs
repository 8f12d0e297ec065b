//! How a pod that lives is ended: by its deadline, so that it stays, with its log and its last word, as long as its
//! execution does; by deletion where that can't be waited for.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use crate::end::{End, EndReason};

/// For the kubelet to see the deadline, and for the runner and the kubelet to end: well above the pod's grace.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// What to do about a pod that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Nothing: it ends.
    Wait,
    /// Its `activeDeadlineSeconds` becomes this, which is now: the kubelet ends it as it does at any deadline.
    Deadline(i64),
    /// It is deleted: there is nothing to keep, or nobody to wait for.
    Delete,
}

/// The next thing to do about a pod that is stopped for this end.
#[must_use]
pub fn halt(pod: &Pod, end: &End, now: Timestamp) -> Halt {
    if pod.metadata.deletion_timestamp.is_some() {
        return Halt::Wait;
    }
    // Who changed it may change its log as well, and every second counts.
    if end.reason == EndReason::ConfinementFailed.as_str() {
        return Halt::Delete;
    }
    let status = pod.status.as_ref();
    let runs = status.is_some_and(|status| status.phase.as_deref() == Some("Running"));
    let Some(start) = status.and_then(|status| status.start_time.as_ref()).filter(|_| runs) else {
        return Halt::Delete;
    };
    let passed = now.duration_since(start.0).as_secs().max(1);
    let deadline = pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
    // It may only become less.
    let Some(asked) = deadline.filter(|deadline| *deadline <= passed) else { return Halt::Deadline(passed) };
    let until = start.0.checked_add(SignedDuration::from_secs(asked)).and_then(|at| at.checked_add(PATIENCE));
    if until.is_ok_and(|until| now < until) { Halt::Wait } else { Halt::Delete }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-11-24T12:00:10.9Z";

    fn halted(phase: &str, deadline: Option<i64>, reason: EndReason) -> Halt {
        let pod = json!({
            "spec": {"containers": [], "activeDeadlineSeconds": deadline},
            "status": {"phase": phase, "startTime": "2026-11-24T12:00:00Z"},
        });
        halt(&serde_json::from_value(pod).unwrap(), &End::new(reason, ""), NOW.parse().unwrap())
    }

    #[test]
    fn a_pod_that_runs_meets_its_deadline_and_stays() {
        for reason in [EndReason::Cancelled, EndReason::ContextExpired, EndReason::UseRevoked] {
            assert_eq!(halted("Running", Some(150), reason), Halt::Deadline(10));
            assert_eq!(halted("Running", None, reason), Halt::Deadline(10));
            assert_eq!(halted("Running", Some(10), reason), Halt::Wait);
            assert_eq!(halted("Running", Some(1), reason), Halt::Wait);
        }
    }

    #[test]
    fn what_does_not_run_or_does_not_end_or_was_changed_is_deleted() {
        assert_eq!(halted("Pending", Some(150), EndReason::Cancelled), Halt::Delete);
        assert_eq!(halted("Running", Some(150), EndReason::ConfinementFailed), Halt::Delete);
        assert_eq!(halted("Running", Some(10), EndReason::ConfinementFailed), Halt::Delete);
        let pod = json!({
            "spec": {"containers": [], "activeDeadlineSeconds": 20},
            "status": {"phase": "Running", "startTime": "2026-11-24T11:59:20Z"},
        });
        let mut pod: Pod = serde_json::from_value(pod).unwrap();
        let cancelled = End::new(EndReason::Cancelled, "");
        assert_eq!(halt(&pod, &cancelled, "2026-11-24T12:00:09.9Z".parse().unwrap()), Halt::Wait);
        assert_eq!(halt(&pod, &cancelled, NOW.parse().unwrap()), Halt::Delete);
        pod.metadata.deletion_timestamp = pod.status.as_ref().and_then(|status| status.start_time.clone());
        assert_eq!(halt(&pod, &cancelled, NOW.parse().unwrap()), Halt::Wait);
    }

    /// By a clock that is behind the kubelet's, it would be no deadline.
    #[test]
    fn a_deadline_is_at_least_a_second() {
        let pod =
            json!({"spec": {"containers": []}, "status": {"phase": "Running", "startTime": "2026-11-24T12:00:20Z"}});
        let halted =
            halt(&serde_json::from_value(pod).unwrap(), &End::new(EndReason::Cancelled, ""), NOW.parse().unwrap());
        assert_eq!(halted, Halt::Deadline(1));
    }
}
