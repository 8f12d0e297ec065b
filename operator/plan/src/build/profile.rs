//! The profile that the runner reads, and the volumes that it speaks of.

use std::collections::BTreeMap;

use ccos_crds::execution::{EnvVar, InputFrom};
use ccos_crds::permissions::KeyRef;
use ccos_crds::security_context::Volume as ContextVolume;
use ccos_policy::{Isolation, List, PathPattern, Permissions, ProcessCreation};
use ccos_profile::{Files, Globs, Inputs, Limits, Profile, Text, Volume, place};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::{Order, container, egress, inbound, names};

/// The profile and what has to be mounted for it.
pub(super) struct Plan<'a> {
    /// The profile as the runner reads it.
    pub(super) text: String,
    /// Its digest, by which the runner knows it again.
    pub(super) digest: String,
    /// What the egress proxy reads, where something is connected to.
    pub(super) egress: Option<String>,
    pub(super) volumes: Vec<&'a ContextVolume>,
    /// What is required to be writable.
    pub(super) written: Vec<String>,
    /// By number: mounted at `place::REFERENCES/<number>`, with the key as the file `value`.
    pub(super) references: Vec<Reference<'a>>,
}

/// A key of an object of the namespace. Mounted by the kubelet, so that the operator never reads a Secret.
pub(super) enum Reference<'a> {
    Secret(&'a KeyRef),
    ConfigMap(&'a KeyRef),
}

pub(super) fn plan<'a>(order: Order<'a>) -> Plan<'a> {
    let Order { object, admitted, context, capability, operator, .. } = order;
    let mut references: Vec<Reference<'a>> = Vec::new();
    let mut reference = |of: Reference<'a>| {
        let path = format!("{}/{}/value", place::REFERENCES, references.len());
        references.push(of);
        path
    };

    let permissions = admitted.permissions();
    let files = Files {
        read: paths(&permissions.filesystem.read),
        write: paths(&permissions.filesystem.write),
        execute: paths(&permissions.filesystem.execute),
        blocked: paths(&permissions.filesystem.blocked),
    };
    let (folders, programs): (Vec<_>, Vec<_>) = permissions.system.commands.iter().partition(|path| path.is_folder());
    let (programs, program_folders) = (paths(programs), paths(folders));
    let lists = [&files.read, &files.write, &files.execute, &programs, &program_folders];
    let filesystem = &permissions.filesystem;
    let patterns = filesystem.read.iter().chain(&filesystem.execute).chain(&permissions.system.commands);
    // Of a glob, all that may hold a match.
    let bases = patterns.map(PathPattern::literal_base);
    let wanted: Vec<&str> = lists.into_iter().flatten().map(String::as_str).chain(bases).collect();
    // Only what is required is mounted, however much the context has.
    let volumes: Vec<&ContextVolume> = context
        .spec()
        .volumes
        .iter()
        .filter(|volume| wanted.iter().any(|path| meets(path, &volume.mount_path)))
        .collect();

    let environment = object
        .spec
        .env
        .iter()
        .filter_map(|EnvVar { name, value, secret_key_ref }| {
            let text = match (value, secret_key_ref) {
                (Some(value), _) => Text::Value(value.clone()),
                (None, Some(key)) => Text::File(reference(Reference::Secret(key))),
                (None, None) => return None,
            };
            Some((name.clone(), text))
        })
        .collect();
    let fields = object
        .spec
        .inputs_from
        .iter()
        .filter_map(|InputFrom { config_map_key_ref, secret_key_ref, field }| {
            let of = match (config_map_key_ref, secret_key_ref) {
                (Some(key), _) => Reference::ConfigMap(key),
                (None, Some(key)) => Reference::Secret(key),
                (None, None) => return None,
            };
            Some((field.clone(), reference(of)))
        })
        .collect();

    let written = files.write.clone();
    let limits = admitted.limits();
    let egress = egress::egress(order);
    let rules = egress.as_ref().map(|egress| json!(egress.rules).to_string());
    let profile = Profile {
        version: ccos_profile::VERSION,
        image_root: image_root(admitted.isolation()).to_owned(),
        landlock_abi: landlock_abi(order),
        command: capability.command.clone().unwrap_or_default(),
        working_dir: capability.working_dir.clone(),
        files,
        globs: globs_of(permissions),
        volumes: volumes
            .iter()
            .map(|volume| Volume {
                source: volume_source(admitted.isolation(), volume),
                mount_path: volume.mount_path.clone(),
            })
            .collect(),
        programs,
        program_folders,
        process_creation: match permissions.system.process_creation {
            ProcessCreation::Allowed => ccos_profile::ProcessCreation::Allowed,
            ProcessCreation::Denied => ccos_profile::ProcessCreation::Denied,
        },
        environment,
        egress,
        inbound: inbound::inbound(order),
        inputs: Inputs {
            document: object.spec.inputs.as_ref().and_then(|inputs| inputs.value().ok()).unwrap_or_else(|| json!({})),
            fields,
        },
        limits: Limits {
            cpu_time_millis: limits.cpu_time.0,
            wall_time_millis: limits.wall_time.0,
            disk_bytes: limits.disk.0,
            file_descriptors: limits.file_descriptors,
            threads: limits.threads,
            // A container's kernel counts what its processes had.
            cpu_millis: (admitted.isolation() != Isolation::Container).then_some(limits.cpu.millis),
        },
        report: Some(operator.report.clone()),
    };
    let text = json!(profile).to_string();
    let digest = ccos_profile::digest(text.as_bytes());
    Plan { text, digest, egress: rules, volumes, written, references }
}

