//! Whether those who asked for what is queued and runs may still use its context.
//!
//! Asked at an interval, not at each change of a Role: RBAC is one authorizer of several, group memberships are in none of
//! its objects, and to watch it would take the right to read every Role of the cluster. The cost is bounded whatever
//! changes: one question for each requester and context, and so many a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ccos_crds::{CapabilityExecution, RECEIPT_ANNOTATION};
use ccos_plan::receipt::{self, Requester};
use ccos_plan::status;
use ccos_policy::Use;
use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;
use tracing::warn;

use crate::chain;
use crate::ctx::Ctx;
use crate::dereference;
use crate::queue::Line;
use crate::turn::line;

/// From the end of one round to the next: how long code may run on whose requester has lost the right.
const ROUND: Duration = Duration::from_secs(15);

/// Between two questions: at most 20 a second, a fraction of what the API server grants one client. With more than 300
/// requesters of contexts at one time, a round takes longer than the pause before it.
const PACE: Duration = Duration::from_millis(50);

/// Asks for ever.
pub(crate) async fn rounds(ctx: &Ctx) {
    loop {
        tokio::time::sleep(ROUND).await;
        for ((requester, _), executions) in questions(&ctx.stores.executions.state()) {
            if let Some(first) = executions.first() {
                ask(ctx, &requester, first, &executions).await;
                tokio::time::sleep(PACE).await;
            }
        }
    }
}

/// Each requester and context once, with all unfinished executions of theirs. One whose receipt can't be read is none of
/// ours: it ends for that.
fn questions(all: &[Arc<CapabilityExecution>]) -> BTreeMap<(Requester, Line), Vec<Arc<CapabilityExecution>>> {
    let mut questions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for object in all.iter().filter(|one| !status::finished(one) && one.metadata.deletion_timestamp.is_none()) {
        let requester = object.annotations().get(RECEIPT_ANNOTATION).and_then(|text| receipt::requester(text));
        if let Some(requester) = requester {
            questions.entry((requester, line(object))).or_default().push(Arc::clone(object));
        }
    }
    questions
}

async fn ask(ctx: &Ctx, requester: &Requester, first: &CapabilityExecution, executions: &[Arc<CapabilityExecution>]) {
    match dereference::may_use(&ctx.client, first, requester).await {
        Ok(Use::Forbidden(requester)) => {
            for object in executions {
                ctx.queue.revoke(&object.uid().unwrap_or_default(), &requester);
                ctx.waker.one(ObjectRef::from_obj(&**object));
            }
        }
        Ok(Use::Allowed | Use::NotAsked) => {}
        // No answer is not a no: an API server in trouble must not end what runs. The next round asks again.
        Err(error) => warn!(error = chain(&error), "cannot ask whether a requester may still use a context"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn execution(name: &str, user: &str, context: &str) -> Arc<CapabilityExecution> {
        let claims = json!({
            "version": 1, "void": false, "nonce": "n", "admittedAt": "2026-01-01T00:00:00Z", "namespace": "data",
            "requester": {"user": user}, "contextUID": "", "contextGeneration": 1, "providerUID": "",
            "providerGeneration": 1, "volumesDigest": "", "sourceDigest": "", "capabilityDigest": "", "specDigest": "", "decisionDigest": "",
        });
        let receipt = json!({"kid": "k", "claims": claims, "signature": ""}).to_string();
        let object = json!({
            "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution",
            "metadata": {"name": name, "namespace": "data", "annotations": {RECEIPT_ANNOTATION: receipt}},
            "spec": {
                "contextRef": {"kind": "SecurityContext", "name": context},
                "capabilityRef": {"kind": "CapabilityProvider", "name": "p", "id": "a.b"},
            },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    #[test]
    fn each_requester_and_context_is_asked_about_once() {
        let mut all: Vec<_> = (0..200).map(|at| execution(&format!("a{at}"), "ann", "one")).collect();
        all.extend([execution("b", "bob", "one"), execution("c", "ann", "two")]);
        let mut finished = CapabilityExecution::clone(&execution("d", "eve", "one"));
        finished.status = Some(
            serde_json::from_value(json!({"conditions": [{
                "type": "Finished", "status": "True", "reason": "Completed", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]}))
            .unwrap(),
        );
        all.push(Arc::new(finished));
        let asked: Vec<(String, String, usize)> = questions(&all)
            .into_iter()
            .map(|((requester, line), executions)| (requester.user, line.2, executions.len()))
            .collect();
        let expected = [("ann", "one", 200), ("ann", "two", 1), ("bob", "one", 1)];
        assert_eq!(asked, expected.map(|(user, context, count)| (user.to_owned(), context.to_owned(), count)));
    }
}
