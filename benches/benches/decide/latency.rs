//! Latencies of single calls: what a request waits for is not the mean.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long one row is measured.
const MEASURED: Duration = Duration::from_millis(800);

/// Calls that are not counted: caches and branch predictors are warm afterwards, as in a webhook that is in use.
const WARM_UP: usize = 50;

/// Prints the head of the table.
pub(crate) fn head() {
    println!("| case | p50 | p99 | worst | calls |\n|---|---|---|---|---|");
}

/// Calls `subject` over and over, and prints a row. Returns its last answer, to be checked.
pub(crate) fn row<T>(name: &str, mut subject: impl FnMut() -> T) -> T {
    let mut last = subject();
    for _ in 0..WARM_UP {
        last = black_box(subject());
    }
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < MEASURED || times.len() < 200 {
        let call = Instant::now();
        let answer = black_box(subject());
        times.push(call.elapsed());
        // Dropped after the clock has stopped.
        last = answer;
    }
    times.sort_unstable();
    let at = |permille: usize| show(times.get(times.len() * permille / 1000).copied().unwrap_or_default());
    let worst = show(times.last().copied().unwrap_or_default());
    println!("| {name} | {} | {} | {worst} | {} |", at(500), at(990), times.len());
    last
}

fn show(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 10.0 {
        format!("{micros:.2} µs")
    } else if micros < 10_000.0 {
        format!("{micros:.0} µs")
    } else {
        format!("{:.1} ms", micros / 1000.0)
    }
}
