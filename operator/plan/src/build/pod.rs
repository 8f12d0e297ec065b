//! The pod: restricted Pod Security, one container, the runner first.

use std::collections::BTreeMap;

use ccos_policy::{Bytes, Isolation};
use ccos_profile::{REPORT_AUDIENCE, place};
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, ImageVolumeSource, KeyToPath,
    LocalObjectReference, Pod, PodDNSConfig, PodSecurityContext, PodSpec, ResourceRequirements, SeccompProfile,
    SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::profile::{Plan, Reference, meets, volume_source};
use super::token::Token;
use super::{Order, container, egress, inbound, names};

/// Whose files the workload's are. Any unprivileged one would do: the view maps it to itself.
pub(super) const USER: i64 = 1000;

/// From SIGTERM to SIGKILL, in seconds: the runner gives the workload 2 of them.
const GRACE: i64 = 10;

/// Beyond the start deadline and the wall time, in seconds, before Kubernetes ends a pod whose runner did not.
const BACKSTOP: i64 = 30;

/// Room for the log and the kubelet's own files: 8 MiB of output grow to twenty times as much where lines are short, since
/// the log has a time before each.
const EPHEMERAL: &str = "256Mi";

pub(super) fn pod(order: Order<'_>, plan: &Plan<'_>, ingress: Option<String>) -> Pod {
    let Order { object, admitted, image, cluster, capability, .. } = order;
    let runner_inside = admitted.isolation() == Isolation::GVisor;
    let metadata = names::metadata(object, names::child(object));
    let (container_image, volume_image, volume_path) = if runner_inside {
        (&cluster.runner_image, &image.reference, place::IMAGE.to_owned())
    } else {
        (&image.reference, &cluster.runner_image, order.operator.runner_volume(&metadata))
    };
    let lifetime = lifetime(order);
    let mut volumes = volumes(order, plan, &volume_path, volume_image);
    volumes.token(report_token(lifetime));
    let in_pod = admitted.isolation() == Isolation::Container;
    if in_pod {
        container::add(&mut volumes, order, plan);
    }
    let program = if runner_inside { place::RUNNER.to_owned() } else { format!("{volume_path}{}", place::RUNNER) };
    let schema = capability.output_schema.as_ref().map(|schema| (names::OUTPUT_SCHEMA, schema.as_str()));
    let rules = plan.egress.as_deref().map(|rules| (ccos_profile::egress::ANNOTATION, rules));
    let annotations: BTreeMap<String, String> =
        schema.into_iter().chain(rules).map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    Pod {
        metadata: ObjectMeta { annotations: (!annotations.is_empty()).then_some(annotations), ..metadata },
        spec: Some(PodSpec {
            active_deadline_seconds: Some(lifetime),
            automount_service_account_token: Some(false),
            containers: vec![Container {
                name: "runner".to_owned(),
                image: Some(container_image.clone()),
                image_pull_policy: Some("IfNotPresent".to_owned()),
                // Not in the environment: `kubectl describe` would show it as something that can be set.
                command: Some(vec![program, plan.digest.clone()]),
                // For the controller alone: see `inbound::ingress_of`.
                args: ingress.map(|ingress| vec![ingress]),
                resources: Some(resources(order)),
                security_context: Some(container_security()),
                termination_message_path: Some(place::TERMINATION_LOG.to_owned()),
                termination_message_policy: Some("File".to_owned()),
                volume_mounts: Some(volumes.mounts),
                ..Container::default()
            }],
            // No resolver: names are answered by the runner.
            dns_policy: Some("None".to_owned()),
            dns_config: Some(PodDNSConfig {
                nameservers: Some(vec!["127.0.0.53".to_owned()]),
                ..PodDNSConfig::default()
            }),
            enable_service_links: Some(false),
            // The kernel counts threads by user, and by user namespace: without one of its own, all executions of a node
            // would share a limit. Where the workload has one anyway, in gVisor and Kata, it is left out (and fails in gVisor).
            host_users: in_pod.then_some(false),
            hostname: Some("execution".to_owned()),
            image_pull_secrets: (!image.pull_secrets.is_empty()).then(|| {
                image.pull_secrets.iter().map(|secret| LocalObjectReference { name: secret.name.clone() }).collect()
            }),
            priority_class_name: Some(cluster.priority_class_name.clone()),
            restart_policy: Some("Never".to_owned()),
            runtime_class_name: admitted.runtime_class().map(str::to_owned),
            security_context: Some(PodSecurityContext {
                fs_group: Some(USER),
                // Not at each mount: a claim may have many files, and others may use them.
                fs_group_change_policy: Some("OnRootMismatch".to_owned()),
                // The user is the container's own: the sandbox's pause process would count against its threads.
                run_as_non_root: Some(true),
                seccomp_profile: Some(runtime_default()),
                sysctls: (in_pod && plan.egress.is_some()).then(container::low_ports),
                ..PodSecurityContext::default()
            }),
            share_process_namespace: Some(false),
            termination_grace_period_seconds: Some(GRACE),
            volumes: Some(volumes.volumes),
            ..PodSpec::default()
        }),
        status: None,
    }
}

