//! Status of contexts, and the quota of each namespace with contexts.

use ccos_crds::execution::ContextKind;
use ccos_crds::security_context::SecurityContextStatus;
use ccos_crds::{ClusterSecurityContext, SecurityContext, conditions};
use ccos_plan::build::{self, quota};
use ccos_plan::capacity::Weight;
use ccos_plan::{AnyContext, wire};
use ccos_policy::{Bytes, Cores, Denials, Reason, exceeds};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::warn;

use crate::apply::{self, ApplyError};
use crate::ctx::Ctx;
use crate::queue::Line;
use crate::turn::in_use;
use crate::update_status::merge_status;

/// How often the status of contexts follows what their executions do: a bound on writes, however many start and end.
const ROUND: Duration = Duration::from_secs(2);

/// Contexts whose executions changed since their status was written.
#[derive(Debug, Default)]
pub(crate) struct Changed(Mutex<HashSet<Line>>);

impl Changed {
    pub(crate) fn note(&self, line: Line) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(line);
    }

    fn take(&self) -> HashSet<Line> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes the status of contexts whose executions changed, and of those that have expired, for ever.
pub(crate) async fn rounds(ctx: &Ctx) {
    loop {
        tokio::time::sleep(ROUND).await;
        let (now, changed) = (Timestamp::now(), ctx.changed.take());
        for object in ctx.stores.contexts.state() {
            let line = (ContextKind::SecurityContext, object.namespace(), object.name_any());
            if changed.contains(&line) || has_expired(object.status.as_ref(), now) {
                namespaced_status(ctx, SecurityContext::clone(&object)).await;
            }
        }
        for object in ctx.stores.cluster_contexts.state() {
            let line = (ContextKind::ClusterSecurityContext, None, object.name_any());
            if changed.contains(&line) || has_expired(object.status.as_ref(), now) {
                cluster(ctx, ClusterSecurityContext::clone(&object)).await;
            }
        }
    }
}

/// Whether a context has expired, and its status does not say so yet.
fn has_expired(status: Option<&SecurityContextStatus>, now: Timestamp) -> bool {
    status.is_some_and(|status| {
        status.expires_at.as_ref().is_some_and(|at| at.0 <= now)
            && status.conditions.iter().any(|one| one.type_ == conditions::VALID && one.status == "True")
    })
}

pub(crate) async fn namespaced(ctx: &Ctx, object: SecurityContext) {
    let namespace = object.namespace().unwrap_or_default();
    namespaced_status(ctx, object).await;
    if let Err(error) = quota_is_there(ctx, &namespace, Timestamp::now()).await {
        warn!(namespace, error = crate::chain(&error), "cannot apply the quota; the next execution tries again");
    }
}

async fn namespaced_status(ctx: &Ctx, object: SecurityContext) {
    let api = Api::<SecurityContext>::namespaced(ctx.client.clone(), &object.namespace().unwrap_or_default());
    let before = object.status.clone();
    context_status(ctx, &api, &AnyContext::Namespaced(Arc::new(object)), before).await;
}

pub(crate) async fn cluster(ctx: &Ctx, object: ClusterSecurityContext) {
    let api = Api::<ClusterSecurityContext>::all(ctx.client.clone());
    let before = object.status.clone();
    context_status(ctx, &api, &AnyContext::Cluster(Arc::new(object)), before).await;
}

async fn context_status<K>(ctx: &Ctx, api: &Api<K>, context: &AnyContext, before: Option<SecurityContextStatus>)
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let now = Timestamp::now();
    let (parsed, metadata) = (wire::context(context, now), context.metadata());
    let expires_at = parsed.as_ref().ok().and_then(|parsed| parsed.expiry.at).map(Time);
    let earlier = before.as_ref().map_or(&[][..], |status| &status.conditions);
    let within = parsed.as_ref().ok().map(|parsed| within_ceiling(exceeds(parsed, &ctx.ceiling)));
    let within = within.map(|said| condition(conditions::WITHIN_CEILING, said, metadata, earlier));
    let expired = parsed.as_ref().ok().and_then(|parsed| parsed.expiry.at).filter(|at| *at <= now);
    let valid = match expired {
        Some(at) => condition(conditions::VALID, ("False", "Expired", expired_at(at)), metadata, earlier),
        None => valid(parsed.map(drop), metadata, earlier),
    };
    let line = (context.kind(), metadata.namespace.clone(), metadata.name.clone().unwrap_or_default());
    let (in_use, running) = in_use(&line, ctx);
    let status = SecurityContextStatus {
        observed_generation: metadata.generation,
        expires_at,
        in_use: Some(in_use),
        running,
        conditions: [valid].into_iter().chain(within).collect(),
    };
    if before.as_ref() != Some(&status)
        && let Err(error) = merge_status(api, metadata, before.as_ref(), &status).await
    {
        warn!(kind = %K::kind(&()), name = line.2, %error, "cannot write the status");
    }
}

fn expired_at(at: Timestamp) -> String {
    format!("it expired at {at} and admits nothing: set spec.expiry anew, or create another")
}

pub(crate) fn valid(parsed: Result<(), wire::FieldErrors>, metadata: &ObjectMeta, earlier: &[Condition]) -> Condition {
    let said = match parsed {
        Ok(()) => ("True", "Valid", String::new()),
        Err(errors) => ("False", "Invalid", errors.to_string()),
    };
    condition(conditions::VALID, said, metadata, earlier)
}

fn within_ceiling(above: Option<Denials>) -> Said {
    match above {
        None => ("True", "WithinCeiling", String::new()),
        Some(above) => ("False", Reason::CeilingExceeded.as_str(), above.to_string()),
    }
}

/// Status, reason and message.
type Said = (&'static str, &'static str, String);

fn condition(kind: &str, said: Said, metadata: &ObjectMeta, earlier: &[Condition]) -> Condition {
    let (status, reason, message) = said;
    let before = earlier.iter().find(|one| one.type_ == kind && one.status == status);
    Condition {
        last_transition_time: before
            .map_or_else(|| Time(Timestamp::now()), |before| before.last_transition_time.clone()),
        // The API allows 32 KiB.
        message: message.chars().take(8_000).collect(),
        observed_generation: metadata.generation,
        reason: reason.to_owned(),
        status: status.to_owned(),
        type_: kind.to_owned(),
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
