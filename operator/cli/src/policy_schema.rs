//! `ccos policy-schema`: what ExecutionPolicies can speak of.

use clap::Args;

use crate::{Outcome, PrintError, Streams};

/// Prints the Cedar schema that ExecutionPolicies are held to.
///
/// With it, Cedar's own tools check a policy before it is applied: `cedar validate --schema <(ccos policy-schema)`.
#[derive(Clone, Debug, Args)]
pub struct PolicySchemaArgs {}

/// Prints it.
///
/// # Errors
/// If it can't be written.
pub fn run(_: &PolicySchemaArgs, streams: &mut Streams<'_>) -> Result<Outcome, PrintError> {
    streams.out.write_all(ccos_plan::policing::SCHEMA.as_bytes())?;
    Ok(Outcome::Done)
}
