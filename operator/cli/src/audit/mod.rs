//! `ccos audit verify`: whether the audit trail is whole.

mod cluster;
mod files;
mod text;

use std::io;
use std::path::PathBuf;

use ccos_audit::verify::Scope;
use ccos_audit::{Report, Verifier};
use ccos_plan::record;
use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::moment::moment;
use crate::{Format, Outcome, Streams};
pub use cluster::{Evidence, EvidenceError};

/// Looks at the audit trail.
#[derive(Clone, Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    verb: AuditVerb,
}

#[derive(Clone, Debug, Subcommand)]
enum AuditVerb {
    Verify(VerifyArgs),
}

/// Finds lines that were removed, changed, reordered, repeated or made by somebody else, and a trail that was cut off.
///
/// Reads files of an audit volume, logs of the webhook and the controller, or both, in any order; what else is in them is
/// passed over. The writers' public keys, the heads of their chains, and the executions that there must be lines for come
/// from the cluster, or from files: then it needs no cluster. Ends with 0 if the trail is whole, 1 if something is wrong
/// with it, 2 if it can't be read.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Files, folders (all *.jsonl and *.log in them), or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The keys, as JSON: `kubectl -n ccos-system get cm ccos-audit-webhook ccos-audit-controller ccos-receipt-keys -o
    /// json`. Absent: they are read from the cluster.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// The executions, as JSON: `kubectl get capex -A -o json`. Absent: they are read
    /// from the cluster, unless the keys come from a file; then none is missed.
    #[arg(long, value_name = "FILE")]
    pub executions: Option<PathBuf>,
    /// What was written by then is not missed, such as `2026-11-24T08:00:00Z`: logs of pods that are gone, files that
    /// were archived.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// What was written later is not missed: the time at which the lines were collected.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// Each line has to be one of the trail, as in the files of its volume.
    #[arg(long)]
    pub strict: bool,
    /// Where ccos runs.
    #[arg(long, default_value = "ccos-system", value_name = "NAMESPACE")]
    pub system_namespace: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Why the trail was not verified.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum AuditError {
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    #[error("cannot write the report: {0}")]
    Json(#[from] serde_json::Error),
}

/// Verifies a trail. `stdin` is what `-` stands for.
///
/// # Errors
/// If something can't be read, or nothing can be written.
pub fn run(
    args: &AuditArgs,
    stdin: impl FnMut() -> Box<dyn io::Read>,
    streams: &mut Streams<'_>,
) -> Result<Outcome, AuditError> {
    let AuditVerb::Verify(args) = &args.verb;
    // Before the lines: what is admitted while they are read is not missed.
    let evidence = cluster::evidence(args)?;
    if evidence.keys.is_empty() {
        return Err(EvidenceError::NoKeys.into());
    }
    if evidence.executions.is_none() {
        writeln!(streams.notes, "no executions were given, by which a cut end would be found: see --executions")?;
    }
    let report = verify(args, &evidence, stdin)?;
    match args.output {
        Format::Json => writeln!(streams.out, "{}", serde_json::to_string_pretty(&report)?)?,
        Format::Text => text::write(&report, streams.out)?,
    }
    Ok(if report.clean { Outcome::Done } else { Outcome::Findings })
}

fn verify(
    args: &VerifyArgs,
    evidence: &Evidence,
    stdin: impl FnMut() -> Box<dyn io::Read>,
) -> Result<Report, AuditError> {
    let Evidence { keys, receipt_keys, executions } = evidence;
    let mut verifier = Verifier::new(keys, Scope { since: args.since, until: args.until, strict: args.strict });
    files::read(&args.paths, stdin, &mut verifier)?;
    for expected in record::all_expected(executions.as_deref().unwrap_or_default(), receipt_keys) {
        verifier.expect(&expected);
    }
    Ok(verifier.finish())
}
