//! ccos itself: its kinds, its admission, its keys, and whether it runs.

use ccos_crds::VERSION;
use ccos_plan::receipt::Keys;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, RuleWithOperations, ValidatingWebhook, WebhookClientConfig,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::read::{Cluster, Policy};
use super::unread;
use crate::doctor::line::{Line, State};

/// The kinds, by the names of their resources.
pub(super) const KINDS: [&str; 6] = [
    "capabilityexecutions",
    "capabilityproviders",
    "clustercapabilityproviders",
    "clustersecuritycontexts",
    "executionpolicies",
    "securitycontexts",
];

const UPGRADE: &str = "install the charts ccos-crds and ccos again";

pub(super) fn checks(cluster: &Cluster) -> Vec<Line> {
    let namespace = cluster.system_namespace.as_str();
    let mut lines = vec![kinds(cluster)];
    let mutating = cluster
        .mutating
        .as_ref()
        .map(|found| found.as_ref().map(|found| found.webhooks.iter().flatten().map(Hook::from).collect::<Vec<_>>()));
    lines.push(webhooks("mutating webhook", mutating.map_err(String::as_str), &KINDS[..1]));
    let validating = cluster
        .validating
        .as_ref()
        .map(|found| found.as_ref().map(|found| found.webhooks.iter().flatten().map(Hook::from).collect::<Vec<_>>()));
    lines.push(webhooks("validating webhook", validating.map_err(String::as_str), &KINDS));
    lines.extend(cluster.policies.iter().map(|(name, policy)| admission_policy(name, policy)));
    lines.push(keys(cluster, namespace));
    lines.extend(cluster.deployments.iter().map(|(name, found)| {
        let check = format!("deployment {namespace}/{name}");
        match found {
            Err(why) => unread(&check, why),
            Ok(None) => Line::new(check, State::Fail, "does not exist", UPGRADE),
            Ok(Some(found)) => {
                let ready = found.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
                let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
                let found = format!("{ready} of {wanted} replicas are ready");
                if ready > 0 {
                    Line::ok(check, found)
                } else {
                    Line::new(check, State::Fail, found, "look at its pods and their logs")
                }
            }
        }
    }));
    let check = "PriorityClass of executions";
    lines.push(match &cluster.priority_class {
        Err(why) => unread(check, why),
        Ok(Some(_)) => Line::ok(check, "exists"),
        Ok(None) => Line::new(check, State::Fail, "does not exist: the API server refuses their pods", UPGRADE),
    });
    lines
}

fn kinds(cluster: &Cluster) -> Line {
    let check = "kinds";
    let mut faults = Vec::new();
    for (kind, found) in KINDS.iter().zip(&cluster.kinds) {
        match found {
            Err(why) => return unread(check, why),
            Ok(None) => faults.push(format!("{kind} does not exist")),
            Ok(Some(found)) if !is_served(found) => faults.push(format!("{kind} is not served in version {VERSION}")),
            Ok(Some(_)) => {}
        }
    }
    if faults.is_empty() {
        Line::ok(check, format!("all {} are served in version {VERSION}", KINDS.len()))
    } else {
        Line::new(check, State::Fail, faults.join("; "), "install the chart ccos-crds again")
    }
}

fn is_served(found: &CustomResourceDefinition) -> bool {
    let served = found.spec.versions.iter().any(|version| version.name == VERSION && version.served);
    let conditions = found.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    served && conditions.iter().any(|one| one.type_ == "Established" && one.status == "True")
}

/// What both sorts of webhooks have in common.
struct Hook<'a> {
    name: &'a str,
    failure_policy: Option<&'a String>,
    client: &'a WebhookClientConfig,
    rules: &'a [RuleWithOperations],
    selectors: [Option<&'a LabelSelector>; 2],
}

impl<'a> From<&'a MutatingWebhook> for Hook<'a> {
    fn from(hook: &'a MutatingWebhook) -> Self {
        Self {
            name: &hook.name,
            failure_policy: hook.failure_policy.as_ref(),
            client: &hook.client_config,
            rules: hook.rules.as_deref().unwrap_or_default(),
            selectors: [hook.namespace_selector.as_ref(), hook.object_selector.as_ref()],
        }
    }
}

impl<'a> From<&'a ValidatingWebhook> for Hook<'a> {
    fn from(hook: &'a ValidatingWebhook) -> Self {
        Self {
            name: &hook.name,
            failure_policy: hook.failure_policy.as_ref(),
            client: &hook.client_config,
            rules: hook.rules.as_deref().unwrap_or_default(),
            selectors: [hook.namespace_selector.as_ref(), hook.object_selector.as_ref()],
        }
    }
}

