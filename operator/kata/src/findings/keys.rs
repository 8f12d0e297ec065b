//! What is written and not read.

use super::Report;
use crate::findings::Basis::Documented;
use crate::findings::Verdict::{Refused, Weak};
use crate::read::Shim;

pub(super) fn unread(report: &mut Report<'_>) {
    let kata = report.kata;
    for path in kata.of_the_other() {
        let other = match kata.shim {
            Shim::Go => Shim::RuntimeRs,
            Shim::RuntimeRs => Shim::Go,
        };
        if kata.shim == Shim::RuntimeRs && strict(&path) {
            let why = format!("only {other} knows it, and runtime-rs refuses unknown keys here: no pod starts");
            report.add_at(&path, (Refused, Documented), why, "take it out");
        } else {
            let why = format!("only {other} reads it; {} ignores it in silence", kata.shim);
            report.add_at(&path, (Weak, Documented), why, "use this runtime's own name for it, or take it out");
        }
    }
    for path in kata.unknown() {
        if kata.shim == Shim::RuntimeRs && strict(&path) {
            let why = "is no key of Kata 4.1.0, and runtime-rs refuses unknown keys here: no pod starts";
            report.add_at(&path, (Refused, Documented), why, "correct its name, or take it out");
        } else {
            let why = "is no key of Kata 4.1.0, and is ignored in silence";
            report.add_at(&path, (Weak, Documented), why, "correct its name, or take it out");
        }
    }
    for (path, placeholder) in kata.placeholders() {
        let why = format!("{placeholder} is a placeholder of the template that was never filled in");
        report.add_at(&path, (Weak, Documented), why, "give the value, or take it out");
    }
}

/// Tables in which runtime-rs refuses what it does not know.
fn strict(path: &[String]) -> bool {
    match path {
        [table, _, ..] if table == "agent" => path.len() > 2,
        [table, _, inner, ..] if table == "hypervisor" => inner == "factory" || inner == "rootless_user",
        [table, inner, ..] if table == "runtime" => inner == "shared_mounts" && path.len() > 2,
        _ => false,
    }
}
