//! See the library: this only writes the report where Kubernetes reads it.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

use ccos_profile::{End, place};

fn main() -> ExitCode {
    if let Some(line) = ccos_runner::probe::asked(std::env::args().skip(1)) {
        return if write(&line) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // Without one nothing is expected of the profile, and no profile has the empty digest.
    let digest = std::env::args().nth(1).unwrap_or_default();
    let report = ccos_runner::run(&digest);
    let written = write(&ccos_runner::report::line(&report));
    // The pod's phase says whether it went well.
    if written && report.end == End::Completed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Not created where it is missing: then this is no pod, and a person reads standard error.
fn write(line: &str) -> bool {
    let written = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(place::TERMINATION_LOG)
        .and_then(|mut file| writeln!(file, "{line}"));
    if let Err(error) = &written {
        eprintln!("ccos-runner: cannot write {}: {error}; the report: {line}", place::TERMINATION_LOG);
    }
    written.is_ok()
}
