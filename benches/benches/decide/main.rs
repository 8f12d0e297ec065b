//! What a decision costs, warm: the context and the capability were parsed before, as in a cache, and have their index.
//! `cold` parses nothing either, but makes the index in the call, as for an object that is seen for the first time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_macros, reason = "a benchmark is a test, too")]

mod latency;
mod peers;
mod question;

use std::hint::black_box;

use ccos_policy::{Decision, Reason, decide};
use latency::row;
use peers::{Cedar, Globs};
use question::{Question, everything, files, globs, hostile, hosts, path, question};

fn main() {
    latency::head();
    for n in [10, 128] {
        let (permissions, required) = files(n);
        let asked = question(permissions.clone(), required.clone());
        admitted(&format!("{n} required paths, {n} granted, {n} blocked: admitted"), &asked);
        let mut denied = required.clone();
        denied.read = denied.read.map(|read| read.iter().take(n - 1).cloned().chain([path("/etc/**")]).collect());
        let asked = question(permissions, denied);
        let answer = row(&format!("{n} required paths, {n} granted, {n} blocked: denied by the last"), || ask(&asked));
        only(&answer, Reason::FileReadDenied, &format!("requires.permissions.filesystem.read[{}]", n - 1));
    }
    let (permissions, required) = everything(128, 1);
    admitted("1 required in each of 6 lists, 128 granted in each: admitted", &question(permissions, required));
    let (permissions, required) = everything(128, 128);
    admitted("128 required in each of 6 lists, 128 granted in each: admitted", &question(permissions, required));
    let (permissions, required) = globs(128);
    admitted("128 required paths, 128 granted globs, 128 blocked globs: admitted", &question(permissions, required));
    let (permissions, required) = hosts(128);
    let asked = question(permissions, required);
    let answer = row("128 required hosts, 128 granted domains, 128 blocked", || ask(&asked));
    only(&answer, Reason::Unenforceable, "requires.permissions.network.outbound");

    let (permissions, required) = files(128);
    let cold = || {
        let fresh = |list: &ccos_policy::List<_>| list.iter().cloned().collect();
        let mut permissions = permissions.clone();
        permissions.filesystem.read = fresh(&permissions.filesystem.read);
        permissions.filesystem.blocked = fresh(&permissions.filesystem.blocked);
        question(permissions, required.clone())
    };
    let answer = row("the same 128 paths, cold", || ask(&cold()));
    assert!(matches!(answer, Decision::Admitted(_)));

    let (permissions, required) = hostile();
    let asked = question(permissions, required);
    match row("chosen to explode: denied when the budget is used up", || ask(&asked)) {
        Decision::Admitted(_) => panic!("admitted"),
        Decision::Denied(denials) => assert!(denials.to_string().contains("too complex to decide")),
    }

    for n in [10, 128] {
        let cedar = Cedar::new(n);
        assert!(
            row(&format!("Cedar: {n} paths, {n} `like` in a permit, {n} in a forbid"), || black_box(&cedar).allows())
        );
        let globs = Globs::new(n);
        assert!(row(&format!("globset: {n} paths, {n} globs, nothing blocked"), || black_box(&globs).allows()));
    }
}

fn ask((request, snapshot): &Question) -> Decision {
    decide(black_box(request), black_box(snapshot))
}

fn admitted(name: &str, asked: &Question) {
    match row(name, || ask(asked)) {
        Decision::Admitted(_) => {}
        Decision::Denied(denials) => {
            panic!("{name}: {}", denials.first().map_or_else(String::new, ToString::to_string))
        }
    }
}

fn only(answer: &Decision, reason: Reason, field: &str) {
    match answer {
        Decision::Admitted(_) => panic!("admitted"),
        Decision::Denied(denials) => {
            let found: Vec<_> = denials.iter().map(|denial| (denial.reason(), denial.field.to_string())).collect();
            assert_eq!(found, [(reason, field.to_owned())]);
        }
    }
}
