//! The lists of malicious and denied providers, and Sigstore's trust root, as the operator's namespace has them now.

use std::sync::{Arc, PoisonError, RwLock};

use ccos_plan::trust::{TRUST_ROOT, watchlist};
use ccos_supply::watchlist::Watchlist;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::reflector::{ObjectRef, Store};
use tracing::{error, info};

use crate::metrics::Metrics;

/// The key of the trust root's ConfigMap.
const TRUST_ROOT_KEY: &str = "trusted_root.json";

/// The lists, read anew whenever one of them changes. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists(Arc<RwLock<Read>>);

/// Lists that were read, and how many others were before.
#[derive(Clone, Debug, Default)]
struct Read {
    lists: Arc<Watchlist>,
    edition: u64,
}

impl Lists {
    /// As they are now.
    pub(crate) fn now(&self) -> Arc<Watchlist> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).lists)
    }

    /// Another number for other lists: what was decided by earlier ones is decided again.
    pub(crate) fn edition(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).edition
    }

    /// Reads them anew. Answers whether they say something else.
    pub(crate) fn read(&self, maps: &Store<ConfigMap>, metrics: &Metrics) -> bool {
        let lists = watchlist(&maps.state());
        for fault in lists.faults() {
            error!(fault, "a list of malicious providers can't be read: nothing is started until it can");
        }
        info!(records = lists.len(), "read the lists of malicious providers");
        metrics.watchlist(lists.len(), lists.faults().len());
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let differs = *current.lists != lists;
        if differs {
            *current = Read { lists: Arc::new(lists), edition: current.edition + 1 };
        }
        differs
    }
}

/// The trust root's text.
pub(crate) fn trust_root(maps: &Store<ConfigMap>, namespace: &str) -> Option<String> {
    let found = maps.get(&ObjectRef::new(TRUST_ROOT).within(namespace))?;
    found.data.as_ref()?.get(TRUST_ROOT_KEY).cloned()
}
