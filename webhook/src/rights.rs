//! What the requester may do, asked of the API server's own authorizers: never by the operator's rights.

use std::collections::BTreeMap;

use ccos_crds::execution::{CapabilityExecutionSpec, ContextKind, ContextRef};
use ccos_crds::{GROUP, SecurityContextSpec};
use ccos_plan::given::{Read, Source, reads};
use ccos_plan::{AnyContext, AnyProvider};
use ccos_policy::{Cause, Denial, Denials};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

/// So many questions of one review are under way at a time: enough for the usual handful, and a bound on what one
/// object with a hundred references does to the API server.
const AT_ONCE: usize = 16;

/// May the requester do this?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Do what.
    pub verb: Verb,
    /// With what.
    pub object: Object,
    /// The field that makes us ask, relative to `spec` in executions.
    pub field: String,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Run executions under a context.
    Use,
    /// Write a context that grants what its author may not have.
    Escalate,
    /// Read.
    Get,
}

/// An object that a field names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace; `None`: it has none, or every namespace is meant.
    pub namespace: Option<String>,
    /// Its name; empty: not known yet, so all names are meant.
    pub name: String,
}

/// The kinds that are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they explain themselves")]
pub enum ObjectKind {
    SecurityContext,
    ClusterSecurityContext,
    Secret,
    ConfigMap,
    PersistentVolumeClaim,
}

impl Verb {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Escalate => "escalate",
            Self::Get => "get",
        }
    }
}

impl ObjectKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::SecurityContext => "SecurityContext",
            Self::ClusterSecurityContext => "ClusterSecurityContext",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::SecurityContext | Self::ClusterSecurityContext => GROUP,
            Self::Secret | Self::ConfigMap | Self::PersistentVolumeClaim => "",
        }
    }

    const fn resource(self) -> &'static str {
        match self {
            Self::SecurityContext => "securitycontexts",
            Self::ClusterSecurityContext => "clustersecuritycontexts",
            Self::Secret => "secrets",
            Self::ConfigMap => "configmaps",
            Self::PersistentVolumeClaim => "persistentvolumeclaims",
        }
    }
}

impl From<ContextKind> for ObjectKind {
    fn from(kind: ContextKind) -> Self {
        match kind {
            ContextKind::SecurityContext => Self::SecurityContext,
            ContextKind::ClusterSecurityContext => Self::ClusterSecurityContext,
        }
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind.as_str();
        let scope = match (&self.namespace, self.kind) {
            (Some(namespace), _) => format!(" of namespace {namespace:?}"),
            // A cluster-scoped context names Secrets of whatever namespace its executions are in.
            (None, ObjectKind::Secret | ObjectKind::ConfigMap | ObjectKind::PersistentVolumeClaim) => {
                " of every namespace".to_owned()
            }
            (None, ObjectKind::SecurityContext | ObjectKind::ClusterSecurityContext) => String::new(),
        };
        match self.name.as_str() {
            "" => write!(f, "every {kind}{scope}"),
            name => write!(f, "{kind} {name:?}{scope}"),
        }
    }
}

/// May the requester run executions under this context?
#[must_use]
pub fn to_use(namespace: &str, reference: &ContextRef) -> Question {
    let namespace = match reference.kind {
        ContextKind::SecurityContext => Some(namespace.to_owned()),
        ContextKind::ClusterSecurityContext => None,
    };
    let object = Object { kind: reference.kind.into(), namespace, name: reference.name.clone() };
    Question { verb: Verb::Use, object, field: "contextRef".to_owned() }
}

/// May the requester read what the execution is given?
#[must_use]
pub fn to_read(namespace: &str, spec: &CapabilityExecutionSpec) -> Vec<Question> {
    let question = |Read { source, name, field }: Read<'_>| {
        let kind = match source {
            Source::Secret => ObjectKind::Secret,
            Source::ConfigMap => ObjectKind::ConfigMap,
        };
        let object = Object { kind, namespace: Some(namespace.to_owned()), name: name.to_owned() };
        Question { verb: Verb::Get, object, field }
    };
    reads(spec).into_iter().map(question).collect()
}

