//! Contexts, providers and policies: whether they can be understood, and whether their author may write what they say.

use std::sync::Arc;

use ccos_crds::ExecutionPolicy;
use ccos_plan::object::provider_kind;
use ccos_plan::wire::{self, FieldError};
use ccos_plan::{AnyContext, AnyProvider, review, trust};
use ccos_policy::{Cause, Ceiling, Context, Denial, Denials, Level, exceeds};
use ccos_supply::watchlist::Watchlist;
use jiff::Timestamp;

use super::{Allowed, Refusal, Verdict};
use crate::rights::{Question, Verb};

/// What a context grants beyond the cluster's ceiling: for that, its author needs the right to escalate. Not of `Full`,
/// which needs it in every cluster; nor of one that can't be understood, which is refused.
#[must_use]
pub fn above(object: &AnyContext, ceiling: &Ceiling, now: Timestamp) -> Option<Denials> {
    let parsed: Context = wire::context(object, now).ok()?;
    if parsed.level == Level::Full { None } else { exceeds(&parsed, ceiling) }
}

/// A context that its author wants to write. `refused` are the questions about the author that were answered with no,
/// `above` is what it grants beyond the ceiling.
///
/// # Errors
/// All fields that can't be understood; otherwise all that the author may not grant.
pub fn context(
    object: &AnyContext,
    requester: &str,
    refused: &[Question],
    above: Option<Denials>,
    now: Timestamp,
) -> Verdict {
    let warnings = review::context(object, now).map_err(Refusal::Invalid)?;
    match above {
        Some(above) if refused.iter().any(|question| question.verb == Verb::Escalate) => {
            return Err(above_ceiling(object, requester, refused, above));
        }
        Some(_) | None => may_write(requester, refused)?,
    }
    Ok(Allowed { warnings, ..Allowed::default() })
}

/// A provider that its author wants to write; `refused` as for a context.
///
/// # Errors
/// All fields that can't be understood; otherwise all that the author may not use; otherwise the lists that speak of it.
pub fn provider(object: &AnyProvider, requester: &str, refused: &[Question], watchlist: &Watchlist) -> Verdict {
    let warnings = review::provider(object).map_err(Refusal::Invalid)?;
    may_write(requester, refused)?;
    unlisted(object, watchlist)?;
    Ok(Allowed { warnings, ..Allowed::default() })
}

/// Whether no list speaks of a provider.
fn unlisted(object: &AnyProvider, watchlist: &Watchlist) -> Result<(), Refusal> {
    let listed = trust::listed(object, watchlist).into_iter();
    let listed = listed.map(|listed| Denial::new(listed.by.field(), Cause::ProviderInvalid(listed.to_string())));
    // Otherwise nothing is known not to be listed.
    let unreadable = trust::unreadable(watchlist).map(|why| Denial::new("spec", Cause::ProviderInvalid(why)));
    let Some(denials) = Denials::from_vec(listed.chain(unreadable).collect()) else { return Ok(()) };
    let name = object.metadata().name.as_deref().unwrap_or_default();
    let message = format!("{} {name:?} is refused:\n{denials}", provider_kind(object.kind()));
    Err(Refusal::Denied { message, denials })
}

/// With what else its author may not: all reasons come at once.
fn above_ceiling(object: &AnyContext, requester: &str, refused: &[Question], above: Denials) -> Refusal {
    let others = refused.iter().filter(|question| question.verb != Verb::Escalate);
    let others = Denials::from_vec(others.map(|question| question.denial(requester)).collect());
    let denials = match others {
        Some(others) => above.and(others),
        None => above,
    };
    let message = format!(
        "{} grants more than the cluster's ceiling, and {requester} may not escalate it; narrow it, or ask for the RBAC verb `escalate` on it:\n{denials}",
        object.display()
    );
    Refusal::Denied { message, denials }
}

/// An ExecutionPolicy that its author wants to write, beside those that are `stored`. Nobody is asked what its author may
/// do: it only takes away.
///
/// # Errors
/// All that is wrong with its text, or that there is no room for it.
pub fn policy(object: &ExecutionPolicy, stored: &[Arc<ExecutionPolicy>]) -> Verdict {
    let others = stored.iter().map(|other| &**other);
    let warnings = review::policy(object, others).map_err(Refusal::Invalid)?;
    Ok(Allowed { warnings, ..Allowed::default() })
}

fn may_write(requester: &str, refused: &[Question]) -> Result<(), Refusal> {
    let error =
        |question: &Question| FieldError { field: question.field.clone(), message: question.refusal(requester) };
    if refused.is_empty() { Ok(()) } else { Err(Refusal::Forbidden(refused.iter().map(error).collect())) }
}
