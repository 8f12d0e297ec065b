//! The reconcilers, each run by what its watch tells.

use std::convert::Infallible;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use kube::runtime::controller::{Config, Controller};

use super::Triggers;
use crate::ctx::Ctx;
use crate::error::error_policy;
use crate::reconcile::reconcile;
use crate::{contexts, orphans, policies, rescan as scan, rights, supply};

/// How many executions are looked at at one time: more would only queue up at the API server.
const CONCURRENCY: u16 = 16;

/// How many providers are looked at at one time. Each may wait for a registry that does not answer.
const PROVIDERS_AT_ONCE: u16 = 8;

impl Triggers {
    /// Reconciles until a watch ends.
    pub(crate) async fn run(self, ctx: Arc<Ctx>) {
        let Self {
            woken,
            executions,
            contexts,
            cluster_contexts,
            providers,
            cluster_providers,
            policies,
            woken_providers,
            woken_cluster_providers,
            orphans,
            gone,
            mut ended,
        } = self;
        let few = || Config::default().concurrency(PROVIDERS_AT_ONCE);
        let never = |_: Arc<_>, error: &Infallible, _: Arc<Ctx>| match *error {};
        let providers = Controller::for_stream(providers.map(Ok), ctx.stores.providers.clone())
            .with_config(few())
            .reconcile_on(woken_providers)
            .run(supply::reconcile::namespaced, never, Arc::clone(&ctx))
            .for_each(|_| futures::future::ready(()));
        let never = |_: Arc<_>, error: &Infallible, _: Arc<Ctx>| match *error {};
        let cluster_providers = Controller::for_stream(cluster_providers.map(Ok), ctx.stores.cluster_providers.clone())
            .with_config(few())
            .reconcile_on(woken_cluster_providers)
            .run(supply::reconcile::cluster, never, Arc::clone(&ctx))
            .for_each(|_| futures::future::ready(()));
        let executions = Controller::for_stream(executions.map(Ok), ctx.stores.executions.clone())
            .with_config(Config::default().concurrency(CONCURRENCY))
            .reconcile_on(woken)
            .run(reconcile, error_policy, Arc::clone(&ctx))
            .for_each(|_| futures::future::ready(()));
        tokio::select! {
            () = executions => {},
            () = each(contexts, |object| contexts::namespaced(&ctx, object)) => {},
            () = each(cluster_contexts, |object| contexts::cluster(&ctx, object)) => {},
            () = providers => {},
            () = cluster_providers => {},
            () = each(policies, |object| policies::status(&ctx, object)) => {},
            () = each(orphans, |pod| orphans::end(&ctx, pod)) => {},
            () = contexts::rounds(&ctx) => {},
            () = rights::rounds(&ctx) => {},
            () = scan::rounds(&ctx) => {},
            () = each(gone, |object| ctx.vanished(object)) => {},
            _ = ended.next() => {},
        }
    }
}

async fn each<T, F: Future<Output = ()>>(mut objects: impl Stream<Item = T> + Unpin, handle: impl Fn(T) -> F) {
    while let Some(object) = objects.next().await {
        handle(object).await;
    }
}
