//! Status, from what was observed.

mod network;

use ccos_crds::execution::{
    Attempt, CapabilityExecutionStatus, ConfigMapRef, DecisionStatus, Enforcement, ResultStatus, Usage,
};
use ccos_crds::{CapabilityExecution, Duration, Quantity, conditions};
use ccos_policy::{Admitted, Reason};
use ccos_profile::{Proof, Report};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::Value;

use crate::end::{End, EndReason, WaitReason};
use crate::receipt::Claims;
use crate::reported::{result_name, unfit};
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

/// What a pod shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Its container does not run yet; the text says why, where it is known.
    Starting(String),
    /// Its container runs, since then.
    Running(Timestamp),
    /// It ended.
    Ended(Box<Ended>),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Why.
    pub end: End,
    /// What the runner said, where it could.
    pub report: Option<Report>,
    /// When the container started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
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

    fn reported(&mut self, report: &Report, end: &End, pod: &str) {
        let Report {
            version: _,
            end: _,
            message: _,
            exit_code: _,
            signal: _,
            result,
            result_digest,
            usage,
            proven,
            network,
        } = report;
        if end.reason == EndReason::ConfinementFailed.as_str() {
            self.set(conditions::ISOLATED, "False", end.reason, &end.message);
        } else if !proven.is_empty() {
            self.set(
                conditions::ISOLATED,
                "True",
                "Proven",
                "the runner's probes were refused before the code started",
            );
        }
        self.status.enforcement = proven
            .iter()
            .map(|Proof { field, mechanism }| Enforcement {
                field: field.clone(),
                mechanism: mechanism.clone(),
                proven: "True".to_owned(),
            })
            .collect();
        if let Some(result) = result {
            self.status.result =
                Some(ResultStatus { inline: Some(result.clone()), config_map_ref: None, sha256: None });
        }
        if let Some(digest) = result_digest {
            self.status.result = Some(ResultStatus {
                inline: None,
                config_map_ref: Some(ConfigMapRef { name: result_name(pod) }),
                sha256: Some(digest.trim_start_matches("sha256:").to_owned()),
            });
        }
        if let Some(ccos_profile::Usage { cpu_time_millis, peak_memory_bytes, wall_time_millis, disk_bytes }) = usage {
            self.status.usage = Some(Usage {
                cpu_time: Some(Duration(ccos_policy::limits::Millis(*cpu_time_millis).to_string())),
                peak_memory: Some(Quantity(ccos_policy::Bytes(*peak_memory_bytes).to_string())),
                wall_time: Some(Duration(ccos_policy::limits::Millis(*wall_time_millis).to_string())),
                disk_written: Some(Quantity(ccos_policy::Bytes(*disk_bytes).to_string())),
                ..Usage::default()
            });
        }
        if let Some(network) = network {
            network::write_down(network, &mut self.status);
        }
    }
}

/// The reason of the conditions between two attempts.
const RETRYING: &str = "Retrying";

/// The reason of `Succeeded` while a pod is being stopped; the message begins with the end's reason.
const STOPPING: &str = "Stopping";

/// The end for which a pod is being stopped, as an earlier status has it.
#[must_use]
pub fn stopping(object: &CapabilityExecution) -> Option<End> {
    let condition = condition(object, conditions::SUCCEEDED).filter(|one| one.reason == STOPPING)?;
    let (reason, message) = condition.message.split_once(": ")?;
    let denial = || Reason::ALL.iter().find(|one| one.as_str() == reason).map(|one| End::denied(*one, message));
    EndReason::named(reason).map(|reason| End::new(reason, message)).or_else(denial)
}

/// Whether an execution is over.
#[must_use]
pub fn finished(object: &CapabilityExecution) -> bool {
    condition(object, conditions::FINISHED).is_some_and(|one| one.status == "True")
}

/// The pod of the attempt that runs, or of the last one of an execution that is over, as an earlier status has it.
#[must_use]
pub fn attempted(object: &CapabilityExecution) -> Option<&str> {
    let last = object.status.as_ref()?.attempts.last()?;
    (last.reason.is_none() || finished(object)).then_some(last.pod_name.as_str())
}

/// The number of the attempt that runs, or of the next where none does, or of the last of an execution that is over. From 1.
#[must_use]
pub fn attempt_number(object: &CapabilityExecution) -> usize {
    let attempts = object.status.as_ref().map_or(&[][..], |status| &status.attempts);
    let next = attempts.last().is_some_and(|last| last.reason.is_some()) && !finished(object);
    attempts.len().max(1) + usize::from(next)
}

fn condition<'a>(object: &'a CapabilityExecution, kind: &str) -> Option<&'a Condition> {
    object.status.as_ref()?.conditions.iter().find(|one| one.type_ == kind)
}

