//! From texts to objects, with all that is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ccos_crds::execution::{CapabilityRef, ContextKind, ContextRef, ProviderKind};
use ccos_crds::{CapabilityExecution, GROUP, VERSION};
use ccos_plan::object::{context_kind, default_context, provider_kind};
use ccos_plan::wire::FieldError;
use ccos_plan::{AnyContext, AnyProvider, schema};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::sources::Text;

/// Where something is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    file: String,
    /// From 1; absent: the whole file.
    document: Option<usize>,
    /// Such as `SecurityContext data/analysts`.
    object: String,
}

impl Place {
    pub(super) fn file(file: &str) -> Self {
        Self { file: file.to_owned(), document: None, object: String::new() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, object } = self;
        f.write_str(file)?;
        if let Some(document) = document {
            write!(f, ", document {document}")?;
        }
        if !object.is_empty() {
            write!(f, ", {object}")?;
        }
        Ok(())
    }
}

/// Something that is wrong with the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    place: Place,
    field: Option<String>,
    message: String,
}

impl Fault {
    pub(super) fn at(place: Place, message: &str) -> Self {
        Self { place, field: None, message: message.to_owned() }
    }

    pub(super) fn field(place: &Place, error: FieldError) -> Self {
        let FieldError { field, message } = error;
        Self { place: place.clone(), field: Some(field), message }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, field, message } = self;
        if *place != Place::default() {
            write!(f, "{place}: ")?;
        }
        if let Some(field) = field {
            write!(f, "{field}: ")?;
        }
        f.write_str(message)
    }
}

/// All objects of ours, by their names; what is namespaced, by `namespace/name`.
#[derive(Debug)]
pub(super) struct Input<'a> {
    namespace: &'a str,
    /// The number is 0 but for those whose name the API server makes up: of these there may be many of one prefix.
    pub(super) executions: BTreeMap<(String, usize), (Place, CapabilityExecution)>,
    pub(super) contexts: BTreeMap<String, (Place, AnyContext)>,
    pub(super) providers: BTreeMap<String, (Place, AnyProvider)>,
    /// The contexts of executions that name none, by the namespaces whose labels name them.
    pub(super) defaults: BTreeMap<String, ContextRef>,
    /// What was left out.
    pub(super) notes: Vec<String>,
}

impl<'a> Input<'a> {
    pub(super) fn new(namespace: &'a str) -> Self {
        Self {
            namespace,
            executions: BTreeMap::new(),
            contexts: BTreeMap::new(),
            providers: BTreeMap::new(),
            defaults: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.executions.is_empty() && self.contexts.is_empty() && self.providers.is_empty()
    }

    pub(super) fn context(&self, namespace: &str, reference: &ContextRef) -> Option<&AnyContext> {
        let ContextRef { kind, name } = reference;
        let key = match kind {
            ContextKind::SecurityContext => format!("{} {namespace}/{name}", context_kind(*kind)),
            ContextKind::ClusterSecurityContext => format!("{} {name}", context_kind(*kind)),
        };
        self.contexts.get(&key).map(|(_, object)| object)
    }

    pub(super) fn provider(&self, namespace: &str, reference: &CapabilityRef) -> Option<&AnyProvider> {
        let CapabilityRef { kind, name, id: _ } = reference;
        let key = match kind {
            ProviderKind::CapabilityProvider => format!("{} {namespace}/{name}", provider_kind(*kind)),
            ProviderKind::ClusterCapabilityProvider => format!("{} {name}", provider_kind(*kind)),
        };
        self.providers.get(&key).map(|(_, object)| object)
    }

    /// Adds the objects of a text.
    pub(super) fn add(&mut self, text: &Text, faults: &mut Vec<Fault>) {
        let Text { file, text } = text;
        let documents: Vec<Value> = match serde_saphyr::from_multiple(text) {
            Ok(documents) => documents,
            Err(error) => return faults.push(Fault::at(Place::file(file), &error.to_string())),
        };
        for (at, document) in documents.into_iter().enumerate() {
            let place = Place { file: file.clone(), document: Some(at + 1), object: String::new() };
            self.document(&place, document, faults);
        }
    }

    fn document(&mut self, place: &Place, mut document: Value, faults: &mut Vec<Fault>) {
        let text = |field: &str| document.get(field).and_then(Value::as_str).map(str::to_owned);
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return faults.push(Fault::at(place.clone(), "expected an object with apiVersion and kind"));
        };
        let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
        // `kubectl get -o yaml` writes a List of the core group, the API server one of the kind's own.
        let list = kind.strip_suffix("List").filter(|_| (group, version) == ("", "v1") || group == GROUP);
        if let (Some(_), Some(Value::Array(items))) = (list, document.get_mut("items").map(Value::take)) {
            for item in items {
                self.document(place, item, faults);
            }
            return;
        }
        if (group, version, kind.as_str()) == ("", "v1", "Namespace") {
            return self.namespace(place, document, faults);
        }
        if group != GROUP {
            return self.notes.push(format!("{place}: {kind} is left out: it is no kind of {GROUP}"));
        }
        if version != VERSION {
            let message = format!("apiVersion: {group}/{version}: expected {GROUP}/{VERSION}");
            return faults.push(Fault::at(place.clone(), &message));
        }
        self.ours(place, &kind, document, faults);
    }

