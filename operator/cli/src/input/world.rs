//! From texts to objects, with all that is wrong with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ccos_crds::execution::{CapabilityRef, ContextKind, ContextRef, ProviderKind};
use ccos_crds::{CapabilityExecution, ExecutionPolicy, GROUP, VERSION};
use ccos_plan::object::{context_kind, default_context, provider_kind};
use ccos_plan::policing::Shelf;
use ccos_plan::read::{self, Object};
use ccos_plan::receipt::Requester;
use ccos_plan::wire::FieldError;
use ccos_plan::{AnyContext, AnyProvider, Policing, schema};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use serde::Deserialize as _;
use serde_json::Value;

use super::document::{Document, Lines, documents};
use super::place::{Fault, Place};
use super::sources::Text;

/// An object and where it is.
#[derive(Clone, Debug)]
pub struct Item<T> {
    /// Where.
    pub place: Place,
    /// The object.
    pub object: T,
    lines: Lines,
}

impl<T> Item<T> {
    /// Where a field is, or what it would be in.
    #[must_use]
    pub fn near(&self, field: &str) -> Place {
        self.place.at(self.lines.nearest(field))
    }

    /// Where a field is, if it is written.
    #[must_use]
    pub fn exactly(&self, field: &str) -> Option<Place> {
        self.lines.exact(field).map(|line| self.place.at(line))
    }

    /// A fault of one of its fields.
    #[must_use]
    pub fn fault(&self, error: FieldError) -> Fault {
        Fault::field(self.near(&error.field), error)
    }
}

/// The kind and `namespace/name`, or only the name of what has no namespace. The number is 0 but for those whose name
/// the API server makes up: of these there may be many of one prefix, and nothing can name them.
pub type Key = (String, usize);

/// All objects of ours.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Executions.
    pub executions: BTreeMap<Key, Item<CapabilityExecution>>,
    /// Contexts.
    pub contexts: BTreeMap<Key, Item<AnyContext>>,
    /// Providers.
    pub providers: BTreeMap<Key, Item<AnyProvider>>,
    /// The contexts of executions that name none, by the namespaces whose labels name them.
    pub defaults: BTreeMap<String, ContextRef>,
    /// ExecutionPolicies.
    pub policies: BTreeMap<Key, Item<Arc<ExecutionPolicy>>>,
    /// Labels of namespaces, by name.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// For whom it is decided; by default, somebody of whom nothing is known.
    pub requester: Requester,
    shelf: Arc<Shelf>,
    /// How many objects of other kinds there were, by kind.
    pub left_out: BTreeMap<String, usize>,
}

impl World {
    /// Reads texts. Objects that name no namespace are in the given one.
    #[must_use]
    pub fn read(texts: &[Text], namespace: &str, faults: &mut Vec<Fault>) -> Self {
        let mut world = Self::default();
        for text in texts {
            world.add(text, namespace, faults);
        }
        let World { executions, defaults, .. } = &mut world;
        for item in executions.values_mut() {
            fill(defaults, &mut item.object);
        }
        world
    }

