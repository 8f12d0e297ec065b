//! `ccos test`: tables of decisions that are expected, so that a grant can't change by accident.

mod given;
mod judge;
mod print;

use std::io;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use crate::input::{Fault, Place, sources};
use crate::printable::printable;
use crate::{Outcome, PrintError, Streams};
pub use given::{Case, DecisionTest, Expected};
pub use judge::{Found, Judged, Table};

/// Runs tables of expected decisions, offline.
///
/// Reads each DecisionTest (apiVersion cli.security.ccos.dev/v1alpha1) of files and folders, decides its executions under
/// the contexts and providers that it names, and compares with what it expects. Ends with 0 if all cases pass, 1 if some
/// fail, 2 if the input is unreadable or invalid.
#[derive(Clone, Debug, Args)]
pub struct TestArgs {
    /// Files, folders, or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: TestFormat,
}

/// How to print what came of tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TestFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// JUnit XML, for what shows tests.
    Junit,
}

/// Runs all tables. `stdin` is asked for the text of `-`.
///
/// # Errors
/// If nothing can be written.
pub fn run(
    args: &TestArgs,
    stdin: impl FnMut() -> io::Result<String>,
    now: Timestamp,
    streams: &mut Streams<'_>,
) -> Result<Outcome, PrintError> {
    let TestArgs { paths, output } = args;
    let (texts, mut faults) = sources::read(paths, stdin);
    let written: Vec<DecisionTest> = texts.iter().flat_map(|text| given::read(text, &mut faults)).collect();
    if faults.is_empty() && written.is_empty() {
        let message = format!("there is nothing to test: no {} of {}", given::KIND, given::API_VERSION);
        faults.push(Fault::at(Place::default(), message));
    }
    let tables: Vec<Table> = written.iter().filter_map(|test| judge::judge(test, now, &mut faults)).collect();
    if !faults.is_empty() {
        for fault in faults {
            writeln!(streams.notes, "{}", printable(&fault.to_string()))?;
        }
        return Ok(Outcome::Invalid);
    }
    print::print(&tables, *output, streams.out)?;
    let all = tables.iter().flat_map(|table| &table.cases).all(Judged::passes);
    Ok(if all { Outcome::Done } else { Outcome::Denied })
}
