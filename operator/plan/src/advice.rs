//! What to do about each reason: the one place, from which `ccos explain` and the reference are written.

use ccos_policy::Reason;

use crate::end::{EndReason, WaitReason};

/// What to do about a denial.
#[must_use]
pub const fn denial(reason: Reason) -> &'static str {
    match reason {
        Reason::ContextNotFound => {
            "create the context that contextRef names, in this namespace, or correct the name; if it is there, its condition Valid says what is wrong with it"
        }
        Reason::ContextExpired => "ask its author to set spec.expiry anew, or create a new context",
        Reason::UseForbidden => {
            "ask for the RBAC verb `use` on the context, by a Role that names it, and for `get` on the Secrets and ConfigMaps that the execution names"
        }
        Reason::CapabilityNotFound => "create the provider that capabilityRef names, or correct its name or the id",
        Reason::ProviderInvalid => {
            "do what the message says of the provider: correct the field, wait until its conditions Pinned and Verified are True, or, if a list has it as malicious or denied, use another"
        }
        Reason::InvalidInputs => {
            "correct the inputs: the field is `inputs` and a JSON pointer to the part that does not fit the capability's inputSchema"
        }
        Reason::FileReadDenied => {
            "require a path inside spec.permissions.filesystem.read of the context and outside its blocked, or ask its author to grant it"
        }
        Reason::FileWriteDenied => {
            "require a path inside spec.permissions.filesystem.write of the context and outside its blocked, or ask its author to grant it"
        }
        Reason::FileExecuteDenied => {
            "require a path inside spec.permissions.filesystem.execute of the context and outside its blocked, or ask its author to grant it"
        }
        Reason::NetworkDenied => {
            "require a destination inside spec.permissions.network.outbound of the context and outside its blocked, or ask its author to grant it"
        }
        Reason::InboundDenied => {
            "require a source inside spec.permissions.network.inbound of the context, or ask its author to grant it"
        }
        Reason::CommandDenied => {
            "require a program inside spec.permissions.system.commands of the context, or ask its author to grant it"
        }
        Reason::ProcessCreationDenied => {
            "run the work in one process, or ask the context's author to set spec.permissions.system.processCreation to Allowed"
        }
        Reason::EnvironmentReadDenied => {
            "require names inside spec.permissions.environment.read of the context, or ask its author to grant them"
        }
        Reason::EnvironmentWriteDenied => {
            "set only variables that the capability requires, in environment.read or environment.write of its requires, and that the context grants"
        }
        Reason::IpcDenied => {
            "require a socket inside spec.permissions.ipc.connect of the context, or ask its author to grant it"
        }
        Reason::LimitExceeded => {
            "require no more than the bound that the message names, or ask the context's author to raise spec.limits"
        }
        Reason::LimitUnreasonable => "require less, or ask the context's author to name this much in spec.limits",
        Reason::IsolationNotAllowed => {
            "name one of the context's spec.isolation.allowed, or ask its author for a spec.isolation.default that is one of them"
        }
        Reason::Unenforceable => {
            "write what the message says instead, or use the isolation that it names: what can't be held exactly is never accepted"
        }
        Reason::PolicyDenied => "read the ExecutionPolicy that the message names, and ask its author",
        Reason::CeilingExceeded => {
            "grant no more than the cluster's ceiling, or ask for the RBAC verb `escalate` on securitycontexts"
        }
    }
}

