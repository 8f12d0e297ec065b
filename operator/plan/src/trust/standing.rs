//! A provider's status, from what was found out about it.

use ccos_crds::conditions;
use ccos_crds::provider::{CapabilityProviderStatus, PinnedImage, VerifiedImage};
use ccos_supply::image::Digest;
use ccos_supply::watchlist::Watchlist;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{listed, unreadable};
use crate::object::AnyProvider;
use crate::wire;

/// The longest message of a condition, in characters: the API allows 32 KiB.
const MESSAGE_LIMIT: usize = 8_000;

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What runs.
    pub resolution: Resolution,
    /// Whether it is signed as it has to be.
    pub verification: Verification,
}

/// What a reference names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It says so itself.
    ByDigest(Digest),
    /// It was looked up, now or earlier.
    Resolved(Digest),
    /// It was looked up earlier, and its tag names another image by now.
    Moved {
        /// What runs.
        runs: Digest,
        /// What the tag names now.
        tag: Digest,
    },
    /// Nothing.
    Unresolved {
        /// The condition's reason.
        reason: &'static str,
        /// Why.
        why: String,
    },
}

/// Whether a signature was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// None is demanded.
    NotDemanded,
    /// It is good.
    Verified {
        /// Over this.
        digest: Digest,
        /// Digest of what it was verified against.
        against: String,
        /// Whose it is.
        by: String,
    },
    /// There is none, or none that is good.
    Refused {
        /// The condition's reason.
        reason: &'static str,
        /// Why.
        why: String,
    },
    /// It could not be found out.
    Unknown {
        /// The condition's reason.
        reason: &'static str,
        /// Why.
        why: String,
    },
}

impl Resolution {
    /// What runs.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        match self {
            Self::ByDigest(digest) | Self::Resolved(digest) | Self::Moved { runs: digest, tag: _ } => Some(digest),
            Self::Unresolved { .. } => None,
        }
    }
}

/// The status of a provider.
#[must_use]
pub fn status(
    provider: &AnyProvider,
    found: &Found,
    watchlist: &Watchlist,
    now: Timestamp,
) -> CapabilityProviderStatus {
    let Found { resolution, verification } = found;
    let spec = provider.spec();
    let ids: Vec<&str> = spec.capabilities.iter().map(|capability| capability.id.as_str()).collect();
    let reference = spec.source.image.as_ref().map(|image| image.reference.clone());
    let mut status = CapabilityProviderStatus {
        observed_generation: provider.metadata().generation,
        capabilities: Some(ids.join(",")),
        image: reference.zip(resolution.digest()).map(|(reference, digest)| PinnedImage {
            reference,
            version: spec.version.clone(),
            digest: digest.to_string(),
        }),
        verified: match verification {
            Verification::Verified { digest, against, by: _ } => {
                Some(VerifiedImage { digest: digest.to_string(), against: against.clone() })
            }
            Verification::NotDemanded | Verification::Refused { .. } | Verification::Unknown { .. } => None,
        },
        conditions: Vec::new(),
    };
    let mut add = |kind: &str, (state, reason, message): (&str, &str, String)| {
        let condition = condition(provider, kind, state, reason, &message, now);
        status.conditions.push(condition);
    };
    add(conditions::VALID, valid(provider, watchlist));
    add(conditions::PINNED, pinned(resolution));
    if let Some(verified) = verified(verification) {
        add(conditions::VERIFIED, verified);
    }
    status
}

fn valid(provider: &AnyProvider, watchlist: &Watchlist) -> (&'static str, &'static str, String) {
    if let Err(errors) = wire::provider(provider) {
        return ("False", "Invalid", errors.to_string());
    }
    let listed: Vec<String> = listed(provider, watchlist).iter().map(ToString::to_string).collect();
    if !listed.is_empty() {
        return ("False", "Listed", listed.join("; "));
    }
    match unreadable(watchlist) {
        Some(why) => ("Unknown", "WatchlistUnreadable", why),
        None => ("True", "Valid", String::new()),
    }
}

fn pinned(resolution: &Resolution) -> (&'static str, &'static str, String) {
    match resolution {
        Resolution::ByDigest(_) => ("True", "ByDigest", String::new()),
        Resolution::Resolved(digest) => ("True", "Resolved", format!("{digest} runs")),
        Resolution::Moved { runs, tag } => (
            "True",
            "TagMoved",
            format!(
                "the tag names {tag} by now; {runs} still runs: to run the other, change spec.version or the reference"
            ),
        ),
        Resolution::Unresolved { reason, why } => ("False", reason, why.clone()),
    }
}

fn verified(verification: &Verification) -> Option<(&'static str, &'static str, String)> {
    Some(match verification {
        Verification::NotDemanded => return None,
        Verification::Verified { digest, against: _, by } => {
            ("True", "Verified", format!("{digest} is signed by {by}"))
        }
        Verification::Refused { reason, why } => ("False", reason, why.clone()),
        Verification::Unknown { reason, why } => ("Unknown", reason, why.clone()),
    })
}

fn condition(
    provider: &AnyProvider,
    kind: &str,
    state: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> Condition {
    let before = provider.status().and_then(|status| status.conditions.iter().find(|one| one.type_ == kind));
    let since = before.filter(|before| before.status == state).map(|before| before.last_transition_time.clone());
    Condition {
        last_transition_time: since.unwrap_or(Time(now)),
        message: message.chars().take(MESSAGE_LIMIT).collect(),
        observed_generation: provider.metadata().generation,
        reason: reason.to_owned(),
        status: state.to_owned(),
        type_: kind.to_owned(),
    }
}
