//! The namespace's quota: the sum of its contexts' capacity, behind the queue. It holds also against pods that others
//! make with the PriorityClass of executions.

use std::collections::BTreeMap;

use ccos_policy::{Bytes, Cores};
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec, ScopeSelector, ScopedResourceSelectorRequirement};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use super::{RUNNER_MEMORY, names};
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
        let per = Weight {
            memory: Bytes(each.memory.0.saturating_add(RUNNER_MEMORY.0).saturating_add(overhead.memory.0)),
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
