//! What a pod shows of its attempt, and how it ended.

use ccos_profile::Report;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use serde_json::Value;

use crate::end::{End, EndReason};
use crate::reported::unfit;
use crate::text::cut;

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
