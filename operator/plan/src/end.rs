//! How executions end and what they wait for, as the design names it.

use ccos_policy::Reason;
use serde::{Deserialize, Serialize};

macro_rules! names {
    ($(#[$head:meta])* $enum:ident { $(#[doc = $doc:literal] $name:ident),* $(,)? }) => {
        $(#[$head])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $enum { $(#[doc = $doc] $name),* }
        impl $enum {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
            /// The name, as users see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => stringify!($name)),* } }
            /// What it means, for the reference.
            #[must_use]
            pub const fn meaning(self) -> &'static str { match self { $(Self::$name => $doc),* } }
            /// The one of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> { Self::ALL.iter().copied().find(|one| one.as_str() == name) }
        }
    };
}

names! {
    /// Why an execution ended, besides a denial.
    EndReason {
        /// Exit status 0, and a result where there is one.
        Completed,
        /// Another exit status, or a command that could not be started (127).
        NonZeroExit,
        /// Ended by a signal that nobody of ccos sent.
        Signaled,
        /// Ran longer than `limits.wallTime`.
        WallTimeExceeded,
        /// Used more than `limits.cpuTime`.
        CPUTimeExceeded,
        /// Used more than `limits.memory`.
        MemoryExceeded,
        /// Failed with `limits.disk` used up.
        DiskExceeded,
        /// Wrote more to its outputs than is kept.
        OutputTooLarge,
        /// Its result is no JSON, or does not fit the capability's `outputSchema`.
        InvalidResult,
        /// Its result is larger than 1 MiB, or larger than 2 KiB and could not be handed to the operator.
        ResultTooLarge,
        /// Its context expired while it ran.
        ContextExpired,
        /// Its context grants it no longer.
        ContextChanged,
        /// The requester may no longer use the context.
        UseRevoked,
        /// `desiredState: Cancelled`.
        Cancelled,
        /// Its node ended it: it needed its place, or the pod used more storage of the node than it may.
        Evicted,
        /// Its pod was deleted.
        PodLost,
        /// Its node is gone.
        NodeLost,
        /// Its image could not be had.
        ImagePullFailed,
        /// A volume could not be mounted.
        VolumeUnavailable,
        /// No node has its runtime, or there is no egress proxy for what it connects to.
        RuntimeUnavailable,
        /// Its pod did not start in time.
        StartDeadlineExceeded,
        /// Its confinement could not be proven, and the code did not start; or somebody took a part of it away while it ran.
        ConfinementFailed,
        /// Another NetworkPolicy opens its pod.
        ConflictingNetworkPolicy,
        /// It has no receipt that allows it.
        ReceiptInvalid,
        /// ccos failed.
        InternalError,
    }
}

impl EndReason {
    /// After these an attempt is tried again, if there may be another: none of them is the code's doing.
    pub const RETRIED: [Self; 4] = [Self::Evicted, Self::PodLost, Self::NodeLost, Self::RuntimeUnavailable];

    /// After these only where they are named. After no other: what was refused, stopped or asked for does not come out
    /// otherwise by trying, and a confinement that failed is not tried until it holds.
    pub const RETRIED_IF_NAMED: [Self; 13] = [
        Self::NonZeroExit,
        Self::Signaled,
        Self::WallTimeExceeded,
        Self::CPUTimeExceeded,
        Self::MemoryExceeded,
        Self::DiskExceeded,
        Self::OutputTooLarge,
        Self::InvalidResult,
        Self::ResultTooLarge,
        Self::ImagePullFailed,
        Self::VolumeUnavailable,
        Self::StartDeadlineExceeded,
        Self::InternalError,
    ];
}

names! {
    /// What an execution waits for.
    WaitReason {
        /// A place within its context's capacity.
        CapacityExhausted,
        /// A place within the namespace's quota.
        QuotaExceeded,
        /// `desiredState: Running`.
        Suspended,
        /// A node that can take its pod.
        Unschedulable,
        /// A node with its runtime, or the egress proxy.
        RuntimeUnavailable,
    }
}

/// An end, with what to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// For machines: an [`EndReason`], or the [`Reason`] of the first denial.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl End {
    /// An end of this reason.
    #[must_use]
    pub fn new(reason: EndReason, message: impl Into<String>) -> Self {
        Self { reason: reason.as_str(), message: message.into() }
    }

    /// An end by denial.
    #[must_use]
    pub fn denied(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason: reason.as_str(), message: message.into() }
    }
}

impl From<ccos_profile::End> for EndReason {
    fn from(end: ccos_profile::End) -> Self {
        use ccos_profile::End as Reported;
        match end {
            Reported::Completed => Self::Completed,
            Reported::NonZeroExit => Self::NonZeroExit,
            Reported::Signaled => Self::Signaled,
            Reported::WallTimeExceeded => Self::WallTimeExceeded,
            Reported::CPUTimeExceeded => Self::CPUTimeExceeded,
            Reported::DiskExceeded => Self::DiskExceeded,
            Reported::OutputTooLarge => Self::OutputTooLarge,
            Reported::InvalidResult => Self::InvalidResult,
            Reported::ResultTooLarge => Self::ResultTooLarge,
            Reported::Cancelled => Self::Cancelled,
            Reported::ConfinementFailed => Self::ConfinementFailed,
            Reported::InternalError => Self::InternalError,
        }
    }
}
