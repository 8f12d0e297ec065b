//! What an admitted execution becomes in a cluster. Nothing here can fail: all that can was parsed before.

mod container;
pub mod egress;
pub mod inbound;
pub mod names;
pub mod network_policy;
mod operator;
mod pod;
mod profile;
pub mod quota;
mod token;

use ccos_crds::CapabilityExecution;
use ccos_crds::provider::{Capability, Image};
use ccos_policy::{Admitted, Bytes, Cores};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::capacity::Weight;
use crate::cluster::ClusterProfile;
use crate::object::AnyContext;
pub use operator::{Operator, REPORT_PORT};

/// Memory that the runner's own processes may use, beside the workload's. Its static program holds 4 MiB, and up to
/// 1 MiB of output.
pub const RUNNER_MEMORY: Bytes = Bytes(16 << 20);

/// An admitted execution with all that its pod is made of.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The execution.
    pub object: &'a CapabilityExecution,
    /// The decision.
    pub admitted: &'a Admitted,
    /// The context that granted it, for its volumes.
    pub context: &'a AnyContext,
    /// The capability, for its command.
    pub capability: &'a Capability,
    /// The capability's image.
    pub image: &'a Image,
    /// The cluster.
    pub cluster: &'a ClusterProfile,
    /// The operator's endpoints.
    pub operator: &'a Operator,
    /// The egress proxy, where something is to be connected to.
    pub proxy: Option<SocketAddr>,
}

/// The objects of one attempt, in the order in which they are applied: the pod last, since one that starts before its
/// policy has an open first second.
#[derive(Clone, Debug, PartialEq)]
pub struct Children {
    /// Denies all traffic of the pod, both ways, but the runner's report, the way to the egress proxy where something is
    /// to be connected to, and what may connect in.
    pub network_policy: NetworkPolicy,
    /// What the runner reads.
    pub profile: ConfigMap,
    /// The pod.
    pub pod: Pod,
}

/// Builds the objects of the attempt.
#[must_use]
pub fn children(order: Order<'_>) -> Children {
    let plan = profile::plan(order);
    let connects = order.proxy.is_some() && egress::is_required(order.admitted);
    let ingress = inbound::ingress(order);
    Children {
        pod: pod::pod(order, &plan, inbound::as_argument(&ingress)),
        network_policy: network_policy::network_policy(order.object, order.operator, connects, ingress),
        profile: profile::config_map(order, plan.text),
    }
}

/// What an attempt holds of its context's capacity.
///
/// `overhead` is the RuntimeClass's.
#[must_use]
pub fn weight(admitted: &Admitted, overhead: Weight) -> Weight {
    let limits = admitted.limits();
    let runner = egress::runner_memory(egress::is_required(admitted), inbound::is_required(admitted));
    Weight {
        memory: Bytes(limits.memory.0.saturating_add(runner.0).saturating_add(overhead.memory.0)),
        cpu: Cores { millis: limits.cpu.millis.saturating_add(overhead.cpu.millis) },
    }
}

/// What a RuntimeClass adds to each of its pods.
#[must_use]
pub fn overhead(class: &RuntimeClass) -> Weight {
    let fixed = class.overhead.as_ref().and_then(|overhead| overhead.pod_fixed.as_ref());
    amounts(fixed)
}

/// What a pod of ours holds, by its own words.
#[must_use]
pub fn pod_weight(pod: &Pod) -> Weight {
    let spec = pod.spec.as_ref();
    let container = spec.and_then(|spec| spec.containers.first()).and_then(|container| container.resources.as_ref());
    let (limits, overhead) = (
        amounts(container.and_then(|resources| resources.limits.as_ref())),
        amounts(spec.and_then(|spec| spec.overhead.as_ref())),
    );
    Weight {
        memory: Bytes(limits.memory.0.saturating_add(overhead.memory.0)),
        cpu: Cores { millis: limits.cpu.millis.saturating_add(overhead.cpu.millis) },
    }
}

fn amounts(all: Option<&BTreeMap<String, Quantity>>) -> Weight {
    let text = |name: &str| all.and_then(|all| all.get(name)).map(|quantity| quantity.0.as_str());
    Weight {
        memory: text("memory").and_then(|text| text.parse().ok()).unwrap_or(Bytes(0)),
        cpu: text("cpu").and_then(|text| text.parse().ok()).unwrap_or(Cores { millis: 0 }),
    }
}
