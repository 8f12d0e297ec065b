//! What is asked of the cluster, and what its answers mean together.

use std::fmt;
use std::sync::Arc;

use ccos_crds::execution::{CapabilityRef, ContextKind, ContextRef, ProviderKind};
use ccos_crds::{
    CapabilityExecution, CapabilityProvider, ClusterCapabilityProvider, ClusterSecurityContext, ExecutionPolicy, GROUP,
    SecurityContext,
};
use ccos_plan::object::{context_display, context_kind, context_resource, provider_kind};
use ccos_plan::policing::Shelf;
use ccos_plan::receipt::Requester;
use ccos_plan::review::{References, Verdict, review};
use ccos_plan::{AnyContext, AnyProvider, Policing, Trust, read, trust};
use ccos_policy::{Decision, Isolations, Reason, Use};
use ccos_supply::watchlist::Watchlist;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::{Answer, Question};
use crate::PrintError;
use crate::check::Cluster;
use crate::cluster::ConnectError;

/// Why nobody can tell.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum CanIError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Print(#[from] PrintError),
    #[error("{given:?}: expected {expected}")]
    Reference { given: String, expected: &'static str },
    #[error("cannot ask what {who} may do: {source}{}", .who.advice(.source))]
    Ask { who: Who, source: kube::Error },
    #[error("cannot read {what}: {source}")]
    Read { what: String, source: kube::Error },
    #[error("the ConfigMap {name} can't be understood: {why}")]
    Profile { name: String, why: String },
}

/// For whom is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever asks.
    Me,
    /// Somebody else, with all groups that the API server would give them.
    User {
        /// The name.
        name: String,
        /// The groups.
        groups: Vec<String>,
    },
}

impl Who {
    /// Somebody by name, and the groups that are known of them. The API server adds those that follow from the name.
    #[must_use]
    pub fn of(user: Option<&str>, groups: &[String]) -> Self {
        let Some(name) = user else { return Self::Me };
        let mut groups = groups.to_vec();
        if let Some(account) = name.strip_prefix("system:serviceaccount:") {
            let namespace = account.split(':').next().unwrap_or_default();
            groups.extend(["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]);
        }
        groups.push(
            if name == "system:anonymous" { "system:unauthenticated" } else { "system:authenticated" }.to_owned(),
        );
        Self::User { name: name.to_owned(), groups }
    }

    fn advice(&self, source: &kube::Error) -> &'static str {
        match (self, source) {
            (Self::User { .. }, kube::Error::Api(status)) if status.code == 403 => {
                "; to ask for somebody else takes the right to create subjectaccessreviews"
            }
            (Self::User { .. } | Self::Me, _) => "",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Me => f.write_str("you"),
            Self::User { name, groups: _ } => write!(f, "user {name:?}"),
        }
    }
}

/// Asks.
///
/// # Errors
/// If the cluster does not answer, or the question can't be understood.
pub async fn answer(client: &Client, question: &Question, now: Timestamp) -> Result<Answer, CanIError> {
    let (Question::Use { common, .. } | Question::Execute { common, .. }) = question;
    let who = Who::of(common.user.as_deref(), &common.groups);
    let namespace = common.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let asker = Asker { client, who, namespace };
    match question {
        Question::Use { context, common: _ } => {
            let context = context_ref(context)?;
            let refused = asker.may_not_use(&context).await?;
            Ok(Answer { allowed: refused.is_none(), reasons: refused.into_iter().collect() })
        }
        Question::Execute { capability, context, system_namespace, common: _ } => {
            let (context, capability) = (context_ref(context)?, capability_ref(capability)?);
            asker.may_execute(capability, context, system_namespace, now).await
        }
    }
}

struct Asker<'a> {
    client: &'a Client,
    who: Who,
    namespace: String,
}

