//! Status, from what was observed.

mod earlier;
mod network;
mod pod;
mod report;

use ccos_crds::execution::{Attempt, CapabilityExecutionStatus, DecisionStatus};
use ccos_crds::{CapabilityExecution, conditions};
use ccos_policy::Admitted;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

pub use self::earlier::{attempt_number, attempted, finished, stopping};
pub(crate) use self::pod::report_message;
pub use self::pod::{Ended, Seen, checked, observe, start_failure};
use crate::end::{End, EndReason, WaitReason};
use crate::receipt::Claims;
use crate::text::cut;
use crate::wire::isolation_wire;

/// The longest message of a condition, in bytes: the API allows 32 KiB.
const MESSAGE_LIMIT: usize = 16 * 1024;

/// An execution that may run.
#[derive(Debug)]
pub struct Granted {
    /// What the receipt says.
    pub claims: Claims,
    /// What was decided, now.
    pub admitted: Admitted,
    /// Generation of the context by which it was.
    pub context_generation: i64,
    /// Digest of the decision.
    pub digest: String,
}

/// A status in the making.
#[derive(Debug)]
pub struct Draft {
    status: CapabilityExecutionStatus,
    generation: Option<i64>,
    now: Timestamp,
}

impl Draft {
    /// From what the object has now.
    #[must_use]
    pub fn of(object: &CapabilityExecution, now: Timestamp) -> Self {
        let mut status = object.status.clone().unwrap_or_default();
        status.observed_generation = object.metadata.generation;
        Self { status, generation: object.metadata.generation, now }
    }

    /// It is over, and its spec was changed since: nothing else comes of it. `kubectl wait` believes only conditions that
    /// speak of the present generation.
    #[must_use]
    pub fn observed(mut self) -> Self {
        for condition in &mut self.status.conditions {
            condition.observed_generation = self.generation;
        }
        self
    }

    /// The status as it is so far.
    #[must_use]
    pub const fn status(&self) -> &CapabilityExecutionStatus {
        &self.status
    }

