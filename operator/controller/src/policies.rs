//! ExecutionPolicies: their watch, their status, and what they are asked of an execution that is to start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ccos_crds::execution_policy::ExecutionPolicyStatus;
use ccos_crds::{CapabilityExecution, ExecutionPolicy};
use ccos_plan::policing::{Current, PolicySet, Shelf};
use ccos_plan::receipt::Requester;
use ccos_plan::{Policing, wire};
use ccos_policy::Remark;
use futures::StreamExt as _;
use futures::channel::mpsc;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watching};
use kube::{Client, ResourceExt as _};
use tracing::{info, warn};

use crate::contexts;
use crate::ctx::Ctx;
use crate::dereference::DereferenceError;
use crate::update_status::merge_status;
use crate::waker::Waker;
use crate::watches::strip_managed_fields;

/// The watch begins anew, with a list, this often: an idle one tells nothing of itself.
const RELIST: Duration = Duration::from_mins(4);

/// Policies that were not heard of for so long are not known any more: a list and its retries fit between.
const LOST: Duration = Duration::from_mins(6);

/// What is known of them.
pub(crate) struct Policies {
    stored: Store<ExecutionPolicy>,
    namespaces: Store<Namespace>,
    shelf: Shelf,
    heard: Heard,
}

/// When the watch was last heard of.
#[derive(Clone)]
struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Policies {
    /// Begins to watch them. Each change wakes what waits, since it may wait for nothing; and each is told to `changed`.
    pub(crate) fn start(
        client: &Client,
        (stored, writer): (Store<ExecutionPolicy>, Writer<ExecutionPolicy>),
        namespaces: Store<Namespace>,
        waker: Waker,
        changed: mpsc::UnboundedSender<ExecutionPolicy>,
        alive: mpsc::UnboundedSender<()>,
    ) -> Self {
        let heard = Heard(Arc::new(Mutex::new(Instant::now())));
        tokio::spawn(watch(Api::all(client.clone()), writer, heard.clone(), waker, changed, alive));
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

/// Not [`crate::watches::watch`]: this one has to be known to live, and those that it wakes must find what it brought,
/// after a list too.
async fn watch(
    api: Api<ExecutionPolicy>,
    mut writer: Writer<ExecutionPolicy>,
    heard: Heard,
    waker: Waker,
    changed: mpsc::UnboundedSender<ExecutionPolicy>,
    alive: mpsc::UnboundedSender<()>,
) {
    loop {
        let mut events = watching(api.clone(), watcher::Config::default()).default_backoff().boxed();
        let relist = tokio::time::sleep(RELIST);
        tokio::pin!(relist);
        loop {
            let event = tokio::select! {
                () = &mut relist => break,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    let event = event.modify(strip_managed_fields);
                    writer.apply_watcher_event(&event);
                    if !matches!(event, Event::Init) {
                        heard.now();
                    }
                    match event {
                        Event::Apply(object) => {
                            drop(changed.unbounded_send(object));
                            waker.waiting();
                        }
                        Event::InitApply(object) => drop(changed.unbounded_send(object)),
                        Event::Delete(_) | Event::InitDone => waker.waiting(),
                        Event::Init => {}
                    }
                }
                Some(Err(error)) => warn!(kind = "ExecutionPolicy", %error, "a watch failed; it is begun anew"),
                None => break,
            }
            if alive.is_closed() {
                return;
            }
        }
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

/// Writes down what policies that do not enforce had against what starts: they may be newer than its admission.
pub(crate) fn write_down(object: &CapabilityExecution, remarks: &[Remark]) {
    for remark in remarks {
        let (mode, objection) = match remark {
            Remark::Warn(objection) => ("Warn", objection),
            Remark::Audit(objection) => ("Audit", objection),
        };
        info!(target: "ccos::review", namespace = object.namespace(), name = object.name_any(), uid = object.uid(), execution_policy = objection.by, mode, message = objection.to_string(), "an ExecutionPolicy that does not enforce would have denied");
    }
}