impl Asker<'_> {
    async fn may_execute(
        &self,
        capability_ref: CapabilityRef,
        context_ref: ContextRef,
        system_namespace: &str,
        now: Timestamp,
    ) -> Result<Answer, CanIError> {
        let Self { client: _, who, namespace } = self;
        let create = self.may("create", "capabilityexecutions", Some(namespace), None).await?;
        let use_refused = self.may_not_use(&context_ref).await?;
        let (context, provider) = (self.context(&context_ref).await?, self.provider(&capability_ref).await?);
        let (isolations, note) = self.isolations(system_namespace).await?;
        let (watchlist, unread) = self.watchlist(system_namespace).await?;

        let spec = json!({"contextRef": context_ref, "capabilityRef": capability_ref});
        let object = json!({"metadata": {"name": "can-i", "namespace": namespace}, "spec": spec});
        let may_use = if use_refused.is_none() { Use::Allowed } else { Use::Forbidden(who.to_string()) };
        let (policing, unasked) = self.policing().await?;
        let trust = Trust::Cluster(Arc::new(watchlist));
        let found = References { context, provider, may_use, policing, trust };
        let mut reasons = Vec::new();
        if !create {
            reasons.push(format!("{who} may not create CapabilityExecutions in namespace {namespace:?}"));
        }
        let denied: Vec<String> = match read::object("CapabilityExecution", &object) {
            Ok(read::Object::Execution(object)) => decide(&object, &found, &isolations, now),
            Ok(read::Object::Context(_) | read::Object::Provider(_) | read::Object::Policy(_)) => Vec::new(),
            Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
        };
        reasons.extend(denied);
        let allowed = reasons.is_empty();
        reasons.extend(note.into_iter().chain(unread).chain(unasked));
        Ok(Answer { allowed, reasons })
    }

    /// Why not; `None`: they may.
    async fn may_not_use(&self, context: &ContextRef) -> Result<Option<String>, CanIError> {
        let namespace = match context.kind {
            ContextKind::SecurityContext => Some(self.namespace.as_str()),
            ContextKind::ClusterSecurityContext => None,
        };
        let yes = self.may("use", context_resource(context), namespace, Some(&context.name)).await?;
        let what = context_display(context.kind, &context.name);
        let place = namespace.map_or_else(String::new, |namespace| format!(" of namespace {namespace:?}"));
        Ok((!yes).then(|| format!("{} may not use {what}{place}: needs the RBAC verb `use` on it", self.who)))
    }

    async fn may(
        &self,
        verb: &str,
        resource: &str,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<bool, CanIError> {
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(resource.to_owned()),
            verb: Some(verb.to_owned()),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let post = PostParams::default();
        let status = match &self.who {
            Who::Me => {
                let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
                let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
                let review = SelfSubjectAccessReview { spec, ..Default::default() };
                api.create(&post, &review).await.map(|answer| answer.status)
            }
            Who::User { name, groups } => {
                let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
                let spec = SubjectAccessReviewSpec {
                    user: Some(name.clone()),
                    groups: Some(groups.clone()),
                    resource_attributes: Some(attributes),
                    ..Default::default()
                };
                let review = SubjectAccessReview { spec, ..Default::default() };
                api.create(&post, &review).await.map(|answer| answer.status)
            }
        };
        let status = status.map_err(|source| CanIError::Ask { who: self.who.clone(), source })?;
        let is_yes = |status: SubjectAccessReviewStatus| status.allowed && status.denied != Some(true);
        Ok(status.is_some_and(is_yes))
    }

    async fn context(&self, reference: &ContextRef) -> Result<Option<AnyContext>, CanIError> {
        let ContextRef { kind, name } = reference;
        let read = |source| CanIError::Read { what: context_display(*kind, name), source };
        Ok(match kind {
            ContextKind::SecurityContext => {
                let api: Api<SecurityContext> = Api::namespaced(self.client.clone(), &self.namespace);
                api.get_opt(name).await.map_err(read)?.map(|object| AnyContext::Namespaced(Arc::new(object)))
            }
            ContextKind::ClusterSecurityContext => {
                let api: Api<ClusterSecurityContext> = Api::all(self.client.clone());
                api.get_opt(name).await.map_err(read)?.map(|object| AnyContext::Cluster(Arc::new(object)))
            }
        })
    }

    async fn provider(&self, reference: &CapabilityRef) -> Result<Option<AnyProvider>, CanIError> {
        let CapabilityRef { kind, name, id: _ } = reference;
        let read = |source| CanIError::Read { what: format!("{} {name:?}", provider_kind(*kind)), source };
        Ok(match kind {
            ProviderKind::CapabilityProvider => {
                let api: Api<CapabilityProvider> = Api::namespaced(self.client.clone(), &self.namespace);
                api.get_opt(name).await.map_err(read)?.map(|object| AnyProvider::Namespaced(Arc::new(object)))
            }
            ProviderKind::ClusterCapabilityProvider => {
                let api: Api<ClusterCapabilityProvider> = Api::all(self.client.clone());
                api.get_opt(name).await.map_err(read)?.map(|object| AnyProvider::Cluster(Arc::new(object)))
            }
        })
    }

    /// What ExecutionPolicies say, and a note where the cluster would not tell: most users may not read them, which is no
    /// fault.
    async fn policing(&self) -> Result<(Policing, Option<String>), CanIError> {
        let note = |what: &str| format!("note: {what} can't be read: ExecutionPolicies were not asked");
        let api: Api<ExecutionPolicy> = Api::all(self.client.clone());
        let stored = match api.list(&ListParams::default()).await {
            Ok(found) if found.items.is_empty() => return Ok((Policing::NotAsked, None)),
            Ok(found) => found.items.into_iter().map(Arc::new).collect::<Vec<_>>(),
            // An operator of before there were any.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok((Policing::NotAsked, None)),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Ok((Policing::NotAsked, Some(note("ExecutionPolicies"))));
            }
            Err(source) => return Err(CanIError::Read { what: "ExecutionPolicies".to_owned(), source }),
        };
        let what = format!("Namespace {:?}", self.namespace);
        let labels = match Api::<Namespace>::all(self.client.clone()).get(&self.namespace).await {
            Ok(found) => found.metadata.labels.unwrap_or_default(),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
                return Ok((Policing::NotAsked, Some(note(&what))));
            }
            Err(source) => return Err(CanIError::Read { what, source }),
        };
        let policies = Shelf::default().current(&stored).policies;
        Ok((Policing::Asked { policies, requester: self.requester().await?, labels }, None))
    }

    /// Who that is, for the API server.
    async fn requester(&self) -> Result<Requester, CanIError> {
        let (user, groups) = match &self.who {
            Who::User { name, groups } => (name.clone(), groups.clone()),
            Who::Me => {
                let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
                let answer = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
                let answer = answer.map_err(|source| CanIError::Ask { who: self.who.clone(), source })?;
                let user = answer.status.and_then(|status| status.user_info).unwrap_or_default();
                (user.username.unwrap_or_default(), user.groups.unwrap_or_default())
            }
        };
        Ok(Requester { user, groups, ..Requester::default() })
    }

    /// The lists of what is malicious or denied, and a note where the cluster would not show them.
    async fn watchlist(&self, system_namespace: &str) -> Result<(Watchlist, Option<String>), CanIError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), system_namespace);
        match api.list(&ListParams::default().labels(&format!("{}=true", trust::LIST_LABEL))).await {
            Ok(found) => {
                let lists: Vec<Arc<ConfigMap>> = found.items.into_iter().map(Arc::new).collect();
                Ok((trust::watchlist(&lists), None))
            }
            // Most users may not read there, which is no fault.
            Err(kube::Error::Api(status)) if status.code == 403 => {
                let note = format!("note: lists of malicious providers in {system_namespace} can't be read: not asked");
                Ok((Watchlist::default(), Some(note)))
            }
            Err(source) => Err(CanIError::Read { what: format!("ConfigMaps in {system_namespace}"), source }),
        }
    }

    /// What the cluster can do, and a note where it would not say.
    async fn isolations(&self, system_namespace: &str) -> Result<(Isolations, Option<String>), CanIError> {
        const PROFILE: &str = "ccos-profile";
        let name = format!("{system_namespace}/{PROFILE}");
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), system_namespace);
        let assumed = |why: &str| {
            let note = format!("note: ConfigMap {name} {why}: the chart's default isolations are assumed");
            Ok((Cluster::default().isolations, Some(note)))
        };
        match api.get_opt(PROFILE).await {
            Ok(Some(found)) => {
                let text = found.data.unwrap_or_default().remove("profile.yaml").unwrap_or_default();
                let cluster = Cluster::parse(&text);
                cluster.map(|cluster| (cluster.isolations, None)).map_err(|why| CanIError::Profile { name, why })
            }
            Ok(None) => assumed("does not exist"),
            // Most users may not read there, which is no fault.
            Err(kube::Error::Api(status)) if status.code == 403 => assumed("can't be read"),
            Err(source) => Err(CanIError::Read { what: format!("ConfigMap {name}"), source }),
        }
    }
}

