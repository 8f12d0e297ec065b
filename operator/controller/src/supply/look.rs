//! Looks at one provider: what runs of it, and whether it is signed as it has to be.

use ccos_crds::provider::CapabilityProviderStatus;
use ccos_plan::trust::{self, Demand, Found, Resolution, Verification};
use ccos_plan::{AnyProvider, digest};
use ccos_supply::image::{Digest, Image};
use ccos_supply::trust_root::TrustRoot;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;

use super::lists;
use super::verify::{Signer, verify};
use crate::chain;
use crate::ctx::Ctx;

/// Looks, asking registries only for what is not known yet.
pub(crate) async fn look(ctx: &Ctx, provider: &AnyProvider) -> Found {
    let Some((image, known)) = trust::image(provider) else {
        // A module, or a reference that can't be understood: Valid says so.
        let resolution = Resolution::Unresolved { reason: "NoImage", why: "it has no image that could run".to_owned() };
        let why = resolution_why(&resolution);
        let unknown = Verification::Unknown { reason: "NotPinned", why };
        let verification = trust::demand(provider).map_or(Verification::NotDemanded, |_| unknown);
        return Found { resolution, verification };
    };
    let resolution = resolve(ctx, &image, known).await;
    let verification = match (trust::demand(provider), resolution.digest()) {
        (None, _) => Verification::NotDemanded,
        (Some(_), None) => Verification::Unknown { reason: "NotPinned", why: resolution_why(&resolution) },
        (Some(demand), Some(digest)) => signature(ctx, provider.status(), &image, digest, &demand).await,
    };
    Found { resolution, verification }
}

fn resolution_why(resolution: &Resolution) -> String {
    match resolution {
        Resolution::Unresolved { reason: _, why } => why.clone(),
        Resolution::ByDigest(_) | Resolution::Resolved(_) | Resolution::Moved { .. } => String::new(),
    }
}

/// What was looked up once stays; the registry is asked all the same, to tell that the tag has moved.
async fn resolve(ctx: &Ctx, image: &Image, known: Option<Digest>) -> Resolution {
    let Some(tag) = image.tag() else {
        return known.map_or_else(
            || Resolution::Unresolved { reason: "NoImage", why: "it names no image".to_owned() },
            Resolution::ByDigest,
        );
    };
    let reference = format!("{}:{tag}", image.repository());
    match (known, ctx.registries.digest(image, &reference).await) {
        (None, Ok(now)) => Resolution::Resolved(now),
        (None, Err(error)) => error.into(),
        (Some(runs), Ok(tag)) if runs != tag => Resolution::Moved { runs, tag },
        // What runs is known, whatever the registry says.
        (Some(runs), Ok(_) | Err(_)) => Resolution::Resolved(runs),
    }
}

async fn signature(
    ctx: &Ctx,
    before: Option<&CapabilityProviderStatus>,
    image: &Image,
    runs: &Digest,
    demand: &Demand,
) -> Verification {
    let signer = match signer(ctx, demand).await {
        Ok(signer) => signer,
        Err(verification) => return verification,
    };
    let against = match against(&signer) {
        Ok(against) => against,
        Err(error) => return Verification::Unknown { reason: "KeyInvalid", why: chain(&error) },
    };
    let by = demand.to_string();
    // A signature does not wear out: neither a registry that is away nor one that lost it takes it back.
    let verified = before.and_then(|status| status.verified.as_ref());
    if verified.is_some_and(|one| one.digest == runs.as_str() && one.against == against) {
        return Verification::Verified { digest: runs.clone(), against, by };
    }
    verify(&ctx.registries, image, runs, &signer, (against, by)).await
}

fn against(signer: &Signer) -> Result<String, digest::NotCanonical> {
    match signer {
        Signer::Key(pem) => digest::sha256(&("key", pem.trim())),
        Signer::Keyless { issuer, identity, root } => {
            digest::sha256(&("keyless", issuer, identity, &root.authorities, &root.logs))
        }
    }
}

/// What to verify against, with the key or the trust root as they are now.
async fn signer(ctx: &Ctx, demand: &Demand) -> Result<Signer, Verification> {
    match demand {
        Demand::Key(pem) => Ok(Signer::Key(pem.clone())),
        Demand::Secret { namespace, name, key } => {
            let unreadable = |why: String| {
                let why = format!("Secret {namespace}/{name}: {why}");
                Verification::Unknown { reason: "KeyUnreadable", why }
            };
            let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
            let secret = match secrets.get_opt(name).await {
                Ok(Some(secret)) => secret,
                Ok(None) => return Err(unreadable("does not exist".to_owned())),
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    let account = format!("ServiceAccount {}/ccos-controller", ctx.namespace);
                    return Err(unreadable(format!("give {account} the verb get on it, by a Role that names it")));
                }
                Err(error) => return Err(unreadable(chain(&error))),
            };
            let bytes = secret.data.unwrap_or_default().remove(key);
            let bytes = bytes.ok_or_else(|| unreadable(format!("has no key {key:?}")))?;
            String::from_utf8(bytes.0).map(Signer::Key).map_err(|_| unreadable(format!("{key:?} is no text")))
        }
        Demand::Keyless { issuer, identity } => {
            let refused = |why: String| Verification::Refused { reason: "NoTrustRoot", why };
            let map = format!("ConfigMap {}/{}", ctx.namespace, trust::TRUST_ROOT);
            let text = lists::trust_root(&ctx.stores.trust_roots, &ctx.namespace).ok_or_else(|| {
                refused(format!("{map} is not there, or has no trusted_root.json: an administrator has to make it"))
            })?;
            let root = TrustRoot::parse(&text).map_err(|error| refused(format!("{map}: {}", chain(&error))))?;
            Ok(Signer::Keyless { issuer: issuer.clone(), identity: identity.clone(), root })
        }
    }
}
