//! `make oracle`: random cases against brute force. Usage: oracle [CASES] [SEED]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ccos_fuzz::oracle::{Names, Networks, Paths, World};
use fastrand::Rng;

fn main() -> ExitCode {
    let argument = |at: usize| std::env::args().nth(at).and_then(|text| text.parse::<u64>().ok());
    let cases = argument(1).unwrap_or(10_000_000);
    let seed = argument(2).unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let begin = Instant::now();
    let mut random = Rng::with_seed(seed);
    let (paths, names) = (Paths::new(&mut random, usize::MAX), Names::new(&mut random, usize::MAX));
    let different =
        run(&paths, cases * 8 / 10, seed) + run(&names, cases / 10, seed) + run(&Networks::new(), cases / 10, seed);
    println!("{} pairs, {different} different, {} s", cases / 10 * 10, begin.elapsed().as_secs());
    if different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Judges so many cases on all cores; stops soon after the first difference. Returns how many there were.
fn run<W: World + Sync>(world: &W, cases: u64, seed: u64) -> u64 {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let (different, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (different, stop) = (&different, &stop);
            scope.spawn(move || {
                let mut random = Rng::with_seed(seed ^ (thread + 1) << 32);
                for _ in 0..cases / threads + u64::from(thread < cases % threads) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    if let Err(difference) = world.judge(&mut random) {
                        println!("{}: {difference}", W::NAME);
                        different.fetch_add(1, Ordering::Relaxed);
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let different = different.into_inner();
    println!("{}: {cases} pairs, {different} different", W::NAME);
    different
}
