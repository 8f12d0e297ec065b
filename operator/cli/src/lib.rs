//! `ccos`: a module for each verb. Verbs return what came of them; only `main` ends the process.

pub mod audit;
pub mod can_i;
pub mod check;
pub mod cli;
mod cluster;
pub mod completion;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod input;
mod moment;
pub mod policy_schema;
pub mod printable;
pub mod table;

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

/// What came of a verb, and the exit code that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// All is well: 0.
    Done,
    /// The answer is no: an execution is denied, contexts differ, or a test fails: 1.
    Denied,
    /// The audit trail is not whole, or something that executions rely on does not hold: 1.
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
    pub out: &'a mut dyn io::Write,
    /// Standard error.
    pub notes: &'a mut dyn io::Write,
}

/// Why something could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// The output is closed, or its disk is full.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    /// The report can't be put into its format.
    #[error("cannot write the report: {0}")]
    Format(String),
}

impl PrintError {
    fn format(error: impl Display) -> Self {
        Self::Format(error.to_string())
    }
}
