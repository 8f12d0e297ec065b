//! Whether a provider is believed: by what the controller found out and wrote into its status, and by the lists of what is
//! malicious or denied.
//!
//! The controller alone writes the status of providers (an admission policy of the chart sees to it), so that the webhook,
//! which has no network, can rely on it.

mod standing;

use std::fmt;
use std::sync::Arc;

use ccos_crds::conditions;
use ccos_crds::provider::{CapabilityProviderStatus, Cosign, Image as WireImage, Source};
use ccos_supply::image::{Digest, Image};
use ccos_supply::watchlist::{Listed, Suspect, Watchlist};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;

use crate::object::AnyProvider;
pub use standing::{Found, Resolution, Verification, status};

/// The label of ConfigMaps, in the operator's namespace, that hold lists.
pub const LIST_LABEL: &str = "security.ccos.dev/malicious-list";

/// The ConfigMap, in the operator's namespace, that holds Sigstore's trust root.
pub const TRUST_ROOT: &str = "ccos-trust-root";

/// What is known besides what a provider says of itself.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Nothing: there is no cluster to ask. What only a cluster knows denies nothing.
    Offline,
    /// The lists; and the provider's status is the controller's.
    Cluster(Arc<Watchlist>),
}

/// Who must have signed a provider's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Whoever has the private half of this key, in PEM.
    Key(String),
    /// The same, of a key of a Secret.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its key.
        key: String,
    },
    /// Whom an issuer vouches for.
    Keyless {
        /// The issuer.
        issuer: String,
        /// Who.
        identity: String,
    },
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(_) => f.write_str("the provider's public key"),
            Self::Secret { namespace, name, key } => write!(f, "the public key {key:?} of Secret {namespace}/{name}"),
            Self::Keyless { issuer, identity } => write!(f, "{identity:?}, by {issuer:?}"),
        }
    }
}

/// Reads the lists of ConfigMaps: each value of each is one.
#[must_use]
pub fn watchlist(config_maps: &[Arc<ConfigMap>]) -> Watchlist {
    let mut lists = Vec::new();
    for map in config_maps {
        let place = |key: &str| format!("ConfigMap {}/{}, {key}", map.namespace().unwrap_or_default(), map.name_any());
        lists.extend(map.data.iter().flatten().map(|(key, text)| (place(key), text.as_str())));
        // What its owner meant to deny must not be left out for where it stands.
        lists.extend(map.binary_data.iter().flatten().map(|(key, _)| (place(key), "it is binary")));
    }
    Watchlist::read(lists)
}

/// The image of a provider, and what runs of it, as far as that is known.
#[must_use]
pub fn image(provider: &AnyProvider) -> Option<(Image, Option<Digest>)> {
    let wire = provider.spec().source.image.as_ref()?;
    let image = Image::parse(&wire.reference).ok()?;
    let digest = image.digest().cloned().or_else(|| pinned(provider, wire));
    Some((image, digest))
}

/// What a tag named when it was looked up, for this reference and version.
fn pinned(provider: &AnyProvider, image: &WireImage) -> Option<Digest> {
    let pin = provider.status()?.image.as_ref()?;
    let same = pin.reference == image.reference && pin.version == provider.spec().version;
    Digest::parse(&pin.digest).ok().filter(|_| same)
}

/// The source as it runs: a tag that was looked up is replaced by what it named. This is what receipts bind, and what pods
/// are made of.
#[must_use]
pub fn source(provider: &AnyProvider) -> Source {
    let mut source = provider.spec().source.clone();
    if let (Some(wire), Some((image, Some(digest)))) = (&mut source.image, self::image(provider))
        && image.tag().is_some()
    {
        wire.reference = image.at(&digest);
    }
    source
}

/// Who must have signed it. `None`: nobody.
#[must_use]
pub fn demand(provider: &AnyProvider) -> Option<Demand> {
    let Cosign { public_key, public_key_secret_ref, keyless } = &provider.spec().signature.as_ref()?.cosign;
    let secret = public_key_secret_ref.as_ref().map(|secret| Demand::Secret {
        namespace: match provider {
            AnyProvider::Namespaced(object) => object.namespace().unwrap_or_default(),
            AnyProvider::Cluster(_) => secret.namespace.clone().unwrap_or_default(),
        },
        name: secret.key.name.clone(),
        key: secret.key.key.clone(),
    });
    let keyless = keyless
        .as_ref()
        .map(|keyless| Demand::Keyless { issuer: keyless.issuer.clone(), identity: keyless.identity.clone() });
    // One without any is refused when it is applied. A demand that nobody can meet is what it means.
    Some(public_key.clone().map(Demand::Key).or(secret).or(keyless).unwrap_or(Demand::Key(String::new())))
}

