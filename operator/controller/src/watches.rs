//! Caches, and how long ago each watch was known to live.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ccos_crds::{
    CapabilityExecution, CapabilityProvider, ClusterCapabilityProvider, ClusterSecurityContext, RECEIPT_ANNOTATION,
    SecurityContext,
};
use futures::StreamExt as _;
use futures::channel::mpsc;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::node::v1::RuntimeClass;
use kube::Resource;
use kube::api::Api;
use kube::client::Body;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::de::DeserializeOwned;
use tower::util::MapRequestLayer;
use tracing::warn;

/// The caches.
#[derive(Clone)]
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
    pub(crate) network_policies: Store<NetworkPolicy>,
    pub(crate) keys: Store<ConfigMap>,
    pub(crate) lists: Store<ConfigMap>,
    pub(crate) trust_roots: Store<ConfigMap>,
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
            self.network_policies.wait_until_ready(),
            self.keys.wait_until_ready(),
            self.lists.wait_until_ready(),
            self.trust_roots.wait_until_ready(),
        );
    }
}

/// An object that was made, changed or deleted.
pub(crate) struct Touched<K> {
    /// What the cache had of it.
    pub(crate) before: Option<Arc<K>>,
    /// What it is now, or was at the end.
    pub(crate) object: K,
    /// Whether it still exists.
    pub(crate) exists: Exists,
}

/// Whether an object still exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exists {
    Yes,
    No,
}

/// Says when the task that holds it ends, which none should.
#[derive(Clone)]
pub(crate) struct Alive(mpsc::UnboundedSender<()>);

/// One for each task.
struct Guard(mpsc::UnboundedSender<()>);

impl Alive {
    /// And what hears of it.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<()>) {
        let (ended, hears) = mpsc::unbounded();
        (Self(ended), hears)
    }

    /// Runs a task.
    pub(crate) fn spawn(self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(async move {
            // Of a panic, too.
            let _guard = Guard(self.0);
            task.await;
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Nobody hears it when the process ends.
        drop(self.0.unbounded_send(()));
    }
}

/// When a watch was last heard of.
#[derive(Clone)]
pub(crate) struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    /// Just now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(crate) fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// A watch that has to be known to live begins anew, with a list, this often: an idle one tells nothing of itself.
const RELIST: Duration = Duration::from_mins(4);

/// Keeps a cache, and tells of each object that was touched, once the cache has it.
pub(crate) fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    strip: fn(&mut K),
    writer: Writer<K>,
    alive: &Alive,
    mut on: impl FnMut(Touched<K>) + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let on = move |touched: Vec<Touched<K>>| touched.into_iter().for_each(&mut on);
    alive.clone().spawn(keep(api, config, strip, Cache::of(writer, ()), None, on));
}

/// Keeps a cache for ever, and tells what was touched, all of a list together. Of `heard`, where it is given, somebody may
/// ask whether the watch lives.
pub(crate) async fn keep<K>(
    api: Api<K>,
    config: watcher::Config,
    strip: fn(&mut K),
    mut cache: Cache<K>,
    heard: Option<Heard>,
    mut on: impl FnMut(Vec<Touched<K>>),
) where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    loop {
        let mut events = watcher(api.clone(), config.clone()).default_backoff().boxed();
        let relist = tokio::time::sleep(RELIST);
        tokio::pin!(relist);
        loop {
            let event = tokio::select! {
                () = &mut relist, if heard.is_some() => break,
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    // Its beginning is said before anything is asked of the API server: no sign of life.
                    if let Some(heard) = heard.as_ref().filter(|_| !matches!(event, Event::Init)) {
                        heard.now();
                    }
                    if let Some(touched) = cache.apply(event.modify(strip)) {
                        on(touched);
                    }
                }
                Some(Err(error)) => warn!(kind = %K::kind(&cache.kind), %error, "a watch failed; it is begun anew"),
                None => break,
            }
        }
    }
}

/// A cache, and what it had before the list that is being read.
pub(crate) struct Cache<K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static> {
    writer: Writer<K>,
    store: Store<K>,
    kind: K::DynamicType,
    before: Vec<Arc<K>>,
}

impl<K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static> Cache<K> {
    pub(crate) fn of(writer: Writer<K>, kind: K::DynamicType) -> Self {
        Self { store: writer.as_reader(), writer, kind, before: Vec::new() }
    }

    /// Brings it up to date. Answers with what was touched, or that it is in the middle of a list.
    fn apply(&mut self, event: Event<K>) -> Option<Vec<Touched<K>>> {
        if matches!(event, Event::Init) {
            self.before = self.store.state();
        }
        let before = match &event {
            Event::Apply(object) | Event::Delete(object) => self.store.get(&self.key(object)),
            Event::Init | Event::InitApply(_) | Event::InitDone => None,
        };
        self.writer.apply_watcher_event(&event);
        match event {
            Event::Apply(object) => Some(vec![Touched { before, object, exists: Exists::Yes }]),
            Event::Delete(object) => Some(vec![Touched { before, object, exists: Exists::No }]),
            Event::InitDone => Some(self.listed()),
            Event::Init | Event::InitApply(_) => None,
        }
    }

    /// What a list touched: what is no longer there, which no event told of, then all that it has.
    fn listed(&mut self) -> Vec<Touched<K>> {
        let before = std::mem::take(&mut self.before).into_iter();
        let mut before: HashMap<_, _> =
            before.map(|object| ((self.key(&object), object.meta().uid.clone()), object)).collect();
        let mut there = Vec::new();
        for object in self.store.state() {
            let before = before.remove(&(self.key(&object), object.meta().uid.clone()));
            there.push(Touched { before, object: K::clone(&object), exists: Exists::Yes });
        }
        let gone = |object: Arc<K>| Touched { object: K::clone(&object), before: Some(object), exists: Exists::No };
        before.into_values().map(gone).chain(there).collect()
    }

    fn key(&self, object: &K) -> ObjectRef<K> {
        ObjectRef::from_obj_with(object, self.kind.clone())
    }
}

/// What nothing here looks at, and is often the largest part.
pub(crate) fn strip_managed_fields<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// An execution without its inputs, and without kubectl's copy of them: whoever creates executions chooses how large
/// they are, and a cache holds all of them. Before its start the whole object is read.
pub(crate) fn strip_inputs(object: &mut CapabilityExecution) {
    strip_managed_fields(object);
    object.spec.inputs = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.retain(|name, _| name == RECEIPT_ANNOTATION);
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

#[cfg(test)]
mod tests;
