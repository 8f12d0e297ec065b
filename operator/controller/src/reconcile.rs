//! The whole story of an execution, each time from what is there now.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ccos_crds::CapabilityExecution;
use ccos_plan::build;
use ccos_plan::capacity::Turn;
use ccos_plan::end::{End, EndReason, WaitReason};
use ccos_plan::fence::drifted;
use ccos_plan::halt::halt;
use ccos_plan::receipt::Claims;
use ccos_plan::reported;
use ccos_plan::retry;
use ccos_plan::review::References;
use ccos_plan::status::{self, Draft, Ended, Granted, Seen};
use ccos_plan::step::{self, Permit};
use ccos_plan::trust;
use ccos_policy::Use;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::runtime::reflector::ObjectRef;
use tracing::info;

use crate::apply::{self, Applied};
use crate::contexts;
use crate::ctx::Ctx;
use crate::dereference::{self, DereferenceError};
use crate::egress;
use crate::error::Error;
use crate::fence::{self, Others};
use crate::orphans;
use crate::policies;
use crate::turn::{News, Waits, still_waits, turn};
use crate::update_status::update_status;

/// How long a cache may take to show what was written: then it is looked at again.
const CACHE_LAG: Duration = Duration::from_millis(100);

/// How long the quota may count a pod that has ended, before it is tried again without word from its watch.
const QUOTA_LAG: Duration = Duration::from_secs(1);

/// For a runner that has reported to end, before its pod is deleted.
const LAST: SignedDuration = SignedDuration::from_secs(30);
/// How long the controller may take to look at a provider, before that is looked for without word from its watch.
const UNSETTLED: Duration = Duration::from_secs(10);
/// How soon the egress proxy is looked for again.
const PROXY_LAG: Duration = Duration::from_secs(2);

/// A pod whose labels were taken away is out of the watch's sight: its end has to be looked for.
const UNWATCHED: Duration = Duration::from_secs(2);

/// Looks at an execution and does the next thing.
pub(crate) async fn reconcile(object: Arc<CapabilityExecution>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let now = Timestamp::now();
    let pod = find_pod(&object, &ctx).await?;
    if object.metadata.deletion_timestamp.is_some() {
        // Somebody's finalizer holds it: what it runs must not go on meanwhile.
        if let Some(pod) = pod.filter(|pod| orphans::lives(pod)) {
            apply::delete_pod(&ctx.client, &pod).await?;
        } else {
            ctx.queue.release(&uid(&object));
            ctx.waker.peers(&object);
        }
        return Ok(Action::await_change());
    }
    if status::finished(&object) {
        return retire(&object, pod.as_deref(), &ctx, now).await;
    }
    match (pod, status::attempted(&object)) {
        (Some(pod), _) => attend(&object, &pod, &ctx, now).await,
        (None, Some(name)) => lost(&object, name, &ctx, now).await,
        // Begun by us, and the caches are behind: beginning again would be refused, but it would cost writes.
        (None, None) if ctx.queue.places().contains_key(&uid(&object)) => Ok(Action::requeue(CACHE_LAG)),
        (None, None) => begin(&object, &ctx, now).await,
    }
}

