//! What fuzzing has found stays found, and some of what it does at length.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use ccos_fuzz::target::{SEEDS, TARGETS, run};

#[test]
fn cases_that_failed_once_do_not_again() {
    for line in SEEDS.lines() {
        let (name, seed) = line.split_once(' ').unwrap();
        let (_, target) = TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
        run(target, seed.parse().unwrap()).unwrap_or_else(|what| panic!("{line}: {what}"));
    }
}

#[test]
fn a_few_cases_of_each() {
    for (name, target) in TARGETS {
        for seed in 0..200 {
            run(target, seed).unwrap_or_else(|what| panic!("{name} {seed}: {what}"));
        }
    }
}
