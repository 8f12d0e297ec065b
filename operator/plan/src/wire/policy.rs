//! ExecutionPolicies.

use ccos_cedar::{TOTAL_LIMIT, Text};
use ccos_crds::ExecutionPolicy;
use ccos_crds::execution_policy::ExecutionPolicySpec;
use kube::ResourceExt as _;

use super::faults::{Faults, FieldErrors};

const FIELD: &str = "spec.cedar";

/// Reads a policy's text.
///
/// # Errors
/// All that is wrong with it, each with line and column.
pub fn policy(object: &ExecutionPolicy) -> Result<Text, FieldErrors> {
    let ExecutionPolicySpec { mode: _, cedar } = &object.spec;
    let mut faults = Faults::default();
    match Text::parse(cedar) {
        Ok(text) => return Ok(text),
        Err(found) => found.iter().for_each(|fault| faults.add(FIELD, fault.to_string())),
    }
    Err(faults.into_errors())
}

/// Whether there is room for a policy beside those that are stored; one of its name makes room.
///
/// # Errors
/// That there is none.
pub fn policy_fits<'a>(
    object: &ExecutionPolicy,
    stored: impl IntoIterator<Item = &'a ExecutionPolicy>,
) -> Result<(), FieldErrors> {
    let mut faults = Faults::default();
    let name = object.name_any();
    let others: usize =
        stored.into_iter().filter(|other| other.name_any() != name).map(|other| other.spec.cedar.len()).sum();
    let total = others.saturating_add(object.spec.cedar.len());
    if total > TOTAL_LIMIT {
        faults.add(
            FIELD,
            format!(
                "{total} bytes together with all other ExecutionPolicies: expected at most {TOTAL_LIMIT}; delete some"
            ),
        );
    }
    faults.none_or(())
}