    /// The status, if it differs from the object's.
    #[must_use]
    pub fn changed(self, object: &CapabilityExecution) -> Option<CapabilityExecutionStatus> {
        (object.status.as_ref() != Some(&self.status)).then_some(self.status)
    }

    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let message = cut(message, MESSAGE_LIMIT);
        let before = self.status.conditions.iter_mut().find(|one| one.type_ == kind);
        let transition = match &before {
            Some(before) if before.status == status => before.last_transition_time.clone(),
            Some(_) | None => Time(self.now),
        };
        let condition = Condition {
            last_transition_time: transition,
            message: message.to_owned(),
            observed_generation: self.generation,
            reason: reason.to_owned(),
            status: status.to_owned(),
            type_: kind.to_owned(),
        };
        match before {
            Some(before) => *before = condition,
            None => self.status.conditions.push(condition),
        }
    }

    fn admitted(&mut self, granted: &Granted) {
        self.set(conditions::ADMITTED, "True", "Admitted", "the receipt is valid, and the decision says yes");
        self.status.decision = Some(DecisionStatus {
            isolation: isolation_wire(granted.admitted.isolation()),
            context_uid: granted.claims.context_uid.clone(),
            context_generation: granted.context_generation,
            digest: granted.digest.clone(),
        });
    }

    /// It may run, whatever becomes of it.
    #[must_use]
    pub fn granted(mut self, granted: &Granted) -> Self {
        self.admitted(granted);
        self
    }

    /// It may run and waits.
    #[must_use]
    pub fn waiting(mut self, granted: &Granted, reason: WaitReason, message: &str) -> Self {
        self.admitted(granted);
        self.set(conditions::QUEUED, "True", reason.as_str(), message);
        self.set(conditions::SUCCEEDED, "Unknown", reason.as_str(), message);
        self.set(conditions::FINISHED, "False", reason.as_str(), "");
        self
    }

    /// It waits still, at another place of the line.
    #[must_use]
    pub fn moved(mut self, message: &str) -> Self {
        let reason = WaitReason::CapacityExhausted.as_str();
        self.set(conditions::QUEUED, "True", reason, message);
        self.set(conditions::SUCCEEDED, "Unknown", reason, message);
        self
    }

    /// Its pod was created.
    #[must_use]
    pub fn starting(self, granted: &Granted, pod: &str) -> Self {
        let mut draft = self.attempt(pod);
        // Of an earlier attempt.
        draft.status.enforcement = Vec::new();
        (draft.status.result, draft.status.usage) = (None, None);
        (draft.status.denials, draft.status.denied_more) = (Vec::new(), None);
        draft.admitted(granted);
        draft.fenced();
        draft
    }

    /// Its pod exists.
    #[must_use]
    pub fn attempt(mut self, pod: &str) -> Self {
        if !self.status.attempts.iter().any(|attempt| attempt.pod_name == pod) {
            self.status.attempts.push(Attempt {
                pod_name: pod.to_owned(),
                reason: None,
                exit_code: None,
                started_at: None,
                finished_at: None,
            });
        }
        self
    }

    fn fenced(&mut self) {
        self.set(conditions::QUEUED, "False", "Started", "");
        let fence =
            "the network policy, the quota and the profile exist; the runner proves the rest before it starts the code";
        self.set(conditions::ISOLATED, "True", "Applied", fence);
        self.set(conditions::STARTED, "Unknown", "Starting", "");
        self.set(conditions::SUCCEEDED, "Unknown", "Starting", "");
        self.set(conditions::FINISHED, "False", "Starting", "");
    }

    /// Its pod was seen.
    #[must_use]
    pub fn seen(mut self, pod: &str, seen: &Seen) -> Self {
        match seen {
            Seen::Starting(why) => {
                self.set(conditions::STARTED, "Unknown", "Starting", why);
                self.set(conditions::SUCCEEDED, "Unknown", "Starting", why);
            }
            Seen::Running(since) => {
                self.set(conditions::STARTED, "True", "Running", "");
                self.set(conditions::SUCCEEDED, "Unknown", "Running", "");
                self.set(conditions::FINISHED, "False", "Running", "");
                if let Some(attempt) = self.status.attempts.iter_mut().find(|attempt| attempt.pod_name == pod) {
                    attempt.started_at = Some(Time(*since));
                }
            }
            Seen::Ended(ended) => return self.ended(Some(pod), ended),
        }
        self
    }

    /// It is being stopped for this reason, which the end will have: whatever the pod says then.
    #[must_use]
    pub fn stopping(mut self, end: &End) -> Self {
        self.set(conditions::SUCCEEDED, "Unknown", STOPPING, &format!("{}: {}", end.reason, end.message));
        self
    }

    /// An attempt ended.
    fn close(&mut self, pod: &str, ended: &Ended) {
        let Ended { end, report, started_at, finished_at } = ended;
        if let Some(attempt) = self.status.attempts.iter_mut().find(|attempt| attempt.pod_name == pod) {
            attempt.reason = Some(end.reason.to_owned());
            attempt.exit_code = report.as_ref().and_then(|report| report.exit_code);
            attempt.started_at = started_at.map(Time).or(attempt.started_at.take());
            attempt.finished_at = Some(Time(finished_at.unwrap_or(self.now)));
        }
    }

    /// An attempt ended, and there will be another.
    #[must_use]
    pub fn retrying(mut self, pod: &str, ended: &Ended) -> Self {
        self.close(pod, ended);
        let message = format!(
            "attempt {} ended as {}: {}; there will be another",
            self.status.attempts.len(),
            ended.end.reason,
            ended.end.message
        );
        self.set(conditions::QUEUED, "False", RETRYING, "");
        self.set(conditions::ISOLATED, "Unknown", RETRYING, "");
        self.set(conditions::STARTED, "Unknown", RETRYING, "");
        self.set(conditions::SUCCEEDED, "Unknown", RETRYING, &message);
        self.set(conditions::FINISHED, "False", RETRYING, "");
        self
    }

    /// It ended.
    #[must_use]
    pub fn ended(mut self, pod: Option<&str>, ended: &Ended) -> Self {
        let Ended { end, report, started_at, finished_at: _ } = ended;
        let succeeded = if end.reason == EndReason::Completed.as_str() { "True" } else { "False" };
        if let Some(pod) = pod {
            self.close(pod, ended);
        }
        if started_at.is_some() {
            self.set(conditions::STARTED, "True", "Running", "");
        }
        if let Some(report) = report {
            self.reported(report, end, pod.unwrap_or_default());
        }
        // Cancelling takes nothing back of what was admitted.
        if pod.is_none() && end.reason != EndReason::Cancelled.as_str() {
            self.set(conditions::ADMITTED, "False", end.reason, &end.message);
        }
        self.set(conditions::QUEUED, "False", if pod.is_some() { "Started" } else { "Ended" }, "");
        self.not_fenced(end);
        self.set(conditions::SUCCEEDED, succeeded, end.reason, &end.message);
        self.set(conditions::FINISHED, "True", end.reason, &end.message);
        self
    }

    /// Where another policy opens its pod, what was applied isolates nothing.
    fn not_fenced(&mut self, end: &End) {
        if end.reason == EndReason::ConflictingNetworkPolicy.as_str() {
            self.set(conditions::ISOLATED, "False", end.reason, &end.message);
        }
    }

    /// It ended before it had a pod, though it may run: cancelled, without a runtime, or opened by another policy.
    #[must_use]
    pub fn abandoned(mut self, end: &End) -> Self {
        self.not_fenced(end);
        self.set(conditions::QUEUED, "False", "Ended", "");
        self.set(conditions::SUCCEEDED, "False", end.reason, &end.message);
        self.set(conditions::FINISHED, "True", end.reason, &end.message);
        self
    }
}

/// The reason of the conditions between two attempts.
const RETRYING: &str = "Retrying";

/// The reason of `Succeeded` while a pod is being stopped; the message begins with the end's reason.
const STOPPING: &str = "Stopping";
