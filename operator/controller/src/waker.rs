//! Which executions are looked at again, and when something else changed.

use ccos_crds::CapabilityExecution;
use ccos_crds::execution::{ContextKind, ProviderKind};
use ccos_plan::status;
use futures::channel::mpsc;
use kube::runtime::reflector::{ObjectRef, Store};

/// Wakes unfinished executions.
#[derive(Clone)]
pub(crate) struct Waker {
    known: Store<CapabilityExecution>,
    wake: mpsc::UnboundedSender<ObjectRef<CapabilityExecution>>,
}

impl Waker {
    pub(crate) fn new(
        known: Store<CapabilityExecution>,
        wake: mpsc::UnboundedSender<ObjectRef<CapabilityExecution>>,
    ) -> Self {
        Self { known, wake }
    }

    /// Those for which this is so.
    pub(crate) fn all(&self, of: impl Fn(&CapabilityExecution) -> bool) {
        for object in self.known.state() {
            if !status::finished(&object) && of(&object) {
                self.one(ObjectRef::from_obj(&*object));
            }
        }
    }

    /// Those that have no pod yet, and wait for something of the cluster.
    pub(crate) fn waiting(&self) {
        self.all(|one| status::attempted(one).is_none());
    }

    /// Those that wait for the capacity that this one had, or stood in line for.
    pub(crate) fn peers(&self, object: &CapabilityExecution) {
        self.all(|peer| {
            peer.spec.context_ref == object.spec.context_ref
                && peer.metadata.uid != object.metadata.uid
                && status::attempted(peer).is_none()
        });
    }

    /// Those under a context, whatever they do.
    pub(crate) fn under(&self, kind: ContextKind, namespace: Option<&str>, name: &str) {
        self.all(|one| {
            let reference = &one.spec.context_ref;
            reference.kind == kind && reference.name == name && inside(one, namespace)
        });
    }

    /// Those of a provider, whatever they do.
    pub(crate) fn of(&self, kind: ProviderKind, namespace: Option<&str>, name: &str) {
        self.all(|one| {
            let reference = &one.spec.capability_ref;
            reference.kind == kind && reference.name == name && inside(one, namespace)
        });
    }

    /// This one.
    pub(crate) fn one(&self, object: ObjectRef<CapabilityExecution>) {
        // It is closed only when the reconciler is gone, and with it the process.
        drop(self.wake.unbounded_send(object));
    }
}

/// Whether an execution is in a namespace; no namespace is all of them.
fn inside(one: &CapabilityExecution, namespace: Option<&str>) -> bool {
    namespace.is_none() || one.metadata.namespace.as_deref() == namespace
}
