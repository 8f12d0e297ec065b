//! What wakes which execution.

mod news;
mod run;

use std::sync::Arc;

use ccos_crds::execution::{ContextKind, ProviderKind};
use ccos_crds::{
    CapabilityExecution, CapabilityProvider, ClusterCapabilityProvider, ClusterSecurityContext, ExecutionPolicy,
    SecurityContext,
};
use ccos_plan::build::names::{self, MANAGED_BY};
use ccos_plan::trust::{LIST_LABEL, TRUST_ROOT};
use ccos_plan::{rescan, status};
use futures::channel::mpsc;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::api::Api;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};

use self::news::{ends, is_news, runtimes};
use crate::contexts::Changed;
use crate::metrics::Metrics;
use crate::orphans;
use crate::policies::{self, Policies};
use crate::queue::Queue;
use crate::reports::Told;
use crate::rescan::{Reports, Stale};
use crate::supply::lists::Lists;
use crate::turn::line;
use crate::waker::Waker;
use crate::watches::{Alive, Cache, Exists, Stores, Touched, keep, strip_inputs, strip_managed_fields, watch};

/// What runs the reconcilers.
pub(crate) struct Triggers {
    woken: mpsc::UnboundedReceiver<ObjectRef<CapabilityExecution>>,
    executions: mpsc::UnboundedReceiver<CapabilityExecution>,
    contexts: mpsc::UnboundedReceiver<SecurityContext>,
    cluster_contexts: mpsc::UnboundedReceiver<ClusterSecurityContext>,
    providers: mpsc::UnboundedReceiver<CapabilityProvider>,
    cluster_providers: mpsc::UnboundedReceiver<ClusterCapabilityProvider>,
    policies: mpsc::UnboundedReceiver<ExecutionPolicy>,
    woken_providers: mpsc::UnboundedReceiver<ObjectRef<CapabilityProvider>>,
    woken_cluster_providers: mpsc::UnboundedReceiver<ObjectRef<ClusterCapabilityProvider>>,
    orphans: mpsc::UnboundedReceiver<Pod>,
    gone: mpsc::UnboundedReceiver<CapabilityExecution>,
    ended: mpsc::UnboundedReceiver<()>,
}

/// How many executions are listed at once: each may have half a MiB of inputs, twice.
const PAGE: u32 = 50;

