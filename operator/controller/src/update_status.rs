//! Writing status: only what changed, and only over what was read.

use ccos_crds::CapabilityExecution;
use ccos_plan::status::Draft;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

/// Why status was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateStatusError {
    /// The object was changed since it was read: the cache is behind.
    #[error("the object changed meanwhile")]
    Conflict,
    /// The API server refuses.
    #[error("cannot write the status")]
    Api(#[source] kube::Error),
}

/// Writes a status, if it differs from the object's. Answers whether it did.
pub(crate) async fn update_status(
    client: &Client,
    object: &CapabilityExecution,
    draft: Draft,
) -> Result<bool, UpdateStatusError> {
    let Some(status) = draft.changed(object) else { return Ok(false) };
    let api: Api<CapabilityExecution> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    // With the resourceVersion: a status computed from a stale object must not overwrite a newer one.
    let patch = json!({"metadata": {"resourceVersion": object.metadata.resource_version}, "status": status});
    match api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Err(UpdateStatusError::Conflict),
        // Deleted meanwhile: nobody reads it any more.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(UpdateStatusError::Api(error)),
    }
}
