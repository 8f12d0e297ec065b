//! The reconcilers' handles.

use std::sync::Arc;

use ccos_crds::CapabilityExecution;
use ccos_plan::build::Operator;
use ccos_plan::capacity::Ticket;
use ccos_plan::receipt;
use ccos_plan::{ClusterProfile, ParsedContexts};
use ccos_policy::Ceiling;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Client, Resource as _};
use tracing::warn;

use crate::audit::Audit;
use crate::contexts::Changed;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::queue::Queue;
use crate::reports::Told;
use crate::rescan::{Reports, Stale};
use crate::supply::lists::Lists;
use crate::supply::registry::Registries;
use crate::waker::Waker;
use crate::watches::Stores;

/// The reconciler's handles.
pub(crate) struct Ctx {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) cluster: ClusterProfile,
    pub(crate) operator: Operator,
    pub(crate) ceiling: Ceiling,
    pub(crate) stores: Stores,
    pub(crate) policies: Policies,
    pub(crate) queue: Arc<Queue>,
    pub(crate) told: Arc<Told>,
    pub(crate) lists: Lists,
    pub(crate) registries: Registries,
    pub(crate) changed: Arc<Changed>,
    pub(crate) stale: Arc<Stale>,
    pub(crate) reports: Reports,
    pub(crate) contexts: ParsedContexts,
    pub(crate) recorder: Recorder,
    pub(crate) metrics: Metrics,
    pub(crate) audit: Audit,
    pub(crate) waker: Waker,
}

impl Ctx {
    /// Whether another execution has this nonce. The first that shows it has it.
    pub(crate) fn nonce_is_used(&self, object: &CapabilityExecution, nonce: &str) -> bool {
        let mine = Ticket::of(object);
        let earlier = self
            .stores
            .executions
            .state()
            .iter()
            .any(|other| Ticket::of(other) < mine && receipt::shows_nonce(other, nonce));
        earlier || !self.queue.shows_first(&mine.uid, nonce)
    }

    /// An Event. It is a courtesy: status says the same, so that a failure is only logged.
    pub(crate) async fn tell(
        &self,
        object: &CapabilityExecution,
        kind: EventType,
        action: &str,
        reason: &str,
        message: &str,
    ) {
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: (!message.is_empty()).then(|| message.chars().take(1000).collect()),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            warn!(%error, "cannot publish an Event");
        }
    }
}
