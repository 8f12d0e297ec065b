//! `ccos`: a module for each verb. Verbs return what came of them; only `main` ends the process.

pub mod audit;
pub mod check;
pub mod explain;
mod printable;

use std::process::ExitCode;

/// What came of a verb, and the exit code that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// All is well: 0.
    Done,
    /// At least one execution is denied: 1.
    Denied,
    /// The audit trail is not whole: 1.
    Findings,
    /// The input is unreadable or invalid, so that nothing was decided: 2.
    Invalid,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Denied | Outcome::Findings => 1,
            Outcome::Invalid => 2,
        })
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Where a verb writes: what it found, and what is to be said about the input, apart from each other, so that the
/// former can be piped.
pub struct Streams<'a> {
    /// Standard output.
    pub out: &'a mut dyn std::io::Write,
    /// Standard error.
    pub notes: &'a mut dyn std::io::Write,
}
