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
use std::time::Duration;

use fastrand::Rng;

/// Processor time that one case may take, without optimisation: more than any decision by far. Not time on the wall: a
/// machine that has other things to do would fail it.
const MOST: Duration = Duration::from_secs(1);

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
    let before = processor_time();
    let done = catch_unwind(AssertUnwindSafe(|| target(&mut Rng::with_seed(seed))));
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
    })?;
    let took = processor_time().saturating_sub(before);
    if took > MOST { Err(format!("took {took:?}")) } else { Ok(()) }
}

/// Of this thread (proc_pid_schedstat(5): the first number, in nanoseconds).
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts what threads take");
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("a number"))
}
