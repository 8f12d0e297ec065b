//! Caches, and how long ago each watch was known to live.

use std::collections::HashMap;
use std::fmt::Debug;
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

/// Keeps a cache, and tells of each object that was touched. What `strip` takes out of an object is not kept. `alive` is
/// dropped when the watch ends, which it never should.
pub(crate) fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    strip: fn(&mut K),
    mut writer: Writer<K>,
    alive: mpsc::UnboundedSender<()>,
    mut on: impl FnMut(Touched<K>) + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let cache = writer.as_reader();
    tokio::spawn(async move {
        let mut events = Box::pin(watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let event = event.modify(strip);
                    let touched = match &event {
                        watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                            Some((object, Exists::Yes))
                        }
                        watcher::Event::Delete(object) => Some((object, Exists::No)),
                        watcher::Event::Init | watcher::Event::InitDone => None,
                    };
                    let touched = touched.map(|(object, exists)| Touched {
                        before: cache.get(&ObjectRef::from_obj(object)),
                        object: object.clone(),
                        exists,
                    });
                    writer.apply_watcher_event(&event);
                    if let Some(touched) = touched {
                        on(touched);
                    }
                }
                Err(error) => warn!(kind = %K::kind(&()), %error, "a watch failed; it is begun anew"),
            }
        }
        drop(alive);
    });
}

/// Keeps a cache, and tells each time that it is another as a whole: [`watch`] tells of an object that is listed before the
/// cache has it.
pub(crate) fn watch_all<K>(
    api: Api<K>,
    config: watcher::Config,
    mut writer: Writer<K>,
    alive: mpsc::UnboundedSender<()>,
    on: impl Fn() + Send + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    tokio::spawn(async move {
        let mut events = Box::pin(watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let event = event.modify(strip_managed_fields);
                    let whole = !matches!(event, watcher::Event::Init | watcher::Event::InitApply(_));
                    writer.apply_watcher_event(&event);
                    if whole {
                        on();
                    }
                }
                Err(error) => warn!(kind = %K::kind(&()), %error, "a watch failed; it is begun anew"),
            }
        }
        drop(alive);
    });
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
