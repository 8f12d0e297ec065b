//! Contexts and providers: whether they can be understood, and whether their author may write what they say.

use ccos_plan::object::provider_kind;
use ccos_plan::wire::{self, FieldError};
use ccos_plan::{AnyContext, AnyProvider, trust};
use ccos_policy::{Cause, Denial, Denials, Unheld};
use ccos_supply::watchlist::Watchlist;
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
    Ok(Allowed { changes: Vec::new(), warnings: expired.into_iter().chain(unheld).collect() })
}

/// A provider that its author wants to write; `refused` as for a context.
///
/// # Errors
/// All fields that can't be understood; otherwise all that the author may not use; otherwise the lists that speak of it.
pub fn provider(object: &AnyProvider, requester: &str, refused: &[Question], watchlist: &Watchlist) -> Verdict {
    let unheld = wire::provider(object).map_err(Refusal::Invalid)?;
    may_write(requester, refused)?;
    unlisted(object, watchlist)?;
    let warning = |unheld: &Unheld| {
        let field = unheld.field.as_str().trim_start_matches("provider.");
        format!("{field}: executions of it are refused as Unenforceable: {}", unheld.advice)
    };
    let warnings = unheld.iter().map(warning).chain(wire::unreasonable(object)).collect();
    Ok(Allowed { changes: Vec::new(), warnings })
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

fn may_write(requester: &str, refused: &[Question]) -> Result<(), Refusal> {
    let error =
        |question: &Question| FieldError { field: question.field.clone(), message: question.refusal(requester) };
    if refused.is_empty() { Ok(()) } else { Err(Refusal::Forbidden(refused.iter().map(error).collect())) }
}
