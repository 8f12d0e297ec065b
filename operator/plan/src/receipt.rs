//! The receipt: what the webhook decided, signed, so that a webhook that was down or bypassed fails closed.
//!
//! The webhook alone holds the private key. Anyone can verify a receipt offline with the public keys, which are in the
//! ConfigMap `ccos-receipt-keys`, by their `kid`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ccos_crds::execution::CapabilityExecutionSpec;
use ccos_crds::{CapabilityExecution, RECEIPT_ANNOTATION};
use ccos_policy::Admitted;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::{self, NotCanonical};
use crate::object::{AnyContext, AnyProvider};
use crate::trust;

/// How far apart the decision and the object's creation may lie. One admission takes seconds; a receipt that waits
/// longer than this for its object was kept back.
pub const FRESHNESS: SignedDuration = SignedDuration::from_secs(60);

/// The longest receipt that is read, in bytes: groups of the requester are its only long part.
pub const RECEIPT_LIMIT: usize = 64 * 1024;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Claims {
    /// 1.
    pub version: u32,
    /// Of a dry run: good for nothing.
    pub void: bool,
    /// Unique to this admission.
    pub nonce: String,
    /// When it was decided.
    pub admitted_at: Timestamp,
    /// The execution's namespace.
    pub namespace: String,
    /// The execution's name; absent where the API server generates it after admission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who asked.
    pub requester: Requester,
    /// UID of the context that granted it.
    #[serde(rename = "contextUID")]
    pub context_uid: String,
    /// Generation of that context.
    pub context_generation: i64,
    /// Digest of that context's volumes: what is mounted, and where.
    pub volumes_digest: String,
    /// UID of the provider.
    #[serde(rename = "providerUID")]
    pub provider_uid: String,
    /// Generation of that provider.
    pub provider_generation: i64,
    /// Digest of the provider's source, with what its tag named in place of the tag.
    pub source_digest: String,
    /// Digest of the capability: its command, and what it requires.
    pub capability_digest: String,
    /// Digest of the execution's spec without `desiredState`.
    pub spec_digest: String,
    /// Digest of the decision.
    pub decision_digest: String,
}

/// Who asked, as the API server knew them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requester {
    /// The user's name.
    pub user: String,
    /// The user's groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The user's UID, where the authenticator has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// What else the authenticator said; authorizers may look at it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    kid: String,
    claims: Claims,
    signature: String,
}

/// Public keys by their `kid`.
#[derive(Clone, Debug, Default)]
pub struct Keys(BTreeMap<String, VerifyingKey>);

