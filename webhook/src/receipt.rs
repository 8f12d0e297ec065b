//! Receipts at admission: the mutating webhook makes one, the validating webhook holds it against what it sees.

use ccos_crds::{CapabilityExecution, RECEIPT_ANNOTATION};
use ccos_plan::digest;
use ccos_plan::receipt::{self, Claims, FRESHNESS, Keys, ReceiptError, Requester};
use ccos_plan::{AnyContext, AnyProvider};
use ccos_policy::Admitted;
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::admission::{Change, Request};

/// The annotation as a field path, for messages.
pub const FIELD: &str = "metadata.annotations[security.ccos.dev/receipt]";

/// A new key: what a nonce is made of too.
///
/// # Errors
/// If the operating system has no randomness.
pub fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Why no receipt could be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum StampError {
    #[error("no randomness for a nonce")]
    Nonce(#[from] getrandom::Error),
    #[error("no digest for the receipt")]
    Digest(#[from] digest::NotCanonical),
}

/// Makes the receipt of an admission.
///
/// # Errors
/// If it can't be written.
pub fn stamp(
    object: &CapabilityExecution,
    request: &Request,
    (context, provider): (&AnyContext, &AnyProvider),
    admitted: &Admitted,
    key: &SigningKey,
    now: Timestamp,
) -> Result<String, StampError> {
    use std::fmt::Write as _;
    let nonce = random()?.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let admission = receipt::Admission {
        void: request.is_dry_run(),
        nonce,
        now,
        namespace: request.namespace.as_deref().unwrap_or_default(),
        requester: request.requester(),
        context,
        provider,
    };
    Ok(receipt::sign(receipt::claims(object, admission, admitted)?, key)?)
}

/// The change that makes the annotation this and nothing else.
#[must_use]
pub fn change(object: &CapabilityExecution, wanted: Option<&str>) -> Option<Change> {
    let annotations = object.metadata.annotations.as_ref();
    let present = annotations.and_then(|all| all.get(RECEIPT_ANNOTATION)).map(String::as_str);
    // RFC 6901: `~` and `/` of a key are escaped.
    let path = format!("/metadata/annotations/{}", RECEIPT_ANNOTATION.replace('~', "~0").replace('/', "~1"));
    match (present, wanted) {
        (present, wanted) if present == wanted => None,
        (_, None) => Some(Change::Remove { path }),
        (_, Some(receipt)) if annotations.is_none() => Some(Change::Add {
            path: "/metadata/annotations".to_owned(),
            value: serde_json::json!({RECEIPT_ANNOTATION: receipt}),
        }),
        (_, Some(receipt)) => Some(Change::Add { path, value: receipt.into() }),
    }
}

/// Why a receipt is none of this request's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Unfit {
    #[error("{0}")]
    Receipt(#[from] ReceiptError),
    #[error("it is not of a dry run, and this is one")]
    NotVoid,
    #[error("it was given to {found}")]
    Requester { found: String },
    #[error("the webhooks decided differently: do all replicas have the same version and profile?")]
    Decision,
    #[error("no digest: {0}")]
    Digest(String),
}

/// The receipt of an object that is being created, as far as the request alone can tell: ours, and made for it.
///
/// # Errors
/// Why it is not.
pub fn read(object: &CapabilityExecution, request: &Request, keys: &Keys, now: Timestamp) -> Result<Claims, Unfit> {
    let text = object.annotations().get(RECEIPT_ANNOTATION).ok_or(ReceiptError::Missing)?;
    let claims = receipt::verify(text, keys)?;
    match (claims.void, request.is_dry_run()) {
        (true, false) => return Err(ReceiptError::Void.into()),
        (false, true) => return Err(Unfit::NotVoid),
        (true, true) | (false, false) => {}
    }
    foreign("namespace", &claims.namespace, request.namespace.as_deref().unwrap_or_default())?;
    // Absent where the API server made the name up after the receipt was made.
    if let Some(name) = &claims.name {
        foreign("name", name, &object.name_any())?;
    } else if object.metadata.generate_name.is_none() {
        foreign("name", "", &object.name_any())?;
    }
    if claims.requester != request.requester() {
        let Requester { user, groups: _, uid: _, extra: _ } = claims.requester;
        return Err(Unfit::Requester { found: format!("user {user:?}, or to the same user in other groups") });
    }
    if receipt::spec_digest(&object.spec).map_err(|error| Unfit::Digest(error.to_string()))? != claims.spec_digest {
        return Err(ReceiptError::SpecChanged.into());
    }
    if now.duration_since(claims.admitted_at).abs() > FRESHNESS {
        return Err(ReceiptError::Stale { admitted_at: claims.admitted_at, created_at: now }.into());
    }
    Ok(claims)
}

/// Whether the receipt speaks of these very objects, and of this decision.
///
/// # Errors
/// Why it does not.
pub fn fits(
    claims: &Claims,
    (context, provider): (&AnyContext, &AnyProvider),
    id: &str,
    admitted: &Admitted,
) -> Result<(), Unfit> {
    receipt::check_references(claims, context, provider, id)?;
    if digest::sha256(admitted).map_err(|error| Unfit::Digest(error.to_string()))? != claims.decision_digest {
        return Err(Unfit::Decision);
    }
    Ok(())
}

/// Whether these are the objects, in the state in which the receipt was made.
#[must_use]
pub fn same_state(claims: &Claims, context: Option<&AnyContext>, provider: Option<&AnyProvider>) -> bool {
    let state = |metadata: &kube::core::ObjectMeta| (metadata.uid.clone(), metadata.generation);
    context.map(|context| state(context.metadata()))
        == Some((Some(claims.context_uid.clone()), Some(claims.context_generation)))
        && provider.map(|provider| state(provider.metadata()))
            == Some((Some(claims.provider_uid.clone()), Some(claims.provider_generation)))
}

fn foreign(what: &'static str, found: &str, expected: &str) -> Result<(), ReceiptError> {
    if found == expected {
        return Ok(());
    }
    Err(ReceiptError::Foreign { what, found: found.to_owned(), expected: expected.to_owned() })
}