/// Where a volume is in the runner's container.
pub(super) fn volume_source(isolation: Isolation, volume: &ContextVolume) -> String {
    match isolation {
        // Nothing is moved there: where the workload looks for it.
        Isolation::Container => volume.mount_path.clone(),
        Isolation::GVisor | Isolation::Kata | Isolation::Wasm => format!("{}/{}", place::VOLUMES, volume.name),
    }
}

/// By which Landlock the runner confines, where that is its means.
fn landlock_abi(Order { admitted, cluster, .. }: Order<'_>) -> Option<u32> {
    match admitted.isolation() {
        // A profile that names none any more since the decision: no kernel has this one, and the runner refuses.
        Isolation::Container => Some(
            cluster
                .isolations
                .0
                .get(&Isolation::Container)
                .and_then(|profile| profile.landlock_abi)
                .unwrap_or(u32::MAX),
        ),
        Isolation::GVisor | Isolation::Kata | Isolation::Wasm => None,
    }
}

/// In GVisor the container is the runner's own image, and the capability's is a volume; in Kata it is the other way
/// round, since a guest can't be given a second image everywhere.
pub(super) const fn image_root(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::GVisor => place::IMAGE,
        Isolation::Kata | Isolation::Container | Isolation::Wasm => "/",
    }
}

/// Immutable: what was admitted does not change under a running pod.
pub(super) fn config_map(order: Order<'_>, text: String) -> ConfigMap {
    let Order { object, admitted, .. } = order;
    let mut data = BTreeMap::from([("profile.json".to_owned(), text)]);
    if admitted.isolation() == Isolation::Container {
        data.extend(container::users());
    }
    ConfigMap {
        metadata: names::metadata(object, names::child(object)),
        immutable: Some(true),
        data: Some(data),
        binary_data: None,
    }
}

/// Patterns that are no literal paths, for the runner to expand.
fn globs_of(permissions: &Permissions) -> Globs {
    let globs = |patterns: &List<PathPattern>| -> Vec<String> {
        patterns.iter().filter(|pattern| pattern.literal().is_none()).map(ToString::to_string).collect()
    };
    Globs {
        read: globs(&permissions.filesystem.read),
        execute: globs(&permissions.filesystem.execute),
        blocked: globs(&permissions.filesystem.blocked),
        programs: globs(&permissions.system.commands),
    }
}

/// Literal paths, with all below them.
fn paths<'a>(patterns: impl IntoIterator<Item = &'a PathPattern>) -> Vec<String> {
    patterns.into_iter().filter_map(|pattern| pattern.literal().map(str::to_owned)).collect()
}

/// Whether one of two paths lies in the other.
pub(super) fn meets(one: &str, other: &str) -> bool {
    within(one, other) || within(other, one)
}

/// Whether a path is a folder or lies in it, by whole segments.
pub(super) fn within(path: &str, folder: &str) -> bool {
    let mut path = path.split('/').filter(|segment| !segment.is_empty());
    folder.split('/').filter(|segment| !segment.is_empty()).all(|segment| path.next() == Some(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_meet_by_whole_segments() {
        for (one, other, expected) in [
            ("/data", "/data", true),
            ("/data/in", "/data", true),
            ("/", "/data", true),
            ("/database", "/data", false),
            ("/data", "/database", false),
        ] {
            assert_eq!(meets(one, other), expected, "{one} {other}");
        }
    }
}