    /// Of a namespace, what its labels say about executions.
    fn namespace(&mut self, place: &Place, document: Value, faults: &mut Vec<Fault>) {
        match read::<Namespace>(document) {
            Ok(object) => {
                let found = default_context(object.labels());
                self.defaults.extend(found.map(|reference| (object.name_any(), reference)));
            }
            Err(error) => faults.push(Fault::at(place.clone(), &format!("can't be read: {error}"))),
        }
    }

    fn ours(&mut self, place: &Place, kind: &str, document: Value, faults: &mut Vec<Fault>) {
        let cluster = matches!(kind, "ClusterSecurityContext" | "ClusterCapabilityProvider");
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let namespace = text("/metadata/namespace").unwrap_or(self.namespace).to_owned();
        let named = text("/metadata/name");
        let generated = text("/metadata/generateName").filter(|_| kind == "CapabilityExecution" && named.is_none());
        let Some(name) = named.or(generated) else {
            return faults.push(Fault::at(place.clone(), "metadata.name: is required"));
        };
        let name = if cluster { name.to_owned() } else { format!("{namespace}/{name}") };
        let generated = generated.is_some();
        let place = Place { object: format!("{kind} {name}"), ..place.clone() };

        let structure = schema::faults(kind, &document);
        if !structure.is_empty() {
            return faults.extend(structure.into_iter().map(|error| Fault::field(&place, error)));
        }
        let key = format!("{kind} {name}");
        let known = match kind {
            "CapabilityExecution" => read::<CapabilityExecution>(document).map(|mut object| {
                object.metadata.namespace = Some(namespace);
                let number = if generated { self.executions.len() + 1 } else { 0 };
                insert(&mut self.executions, (name, number), &place, object)
            }),
            "SecurityContext" => read(document)
                .map(|object| insert(&mut self.contexts, key, &place, AnyContext::Namespaced(Arc::new(object)))),
            "ClusterSecurityContext" => read(document)
                .map(|object| insert(&mut self.contexts, key, &place, AnyContext::Cluster(Arc::new(object)))),
            "CapabilityProvider" => read(document)
                .map(|object| insert(&mut self.providers, key, &place, AnyProvider::Namespaced(Arc::new(object)))),
            "ClusterCapabilityProvider" => read(document)
                .map(|object| insert(&mut self.providers, key, &place, AnyProvider::Cluster(Arc::new(object)))),
            // `schema::faults` has said so.
            _ => return,
        };
        match known {
            Ok(None) => {}
            Ok(Some(earlier)) => faults.push(Fault::at(place, &format!("is given twice: also in {earlier}"))),
            Err(error) => faults.push(Fault::at(place, &format!("can't be read: {error}"))),
        }
    }
}

fn read<T: DeserializeOwned>(document: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(document)
}

/// Inserts, and says where the one is that was there.
fn insert<K: Ord, T>(all: &mut BTreeMap<K, (Place, T)>, key: K, place: &Place, object: T) -> Option<Place> {
    all.insert(key, (place.clone(), object)).map(|(place, _)| place)
}
