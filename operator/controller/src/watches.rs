//! Caches, what wakes which execution, and how long ago each watch was known to live.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ccos_crds::execution::{ContextKind, ProviderKind};
use ccos_crds::{
    CapabilityExecution, CapabilityProvider, ClusterCapabilityProvider, ClusterSecurityContext, SecurityContext,
};
use ccos_plan::build::names::MANAGED_BY;
use ccos_plan::status;
use futures::channel::mpsc;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, ResourceQuota};
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::api::Api;
use kube::client::Body;
use kube::runtime::controller::{Config, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use tower::util::MapRequestLayer;
use tracing::warn;

use crate::contexts;
use crate::error::error_policy;
use crate::reconcile::{Ctx, reconcile};

/// How many executions are looked at at one time: more would only queue up at the API server.
const CONCURRENCY: u16 = 16;

/// The caches.
pub(crate) struct Stores {
    pub(crate) executions: Store<CapabilityExecution>,
    pub(crate) pods: Store<Pod>,
    pub(crate) contexts: Store<SecurityContext>,
    pub(crate) cluster_contexts: Store<ClusterSecurityContext>,
    pub(crate) providers: Store<CapabilityProvider>,
    pub(crate) cluster_providers: Store<ClusterCapabilityProvider>,
    pub(crate) runtime_classes: Store<RuntimeClass>,
    pub(crate) nodes: Store<Node>,
    pub(crate) quotas: Store<ResourceQuota>,
    pub(crate) keys: Store<ConfigMap>,
}

impl Stores {
    /// Waits until every cache has been filled once.
    pub(crate) async fn ready(&self) {
        // An error means that the writer is gone, and with it the task that `Triggers::run` watches.
        let _ = tokio::join!(
            self.executions.wait_until_ready(),
            self.pods.wait_until_ready(),
            self.contexts.wait_until_ready(),
            self.cluster_contexts.wait_until_ready(),
            self.providers.wait_until_ready(),
            self.cluster_providers.wait_until_ready(),
            self.runtime_classes.wait_until_ready(),
            self.nodes.wait_until_ready(),
            self.quotas.wait_until_ready(),
            self.keys.wait_until_ready(),
        );
    }
}

type Wake = mpsc::UnboundedSender<ObjectRef<CapabilityExecution>>;

/// What runs the reconcilers.
pub(crate) struct Triggers {
    kick: Wake,
    woken: mpsc::UnboundedReceiver<ObjectRef<CapabilityExecution>>,
    executions: (Store<CapabilityExecution>, mpsc::UnboundedReceiver<CapabilityExecution>),
    contexts: mpsc::UnboundedReceiver<SecurityContext>,
    cluster_contexts: mpsc::UnboundedReceiver<ClusterSecurityContext>,
    providers: mpsc::UnboundedReceiver<CapabilityProvider>,
    cluster_providers: mpsc::UnboundedReceiver<ClusterCapabilityProvider>,
    ended: mpsc::UnboundedReceiver<()>,
}

/// Starts all watches.
pub(crate) fn start(client: &Client, namespace: &str) -> (Stores, Triggers) {
    let all = watcher::Config::default;
    let managed = || all().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1));
    let (kick, woken) = mpsc::unbounded();
    // No watch may end unnoticed: the sender of each is dropped with its task.
    let (alive, ended) = mpsc::unbounded();

    let (to_executions, executions_rx) = mpsc::unbounded();
    let executions = watch(Api::<CapabilityExecution>::all(client.clone()), all(), &alive, move |_, object| {
        drop(to_executions.unbounded_send(object));
    });
    let known = executions.clone();
    let wake = kick.clone();
    let pods = watch(Api::<Pod>::all(client.clone()), managed(), &alive, move |_, pod: Pod| {
        let namespace = pod.namespace().unwrap_or_default();
        for owner in pod.owner_references() {
            if let Some(object) = ObjectRef::from_owner_ref(Some(&namespace), owner, ()) {
                drop(wake.unbounded_send(object));
            }
        }
    });
    let (to_contexts, contexts_rx) = mpsc::unbounded();
    let contexts = watch(Api::<SecurityContext>::all(client.clone()), all(), &alive, {
        let (known, wake) = (known.clone(), kick.clone());
        move |_, object: SecurityContext| {
            let (namespace, name) = (object.namespace(), object.name_any());
            wake_all(&known, &wake, |one| {
                one.spec.context_ref.kind == ContextKind::SecurityContext
                    && one.spec.context_ref.name == name
                    && one.namespace() == namespace
            });
            drop(to_contexts.unbounded_send(object));
        }
    });
    let (to_cluster_contexts, cluster_contexts_rx) = mpsc::unbounded();
    let cluster_contexts = watch(Api::<ClusterSecurityContext>::all(client.clone()), all(), &alive, {
        let (known, wake) = (known.clone(), kick.clone());
        move |_, object: ClusterSecurityContext| {
            let name = object.name_any();
            wake_all(&known, &wake, |one| {
                one.spec.context_ref.kind == ContextKind::ClusterSecurityContext && one.spec.context_ref.name == name
            });
            drop(to_cluster_contexts.unbounded_send(object));
        }
    });
    let (to_providers, providers_rx) = mpsc::unbounded();
    let providers = watch(Api::<CapabilityProvider>::all(client.clone()), all(), &alive, {
        let (known, wake) = (known.clone(), kick.clone());
        move |_, object: CapabilityProvider| {
            let (namespace, name) = (object.namespace(), object.name_any());
            wake_all(&known, &wake, |one| {
                one.spec.capability_ref.kind == ProviderKind::CapabilityProvider
                    && one.spec.capability_ref.name == name
                    && one.namespace() == namespace
            });
            drop(to_providers.unbounded_send(object));
        }
    });
    let (to_cluster_providers, cluster_providers_rx) = mpsc::unbounded();
    let cluster_providers = watch(Api::<ClusterCapabilityProvider>::all(client.clone()), all(), &alive, {
        let (known, wake) = (known.clone(), kick.clone());
        move |_, object: ClusterCapabilityProvider| {
            let name = object.name_any();
            wake_all(&known, &wake, |one| {
                one.spec.capability_ref.kind == ProviderKind::ClusterCapabilityProvider
                    && one.spec.capability_ref.name == name
            });
            drop(to_cluster_providers.unbounded_send(object));
        }
    });
    // A runtime, a quota or a key that comes wakes what waits for it; what runs does not mind.
    let waiting = |known: &Store<CapabilityExecution>, wake: &Wake| {
        let (known, wake) = (known.clone(), wake.clone());
        move || wake_all(&known, &wake, |one| status::attempted(one).is_none())
    };
    let runtime_classes = watch(Api::<RuntimeClass>::all(client.clone()), all(), &alive, {
        let waiting = waiting(&known, &kick);
        move |_, _| waiting()
    });
    let nodes = watch(Api::<Node>::all(client.clone()), all(), &alive, {
        let waiting = waiting(&known, &kick);
        move |before: Option<Arc<Node>>, node: Node| {
            // Nodes write their status all the time; only what decides whether a runtime is there counts.
            let counts = |node: &Node| {
                let status = node.status.as_ref();
                let ready = status
                    .and_then(|status| status.conditions.as_ref())
                    .and_then(|all| all.iter().find(|one| one.type_ == "Ready").map(|one| one.status.clone()));
                (ready, status.and_then(|status| status.runtime_handlers.clone()), node.metadata.labels.clone())
            };
            if before.is_none_or(|before| counts(&before) != counts(&node)) {
                waiting();
            }
        }
    });
    let quotas = watch(Api::<ResourceQuota>::all(client.clone()), managed(), &alive, {
        let (known, wake) = (known.clone(), kick.clone());
        move |_, quota: ResourceQuota| {
            let namespace = quota.namespace();
            wake_all(&known, &wake, |one| one.namespace() == namespace && status::attempted(one).is_none());
        }
    });
    let only = all().fields("metadata.name=ccos-receipt-keys");
    let keys = watch(Api::<ConfigMap>::namespaced(client.clone(), namespace), only, &alive, {
        let waiting = waiting(&known, &kick);
        move |_, _| waiting()
    });

    let triggers = Triggers {
        kick,
        woken,
        executions: (executions.clone(), executions_rx),
        contexts: contexts_rx,
        cluster_contexts: cluster_contexts_rx,
        providers: providers_rx,
        cluster_providers: cluster_providers_rx,
        ended,
    };
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
        keys,
    };
    (stores, triggers)
}