/// Starts all watches.
#[expect(clippy::too_many_lines, reason = "one row for each watch, and what it wakes: a table in code")]
pub(crate) fn start(
    client: &Client,
    namespace: &str,
    (queue, told): (&Arc<Queue>, &Arc<Told>),
    changed: &Arc<Changed>,
    lists: &Lists,
    metrics: &Metrics,
    stale: &Arc<Stale>,
) -> (Stores, Policies, Reports, Waker, Triggers) {
    let all = watcher::Config::default;
    let managed = || all().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1));
    // No watch may end unnoticed.
    let (alive, ended) = Alive::new();
    let (wake, woken) = mpsc::unbounded();

    let (executions, executions_writer) = reflector::store();
    let (pods, pods_writer) = reflector::store::<Pod>();
    let waker = Waker::new(executions.clone(), wake);
    let (to_orphans, orphans_rx) = mpsc::unbounded();
    let (to_executions, executions_rx) = mpsc::unbounded();
    let (to_gone, gone) = mpsc::unbounded();
    watch(Api::all(client.clone()), all().page_size(PAGE), strip_inputs, executions_writer, &alive, {
        let (waker, queue, pods, to_orphans) = (waker.clone(), Arc::clone(queue), pods.clone(), to_orphans.clone());
        let (changed, stale) = (Arc::clone(changed), Arc::clone(stale));
        move |touched: Touched<CapabilityExecution>| {
            let Touched { before, object, exists } = touched;
            if exists == Exists::No || before.is_none_or(|before| rescan::execution_changed(&before, &object)) {
                stale.scope(object.namespace());
            }
            if exists == Exists::No {
                // Nobody will reconcile it. Its place is free once its pod has ended.
                queue.runtime_found(&object.uid().unwrap_or_default());
                let pod = ObjectRef::new(&names::child(&object)).within(&object.namespace().unwrap_or_default());
                match pods.get(&pod).filter(|pod| orphans::lives(pod)) {
                    Some(pod) => drop(to_orphans.unbounded_send(Pod::clone(&pod))),
                    None => drop(queue.release(&object.uid().unwrap_or_default())),
                }
                waker.peers(&object);
                drop(to_gone.unbounded_send(object.clone()));
            }
            changed.note(line(&object));
            drop(to_executions.unbounded_send(object));
        }
    });

    watch(Api::all(client.clone()), managed(), strip_managed_fields, pods_writer, &alive, {
        let (waker, queue, executions) = (waker.clone(), Arc::clone(queue), executions.clone());
        let told = Arc::clone(told);
        move |touched: Touched<Pod>| {
            let Touched { before, object: pod, exists } = touched;
            if exists == Exists::No {
                told.forget(&pod);
            }
            // What it held is free only now, whoever gave back its place: its report may have ended the execution before.
            let frees =
                before.is_some_and(|before| orphans::lives(&before)) && (exists == Exists::No || !orphans::lives(&pod));
            if orphans::has_execution(&pod, &executions) {
                let namespace = pod.namespace().unwrap_or_default();
                for owner in pod.owner_references() {
                    if let Some(object) = ObjectRef::from_owner_ref(Some(&namespace), owner, ()) {
                        if let Some(execution) = executions.get(&object).filter(|_| frees) {
                            waker.peers(&execution);
                        }
                        waker.one(object);
                    }
                }
            } else if let Some(uid) = orphans::made_for(&pod).map(str::to_owned) {
                if exists == Exists::Yes && orphans::lives(&pod) {
                    drop(to_orphans.unbounded_send(pod));
                } else if queue.release(&uid) || frees {
                    waker.waiting();
                }
            }
        }
    });

    let (contexts, writer) = reflector::store();
    let (to_contexts, contexts_rx) = mpsc::unbounded();
    watch(Api::all(client.clone()), all(), strip_managed_fields, writer, &alive, {
        let (waker, stale) = (waker.clone(), Arc::clone(stale));
        move |touched: Touched<SecurityContext>| {
            let (changed, ends) = (is_news(&touched), ends(&touched, |one| one.status.as_ref()));
            let object = touched.object;
            if changed || ends {
                stale.scope(object.namespace());
            }
            if changed {
                waker.under(ContextKind::SecurityContext, object.namespace().as_deref(), &object.name_any());
            }
            drop(to_contexts.unbounded_send(object));
        }
    });
    let (cluster_contexts, writer) = reflector::store();
    let (to_cluster_contexts, cluster_contexts_rx) = mpsc::unbounded();
    watch(Api::all(client.clone()), all(), strip_managed_fields, writer, &alive, {
        let (waker, stale) = (waker.clone(), Arc::clone(stale));
        move |touched: Touched<ClusterSecurityContext>| {
            if ends(&touched, |one| one.status.as_ref()) {
                stale.all();
            }
            if is_news(&touched) {
                stale.all();
                waker.under(ContextKind::ClusterSecurityContext, None, &touched.object.name_any());
            }
            drop(to_cluster_contexts.unbounded_send(touched.object));
        }
    });

    let (providers, writer) = reflector::store();
    let (to_providers, providers_rx) = mpsc::unbounded();
    watch(Api::all(client.clone()), all(), strip_managed_fields, writer, &alive, {
        let (waker, stale) = (waker.clone(), Arc::clone(stale));
        move |touched: Touched<CapabilityProvider>| {
            let object = touched.object;
            stale.scope(object.namespace());
            waker.of(ProviderKind::CapabilityProvider, object.namespace().as_deref(), &object.name_any());
            drop(to_providers.unbounded_send(object));
        }
    });
    let (cluster_providers, writer) = reflector::store();
    let (to_cluster_providers, cluster_providers_rx) = mpsc::unbounded();
    watch(Api::all(client.clone()), all(), strip_managed_fields, writer, &alive, {
        let (waker, stale) = (waker.clone(), Arc::clone(stale));
        move |touched: Touched<ClusterCapabilityProvider>| {
            stale.all();
            waker.of(ProviderKind::ClusterCapabilityProvider, None, &touched.object.name_any());
            drop(to_cluster_providers.unbounded_send(touched.object));
        }
    });

    // A runtime, a quota or a key that comes wakes what waits for it; what runs does not mind.
    let (runtime_classes, writer) = reflector::store::<RuntimeClass>();
    watch(Api::all(client.clone()), all(), strip_managed_fields, writer, &alive, {
        let waker = waker.clone();
        move |_| waker.waiting()
    });
    let (nodes, writer) = reflector::store();
    watch(Api::all(client.clone()), all(), strip_managed_fields, writer, &alive, {
        let waker = waker.clone();
        move |touched: Touched<Node>| {
            // Nodes write their status all the time; only what decides whether a runtime is there counts.
            if touched.before.is_none_or(|before| runtimes(&before) != runtimes(&touched.object)) {
                waker.waiting();
            }
        }
    });
    let (quotas, writer) = reflector::store::<ResourceQuota>();
    watch(Api::all(client.clone()), managed(), strip_managed_fields, writer, &alive, {
        let waker = waker.clone();
        move |touched: Touched<_>| {
            let namespace = touched.object.namespace();
            waker.all(|one| one.namespace() == namespace && status::attempted(one).is_none());
        }
    });
    let (namespaces, writer) = reflector::store::<Namespace>();
    watch(Api::all(client.clone()), all(), policies::strip, writer, &alive, {
        let (waker, stale) = (waker.clone(), Arc::clone(stale));
        move |touched: Touched<Namespace>| {
            // Policies look at them.
            if touched.before.is_some_and(|before| before.metadata.labels != touched.object.metadata.labels) {
                let name = touched.object.name_any();
                stale.scope(Some(name.clone()));
                waker.all(|one| one.namespace().as_ref() == Some(&name) && status::attempted(one).is_none());
            }
        }
    });
    let (to_policies, policies_rx) = mpsc::unbounded();
    let policies =
        Policies::start(client, reflector::store(), namespaces, waker.clone(), to_policies, Arc::clone(stale), &alive);
    let (network_policies, writer) = reflector::store::<NetworkPolicy>();
    // Everybody's: another's may open a pod.
    watch(Api::all(client.clone()), all(), strip_managed_fields, writer, &alive, {
        let (waker, executions) = (waker.clone(), executions.clone());
        move |touched: Touched<NetworkPolicy>| {
            let Touched { before, object: policy, exists } = touched;
            let namespace = policy.namespace();
            let of = |owner| ObjectRef::from_owner_ref(namespace.as_deref(), owner, ());
            let owner = policy.owner_references().iter().find_map(of).and_then(|owner| executions.get(&owner));
            match owner.filter(|owner| names::shared(owner) == policy.name_any()) {
                // Not at its creation, which comes before each pod.
                Some(owner) if exists == Exists::No || before.is_some() => waker.one(ObjectRef::from_obj(&*owner)),
                None if exists == Exists::Yes => {
                    waker.all(|one| one.namespace() == namespace && status::attempted(one).is_some());
                }
                Some(_) | None => {}
            }
        }
    });
    let (keys, writer) = reflector::store::<ConfigMap>();
    let only = all().fields("metadata.name=ccos-receipt-keys");
    watch(Api::namespaced(client.clone(), namespace), only, strip_managed_fields, writer, &alive, {
        let waker = waker.clone();
        move |_| waker.waiting()
    });

    // What is believed of providers: it concerns all of them, and all that they run.
    let (wake_provider, woken_providers) = mpsc::unbounded();
    let (wake_cluster_provider, woken_cluster_providers) = mpsc::unbounded();
    let all_providers = {
        let (providers, cluster_providers) = (providers.clone(), cluster_providers.clone());
        move || {
            for object in providers.state() {
                drop(wake_provider.unbounded_send(ObjectRef::from_obj(&*object)));
            }
            for object in cluster_providers.state() {
                drop(wake_cluster_provider.unbounded_send(ObjectRef::from_obj(&*object)));
            }
        }
    };
    let (list_maps, writer) = reflector::store::<ConfigMap>();
    let labelled = all().labels(&format!("{LIST_LABEL}=true"));
    let read = {
        let (waker, lists, metrics, stale) = (waker.clone(), lists.clone(), metrics.clone(), Arc::clone(stale));
        let (maps, all_providers) = (list_maps.clone(), all_providers.clone());
        move |_| {
            if lists.read(&maps, &metrics) {
                waker.all(|_| true);
                all_providers();
                stale.all();
            }
        }
    };
    let (api, cache) = (Api::namespaced(client.clone(), namespace), Cache::of(writer, ()));
    alive.clone().spawn(keep(api, labelled, strip_managed_fields, cache, None, read));
    let (trust_roots, writer) = reflector::store::<ConfigMap>();
    let only = all().fields(&format!("metadata.name={TRUST_ROOT}"));
    let (api, cache) = (Api::namespaced(client.clone(), namespace), Cache::of(writer, ()));
    alive.clone().spawn(keep(api, only, strip_managed_fields, cache, None, move |_| all_providers()));
    let reports = Reports::start(client, stale, &alive);

    let stores = Stores {
        executions,
        pods,
        contexts,
        cluster_contexts,
        providers,
        cluster_providers,
        runtime_classes,
        nodes,
        quotas,
        network_policies,
        keys,
        lists: list_maps,
        trust_roots,
    };
    let triggers = Triggers {
        woken,
        executions: executions_rx,
        contexts: contexts_rx,
        cluster_contexts: cluster_contexts_rx,
        providers: providers_rx,
        cluster_providers: cluster_providers_rx,
        policies: policies_rx,
        woken_providers,
        woken_cluster_providers,
        orphans: orphans_rx,
        gone,
        ended,
    };
    (stores, policies, reports, waker, triggers)
}
