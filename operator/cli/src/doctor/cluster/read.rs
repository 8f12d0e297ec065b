//! What is read of the cluster: lists in pages, each bounded, by whoever asks.

use std::collections::BTreeSet;
use std::fmt::Debug;

use ccos_crds::{CapabilityExecution, SecurityContext};
use ccos_plan::ClusterProfile;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
    ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, ObjectList};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Error, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

/// How many objects of a kind are asked for at one time, and how often: 20,000 of each are looked at.
const PAGE: u32 = 500;
const PAGES: usize = 40;

/// What there is, or why that can't be told.
pub(super) type Seen<T> = Result<T, String>;

/// All that is looked at.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) system_namespace: String,
    pub(super) profile: Seen<ClusterProfile>,
    pub(super) kinds: Vec<Seen<Option<CustomResourceDefinition>>>,
    pub(super) mutating: Seen<Option<MutatingWebhookConfiguration>>,
    pub(super) validating: Seen<Option<ValidatingWebhookConfiguration>>,
    pub(super) policies: Vec<(&'static str, Policy)>,
    pub(super) keys: Seen<Option<ConfigMap>>,
    pub(super) deployments: Vec<(&'static str, Seen<Option<Deployment>>)>,
    pub(super) priority_class: Seen<Option<PriorityClass>>,
    pub(super) runtime_classes: Seen<Vec<RuntimeClass>>,
    pub(super) nodes: Seen<Vec<Node>>,
    pub(super) rights: Seen<Rights>,
    /// Namespaces with contexts or executions.
    pub(super) namespaces: Seen<BTreeSet<String>>,
}

/// An admission policy and its binding.
pub(super) type Policy = (Seen<Option<ValidatingAdmissionPolicy>>, Seen<Option<ValidatingAdmissionPolicyBinding>>);

/// Who may do what.
#[derive(Debug, Default)]
pub(super) struct Rights {
    pub(super) cluster_roles: Vec<ClusterRole>,
    pub(super) roles: Vec<Role>,
    pub(super) cluster_bindings: Vec<ClusterRoleBinding>,
    pub(super) bindings: Vec<RoleBinding>,
}

/// Policies of the chart.
const POLICIES: [&str; 3] = ["ccos-controller", "ccos-provider-status", "ccos-runtime-annotations"];

/// Deployments of the chart.
const DEPLOYMENTS: [&str; 2] = ["ccos-controller", "ccos-webhook"];

/// The deployment of the proxy to hosts by name, where the profile says that there is one.
const EGRESS: &str = "ccos-egress";

/// The name that the chart gives to the configurations of the webhook.
const CONFIGURATION: &str = "ccos";

impl Cluster {
    pub(super) async fn read(client: &Client, system_namespace: &str) -> Self {
        let profile = profile(client, system_namespace).await;
        let mut kinds = Vec::new();
        for kind in super::install::KINDS {
            let name = format!("{kind}.{}", ccos_crds::GROUP);
            kinds.push(one(&Api::<CustomResourceDefinition>::all(client.clone()), &name).await);
        }
        let mut policies = Vec::new();
        for name in POLICIES {
            let policy = one(&Api::all(client.clone()), name).await;
            policies.push((name, (policy, one(&Api::all(client.clone()), name).await)));
        }
        let mut deployments = Vec::new();
        let by_name = |profile: &ClusterProfile| profile.isolations.0.values().any(|isolation| isolation.egress);
        let egress = profile.as_ref().is_ok_and(by_name).then_some(EGRESS);
        for name in DEPLOYMENTS.into_iter().chain(egress) {
            deployments.push((name, one(&Api::namespaced(client.clone(), system_namespace), name).await));
        }
        let priority_class = profile.as_ref().map_or("ccos-execution", |profile| &profile.priority_class_name);
        Self {
            system_namespace: system_namespace.to_owned(),
            kinds,
            mutating: one(&Api::all(client.clone()), CONFIGURATION).await,
            validating: one(&Api::all(client.clone()), CONFIGURATION).await,
            policies,
            keys: one(&Api::namespaced(client.clone(), system_namespace), "ccos-receipt-keys").await,
            deployments,
            priority_class: one(&Api::all(client.clone()), priority_class).await,
            runtime_classes: all(&Api::all(client.clone())).await,
            nodes: all(&Api::all(client.clone())).await,
            rights: rights(client).await,
            namespaces: namespaces(client).await,
            profile,
        }
    }
}

async fn profile(client: &Client, system_namespace: &str) -> Seen<ClusterProfile> {
    let name = "ccos-profile";
    let found: Option<ConfigMap> = one(&Api::namespaced(client.clone(), system_namespace), name).await?;
    let Some(found) = found else {
        return Err(format!("ConfigMap {system_namespace}/{name} does not exist: is ccos installed there?"));
    };
    let text = found.data.unwrap_or_default().remove("profile.yaml").unwrap_or_default();
    ClusterProfile::parse(&text)
        .map_err(|why| format!("ConfigMap {system_namespace}/{name} can't be understood: {why}"))
}

async fn rights(client: &Client) -> Seen<Rights> {
    Ok(Rights {
        cluster_roles: all(&Api::all(client.clone())).await?,
        roles: all(&Api::all(client.clone())).await?,
        cluster_bindings: all(&Api::all(client.clone())).await?,
        bindings: all(&Api::all(client.clone())).await?,
    })
}

async fn namespaces(client: &Client) -> Seen<BTreeSet<String>> {
    let mut found = of_kind::<SecurityContext>(client).await?;
    // Under a ClusterSecurityContext they may be anywhere.
    found.extend(of_kind::<CapabilityExecution>(client).await?);
    Ok(found)
}

/// Namespaces that have one. Their metadata is enough.
async fn of_kind<K>(client: &Client) -> Seen<BTreeSet<String>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::all(client.clone());
    let found = pages::<K, _, _>(async |asked| api.list_metadata(&asked).await).await?;
    Ok(found.iter().filter_map(kube::ResourceExt::namespace).collect())
}

async fn one<K>(api: &Api<K>, name: &str) -> Seen<Option<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    api.get_opt(name).await.map_err(|error| why::<K>(&error))
}

async fn all<K>(api: &Api<K>) -> Seen<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    pages::<K, _, _>(async |asked| api.list(&asked).await).await
}

async fn pages<K, T, F>(list: F) -> Seen<Vec<T>>
where
    K: Resource<DynamicType = ()>,
    T: Clone,
    F: AsyncFn(ListParams) -> Result<ObjectList<T>, Error>,
{
    let mut found = Vec::new();
    let mut asked = ListParams::default().limit(PAGE);
    for _ in 0..PAGES {
        let page = list(asked.clone()).await.map_err(|error| why::<K>(&error))?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => asked = asked.continue_token(&token),
            None => return Ok(found),
        }
    }
    // Half of the rights would look like all of them.
    Err(format!("there are more than {} {}: too many to look at", found.len(), K::plural(&())))
}

fn why<K: Resource<DynamicType = ()>>(error: &Error) -> String {
    let kind = K::plural(&());
    match error {
        Error::Api(status) if status.code == 403 => format!("you may not read {kind}"),
        Error::Api(status) if status.code == 404 => format!("the cluster knows no {kind}"),
        other => format!("{kind} can't be read: {other}"),
    }
}

/// The name of an object, for messages.
pub(super) fn name<K: Resource>(object: &K) -> String {
    object.name_any()
}