    /// Whether there is nothing of ours.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.executions.is_empty() && self.contexts.is_empty() && self.providers.is_empty() && self.policies.is_empty()
    }

    /// The context that an execution of a namespace names.
    #[must_use]
    pub fn context(&self, namespace: &str, reference: &ContextRef) -> Option<&Item<AnyContext>> {
        let ContextRef { kind, name } = reference;
        let key = match kind {
            ContextKind::SecurityContext => format!("{} {namespace}/{name}", context_kind(*kind)),
            ContextKind::ClusterSecurityContext => format!("{} {name}", context_kind(*kind)),
        };
        self.contexts.get(&(key, 0))
    }

    /// The provider that an execution of a namespace names.
    #[must_use]
    pub fn provider(&self, namespace: &str, reference: &CapabilityRef) -> Option<&Item<AnyProvider>> {
        let CapabilityRef { kind, name, id: _ } = reference;
        let key = match kind {
            ProviderKind::CapabilityProvider => format!("{} {namespace}/{name}", provider_kind(*kind)),
            ProviderKind::ClusterCapabilityProvider => format!("{} {name}", provider_kind(*kind)),
        };
        self.providers.get(&(key, 0))
    }

    /// Names the default context of its namespace, as the webhook does, where it names none.
    pub fn fill(&self, object: &mut CapabilityExecution) {
        fill(&self.defaults, object);
    }

    /// What ExecutionPolicies are asked of an execution of a namespace.
    #[must_use]
    pub fn policing(&self, namespace: &str) -> Policing {
        let stored: Vec<Arc<ExecutionPolicy>> = self.policies.values().map(|item| Arc::clone(&item.object)).collect();
        let mut labels = self.namespaces.get(namespace).cloned().unwrap_or_default();
        // The API server gives it to each.
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        let policies = self.shelf.current(&stored).policies;
        Policing::Asked { policies, requester: self.requester.clone(), labels }
    }

    fn add(&mut self, text: &Text, namespace: &str, faults: &mut Vec<Fault>) {
        let Text { file, text } = text;
        if let Some(line) = for_people(text) {
            return faults.push(Fault::at(
                Place::file(file).at(line),
                "this is text that Helm wrote for people, such as notes: give the output of `helm template`",
            ));
        }
        let documents = match documents(text) {
            Ok(documents) => documents,
            Err(error) => return faults.push(Fault::at(Place::file(file), error)),
        };
        let templates = Templates::of(text);
        for document in documents {
            let template = templates.at(document.lines.first());
            let place = Place { template, ..Place::file(file).at(document.lines.first()) };
            self.document(&place, document, namespace, faults);
        }
    }

    fn document(&mut self, place: &Place, mut document: Document, namespace: &str, faults: &mut Vec<Fault>) {
        let text = |field: &str| document.value.get(field).and_then(Value::as_str).map(str::to_owned);
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return faults.push(Fault::at(place.clone(), "expected an object with apiVersion and kind"));
        };
        let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
        // `kubectl get -o yaml` writes a List of the core group, the API server one of the kind's own.
        let is_list = kind.ends_with("List") && ((group, version) == ("", "v1") || group == GROUP);
        if let Some(items) = is_list.then(|| document.take_items()).flatten() {
            for item in items {
                self.document(&place.at(item.lines.first()), item, namespace, faults);
            }
            return;
        }
        if (group, version, kind.as_str()) == ("", "v1", "Namespace") {
            return self.namespace(place, &document.value, faults);
        }
        // In another group it is not ours; but hardly any other has these kinds, and a misspelt group would be passed over.
        if group != GROUP && schema::kinds().any(|ours| ours == kind.strip_suffix("List").unwrap_or(&kind)) {
            let given = document.value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
            let message = format!("{given:?}: a {kind} is of {GROUP}/{VERSION}");
            let error = FieldError { field: "apiVersion".to_owned(), message };
            return faults.push(Fault::field(place.at(document.lines.nearest("apiVersion")), error));
        }
        if group != GROUP {
            *self.left_out.entry(kind).or_default() += 1;
            return;
        }
        if version != VERSION {
            let message = format!("{group}/{version}: expected {GROUP}/{VERSION}");
            let error = FieldError { field: "apiVersion".to_owned(), message };
            return faults.push(Fault::field(place.at(document.lines.nearest("apiVersion")), error));
        }
        self.ours(place, &kind, document, namespace, faults);
    }

    /// Of a namespace, what its labels say about executions.
    fn namespace(&mut self, place: &Place, document: &Value, faults: &mut Vec<Fault>) {
        match Namespace::deserialize(document) {
            Ok(object) => {
                let found = default_context(object.labels());
                self.namespaces.insert(object.name_any(), object.labels().clone());
                self.defaults.extend(found.map(|reference| (object.name_any(), reference)));
            }
            Err(error) => faults.push(Fault::at(place.clone(), format!("can't be read: {error}"))),
        }
    }

    fn ours(&mut self, place: &Place, kind: &str, document: Document, namespace: &str, faults: &mut Vec<Fault>) {
        let Document { value, lines } = document;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let is_of_cluster = matches!(kind, "ClusterSecurityContext" | "ClusterCapabilityProvider" | "ExecutionPolicy");
        let namespace = text("/metadata/namespace").unwrap_or(namespace).to_owned();
        let (named, generated) = (text("/metadata/name"), text("/metadata/generateName"));
        let name = named.or(generated).unwrap_or("(unnamed)");
        let name = if is_of_cluster { name.to_owned() } else { format!("{namespace}/{name}") };
        let place = Place { object: format!("{kind} {name}"), ..place.clone() };
        let number = if named.is_some() {
            0
        } else {
            1 + self.executions.len() + self.contexts.len() + self.providers.len() + self.policies.len()
        };

        for (field, octal) in lines.octals() {
            faults
                .push(Fault::field(place.at(lines.nearest(&field)), FieldError { field, message: octal.to_string() }));
        }
        let object = match read::object(kind, &value) {
            Ok(object) => object,
            Err(errors) => {
                let fault = |error: FieldError| Fault::field(place.at(lines.nearest(&error.field)), error);
                return faults.extend(errors.0.into_iter().map(fault));
            }
        };
        let key = (format!("{kind} {name}"), number);
        let earlier = match object {
            Object::Execution(mut object) => {
                object.metadata.namespace = Some(namespace);
                let item = Item { place: place.clone(), object: *object, lines };
                self.executions.insert((name, number), item).map(|earlier| earlier.place)
            }
            Object::Context(object) => {
                let item = Item { place: place.clone(), object, lines };
                self.contexts.insert(key, item).map(|earlier| earlier.place)
            }
            Object::Provider(object) => {
                let item = Item { place: place.clone(), object, lines };
                self.providers.insert(key, item).map(|earlier| earlier.place)
            }
            Object::Policy(object) => {
                let item = Item { place: place.clone(), object: Arc::new(*object), lines };
                self.policies.insert(key, item).map(|earlier| earlier.place)
            }
        };
        if let Some(earlier) = earlier {
            faults.push(Fault::at(place, format!("is given twice: also in {earlier}")));
        }
    }
}

