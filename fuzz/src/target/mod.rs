//! Fuzzers. A case is made from one number, its seed: a failure is repeated by that number alone, and kept in
//! `fuzz/seeds`, which the tests replay.
//!
//! Not libFuzzer: it needs a nightly compiler. What stands in for its coverage is input that is nearly right: texts are
//! soups of what the grammars consist of, and objects are mutations of valid ones.

pub mod decision;
pub mod objects;
pub mod patterns;
pub mod receipts;
mod text;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;

/// How long one case may take: more than any honest decision by far, on a machine that has other things to do.
const MOST: Duration = Duration::from_secs(2);

/// A fuzzer: makes up a case, and panics if something is wrong with the answer.
pub type Target = fn(&mut Rng);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 4] = [
    ("patterns", patterns::fuzz),
    ("decision", decision::fuzz),
    ("objects", objects::fuzz),
    ("receipts", receipts::fuzz),
];

/// Seeds of cases that failed once: `target seed` on each line.
pub const SEEDS: &str = include_str!("../../seeds");

/// Runs one case.
///
/// # Errors
/// What was wrong.
pub fn run(target: Target, seed: u64) -> Result<(), String> {
    let begin = Instant::now();
    let done = catch_unwind(AssertUnwindSafe(|| target(&mut Rng::with_seed(seed))));
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })?;
    let took = begin.elapsed();
    if took > MOST { Err(format!("took {took:?}")) } else { Ok(()) }
}
