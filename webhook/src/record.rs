//! What is written into the audit trail of an admission review. Nothing is answered before it is written.

use std::time::{Duration, Instant};

use ccos_audit::event::Cause;
use ccos_audit::{Event, Level};
use ccos_crds::{CapabilityExecution, RECEIPT_ANNOTATION};
use ccos_plan::receipt::{self, Claims};
use ccos_plan::record::{self, Review};
use kube::ResourceExt as _;

use crate::admission::Request;
use crate::review::{Asked, Refusal, Subject, Verdict};
use crate::serve::{App, Webhook};

/// When the API server stops waiting, and a bit: an answer of ours says what took long.
const DEADLINE: Duration = Duration::from_millis(4700);

impl App {
    /// Writes an answer down. What can't be written is not answered so: neither a yes that nobody would know of, nor a no,
    /// or somebody could probe for what is granted while the disk is full.
    ///
    /// # Errors
    /// The refusal that was given, or that there is no record of the answer.
    pub(crate) async fn recorded(
        &self,
        webhook: Webhook,
        request: &Request,
        asked: Option<&Asked>,
        verdict: Verdict,
        started: Instant,
    ) -> Verdict {
        // Of a dry run nothing is stored, and GitOps tools make one every few minutes.
        if request.is_dry_run() {
            return verdict;
        }
        let Some(event) = self.event(webhook, request, asked, &verdict) else { return verdict };
        let left = DEADLINE.saturating_sub(started.elapsed());
        let written = tokio::time::timeout(left, self.trail.write(event)).await;
        self.metrics.lined(matches!(written, Ok(Ok(()))));
        match written {
            Ok(Ok(())) => verdict,
            Ok(Err(error)) => Err(Refusal::try_again(&error)),
            Err(_) => Err(Refusal::TryAgain("the audit trail did not take its line in time".to_owned())),
        }
    }

    /// What there is to write: each decision once. Of what is admitted the validating webhook has the last word, on the
    /// object as it will be stored; what is denied by the mutating one never comes to it.
    fn event(&self, webhook: Webhook, request: &Request, asked: Option<&Asked>, verdict: &Verdict) -> Option<Event> {
        let execution = match asked {
            Some(Asked::Created(object)) => Some(&**object),
            Some(Asked::Changed { old: _, new }) => Some(&**new),
            Some(Asked::Context(_) | Asked::Provider(_) | Asked::Unchanged) | None => None,
        };
        let level = self.level(request, execution);
        let (name, requester) = (name(request, execution), request.requester());
        let review = Review {
            kind: &request.kind.kind,
            namespace: request.namespace.as_deref(),
            name: &name,
            object: request.object.as_ref(),
            operation: request.operation.as_str(),
            requester: &requester,
            level,
        };
        match (verdict, webhook, asked) {
            // Nothing was decided, or not by the last word.
            (Err(Refusal::TryAgain(_)), _, _)
            | (Ok(_), Webhook::Mutate, _)
            | (Ok(_), Webhook::Validate, None | Some(Asked::Unchanged)) => None,
            (Err(refusal), _, _) if request.kind.kind == "CapabilityExecution" => {
                Some(review.decided(execution, Err(causes(refusal, level))))
            }
            (Err(refusal), _, _) => Some(review.registered(causes(refusal, level))),
            (Ok(_), Webhook::Validate, Some(Asked::Created(object))) => {
                Some(review.decided(execution, Ok(self.claims(object).as_ref())))
            }
            (Ok(_), Webhook::Validate, Some(Asked::Changed { old, new })) => review.changed(old, new),
            (Ok(_), Webhook::Validate, Some(Asked::Context(_) | Asked::Provider(_))) => {
                Some(review.registered(Vec::new()))
            }
        }
    }

    /// By the cache: a context that it does not have yet may be one that wants everything written.
    fn level(&self, request: &Request, execution: Option<&CapabilityExecution>) -> Level {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let context = execution.and_then(|object| self.caches.context(namespace, &object.spec.context_ref));
        record::level(context.as_ref())
    }

    /// What the receipt says that was just found to be this object's.
    fn claims(&self, object: &CapabilityExecution) -> Option<Claims> {
        let text = object.annotations().get(RECEIPT_ANNOTATION)?;
        receipt::verify(text, &self.keys.get()?.known).ok()
    }
}

fn causes(refusal: &Refusal, level: Level) -> Vec<Cause> {
    let cause = |reason: String, field: String| Cause { reason, field, required: None };
    match refusal {
        Refusal::Denied { message: _, denials } => record::causes(denials, level),
        Refusal::Unreadable(_) | Refusal::TryAgain(_) => vec![cause("Unreadable".to_owned(), String::new())],
        Refusal::Invalid(_) | Refusal::Forbidden(_) | Refusal::Receipt(_) => {
            refusal.causes().into_iter().map(|found| cause(found.reason, found.field)).collect()
        }
    }
}

/// The object's name. Where the API server makes it up, the review of the stored object has it.
fn name(request: &Request, execution: Option<&CapabilityExecution>) -> String {
    let own = execution.and_then(|object| object.metadata.name.clone()).filter(|name| !name.is_empty());
    own.unwrap_or_else(|| Subject::of(request).name)
}