/// No pod yet: receipt, decision, runtime, turn, children; each of these can end or hold it.
async fn begin(cached: &CapabilityExecution, ctx: &Ctx, now: Timestamp) -> Result<Action, Error> {
    if let Some(at) = retry::next_attempt(cached).filter(|at| *at > now && !step::cancelled(cached)) {
        return Ok(until(at, now));
    }
    let revoked = ctx.queue.revoked(&uid(cached)).is_some();
    if let Some(waits) = still_waits(cached, ctx, now).filter(|_| !revoked) {
        return stay(cached, ctx, waits, now).await;
    }
    let Some(object) = dereference::whole(&ctx.client, cached).await? else { return Ok(Action::await_change()) };
    let object = &object;
    lists_are_known(ctx).map_err(Error::Watchlist)?;
    let claims = match receipt(object, ctx).await? {
        Ok(claims) => claims,
        Err(end) => return refuse(object, ctx, &end, now).await,
    };
    let mut found = dereference::references(&ctx.client, &ctx.stores, &ctx.lists, object).await?;
    found.may_use = dereference::may_use(&ctx.client, object, &claims.requester).await?;
    let policies = ctx.policies.seen(object)?;
    found.policing = policies.policing(&claims.requester);
    let settled = found.provider.as_ref().is_none_or(trust::is_settled);
    if !settled && !step::cancelled(object) {
        // Its status wakes us.
        return Ok(Action::requeue(UNSETTLED));
    }
    let granted = match step::permit(object, claims, &found, &ctx.cluster, now) {
        Permit::Granted(granted) => granted,
        Permit::Refused(end) => return refuse(object, ctx, &end, now).await,
    };
    if step::suspended(object) {
        return hold(object, ctx, &granted, WaitReason::Suspended, "desiredState is Suspended", now).await;
    }
    let (classes, nodes) = (ctx.stores.runtime_classes.state(), ctx.stores.nodes.state());
    let class = match step::runtime(granted.admitted.runtime_class(), &classes, &nodes) {
        Ok(class) => class,
        Err(missing) => return without_runtime(object, ctx, &granted, &missing, now).await,
    };
    let proxy = match egress::proxy(ctx, &granted.admitted).await? {
        Ok(proxy) => proxy,
        Err(missing) => return without_runtime(object, ctx, &granted, &missing, now).await,
    };
    ctx.queue.runtime_found(&uid(object));
    if !contexts::quota_is_there(ctx, &object.namespace().unwrap_or_default(), now).await? {
        // Its watch wakes us; the API server refuses pods while the quota has no status.
        return Ok(Action::requeue(Duration::from_secs(5)));
    }
    // For each attempt anew, like the right to use: between admission and start it may have been taken away.
    if let Some(denials) = dereference::unreadable(&ctx.client, object, &granted.claims.requester).await? {
        return refuse(object, ctx, &step::unreadable(object, &denials), now).await;
    }
    let gone = || Turn::wait("its context is gone");
    let turn = found.context.as_ref().map(|context| turn(object, context, &granted.admitted, (class, &policies), ctx));
    if let Turn::Wait(wait) = turn.unwrap_or_else(gone) {
        return hold(object, ctx, &granted, WaitReason::CapacityExhausted, &wait.message, now).await;
    }
    let started = start(object, ctx, &granted, (&found, proxy), now).await;
    if !matches!(&started, Ok(Started::Pod)) {
        ctx.queue.release(&uid(object));
        ctx.waker.peers(object);
    }
    match started? {
        Started::Pod => Ok(Action::await_change()),
        Started::Held(action) => Ok(action),
    }
}

/// It waits still: it is told its place in the line, if that is new and it was not told something just before.
async fn stay(object: &CapabilityExecution, ctx: &Ctx, waits: Waits, now: Timestamp) -> Result<Action, Error> {
    let Waits { expires, news } = waits;
    let expires = expires.map(|at| until_span(at, now));
    let again = match news {
        None => None,
        Some(News::In(span)) => Some(span),
        Some(News::Due(message)) => {
            ctx.queue.told_now(&uid(object));
            update_status(&ctx.client, object, Draft::of(object, now).moved(&message)).await?;
            None
        }
    };
    Ok(again.into_iter().chain(expires).min().map_or_else(Action::await_change, Action::requeue))
}

enum Started {
    Pod,
    Held(Action),
}

async fn start(
    object: &CapabilityExecution,
    ctx: &Ctx,
    granted: &Granted,
    (found, proxy): (&References, Option<SocketAddr>),
    now: Timestamp,
) -> Result<Started, Error> {
    let Some(children) = step::children(object, granted, found, &ctx.cluster, (&ctx.operator, proxy)) else {
        let end = End::new(EndReason::InternalError, "admitted without an image");
        return refuse(object, ctx, &end, now).await.map(Started::Held);
    };
    match fence::others(&children, ctx).await? {
        Others::Nothing => {}
        Others::Unsure => return Ok(Started::Held(Action::requeue(CACHE_LAG))),
        Others::Open(end) => {
            let draft = Draft::of(object, now).granted(granted).abandoned(&end);
            return finish(object, ctx, draft, &end).await.map(Started::Held);
        }
    }
    ctx.starts(object, granted, &children.pod.name_any()).await?;
    match apply::apply(&ctx.client, object, &children).await? {
        Applied::Pod(pod) => {
            ctx.metrics.started();
            let draft = Draft::of(object, now).starting(granted, &pod.name_any());
            update_status(&ctx.client, object, draft).await?;
            policies::write_down(ctx, object, granted.admitted.remarks()).await;
            Ok(Started::Pod)
        }
        Applied::QuotaLags(message) => {
            // It keeps its place in the line; the quota's watch wakes it.
            hold(object, ctx, granted, WaitReason::CapacityExhausted, &message, now).await?;
            Ok(Started::Held(Action::requeue(QUOTA_LAG)))
        }
        Applied::QuotaExceeded(message) => {
            hold(object, ctx, granted, WaitReason::QuotaExceeded, &message, now).await?;
            // Not a conflict: whoever holds the quota has to end first, and no watch of ours sees that.
            Ok(Started::Held(Action::requeue(Duration::from_secs(15))))
        }
        Applied::Refused(message) => {
            let end = End::new(EndReason::InternalError, format!("the API server refuses it: {message}"));
            finish(object, ctx, Draft::of(object, now).abandoned(&end), &end).await.map(Started::Held)
        }
    }
}

