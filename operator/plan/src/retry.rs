//! Attempts: after which end there is another, and when.

use ccos_crds::CapabilityExecution;
use ccos_crds::execution::Retries;
use jiff::{SignedDuration, Timestamp};

use crate::cluster::ClusterProfile;
use crate::end::{End, EndReason};
use crate::step;

/// Whether there is another attempt after this end.
#[must_use]
pub fn again(object: &CapabilityExecution, end: &End) -> bool {
    let Some(Retries { limit, on }) = &object.spec.retries else { return false };
    // The one that ends is among them.
    let attempts = object.status.as_ref().map_or(0, |status| status.attempts.len());
    let left = usize::try_from(limit.unwrap_or(0)).is_ok_and(|limit| attempts <= limit);
    let by_itself = EndReason::RETRIED.iter().any(|one| one.as_str() == end.reason);
    // The list has been read: it names none but those.
    let named = EndReason::RETRIED_IF_NAMED.iter().any(|one| one.as_str() == end.reason)
        && on.iter().flatten().any(|name| name == end.reason);
    left && (by_itself || named) && !step::cancelled(object)
}

/// When the next attempt may begin: 1, 2, 4 and so on up to 64 seconds after the last one ended, so that what fails at once
/// does not fail all the time. `None`: there was none.
#[must_use]
pub fn next_attempt(object: &CapabilityExecution) -> Option<Timestamp> {
    let attempts = &object.status.as_ref()?.attempts;
    let ended = attempts.last()?.finished_at.as_ref()?.0;
    let doublings = u32::try_from(attempts.len().saturating_sub(1)).unwrap_or(u32::MAX).min(6);
    ended.checked_add(SignedDuration::from_secs(1_i64 << doublings)).ok()
}

/// Until when a missing runtime is waited for: a start deadline for each attempt that there may be.
#[must_use]
pub fn runtime_by(object: &CapabilityExecution, since: Timestamp, cluster: &ClusterProfile) -> Option<Timestamp> {
    let limit = object.spec.retries.as_ref().and_then(|retries| retries.limit).unwrap_or(0).max(0);
    (0..=limit).try_fold(since, |moment, _| step::after(moment, cluster))
}
