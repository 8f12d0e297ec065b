//! What the runner costs: `true` under it beside `true` that the runtime starts by itself, in the same container of runc and of
//! gVisor, taking turns. Run by `benches/lockdown.sh`.
//!
//! Bias: what is timed is a whole container, from runc's or runsc's first instruction to its last, so that all that the runner
//! makes others do counts: a larger program to map, namespaces to take down. Its report and its input are written, too. The
//! operator is not asked, as in a pod without an address to report to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_macros,
    reason = "a benchmark is a test, too"
)]

#[path = "../tests/pod/mod.rs"]
mod pod;

use std::time::Duration;

use ccos_profile::End;

use pod::Pod;

/// Of each kind.
const RUNS: usize = 40;

const TRUE: &[&str] = &["/bin/busybox", "true"];

/// An isolation, and how long its runner may take.
struct Lane {
    name: &'static str,
    pod: fn(&str) -> Pod,
    goal: Duration,
}

const LANES: [Lane; 2] = [
    Lane { name: "runc", pod: Pod::contained, goal: Duration::from_millis(15) },
    Lane { name: "gVisor", pod: Pod::new, goal: Duration::from_millis(40) },
];

fn main() {
    println!("| runtime | | median | worst |");
    println!("|---|---|---|---|");
    let costs = LANES.map(|lane| (measure(&lane), lane));
    println!();
    for (cost, Lane { name, goal, .. }) in costs {
        let met = if cost <= goal { "met" } else { "missed" };
        println!("{name}: the goal of {} ms is {met}.", goal.as_millis());
    }
}

fn measure(lane: &Lane) -> Duration {
    let (mut bare, mut held) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let alone = time(|| (lane.pod)("bare").bare(TRUE), 0);
        let runner = time(|| (lane.pod)("held").command(TRUE), 9);
        // The first is for caches.
        if run > 0 {
            bare.push(alone);
            held.push(runner);
        }
    }
    // Of neighbours, so that what else the machine does meets both.
    let mut costs: Vec<_> = bare.iter().zip(&held).map(|(bare, held)| held.saturating_sub(*bare)).collect();
    for (what, times) in [("`true`", &mut bare), ("the runner, then `true`", &mut held), ("the difference", &mut costs)]
    {
        times.sort_unstable();
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "| {} | {what} | {:.1} ms | {:.1} ms |",
            lane.name,
            millis(times[times.len() / 2]),
            millis(times[times.len() - 1])
        );
    }
    costs[costs.len() / 2]
}

/// How long the container took; it has to have proven at least so much.
fn time(pod: impl Fn() -> Pod, proven: usize) -> Duration {
    let run = pod().run();
    assert_eq!((run.code, run.report.end), (0, End::Completed), "{run:#?}");
    assert!(run.report.proven.len() >= proven, "{run:#?}");
    Duration::from_secs_f64(run.seconds)
}
