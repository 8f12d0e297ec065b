//! Between the guest and its node.

use super::{At, Report};
use crate::findings::Basis::{Documented, Measured};
use crate::findings::Verdict::{Holds, Refused, Weak};
use crate::read::Shim;

/// Where the machine's network is.
pub(super) fn network(report: &mut Report<'_>) {
    let runtime = report.kata.configuration.runtime.clone();
    if runtime.disable_new_netns == Some(true) {
        report.add(
            At::Runtime("disable_new_netns"),
            (Refused, Measured),
            "the hypervisor runs in the node's network namespace: no NetworkPolicy of the pod holds it",
            "set it to false",
        );
    }
    let at = At::Runtime("internetworking_model");
    match runtime.internetworking_model.as_deref() {
        None | Some("" | "tcfilter") => report.add(
            at,
            (Holds, Measured),
            "the pod keeps its interface on the node, so that the CNI's NetworkPolicies hold",
            "",
        ),
        Some("none") => report.add(at, (Holds, Documented), "the guest has no network at all", ""),
        Some("macvtap" | "l3forwarding") => report.add(
            at,
            (Refused, Documented),
            "whether the CNI's NetworkPolicies hold this way is not known: only tcfilter was tried",
            "set it to \"tcfilter\"",
        ),
        Some(_) => {
            let why = "is none of tcfilter, macvtap, l3forwarding, none: Kata does not start";
            report.add(at, (Refused, Documented), why, "set it to \"tcfilter\"");
        }
    }
}

/// The program that runs the machine.
pub(super) fn vmm(report: &mut Report<'_>) {
    let hypervisor = report.kata.hypervisor.clone();
    if report.kata.hypervisor_name == "qemu" {
        let (key, filter) = match report.kata.shim {
            Shim::Go => ("seccompsandbox", &hypervisor.seccompsandbox),
            Shim::RuntimeRs => ("seccomp_sandbox", &hypervisor.seccomp_sandbox),
        };
        let at = At::Hypervisor(key);
        if filter.as_deref().unwrap_or_default().starts_with("on") {
            report.add(at, (Holds, Documented), "QEMU filters its own system calls", "");
        } else {
            report.add(
                at,
                (Weak, Documented),
                "QEMU runs without its filter of system calls: who escapes into it has them all",
                "set it to \"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny\"",
            );
        }
    } else if hypervisor.disable_seccomp == Some(true) {
        let why = "the hypervisor runs without its filter of system calls: who escapes into it has them all";
        report.add(At::Hypervisor("disable_seccomp"), (Weak, Documented), why, "set it to false");
    }
}

/// How files of the node come into the guest.
pub(super) fn files(report: &mut Report<'_>) {
    let hypervisor = report.kata.hypervisor.clone();
    let at = At::Hypervisor("shared_fs");
    match hypervisor.shared_fs.as_deref() {
        Some("virtio-fs") => report.add(at, (Holds, Measured), "images and volumes reach the guest", ""),
        // Both runtimes' word for the default.
        Some("") => report.add(at, (Holds, Documented), "images and volumes reach the guest: it means virtio-fs", ""),
        other => {
            let what = if other.is_none_or(|name| name == "none") {
                "nothing of the node is shared"
            } else {
                "shared otherwise than by virtio-fs"
            };
            let why = format!(
                "{what}: whether image volumes, ConfigMaps and claims reach an execution this way was not tried; where they don't, it ends as VolumeUnavailable or ConfinementFailed"
            );
            report.add(at, (Weak, Documented), why, "run one execution with each kind of volume first");
        }
    }
    let arguments = hypervisor.virtio_fs_extra_args.unwrap_or_default();
    let opened = |(at, argument): (usize, &String)| {
        let next = arguments.get(at + 1).map(String::as_str);
        let is = |name: &str| argument == &format!("{name}=none") || (argument == name && next == Some("none"));
        is("--sandbox") || is("--seccomp")
    };
    if arguments.iter().enumerate().any(opened) {
        report.add(
            At::Hypervisor("virtio_fs_extra_args"),
            (Refused, Documented),
            "the node's file server runs unconfined, and serves what the guest asks",
            "take --sandbox and --seccomp out: their defaults confine",
        );
    }
}

/// Machines that are copies of one.
pub(super) fn templates(report: &mut Report<'_>) {
    let factory = match report.kata.shim {
        Shim::Go => report.kata.configuration.factory.clone(),
        Shim::RuntimeRs => report.kata.hypervisor.factory.clone(),
    };
    if factory.is_some_and(|factory| factory.enable_template == Some(true)) {
        let path: Vec<String> = match report.kata.shim {
            Shim::Go => ["factory", "enable_template"].map(str::to_owned).into(),
            Shim::RuntimeRs => vec![
                "hypervisor".to_owned(),
                report.kata.hypervisor_name.clone(),
                "factory".to_owned(),
                "enable_template".to_owned(),
            ],
        };
        let why = "virtual machines share memory of one template: one can time what another does";
        report.add_at(&path, (Weak, Documented), why, "set it to false");
    }
}
