//! Status of contexts, and the quota of each namespace with contexts.

use ccos_crds::security_context::SecurityContextStatus;
use ccos_crds::{ClusterSecurityContext, SecurityContext, conditions};
use ccos_plan::build::{self, quota};
use ccos_plan::capacity::Weight;
use ccos_plan::{AnyContext, wire};
use ccos_policy::{Bytes, Cores};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use std::sync::Arc;
use tracing::warn;

use crate::apply::{self, ApplyError};
use crate::ctx::Ctx;

pub(crate) async fn namespaced(ctx: &Ctx, object: SecurityContext) {
    let namespace = object.namespace().unwrap_or_default();
    let api = Api::<SecurityContext>::namespaced(ctx.client.clone(), &namespace);
    let before = object.status.clone();
    let context = AnyContext::Namespaced(Arc::new(object));
    context_status(&api, &context, before).await;
    if let Err(error) = quota_is_there(ctx, &namespace, Timestamp::now()).await {
        warn!(namespace, error = crate::chain(&error), "cannot apply the quota; the next execution tries again");
    }
}

pub(crate) async fn cluster(ctx: &Ctx, object: ClusterSecurityContext) {
    let api = Api::<ClusterSecurityContext>::all(ctx.client.clone());
    let before = object.status.clone();
    context_status(&api, &AnyContext::Cluster(Arc::new(object)), before).await;
}

async fn context_status<K>(api: &Api<K>, context: &AnyContext, before: Option<SecurityContextStatus>)
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let (parsed, metadata) = (wire::context(context, Timestamp::now()), context.metadata());
    let expires_at = parsed.as_ref().ok().and_then(|parsed| parsed.expiry.at).map(Time);
    let earlier = before.as_ref().map_or(&[][..], |status| &status.conditions);
    let status = SecurityContextStatus {
        observed_generation: metadata.generation,
        expires_at,
        conditions: vec![valid(parsed.map(drop), metadata, earlier)],
    };
    if before.as_ref() != Some(&status) {
        write(api, metadata, &status).await;
    }
}

fn valid(parsed: Result<(), wire::FieldErrors>, metadata: &ObjectMeta, earlier: &[Condition]) -> Condition {
    let (status, reason, message) = match parsed {
        Ok(()) => ("True", "Valid", String::new()),
        Err(errors) => ("False", "Invalid", errors.to_string().chars().take(16_000).collect()),
    };
    let before = earlier.iter().find(|one| one.type_ == conditions::VALID && one.status == status);
    Condition {
        last_transition_time: before
            .map_or_else(|| Time(Timestamp::now()), |before| before.last_transition_time.clone()),
        message,
        observed_generation: metadata.generation,
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: conditions::VALID.to_owned(),
    }
}

async fn write<K>(api: &Api<K>, metadata: &ObjectMeta, status: &impl Serialize)
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let name = metadata.name.as_deref().unwrap_or_default();
    let patch = json!({"metadata": {"resourceVersion": metadata.resource_version}, "status": status});
    match api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(_) => {}
        // Changed or deleted meanwhile: its watch brings the newer one.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(error) => warn!(kind = %K::kind(&()), name, %error, "cannot write the status"),
    }
}

/// Applies the namespace's quota where it is not as it should be. Answers whether it is, and is counted by the API
/// server: without a status it refuses every pod.
pub(crate) async fn quota_is_there(ctx: &Ctx, namespace: &str, now: Timestamp) -> Result<bool, ApplyError> {
    let Some(wanted) = wanted(ctx, namespace, now) else { return Ok(true) };
    let found = ctx.stores.quotas.get(&ObjectRef::<ResourceQuota>::new(quota::NAME).within(namespace));
    match quota::state(found.as_deref(), &wanted) {
        quota::State::Holds => Ok(true),
        quota::State::Uncounted => Ok(false),
        quota::State::Stale => {
            apply::quota(&ctx.client, &wanted).await?;
            Ok(false)
        }
    }
}

fn wanted(ctx: &Ctx, namespace: &str, now: Timestamp) -> Option<ResourceQuota> {
    let mut contexts: Vec<AnyContext> = ctx
        .stores
        .contexts
        .state()
        .into_iter()
        .filter(|context| {
            context.namespace().as_deref() == Some(namespace) && context.metadata.deletion_timestamp.is_none()
        })
        .map(AnyContext::Namespaced)
        .chain(ctx.stores.cluster_contexts.state().into_iter().map(AnyContext::Cluster))
        .collect();
    // In a stable order: the owner references are compared.
    contexts.sort_by_key(|context| context.metadata().uid.clone());
    let none = Weight { memory: Bytes(0), cpu: Cores { millis: 0 } };
    let overhead = ctx
        .stores
        .runtime_classes
        .state()
        .iter()
        .map(|class| build::overhead(class))
        .fold(none, |most, one| Weight { memory: most.memory.max(one.memory), cpu: most.cpu.max(one.cpu) });
    quota::quota(namespace, &ctx.cluster.priority_class_name, &contexts, overhead, now)
}
