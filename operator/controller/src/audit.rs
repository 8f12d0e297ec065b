//! What the controller writes into the audit trail, each before it does it: a controller that is killed in between writes
//! the line twice, never not at all.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ccos_audit::{Event, Level};
use ccos_crds::CapabilityExecution;
use ccos_plan::end::{End, WaitReason};
use ccos_plan::record;
use ccos_plan::status::{self, Draft, Granted};
use ccos_trail::{Failed, Trail};
use kube::ResourceExt as _;

use crate::ctx::Ctx;
use crate::dereference;
use crate::metrics::Metrics;

/// Of how many executions is remembered what was written. Forgetting one costs a line that is there twice.
const REMEMBERED: usize = 10_000;

/// How long to wait before a line that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// The trail, and what it has already.
pub(crate) struct Audit {
    trail: Trail,
    metrics: Metrics,
    /// By the UID of an execution. What failed, such as by a conflict, is done again, and not written again.
    written: Mutex<HashMap<String, HashSet<String>>>,
}

impl Audit {
    pub(crate) fn new(trail: Trail, metrics: Metrics) -> Self {
        Self { trail, metrics, written: Mutex::default() }
    }

    async fn write(&self, event: Event) -> Result<(), Failed> {
        let written = self.trail.write(event).await;
        self.metrics.lined(written.is_ok());
        written
    }

    async fn once(&self, object: &CapabilityExecution, what: String, event: Option<Event>) -> Result<(), Failed> {
        let uid = object.uid().unwrap_or_default();
        let Some(event) = event.filter(|_| !self.has(&uid, &what)) else { return Ok(()) };
        self.write(event).await?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= REMEMBERED {
            written.clear();
        }
        written.entry(uid).or_default().insert(what);
        Ok(())
    }

    fn has(&self, uid: &str, what: &str) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(uid).is_some_and(|all| all.contains(what))
    }

    /// It is over, and its status says so.
    pub(crate) fn forget(&self, uid: &str) {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

impl Ctx {
    /// Its pod is about to be made.
    pub(crate) async fn starts(
        &self,
        object: &CapabilityExecution,
        granted: &Granted,
        pod: &str,
    ) -> Result<(), Failed> {
        let event = record::start(object, granted, pod, self.level(object));
        self.audit.once(object, format!("start {pod}"), Some(event)).await
    }

    /// It is about to be stopped.
    pub(crate) async fn stops(&self, object: &CapabilityExecution, end: &End) -> Result<(), Failed> {
        let event = record::stop(object, end, self.level(object));
        let attempt = status::attempted(object).unwrap_or_default();
        self.audit.once(object, format!("stop {attempt} {}", end.reason), event).await
    }

    /// This attempt is over, and there is about to be another.
    pub(crate) async fn retries(&self, object: &CapabilityExecution, pod: &str, end: &End) -> Result<(), Failed> {
        self.audit.once(object, format!("retry {pod}"), Some(record::retry(object, pod, end))).await
    }

    /// Its status is about to say that it is over.
    pub(crate) async fn ends(&self, object: &CapabilityExecution, draft: &Draft, end: &End) -> Result<(), Failed> {
        let keys = dereference::cached_keys(&self.stores, &self.namespace);
        let event = record::end(object, draft.status(), end, &keys, self.level(object));
        self.audit.once(object, format!("end {}", end.reason), Some(event)).await
    }

    /// It is about to wait for something else than before.
    pub(crate) async fn waits(&self, object: &CapabilityExecution, reason: WaitReason) -> Result<(), Failed> {
        match record::wait(object, reason, self.level(object)) {
            Some(event) => self.audit.write(event).await,
            None => Ok(()),
        }
    }

    /// It was deleted. That can't be held up until it is written down; so it is written as soon as it can be.
    pub(crate) async fn vanished(&self, object: CapabilityExecution) {
        let uid = object.uid().unwrap_or_default();
        let keys = dereference::cached_keys(&self.stores, &self.namespace);
        let event = record::deleted(&object, &keys, self.level(&object));
        while let Err(error) = self.audit.once(&object, "deleted".to_owned(), event.clone()).await {
            if error == Failed::Ended {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
        self.audit.forget(&uid);
    }

    fn level(&self, object: &CapabilityExecution) -> Level {
        record::level(dereference::cached_context(&self.stores, object).as_ref())
    }
}
