//! What a pod of isolation Container has besides: the places that the runner can't make there, since it has no view.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Sysctl, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Order;
use super::pod::{USER, Volumes};
use super::profile::{Plan, within};
use ccos_profile::place;

/// Room for an input document of 2 MiB, the most that the runner writes.
const INPUT: &str = "3Mi";

/// Folders that anyone may write to.
const SHARED: [&str; 2] = ["/tmp", "/dev/shm"];

/// Files of the baseline that the kubelet does not make.
const USERS: [&str; 2] = ["passwd", "group"];

pub(super) fn add(volumes: &mut Volumes, order: Order<'_>, plan: &Plan<'_>) {
    let memory = |name: &str, size: String| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { medium: Some("Memory".to_owned()), size_limit: Some(Quantity(size)) }),
        ..Volume::default()
    };
    volumes.add(place::RUN, false, memory("input", INPUT.to_owned()));
    // One file system for all of them: its size is the limit of their sum. In memory, since the kubelet looks at the
    // sizes of others now and then only.
    volumes.volumes.push(memory("scratch", order.admitted.limits().disk.0.to_string()));
    let mut part = |at: usize, path: &str| {
        volumes.mounts.push(VolumeMount {
            name: "scratch".to_owned(),
            mount_path: path.to_owned(),
            sub_path: Some(at.to_string()),
            ..VolumeMount::default()
        });
    };
    for (at, path) in SHARED.into_iter().chain(scratch(plan)).enumerate() {
        part(at, path);
    }
    for name in USERS {
        volumes.mounts.push(VolumeMount {
            name: "profile".to_owned(),
            mount_path: format!("/etc/{name}"),
            sub_path: Some(name.to_owned()),
            read_only: Some(true),
            ..VolumeMount::default()
        });
    }
}

/// The outermost paths that are written and in no volume.
fn scratch<'a>(plan: &'a Plan<'_>) -> BTreeSet<&'a str> {
    let in_volume = |path: &str| plan.volumes.iter().any(|volume| within(path, &volume.mount_path));
    let is_outermost = |path: &str| !plan.written.iter().any(|other| other != path && within(path, other));
    let own = plan.written.iter().map(String::as_str);
    own.filter(|path| !in_volume(path) && is_outermost(path) && !SHARED.contains(path)).collect()
}

/// The runner answers names and listens on the granted ports, such as 53 and 443, in the pod's network, and has no capability for it. Of the
/// pod's own network namespace, and one that Pod Security `restricted` allows.
pub(super) fn low_ports() -> Vec<Sysctl> {
    vec![Sysctl { name: "net.ipv4.ip_unprivileged_port_start".to_owned(), value: "0".to_owned() }]
}

/// The users that there are: as the view has them in the other isolations.
pub(super) fn users() -> BTreeMap<String, String> {
    let passwd = format!("root:x:0:0:root:/:/sbin/nologin\nccos:x:{USER}:{USER}:ccos:/tmp:/sbin/nologin\n");
    let group = format!("root:x:0:\nccos:x:{USER}:\n");
    USERS.map(str::to_owned).into_iter().zip([passwd, group]).collect()
}
