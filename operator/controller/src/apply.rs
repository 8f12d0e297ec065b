//! Making children, in their order, and ending pods.

use ccos_crds::CapabilityExecution;
use ccos_plan::build::Children;
use ccos_plan::fence::fenced;
use ccos_plan::halt::Halt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

/// The owner of what the controller applies.
pub(crate) const FIELD_MANAGER: &str = "ccos-controller";

/// How the API server begins when our quota is the one without room.
const OWN_QUOTA: &str = "exceeded quota: ccos-executions,";

/// Why a child was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The API server refuses, for now.
    #[error("cannot apply {kind} {namespace}/{name}")]
    Api {
        /// Of what.
        kind: &'static str,
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// Why.
        source: kube::Error,
    },
}

/// What became of the pod.
#[derive(Debug)]
pub(crate) enum Applied {
    /// It exists: made now, or by a controller that did not live to say so.
    Pod(Box<Pod>),
    /// The namespace's own quota counts pods that have just ended.
    QuotaLags(String),
    /// Another quota has no room; the text is the API server's.
    QuotaExceeded(String),
    /// The API server will not have it: a policy engine, Pod Security, a volume that can't be.
    Refused(String),
}

/// Applies the children: the policy, the profile, then the pod. It must never run unconfined.
pub(crate) async fn apply(
    client: &Client,
    object: &CapabilityExecution,
    children: &Children,
) -> Result<Applied, ApplyError> {
    let Children { network_policy, profile, pod } = children;
    let applied = async {
        let fence = server_side::<NetworkPolicy>(client, "NetworkPolicy", network_policy).await?;
        server_side::<ConfigMap>(client, "ConfigMap", profile).await?;
        Ok(fence)
    };
    match applied.await {
        // Such as another's immutable ConfigMap of this name: it will not become ours by trying.
        Err(ApplyError::Api { kind, source: kube::Error::Api(status), .. })
            if matches!(status.code, 400 | 413 | 422) =>
        {
            Ok(Applied::Refused(format!("{kind}: {}", status.message)))
        }
        Err(error) => Err(error),
        // What the API server stored, after all that may change objects on their way.
        Ok(fence) if fenced(network_policy, Some(&fence)).is_err() => {
            Ok(Applied::Refused("its NetworkPolicy is stored otherwise than it was applied".to_owned()))
        }
        Ok(_) => create_pod(client, object, pod).await,
    }
}

/// Applies the fence of a pod again.
pub(crate) async fn network_policy(client: &Client, policy: &NetworkPolicy) -> Result<(), ApplyError> {
    server_side(client, "NetworkPolicy", policy).await.map(drop)
}

/// Keeps a result. Applied, not created: a runner that did not hear of it says it again, and only the same.
pub(crate) async fn result(client: &Client, result: &ConfigMap) -> Result<(), ApplyError> {
    server_side(client, "ConfigMap", result).await.map(drop)
}

/// Applies a namespace's quota.
pub(crate) async fn quota(client: &Client, quota: &ResourceQuota) -> Result<(), ApplyError> {
    server_side(client, "ResourceQuota", quota).await.map(drop)
}

/// Answers with what is stored now.
async fn server_side<K>(client: &Client, kind: &'static str, object: &K) -> Result<K, ApplyError>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch(&name, &params, &Patch::Apply(object)).await {
        Ok(stored) => Ok(stored),
        Err(source) => Err(ApplyError::Api { kind, namespace, name, source }),
    }
}

/// Creates, never applies: the name makes it one pod for each attempt, whoever crashed when.
async fn create_pod(client: &Client, object: &CapabilityExecution, pod: &Pod) -> Result<Applied, ApplyError> {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let failed = |source| ApplyError::Api { kind: "Pod", namespace: namespace.clone(), name: name.clone(), source };
    match api.create(&PostParams::default(), pod).await {
        Ok(pod) => Ok(Applied::Pod(Box::new(pod))),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let pod = api.get(&name).await.map_err(failed)?;
            if owned(&pod, object) {
                Ok(Applied::Pod(Box::new(pod)))
            } else {
                // Not tried again: each try counts in the quota until that is counted anew.
                Ok(Applied::Refused(format!("Pod {name:?} exists and belongs to something else")))
            }
        }
        Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(OWN_QUOTA) => {
            Ok(Applied::QuotaLags(status.message.clone()))
        }
        Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains("quota") => {
            Ok(Applied::QuotaExceeded(status.message.clone()))
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 403 | 422) => {
            Ok(Applied::Refused(status.message.clone()))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whether a pod is the execution's own.
pub(crate) fn owned(pod: &Pod, object: &CapabilityExecution) -> bool {
    let uid = object.metadata.uid.as_deref();
    uid.is_some()
        && pod.owner_references().iter().any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
}

/// Ends a pod so that what it leaves can be read, where that is possible.
pub(crate) async fn halt_pod(client: &Client, pod: &Pod, how: Halt) -> Result<(), ApplyError> {
    let seconds = match how {
        Halt::Wait => return Ok(()),
        Halt::Delete => return delete_pod(client, pod).await,
        Halt::Deadline(seconds) => seconds,
    };
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    // With its uid: another pod of that name is refused as a conflict.
    let patch = json!({"metadata": {"uid": pod.uid()}, "spec": {"activeDeadlineSeconds": seconds}});
    let patched = api.patch(&name, &PatchParams::apply(FIELD_MANAGER), &Patch::Merge(patch)).await;
    gone(patched.map(drop)).map_err(|source| ApplyError::Api { kind: "Pod", namespace, name, source })
}

/// Deletes a pod: exactly this one, not another of its name.
pub(crate) async fn delete_pod(client: &Client, pod: &Pod) -> Result<(), ApplyError> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    gone(api.delete(&name, &exactly(pod.uid())).await).map_err(|source| ApplyError::Api {
        kind: "Pod",
        namespace,
        name,
        source,
    })
}

/// Deletes an execution whose time to live is over.
pub(crate) async fn delete_execution(client: &Client, object: &CapabilityExecution) -> Result<(), ApplyError> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<CapabilityExecution> = Api::namespaced(client.clone(), &namespace);
    gone(api.delete(&name, &exactly(object.uid())).await).map_err(|source| ApplyError::Api {
        kind: "CapabilityExecution",
        namespace,
        name,
        source,
    })
}

fn exactly(uid: Option<String>) -> DeleteParams {
    DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..DeleteParams::background() }
}

/// What is not there need not be deleted; nor what has another UID by now.
fn gone<T>(answer: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}
