//! Reading what an execution speaks of: from the caches, and, where a cache's "no" would end it, from the API server.

use std::collections::BTreeMap;

use ccos_crds::execution::{CapabilityRef, ContextKind, ContextRef, ProviderKind};
use ccos_crds::{
    CapabilityExecution, CapabilityProvider, ClusterCapabilityProvider, ClusterSecurityContext, GROUP, SecurityContext,
};
use ccos_plan::build::names;
use ccos_plan::given::{Source, reads};
use ccos_plan::object::context_resource;
use ccos_plan::receipt::{Keys, Requester};
use ccos_plan::review::References;
use ccos_plan::{AnyContext, AnyProvider, Policing, Trust};
use ccos_policy::{Denials, Use};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, ListParams, PostParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt as _};

use crate::supply::lists::Lists;
use crate::watches::Stores;

/// The ConfigMap in which the webhook publishes its public keys.
const RECEIPT_KEYS: &str = "ccos-receipt-keys";

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DereferenceError {
    /// A GET failed.
    #[error("cannot read {0}")]
    Get(String, #[source] kube::Error),
    /// A question to the authorizer failed.
    #[error("cannot ask what the requester may still do")]
    Review(#[source] kube::Error),
    /// The webhook has published no key: nothing can be verified, and nothing runs.
    #[error("ConfigMap {RECEIPT_KEYS} has no key: does the webhook run?")]
    NoKeys,
    /// Nobody knows which policies there are: nothing starts.
    #[error("the ExecutionPolicies were last read {0}s ago")]
    PoliciesLost(u64),
    /// Policies look at its labels.
    #[error("Namespace {0:?} is not known yet")]
    NoNamespace(String),
}

/// The context and the provider, without asking who may use them, nor what ExecutionPolicies say.
pub(crate) async fn references(
    client: &Client,
    stores: &Stores,
    lists: &Lists,
    object: &CapabilityExecution,
) -> Result<References, DereferenceError> {
    let namespace = object.namespace().unwrap_or_default();
    let mut found = cached(stores, lists, object);
    let ContextRef { kind, name } = &object.spec.context_ref;
    found.context = match (found.context, kind) {
        (Some(found), _) => Some(found),
        (None, ContextKind::SecurityContext) => {
            let object = get(&Api::<SecurityContext>::namespaced(client.clone(), &namespace), name).await?;
            object.map(|found| AnyContext::Namespaced(found.into()))
        }
        (None, ContextKind::ClusterSecurityContext) => {
            let object = get(&Api::<ClusterSecurityContext>::all(client.clone()), name).await?;
            object.map(|found| AnyContext::Cluster(found.into()))
        }
    };
    let CapabilityRef { kind, name, id: _ } = &object.spec.capability_ref;
    found.provider = match (found.provider, kind) {
        (Some(found), _) => Some(found),
        (None, ProviderKind::CapabilityProvider) => {
            let object = get(&Api::<CapabilityProvider>::namespaced(client.clone(), &namespace), name).await?;
            object.map(|found| AnyProvider::Namespaced(found.into()))
        }
        (None, ProviderKind::ClusterCapabilityProvider) => {
            let object = get(&Api::<ClusterCapabilityProvider>::all(client.clone()), name).await?;
            object.map(|found| AnyProvider::Cluster(found.into()))
        }
    };
    Ok(found)
}

/// Both, as far as the caches know.
pub(crate) fn cached(stores: &Stores, lists: &Lists, object: &CapabilityExecution) -> References {
    let reference = &object.spec.capability_ref;
    let provider = match reference.kind {
        ProviderKind::CapabilityProvider => {
            let key = ObjectRef::new(&reference.name).within(&object.namespace().unwrap_or_default());
            stores.providers.get(&key).map(AnyProvider::Namespaced)
        }
        ProviderKind::ClusterCapabilityProvider => {
            stores.cluster_providers.get(&ObjectRef::new(&reference.name)).map(AnyProvider::Cluster)
        }
    };
    let (policing, trust) = (Policing::NotAsked, Trust::Cluster(lists.now()));
    References { context: cached_context(stores, object), provider, may_use: Use::NotAsked, policing, trust }
}

/// The context, as far as the cache knows.
pub(crate) fn cached_context(stores: &Stores, object: &CapabilityExecution) -> Option<AnyContext> {
    let reference = &object.spec.context_ref;
    match reference.kind {
        ContextKind::SecurityContext => {
            let key = ObjectRef::new(&reference.name).within(&object.namespace().unwrap_or_default());
            stores.contexts.get(&key).map(AnyContext::Namespaced)
        }
        ContextKind::ClusterSecurityContext => {
            stores.cluster_contexts.get(&ObjectRef::new(&reference.name)).map(AnyContext::Cluster)
        }
    }
}

/// How many policies are listed at once.
const PAGE: u32 = 200;

/// The network policies of a namespace as they are now, but for those that say of themselves that they are ours: there is one
/// for each execution that was kept.
pub(crate) async fn others_policies(client: &Client, namespace: &str) -> Result<Vec<NetworkPolicy>, DereferenceError> {
    let api = Api::<NetworkPolicy>::namespaced(client.clone(), namespace);
    let (label, ours) = names::MANAGED_BY;
    let first = ListParams::default().labels(&format!("{label}!={ours}")).limit(PAGE);
    let (mut all, mut params) = (Vec::new(), first.clone());
    loop {
        let page = api.list(&params).await;
        let page = page.map_err(|error| DereferenceError::Get(format!("NetworkPolicies of {namespace:?}"), error))?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = first.clone().continue_token(&token),
            None => return Ok(all),
        }
    }
}

async fn get<K>(api: &Api<K>, name: &str) -> Result<Option<K>, DereferenceError>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    api.get_opt(name).await.map_err(|error| DereferenceError::Get(format!("{} {name:?}", K::kind(&())), error))
}

