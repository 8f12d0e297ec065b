//! What can break while an execution is reconciled, a type for each stage, and how long to wait after each.

use std::sync::Arc;
use std::time::Duration;

use ccos_crds::CapabilityExecution;
use kube::runtime::controller::Action;
use tracing::warn;

use crate::apply::ApplyError;
use crate::chain;
use crate::ctx::Ctx;
use crate::dereference::DereferenceError;
use crate::update_status::UpdateStatusError;

/// A stage that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Reading what the execution speaks of.
    #[error(transparent)]
    Dereference(#[from] DereferenceError),
    /// Whether a provider is listed can't be said.
    #[error("{0}")]
    Watchlist(String),
    /// Making or removing its children.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Writing its status.
    #[error(transparent)]
    UpdateStatus(#[from] UpdateStatusError),
    /// Writing it into the audit trail.
    #[error(transparent)]
    Audit(#[from] ccos_trail::Failed),
}

impl Error {
    /// How long to wait: a conflict means that a newer object is on its way; the rest is the API server's trouble.
    fn delay(&self) -> Duration {
        match self {
            Self::UpdateStatus(UpdateStatusError::Conflict) => Duration::from_millis(50),
            Self::Dereference(_)
            | Self::Watchlist(_)
            | Self::Apply(_)
            | Self::UpdateStatus(UpdateStatusError::Api(_))
            | Self::Audit(_) => Duration::from_secs(2),
        }
    }
}

/// Looks again later.
#[expect(clippy::needless_pass_by_value, reason = "the Controller calls it so")]
pub(crate) fn error_policy(object: Arc<CapabilityExecution>, error: &Error, ctx: Arc<Ctx>) -> Action {
    let delay = error.delay();
    if !matches!(error, Error::UpdateStatus(UpdateStatusError::Conflict)) {
        let metadata = &object.metadata;
        warn!(namespace = metadata.namespace, name = metadata.name, error = chain(error), ?delay, "will try again");
    }
    ctx.metrics.failed();
    Action::requeue(delay)
}