/// There is a pod: what does it show, and may it go on?
async fn attend(object: &CapabilityExecution, pod: &Pod, ctx: &Ctx, now: Timestamp) -> Result<Action, Error> {
    let name = pod.name_any();
    let seen = observe(object, pod, ctx);
    if status::attempted(object).is_none() {
        // Made by a controller that did not live to say so. What it decided is in the receipt.
        return adopt(object, pod, ctx, now).await;
    }
    if let Seen::Ended(ended) = seen {
        let ended = match status::stopping(object) {
            Some(end) => Ended { end, ..*ended },
            None if pod.metadata.deletion_timestamp.is_some() => deleted(*ended),
            None => status::checked(*ended, pod),
        };
        return attempt_ended(object, ctx, &name, &ended, now).await;
    }
    let breach = fence::breached(object, pod, ctx).await?;
    if let Some(end) = status::stopping(object) {
        apply::halt_pod(&ctx.client, pod, halt(pod, &end, now)).await?;
        return Ok(Action::requeue(UNWATCHED));
    }
    let mut found = dereference::references(&ctx.client, &ctx.stores, &ctx.lists, object).await?;
    if let Some(requester) = ctx.queue.revoked(&uid(object)) {
        found.may_use = Use::Forbidden(requester);
    }
    let why = match &seen {
        Seen::Starting(why) if step::overdue(pod, &ctx.cluster, now) => {
            let warning = dereference::last_warning(&ctx.client, pod).await?;
            let warning = warning.as_ref().map(|(reason, message)| (reason.as_str(), message.as_str()));
            Some(step::did_not_start(pod, why, warning, &ctx.cluster))
        }
        Seen::Starting(_) | Seen::Running(_) | Seen::Ended(_) => None,
    };
    let stop = step::stop(object, &found, &ctx.cluster, now).or_else(|| drifted(object, pod));
    if let Some(end) = stop.or(breach).or_else(|| fence::opened(object, pod, ctx)).or(why) {
        ctx.stops(object, &end).await?;
        // The reason first: once the pod is gone, nothing else says why.
        update_status(&ctx.client, object, Draft::of(object, now).stopping(&end)).await?;
        apply::halt_pod(&ctx.client, pod, halt(pod, &end, now)).await?;
        return Ok(Action::requeue(UNWATCHED));
    }
    let wake = [
        step::expires(&found, now),
        if matches!(seen, Seen::Starting(_)) { step::start_by(pod, &ctx.cluster) } else { None },
    ];
    update_status(&ctx.client, object, Draft::of(object, now).seen(&name, &seen)).await?;
    Ok(wake.into_iter().flatten().min().map_or_else(Action::await_change, |at| until(at, now)))
}

/// What a pod shows, or what its runner has told us of its end before the kubelet did. An attempt that is followed by
/// another ends with its pod.
fn observe(object: &CapabilityExecution, pod: &Pod, ctx: &Ctx) -> Seen {
    let shown = status::observe(pod);
    if matches!(shown, Seen::Ended(_)) {
        return shown;
    }
    let stopping = status::stopping(object);
    let told = ctx.told.of(pod).filter(|(report, _)| stopping.is_some() || reported::is_conclusive(report));
    let Some((report, at)) = told else { return shown };
    let ended = reported::ended(pod, report, at);
    let end = stopping.as_ref().unwrap_or(&ended.end);
    if retry::again(object, end) { shown } else { Seen::Ended(Box::new(ended)) }
}

