//! The kinds that come in two scopes, seen as one.

use ccos_crds::execution::{ContextKind, ContextRef, ProviderKind};
use ccos_crds::provider::{CapabilityProviderSpec, CapabilityProviderStatus};
use ccos_crds::{
    CapabilityProvider, ClusterCapabilityProvider, ClusterSecurityContext, DEFAULT_CLUSTER_CONTEXT_LABEL,
    DEFAULT_CONTEXT_LABEL, SecurityContext, SecurityContextSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A SecurityContext or a ClusterSecurityContext.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyContext {
    /// Of a namespace.
    Namespaced(Arc<SecurityContext>),
    /// Of the cluster.
    Cluster(Arc<ClusterSecurityContext>),
}

impl AnyContext {
    /// What it grants.
    #[must_use]
    pub fn spec(&self) -> &SecurityContextSpec {
        match self {
            Self::Namespaced(object) => &object.spec,
            Self::Cluster(object) => &object.spec.0,
        }
    }

    /// Its metadata.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Namespaced(object) => &object.metadata,
            Self::Cluster(object) => &object.metadata,
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ContextKind {
        match self {
            Self::Namespaced(_) => ContextKind::SecurityContext,
            Self::Cluster(_) => ContextKind::ClusterSecurityContext,
        }
    }

    /// For messages, such as `SecurityContext "analysts"`.
    #[must_use]
    pub fn display(&self) -> String {
        context_display(self.kind(), self.metadata().name.as_deref().unwrap_or("(unnamed)"))
    }

    /// A reference by which objects are deleted with it; absent before it is stored.
    #[must_use]
    pub fn owner_ref(&self) -> Option<OwnerReference> {
        match self {
            Self::Namespaced(object) => object.owner_ref(&()),
            Self::Cluster(object) => object.owner_ref(&()),
        }
    }
}

/// For messages, such as `SecurityContext "analysts"`.
#[must_use]
pub fn context_display(kind: ContextKind, name: &str) -> String {
    format!("{} {name:?}", context_kind(kind))
}

/// The kind as Kubernetes writes it.
#[must_use]
pub const fn context_kind(kind: ContextKind) -> &'static str {
    match kind {
        ContextKind::SecurityContext => "SecurityContext",
        ContextKind::ClusterSecurityContext => "ClusterSecurityContext",
    }
}

/// The context that a namespace's labels name for executions that name none. One of the namespace wins over one of the
/// cluster.
#[must_use]
pub fn default_context(labels: &BTreeMap<String, String>) -> Option<ContextRef> {
    [
        (ContextKind::SecurityContext, DEFAULT_CONTEXT_LABEL),
        (ContextKind::ClusterSecurityContext, DEFAULT_CLUSTER_CONTEXT_LABEL),
    ]
    .into_iter()
    .find_map(|(kind, label)| labels.get(label).map(|name| ContextRef { kind, name: name.clone() }))
    .filter(|reference| !reference.is_absent())
}

/// The resource that RBAC speaks of.
#[must_use]
pub const fn context_resource(reference: &ContextRef) -> &'static str {
    match reference.kind {
        ContextKind::SecurityContext => "securitycontexts",
        ContextKind::ClusterSecurityContext => "clustersecuritycontexts",
    }
}

/// A CapabilityProvider or a ClusterCapabilityProvider.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyProvider {
    /// Of a namespace.
    Namespaced(Arc<CapabilityProvider>),
    /// Of the cluster.
    Cluster(Arc<ClusterCapabilityProvider>),
}

impl AnyProvider {
    /// What it offers.
    #[must_use]
    pub fn spec(&self) -> &CapabilityProviderSpec {
        match self {
            Self::Namespaced(object) => &object.spec,
            Self::Cluster(object) => &object.spec.0,
        }
    }

    /// Its metadata.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Namespaced(object) => &object.metadata,
            Self::Cluster(object) => &object.metadata,
        }
    }

    /// What the controller observed.
    #[must_use]
    pub fn status(&self) -> Option<&CapabilityProviderStatus> {
        match self {
            Self::Namespaced(object) => object.status.as_ref(),
            Self::Cluster(object) => object.status.as_ref(),
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ProviderKind {
        match self {
            Self::Namespaced(_) => ProviderKind::CapabilityProvider,
            Self::Cluster(_) => ProviderKind::ClusterCapabilityProvider,
        }
    }
}

/// The kind as Kubernetes writes it.
#[must_use]
pub const fn provider_kind(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::CapabilityProvider => "CapabilityProvider",
        ProviderKind::ClusterCapabilityProvider => "ClusterCapabilityProvider",
    }
}
