//! ExecutionPolicies: their watch, their status, and what they are asked of an execution that is to start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ccos_crds::execution_policy::ExecutionPolicyStatus;
use ccos_crds::{CapabilityExecution, ExecutionPolicy};
use ccos_plan::policing::{Current, PolicySet, Shelf};
use ccos_plan::receipt::Requester;
use ccos_plan::{Policing, wire};
use ccos_policy::Remark;
use futures::channel::mpsc;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::runtime::events::EventType;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use tracing::{info, warn};

use crate::contexts;
use crate::ctx::Ctx;
use crate::dereference::DereferenceError;
use crate::rescan::Stale;
use crate::update_status::merge_status;
use crate::waker::Waker;
use crate::watches::{Alive, Cache, Exists, Heard, Touched, keep, strip_managed_fields};

/// Policies that were not heard of for so long are not known any more: a list and its retries fit between.
const LOST: Duration = Duration::from_mins(6);

/// Events of one start: there may be hundreds of policies.
const EVENTS: usize = 4;

/// What is known of them.
pub(crate) struct Policies {
    stored: Store<ExecutionPolicy>,
    namespaces: Store<Namespace>,
    shelf: Shelf,
    heard: Heard,
}

impl Policies {
    /// Begins to watch them. Each change wakes what waits, since it may wait for nothing, and makes reports stale; and each
    /// is told to `changed`.
    pub(crate) fn start(
        client: &Client,
        (stored, writer): (Store<ExecutionPolicy>, Writer<ExecutionPolicy>),
        namespaces: Store<Namespace>,
        waker: Waker,
        changed: mpsc::UnboundedSender<ExecutionPolicy>,
        stale: Arc<Stale>,
        alive: &Alive,
    ) -> Self {
        let heard = Heard::new();
        let (api, cache) = (Api::all(client.clone()), Cache::of(writer, ()));
        let on = move |touched: Vec<Touched<ExecutionPolicy>>| {
            let there = touched.into_iter().filter(|one| one.exists == Exists::Yes);
            there.for_each(|one| drop(changed.unbounded_send(one.object)));
            waker.waiting();
            stale.all();
        };
        alive.clone().spawn(keep(
            api,
            watcher::Config::default(),
            strip_managed_fields,
            cache,
            Some(heard.clone()),
            on,
        ));
        Self { stored, namespaces, shelf: Shelf::default(), heard }
    }

    /// Waits until they have been read once.
    pub(crate) async fn ready(&self) {
        // An error means that the writer is gone, and with it the task that `Triggers::run` watches.
        let _ = tokio::join!(self.stored.wait_until_ready(), self.namespaces.wait_until_ready());
    }

    /// Those of now, and what they look at of an execution's namespace.
    ///
    /// # Errors
    /// If they are not known, or the namespace is not: nothing starts then.
    pub(crate) fn seen(&self, object: &CapabilityExecution) -> Result<Seen, DereferenceError> {
        let age = self.heard.age();
        if age > LOST {
            return Err(DereferenceError::PoliciesLost(age.as_secs()));
        }
        let Current { policies, revision } = self.shelf.current(&self.stored.state());
        let name = object.namespace().unwrap_or_default();
        let labels = if policies.is_empty() {
            BTreeMap::new()
        } else {
            let found = self.namespaces.get(&ObjectRef::new(&name));
            found.ok_or(DereferenceError::NoNamespace(name))?.labels().clone()
        };
        Ok(Seen { policies, revision, labels })
    }
}

/// Policies and labels of a moment.
pub(crate) struct Seen {
    policies: Arc<PolicySet>,
    /// Grows with each change of a policy.
    pub(crate) revision: u64,
    /// Of the namespace, where there are policies.
    pub(crate) labels: BTreeMap<String, String>,
}

impl Seen {
    /// What they are asked, for a requester.
    pub(crate) fn policing(&self, requester: &Requester) -> Policing {
        let (policies, labels) = (Arc::clone(&self.policies), self.labels.clone());
        Policing::Asked { policies, requester: requester.clone(), labels }
    }
}

/// Leaves of a namespace what is looked at: whoever may edit it chooses how large the rest is.
pub(crate) fn strip(namespace: &mut Namespace) {
    strip_managed_fields(namespace);
    namespace.metadata.annotations = None;
    namespace.spec = None;
    namespace.status = None;
}

/// Writes what was understood of a policy.
pub(crate) async fn status(ctx: &Ctx, object: ExecutionPolicy) {
    let parsed = wire::policy(&object);
    let earlier = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let status = ExecutionPolicyStatus {
        observed_generation: object.metadata.generation,
        policies: parsed.as_ref().ok().and_then(|text| i64::try_from(text.policies()).ok()),
        conditions: vec![contexts::valid(parsed.map(drop), &object.metadata, earlier)],
    };
    if object.status.as_ref() != Some(&status) {
        let api = Api::<ExecutionPolicy>::all(ctx.client.clone());
        if let Err(error) = merge_status(&api, &object.metadata, object.status.as_ref(), &status).await {
            warn!(kind = "ExecutionPolicy", name = object.name_any(), %error, "cannot write the status");
        }
    }
}

/// Writes down what policies that do not enforce had against what starts: they may be newer than its admission. Told as
/// Events, too: who tries a policy out looks there for whom it would have stopped.
pub(crate) async fn write_down(ctx: &Ctx, object: &CapabilityExecution, remarks: &[Remark]) {
    for (at, remark) in remarks.iter().enumerate() {
        let (mode, kind, reason) = match remark {
            Remark::Warn(_) => ("Warn", EventType::Warning, "PolicyWarned"),
            Remark::Audit(_) => ("Audit", EventType::Normal, "PolicyAudited"),
        };
        let (by, message) = (&remark.objection().by, remark.objection().to_string());
        info!(target: "ccos::review", namespace = object.namespace(), name = object.name_any(), uid = object.uid(), execution_policy = by, mode, message, "an ExecutionPolicy that does not enforce would have denied");
        if at < EVENTS {
            ctx.tell(object, kind, "Starting", reason, &format!("starts, though {message}")).await;
        }
    }
}
