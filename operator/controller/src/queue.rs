//! What the controller remembers between two looks, and the cache does not show yet. All of it may be lost: a new leader
//! finds pods in its cache, and receipts in annotations.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ccos_crds::execution::ContextKind;
use ccos_plan::capacity::{Served, Weight};
use jiff::Timestamp;

/// For how long a nonce is remembered whose execution is gone. Longer than a receipt is fresh: after that, no new object
/// can show it.
const NONCE_MEMORY: Duration = Duration::from_mins(5);

/// For how long it is remembered that a namespace had its turn. Longer than any line that moves at all.
const SERVED_MEMORY: Duration = Duration::from_hours(1);

/// A place, and in which line.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// What it holds.
    pub(crate) weight: Weight,
    /// Of which namespace.
    pub(crate) namespace: String,
    /// Of which context.
    pub(crate) line: Line,
}

/// A line: a context, in a namespace where it is one of a namespace.
pub(crate) type Line = (ContextKind, Option<String>, String);

/// What somebody was told who waits for a turn, as long as these are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// What it would hold.
    pub(crate) weight: Weight,
    /// Generation of the execution.
    pub(crate) generation: Option<i64>,
    /// UID and generation of its context.
    pub(crate) context: (Option<String>, Option<i64>),
    /// Revision of the policies.
    pub(crate) policies: u64,
    /// Labels of its namespace, where there are policies.
    pub(crate) labels: BTreeMap<String, String>,
    /// The lists of malicious providers.
    pub(crate) lists: u64,
}

/// Places, nonces and patience, by the UID of an execution.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Who was given a place.
    /// INVARIANT: decided and entered under one lock, so that two executions never see the same free place.
    places: Mutex<HashMap<String, Place>>,
    /// When a namespace last began one under a context, by a count of all that began, and by the clock.
    served: Mutex<HashMap<(Line, String), (u64, Instant)>>,
    /// Who was told to wait for a turn, and when.
    told: Mutex<HashMap<String, (Told, Instant)>>,
    /// Who showed which nonce first, and when it was last shown.
    nonces: Mutex<HashMap<String, (String, Instant)>>,
    /// Who lost the right to use the context of an execution.
    revoked: Mutex<HashMap<String, String>>,
    /// Since when an execution has waited for its runtime.
    without_runtime: Mutex<HashMap<String, Timestamp>>,
}

impl Queue {
    /// The places, for as long as it takes to decide on one.
    pub(crate) fn places(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        lock(&self.places)
    }

    /// Notes that a namespace begins one under a context.
    pub(crate) fn serve(&self, line: Line, namespace: String) {
        let mut served = lock(&self.served);
        served.retain(|_, (_, at)| at.elapsed() < SERVED_MEMORY);
        let last = served.values().map(|(count, _)| *count).max().unwrap_or_default();
        served.insert((line, namespace), (last + 1, Instant::now()));
    }

    /// When each namespace last began one under a context.
    pub(crate) fn served(&self, of: &Line) -> Served {
        let served = lock(&self.served);
        let mine = served.iter().filter(|((line, _), _)| line == of);
        mine.map(|((_, namespace), (count, _))| (namespace.clone(), *count)).collect()
    }

    /// Gives a place back: it ended, or its pod could not be made. Answers whether there was one.
    pub(crate) fn release(&self, uid: &str) -> bool {
        lock(&self.told).remove(uid);
        lock(&self.revoked).remove(uid);
        self.places().remove(uid).is_some()
    }

    /// Notes that an execution was told to wait for its turn.
    pub(crate) fn tell(&self, uid: &str, told: Told) {
        lock(&self.told).insert(uid.to_owned(), (told, Instant::now()));
    }

    /// What it was told.
    pub(crate) fn told(&self, uid: &str) -> Option<Told> {
        lock(&self.told).get(uid).map(|(told, _)| told.clone())
    }

    /// What it would hold, as of when it was told to wait.
    pub(crate) fn told_weight(&self, uid: &str) -> Option<Weight> {
        lock(&self.told).get(uid).map(|(told, _)| told.weight)
    }

    /// How long ago it was told something.
    pub(crate) fn told_ago(&self, uid: &str) -> Duration {
        lock(&self.told).get(uid).map_or(Duration::MAX, |(_, at)| at.elapsed())
    }

    /// Notes that it was told something just now.
    pub(crate) fn told_now(&self, uid: &str) {
        if let Some((_, at)) = lock(&self.told).get_mut(uid) {
            *at = Instant::now();
        }
    }

    /// Notes that the requester of an execution may no longer use its context.
    pub(crate) fn revoke(&self, uid: &str, requester: &str) {
        lock(&self.revoked).insert(uid.to_owned(), requester.to_owned());
    }

    /// Who that is; told once. Should nothing come of it, the next round finds it again.
    pub(crate) fn revoked(&self, uid: &str) -> Option<String> {
        lock(&self.revoked).remove(uid)
    }

    /// Whether this execution is the first to show this nonce.
    pub(crate) fn shows_first(&self, uid: &str, nonce: &str) -> bool {
        let mut nonces = lock(&self.nonces);
        nonces.retain(|_, (_, last)| last.elapsed() < NONCE_MEMORY);
        let (owner, last) = nonces.entry(nonce.to_owned()).or_insert_with(|| (uid.to_owned(), Instant::now()));
        if owner == uid {
            *last = Instant::now();
        }
        owner == uid
    }

    /// Since when its runtime has been missing.
    pub(crate) fn runtime_missing(&self, uid: &str, now: Timestamp) -> Timestamp {
        *lock(&self.without_runtime).entry(uid.to_owned()).or_insert(now)
    }

    /// Its runtime is there.
    pub(crate) fn runtime_found(&self, uid: &str) {
        lock(&self.without_runtime).remove(uid);
    }
}

/// A poisoned lock holds a map that is whole: each change to it is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
