//! Which reports may be wrong by now.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// What a report is about: a namespace, or what belongs to none.
pub(crate) type Scope = Option<String>;

/// Notes it.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    scopes: Mutex<Scopes>,
    noted: Notify,
}

/// Some scopes, or all there are.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    all: bool,
    some: BTreeSet<Scope>,
}

impl Stale {
    /// One of them.
    pub(crate) fn scope(&self, scope: Scope) {
        self.note(|scopes| scopes.some.extend([scope]));
    }

    /// Every one.
    pub(crate) fn all(&self) {
        self.note(|scopes| scopes.all = true);
    }

    fn note(&self, note: impl FnOnce(&mut Scopes)) {
        note(&mut self.scopes.lock().unwrap_or_else(PoisonError::into_inner));
        self.noted.notify_one();
    }

    /// Waits until there is something, or was since it was last waited for.
    pub(crate) async fn noted(&self) {
        self.noted.notified().await;
    }

    /// What was noted since the last time.
    pub(crate) fn take(&self) -> Scopes {
        std::mem::take(&mut *self.scopes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Scopes {
    /// Whether it is one of them.
    pub(crate) fn has(&self, scope: &Scope) -> bool {
        self.all || self.some.contains(scope)
    }

    /// Those that were named.
    pub(crate) fn named(&self) -> impl Iterator<Item = Scope> {
        self.some.iter().cloned()
    }

    pub(crate) fn extend(&mut self, scopes: impl IntoIterator<Item = Scope>) {
        self.some.extend(scopes);
    }
}
