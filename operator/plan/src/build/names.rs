//! Names and labels of children. They come from the UID, so that a new execution of an old name shares nothing.

use ccos_crds::CapabilityExecution;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource as _, ResourceExt as _};
use std::collections::BTreeMap;

use crate::status;

/// The label that selects the pod of one execution.
pub const UID_LABEL: &str = ccos_profile::egress::EXECUTION_LABEL;
/// The annotation of a pod with the schema that its result must fit: as it was when the pod was made, whatever becomes of
/// the provider.
pub const OUTPUT_SCHEMA: &str = "security.ccos.dev/output-schema";
/// The label that all children have.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "ccos");

/// The name of what all attempts share: the start of the execution's name, for people, and of its UID, for uniqueness.
#[must_use]
pub fn shared(object: &CapabilityExecution) -> String {
    // 40 + 1 + 12 stays, with the number of an attempt, below the 63 characters of a host name.
    let name: String = object.name_any().chars().take(40).collect();
    let uid: String = object.uid().unwrap_or_default().chars().filter(char::is_ascii_hexdigit).take(12).collect();
    format!("{}-{uid}", name.trim_end_matches(['-', '.']).replace('.', "-"))
}

/// The name of what is an attempt's own: the one that runs, or the next. From the second on it has the attempt's number.
#[must_use]
pub fn child(object: &CapabilityExecution) -> String {
    match status::attempt_number(object) {
        1 => shared(object),
        number => format!("{}-{number}", shared(object)),
    }
}

/// The labels of a child.
#[must_use]
pub fn labels(object: &CapabilityExecution) -> BTreeMap<String, String> {
    BTreeMap::from([
        (UID_LABEL.to_owned(), object.uid().unwrap_or_default()),
        (MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()),
    ])
}

/// The metadata of a child of this name: deleted with its execution, by the garbage collector.
pub(super) fn metadata(object: &CapabilityExecution, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: object.namespace(),
        labels: Some(labels(object)),
        owner_references: owner(object).map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// The reference to the owner. It does not block the owner's deletion: that needs the right to set finalizers where
/// OwnerReferencesPermissionEnforcement is on, and nothing here has to be gone first.
fn owner(object: &CapabilityExecution) -> Option<OwnerReference> {
    object.controller_owner_ref(&()).map(|owner| OwnerReference { block_owner_deletion: None, ..owner })
}