/// What a pod shows.
#[must_use]
pub fn observe(pod: &Pod) -> Seen {
    let Some(status) = &pod.status else { return Seen::Starting(String::new()) };
    let container = status.container_statuses.as_deref().and_then(<[_]>::first);
    let state = container.and_then(|container| container.state.as_ref());
    if let Some(terminated) = state.and_then(|state| state.terminated.as_ref()) {
        return Seen::Ended(Box::new(terminated_end(pod, terminated)));
    }
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        let end =
            pod_end(pod).unwrap_or_else(|| End::new(EndReason::InternalError, "its pod ended and does not say how"));
        return Seen::Ended(Box::new(Ended { end, report: None, started_at: None, finished_at: None }));
    }
    if let Some(running) = state.and_then(|state| state.running.as_ref()) {
        let since = running.started_at.as_ref().or(status.start_time.as_ref());
        return Seen::Running(since.map_or(Timestamp::UNIX_EPOCH, |time| time.0));
    }
    // Each pod goes through these: to say so would cost each execution a write.
    let waiting = state
        .and_then(|state| state.waiting.as_ref())
        .filter(|waiting| !matches!(waiting.reason.as_deref(), Some("ContainerCreating" | "PodInitializing")));
    let waiting = waiting.map(|waiting| {
        let (reason, message) =
            (waiting.reason.as_deref().unwrap_or_default(), waiting.message.as_deref().unwrap_or_default());
        if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
    });
    let unscheduled =
        status.conditions.iter().flatten().find(|one| one.type_ == "PodScheduled" && one.status == "False");
    Seen::Starting(
        unscheduled
            .map(|one| {
                format!(
                    "{}: {}",
                    one.reason.as_deref().unwrap_or("Unschedulable"),
                    one.message.as_deref().unwrap_or_default()
                )
            })
            .or(waiting)
            .unwrap_or_default(),
    )
}

/// An end whose result was held against the schema that its pod was made with. One that does not fit is not kept: nobody
/// is to read it as if it did.
#[must_use]
pub fn checked(ended: Ended, pod: &Pod) -> Ended {
    if ended.end.reason != EndReason::Completed.as_str() {
        return ended;
    }
    let report = ended.report.as_ref();
    if report.is_some_and(|report| report.result_digest.is_some()) {
        // It was looked at before it was kept.
        return ended;
    }
    let result = report.and_then(|report| report.result.as_ref()).unwrap_or(&Value::Null);
    let Some(message) = unfit(pod, result) else { return ended };
    let report = ended.report.map(|report| Report { result: None, ..report });
    Ended { end: End::new(EndReason::InvalidResult, message), report, ..ended }
}

fn terminated_end(pod: &Pod, terminated: &ContainerStateTerminated) -> Ended {
    let report = terminated.message.as_deref().and_then(|text| serde_json::from_str::<Report>(text).ok());
    let report = report.filter(|report| report.version == ccos_profile::VERSION);
    let end = match (&report, terminated.reason.as_deref()) {
        // The kernel's word on memory beats the runner's, which can't know who killed the workload.
        (_, Some("OOMKilled")) => End::new(EndReason::MemoryExceeded, "it used more memory than limits.memory"),
        // Told to stop, and not by us: the node says why.
        (Some(report), _) if report.end == ccos_profile::End::Cancelled => {
            pod_end(pod).unwrap_or_else(|| End::new(report.end.into(), report_message(report)))
        }
        (Some(report), _) => End::new(report.end.into(), report_message(report)),
        (None, _) => pod_end(pod).unwrap_or_else(|| {
            let said = terminated.message.as_deref().unwrap_or("nothing");
            End::new(
                EndReason::InternalError,
                format!(
                    "the runner ended with {} and left no report; it said: {}",
                    terminated.exit_code,
                    cut(said, 512)
                ),
            )
        }),
    };
    Ended {
        end,
        report,
        started_at: terminated.started_at.as_ref().map(|time| time.0),
        finished_at: terminated.finished_at.as_ref().map(|time| time.0),
    }
}

pub(crate) fn report_message(report: &Report) -> String {
    match (report.message.is_empty(), report.exit_code, report.signal) {
        (false, _, _) => report.message.clone(),
        (true, Some(code), _) => format!("exit status {code}"),
        (true, None, Some(signal)) => format!("ended by signal {signal}"),
        (true, None, None) => String::new(),
    }
}

/// The end of a pod that the node or the control plane ended.
fn pod_end(pod: &Pod) -> Option<End> {
    let status = pod.status.as_ref()?;
    let message = status.message.clone().unwrap_or_default();
    let reason = match status.reason.as_deref()? {
        "Evicted" => EndReason::Evicted,
        "DeadlineExceeded" => EndReason::WallTimeExceeded,
        "NodeLost" | "NodeShutdown" | "Terminated" | "Shutdown" => EndReason::NodeLost,
        _ => {
            return Some(End::new(
                EndReason::InternalError,
                format!("its pod ended: {}: {message}", status.reason.as_deref().unwrap_or_default()),
            ));
        }
    };
    Some(End::new(reason, message))
}

/// Why a pod that did not start in time did not.
#[must_use]
pub fn start_failure(pod: &Pod) -> EndReason {
    let status = pod.status.as_ref();
    let waiting = status
        .and_then(|status| status.container_statuses.as_deref())
        .and_then(<[_]>::first)
        .and_then(|container| container.state.as_ref())
        .and_then(|state| state.waiting.as_ref())
        .and_then(|waiting| waiting.reason.as_deref());
    match waiting {
        Some(
            "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable",
        ) => EndReason::ImagePullFailed,
        Some(_) | None => EndReason::StartDeadlineExceeded,
    }
}