/// Why a receipt does not allow a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ReceiptError {
    #[error(
        "there is none: the object did not pass the webhook; delete it, see that the webhook runs, and create it again"
    )]
    Missing,
    #[error("it can't be read: {0}")]
    Malformed(String),
    #[error("it is signed by the unknown key {0:?}")]
    UnknownKey(String),
    #[error("its signature does not fit")]
    Forged,
    #[error("it is of a dry run")]
    Void,
    #[error("it was given to another execution: its {what} is {found:?}, expected {expected:?}")]
    Foreign { what: &'static str, found: String, expected: String },
    #[error("it was given at {admitted_at}, the object was created at {created_at}: more than {}s apart", FRESHNESS.as_secs())]
    Stale { admitted_at: Timestamp, created_at: Timestamp },
    #[error("its nonce was used by another execution")]
    Replayed,
    #[error("the {0} that it speaks of was replaced")]
    Replaced(&'static str),
    #[error("the spec is not the one that was admitted")]
    SpecChanged,
}

/// The name of a key: the start of the SHA-256 of its public half.
#[must_use]
pub fn kid(key: &VerifyingKey) -> String {
    use std::fmt::Write as _;
    Sha256::digest(key.as_bytes()).iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A public key as the ConfigMap has it.
#[must_use]
pub fn encode_key(key: &VerifyingKey) -> String {
    BASE64.encode(key.as_bytes())
}

impl Keys {
    /// Reads the ConfigMap's data. A key whose `kid` is not its own is left out: it could not have been made by us.
    pub fn read<'a>(data: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        Self(
            data.into_iter()
                .filter_map(|(name, text)| {
                    let bytes: [u8; 32] = BASE64.decode(text).ok()?.try_into().ok()?;
                    let key = VerifyingKey::from_bytes(&bytes).ok()?;
                    (kid(&key) == *name).then_some((name.clone(), key))
                })
                .collect(),
        )
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Digest of a spec without `desiredState`, the one field that may change.
///
/// # Errors
/// If the spec is no JSON.
pub fn spec_digest(spec: &CapabilityExecutionSpec) -> Result<String, NotCanonical> {
    let mut spec = spec.clone();
    spec.desired_state = None;
    digest::sha256(&spec)
}

/// Signs claims: the value of the annotation.
///
/// # Errors
/// If the claims are no JSON.
pub fn sign(claims: Claims, key: &SigningKey) -> Result<String, NotCanonical> {
    let signature = BASE64.encode(key.sign(&digest::canonical(&claims)?).to_bytes());
    let kid = kid(&key.verifying_key());
    Ok(String::from_utf8_lossy(&digest::canonical(&Envelope { kid, claims, signature })?).into_owned())
}

/// Reads a receipt whose signature is good. What it says has still to be held against the object: [`check`].
///
/// # Errors
/// Why it is no receipt of ours.
pub fn verify(text: &str, keys: &Keys) -> Result<Claims, ReceiptError> {
    if text.len() > RECEIPT_LIMIT {
        return Err(ReceiptError::Malformed(format!("{} bytes, expected at most {RECEIPT_LIMIT}", text.len())));
    }
    let Envelope { kid, claims, signature } =
        serde_json::from_str(text).map_err(|error| ReceiptError::Malformed(error.to_string()))?;
    let key = keys.0.get(&kid).ok_or(ReceiptError::UnknownKey(kid))?;
    let signature = BASE64
        .decode(signature)
        .ok()
        .and_then(|bytes| Signature::from_slice(&bytes).ok())
        .ok_or(ReceiptError::Malformed("the signature is no Ed25519 signature in base64".to_owned()))?;
    let signed = digest::canonical(&claims).map_err(|error| ReceiptError::Malformed(error.to_string()))?;
    // Strict: no second signature of the same claims can be made from a first one.
    key.verify_strict(&signed, &signature).map_err(|_| ReceiptError::Forged)?;
    Ok(claims)
}

/// Whether an execution shows a receipt with this nonce, and one that speaks of itself: another's is nothing that it was
/// ever given, and must not stand in that one's way.
#[must_use]
pub fn shows_nonce(object: &CapabilityExecution, nonce: &str) -> bool {
    let Some(text) = object.annotations().get(RECEIPT_ANNOTATION) else { return false };
    // Most have not: look before parsing.
    let claims = (text.len() <= RECEIPT_LIMIT && text.contains(nonce))
        .then(|| serde_json::from_str::<Envelope>(text).ok())
        .flatten()
        .map(|envelope| envelope.claims);
    claims.is_some_and(|claims| {
        claims.nonce == nonce
            && Some(claims.namespace) == object.namespace()
            && claims.name.is_none_or(|name| name == object.name_any())
    })
}

/// Who a receipt was given to, by its own word, which is not verified: good to know whom to ask about, and not to allow
/// anything by.
#[must_use]
pub fn requester(text: &str) -> Option<Requester> {
    if text.len() > RECEIPT_LIMIT {
        return None;
    }
    serde_json::from_str::<Envelope>(text).ok().map(|envelope| envelope.claims.requester)
}

/// The receipt of a stored execution, held against the object and against what it speaks of.
///
/// `nonce_is_used` tells whether another execution has shown the nonce.
///
/// # Errors
/// Why this execution may not run.
pub fn check(
    object: &CapabilityExecution,
    keys: &Keys,
    nonce_is_used: impl FnOnce(&str) -> bool,
) -> Result<Claims, ReceiptError> {
    let text = object.annotations().get(RECEIPT_ANNOTATION).ok_or(ReceiptError::Missing)?;
    let claims = verify(text, keys)?;
    if claims.void {
        return Err(ReceiptError::Void);
    }
    let namespace = object.namespace().unwrap_or_default();
    if claims.namespace != namespace {
        return Err(ReceiptError::Foreign { what: "namespace", found: claims.namespace, expected: namespace });
    }
    let name = object.name_any();
    if let Some(found) = claims.name.as_ref().filter(|found| **found != name) {
        return Err(ReceiptError::Foreign { what: "name", found: found.clone(), expected: name });
    }
    let spec = spec_digest(&object.spec).map_err(|error| ReceiptError::Malformed(error.to_string()))?;
    if spec != claims.spec_digest {
        return Err(ReceiptError::SpecChanged);
    }
    let created_at = object.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    // The API server writes whole seconds; the decision comes just before.
    if created_at.duration_since(claims.admitted_at).abs() > FRESHNESS {
        return Err(ReceiptError::Stale { admitted_at: claims.admitted_at, created_at });
    }
    if nonce_is_used(&claims.nonce) {
        return Err(ReceiptError::Replayed);
    }
    Ok(claims)
}

/// Whether what the receipt speaks of is still there, and still what it was: an object of the same name with another UID is
/// another one.
///
/// # Errors
/// What was replaced.
pub fn check_references(
    claims: &Claims,
    context: &AnyContext,
    provider: &AnyProvider,
    id: &str,
) -> Result<(), ReceiptError> {
    if context.metadata().uid.as_deref() != Some(claims.context_uid.as_str()) {
        return Err(ReceiptError::Replaced("context"));
    }
    if provider.metadata().uid.as_deref() != Some(claims.provider_uid.as_str()) {
        return Err(ReceiptError::Replaced("provider"));
    }
    let malformed = |error: NotCanonical| ReceiptError::Malformed(error.to_string());
    // Whoever may edit the context must not choose the files that somebody else's code is, or gets. What else it grants is
    // decided again.
    if digest::sha256(&context.spec().volumes).map_err(malformed)? != claims.volumes_digest {
        return Err(ReceiptError::Replaced("context's list of volumes"));
    }
    let source = digest::sha256(&trust::source(provider)).map_err(malformed)?;
    let capability = capability_digest(provider, id).map_err(malformed)?;
    if source != claims.source_digest {
        return Err(ReceiptError::Replaced("provider's source"));
    }
    // Whoever may edit the provider must not choose the command after somebody else was admitted, with that one's Secrets.
    if capability != claims.capability_digest {
        return Err(ReceiptError::Replaced("capability"));
    }
    Ok(())
}

/// Digest of a provider's capability; of nothing where it has none of this id.
fn capability_digest(provider: &AnyProvider, id: &str) -> Result<String, NotCanonical> {
    digest::sha256(&provider.spec().capabilities.iter().find(|capability| capability.id == id))
}

/// The claims of an admission.
///
/// # Errors
/// If a part of it is no JSON.
pub fn claims(
    object: &CapabilityExecution,
    admission: Admission<'_>,
    admitted: &Admitted,
) -> Result<Claims, NotCanonical> {
    let Admission { void, nonce, now, namespace, requester, context, provider } = admission;
    Ok(Claims {
        version: 1,
        void,
        nonce,
        admitted_at: now,
        namespace: namespace.to_owned(),
        name: object.metadata.name.clone().filter(|name| !name.is_empty()),
        requester,
        context_uid: context.metadata().uid.clone().unwrap_or_default(),
        context_generation: context.metadata().generation.unwrap_or_default(),
        volumes_digest: digest::sha256(&context.spec().volumes)?,
        provider_uid: provider.metadata().uid.clone().unwrap_or_default(),
        provider_generation: provider.metadata().generation.unwrap_or_default(),
        source_digest: digest::sha256(&trust::source(provider))?,
        capability_digest: capability_digest(provider, &object.spec.capability_ref.id)?,
        spec_digest: spec_digest(&object.spec)?,
        decision_digest: digest::sha256(admitted)?,
    })
}

/// What an admission knows besides the object and the decision.
#[derive(Debug)]
pub struct Admission<'a> {
    /// Whether it is a dry run.
    pub void: bool,
    /// A random text.
    pub nonce: String,
    /// When it is decided.
    pub now: Timestamp,
    /// The namespace of the request.
    pub namespace: &'a str,
    /// Who asks.
    pub requester: Requester,
    /// The context that grants it.
    pub context: &'a AnyContext,
    /// The provider of what runs.
    pub provider: &'a AnyProvider,
}
