//! The ExecutionPolicies and the namespaces that a decision looks at, as far as their watches know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ccos_crds::ExecutionPolicy;
use ccos_plan::Policing;
use ccos_plan::policing::Shelf;
use ccos_policy::policies::{Ground, Objection};
use ccos_policy::{Cause, Remark};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt as _};

use crate::admission::Request;
use crate::review::Refusal;
use crate::watch::DEAD;

/// What is known of them.
pub struct Kept {
    /// All ExecutionPolicies.
    pub policies: Store<ExecutionPolicy>,
    /// How long ago their watch was last heard of.
    pub age: Box<dyn Fn() -> Duration + Send + Sync>,
    /// Namespaces, with nothing but their labels.
    pub namespaces: Store<Namespace>,
    /// What was parsed.
    pub shelf: Shelf,
}

impl Kept {
    /// What ExecutionPolicies are asked of an execution. They restrict, so that not to know them is not to know whether
    /// it may run.
    ///
    /// # Errors
    /// That they are not known, or the namespace is not.
    pub async fn policing(&self, client: &Client, request: &Request) -> Result<Policing, Refusal> {
        let policies = self.shelf.current(&self.stored()?).policies;
        let name = request.namespace.as_deref().unwrap_or_default();
        // Nothing would look at them.
        let labels = if policies.is_empty() { BTreeMap::new() } else { self.labels(client, name).await? };
        Ok(Policing::Asked { policies, requester: request.requester(), labels })
    }

    /// All that are stored.
    ///
    /// # Errors
    /// If they were not read yet, or not for too long.
    pub fn stored(&self) -> Result<Vec<Arc<ExecutionPolicy>>, Refusal> {
        if !matches!(self.policies.wait_until_ready().now_or_never(), Some(Ok(()))) {
            return Err(Refusal::TryAgain("the ExecutionPolicies were not read yet".to_owned()));
        }
        let age = (self.age)();
        if age > DEAD {
            let seconds = age.as_secs();
            return Err(Refusal::TryAgain(format!("the ExecutionPolicies were last read {seconds}s ago")));
        }
        Ok(self.policies.state())
    }

    async fn labels(&self, client: &Client, name: &str) -> Result<BTreeMap<String, String>, Refusal> {
        if let Some(found) = self.namespaces.get(&ObjectRef::new(name)) {
            return Ok(found.labels().clone());
        }
        // Made a moment ago, with what runs in it.
        match Api::<Namespace>::all(client.clone()).get_metadata_opt(name).await {
            Ok(Some(found)) => Ok(found.labels().clone()),
            Ok(None) => Err(Refusal::TryAgain(format!("Namespace {name:?} does not exist"))),
            Err(error) => Err(Refusal::try_again(&error)),
        }
    }
}

/// Leaves of a namespace what is looked at: whoever may edit it chooses how large the rest is.
pub fn strip(namespace: &mut Namespace) {
    namespace.metadata.managed_fields = None;
    namespace.metadata.annotations = None;
    namespace.spec = None;
    namespace.status = None;
}

/// What ExecutionPolicies had against it, each with the mode that it was said in.
#[must_use]
pub fn objections(verdict: &Result<Vec<Remark>, Refusal>) -> Vec<(&'static str, &Objection)> {
    match verdict {
        Ok(remarks) => remarks
            .iter()
            .map(|remark| match remark {
                Remark::Warn(objection) => ("Warn", objection),
                Remark::Audit(objection) => ("Audit", objection),
            })
            .collect(),
        Err(Refusal::Denied { message: _, denials }) => denials
            .iter()
            .filter_map(|denial| {
                if let Cause::PolicyDenied(objection) = &denial.cause { Some(("Enforce", objection)) } else { None }
            })
            .collect(),
        Err(
            Refusal::Invalid(_)
            | Refusal::Forbidden(_)
            | Refusal::Receipt(_)
            | Refusal::Unreadable(_)
            | Refusal::TryAgain(_),
        ) => Vec::new(),
    }
}

/// Writes down what denied nothing. Names only, as in all that is written down here.
pub fn write_down(request: &Request, mode: &'static str, objection: &Objection) {
    tracing::info!(
        target: "ccos::review",
        uid = request.uid,
        namespace = request.namespace.as_deref().unwrap_or_default(),
        name = request.name,
        requester = request.user_info.username.as_deref().unwrap_or_default(),
        dry_run = request.is_dry_run(),
        execution_policy = objection.by,
        mode,
        evaluated = !matches!(objection.ground, Ground::Failed(_) | Ground::Unreadable(_)),
        message = objection.to_string(),
        "an ExecutionPolicy that does not enforce would have denied"
    );
}