/// Wakes unfinished executions.
fn wake_all(known: &Store<CapabilityExecution>, wake: &Wake, of: impl Fn(&CapabilityExecution) -> bool) {
    for object in known.state() {
        if !status::finished(&object) && of(&object) {
            drop(wake.unbounded_send(ObjectRef::from_obj(&*object)));
        }
    }
}

/// Keeps a cache. `on` hears of each object that was touched or deleted, with what the cache had of it before.
fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    alive: &mpsc::UnboundedSender<()>,
    mut on: impl FnMut(Option<Arc<K>>, K) + Send + 'static,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (reader, mut writer) = reflector::store();
    let before = reader.clone();
    let alive = alive.clone();
    tokio::spawn(async move {
        let mut events = Box::pin(watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let touched = match &event {
                        watcher::Event::Apply(object)
                        | watcher::Event::InitApply(object)
                        | watcher::Event::Delete(object) => {
                            Some((before.get(&ObjectRef::from_obj(object)), object.clone()))
                        }
                        watcher::Event::Init | watcher::Event::InitDone => None,
                    };
                    writer.apply_watcher_event(&event);
                    if let Some((before, object)) = touched {
                        on(before, object);
                    }
                }
                Err(error) => warn!(kind = %K::kind(&()), %error, "a watch failed; it is begun anew"),
            }
        }
        drop(alive);
    });
    reader
}

