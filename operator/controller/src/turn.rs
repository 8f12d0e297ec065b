//! Whose turn it is, from caches and places.

use ccos_crds::execution::ContextKind;
use ccos_crds::security_context::{InUse, RunningExecution};
use ccos_crds::{CapabilityExecution, Quantity};
use ccos_plan::capacity::{self, Bounds, Peer, Ticket, Turn, Wait, Weight};
use ccos_plan::{AnyContext, build, status, step};
use ccos_policy::{Admitted, Bytes, Cores};
use jiff::Timestamp;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use std::collections::HashMap;
use std::time::Duration;

use crate::apply;
use crate::ctx::Ctx;
use crate::dereference;
use crate::orphans;
use crate::policies::Seen;
use crate::queue::{Line, Place, Told};

/// How many executions a context's status names; their number is told besides.
const SHOWN: usize = 16;

/// Whether it is an execution's turn; if so, it holds its place from here on.
pub(crate) fn turn(
    object: &CapabilityExecution,
    context: &AnyContext,
    admitted: &Admitted,
    (class, policies): (Option<&RuntimeClass>, &Seen),
    ctx: &Ctx,
) -> Turn {
    let none = Weight { memory: Bytes(0), cpu: Cores { millis: 0 } };
    let weight = build::weight(admitted, class.map_or(none, build::overhead));
    let mut places = ctx.queue.places();
    let turn = decide(object, context, weight, &places, ctx);
    let uid = Ticket::of(object).uid;
    match &turn {
        Turn::Go => {
            let (namespace, line) = (object.namespace().unwrap_or_default(), line(object));
            ctx.queue.serve(line.clone(), namespace.clone());
            places.insert(uid, Place { weight, namespace, line });
        }
        Turn::Wait(wait) => {
            let is_new = ctx.queue.told_weight(&uid) != Some(weight);
            ctx.queue.tell(&uid, told(object, context, weight, policies, ctx));
            if wait.never && is_new {
                // Those that stood behind it no longer do.
                ctx.waker.peers(object);
            }
        }
    }
    turn
}

/// How often one that waits is told its place anew.
const PATIENCE: Duration = Duration::from_secs(10);

/// And how much longer for each that waits with it: at most five writes a second for a context, however long its line is.
const EACH: Duration = Duration::from_millis(200);

/// It waits still.
pub(crate) struct Waits {
    /// When its context ends, and with it the waiting.
    pub(crate) expires: Option<Timestamp>,
    /// What it is told now, if that is something new.
    pub(crate) news: Option<News>,
}

/// A new place in the line.
pub(crate) enum News {
    /// It may be told: this.
    Due(String),
    /// It was told something not long ago: so long it waits for the next.
    In(Duration),
}

/// For one that was told to wait, and for which nothing has changed but who else waits. By caches alone: when a place
/// becomes free, all hear of it and one gets it, and of the others each is told its new place now and then.
pub(crate) fn still_waits(object: &CapabilityExecution, ctx: &Ctx, now: Timestamp) -> Option<Waits> {
    let before = ctx.queue.told(&Ticket::of(object).uid)?;
    let context = dereference::cached_context(&ctx.stores, object)?;
    if before != told(object, &context, before.weight, &ctx.policies.seen(object).ok()?, ctx) {
        return None;
    }
    let expires = step::expires_at(&context, now);
    if expires.is_some_and(|at| at <= now) {
        return None;
    }
    let Turn::Wait(wait) = decide(object, &context, before.weight, &ctx.queue.places(), ctx) else { return None };
    Some(Waits { expires, news: news(object, wait, ctx) })
}

fn news(object: &CapabilityExecution, wait: Wait, ctx: &Ctx) -> Option<News> {
    let Wait { message, waiting, never: _ } = wait;
    if step::waiting_for(object) == Some(message.as_str()) {
        return None;
    }
    let each = EACH.saturating_mul(u32::try_from(waiting).unwrap_or(u32::MAX));
    let left = PATIENCE.max(each).saturating_sub(ctx.queue.told_ago(&Ticket::of(object).uid));
    Some(if left.is_zero() { News::Due(message) } else { News::In(left) })
}

fn told(object: &CapabilityExecution, context: &AnyContext, weight: Weight, policies: &Seen, ctx: &Ctx) -> Told {
    let metadata = context.metadata();
    Told {
        weight,
        generation: object.metadata.generation,
        context: (metadata.uid.clone(), metadata.generation),
        policies: policies.revision,
        labels: policies.labels.clone(),
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
        Err(errors) => return Turn::wait(errors.to_string()),
    };
    let (mine, line) = (Ticket::of(object), line(object));
    let held = places.iter().filter(|(uid, place)| **uid != mine.uid && place.line == line);
    let mut peers: Vec<Peer> =
        held.map(|(_, place)| Peer::Holds { weight: place.weight, namespace: place.namespace.clone() }).collect();
    // Those without a place of this controller's: of an earlier leader's, or in the line.
    peers.extend(ctx.stores.executions.state().iter().filter_map(|peer| {
        let ticket = Ticket::of(peer);
        if ticket.uid == mine.uid || places.contains_key(&ticket.uid) || self::line(peer) != line {
            return None;
        }
        // Who is too much for the capacity alone would hold up the line for ever.
        let never = ctx.queue.told_weight(&ticket.uid).is_some_and(|weight| bounds.exceeded_by(weight).is_some());
        let waits = !never && !status::finished(peer) && status::attempted(peer).is_none() && step::queues(peer);
        let namespace = ticket.namespace.clone();
        let holds = live_weight(peer, ctx).map(|weight| Peer::Holds { weight, namespace });
        holds.or_else(|| waits.then_some(Peer::Waits(ticket)))
    }));
    capacity::turn(&mine, weight, &peers, &ctx.queue.served(&line), bounds, &context.display())
}

/// What the executions of a line hold and wait for, by caches.
pub(crate) fn in_use(of: &Line, ctx: &Ctx) -> (InUse, Vec<RunningExecution>) {
    let places = ctx.queue.places();
    let (mut waiting, mut memory, mut cpu) = (0_i32, 0_u64, 0_u64);
    let mut running = Vec::new();
    for object in ctx.stores.executions.state().iter().filter(|one| !status::finished(one) && line(one) == *of) {
        let place = places.get(&object.uid().unwrap_or_default()).map(|place| place.weight);
        match place.or_else(|| live_weight(object, ctx)) {
            Some(weight) => {
                memory = memory.saturating_add(weight.memory.0);
                cpu = cpu.saturating_add(weight.cpu.millis);
                running.push((Ticket::of(object), object.namespace().unwrap_or_default(), object.name_any()));
            }
            None => waiting = waiting.saturating_add(i32::from(step::queues(object))),
        }
    }
    running.sort();
    let use_ = InUse {
        running: i32::try_from(running.len()).unwrap_or(i32::MAX),
        waiting,
        memory: Quantity(Bytes(memory).to_string()),
        cpu: Quantity(Cores { millis: cpu }.to_string()),
    };
    let named = running.into_iter().take(SHOWN).map(|(_, namespace, name)| RunningExecution { namespace, name });
    (use_, named.collect())
}

/// Contexts of a namespace share nothing with their namesakes of other namespaces.
pub(crate) fn line(object: &CapabilityExecution) -> Line {
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
