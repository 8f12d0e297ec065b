//! The lists of malicious and denied providers, as the ConfigMaps of the operator's namespace have them now.

use std::sync::{Arc, PoisonError, RwLock};

use ccos_plan::trust::{LIST_LABEL, watchlist};
use ccos_supply::watchlist::Watchlist;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};

use crate::watch::{self, Pulses};

/// The lists, read anew whenever one of them changes. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Lists(Arc<RwLock<Arc<Watchlist>>>);

impl Lists {
    /// As they are now.
    #[must_use]
    pub fn now(&self) -> Arc<Watchlist> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces them.
    pub fn set(&self, lists: Watchlist) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(lists);
    }
}

/// Keeps the lists. They are complete once the store is filled: until then nothing is served.
#[must_use]
pub fn keep(client: &Client, namespace: &str, pulses: &Pulses) -> (Lists, Store<ConfigMap>) {
    let (store, mut writer) = reflector::store();
    let (lists, read) = (Lists::default(), store.clone());
    let (api, pulse) = (Api::namespaced(client.clone(), namespace), pulses.add("lists of malicious providers"));
    let shared = lists.clone();
    let config = watcher::Config::default().labels(&format!("{LIST_LABEL}=true"));
    tokio::spawn(watch::run(api, config, pulse, move |event: Event<ConfigMap>| {
        let done = matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_));
        writer.apply_watcher_event(&event);
        if done {
            let lists = watchlist(&read.state());
            for fault in lists.faults() {
                tracing::error!(
                    fault,
                    "a list of malicious providers can't be read: no provider is admitted until it can"
                );
            }
            tracing::info!(records = lists.len(), "read the lists of malicious providers");
            shared.set(lists);
        }
    }));
    (lists, store)
}
