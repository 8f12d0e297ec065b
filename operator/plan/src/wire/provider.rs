//! Providers and their capabilities.

use ccos_crds::Json;
use ccos_crds::execution::CapabilityRef;
use ccos_crds::provider as wire;
use ccos_policy::limits::LimitKind;
use ccos_policy::{Capability, Found, PathPattern, Unheld};
use ccos_supply::image::Image;
use ccos_supply::schema::Schema;

use super::faults::{Faults, FieldErrors, quoted};
use super::permissions::{literal, requires};
use super::unheld::{Feature, Unhelds};
use crate::object::{AnyProvider, provider_kind};

/// Reads all of a provider, for its own admission and its `Valid` condition. Answers with what this release does not
/// hold: executions of it are refused.
///
/// # Errors
/// All fields that can't be understood.
pub fn provider(object: &AnyProvider) -> Result<Vec<Unheld>, FieldErrors> {
    let mut faults = Faults::default();
    let mut unheld = Unhelds::default();
    head(&mut faults, &mut unheld, object);
    for (at, capability) in object.spec().capabilities.iter().enumerate() {
        read(&mut faults, &mut unheld, at, capability);
    }
    faults.none_or(unheld.0)
}

/// What a provider's capabilities require beyond what is reasonable: its author is told, and who runs them needs a context
/// that names as much.
#[must_use]
pub fn unreasonable(object: &AnyProvider) -> Vec<String> {
    let mut found = Vec::new();
    for (at, capability) in object.spec().capabilities.iter().enumerate() {
        let path = format!("spec.capabilities[{at}].requires");
        // Faults are told by `provider`.
        let (mut faults, mut unheld) = (Faults::default(), Unhelds::default());
        let limits = requires(&mut faults, &mut unheld, &path, capability.requires.as_ref()).limits;
        for limit in LimitKind::ALL {
            let (required, reasonable) = (limits.get(limit), limit.reasonable());
            if let (Some(required), Some(reasonable)) = (required, reasonable)
                && required > reasonable
            {
                found.push(format!(
                    "{path}.limits.{limit} {required}: exceeds {reasonable}: only a context that names as much in limits.{limit} runs it"
                ));
            }
        }
    }
    found
}

/// A capability, with what is held against its inputs.
#[derive(Debug)]
pub struct Offered {
    /// What the decision looks at.
    pub capability: Capability,
    /// What its inputs must fit.
    pub inputs: Option<Schema>,
}

/// Finds the capability that an execution names.
#[must_use]
pub fn capability(object: Option<&AnyProvider>, reference: &CapabilityRef) -> Found<Offered> {
    let CapabilityRef { kind, name, id } = reference;
    let kind = provider_kind(*kind);
    let Some(object) = object else { return Found::Missing(format!("{kind} {name:?} not found")) };
    if object.metadata().deletion_timestamp.is_some() {
        return Found::Missing(format!("{kind} {name:?} is being deleted"));
    }
    let found = object.spec().capabilities.iter().enumerate().find(|(_, capability)| capability.id == *id);
    let Some((at, capability)) = found else {
        let ids: Vec<&str> = object.spec().capabilities.iter().map(|capability| capability.id.as_str()).collect();
        return Found::Missing(format!(
            "capability {id:?} of {kind} {name:?} (which has {}) not found",
            ids.join(", ")
        ));
    };
    let mut faults = Faults::default();
    let mut unheld = Unhelds::default();
    head(&mut faults, &mut unheld, object);
    let Some(Read { command, requires, inputs }) = read(&mut faults, &mut unheld, at, capability) else {
        return match faults.none_or(()) {
            Err(errors) => Found::Invalid(format!("{kind} {name:?}: {errors}")),
            // A module without a command: all that can be said of it is what is not held.
            Ok(()) => Found::Invalid(format!("{kind} {name:?}: {}", Feature::Wasm.advice())),
        };
    };
    let capability = Capability { display: format!("{id} of {kind} {name:?}"), requires, command, unheld: unheld.0 };
    match faults.none_or(Offered { capability, inputs }) {
        Ok(offered) => Found::Valid(offered),
        Err(errors) => Found::Invalid(format!("{kind} {name:?}: {errors}")),
    }
}

fn head(faults: &mut Faults, unheld: &mut Unhelds, object: &AnyProvider) {
    let wire::CapabilityProviderSpec { version, source, signature, capabilities: _ } = object.spec();
    if let Err(error) = semver::Version::parse(version) {
        faults.add(
            "spec.version",
            format!("{}: expected a version as semver.org has it, such as 1.4.2: {error}", quoted(version)),
        );
    }
    if let Some(signature) = signature {
        self::signature(faults, object, signature);
    }
    match (&source.image, &source.wasm) {
        (Some(image), None) => self::reference(faults, unheld, object, image),
        (None, Some(_)) => unheld.add("provider.spec.source.wasm", Feature::Wasm),
        (None, None) | (Some(_), Some(_)) => faults.add("spec.source", "give exactly one of image and wasm"),
    }
}

