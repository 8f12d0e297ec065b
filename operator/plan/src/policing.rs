//! ExecutionPolicies: parsed once, and asked of each execution.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ccos_cedar::{Facts, Principal, Provider, Question, Signature, Stored, Text, Version};
pub use ccos_cedar::{PolicySet, SCHEMA};
use ccos_crds::execution::CapabilityRef;
use ccos_crds::execution_policy::Mode;
use ccos_crds::provider::CapabilityProviderSpec;
use ccos_crds::{CapabilityExecution, ExecutionPolicy};
use ccos_policy::{NoPolicies, Policies};
use kube::ResourceExt as _;

use crate::object::{AnyContext, AnyProvider, context_kind, provider_kind};
use crate::receipt::Requester;
use crate::{trust, wire};

/// What ExecutionPolicies are, and what they are asked with besides the objects.
#[derive(Clone, Debug)]
pub enum Policing {
    /// They are not asked: they decide what starts, and leave alone what runs.
    NotAsked,
    /// They are.
    Asked {
        /// All of them.
        policies: Arc<PolicySet>,
        /// Who wants the execution.
        requester: Requester,
        /// Labels of its namespace.
        labels: BTreeMap<String, String>,
    },
}

impl Policing {
    /// The policies as the decision asks them. What an execution lacks that they would look at is denied without them.
    pub(crate) fn of(
        &self,
        object: &CapabilityExecution,
        context: Option<&AnyContext>,
        provider: Option<&AnyProvider>,
    ) -> Arc<dyn Policies> {
        let (Self::Asked { policies, requester, labels }, Some(context), Some(provider)) = (self, context, provider)
        else {
            return Arc::new(NoPolicies);
        };
        let Requester { user, groups, uid: _, extra: _ } = requester;
        let facts = Facts {
            principal: Principal { user: user.clone(), groups: groups.clone() },
            namespace: object.namespace().unwrap_or_default(),
            labels: labels.clone(),
            context_kind: context_kind(context.kind()),
            context_name: object.spec.context_ref.name.clone(),
            capability: object.spec.capability_ref.id.clone(),
            provider: self::provider(object, provider),
        };
        Arc::new(Question { set: Arc::clone(policies), facts })
    }
}

fn provider(object: &CapabilityExecution, provider: &AnyProvider) -> Provider {
    let CapabilityRef { kind, name, id: _ } = &object.spec.capability_ref;
    let CapabilityProviderSpec { version, source: _, signature: _, capabilities: _ } = provider.spec();
    let (image, digest) = trust::image(provider).unzip();
    // None: nobody is asked for. Offline nothing is verified.
    let signature = match trust::is_signed(provider) {
        None => Signature::None,
        Some(false) => Signature::Unverified,
        Some(true) => Signature::Verified,
    };
    Provider {
        kind: provider_kind(*kind),
        namespace: match provider {
            AnyProvider::Namespaced(_) => object.namespace().unwrap_or_default(),
            AnyProvider::Cluster(_) => String::new(),
        },
        name: name.clone(),
        version: self::version(version),
        image: image.map(|image| image.repository()).unwrap_or_default(),
        source_digest: digest.flatten().map(|digest| digest.to_string()).unwrap_or_default(),
        signature,
    }
}

/// One that can't be understood is the provider's fault, and denied as such.
fn version(text: &str) -> Version {
    let parsed = semver::Version::parse(text).unwrap_or(semver::Version::new(0, 0, 0));
    let semver::Version { major, minor, patch, pre, build: _ } = parsed;
    Version { text: text.to_owned(), major, minor, patch, prerelease: pre.as_str().to_owned() }
}

/// Keeps what was parsed of the ExecutionPolicies that are stored: a decision costs an evaluation, not a parse.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By name, UID and generation: an object of the same three has the same text.
    parsed: BTreeMap<Key, Result<Arc<Text>, String>>,
    current: Current,
}

type Key = (String, Option<String>, Option<i64>);

/// The policies of a moment.
#[derive(Clone, Debug, Default)]
pub struct Current {
    /// All of them.
    pub policies: Arc<PolicySet>,
    /// Grows with each change.
    pub revision: u64,
}

impl Shelf {
    /// The policies that are stored.
    pub fn current(&self, stored: &[Arc<ExecutionPolicy>]) -> Current {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key =
            |object: &ExecutionPolicy| (object.name_any(), object.metadata.uid.clone(), object.metadata.generation);
        let mut sorted: Vec<(Key, &Arc<ExecutionPolicy>)> = stored.iter().map(|object| (key(object), object)).collect();
        sorted.sort_by(|one, other| one.0.cmp(&other.0));
        if kept.parsed.keys().eq(sorted.iter().map(|(key, _)| key)) {
            return kept.current.clone();
        }
        let mut before = std::mem::take(&mut kept.parsed);
        let mut all = Vec::new();
        for (key, object) in sorted {
            let text = before.remove(&key).unwrap_or_else(|| parse(object));
            all.push(Stored { name: key.0.clone(), mode: mode(object.spec.mode), text: text.clone() });
            kept.parsed.insert(key, text);
        }
        kept.current = Current { policies: Arc::new(PolicySet::new(&all)), revision: kept.current.revision + 1 };
        kept.current.clone()
    }
}

/// What a stored object's text is, or why it can't be held.
fn parse(object: &ExecutionPolicy) -> Result<Arc<Text>, String> {
    wire::policy(object).map(Arc::new).map_err(|errors| errors.to_string())
}

const fn mode(mode: Mode) -> ccos_cedar::Mode {
    match mode {
        Mode::Enforce => ccos_cedar::Mode::Enforce,
        Mode::Warn => ccos_cedar::Mode::Warn,
        Mode::Audit => ccos_cedar::Mode::Audit,
    }
}