/// Whether the recorded requester may still use the context. Asked before each attempt, for the requester, never with
/// the operator's own rights.
pub(crate) async fn may_use(
    client: &Client,
    object: &CapabilityExecution,
    requester: &Requester,
) -> Result<Use, DereferenceError> {
    let reference = &object.spec.context_ref;
    let wants = ResourceAttributes {
        group: Some(GROUP.to_owned()),
        resource: Some(context_resource(reference).to_owned()),
        name: Some(reference.name.clone()),
        namespace: match reference.kind {
            ContextKind::SecurityContext => object.namespace(),
            ContextKind::ClusterSecurityContext => None,
        },
        verb: Some("use".to_owned()),
        ..ResourceAttributes::default()
    };
    let allowed = may(client, requester, wants).await?;
    Ok(if allowed { Use::Allowed } else { Use::Forbidden(display(requester)) })
}

/// What of that which the execution is given its requester can't read any more. Asked before each attempt: what was
/// readable at admission may have been taken away, and hold something else by now.
pub(crate) async fn unreadable(
    client: &Client,
    object: &CapabilityExecution,
    requester: &Requester,
) -> Result<Option<Denials>, DereferenceError> {
    let namespace = object.namespace().unwrap_or_default();
    let mut answers: BTreeMap<(Source, &str), bool> = BTreeMap::new();
    let mut denials = Vec::new();
    for read in reads(&object.spec) {
        let key = (read.source, read.name);
        let allowed = if let Some(answer) = answers.get(&key) {
            *answer
        } else {
            let wants = ResourceAttributes {
                group: Some(String::new()),
                resource: Some(read.source.resource().to_owned()),
                name: Some(read.name.to_owned()),
                namespace: Some(namespace.clone()),
                verb: Some("get".to_owned()),
                ..ResourceAttributes::default()
            };
            let answer = may(client, requester, wants).await?;
            answers.insert(key, answer);
            answer
        };
        if !allowed {
            denials.push(read.denial(&namespace, &display(requester)));
        }
    }
    Ok(Denials::from_vec(denials))
}

fn display(requester: &Requester) -> String {
    format!("user {:?}", requester.user)
}

async fn may(client: &Client, requester: &Requester, wants: ResourceAttributes) -> Result<bool, DereferenceError> {
    let Requester { user, groups, uid, extra } = requester;
    let question = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.clone()),
            uid: (!uid.is_empty()).then(|| uid.clone()),
            groups: Some(groups.clone()),
            extra: Some(extra.iter().map(|(key, values)| (key.clone(), values.clone())).collect::<BTreeMap<_, _>>()),
            resource_attributes: Some(wants),
            non_resource_attributes: None,
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &question).await.map_err(DereferenceError::Review)?;
    Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
}

/// The webhook's public keys, from the cache.
pub(crate) fn cached_keys(stores: &Stores, namespace: &str) -> Keys {
    let found = stores.keys.get(&ObjectRef::new(RECEIPT_KEYS).within(namespace));
    found.and_then(|found| found.data.as_ref().map(Keys::read)).unwrap_or_default()
}

/// The webhook's public keys, from the API server: a cache that is behind must not end an execution.
pub(crate) async fn live_keys(client: &Client, namespace: &str) -> Result<Keys, DereferenceError> {
    let found = get(&Api::<ConfigMap>::namespaced(client.clone(), namespace), RECEIPT_KEYS).await?;
    let keys = found.and_then(|found| found.data.as_ref().map(Keys::read)).unwrap_or_default();
    if keys.is_empty() { Err(DereferenceError::NoKeys) } else { Ok(keys) }
}

/// The whole execution, from the API server: the cache has it without its inputs. `None`: it is gone.
pub(crate) async fn whole(
    client: &Client,
    object: &CapabilityExecution,
) -> Result<Option<CapabilityExecution>, DereferenceError> {
    let api = Api::<CapabilityExecution>::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    let found = get(&api, &object.name_any()).await?;
    Ok(found.filter(|found| found.metadata.uid == object.metadata.uid))
}

/// A pod, from the API server.
pub(crate) async fn live_pod(client: &Client, namespace: &str, name: &str) -> Result<Option<Pod>, DereferenceError> {
    get(&Api::<Pod>::namespaced(client.clone(), namespace), name).await
}

/// A network policy, from the API server.
pub(crate) async fn live_policy(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<NetworkPolicy>, DereferenceError> {
    get(&Api::<NetworkPolicy>::namespaced(client.clone(), namespace), name).await
}

/// Reason and message of the last event that warned about a pod. Asked once, when it did not start in time.
pub(crate) async fn last_warning(client: &Client, pod: &Pod) -> Result<Option<(String, String)>, DereferenceError> {
    let namespace = pod.namespace().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
    let of = format!("involvedObject.uid={},type=Warning", pod.uid().unwrap_or_default());
    let events = api
        .list(&ListParams::default().fields(&of).limit(100))
        .await
        .map_err(|error| DereferenceError::Get(format!("the events of pod {:?}", pod.name_any()), error))?;
    let last = events.items.into_iter().max_by_key(|event| {
        let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref().map(|time| time.0));
        series.or(event.last_timestamp.as_ref().map(|time| time.0)).or(event.event_time.as_ref().map(|time| time.0))
    });
    Ok(last.map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default())))
}