/// A pod whose making was not written down.
async fn adopt(cached: &CapabilityExecution, pod: &Pod, ctx: &Ctx, now: Timestamp) -> Result<Action, Error> {
    let Some(object) = dereference::whole(&ctx.client, cached).await? else { return Ok(Action::await_change()) };
    let object = &object;
    lists_are_known(ctx).map_err(Error::Watchlist)?;
    let draft = match receipt(object, ctx).await? {
        Ok(claims) => {
            let found = dereference::references(&ctx.client, &ctx.stores, &ctx.lists, object).await?;
            if found.provider.as_ref().is_some_and(|provider| !trust::is_settled(provider)) {
                return Ok(Action::requeue(UNSETTLED));
            }
            let draft = Draft::of(object, now);
            match step::permit(object, claims, &found, &ctx.cluster, now) {
                Permit::Granted(granted) => draft.starting(&granted, &pod.name_any()),
                Permit::Refused(end) => draft.attempt(&pod.name_any()).stopping(&end),
            }
        }
        Err(end) => Draft::of(object, now).attempt(&pod.name_any()).stopping(&end),
    };
    update_status(&ctx.client, object, draft).await?;
    Ok(Action::await_change())
}

/// The pod is gone, and did not say how it ended.
async fn lost(object: &CapabilityExecution, name: &str, ctx: &Ctx, now: Timestamp) -> Result<Action, Error> {
    let end = status::stopping(object).unwrap_or_else(|| End::new(EndReason::PodLost, "its pod was deleted"));
    let ended = Ended { end, report: None, started_at: None, finished_at: None };
    attempt_ended(object, ctx, name, &ended, now).await
}

/// It is over, or there is another attempt: that begins like the first, with the receipt, the right and the turn.
async fn attempt_ended(
    object: &CapabilityExecution,
    ctx: &Ctx,
    pod: &str,
    ended: &Ended,
    now: Timestamp,
) -> Result<Action, Error> {
    let draft = Draft::of(object, now);
    if !retry::again(object, &ended.end) {
        return finish(object, ctx, draft.ended(Some(pod), ended), &ended.end).await;
    }
    ctx.retries(object, pod, &ended.end).await?;
    if update_status(&ctx.client, object, draft.retrying(pod, ended)).await? {
        ctx.metrics.retried(ended.end.reason);
        ctx.tell(object, EventType::Warning, "Retrying", ended.end.reason, &ended.end.message).await;
    }
    ctx.queue.release(&uid(object));
    ctx.waker.peers(object);
    Ok(Action::await_change())
}

/// A pod that ended because somebody deleted it.
fn deleted(ended: Ended) -> Ended {
    let by_itself =
        ended.end.reason != EndReason::Cancelled.as_str() && ended.end.reason != EndReason::InternalError.as_str();
    if by_itself { ended } else { Ended { end: End::new(EndReason::PodLost, "its pod was deleted"), ..ended } }
}

/// It is over: no pod may live on, and its time to live runs.
async fn retire(object: &CapabilityExecution, pod: Option<&Pod>, ctx: &Ctx, now: Timestamp) -> Result<Action, Error> {
    let lives = pod.filter(|pod| !matches!(status::observe(pod), Seen::Ended(_)));
    if let Some(pod) = lives {
        match ctx.told.of(pod).and_then(|(_, at)| at.checked_add(LAST).ok()).filter(|by| *by > now) {
            // Its runner ends by itself, and what is in the log stays readable.
            Some(by) => return Ok(until(by, now)),
            None => apply::delete_pod(&ctx.client, pod).await?,
        }
    } else if ctx.queue.release(&uid(object)) {
        ctx.waker.peers(object);
    }
    ctx.audit.forget(&uid(object));
    update_status(&ctx.client, object, Draft::of(object, now).observed()).await?;
    match step::delete_at(object) {
        Some(at) if at <= now => {
            apply::delete_execution(&ctx.client, object).await?;
            Ok(Action::await_change())
        }
        Some(at) => Ok(until(at, now)),
        None => Ok(Action::await_change()),
    }
}

/// It waits.
async fn hold(
    object: &CapabilityExecution,
    ctx: &Ctx,
    granted: &Granted,
    reason: WaitReason,
    message: &str,
    now: Timestamp,
) -> Result<Action, Error> {
    let first = !step::waits(object, reason);
    if first {
        ctx.waits(object, reason).await?;
    }
    if update_status(&ctx.client, object, Draft::of(object, now).waiting(granted, reason, message)).await? && first {
        ctx.metrics.waited(reason.as_str());
        ctx.tell(object, EventType::Normal, "Queued", reason.as_str(), message).await;
        if reason != WaitReason::CapacityExhausted {
            // It no longer stands in the way of those behind it.
            ctx.waker.peers(object);
        }
    }
    // From the cache: a context that it does not have yet wakes this one when it comes.
    let context = dereference::cached_context(&ctx.stores, object);
    let expires = context.and_then(|context| step::expires_at(&context, now)).filter(|at| *at > now);
    Ok(expires.map_or_else(Action::await_change, |at| until(at, now)))
}