impl Triggers {
    /// What wakes an execution.
    pub(crate) fn kick(&self) -> Wake {
        self.kick.clone()
    }

    /// Reconciles until a watch ends.
    pub(crate) async fn run(self, ctx: Arc<Ctx>) {
        let Self { kick: _, woken, executions, contexts, cluster_contexts, providers, cluster_providers, mut ended } =
            self;
        let (store, stream) = executions;
        let config = Config::default().concurrency(CONCURRENCY);
        let executions = Controller::for_stream(stream.map(Ok), store)
            .with_config(config)
            .reconcile_on(woken)
            .run(reconcile, error_policy, Arc::clone(&ctx))
            .for_each(|_| futures::future::ready(()));
        tokio::select! {
            () = executions => {},
            () = each(contexts, |object| contexts::namespaced(&ctx, object)) => {},
            () = each(cluster_contexts, |object| contexts::cluster(&ctx, object)) => {},
            () = each(providers, |object| contexts::provider(&ctx, object)) => {},
            () = each(cluster_providers, |object| contexts::cluster_provider(&ctx, object)) => {},
            _ = ended.next() => {},
        }
    }
}

async fn each<T, F: Future<Output = ()>>(mut objects: impl Stream<Item = T> + Unpin, handle: impl Fn(T) -> F) {
    while let Some(object) = objects.next().await {
        handle(object).await;
    }
}

/// When each watch last asked the API server, by resource. A watch that lives asks anew at least every 290 s, the
/// client's own limit; an idle one has no events, so the age of the last event would say nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchAges(Arc<Mutex<HashMap<String, Instant>>>);

impl WatchAges {
    /// A layer of the client that notes them.
    pub(crate) fn layer(&self) -> MapRequestLayer<impl Fn(http::Request<Body>) -> http::Request<Body> + Clone + use<>> {
        let ages = self.clone();
        MapRequestLayer::new(move |request: http::Request<Body>| {
            ages.note(request.uri());
            request
        })
    }

    /// The age of each.
    pub(crate) fn all(&self) -> Vec<(String, Duration)> {
        let ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ages.iter().map(|(resource, last)| (resource.clone(), last.elapsed())).collect()
    }

    fn note(&self, uri: &http::Uri) {
        let watches = uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("watch=")));
        if let (true, Some(resource)) = (watches, uri.path().rsplit('/').next()) {
            let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            ages.insert(resource.to_owned(), Instant::now());
        }
    }
}
