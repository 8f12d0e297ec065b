//! What is made for a probe. All of it has the label of the run, by which it is found again.

use std::collections::BTreeMap;

use ccos_policy::{Isolation, IsolationProfile};
use ccos_profile::place;
use ccos_profile::probe::{LISTEN, LOOK, PORT};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, Namespace, Pod, PodSecurityContext, PodSpec, ResourceRequirements,
    SeccompProfile, SecurityContext,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// Of everything that one run of the doctor makes.
pub(super) const RUN: &str = "ccos.dev/doctor-probe";
/// Of what may not connect.
const DENIED: &str = "ccos.dev/doctor-denied";
/// Ends a pod that nobody took away, in seconds.
const DEADLINE: i64 = 120;
/// Any unprivileged one.
const USER: i64 = 1000;

/// Makes gVisor hold the container's seccomp profile, which can be seen from inside. It only ever confines more.
const ANNOTATION: &str = "dev.gvisor.flag.oci-seccomp";

/// A pod that looks.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) image: &'a str,
    pub(super) isolation: Isolation,
    pub(super) profile: &'a IsolationProfile,
    /// Where to connect to.
    pub(super) canary: Option<&'a str>,
    /// Under the policy that denies it.
    pub(super) denied: bool,
    /// With an annotation for its runtime.
    pub(super) annotated: bool,
}

/// The label of a run that is like no other.
pub(super) fn run() -> BTreeMap<String, String> {
    let id = format!("{}-{}", jiff::Timestamp::now().as_millisecond(), std::process::id());
    BTreeMap::from([(RUN.to_owned(), id)])
}

fn metadata(name: &str, run: &BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        generate_name: Some(format!("ccos-probe-{name}-")),
        labels: Some(run.clone()),
        ..ObjectMeta::default()
    }
}

pub(super) fn namespace(run: &BTreeMap<String, String>) -> Namespace {
    let mut metadata = metadata("all", run);
    let labels = metadata.labels.get_or_insert_default();
    labels.insert("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned());
    Namespace { metadata, ..Namespace::default() }
}

/// Denies all egress of what has the label.
pub(super) fn deny(run: &BTreeMap<String, String>) -> NetworkPolicy {
    let mut selected = run.clone();
    selected.insert(DENIED.to_owned(), "true".to_owned());
    NetworkPolicy {
        metadata: metadata("deny", run),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(selected), match_expressions: None }),
            policy_types: Some(vec!["Egress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// The pod that the others connect to, in the nodes' default runtime.
pub(super) fn other_end(image: &str, run: &BTreeMap<String, String>) -> Pod {
    let mut pod = pod(metadata("other-end", run), image, vec![LISTEN.to_owned()]);
    for container in pod.spec.iter_mut().flat_map(|spec| &mut spec.containers) {
        container.ports = Some(vec![ContainerPort { container_port: PORT.into(), ..ContainerPort::default() }]);
    }
    pod
}

impl Shape<'_> {
    pub(super) fn pod(self, run: &BTreeMap<String, String>) -> Pod {
        let what = match (self.denied, self.annotated) {
            (true, _) => "denied",
            (false, true) => "annotated",
            (false, false) => "looks",
        };
        let mut metadata = metadata(&format!("{}-{what}", self.isolation.to_string().to_lowercase()), run);
        if self.denied {
            metadata.labels.get_or_insert_default().insert(DENIED.to_owned(), "true".to_owned());
        }
        if self.annotated {
            metadata.annotations = Some(BTreeMap::from([(ANNOTATION.to_owned(), "true".to_owned())]));
        }
        let arguments = [LOOK].into_iter().chain(self.canary).map(str::to_owned).collect();
        let mut pod = pod(metadata, self.image, arguments);
        if let Some(spec) = &mut pod.spec {
            spec.runtime_class_name.clone_from(&self.profile.runtime_class);
            spec.host_users = self.profile.pod_user_namespaces.then_some(false);
        }
        pod
    }
}

/// As executions' are: restricted Pod Security, no token, no service links.
fn pod(metadata: ObjectMeta, image: &str, arguments: Vec<String>) -> Pod {
    let amounts = BTreeMap::from([
        ("cpu".to_owned(), Quantity("100m".to_owned())),
        ("memory".to_owned(), Quantity("64Mi".to_owned())),
        ("ephemeral-storage".to_owned(), Quantity("16Mi".to_owned())),
    ]);
    let filtered = || SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None };
    Pod {
        metadata,
        spec: Some(PodSpec {
            active_deadline_seconds: Some(DEADLINE),
            automount_service_account_token: Some(false),
            containers: vec![Container {
                name: "probe".to_owned(),
                image: Some(image.to_owned()),
                image_pull_policy: Some("IfNotPresent".to_owned()),
                command: Some([place::RUNNER.to_owned()].into_iter().chain(arguments).collect()),
                resources: Some(ResourceRequirements {
                    claims: None,
                    limits: Some(amounts.clone()),
                    requests: Some(amounts),
                }),
                security_context: Some(SecurityContext {
                    allow_privilege_escalation: Some(false),
                    capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
                    read_only_root_filesystem: Some(true),
                    run_as_group: Some(USER),
                    run_as_non_root: Some(true),
                    run_as_user: Some(USER),
                    seccomp_profile: Some(filtered()),
                    ..SecurityContext::default()
                }),
                termination_message_path: Some(place::TERMINATION_LOG.to_owned()),
                termination_message_policy: Some("File".to_owned()),
                ..Container::default()
            }],
            enable_service_links: Some(false),
            restart_policy: Some("Never".to_owned()),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                seccomp_profile: Some(filtered()),
                ..PodSecurityContext::default()
            }),
            termination_grace_period_seconds: Some(1),
            ..PodSpec::default()
        }),
        status: None,
    }
}
