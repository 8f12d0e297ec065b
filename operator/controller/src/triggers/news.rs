//! Which changes of an object are news for executions.

use ccos_crds::conditions;
use ccos_crds::security_context::SecurityContextStatus;
use k8s_openapi::api::core::v1::Node;

use crate::watches::{Exists, Touched};

/// Whether more than the status or a label of a context changed: of that, what runs under it need not hear.
pub(super) fn is_news<K: kube::Resource>(touched: &Touched<K>) -> bool {
    let of = |object: &K| {
        let metadata = object.meta();
        (metadata.uid.clone(), metadata.generation, metadata.deletion_timestamp.is_some())
    };
    touched.exists == Exists::No || touched.before.as_ref().is_none_or(|before| of(before) != of(&touched.object))
}

/// Whether it is another thing now that a context has ended, or can't be understood.
pub(super) fn ends<K>(touched: &Touched<K>, status: impl Fn(&K) -> Option<&SecurityContextStatus>) -> bool {
    let valid = |one: &K| {
        let all = status(one).map_or(&[][..], |status| &status.conditions);
        all.iter().find(|one| one.type_ == conditions::VALID).map(|one| one.status.clone())
    };
    touched.before.as_ref().is_some_and(|before| valid(before) != valid(&touched.object))
}

/// What of a node decides whether a runtime is there.
pub(super) fn runtimes(node: &Node) -> impl PartialEq + use<> {
    let status = node.status.as_ref();
    let ready = status
        .and_then(|status| status.conditions.as_ref())
        .and_then(|all| all.iter().find(|one| one.type_ == "Ready").map(|one| one.status.clone()));
    (ready, status.and_then(|status| status.runtime_handlers.clone()), node.metadata.labels.clone())
}
