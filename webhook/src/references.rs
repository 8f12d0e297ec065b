//! What an execution names: from the caches, or from the API server where they have nothing, or something old.

use std::sync::Arc;

use ccos_crds::execution::{CapabilityExecutionSpec, CapabilityRef, ContextKind, ContextRef, ProviderKind};
use ccos_crds::{CapabilityProvider, ClusterCapabilityProvider, ClusterSecurityContext, SecurityContext};
use ccos_plan::object::{self, context_kind, provider_kind};
use ccos_plan::{AnyContext, AnyProvider};
use futures::future::try_join;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt as _};

/// Copies of all contexts and providers, kept by watches.
#[derive(Clone)]
pub struct Caches {
    /// Of namespaces.
    pub contexts: Store<SecurityContext>,
    /// Of the cluster.
    pub cluster_contexts: Store<ClusterSecurityContext>,
    /// Of namespaces.
    pub providers: Store<CapabilityProvider>,
    /// Of the cluster.
    pub cluster_providers: Store<ClusterCapabilityProvider>,
}

/// Which copy will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The caches', and the API server's where they have none: `kubectl apply -f folder` creates a context and what
    /// runs under it within milliseconds.
    Cached,
    /// The API server's.
    Live,
}

/// What an execution names.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its context.
    pub context: Option<AnyContext>,
    /// Its provider.
    pub provider: Option<AnyProvider>,
}

/// An object that could not be read: not the same as one that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what}")]
pub struct Unread {
    what: String,
    source: kube::Error,
}

/// Finds both.
///
/// # Errors
/// If the API server does not answer.
pub async fn find(
    client: &Client,
    caches: &Caches,
    namespace: &str,
    spec: &CapabilityExecutionSpec,
    freshness: Freshness,
) -> Result<Found, Unread> {
    let (context, provider) = try_join(
        context(client, caches, namespace, &spec.context_ref, freshness),
        provider(client, caches, namespace, &spec.capability_ref, freshness),
    )
    .await?;
    Ok(Found { context, provider })
}

/// The context that the labels of a namespace name for executions that name none. Read when it is needed: few do, and a
/// label that was just set must count.
///
/// # Errors
/// If the API server does not answer.
pub async fn default_context(client: &Client, namespace: &str) -> Result<Option<ContextRef>, Unread> {
    let found = Api::<Namespace>::all(client.clone()).get_metadata_opt(namespace).await;
    let found = found.map_err(|source| Unread { what: format!("Namespace {namespace:?}"), source })?;
    Ok(found.and_then(|found| object::default_context(found.labels())))
}

async fn context(
    client: &Client,
    caches: &Caches,
    namespace: &str,
    reference: &ContextRef,
    freshness: Freshness,
) -> Result<Option<AnyContext>, Unread> {
    let ContextRef { kind, name } = reference;
    if let (Freshness::Cached, Some(found)) = (freshness, caches.context(namespace, reference)) {
        return Ok(Some(found));
    }
    if !may_exist(name) {
        return Ok(None);
    }
    let unread = |source| Unread { what: format!("{} {name:?}", context_kind(*kind)), source };
    Ok(match kind {
        ContextKind::SecurityContext => {
            let api: Api<SecurityContext> = Api::namespaced(client.clone(), namespace);
            api.get_opt(name).await.map_err(unread)?.map(|object| AnyContext::Namespaced(Arc::new(object)))
        }
        ContextKind::ClusterSecurityContext => {
            let api: Api<ClusterSecurityContext> = Api::all(client.clone());
            api.get_opt(name).await.map_err(unread)?.map(|object| AnyContext::Cluster(Arc::new(object)))
        }
    })
}

async fn provider(
    client: &Client,
    caches: &Caches,
    namespace: &str,
    reference: &CapabilityRef,
    freshness: Freshness,
) -> Result<Option<AnyProvider>, Unread> {
    let CapabilityRef { kind, name, id: _ } = reference;
    if let (Freshness::Cached, Some(found)) = (freshness, caches.provider(namespace, reference)) {
        return Ok(Some(found));
    }
    if !may_exist(name) {
        return Ok(None);
    }
    let unread = |source| Unread { what: format!("{} {name:?}", provider_kind(*kind)), source };
    Ok(match kind {
        ProviderKind::CapabilityProvider => {
            let api: Api<CapabilityProvider> = Api::namespaced(client.clone(), namespace);
            api.get_opt(name).await.map_err(unread)?.map(|object| AnyProvider::Namespaced(Arc::new(object)))
        }
        ProviderKind::ClusterCapabilityProvider => {
            let api: Api<ClusterCapabilityProvider> = Api::all(client.clone());
            api.get_opt(name).await.map_err(unread)?.map(|object| AnyProvider::Cluster(Arc::new(object)))
        }
    })
}

/// Whether an object can have this name (RFC 1123). It comes from the requester and would be a part of a URL that is
/// fetched with the operator's rights: `x/status?watch=1` is no name.
fn may_exist(name: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    name.len() <= 253 && name.bytes().all(plain) && name.split('.').all(|label| !label.is_empty())
}

impl Caches {
    pub(crate) fn context(&self, namespace: &str, reference: &ContextRef) -> Option<AnyContext> {
        let ContextRef { kind, name } = reference;
        match kind {
            ContextKind::SecurityContext => {
                self.contexts.get(&ObjectRef::new(name).within(namespace)).map(AnyContext::Namespaced)
            }
            ContextKind::ClusterSecurityContext => {
                self.cluster_contexts.get(&ObjectRef::new(name)).map(AnyContext::Cluster)
            }
        }
    }

    fn provider(&self, namespace: &str, reference: &CapabilityRef) -> Option<AnyProvider> {
        let CapabilityRef { kind, name, id: _ } = reference;
        match kind {
            ProviderKind::CapabilityProvider => {
                self.providers.get(&ObjectRef::new(name).within(namespace)).map(AnyProvider::Namespaced)
            }
            ProviderKind::ClusterCapabilityProvider => {
                self.cluster_providers.get(&ObjectRef::new(name)).map(AnyProvider::Cluster)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_be_another_url_is_the_name_of_nothing() {
        for name in ["", ".", "..", "a/../b", "a/status", "a?watch=1", "a%2Fb", "a b", "A", "a..b"] {
            assert!(!may_exist(name), "{name:?}");
        }
        for name in ["a", "analysts", "a.b", "a-1.b"] {
            assert!(may_exist(name), "{name:?}");
        }
    }
}
