//! See the library: this only writes the report where Kubernetes reads it.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

use ccos_profile::{End, place};

fn main() -> ExitCode {
    // Without one nothing is expected of the profile, and no profile has the empty digest.
    let digest = std::env::args().nth(1).unwrap_or_default();
    let report = ccos_runner::run(&digest);
    let line = ccos_runner::report::line(&report);
    // Not created where it is missing: then this is no pod, and a person reads standard error.
    let written = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(place::TERMINATION_LOG)
        .and_then(|mut file| writeln!(file, "{line}"));
    if let Err(error) = written {
        eprintln!("ccos-runner: cannot write {}: {error}; the report: {line}", place::TERMINATION_LOG);
        return ExitCode::FAILURE;
    }
    // The pod's phase says whether it went well.
    if report.end == End::Completed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