fn fill(defaults: &BTreeMap<String, ContextRef>, object: &mut CapabilityExecution) {
    let default = defaults.get(object.metadata.namespace.as_deref().unwrap_or_default());
    if let Some(default) = default.filter(|_| object.spec.context_ref.is_absent()) {
        object.spec.context_ref = default.clone();
    }
}

/// The line at which `helm install --dry-run` or `helm status` begins to speak to people. No Kubernetes object has such
/// fields, so that what looks like it is not taken for an object with a strange end.
fn for_people(text: &str) -> Option<u64> {
    let speaks = |line: &str| {
        ["NOTES:", "MANIFEST:", "HOOKS:", "LAST DEPLOYED:"].iter().any(|heading| line.starts_with(heading))
    };
    text.lines().zip(1..).find(|(line, _)| speaks(line)).map(|(_, number)| number)
}

/// `# Source: chart/templates/file.yaml`, as Helm writes above each document.
struct Templates(BTreeMap<u64, Option<String>>);

impl Templates {
    fn of(text: &str) -> Self {
        let mark = |(line, number): (&str, u64)| {
            let source = line.strip_prefix("# Source: ").map(|path| Some(path.trim().to_owned()));
            source.or_else(|| line.starts_with("---").then_some(None)).map(|mark| (number, mark))
        };
        Self(text.lines().zip(1..).filter_map(mark).collect())
    }

    fn at(&self, line: u64) -> Option<String> {
        self.0.range(..=line).next_back().and_then(|(_, template)| template.clone())
    }
}
