//! Writing status: only what changed, and only over what was read.

use std::fmt::Debug;

use ccos_crds::CapabilityExecution;
use ccos_plan::status::Draft;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

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

/// Writes the status of a context, a provider or a policy over the one that was read, `before`.
///
/// # Errors
/// If the API server refuses for another reason than that the object was changed or deleted meanwhile: then its watch
/// brings the newer one.
pub(crate) async fn merge_status<K, S>(
    api: &Api<K>,
    metadata: &ObjectMeta,
    before: Option<&S>,
    after: &S,
) -> Result<(), kube::Error>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    S: Serialize + Sync,
{
    let name = metadata.name.as_deref().unwrap_or_default();
    let status = merged(json!(before), json!(after));
    let patch = json!({"metadata": {"resourceVersion": metadata.resource_version}, "status": status});
    match api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A merge leaves alone what it does not name: what is no longer so has to be named, with nothing.
fn merged(before: Value, mut after: Value) -> Value {
    if let (Value::Object(before), Value::Object(after)) = (before, &mut after) {
        for (field, _) in before {
            after.entry(field).or_insert(Value::Null);
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_so_is_taken_away() {
        let before = json!({"verified": "sha256:1", "running": ["a"], "expiresAt": "then", "conditions": [1]});
        let after = json!({"conditions": [2], "running": ["b"]});
        let expected = json!({"verified": null, "running": ["b"], "expiresAt": null, "conditions": [2]});
        assert_eq!(merged(before, after.clone()), expected);
        assert_eq!(merged(Value::Null, after.clone()), after);
    }
}
