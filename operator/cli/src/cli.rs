//! The command line as a whole.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use jiff::Timestamp;

use crate::audit::{self, AuditError};
use crate::can_i::{self, CanIError};
use crate::doctor::{self, DoctorError};
use crate::explain::{self, ExplainError};
use crate::{Outcome, PrintError, Streams, check, completion, diff, policy_schema, table};

/// What an execution may do, before and after it ran.
#[derive(Debug, Parser)]
#[command(name = "ccos", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each has its own, which is its help")]
pub enum Verb {
    Audit(audit::AuditArgs),
    CanI(can_i::CanIArgs),
    Check(check::CheckArgs),
    Completion(completion::CompletionArgs),
    Diff(diff::DiffArgs),
    Doctor(doctor::DoctorArgs),
    Explain(explain::ExplainArgs),
    PolicySchema(policy_schema::PolicySchemaArgs),
    Test(table::TestArgs),
}

/// Why a verb could not be carried out.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[allow(missing_docs, reason = "they explain themselves")]
pub enum Failure {
    Audit(#[from] AuditError),
    CanI(#[from] CanIError),
    Doctor(#[from] DoctorError),
    Explain(#[from] ExplainError),
    Print(#[from] PrintError),
}

impl Cli {
    /// Reads the arguments of this process, or ends it with usage or help.
    #[must_use]
    pub fn of_process() -> Self {
        let program = std::env::args_os().next().unwrap_or_default();
        let matches = Self::command().bin_name(called(&program)).get_matches();
        // Not reached: the matches are of this very command.
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// What users type to call this program: as `kubectl-ccos` it is a plugin of kubectl.
#[must_use]
pub fn called(program: &OsStr) -> &'static str {
    let name = Path::new(program).file_stem().unwrap_or_default();
    if name == "kubectl-ccos" { "kubectl ccos" } else { "ccos" }
}

/// Does what the arguments say. `stdin` is asked for the text of `-`.
///
/// # Errors
/// If it can't be done.
pub fn run(
    cli: Cli,
    stdin: impl FnMut() -> io::Result<String>,
    now: Timestamp,
    streams: &mut Streams<'_>,
) -> Result<Outcome, Failure> {
    Ok(match cli.verb {
        Verb::Audit(args) => audit::run(&args, || Box::new(io::stdin()), streams)?,
        Verb::CanI(args) => can_i::run(&args, now, streams)?,
        Verb::Check(args) => check::run(&args, stdin, now, streams)?,
        Verb::Completion(args) => completion::run(&args, streams)?,
        Verb::Diff(args) => diff::run(&args, stdin, now, streams)?,
        Verb::Doctor(args) => doctor::run(&args, streams)?,
        Verb::Explain(args) => explain::run(&args, streams)?,
        Verb::PolicySchema(args) => policy_schema::run(&args, streams)?,
        Verb::Test(args) => table::run(&args, stdin, now, streams)?,
    })
}
