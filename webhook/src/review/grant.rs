//! Contexts, providers and policies: whether they can be understood, and whether their author may write what they say.

use std::sync::Arc;

use ccos_crds::ExecutionPolicy;
use ccos_plan::wire::{self, FieldError};
use ccos_plan::{AnyContext, AnyProvider};
use ccos_policy::Unheld;
use jiff::Timestamp;

use super::{Allowed, Refusal, Verdict};
use crate::rights::Question;

/// A context that its author wants to write. `refused` are the questions about the author that were answered with no.
///
/// # Errors
/// All fields that can't be understood; otherwise all that the author may not grant.
pub fn context(object: &AnyContext, requester: &str, refused: &[Question], now: Timestamp) -> Verdict {
    let parsed = wire::context(object, now).map_err(Refusal::Invalid)?;
    may_write(requester, refused)?;
    let expired = parsed.expiry.at.filter(|at| *at <= now);
    let expired = expired.map(|at| format!("it expired at {at} and admits nothing: change spec.expiry"));
    let unheld = parsed
        .unheld
        .iter()
        .map(|unheld| format!("{}: executions under it are refused as Unenforceable: {}", unheld.field, unheld.advice));
    let warnings = expired.into_iter().chain(unheld).collect();
    Ok(Allowed { warnings, ..Allowed::default() })
}

/// A provider that its author wants to write; `refused` as for a context.
///
/// # Errors
/// All fields that can't be understood; otherwise all that the author may not use.
pub fn provider(object: &AnyProvider, requester: &str, refused: &[Question]) -> Verdict {
    let unheld = wire::provider(object).map_err(Refusal::Invalid)?;
    may_write(requester, refused)?;
    let warning = |unheld: &Unheld| {
        let field = unheld.field.as_str().trim_start_matches("provider.");
        format!("{field}: executions of it are refused as Unenforceable: {}", unheld.advice)
    };
    Ok(Allowed { warnings: unheld.iter().map(warning).collect(), ..Allowed::default() })
}

/// An ExecutionPolicy that its author wants to write, beside those that are `stored`. Nobody is asked what its author may
/// do: it only takes away.
///
/// # Errors
/// All that is wrong with its text, or that there is no room for it.
pub fn policy(object: &ExecutionPolicy, stored: &[Arc<ExecutionPolicy>]) -> Verdict {
    let text = wire::policy(object).map_err(Refusal::Invalid)?;
    wire::policy_fits(object, stored.iter().map(|other| &**other)).map_err(Refusal::Invalid)?;
    let warnings = text.warnings().iter().map(|warning| format!("spec.cedar: {warning}")).collect();
    Ok(Allowed { warnings, ..Allowed::default() })
}

fn may_write(requester: &str, refused: &[Question]) -> Result<(), Refusal> {
    let error =
        |question: &Question| FieldError { field: question.field.clone(), message: question.refusal(requester) };
    if refused.is_empty() { Ok(()) } else { Err(Refusal::Forbidden(refused.iter().map(error).collect())) }
}
