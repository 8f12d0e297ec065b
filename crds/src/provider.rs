//! CapabilityProvider and ClusterCapabilityProvider: what can be run.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amounts::any_object;
use crate::json::Json;
use crate::permissions::{KeyRef, Requires};

/// An image or a module, and the capabilities that it offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "security.ccos.dev",
    version = "v1alpha1",
    kind = "CapabilityProvider",
    plural = "capabilityproviders",
    shortname = "capprov",
    category = "ccos",
    namespaced,
    status = "CapabilityProviderStatus",
    derive = "PartialEq",
    doc = "CapabilityProvider offers capabilities: programs of an image, with what each requires.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Capabilities", type_ = "string", json_path = ".status.capabilities"),
    printcolumn(name = "Valid", type_ = "string", json_path = ".status.conditions[?(@.type==\"Valid\")].status"),
    printcolumn(name = "Verified", type_ = "string", json_path = ".status.conditions[?(@.type==\"Verified\")].status"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.source.image.reference", priority = 1),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.image.digest", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityProviderSpec {
    /// The provider's version, by semver.org, such as `1.4.2`.
    #[schemars(length(min = 5, max = 128))]
    pub version: String,
    /// Where its code is.
    pub source: Source,
    /// Who must have signed the code. Absent: nobody. Until the condition `Verified` is `True`, executions are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// What it can do.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".to_owned()]))]
    pub capabilities: Vec<Capability>,
}

/// The same for every namespace. Its references name a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "security.ccos.dev",
    version = "v1alpha1",
    kind = "ClusterCapabilityProvider",
    plural = "clustercapabilityproviders",
    shortname = "ccapprov",
    category = "ccos",
    status = "CapabilityProviderStatus",
    derive = "PartialEq",
    doc = "ClusterCapabilityProvider is a CapabilityProvider that can be used from any namespace.",
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Capabilities", type_ = "string", json_path = ".status.capabilities"),
    printcolumn(name = "Valid", type_ = "string", json_path = ".status.conditions[?(@.type==\"Valid\")].status"),
    printcolumn(name = "Verified", type_ = "string", json_path = ".status.conditions[?(@.type==\"Verified\")].status"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.source.image.reference", priority = 1),
    printcolumn(name = "Digest", type_ = "string", json_path = ".status.image.digest", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(transparent)]
pub struct ClusterCapabilityProviderSpec(pub CapabilityProviderSpec);

/// Where the code is: exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.image) != has(self.wasm)").message("give exactly one of image and wasm"))]
pub struct Source {
    /// A container image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// A WebAssembly module. Refused in this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm: Option<Wasm>,
}

/// A container image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// By digest, such as `registry.example.com/weather@sha256:…`: exactly that runs. A tag is looked up once for each
    /// version of the provider, and what it named then is what runs: see `status.image`. Registries must be allowed in the
    /// operator's installation for tags and signatures, and are read without credentials.
    #[schemars(length(min = 1, max = 512))]
    pub reference: String,
    /// Secrets of the execution's namespace to pull it with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub pull_secrets: Vec<NameRef>,
}

/// An object, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace: of a ClusterCapabilityProvider only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// A WebAssembly module: exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.image) != has(self.configMapKeyRef)")
    .message("give exactly one of image and configMapKeyRef"))]
pub struct Wasm {
    /// An OCI artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// A binary key of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<NamespacedKeyRef>,
}

/// A key of a Secret or ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespacedKeyRef {
    /// The object and its key.
    #[serde(flatten)]
    pub key: KeyRef,
    /// Its namespace: of a ClusterCapabilityProvider only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Who must have signed the code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// A signature made by cosign over the image's digest, which the registry has beside the image.
    pub cosign: Cosign,
}

/// How cosign's signature is checked: exactly one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.publicKey) ? 1 : 0) + (has(self.publicKeySecretRef) ? 1 : 0) + (has(self.keyless) ? 1 : 0) == 1")
    .message("give exactly one of publicKey, publicKeySecretRef and keyless"))]
pub struct Cosign {
    /// A public key, in PEM: ECDSA, RSA or Ed25519. Of a signature by key in cosign's form of a tag (`sha256-….sig`), which
    /// cosign 3 makes with `--new-bundle-format=false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub public_key: Option<String>,
    /// A Secret that holds it. The operator has no right to Secrets: give its ServiceAccount `ccos-controller` the verb `get`
    /// on this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key_secret_ref: Option<NamespacedKeyRef>,
    /// An identity, by a certificate of Sigstore, verified offline against the trust root in the ConfigMap `ccos-trust-root`
    /// of the operator's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyless: Option<Keyless>,
}

/// An identity, as Sigstore's certificate names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keyless {
    /// Who vouches for the identity, as a URL.
    #[schemars(length(min = 1, max = 1024))]
    pub issuer: String,
    /// The identity, such as an e-mail address or a workflow's URL.
    #[schemars(length(min = 1, max = 1024))]
    pub identity: String,
}

/// Something that the provider can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.command) != has(self.export)")
    .message("give command for an image, or export for a WebAssembly module"))]
pub struct Capability {
    /// Its name, with a namespace of its own: lower case words with dots between, such as `weather.fetch`.
    #[schemars(
        length(min = 3, max = 128),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$")
    )]
    pub id: String,
    /// The program, by absolute path, and its arguments. Inputs never come by arguments: they come on standard input
    /// and in the file that `CCOS_INPUT_FILE` names, as JSON. The result is what it writes to standard output, or to the
    /// file that `CCOS_RESULT_FILE` names: JSON of at most 1 MiB, or nothing. Standard error is the log. In isolation
    /// `Container` a program that is dynamically linked can write nothing, so there is no such file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Option<Vec<String>>,
    /// The exported function of a WebAssembly module. Refused in this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub export: Option<String>,
    /// Where the program starts. Absent: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub working_dir: Option<String>,
    /// A JSON Schema (draft 2020-12) that inputs must fit; checked at admission. At most 64 KiB. It is all in one place and
    /// bounded: `$ref` leads to a part of it (`#/$defs/day`), never back to itself, and patterns have neither look-around
    /// nor back-references. Keywords that would not be checked are refused. Values of `inputsFrom` are not known at
    /// admission: of their fields it may say the type and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub input_schema: Option<Json>,
    /// The same for results: one that does not fit ends the execution as `InvalidResult` and is not kept. No result is held
    /// against it as `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub output_schema: Option<Json>,
    /// What it needs. Absent: nothing but its own command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
}

/// What the controller observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapabilityProviderStatus {
    /// The generation that the rest speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The ids of what it offers, for `kubectl get`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<String>,
    /// What runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<PinnedImage>,
    /// Which signature was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<VerifiedImage>,
    /// `Valid`, `Pinned` and, where a signature is demanded, `Verified`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// An image, by digest, and what it was looked up for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PinnedImage {
    /// The reference. Another is looked up anew.
    pub reference: String,
    /// The provider's version. Another is looked up anew.
    pub version: String,
    /// What it named then.
    pub digest: String,
}

/// An image whose signature was found good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedImage {
    /// What is signed.
    pub digest: String,
    /// Digest of what it was verified against: key, or identity and trust root. It is verified anew when that changes.
    pub against: String,
}