/// What to do about an end.
#[must_use]
pub const fn end(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Completed => "nothing: the result is in status.result",
        EndReason::NonZeroExit => "read the message and the pod's log: the code itself says that it failed",
        EndReason::Signaled => {
            "read the pod's log: the code was ended by a signal, such as of a crash of its own or of a system call that it may not make"
        }
        EndReason::WallTimeExceeded => {
            "make the work smaller, or require a longer limits.wallTime within the context's"
        }
        EndReason::CPUTimeExceeded => "make the work smaller, or require more limits.cpuTime within the context's",
        EndReason::MemoryExceeded => {
            "make the work smaller, or require more limits.memory within the context's; in GVisor and Kata files count too"
        }
        EndReason::DiskExceeded => "write less, /tmp included, or require more limits.disk within the context's",
        EndReason::OutputTooLarge => "write less to standard output and standard error",
        EndReason::InvalidResult => {
            "print one JSON document on standard output, or write it to the file that CCOS_RESULT_FILE names; where the message names a part of it, make that fit outputSchema"
        }
        EndReason::ResultTooLarge => {
            "make the result smaller than 1 MiB, or write it to a volume; one above 2 KiB that was lost is as the message says"
        }
        EndReason::ContextExpired => "create a new execution once the context's spec.expiry lies in the future",
        EndReason::ContextChanged => {
            "compare what is required with what the context grants now: the message names what it no longer does"
        }
        EndReason::UseRevoked => "ask for the RBAC verb `use` on the context again, then create a new execution",
        EndReason::Cancelled => "nothing: it was asked for; create a new execution to run it after all",
        EndReason::Evicted => {
            "create a new execution, with retries if it stands being run more than once; if it happens often, the node lacks memory or disk"
        }
        EndReason::PodLost => {
            "create a new execution, with retries if it stands being run more than once, and find out who deleted the pod"
        }
        EndReason::NodeLost => {
            "create a new execution, with retries if it stands being run more than once: its node is gone"
        }
        EndReason::ImagePullFailed => {
            "check the provider's image reference and pullSecrets, and that nodes reach the registry"
        }
        EndReason::VolumeUnavailable => {
            "check that what the context's spec.volumes name exists in the execution's namespace"
        }
        EndReason::RuntimeUnavailable => {
            "install the RuntimeClass that the message names on a node, or use another isolation; or enable the egress proxy, where the message names that"
        }
        EndReason::StartDeadlineExceeded => "look at the events of the pod: it did not start in time",
        EndReason::ConfinementFailed => {
            "tell the administrator: the node does not hold what the cluster's profile promises, or somebody changed the pod's labels or its network policy, as the message says"
        }
        EndReason::ConflictingNetworkPolicy => {
            "remove the NetworkPolicy that the message names, or narrow its podSelector: it would open the pod"
        }
        EndReason::ReceiptInvalid => {
            "delete it, check that the webhook runs and that its configuration exists, and create it again: what did not pass the webhook never runs"
        }
        EndReason::InternalError => "look at the controller's log, and report it: this is a fault of ccos",
    }
}

/// What to do about a wait.
#[must_use]
pub const fn wait(reason: WaitReason) -> &'static str {
    match reason {
        WaitReason::CapacityExhausted => {
            "nothing, unless this one alone exceeds spec.capacity: then require less, or ask for more"
        }
        WaitReason::QuotaExceeded => {
            "nothing, if others of the namespace end; otherwise ask for a larger ResourceQuota"
        }
        WaitReason::Suspended => "set spec.desiredState to Running",
        WaitReason::Unschedulable => "make room in the cluster, or require less: the message is the scheduler's",
        WaitReason::RuntimeUnavailable => {
            "install what the message names: the RuntimeClass, on a node, or the egress proxy; it is waited for until the start deadline"
        }
    }
}

/// What to do about a reason of a status, by its name; `None` for those of a run that goes as it should.
#[must_use]
pub fn named(reason: &str) -> Option<&'static str> {
    EndReason::named(reason)
        .map(end)
        .or_else(|| WaitReason::named(reason).map(wait))
        .or_else(|| Reason::ALL.iter().copied().find(|one| one.as_str() == reason).map(denial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_advice_by_its_name() {
        let ends = EndReason::ALL.iter().map(|reason| reason.as_str());
        let waits = WaitReason::ALL.iter().map(|reason| reason.as_str());
        for name in Reason::ALL.iter().map(|reason| reason.as_str()).chain(ends).chain(waits) {
            assert!(named(name).is_some_and(|advice| advice.len() > 10), "{name}");
        }
        assert_eq!(named("Running"), None);
    }
}
