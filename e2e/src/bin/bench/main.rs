//! What admission and execution cost, measured in one run beside their peers: prints the table of `docs/benchmarks.md`.
//!
//! Bias: all requests go through `kubectl proxy`, which adds its share to both sides of each comparison; executions and Jobs
//! take turns, so that whatever else the machine does meets all of them; cluster and load share one machine. The kubelet
//! looks for changes once a second: each kind meets that second at the same set of moments.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark: what goes wrong ends it"
)]

mod admission;
mod executions;

use std::process::Command;
use std::time::Duration;

use ccos_e2e::kubectl;

fn main() {
    println!("{}", machine());
    admission::measure();
    executions::measure();
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// On what this was measured.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu_info = read("/proc/cpuinfo");
    let model = cpu_info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = cpu_info.lines().filter(|line| line.starts_with("processor")).count();
    let memory =
        read("/proc/meminfo").split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) >> 20;
    let kernel =
        Command::new("uname").arg("-r").output().map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let server = kubectl(["version"]).json()["serverVersion"]["gitVersion"].as_str().unwrap_or_default().to_owned();
    format!(
        "Measured on {cores} cores ({}), {memory} GiB, Linux {}, Kubernetes {server}, one node that runs all of the cluster.",
        model.trim_start_matches(['\t', ' ', ':']),
        kernel.unwrap_or_default()
    )
}