/// The longest time that a pod may live, in seconds.
fn lifetime(order: Order<'_>) -> i64 {
    let seconds = |millis: u64| i64::try_from(millis.div_ceil(1000)).unwrap_or(i64::MAX / 4);
    let start_deadline = order.cluster.start_deadline_millis().unwrap_or_default();
    seconds(order.admitted.limits().wall_time.0).saturating_add(seconds(start_deadline)).saturating_add(BACKSTOP)
}

/// Who the pod is, for the endpoint of reports. Good for as long as the pod, within what the API allows: the kubelet need
/// not renew it, though it does.
fn report_token(lifetime: i64) -> Token {
    Token {
        name: "tokens",
        path: place::REPORT_TOKEN,
        audience: REPORT_AUDIENCE,
        seconds: lifetime.clamp(600, 1 << 32),
        mode: None,
    }
}

fn volumes(order: Order<'_>, plan: &Plan<'_>, image_path: &str, image: &str) -> Volumes {
    let Order { object, admitted, .. } = order;
    let mut volumes = Volumes::default();
    volumes.add(
        image_path,
        true,
        Volume {
            name: "image".to_owned(),
            image: Some(ImageVolumeSource {
                reference: Some(image.to_owned()),
                pull_policy: Some("IfNotPresent".to_owned()),
            }),
            ..Volume::default()
        },
    );
    volumes.add(
        "/ccos/profile",
        true,
        Volume {
            name: "profile".to_owned(),
            config_map: Some(ConfigMapVolumeSource { name: names::child(object), ..ConfigMapVolumeSource::default() }),
            ..Volume::default()
        },
    );
    if admitted.isolation() == Isolation::Kata {
        // The capability's image has no such folder.
        volumes.add(
            place::VIEW,
            false,
            Volume {
                name: "view".to_owned(),
                empty_dir: Some(EmptyDirVolumeSource { medium: None, size_limit: Some(Quantity("1Mi".to_owned())) }),
                ..Volume::default()
            },
        );
    }
    for volume in &plan.volumes {
        let ccos_crds::security_context::Volume {
            name,
            mount_path,
            persistent_volume_claim,
            config_map,
            secret,
            empty_dir,
        } = volume;
        // Writable only where something in it is required to be, however the context's author means it.
        let written = plan.written.iter().any(|path| meets(path, mount_path));
        let read_only = config_map.is_some() || secret.is_some() || !written;
        volumes.add(
            &volume_source(admitted.isolation(), volume),
            read_only,
            Volume {
                name: format!("context-{name}"),
                persistent_volume_claim: persistent_volume_claim.clone(),
                config_map: config_map.clone(),
                secret: secret.clone(),
                empty_dir: empty_dir.clone(),
                ..Volume::default()
            },
        );
    }
    if plan.egress.is_some() {
        volumes.token(egress::TOKEN);
    }
    for (at, reference) in plan.references.iter().enumerate() {
        volumes.add(&format!("{}/{at}", place::REFERENCES), true, reference_volume(at, reference));
    }
    volumes
}

#[derive(Default)]
pub(super) struct Volumes {
    pub(super) volumes: Vec<Volume>,
    pub(super) mounts: Vec<VolumeMount>,
}

impl Volumes {
    fn token(&mut self, token: Token) {
        let (folder, volume) = token.volume();
        self.add(folder, true, volume);
    }

    pub(super) fn add(&mut self, path: &str, read_only: bool, volume: Volume) {
        self.mounts.push(VolumeMount {
            name: volume.name.clone(),
            mount_path: path.to_owned(),
            read_only: Some(read_only),
            ..VolumeMount::default()
        });
        self.volumes.push(volume);
    }
}

fn reference_volume(at: usize, reference: &Reference<'_>) -> Volume {
    let items = |key: &String| Some(vec![KeyToPath { key: key.clone(), path: "value".to_owned(), mode: None }]);
    let name = format!("reference-{at}");
    match reference {
        Reference::Secret(key) => Volume {
            name,
            secret: Some(SecretVolumeSource {
                secret_name: Some(key.name.clone()),
                items: items(&key.key),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        Reference::ConfigMap(key) => Volume {
            name,
            config_map: Some(ConfigMapVolumeSource {
                name: key.name.clone(),
                items: items(&key.key),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
    }
}

/// Requests equal limits: what was granted is what is there, and what the quota counts.
fn resources(order: Order<'_>) -> ResourceRequirements {
    let limits = order.admitted.limits();
    let runner = egress::runner_memory(egress::is_required(order.admitted), inbound::is_required(order.admitted));
    let memory = Bytes(limits.memory.0.saturating_add(runner.0));
    let amounts = BTreeMap::from([
        ("cpu".to_owned(), Quantity(format!("{}m", limits.cpu.millis))),
        ("memory".to_owned(), Quantity(memory.0.to_string())),
        ("ephemeral-storage".to_owned(), Quantity(EPHEMERAL.to_owned())),
    ]);
    let mut requests = amounts.clone();
    // Hardly any writes that much, and a node has not so much for all.
    requests.insert("ephemeral-storage".to_owned(), Quantity("16Mi".to_owned()));
    ResourceRequirements { claims: None, limits: Some(amounts), requests: Some(requests) }
}

fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_group: Some(USER),
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        seccomp_profile: Some(runtime_default()),
        ..SecurityContext::default()
    }
}

fn runtime_default() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}
