//! What a context's volumes may be.

use ccos_plan::review::{self, Verdict};
use ccos_plan::{AnyContext, wire};
use ccos_policy::{Decision, Reason, exceeds};
use serde_json::{Value, json};

use crate::world::{cluster, context, execution, found, now, provider};

/// The context with these volumes.
fn mounting(volumes: Value) -> ccos_crds::SecurityContext {
    let mut context = context();
    context.spec.volumes = serde_json::from_value(volumes).unwrap();
    context
}

/// Field and message of each fault.
fn faults(volumes: Value) -> Vec<(String, String)> {
    match wire::context(&AnyContext::Namespaced(mounting(volumes).into()), now()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.into_iter().map(|error| (error.field, error.message)).collect(),
    }
}

fn scratch(name: &str, source: &Value) -> Value {
    json!({"name": name, "mountPath": format!("/{name}"), "emptyDir": source})
}

/// The size of one on disk is looked at once a minute: until then it fills the node, whatever `limits.disk` says.
#[test]
fn an_empty_dir_on_disk_is_not_held() {
    let denied = |source: Value| {
        let found = found(mounting(json!([scratch("a", &source)])), provider());
        match review::review(&execution(), &found, &cluster().isolations, now()) {
            Verdict::Decided(Decision::Denied(denials)) => denials
                .iter()
                .filter(|denial| denial.reason() == Reason::Unenforceable)
                .map(|denial| denial.field.to_string())
                .collect(),
            _ => Vec::new(),
        }
    };
    assert_eq!(denied(json!({"sizeLimit": "1Ti"})).len(), 0, "it is no context at all");
    assert_eq!(denied(json!({"sizeLimit": "1Mi"})), ["spec.volumes[0].emptyDir"]);
    assert_eq!(denied(json!({"sizeLimit": "1Mi", "medium": "HugePages"})), ["spec.volumes[0].emptyDir"]);
    assert_eq!(denied(json!({"medium": "Memory"})), ["spec.volumes[0].emptyDir"]);
    assert_eq!(denied(json!({"sizeLimit": "1Mi", "medium": "Memory"})), Vec::<String>::new());
}

#[test]
fn empty_dirs_are_disk_and_together_within_its_limit() {
    let memory = |size: &str| json!({"sizeLimit": size, "medium": "Memory"});
    let two = |first: &str, second: &str| json!([scratch("a", &memory(first)), scratch("b", &memory(second))]);
    assert_eq!(faults(two("16Mi", "16Mi")), []);
    let told = faults(two("16Mi", "17Mi"));
    assert_eq!(
        told,
        [(
            "spec.volumes".to_owned(),
            "its emptyDirs have 33Mi together, more than limits.disk, which is 32Mi".to_owned()
        )]
    );
    assert_eq!(faults(two("16Mi", "much"))[0].0, "spec.volumes[1].emptyDir.sizeLimit");
    let told = faults(two("8Ti", "8Ti"));
    assert_eq!(told.len(), 1, "{told:?}");
    // And so within the ceiling's.
    let limits = json!({"limits": {"disk": "8Mi"}});
    let context = AnyContext::Namespaced(mounting(two("16Mi", "16Mi")).into());
    let above = exceeds(&wire::context(&context, now()).unwrap(), &wire::ceiling(&limits).unwrap()).unwrap();
    assert!(above.iter().any(|denial| denial.field.to_string() == "spec.limits.disk"), "{above}");
}

/// Written at one path and executed at the other.
#[test]
fn a_claim_has_one_place() {
    let claim = |name: &str, path: &str, claim: &str| json!({"name": name, "mountPath": path, "persistentVolumeClaim": {"claimName": claim}});
    assert_eq!(faults(json!([claim("a", "/data", "c"), claim("b", "/app", "d")])), []);
    let told = faults(json!([claim("a", "/data", "c"), claim("b", "/app", "c")]));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "spec.volumes[1].persistentVolumeClaim.claimName");
    assert!(told[0].1.contains("give a claim one place"), "{told:?}");
}