/// What a command may weigh, in bytes of JSON: it travels in a ConfigMap, beside inputs and environment.
const COMMAND_LIMIT: usize = 64 * 1024;

const FIELD: &str = "spec.source.image.reference";

fn reference(faults: &mut Faults, unheld: &mut Unhelds, object: &AnyProvider, image: &wire::Image) {
    let wire::Image { reference, pull_secrets } = image;
    if let Err(error) = Image::parse(reference) {
        faults.add(FIELD, format!("{}: {error}", quoted(reference)));
    }
    if let (AnyProvider::Cluster(_), true) = (object, pull_secrets.iter().any(|secret| secret.namespace.is_some())) {
        unheld.add("provider.spec.source.image.pullSecrets", Feature::ForeignPullSecret);
    }
    if let (AnyProvider::Namespaced(_), true) = (object, pull_secrets.iter().any(|secret| secret.namespace.is_some())) {
        faults.add("spec.source.image.pullSecrets", "only a ClusterCapabilityProvider names a namespace: remove it");
    }
}

/// What of a capability could be understood.
struct Read {
    command: PathPattern,
    requires: ccos_policy::Requires,
    inputs: Option<Schema>,
}

fn read(faults: &mut Faults, unheld: &mut Unhelds, at: usize, capability: &wire::Capability) -> Option<Read> {
    let wire::Capability { id, command, export, working_dir, input_schema, output_schema, requires: needs } =
        capability;
    let path = format!("spec.capabilities[{at}]");
    // The schema's pattern says so too; a webhook does not rely on it, and this one can say what is wrong.
    let word = |word: &str| {
        !word.is_empty()
            && !word.starts_with('-')
            && !word.ends_with('-')
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if id.split('.').count() < 2 || !id.split('.').all(word) {
        faults.add(
            format!("{path}.id"),
            format!("{}: expected lower-case words with dots between, such as weather.fetch", quoted(id)),
        );
    }
    let inputs = input_schema.as_ref().and_then(|text| schema(faults, &format!("{path}.inputSchema"), text));
    // Held against the result, at the end: by then it is too late to find that it is none.
    output_schema.as_ref().and_then(|text| schema(faults, &format!("{path}.outputSchema"), text));
    let size: usize = command.iter().flatten().map(|word| super::execution::json_size(word)).sum();
    if size > COMMAND_LIMIT {
        faults.add(format!("{path}.command"), format!("{size} bytes as JSON: expected at most {COMMAND_LIMIT}"));
    }
    if let Some(folder) = working_dir {
        literal(faults, &format!("{path}.workingDir"), folder);
    }
    let requires = requires(faults, unheld, &format!("{path}.requires"), needs.as_ref());
    match (command.as_deref(), export) {
        (Some([program, ..]), None) => {
            let command = literal(faults, &format!("{path}.command[0]"), program);
            command.map(|command| Read { command, requires, inputs })
        }
        (None, Some(_)) => {
            unheld.add(format!("provider.{path}.export"), Feature::Wasm);
            None
        }
        (Some([]), None) => {
            faults.add(format!("{path}.command"), "expected a program and its arguments");
            None
        }
        (None, None) | (Some(_), Some(_)) => {
            faults.add(path, "give command for an image, or export for a WebAssembly module");
            None
        }
    }
}

fn signature(faults: &mut Faults, object: &AnyProvider, signature: &wire::Signature) {
    const FIELD: &str = "spec.signature.cosign";
    let wire::Cosign { public_key, public_key_secret_ref, keyless } = &signature.cosign;
    let given = [public_key.is_some(), public_key_secret_ref.is_some(), keyless.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        faults.add(FIELD, "give exactly one of publicKey, publicKeySecretRef and keyless");
    }
    // Whether it is one, only a cryptographic library can say; the controller does, in the condition Verified.
    if let Some(key) = public_key.as_ref().filter(|key| !key.trim_start().starts_with("-----BEGIN ")) {
        let message = format!("{}: expected a public key in PEM, from -----BEGIN PUBLIC KEY----- on", quoted(key));
        faults.add(format!("{FIELD}.publicKey"), message);
    }
    if let Some(secret) = public_key_secret_ref {
        match (object, &secret.namespace) {
            (AnyProvider::Namespaced(_), None) | (AnyProvider::Cluster(_), Some(_)) => {}
            (AnyProvider::Namespaced(_), Some(_)) => faults.add(
                format!("{FIELD}.publicKeySecretRef.namespace"),
                "only a ClusterCapabilityProvider names a namespace: remove it",
            ),
            (AnyProvider::Cluster(_), None) => {
                faults.add(
                    format!("{FIELD}.publicKeySecretRef.namespace"),
                    "a ClusterCapabilityProvider has to name one",
                );
            }
        }
    }
}

fn schema(faults: &mut Faults, path: &str, text: &Json) -> Option<Schema> {
    match Schema::parse(text.as_str()) {
        Ok(schema) => Some(schema),
        Err(found) => {
            for fault in found {
                faults.add(format!("{path}{}", fault.pointer), fault.message);
            }
            None
        }
    }
}