/// It waits for its runtime or for the egress proxy, for a while.
async fn without_runtime(
    object: &CapabilityExecution,
    ctx: &Ctx,
    granted: &Granted,
    missing: &str,
    now: Timestamp,
) -> Result<Action, Error> {
    let since = ctx.queue.runtime_missing(&uid(object), now);
    let deadline = retry::runtime_by(object, since, &ctx.cluster).unwrap_or(now);
    if now >= deadline {
        ctx.queue.runtime_found(&uid(object));
        let end = End::new(EndReason::RuntimeUnavailable, format!("{missing}; waited {}", ctx.cluster.start_deadline));
        return finish(object, ctx, Draft::of(object, now).abandoned(&end), &end).await;
    }
    hold(object, ctx, granted, WaitReason::RuntimeUnavailable, missing, now).await?;
    // RuntimeClasses and nodes are watched; the proxy's Service is not.
    Ok(until(deadline.min(now + PROXY_LAG), now))
}

/// It ends without ever having had a pod.
async fn refuse(object: &CapabilityExecution, ctx: &Ctx, end: &End, now: Timestamp) -> Result<Action, Error> {
    let ended = Ended { end: end.clone(), report: None, started_at: None, finished_at: None };
    finish(object, ctx, Draft::of(object, now).ended(None, &ended), end).await
}

async fn finish(object: &CapabilityExecution, ctx: &Ctx, draft: Draft, end: &End) -> Result<Action, Error> {
    ctx.ends(object, &draft, end).await?;
    if update_status(&ctx.client, object, draft).await? {
        ctx.metrics.finished(end.reason);
        info!(target: "ccos::end", namespace = object.namespace(), name = object.name_any(), uid = object.uid(), reason = end.reason, "execution ended");
        let kind = if end.reason == EndReason::Completed.as_str() { EventType::Normal } else { EventType::Warning };
        ctx.tell(object, kind, "Finished", end.reason, &end.message).await;
    }
    ctx.queue.release(&uid(object));
    ctx.waker.peers(object);
    Ok(Action::await_change())
}

/// A list that can't be read is its author's mistake: it must neither let anything start nor end what waits.
fn lists_are_known(ctx: &Ctx) -> Result<(), String> {
    trust::unreadable(&ctx.lists.now()).map_or(Ok(()), Err)
}

/// The receipt, by the cached keys, or by the live ones where those do not know it.
async fn receipt(object: &CapabilityExecution, ctx: &Ctx) -> Result<Result<Claims, End>, DereferenceError> {
    let used = |nonce: &str| ctx.nonce_is_used(object, nonce);
    let cached = dereference::cached_keys(&ctx.stores, &ctx.namespace);
    if let Ok(claims) = step::receipt(object, &cached, used) {
        return Ok(Ok(claims));
    }
    let live = dereference::live_keys(&ctx.client, &ctx.namespace).await?;
    Ok(step::receipt(object, &live, used))
}

/// The attempt's pod. Where the cache has none and there should be one, the API server is asked: a cache that is behind
/// must not make a pod look lost.
async fn find_pod(object: &CapabilityExecution, ctx: &Ctx) -> Result<Option<Arc<Pod>>, DereferenceError> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), build::names::child(object));
    let cached = ctx.stores.pods.get(&ObjectRef::new(&name).within(&namespace));
    let found = match cached {
        Some(pod) => Some(pod),
        None if status::attempted(object).is_some() && !status::finished(object) => {
            dereference::live_pod(&ctx.client, &namespace, &name).await?.map(Arc::new)
        }
        None => None,
    };
    Ok(found.filter(|pod| apply::owned(pod, object)))
}

fn uid(object: &CapabilityExecution) -> String {
    object.uid().unwrap_or_default()
}

/// Wakes at a moment, or a little after it: a timer that is early would find nothing to do.
fn until(at: Timestamp, now: Timestamp) -> Action {
    Action::requeue(until_span(at, now))
}

fn until_span(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default() + Duration::from_millis(20)
}