fn webhooks(check: &str, found: Result<Option<Vec<Hook<'_>>>, &str>, kinds: &[&str]) -> Line {
    let hooks = match found {
        Err(why) => return unread(check, why),
        Ok(None) => {
            let found =
                "does not exist: nothing is decided at admission, and all that is created ends as ReceiptInvalid";
            return Line::new(check, State::Fail, found, "install the chart ccos again");
        }
        Ok(Some(hooks)) => hooks,
    };
    let mut faults = Vec::new();
    for hook in &hooks {
        let name = hook.name;
        // Absent is Fail.
        if let Some(policy) = hook.failure_policy.filter(|policy| *policy != "Fail") {
            faults.push(format!("{name} has failurePolicy {policy}: what it does not decide is stored"));
        }
        if hook.client.ca_bundle.as_ref().is_none_or(|bundle| bundle.0.is_empty()) {
            faults.push(format!("{name} has no caBundle: the API server can't call it, and admits nothing"));
        }
        let narrowed = |selector: &LabelSelector| *selector != LabelSelector::default();
        if hook.selectors.into_iter().flatten().any(narrowed) {
            faults.push(format!("{name} has a selector: what it leaves out is not decided"));
        }
    }
    for kind in kinds {
        for operation in ["CREATE", "UPDATE"] {
            if !hooks.iter().flat_map(|hook| hook.rules).any(|rule| covers(rule, kind, operation)) {
                faults.push(format!("it is not asked for {operation} of {kind}"));
            }
        }
    }
    if faults.is_empty() {
        Line::ok(check, "is asked for all kinds; failurePolicy Fail, with a caBundle")
    } else {
        Line::new(
            check,
            State::Fail,
            faults.join("; "),
            "install the chart ccos again, and let nobody else write its webhook configurations",
        )
    }
}

fn covers(rule: &RuleWithOperations, kind: &str, operation: &str) -> bool {
    let has = |list: &Option<Vec<String>>, wanted: &str| {
        list.iter().flatten().any(|one| one == "*" || one == wanted || one == "*/*")
    };
    has(&rule.api_groups, ccos_crds::GROUP)
        && has(&rule.api_versions, VERSION)
        && has(&rule.resources, kind)
        && has(&rule.operations, operation)
}

fn admission_policy(name: &str, (policy, binding): &Policy) -> Line {
    let check = format!("admission policy {name}");
    let (policy, binding) = match (policy, binding) {
        (Err(why), _) | (_, Err(why)) => return unread(&check, why),
        (Ok(policy), Ok(binding)) => (policy, binding),
    };
    let mut faults = Vec::new();
    match policy.as_ref().and_then(|policy| policy.spec.as_ref()) {
        None => faults.push("does not exist".to_owned()),
        Some(spec) => {
            if let Some(other) = spec.failure_policy.as_ref().filter(|policy| *policy != "Fail") {
                faults.push(format!("has failurePolicy {other}"));
            }
        }
    }
    match binding.as_ref().map(|binding| &binding.spec) {
        None => faults.push("has no binding of its name".to_owned()),
        Some(spec) => {
            if spec.policy_name != name || spec.match_resources.is_some() {
                faults.push("its binding is for something else, or narrowed".to_owned());
            }
            if !spec.validation_actions.iter().any(|action| action == "Deny") {
                faults.push("its binding does not deny".to_owned());
            }
        }
    }
    if faults.is_empty() {
        Line::ok(check, "exists, and denies")
    } else {
        Line::new(check, State::Fail, faults.join("; "), "install the chart ccos again")
    }
}

fn keys(cluster: &Cluster, namespace: &str) -> Line {
    let check = format!("receipt keys {namespace}/ccos-receipt-keys");
    match &cluster.keys {
        Err(why) => unread(&check, why),
        Ok(None) => Line::new(
            check,
            State::Fail,
            "do not exist: no receipt can be verified, and nothing runs",
            "look at the log of the webhook, which writes them",
        ),
        Ok(Some(found)) => {
            let keys = Keys::read(found.data.iter().flatten());
            let left_out = found.data.iter().flatten().count();
            if keys.is_empty() {
                let found = format!("none of its {left_out} entries is a key of ccos: no receipt can be verified");
                Line::new(check, State::Fail, found, "delete the ConfigMap and restart the webhook, which writes it")
            } else {
                Line::ok(check, "are there")
            }
        }
    }
}
