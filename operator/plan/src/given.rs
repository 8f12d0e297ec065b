//! What an execution is given that its requester must be able to read. Otherwise whoever may create executions could read
//! every Secret of the namespace, by results.

use ccos_crds::execution::CapabilityExecutionSpec;
use ccos_policy::{Cause, Denial};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they explain themselves")]
pub enum Source {
    Secret,
    ConfigMap,
}

impl Source {
    /// The kind, for messages.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }

    /// The resource, for authorizers.
    #[must_use]
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
        }
    }
}

/// An object of the execution's namespace that a field of its spec names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// The kind of the object.
    pub source: Source,
    /// Its name.
    pub name: &'a str,
    /// The field, relative to the spec.
    pub field: String,
}

/// All of them.
#[must_use]
pub fn reads(spec: &CapabilityExecutionSpec) -> Vec<Read<'_>> {
    let env = spec.env.iter().enumerate().filter_map(|(at, variable)| {
        let key = variable.secret_key_ref.as_ref()?;
        Some(Read { source: Source::Secret, name: &key.name, field: format!("env[{at}].secretKeyRef") })
    });
    let inputs = spec.inputs_from.iter().enumerate().flat_map(|(at, input)| {
        let of = |source, name, field: &str| Read { source, name, field: format!("inputsFrom[{at}].{field}") };
        let secret = input.secret_key_ref.as_ref().map(|key| of(Source::Secret, &key.name, "secretKeyRef"));
        let config_map = input.config_map_key_ref.as_ref();
        let config_map = config_map.map(|key| of(Source::ConfigMap, &key.name, "configMapKeyRef"));
        secret.into_iter().chain(config_map)
    });
    env.chain(inputs).collect()
}

impl Read<'_> {
    /// What is said when the requester can't.
    #[must_use]
    pub fn denial(&self, namespace: &str, requester: &str) -> Denial {
        let Self { source, name, field } = self;
        let object = format!("{} {name:?} of namespace {namespace:?}", source.kind());
        Denial::new(field.clone(), Cause::ReferenceForbidden { requester: requester.to_owned(), object })
    }
}
