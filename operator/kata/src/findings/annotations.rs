//! What the authors of pods can change by annotations. Of an execution's pod the operator writes none, and the chart's policy
//! `ccos-controller` and the controller see to it that nobody else does; so these are about the node's other pods, and about
//! what an annotation would not do.

use super::{At, Report, is_set};
use crate::annotations::admitted;
use crate::findings::Basis::{Documented, Measured};
use crate::findings::Verdict::{Holds, Refused, Weak};
use crate::findings::{Basis, Finding};
use crate::read::Shim;

/// The annotation that carries an agent policy.
const INIT_DATA: &str = "cc_init_data";

/// Annotations that name a program of the node, and the key that says which are allowed.
const PROGRAMS: [(&str, &str); 3] = [
    ("path", "valid_hypervisor_paths"),
    ("jailer_path", "valid_jailer_paths"),
    ("virtio_fs_daemon", "valid_virtio_fs_daemon_paths"),
];

pub(super) fn of_the_hypervisor(report: &mut Report<'_>) {
    let hypervisor = report.kata.hypervisor.clone();
    let patterns = hypervisor.enable_annotations.unwrap_or_default();
    let at = At::Hypervisor("enable_annotations");
    let otherwise = match report.kata.shim {
        // Measured there; the Go runtime's is in its sources.
        Shim::Go => "a pod with another one is refused",
        Shim::RuntimeRs => "another one is ignored in silence",
    };
    let names = match admitted(&patterns) {
        Ok(names) => names,
        Err(faults) => {
            let faults: Vec<String> = faults.iter().map(|(pattern, _)| format!("{pattern:?}")).collect();
            let why =
                format!("{} can't be understood, and then no annotation is enabled, in silence", faults.join(", "));
            return report.add(at, (Weak, Documented), why, "write regular expressions, such as \"^cc_init_data$\"");
        }
    };
    if names.is_empty() {
        let why = format!("no pod can change its hypervisor: {otherwise}");
        return report.add(at, (Holds, basis_of_silence(report.kata.shim)), why, "");
    }
    let paths = [
        ("path", hypervisor.valid_hypervisor_paths),
        ("jailer_path", hypervisor.valid_jailer_paths),
        ("virtio_fs_daemon", hypervisor.valid_virtio_fs_daemon_paths),
    ];
    for (name, valid) in paths {
        let open: Vec<String> = valid.into_iter().flatten().filter(|path| path.contains(['*', '?', '['])).collect();
        if names.contains(&name) && !open.is_empty() {
            let key = PROGRAMS.iter().find(|(annotation, _)| *annotation == name).map_or(name, |(_, key)| *key);
            let why = format!(
                "the author of any pod chooses which program runs on the node, by the annotation {name}: {}",
                open.join(", ")
            );
            report.add(At::Hypervisor(key), (Refused, Documented), why, "list exact paths");
        }
    }
    if names.contains(&"virtio_fs_extra_args") {
        let why = "the author of any pod chooses arguments of the node's file server, such as --sandbox=none";
        report.add(at, (Refused, Documented), why, "take it out");
    }
    let why = format!(
        "authors of pods may set {}, of {} known: patterns are searched for anywhere in a name; {otherwise}",
        names.join(", "),
        crate::annotations::known()
    );
    report.add(at, (Weak, basis_of_silence(report.kata.shim)), why, "set it to []: executions need none");
}

fn basis_of_silence(shim: Shim) -> Basis {
    match shim {
        Shim::Go => Documented,
        Shim::RuntimeRs => Measured,
    }
}

/// Those that nothing gates.
pub(super) fn of_the_runtime(report: &mut Report<'_>) {
    let why = "they are applied whatever enable_annotations says: the author of a pod turns off guest seccomp, leaves the pod's cgroup (limits and accounting are gone) or its network namespace";
    let advice = "let nobody make pods in namespaces of executions, whose own pods are kept from it by the chart's policy ccos-controller; and take io.katacontainers.* out of containerd's pod_annotations";
    report.found.push(Finding {
        key: "io.katacontainers.config.{runtime,agent}.*".to_owned(),
        value: None,
        file: None,
        verdict: Weak,
        consequence: why.to_owned(),
        advice: advice.to_owned(),
        basis: basis_of_silence(report.kata.shim),
    });
}

/// What an agent policy would be worth.
pub(super) fn policy(report: &mut Report<'_>) {
    let kata = report.kata;
    if is_set(kata.agent().and_then(|(_, agent)| agent.policy.as_ref())) && kata.shim == Shim::RuntimeRs {
        let why = "the node gives each guest an agent policy. Executions don't rely on it; it has to allow what the kubelet asks for them";
        return report.add(At::Agent("policy"), (Weak, Documented), why, "run an execution to see whether it does");
    }
    let patterns = kata.hypervisor.enable_annotations.clone().unwrap_or_default();
    let enabled = admitted(&patterns).unwrap_or_default().contains(&INIT_DATA);
    let driver = kata.hypervisor.block_device_driver.clone().unwrap_or_default();
    let (at, why) = match (enabled, kata.shim) {
        (false, Shim::RuntimeRs) => (
            At::Hypervisor("enable_annotations"),
            "a pod's agent policy (cc_init_data) is ignored in silence, since it is not enabled: kubectl exec into a pod is open to whoever may `create` pods/exec".to_owned(),
        ),
        (false, Shim::Go) => (
            At::Hypervisor("enable_annotations"),
            "a pod with an agent policy (cc_init_data) is refused, since it is not enabled: kubectl exec into a pod is open to whoever may `create` pods/exec".to_owned(),
        ),
        (true, _) => (
            At::Hypervisor("block_device_driver"),
            format!("an agent policy (cc_init_data) fails open: a guest without the driver of its disk ({driver}) allows everything, and says so in its log alone"),
        ),
    };
    let basis = basis_of_silence(kata.shim);
    report.add(at, (Weak, basis), why, "rely on RBAC: ccos doctor lists who may exec");
}
