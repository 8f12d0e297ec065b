//! The isolations that the profile says the cluster has.

use std::sync::Arc;

use ccos_plan::build::overhead;
use ccos_plan::{ClusterProfile, step};
use ccos_policy::{Bytes, Isolation, IsolationProfile};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::node::v1::RuntimeClass;

use super::read::{Cluster, Seen, name};
use super::unread;
use crate::doctor::line::{Line, State};

/// The least memory that any Kata of upstream's needs beside the pod's limits: the smallest overhead that was shipped with
/// 4.1.0. `ccos doctor --kata-config` tells what one needs exactly.
const KATA: Bytes = Bytes(120 << 20);

pub(super) fn checks(cluster: &Cluster) -> Vec<Line> {
    let profile = match &cluster.profile {
        Ok(profile) => profile,
        Err(why) => return vec![unread("profile", why)],
    };
    let isolations = &profile.isolations.0;
    let mut lines = Vec::new();
    if isolations.is_empty() {
        lines.push(Line::new(
            "isolations",
            State::Fail,
            "the profile has none: nothing can run",
            "set the chart's values isolations",
        ));
    }
    for (isolation, profile) in isolations {
        lines.extend(runtime(*isolation, profile, &cluster.runtime_classes, &cluster.nodes));
        if *isolation == Isolation::Kata {
            lines.push(Line::new(
                "configuration of Kata",
                State::Unknown,
                "is a file of each node, which no object shows",
                "run on a node: ccos doctor --kata-config FILE",
            ));
        }
    }
    lines
}

/// The isolations whose runtime there is, as far as objects tell: pods of the others would only wait.
pub(super) fn probed<'a>(cluster: &Cluster, profile: &'a ClusterProfile) -> Vec<(Isolation, &'a IsolationProfile)> {
    let is_there = |isolation: Isolation, profile: &IsolationProfile| {
        let lines = runtime(isolation, profile, &cluster.runtime_classes, &cluster.nodes);
        lines.first().is_some_and(|line| line.state == State::Ok)
    };
    let isolations = profile.isolations.0.iter().map(|(isolation, profile)| (*isolation, profile));
    isolations.filter(|(isolation, profile)| *isolation != Isolation::Wasm && is_there(*isolation, profile)).collect()
}

/// The kernels of the nodes.
pub(super) fn kernels(cluster: &Cluster) -> Vec<String> {
    let nodes = cluster.nodes.as_deref().unwrap_or_default();
    let info = nodes.iter().filter_map(|node| node.status.as_ref()?.node_info.as_ref());
    info.map(|info| info.kernel_version.clone()).collect()
}

fn runtime(
    isolation: Isolation,
    profile: &IsolationProfile,
    classes: &Seen<Vec<RuntimeClass>>,
    nodes: &Seen<Vec<Node>>,
) -> Vec<Line> {
    let check = format!("isolation {isolation}");
    let Some(class) = &profile.runtime_class else {
        return vec![Line::ok(check, "uses the nodes' default runtime")];
    };
    let classes = match classes {
        Ok(classes) => classes,
        Err(why) => return vec![unread(&check, why)],
    };
    let Some(found) = classes.iter().find(|found| name(*found) == *class) else {
        let take_out =
            format!("install its runtime and RuntimeClass, or take it out: --set isolations.{isolation}=null");
        let why = format!("RuntimeClass {class:?} does not exist: executions that need it end as RuntimeUnavailable");
        return vec![Line::new(check, State::Fail, why, &take_out)];
    };
    let line = match nodes {
        Err(why) => unread(&check, why),
        Ok(nodes) => {
            let nodes: Vec<Arc<Node>> = nodes.iter().cloned().map(Arc::new).collect();
            match step::runtime(Some(class), &[Arc::new(found.clone())], &nodes) {
                Ok(_) => Line::ok(
                    &check,
                    format!("RuntimeClass {class:?} exists, and a ready node has its handler {:?}", found.handler),
                ),
                Err(missing) => Line::new(
                    &check,
                    State::Fail,
                    format!("{missing}: executions that need it end as RuntimeUnavailable"),
                    "look at the nodes' containerd configuration, and at scheduling.nodeSelector of the RuntimeClass",
                ),
            }
        }
    };
    vec![line, of_overhead(isolation, class, found)]
}

fn of_overhead(isolation: Isolation, class: &str, found: &RuntimeClass) -> Line {
    let check = format!("overhead of RuntimeClass {class:?}");
    let memory = overhead(found).memory;
    match isolation {
        Isolation::Kata if memory.0 == 0 => Line::new(
            check,
            State::Fail,
            "has none: the pod's cgroup is smaller than its virtual machine, which the node kills, and no execution starts",
            "set overhead.podFixed; ccos doctor --kata-config tells how much",
        ),
        Isolation::Kata if memory < KATA => Line::new(
            check,
            State::Fail,
            format!("is {memory}, less than any Kata needs ({KATA}): executions that use their memory are killed"),
            "raise overhead.podFixed; ccos doctor --kata-config tells how much",
        ),
        Isolation::GVisor | Isolation::Wasm if memory.0 == 0 => Line::new(
            check,
            State::Warn,
            "has none: what the sandbox itself needs is taken out of limits.memory, and capacity does not count it",
            "set overhead.podFixed",
        ),
        Isolation::GVisor | Isolation::Kata | Isolation::Container | Isolation::Wasm => {
            Line::ok(check, format!("is {memory} of memory"))
        }
    }
}
