//! What a runner tells the operator's endpoint, while its pod still lives.

use ccos_profile::{Delivery, RESULT_LIMIT, Report, VERSION, digest};
use ccos_supply::schema::{Fault, Schema};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use serde_json::Value;
use std::collections::BTreeMap;

use crate::build::names::OUTPUT_SCHEMA;
use crate::end::{End, EndReason};
use crate::status::{self, Ended, Seen};

/// The only entry of the `ConfigMap` with a result.
pub const RESULT_KEY: &str = "result.json";

/// Why a delivery is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    /// It contradicts itself: no runner of ours made it.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its result does not fit the capability's schema.
    #[error("{0}")]
    Unfit(String),
}

/// A delivery that may be believed as far as its pod may.
///
/// # Errors
/// [`Unacceptable`].
pub fn accepted(delivery: Delivery, pod: &Pod) -> Result<Delivery, Unacceptable> {
    let Delivery { report, result } = &delivery;
    if report.version != VERSION {
        return Err(Unacceptable::Malformed("report.version is another than the controller's"));
    }
    match (&report.result_digest, result) {
        (None, None) => Ok(delivery),
        (Some(found), Some(text)) => {
            if text.len() > RESULT_LIMIT || report.result.is_some() || report.end != ccos_profile::End::Completed {
                return Err(Unacceptable::Malformed("result: expected one of at most 1 MiB, of a completed run"));
            }
            if digest(text.as_bytes()) != *found {
                return Err(Unacceptable::Malformed("report.resultDigest is not the result's"));
            }
            let value = serde_json::from_str(text)
                .map_err(|_| Unacceptable::Malformed("result: expected JSON of at most 128 levels"))?;
            unfit(pod, &value).map_or(Ok(()), |why| Err(Unacceptable::Unfit(why)))?;
            Ok(delivery)
        }
        (Some(_), None) | (None, Some(_)) => {
            Err(Unacceptable::Malformed("expected both result and report.resultDigest, or none"))
        }
    }
}

/// Why a result does not fit the schema that its pod was made with.
pub(crate) fn unfit(pod: &Pod, result: &Value) -> Option<String> {
    let schema = pod.annotations().get(OUTPUT_SCHEMA)?;
    let faults = match Schema::parse(schema) {
        Ok(schema) => schema.faults(result),
        // It was read before it was admitted.
        Err(faults) => faults,
    };
    if faults.is_empty() {
        return None;
    }
    let told: Vec<String> =
        faults.into_iter().map(|Fault { pointer, message }| format!("result{pointer}: {message}")).collect();
    Some(format!("it does not fit the capability's outputSchema: {}", told.join("; ")))
}

/// The name of the `ConfigMap` with the result of a pod.
#[must_use]
pub fn result_name(pod: &str) -> String {
    format!("{pod}-result")
}

/// A result that is too large for status. Immutable: it is what its digest in status says.
#[must_use]
pub fn config_map(pod: &Pod, result: String) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(result_name(&pod.name_any())),
            namespace: pod.namespace(),
            labels: pod.metadata.labels.clone(),
            owner_references: pod.metadata.owner_references.clone(),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(BTreeMap::from([(RESULT_KEY.to_owned(), result)])),
        binary_data: None,
    }
}

/// Whether the runner's word is the last. Where somebody else may have ended the workload, or told the runner to, the pod
/// will say who: the kernel for want of memory, or the node.
#[must_use]
pub fn is_conclusive(report: &Report) -> bool {
    report.end != ccos_profile::End::Cancelled
        && report.signal.is_none()
        && report.exit_code.is_none_or(|code| code < 128)
}

/// The end of an attempt whose pod has not ended yet, but whose runner has reported, at a time.
#[must_use]
pub fn ended(pod: &Pod, report: Report, at: Timestamp) -> Ended {
    let wall_time = report.usage.map(|usage| i64::try_from(usage.wall_time_millis).unwrap_or(i64::MAX / 1_000_000));
    let started_at = match status::observe(pod) {
        Seen::Running(since) => Some(since),
        Seen::Ended(ended) => ended.started_at,
        // The kubelet did not get round to it.
        Seen::Starting(_) => wall_time.and_then(|millis| at.checked_sub(SignedDuration::from_millis(millis)).ok()),
    };
    let message = status::report_message(&report);
    let end = End::new(EndReason::from(report.end), message);
    Ended { end, report: Some(report), started_at, finished_at: Some(at) }
}
