//! What exists, held against what is granted today: a report for each namespace, counts by reason, and an Event of what
//! would no longer be admitted. It stops nothing; what a change takes away is stopped by the change itself.

mod reports;
mod stale;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ccos_crds::{CapabilityExecution, RECEIPT_ANNOTATION};
use ccos_plan::report::{Finding, Outcome};
use ccos_plan::rescan::{self, Stage};
use ccos_plan::{AnyContext, AnyProvider, Trust, receipt};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::events::EventType;
use tracing::warn;

use crate::ctx::Ctx;
use crate::dereference::{self, DereferenceError};
use crate::metrics::Rescanned;
pub(crate) use reports::Reports;
pub(crate) use stale::{Scope, Stale};

/// From the first change to the look at all that has changed by then: a bound on reads and writes, however many changes there
/// are.
const QUIET: Duration = Duration::from_secs(3);

/// For so many times what a look took there is none: a tenth of the time at most, however much there is to look at.
const REST: u32 = 9;

/// When what could not be decided or written is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Decisions between two breaths: one may take milliseconds, and reconciling must not wait for all.
const AT_ONCE: usize = 16;

/// Events of one look: a policy may concern thousands of executions. Reports and metrics have all.
const EVENTS: usize = 20;

/// Looks at what has changed, for ever.
pub(crate) async fn rounds(ctx: &Ctx) {
    let (mut known, mut pause) = (Known::default(), QUIET);
    loop {
        tokio::select! {
            () = ctx.stale.noted() => {},
            () = tokio::time::sleep(RETRY), if !known.again.is_empty() => {},
        }
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        known.round(ctx, Timestamp::now()).await;
        pause = QUIET.max(began.elapsed() * REST);
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Known {
    /// How much of what, in each scope.
    counts: BTreeMap<Scope, BTreeMap<Rescanned, i64>>,
    /// The same, of all scopes: what metrics say.
    metrics: BTreeMap<Rescanned, i64>,
    /// Which execution was told that it would be denied, by its UID, and why.
    told: HashMap<String, String>,
    /// What could not be decided or written.
    again: Vec<Scope>,
}

/// What there is in a scope.
#[derive(Debug, Default)]
struct Objects {
    executions: Vec<Arc<CapabilityExecution>>,
    contexts: Vec<AnyContext>,
    providers: Vec<AnyProvider>,
}

impl Known {
    async fn round(&mut self, ctx: &Ctx, now: Timestamp) {
        let mut stale = ctx.stale.take();
        stale.extend(std::mem::take(&mut self.again));
        let mut scopes = objects(ctx, |scope| stale.has(scope));
        // What was emptied meanwhile may still have a report.
        let seen = self.counts.keys().cloned().chain(ctx.reports.scopes());
        for scope in stale.named().chain(seen.filter(|scope| stale.has(scope))) {
            scopes.entry(scope).or_default();
        }
        let mut events = EVENTS;
        for (scope, objects) in scopes {
            let written = match self.findings(&objects, ctx, now, &mut events).await {
                Ok(findings) => {
                    self.count(&scope, &findings);
                    let written = ctx.reports.write(&ctx.client, scope.as_deref(), findings, now).await;
                    written.map_err(|error| crate::chain(&error))
                }
                Err(error) => Err(crate::chain(&error)),
            };
            if let Err(error) = written {
                warn!(namespace = scope, error, "cannot report what would be admitted today; it is tried again");
                self.again.push(scope);
            }
        }
        self.forget(ctx);
        let mut all = BTreeMap::new();
        for (labels, count) in self.counts.values().flatten() {
            *all.entry(labels.clone()).or_insert(0) += count;
        }
        ctx.metrics.rescanned(&self.metrics, &all);
        self.metrics = all;
    }

    /// # Errors
    /// If the policies or the namespace are not known: then nothing is.
    async fn findings(
        &mut self,
        objects: &Objects,
        ctx: &Ctx,
        now: Timestamp,
        events: &mut usize,
    ) -> Result<Vec<Finding>, DereferenceError> {
        let Objects { executions, contexts, providers } = objects;
        let trust = Trust::Cluster(ctx.lists.now());
        let mut findings: Vec<Finding> =
            contexts.iter().map(|context| rescan::context(context, &ctx.contexts, &ctx.ceiling, now)).collect();
        findings.extend(providers.iter().map(|provider| rescan::provider(provider, &trust)));
        for (at, object) in executions.iter().enumerate() {
            if at % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let finding = execution(object, ctx, now)?;
            self.tell(object, &finding, ctx, events).await;
            findings.push(finding);
        }
        Ok(findings)
    }

    /// Tells an execution that has not ended that it would be denied today, once for each reason.
    async fn tell(&mut self, object: &CapabilityExecution, finding: &Finding, ctx: &Ctx, events: &mut usize) {
        let uid = object.uid().unwrap_or_default();
        let reason = finding.rule.as_deref().filter(|_| finding.result == Outcome::Fail);
        let Some(reason) = reason.filter(|_| Stage::of(object) != Stage::Finished) else {
            self.told.remove(&uid);
            return;
        };
        if self.told.get(&uid).is_some_and(|told| told == reason) {
            return;
        }
        // A new leader has told nobody yet, but the report may say that an earlier one has.
        if !ctx.reports.says_fails(object, reason) {
            // The next look tells the rest.
            let Some(left) = events.checked_sub(1) else { return };
            *events = left;
            let message = finding.message.as_deref().unwrap_or_default();
            ctx.tell(object, EventType::Warning, "Rescan", reason, &format!("would be denied today: {message}")).await;
        }
        self.told.insert(uid, reason.to_owned());
    }

    fn count(&mut self, scope: &Scope, findings: &[Finding]) {
        let mut counts = BTreeMap::new();
        for finding in findings {
            let kind = finding.resources.first().map(|resource| resource.kind.clone()).unwrap_or_default();
            let (outcome, reason) = (finding.result.as_str(), finding.rule.clone().unwrap_or_default());
            *counts.entry(Rescanned { kind, outcome, reason }).or_insert(0) += 1;
        }
        if counts.is_empty() {
            self.counts.remove(scope);
        } else {
            self.counts.insert(scope.clone(), counts);
        }
    }

    /// Forgets what is gone.
    fn forget(&mut self, ctx: &Ctx) {
        let executions = ctx.stores.executions.state();
        if self.told.len() > executions.len() {
            let there: HashSet<String> = executions.iter().filter_map(|object| object.uid()).collect();
            self.told.retain(|uid, _| there.contains(uid));
        }
        let (contexts, cluster_contexts) = (ctx.stores.contexts.state(), ctx.stores.cluster_contexts.state());
        if ctx.contexts.count() > contexts.len() + cluster_contexts.len() {
            let of_cluster = cluster_contexts.iter().filter_map(|object| object.uid());
            let there: HashSet<String> = contexts.iter().filter_map(|object| object.uid()).chain(of_cluster).collect();
            ctx.contexts.retain(|uid| there.contains(uid));
        }
    }
}

/// What there is in stale scopes, without what is being deleted.
fn objects(ctx: &Ctx, is_stale: impl Fn(&Scope) -> bool) -> BTreeMap<Scope, Objects> {
    let mut scopes: BTreeMap<Scope, Objects> = BTreeMap::new();
    let mut put = |scope: Scope, deleted: bool, put: &dyn Fn(&mut Objects)| {
        if !deleted && is_stale(&scope) {
            put(scopes.entry(scope).or_default());
        }
    };
    for object in ctx.stores.executions.state() {
        let deleted = object.metadata.deletion_timestamp.is_some();
        put(object.namespace(), deleted, &|all| all.executions.push(Arc::clone(&object)));
    }
    let contexts = ctx.stores.contexts.state().into_iter().map(AnyContext::Namespaced);
    for object in contexts.chain(ctx.stores.cluster_contexts.state().into_iter().map(AnyContext::Cluster)) {
        let metadata = object.metadata();
        let deleted = metadata.deletion_timestamp.is_some();
        put(metadata.namespace.clone(), deleted, &|all| all.contexts.push(object.clone()));
    }
    let providers = ctx.stores.providers.state().into_iter().map(AnyProvider::Namespaced);
    for object in providers.chain(ctx.stores.cluster_providers.state().into_iter().map(AnyProvider::Cluster)) {
        let metadata = object.metadata();
        let deleted = metadata.deletion_timestamp.is_some();
        put(metadata.namespace.clone(), deleted, &|all| all.providers.push(object.clone()));
    }
    scopes
}

/// By caches alone. Whether its requester may still use the context is asked elsewhere, and ends it.
fn execution(object: &CapabilityExecution, ctx: &Ctx, now: Timestamp) -> Result<Finding, DereferenceError> {
    let mut found = dereference::cached(&ctx.stores, &ctx.lists, object);
    let requester = object.annotations().get(RECEIPT_ANNOTATION).and_then(|text| receipt::requester(text));
    // One without a receipt runs for nobody: it has ended for that, or will.
    if let Some(requester) = requester {
        found.policing = ctx.policies.seen(object)?.policing(&requester);
    }
    Ok(rescan::execution(object, &found, &ctx.contexts, &ctx.cluster.isolations, now))
}
