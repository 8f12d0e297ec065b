//! A sample of what `make oracle` does at length.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use ccos_fuzz::oracle::{Names, Networks, Paths, World};
use fastrand::Rng;

const SEED: u64 = 2026;

fn sample(world: &impl World, cases: usize) {
    let mut random = Rng::with_seed(SEED);
    for _ in 0..cases {
        if let Err(difference) = world.judge(&mut random) {
            panic!("{difference}");
        }
    }
}

#[test]
fn paths_as_by_trying_all() {
    sample(&Paths::new(&mut Rng::with_seed(SEED), 200), 8000);
}

#[test]
fn names_as_by_trying_all() {
    sample(&Names::new(&mut Rng::with_seed(SEED), 200), 4000);
}

#[test]
fn networks_as_by_trying_all() {
    sample(&Networks::new(), 4000);
}