/// May the author of a context write it? `above` is what it grants beyond the cluster's ceiling.
#[must_use]
pub fn to_grant(context: &AnyContext, namespace: Option<&str>, above: Option<&Denials>) -> Vec<Question> {
    let SecurityContextSpec { level, permissions, limits: _, capacity: _, isolation: _, volumes, audit: _, expiry: _ } =
        context.spec();
    let get = |kind, name: &str, field: String| Question {
        verb: Verb::Get,
        object: Object { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() },
        field,
    };
    let full = *level == ccos_crds::security_context::Level::Full;
    let escalate = (full || above.is_some()).then(|| Question {
        verb: Verb::Escalate,
        object: Object {
            kind: context.kind().into(),
            namespace: namespace.map(str::to_owned),
            name: context.metadata().name.clone().unwrap_or_default(),
        },
        field: "spec.level".to_owned(),
    });
    let volumes = volumes.iter().enumerate().flat_map(|(at, volume)| {
        let secret = volume.secret.as_ref().map(|source| {
            // Without a name it is optional and empty; a name that is filled in later would be another change.
            let name = source.secret_name.as_deref().unwrap_or_default();
            get(ObjectKind::Secret, name, format!("spec.volumes[{at}].secret.secretName"))
        });
        let config_map = volume
            .config_map
            .as_ref()
            .map(|source| get(ObjectKind::ConfigMap, &source.name, format!("spec.volumes[{at}].configMap.name")));
        let claim = volume.persistent_volume_claim.as_ref().map(|source| {
            let field = format!("spec.volumes[{at}].persistentVolumeClaim.claimName");
            get(ObjectKind::PersistentVolumeClaim, &source.claim_name, field)
        });
        [secret, config_map, claim].into_iter().flatten()
    });
    let network = permissions.as_ref().and_then(|permissions| permissions.network.as_ref());
    let credentials = network.and_then(|network| network.credentials.as_deref()).unwrap_or_default();
    let credentials = credentials.iter().enumerate().map(|(at, credential)| {
        let field = format!("spec.permissions.network.credentials[{at}].secretKeyRef");
        get(ObjectKind::Secret, &credential.secret_key_ref.name, field)
    });
    escalate.into_iter().chain(volumes).chain(credentials).collect()
}

/// May the author of a provider write it? What it pulls with, and what its signature is verified against, is read on its
/// behalf.
#[must_use]
pub fn to_provide(provider: &AnyProvider, namespace: Option<&str>) -> Vec<Question> {
    let get = |namespace: Option<&str>, name: &str, field: String| Question {
        verb: Verb::Get,
        object: Object { kind: ObjectKind::Secret, namespace: namespace.map(str::to_owned), name: name.to_owned() },
        field,
    };
    let image = provider.spec().source.image.as_ref();
    let secrets = image.map(|image| image.pull_secrets.as_slice()).unwrap_or_default();
    let pulls = secrets
        .iter()
        .enumerate()
        .map(|(at, secret)| get(namespace, &secret.name, format!("spec.source.image.pullSecrets[{at}].name")));
    let signature = provider.spec().signature.as_ref();
    let key = signature.and_then(|signature| signature.cosign.public_key_secret_ref.as_ref());
    let key = key.map(|secret| {
        let namespace = secret.namespace.as_deref().or(namespace);
        get(namespace, &secret.key.name, "spec.signature.cosign.publicKeySecretRef".to_owned())
    });
    pulls.chain(key).collect()
}

/// The question as the API server understands it.
#[must_use]
pub fn access_review(user: &UserInfo, verb: Verb, object: &Object) -> SubjectAccessReview {
    let UserInfo { extra, groups, uid, username } = user.clone();
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            extra,
            groups,
            uid,
            user: username,
            non_resource_attributes: None,
            resource_attributes: Some(ResourceAttributes {
                group: Some(object.kind.group().to_owned()),
                resource: Some(object.kind.resource().to_owned()),
                verb: Some(verb.as_str().to_owned()),
                name: filled(&object.name),
                namespace: object.namespace.clone(),
                ..ResourceAttributes::default()
            }),
        },
        ..SubjectAccessReview::default()
    }
}

/// A question that got no answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask whether the requester may {} {object}", verb.as_str())]
pub struct Unanswered {
    verb: Verb,
    object: Object,
    source: kube::Error,
}

/// Asks all of them at once, each distinct one once. What comes back are those whose answer was no.
///
/// # Errors
/// If one of them could not be asked: no answer is not a yes.
pub async fn refused(client: &Client, user: &UserInfo, questions: Vec<Question>) -> Result<Vec<Question>, Unanswered> {
    let distinct: std::collections::BTreeSet<(Verb, Object)> =
        questions.iter().map(|question| (question.verb, question.object.clone())).collect();
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let answers: BTreeMap<(Verb, Object), bool> = stream::iter(distinct)
        .map(|(verb, object)| {
            let api = &api;
            async move {
                match api.create(&PostParams::default(), &access_review(user, verb, &object)).await {
                    Ok(answer) => {
                        let yes = answer.status.is_some_and(|status| status.allowed && status.denied != Some(true));
                        Ok(((verb, object), yes))
                    }
                    Err(source) => Err(Unanswered { verb, object, source }),
                }
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let no = |question: &Question| answers.get(&(question.verb, question.object.clone())) != Some(&true);
    Ok(questions.into_iter().filter(no).collect())
}

impl Question {
    /// What the requester is told.
    #[must_use]
    pub fn refusal(&self, requester: &str) -> String {
        let Self { verb, object, field: _ } = self;
        format!("{requester} may not {} {object}: ask for the RBAC verb `{}` on it", verb.as_str(), verb.as_str())
    }

    /// The denial of an execution.
    #[must_use]
    pub fn denial(&self, requester: &str) -> Denial {
        let cause = Cause::ReferenceForbidden { requester: requester.to_owned(), object: self.object.to_string() };
        Denial::new(self.field.clone(), cause)
    }
}
