//! `ccos explain`: what the cluster decided and did, and what to do about it.

mod cluster;
mod report;
mod text;

use std::io;

use clap::Args;

use crate::{Format, Outcome, Streams};
pub use cluster::{ClusterError, Found, KeysFound};
pub use report::{Explanation, explanation};

/// Says what became of an execution, and what to do next.
///
/// Shows who admitted it and whether the webhook's receipt is genuine, each condition with its meaning, why it ended and
/// what to do about that, what held each restriction, what was used, and the result. The cluster is that of the current
/// context of the kubeconfig, as for kubectl. Ends with 0, or with 2 if there is nothing to explain.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// Its name.
    #[arg(value_name = "EXECUTION")]
    pub execution: String,
    /// Its namespace. Absent: the kubeconfig's.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Where ccos runs, with the ConfigMap ccos-receipt-keys that verifies receipts.
    #[arg(long, default_value = "ccos-system", value_name = "NAMESPACE")]
    pub system_namespace: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The cluster does not answer, or does not have it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The output is closed, or its disk is full.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    /// The report is no JSON.
    #[error("cannot write the report: {0}")]
    Json(#[from] serde_json::Error),
}

/// Explains one execution.
///
/// # Errors
/// If it can't be read, or nothing can be written.
pub fn run(args: &ExplainArgs, streams: &mut Streams<'_>) -> Result<Outcome, ExplainError> {
    let found = cluster::fetch(args)?;
    print(&explanation(&found), args.output, streams)?;
    Ok(Outcome::Done)
}

/// Prints an explanation.
///
/// # Errors
/// If it can't be written.
pub fn print(explanation: &Explanation, format: Format, streams: &mut Streams<'_>) -> Result<(), ExplainError> {
    match format {
        Format::Json => writeln!(streams.out, "{}", serde_json::to_string_pretty(explanation)?)?,
        Format::Text => text::write(explanation, streams.out)?,
    }
    Ok(())
}
