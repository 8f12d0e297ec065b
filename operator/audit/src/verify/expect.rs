//! Executions of the cluster, and the lines that there must be for them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Scope;
use super::report::{Finding, Findings, Kind};
use crate::event::{Decision, End, Event, Outcome, Receipt, Start};

/// An execution, as it is in the cluster.
#[derive(Clone, Debug)]
pub struct Expected {
    /// For messages, such as `demo/paris`.
    pub display: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// What its receipt says, if that is valid.
    pub receipt: Option<Receipt>,
    /// The pods of its attempts, and when each ran, if it did.
    pub pods: Vec<(String, Option<Timestamp>)>,
    /// Its end.
    pub finished: Option<Finished>,
}

/// The end of an execution, as its status has it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What lines say of executions.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Of those that were admitted, by nonce.
    admitted: BTreeMap<String, Admitted>,
    /// UID and pod.
    starts: BTreeSet<(String, String)>,
    /// UID and reason.
    ends: BTreeSet<(String, String)>,
    count: u64,
}

#[derive(Debug)]
struct Admitted {
    namespace: String,
    name: String,
    receipt: Receipt,
}

impl Lines {
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::Decision(decision) => {
                let Decision { object, outcome, receipt, .. } = &**decision;
                if let (Outcome::Admitted, Some(receipt)) = (outcome, receipt) {
                    let namespace = object.namespace.clone().unwrap_or_default();
                    let admitted = Admitted { namespace, name: object.name.clone(), receipt: receipt.clone() };
                    self.admitted.insert(receipt.nonce.clone(), admitted);
                }
            }
            Event::Start(Start { object, pod, .. }) => {
                self.starts.insert((object.uid.clone().unwrap_or_default(), pod.clone()));
            }
            Event::End(End { object, reason, .. }) => {
                self.ends.insert((object.uid.clone().unwrap_or_default(), reason.clone()));
            }
            Event::Open(_)
            | Event::Registration(_)
            | Event::Change(_)
            | Event::Stop(_)
            | Event::Retry(_)
            | Event::Wait(_)
            | Event::Close(_) => {}
        }
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn expect(&mut self, execution: &Expected, scope: Scope, findings: &mut Findings) {
        let Expected { display, namespace, name, uid, receipt, pods, finished } = execution;
        self.count += 1;
        if let Some(receipt) = receipt.as_ref().filter(|receipt| scope.has(receipt.admitted_at)) {
            match self.admitted.get(&receipt.nonce) {
                None => {
                    let at = receipt.admitted_at;
                    let message = format!("{display} was admitted at {at}, by its receipt, and no line says so");
                    findings.add(Finding::new(Kind::Truncated, message));
                }
                Some(line) if (&line.namespace, &line.name, &line.receipt) != (namespace, name, receipt) => {
                    let message = format!("the line of the admission of {display} is not what its receipt says");
                    findings.add(Finding::new(Kind::Differs, message));
                }
                Some(_) => {}
            }
            // The line is older than the pod, however little: of one that did not run yet, it may just have been written.
            let ran = |at: &Option<Timestamp>| scope.until.is_none_or(|until| at.is_some_and(|at| at <= until));
            let missing = |pod: &&String| !self.starts.contains(&(uid.clone(), (*pod).clone()));
            for pod in pods.iter().filter(|(_, at)| ran(at)).map(|(pod, _)| pod).filter(missing) {
                let message = format!("{display} had the pod {pod}, and no line says that it started");
                findings.add(Finding::new(Kind::Truncated, message));
            }
        }
        if let Some(Finished { reason, at }) = finished.as_ref().filter(|finished| scope.has(finished.at))
            && !self.ends.contains(&(uid.clone(), reason.clone()))
        {
            let message = format!("{display} ended at {at} as {reason}, and no line says so");
            findings.add(Finding::new(Kind::Truncated, message));
        }
    }
}
