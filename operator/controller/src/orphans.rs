//! Pods that outlive their execution: deleted with `--cascade=orphan`, or held by somebody's finalizer. The garbage
//! collector leaves them alone, and without their execution nothing would stop them at expiry or count them.

use ccos_crds::CapabilityExecution;
use ccos_plan::build::names::UID_LABEL;
use ccos_plan::status::{self, Seen};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::reflector::{ObjectRef, Store};
use tracing::{info, warn};

use crate::apply;
use crate::ctx::Ctx;

/// The UID of the execution that a pod was made for.
pub(crate) fn made_for(pod: &Pod) -> Option<&str> {
    pod.labels().get(UID_LABEL).map(String::as_str)
}

/// Whether a pod holds something still.
pub(crate) fn lives(pod: &Pod) -> bool {
    !matches!(status::observe(pod), Seen::Ended(_))
}

/// Whether the cache has the execution that a pod says it belongs to.
pub(crate) fn has_execution(pod: &Pod, known: &Store<CapabilityExecution>) -> bool {
    let namespace = pod.namespace().unwrap_or_default();
    owner(pod).is_some_and(|(name, uid)| {
        known
            .get(&ObjectRef::new(name).within(&namespace))
            .is_some_and(|object| object.metadata.uid.as_deref() == Some(uid))
    })
}

fn owner(pod: &Pod) -> Option<(&str, &str)> {
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true))?;
    (owner.kind == "CapabilityExecution").then_some((owner.name.as_str(), owner.uid.as_str()))
}

/// Ends a pod whose execution is gone, by the API server's word: the cache may be behind.
pub(crate) async fn end(ctx: &Ctx, pod: Pod) {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    if let Some((execution, uid)) = owner(&pod) {
        let api: Api<CapabilityExecution> = Api::namespaced(ctx.client.clone(), &namespace);
        match api.get_metadata_opt(execution).await {
            Ok(Some(found)) if found.metadata.uid.as_deref() == Some(uid) => return,
            Ok(_) => {}
            Err(error) => {
                warn!(namespace, name, %error, "cannot tell whether a pod still has its execution; its next event asks again");
                return;
            }
        }
    }
    match apply::delete_pod(&ctx.client, &pod).await {
        Ok(()) => info!(namespace, name, "ended a pod whose execution is gone"),
        Err(error) => warn!(namespace, name, error = crate::chain(&error), "cannot end a pod whose execution is gone"),
    }
}
