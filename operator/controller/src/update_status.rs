//! Writing status: only what changed, and only over what was read.

use ccos_crds::CapabilityExecution;
use ccos_plan::status::Draft;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt as _};

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
    // As a whole, with its resourceVersion: a status computed from a stale object must not overwrite a newer one. Not as
    // a merge patch, which would take every null out of a result.
    let changed = CapabilityExecution { status: Some(status), ..object.clone() };
    match api.replace_status(&object.name_any(), &PostParams::default(), &changed).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Err(UpdateStatusError::Conflict),
        // Deleted meanwhile: nobody reads it any more.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(UpdateStatusError::Api(error)),
    }
}