/// Whether the signature that it demands was verified, over what runs; `None`: it demands none.
#[must_use]
pub fn is_signed(provider: &AnyProvider) -> Option<bool> {
    demand(provider)?;
    Some(is_verified(provider, image(provider).and_then(|(_, digest)| digest).as_ref()))
}

/// The records that speak of a provider.
#[must_use]
pub fn listed(provider: &AnyProvider, watchlist: &Watchlist) -> Vec<Listed> {
    let (spec, metadata) = (provider.spec(), provider.metadata());
    let version = semver::Version::parse(&spec.version).ok();
    let found = image(provider);
    let keyless = spec.signature.as_ref().and_then(|signature| signature.cosign.keyless.as_ref());
    watchlist.of(&Suspect {
        namespace: metadata.namespace.as_deref(),
        name: metadata.name.as_deref().unwrap_or_default(),
        version: version.as_ref(),
        image: found.as_ref().map(|(image, _)| image),
        digest: found.as_ref().and_then(|(_, digest)| digest.as_ref()),
        publisher: keyless.map(|keyless| (keyless.issuer.as_str(), keyless.identity.as_str())),
    })
}

/// Why a provider is not believed; empty if it is.
#[must_use]
pub fn doubts(provider: &AnyProvider, trust: &Trust) -> Vec<String> {
    let Trust::Cluster(watchlist) = trust else { return Vec::new() };
    let mut doubts: Vec<String> = listed(provider, watchlist).iter().map(ToString::to_string).collect();
    doubts.extend(unreadable(watchlist));
    let wants_image = provider.spec().source.image.is_some();
    let digest = image(provider).and_then(|(_, digest)| digest);
    if wants_image && digest.is_none() {
        doubts.push(format!("its tag is not looked up yet{}", said(provider, conditions::PINNED)));
    }
    if demand(provider).is_some() && !is_verified(provider, digest.as_ref()) {
        doubts.push(format!("its signature is not verified{}", said(provider, conditions::VERIFIED)));
    }
    doubts
}

/// Whether the controller has looked at a provider as it is now, and found an answer. Until then nothing is known that could
/// end what waits: a new version is looked up within moments, and a registry or a key that is away comes back.
#[must_use]
pub fn is_settled(provider: &AnyProvider) -> bool {
    let state = |kind| provider.status().and_then(|status| condition(status, provider, kind)).map(|one| &one.status);
    let pinned = image(provider).is_none_or(|(image, _)| image.tag().is_none() || state(conditions::PINNED).is_some());
    let verified = demand(provider).is_none() || state(conditions::VERIFIED).is_some_and(|state| state != "Unknown");
    pinned && verified
}

/// That a list can't be read, if one can't: then nothing is known not to be listed.
#[must_use]
pub fn unreadable(watchlist: &Watchlist) -> Option<String> {
    let faults = watchlist.faults();
    (!faults.is_empty()).then(|| format!("a list of malicious providers can't be read: {}", faults.join("; ")))
}

/// Of this generation, and over this digest.
fn is_verified(provider: &AnyProvider, digest: Option<&Digest>) -> bool {
    let Some(status) = provider.status() else { return false };
    let over = status.verified.as_ref().map(|verified| verified.digest.as_str());
    let holds = condition(status, provider, conditions::VERIFIED).is_some_and(|one| one.status == "True");
    holds && over.is_some() && over == digest.map(Digest::as_str)
}

/// What a condition of this generation says.
fn said(provider: &AnyProvider, kind: &str) -> String {
    match provider.status().and_then(|status| condition(status, provider, kind)) {
        Some(one) => format!(": {}: {}", one.reason, one.message),
        None => format!(": wait for its condition {kind}"),
    }
}

fn condition<'a>(
    status: &'a CapabilityProviderStatus,
    provider: &AnyProvider,
    kind: &str,
) -> Option<&'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    let all = status.conditions.iter();
    all.filter(|one| one.observed_generation == provider.metadata().generation).find(|one| one.type_ == kind)
}

/// What can't be told of a provider without a cluster.
#[must_use]
pub fn unseen(provider: &AnyProvider) -> Vec<String> {
    let tag = image(provider).filter(|(image, _)| image.tag().is_some());
    let tag = tag.map(|(image, _)| {
        format!("what the tag {:?} names is looked up in the cluster", image.tag().unwrap_or_default())
    });
    let signature = demand(provider).map(|demand| format!("that it is signed by {demand} is verified in the cluster"));
    tag.into_iter().chain(signature).collect()
}
