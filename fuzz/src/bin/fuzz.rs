//! Fuzzes for so long. Usage: fuzz SECONDS [TARGET...]. Each target has a thread of its own.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ccos_fuzz::target::{TARGETS, Target, run};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(seconds) = arguments.next().and_then(|text| text.parse().ok()) else {
        eprintln!("usage: fuzz SECONDS [TARGET...]");
        return ExitCode::from(2);
    };
    let wanted: Vec<String> = arguments.collect();
    let chosen: Vec<_> =
        TARGETS.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)).collect();
    // A panic is an answer here, and told below.
    std::panic::set_hook(Box::new(|_| {}));
    let failed = std::thread::scope(|scope| {
        let threads: Vec<_> =
            chosen.iter().map(|&(name, target)| scope.spawn(move || fuzz(name, target, seconds))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|clean| !clean).count()
    });
    println!("{} passed, {failed} failed", chosen.len() - failed);
    if failed == 0 && !chosen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether nothing was found in time.
fn fuzz(name: &str, target: Target, seconds: u64) -> bool {
    let begin = Instant::now();
    let mut cases = 0_u64;
    while begin.elapsed() < Duration::from_secs(seconds) {
        let seed = fastrand::u64(..);
        if let Err(what) = run(target, seed) {
            println!("FAILED  {name} {seed}\n        {what}\n        to keep it: echo '{name} {seed}' >> fuzz/seeds");
            return false;
        }
        cases += 1;
    }
    println!("ok      {name}: {cases} cases in {seconds} s");
    true
}
