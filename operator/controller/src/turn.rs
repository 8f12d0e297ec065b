//! Whose turn it is, from caches and places.

use ccos_crds::CapabilityExecution;
use ccos_crds::execution::ContextKind;
use ccos_plan::capacity::{self, Bounds, Peer, Ticket, Turn, Weight};
use ccos_plan::{AnyContext, build, status, step};
use ccos_policy::{Admitted, Bytes, Cores};
use jiff::Timestamp;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use std::collections::HashMap;

use crate::apply;
use crate::ctx::Ctx;
use crate::dereference;
use crate::orphans;
use crate::queue::{Line, Place, Told};

/// Whether it is an execution's turn; if so, it holds its place from here on.
pub(crate) fn turn(
    object: &CapabilityExecution,
    context: &AnyContext,
    admitted: &Admitted,
    class: Option<&RuntimeClass>,
    ctx: &Ctx,
) -> Turn {
    let none = Weight { memory: Bytes(0), cpu: Cores { millis: 0 } };
    let weight = build::weight(admitted, class.map_or(none, build::overhead));
    let mut places = ctx.queue.places();
    let turn = decide(object, context, weight, &places, ctx);
    let uid = Ticket::of(object).uid;
    match &turn {
        Turn::Go => drop(places.insert(uid, Place { weight, line: line(object) })),
        Turn::Wait(_) => ctx.queue.tell(&uid, told(object, context, weight, ctx)),
    }
    turn
}

/// It waits still.
pub(crate) struct Waits {
    /// When its context ends, and with it the waiting.
    pub(crate) expires: Option<Timestamp>,
}

/// For one that was told to wait, and for which nothing has changed but who else waits. By caches alone, and without a write: when a place becomes free, all hear of it and one gets it.
pub(crate) fn still_waits(object: &CapabilityExecution, ctx: &Ctx, now: Timestamp) -> Option<Waits> {
    let before = ctx.queue.told(&Ticket::of(object).uid)?;
    let context = dereference::cached_context(&ctx.stores, object)?;
    if before != told(object, &context, before.weight, ctx) {
        return None;
    }
    let expires = step::expires_at(&context, now);
    if expires.is_some_and(|at| at <= now) {
        return None;
    }
    let turn = decide(object, &context, before.weight, &ctx.queue.places(), ctx);
    matches!(turn, Turn::Wait(_)).then_some(Waits { expires })
}

fn told(object: &CapabilityExecution, context: &AnyContext, weight: Weight, ctx: &Ctx) -> Told {
    let metadata = context.metadata();
    Told {
        weight,
        generation: object.metadata.generation,
        context: (metadata.uid.clone(), metadata.generation),
        lists: ctx.lists.edition(),
    }
}

fn decide(
    object: &CapabilityExecution,
    context: &AnyContext,
    weight: Weight,
    places: &HashMap<String, Place>,
    ctx: &Ctx,
) -> Turn {
    let bounds = match Bounds::of(context.spec().capacity.as_ref()) {
        Ok(bounds) => bounds,
        Err(errors) => return Turn::Wait(errors.to_string()),
    };
    let (mine, line) = (Ticket::of(object), line(object));
    let held = places.iter().filter(|(uid, place)| **uid != mine.uid && place.line == line);
    let mut peers: Vec<Peer> = held.map(|(_, place)| Peer::Holds(place.weight)).collect();
    // Those without a place of this controller's: of an earlier leader's, or in the line.
    peers.extend(ctx.stores.executions.state().iter().filter_map(|peer| {
        let ticket = Ticket::of(peer);
        if ticket.uid == mine.uid || places.contains_key(&ticket.uid) || self::line(peer) != line {
            return None;
        }
        let waits = !status::finished(peer) && status::attempted(peer).is_none() && step::queues(peer);
        live_weight(peer, ctx).map(Peer::Holds).or_else(|| waits.then_some(Peer::Waits(ticket)))
    }));
    capacity::turn(&mine, weight, &peers, bounds, &context.display())
}

/// Contexts of a namespace share nothing with their namesakes of other namespaces.
fn line(object: &CapabilityExecution) -> Line {
    let reference = &object.spec.context_ref;
    let namespace = match reference.kind {
        ContextKind::SecurityContext => object.namespace(),
        ContextKind::ClusterSecurityContext => None,
    };
    (reference.kind, namespace, reference.name.clone())
}

/// What the pod of an execution holds, while it lives.
fn live_weight(object: &CapabilityExecution, ctx: &Ctx) -> Option<Weight> {
    let key = ObjectRef::new(&build::names::child(object)).within(&object.namespace().unwrap_or_default());
    let pod = ctx.stores.pods.get(&key).filter(|pod| apply::owned(pod, object) && orphans::lives(pod))?;
    Some(build::pod_weight(&pod))
}
