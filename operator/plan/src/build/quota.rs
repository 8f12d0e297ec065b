//! The namespace's quota: the sum of its contexts' capacity, behind the queue. It holds also against pods that others
//! make with the PriorityClass of executions.

use std::collections::BTreeMap;

use ccos_policy::{Bytes, Cores};
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec, ScopeSelector, ScopedResourceSelectorRequirement};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::{egress, names};
use crate::capacity::{Bounds, Weight};
use crate::object::AnyContext;
use crate::wire;
use jiff::Timestamp;

/// The quota's name in every namespace.
pub const NAME: &str = "ccos-executions";

/// The quota of a namespace whose executions may use these contexts; none where there are no contexts. A context that
/// can't be understood runs nothing, and adds nothing.
#[must_use]
pub fn quota(
    namespace: &str,
    priority_class: &str,
    contexts: &[AnyContext],
    overhead: Weight,
    now: Timestamp,
) -> Option<ResourceQuota> {
    let (mut pods, mut memory, mut cpu) = (0_u64, 0_u64, 0_u64);
    for context in contexts {
        let (Ok(bounds), Ok(parsed)) = (Bounds::of(context.spec().capacity.as_ref()), wire::context(context, now))
        else {
            continue;
        };
        let each = parsed.limits.or_default(parsed.level.default_limits());
        let network = &parsed.permissions.network;
        let runner = egress::runner_memory(!network.outbound.is_empty(), !network.inbound.is_empty());
        let per = Weight {
            memory: Bytes(each.memory.0.saturating_add(runner.0).saturating_add(overhead.memory.0)),
            cpu: Cores { millis: each.cpu.millis.saturating_add(overhead.cpu.millis) },
        };
        pods = pods.saturating_add(bounds.executions);
        memory = memory
            .saturating_add(bounds.memory.map_or(per.memory.0.saturating_mul(bounds.executions), |limit| limit.0));
        cpu = cpu
            .saturating_add(bounds.cpu.map_or(per.cpu.millis.saturating_mul(bounds.executions), |limit| limit.millis));
    }
    let owners: Vec<OwnerReference> = contexts
        .iter()
        .filter_map(AnyContext::owner_ref)
        .map(|owner| OwnerReference { block_owner_deletion: None, ..owner })
        .collect();
    (pods > 0).then(|| ResourceQuota {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([(names::MANAGED_BY.0.to_owned(), names::MANAGED_BY.1.to_owned())])),
            // Gone with the last of its contexts.
            owner_references: Some(owners),
            ..ObjectMeta::default()
        },
        spec: Some(ResourceQuotaSpec {
            hard: Some(BTreeMap::from([
                ("pods".to_owned(), Quantity(pods.to_string())),
                ("limits.memory".to_owned(), Quantity(memory.to_string())),
                ("limits.cpu".to_owned(), Quantity(format!("{cpu}m"))),
            ])),
            scope_selector: Some(ScopeSelector {
                match_expressions: Some(vec![ScopedResourceSelectorRequirement {
                    operator: "In".to_owned(),
                    scope_name: "PriorityClass".to_owned(),
                    values: Some(vec![priority_class.to_owned()]),
                }]),
            }),
            scopes: None,
        }),
        status: None,
    })
}

/// How far a namespace's quota is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is not there, or not as it should be: apply it.
    Stale,
    /// It is as it should be, and the API server has not counted by it yet: until then it refuses every pod.
    Uncounted,
    /// It holds.
    Holds,
}

/// Compares what is there with what should be. By amounts, not by their text: the API server stores `4000m` as `4`.
#[must_use]
pub fn state(found: Option<&ResourceQuota>, wanted: &ResourceQuota) -> State {
    let hard = |quota: &ResourceQuota| amounts(quota.spec.as_ref().and_then(|spec| spec.hard.as_ref()));
    let scope = |quota: &ResourceQuota| quota.spec.as_ref().and_then(|spec| spec.scope_selector.clone());
    let Some(found) = found else { return State::Stale };
    let current = hard(found) == hard(wanted)
        && scope(found) == scope(wanted)
        && found.metadata.owner_references == wanted.metadata.owner_references;
    if !current {
        return State::Stale;
    }
    let counted = amounts(found.status.as_ref().and_then(|status| status.hard.as_ref()));
    if counted == hard(wanted) { State::Holds } else { State::Uncounted }
}

/// Each amount in thousandths, so that counts, bytes and cores compare alike; one that can't be read equals no other.
fn amounts(all: Option<&BTreeMap<String, Quantity>>) -> Option<BTreeMap<String, u64>> {
    all?.iter()
        .map(|(name, quantity)| {
            let cores = quantity.0.parse::<Cores>().ok().map(|cores| cores.millis);
            let bytes = || quantity.0.parse::<Bytes>().ok().and_then(|bytes| bytes.0.checked_mul(1000));
            cores.or_else(bytes).map(|amount| (name.clone(), amount))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(cpu: &str, memory: &str, counted: bool) -> ResourceQuota {
        let hard = BTreeMap::from([
            ("pods".to_owned(), Quantity("3".to_owned())),
            ("limits.cpu".to_owned(), Quantity(cpu.to_owned())),
            ("limits.memory".to_owned(), Quantity(memory.to_owned())),
        ]);
        let status =
            counted.then(|| k8s_openapi::api::core::v1::ResourceQuotaStatus { hard: Some(hard.clone()), used: None });
        let spec = ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() };
        ResourceQuota { metadata: ObjectMeta::default(), spec: Some(spec), status }
    }

    #[test]
    fn amounts_are_compared_not_their_text() {
        let wanted = quota("4000m", "1073741824", false);
        assert_eq!(state(Some(&quota("4", "1Gi", true)), &wanted), State::Holds);
        assert_eq!(state(Some(&quota("4", "1073741824", true)), &wanted), State::Holds);
        assert_eq!(state(Some(&quota("4", "1Gi", false)), &wanted), State::Uncounted);
        assert_eq!(state(Some(&quota("3", "1Gi", true)), &wanted), State::Stale);
        assert_eq!(state(Some(&quota("4", "nonsense", true)), &wanted), State::Stale);
        assert_eq!(state(None, &wanted), State::Stale);
        assert_eq!(state(Some(&quota("1", "1G", true)), &quota("1", "1000000000", false)), State::Holds);
    }
}