fn decide(object: &CapabilityExecution, found: &References, isolations: &Isolations, now: Timestamp) -> Vec<String> {
    match review(object, found, isolations, now) {
        Verdict::Invalid(errors) => errors.0.iter().map(ToString::to_string).collect(),
        Verdict::Decided(Decision::Admitted(_)) => Vec::new(),
        Verdict::Decided(Decision::Denied(denials)) => {
            // There are no inputs here that could fit.
            let denials = denials.iter().filter(|denial| denial.reason() != Reason::InvalidInputs);
            denials.map(|denial| format!("{}: {denial}", denial.reason())).collect()
        }
    }
}

fn context_ref(given: &str) -> Result<ContextRef, CanIError> {
    let kind = match given.split_once('/') {
        None => Some((ContextKind::SecurityContext, given)),
        Some((kind, name)) => [ContextKind::SecurityContext, ContextKind::ClusterSecurityContext]
            .into_iter()
            .find(|known| context_kind(*known).eq_ignore_ascii_case(kind))
            .map(|kind| (kind, name)),
    };
    let (kind, name) =
        kind.filter(|(_, name)| !name.is_empty() && !name.contains('/')).ok_or(CanIError::Reference {
            given: given.to_owned(),
            expected: "a context such as analysts or ClusterSecurityContext/base",
        })?;
    Ok(ContextRef { kind, name: name.to_owned() })
}

fn capability_ref(given: &str) -> Result<CapabilityRef, CanIError> {
    let parts: Vec<&str> = given.split('/').collect();
    let known = [ProviderKind::CapabilityProvider, ProviderKind::ClusterCapabilityProvider];
    let found = match parts[..] {
        [name, id] => Some((ProviderKind::CapabilityProvider, name, id)),
        [kind, name, id] => known
            .into_iter()
            .find(|known| provider_kind(*known).eq_ignore_ascii_case(kind))
            .map(|kind| (kind, name, id)),
        _ => None,
    };
    let (kind, name, id) =
        found.filter(|(_, name, id)| !name.is_empty() && !id.is_empty()).ok_or(CanIError::Reference {
            given: given.to_owned(),
            expected: "a capability such as weather/weather.fetch or ClusterCapabilityProvider/weather/weather.fetch",
        })?;
    Ok(CapabilityRef { kind, name: name.to_owned(), id: id.to_owned() })
}
