//! Signatures of cosign, by Sigstore's own library.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ccos_plan::trust::Verification;
use ccos_supply::image::{Digest, Image};
use ccos_supply::trust_root::TrustRoot;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use sigstore::cosign::bundle_content::BundleContent;
use sigstore::cosign::signature_layers::{CertificateSubject, SignatureLayer};
use sigstore::cosign::{Client, ClientBuilder, CosignCapabilities as _};
use sigstore::crypto::{CosignVerificationKey, Signature};
use sigstore::registry::{Auth, OciReference};
use sigstore::trust::ManualTrustRoot;

use super::registry::{PATIENCE, Registries};
use crate::chain;

/// How many faults are told of one image: it may have many signatures.
const TOLD: usize = 4;

/// What a signature has to be made by, with all that it takes to verify that offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    /// Whoever has the private half of this key, in PEM.
    Key(String),
    /// Whom an issuer vouches for.
    Keyless { issuer: String, identity: String, root: TrustRoot },
}

/// Looks for a signature of an image. `against` and `by` are what is said of a good one.
pub(crate) async fn verify(
    registries: &Registries,
    image: &Image,
    digest: &Digest,
    signer: &Signer,
    (against, by): (String, String),
) -> Verification {
    match find(registries, image, digest, signer).await {
        Ok(()) => Verification::Verified { digest: digest.clone(), against, by },
        Err(verification) => verification,
    }
}

async fn find(registries: &Registries, image: &Image, digest: &Digest, signer: &Signer) -> Result<(), Verification> {
    let refused = |reason, why: String| Verification::Refused { reason, why };
    let unknown = |why: String| Verification::Unknown { reason: "RegistryFailed", why };
    // Before anything is asked of the network: what can't be met has not to be looked for.
    let wanted = Wanted::of(signer).map_err(|why| refused("KeyInvalid", why))?;
    // It also shows that a client can be made: the library makes another one where it can't.
    let named = registries.digest(image, &image.at(digest)).await.map_err(|error| match error.reason() {
        reason @ "RegistryFailed" => Verification::Unknown { reason, why: error.to_string() },
        reason => refused(reason, error.to_string()),
    })?;
    if named != *digest {
        return Err(unknown(format!("asked for {digest}, the registry answers with {named}")));
    }
    let mut client = client(registries, signer).map_err(|error| refused("NoTrustRoot", chain(&error)))?;
    let reference: OciReference =
        image.at(digest).parse().map_err(|error: sigstore::errors::SigstoreError| refused("NoImage", chain(&error)))?;
    let layers = tokio::time::timeout(PATIENCE, client.trusted_signature_layers(&Auth::Anonymous, &reference));
    let layers = match layers.await {
        Ok(Ok(layers)) => layers,
        Ok(Err(error)) => return Err(unknown(chain(&error))),
        Err(_) => return Err(unknown(format!("the registry did not answer within {PATIENCE:?}"))),
    };
    if layers.is_empty() {
        let why =
            format!("the registry has no signature of {digest} that could be read: sign it by cosign, over the digest");
        return Err(refused("NotSigned", why));
    }
    let mut faults = Vec::new();
    for layer in &layers {
        // The library looks, too; what is signed is the one thing that must not depend on its version.
        if !layer.simple_signing.satisfies_manifest_digest(digest.as_str()) {
            faults.push("it is of another image".to_owned());
            continue;
        }
        match wanted.is_met_by(layer) {
            Ok(()) => return Ok(()),
            Err(why) => faults.push(why),
        }
    }
    faults.dedup();
    faults.truncate(TOLD);
    Err(refused(
        "SignatureInvalid",
        format!("none of {} signatures of {digest} is good: {}", layers.len(), faults.join("; ")),
    ))
}

fn client(registries: &Registries, signer: &Signer) -> sigstore::errors::Result<Client> {
    let mut root = ManualTrustRoot::default();
    if let Signer::Keyless { root: TrustRoot { authorities, logs }, .. } = signer {
        root.fulcio_certs = authorities.iter().map(|der| der.clone().into()).collect();
        root.rekor_keys = logs.clone();
    }
    ClientBuilder::default().with_oci_client_config(registries.cosign_config()).with_trust_repository(&root)?.build()
}

/// What a signature has to be.
enum Wanted<'a> {
    Key(CosignVerificationKey),
    Keyless { issuer: &'a str, identity: &'a str },
}

impl<'a> Wanted<'a> {
    fn of(signer: &'a Signer) -> Result<Self, String> {
        match signer {
            Signer::Key(pem) => CosignVerificationKey::try_from_pem(pem.as_bytes())
                .map(Self::Key)
                .map_err(|error| format!("expected a public key in PEM: {}", chain(&error))),
            Signer::Keyless { issuer, identity, root: _ } => Ok(Self::Keyless { issuer, identity }),
        }
    }

    /// Whether a signature is the wanted one. That it is over the digest, and that a certificate and a log's entry are of the
    /// trust root, the library has found before it hands a layer out.
    fn is_met_by(&self, layer: &SignatureLayer) -> Result<(), String> {
        match self {
            Self::Key(key) => signed_by(layer, key),
            Self::Keyless { issuer, identity } => {
                let Some(certificate) = &layer.certificate_signature else {
                    return Err("it has no certificate of the trust root".to_owned());
                };
                let subject = match &certificate.subject {
                    CertificateSubject::Email(subject) | CertificateSubject::Uri(subject) => subject,
                };
                if certificate.issuer.as_deref() != Some(issuer) || subject != identity {
                    let issuer = certificate.issuer.as_deref().unwrap_or("nobody");
                    return Err(format!("it is by {subject:?}, for whom {issuer:?} vouches"));
                }
                // Neither does the library do itself.
                signed_by(layer, &certificate.verification_key)?;
                logged(layer)
            }
        }
    }
}

fn signed_by(layer: &SignatureLayer, key: &CosignVerificationKey) -> Result<(), String> {
    let signature = layer.signature.as_deref().ok_or("it is empty")?;
    key.verify_signature(Signature::Base64Encoded(signature.as_bytes()), &layer.raw_data)
        .map_err(|_| "it is by another key".to_owned())
}

/// That the log's entry is of this signature. A certificate lives for minutes: without this, whoever gets hold of its key
/// later could show any old entry of the log as the time of a new signature.
fn logged(layer: &SignatureLayer) -> Result<(), String> {
    let bundle = match &layer.bundle {
        // Of these the library compares the entry itself.
        Some(BundleContent::SigstoreBundle(_)) => return Ok(()),
        Some(BundleContent::RekorBundle(bundle)) => bundle,
        None => return Err("no log has it".to_owned()),
    };
    let unread = |error: &dyn std::error::Error| format!("its entry of the log can't be read: {error}");
    let body = BASE64.decode(&bundle.payload.body).map_err(|error| unread(&error))?;
    let Entry { kind, spec } = serde_json::from_slice(&body).map_err(|error| unread(&error))?;
    let digest = Sha256::digest(&layer.raw_data).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    let same = kind == "hashedrekord"
        && spec.data.hash.algorithm == "sha256"
        && spec.data.hash.value == digest
        && Some(spec.signature.content.as_str()) == layer.signature.as_deref();
    if same { Ok(()) } else { Err("its entry of the log is of another signature".to_owned()) }
}

#[derive(Deserialize)]
struct Entry {
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    data: Data,
    signature: Content,
}

#[derive(Deserialize)]
struct Data {
    hash: Hash,
}

#[derive(Deserialize)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
struct Content {
    content: String,
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
