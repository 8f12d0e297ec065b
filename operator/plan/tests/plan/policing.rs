//! ExecutionPolicies between the wire and the decision.

use std::sync::Arc;

use ccos_crds::{CapabilityProvider, ExecutionPolicy};
use ccos_plan::policing::{Current, Shelf};
use ccos_plan::receipt::Requester;
use ccos_plan::review::References;
use ccos_plan::step::{self, Permit};
use ccos_plan::{AnyProvider, Policing, Trust, wire};
use serde_json::json;

use crate::world::{admitted, claims, cluster, context, execution, found, now, provider, stamped};

fn policy(name: &str, generation: i64, mode: &str, cedar: &str) -> Arc<ExecutionPolicy> {
    let object = json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "ExecutionPolicy",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "generation": generation},
        "spec": {"mode": mode, "cedar": cedar},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn policed(found: References, stored: &[Arc<ExecutionPolicy>]) -> References {
    let Current { policies, revision: _ } = Shelf::default().current(stored);
    let requester = Requester { user: "ann".to_owned(), groups: vec!["team".to_owned()], ..Requester::default() };
    let labels = [("env".to_owned(), "prod".to_owned())].into();
    References { policing: Policing::Asked { policies, requester, labels }, ..found }
}

/// What a policy with this condition would end a queued execution with.
fn end(provider: CapabilityProvider, condition: &str) -> Option<(&'static str, String)> {
    let text = format!("@id(\"a\") forbid(principal, action, resource) when {{ {condition} }};");
    let before = found(context(), provider);
    let object = stamped(execution(), claims(&execution(), &before));
    let after = policed(before.clone(), &[policy("p", 1, "Enforce", &text)]);
    match step::permit(&object, claims(&object, &before), &after, &cluster(), now()) {
        Permit::Granted(_) => None,
        Permit::Refused(end) => Some((end.reason, end.message)),
    }
}

#[test]
fn what_was_admitted_and_is_forbidden_since_ends_by_the_policy_and_not_by_its_receipt() {
    let (reason, message) = end(provider(), "true").unwrap();
    assert_eq!(reason, "PolicyDenied");
    assert!(message.contains(r#"capabilityRef: ExecutionPolicy "p" forbids it by policy "a""#), "{message}");
    assert_eq!(end(provider(), r#"principal == User::"eve""#), None);
}

#[test]
fn a_remark_changes_no_digest_so_that_the_receipt_still_fits() {
    let before = found(context(), provider());
    let after = policed(before.clone(), &[policy("w", 1, "Warn", "forbid(principal, action, resource);")]);
    let object = stamped(execution(), claims(&execution(), &before));
    assert_eq!(admitted(&object, &after).remarks().len(), 1);
    let permit = step::permit(&object, claims(&object, &before), &after, &cluster(), now());
    assert!(matches!(permit, Permit::Granted(_)), "{permit:?}");
}

#[test]
fn time_is_the_moment_of_the_decision() {
    let before = found(context(), provider());
    let text = r#"forbid(principal, action, resource) when { context.now >= datetime("2026-11-24T06:30:00Z") };"#;
    let after = policed(before.clone(), &[policy("p", 1, "Enforce", text)]);
    let object = stamped(execution(), claims(&execution(), &before));
    let permit = |at: &str| {
        let permit = step::permit(&object, claims(&object, &before), &after, &cluster(), at.parse().unwrap());
        matches!(permit, Permit::Granted(_))
    };
    assert!(permit("2026-11-24T06:29:59Z"));
    assert!(!permit("2026-11-24T06:30:00Z"));
}

#[test]
fn what_runs_is_left_alone() {
    let before = found(context(), provider());
    let mut object = stamped(execution(), claims(&execution(), &before));
    let granted = crate::world::granted(&object, &before);
    object.status =
        ccos_plan::status::Draft::of(&object, now()).starting(&granted, "summary-e0e0e0e01111").changed(&object);
    // The controller does not ask policies of what runs; and even if it did, nothing of the context has changed.
    let after = policed(before, &[policy("p", 1, "Enforce", "forbid(principal, action, resource);")]);
    assert_eq!(step::stop(&object, &after, &cluster(), now()), None);
}

#[test]
fn policies_see_what_the_objects_say() {
    let digest = "0".repeat(64);
    for condition in [
        r#"principal == User::"ann" && principal in Group::"team""#,
        r#"resource == Capability::"csv.summary" && resource.image == "registry.test/python""#,
        &format!(r#"resource.sourceDigest == "sha256:{digest}""#),
        r#"resource.provider == {kind: ProviderKind::"CapabilityProvider", namespace: "data", name: "csv"}"#,
        r#"resource.version.text == "1.0.0" && resource.version.major == 1 && resource.version.prerelease == """#,
        r#"resource.signature == Signature::"None""#,
        r#"resource.requires.filesystem.write.contains("/workspace")"#,
        "resource.requires.limits.memoryBytes == 67108864 && resource.requires.limits.wallTimeMillis == 60000",
        r#"context.namespace == Namespace::"data" && context.namespace.getTag("env") == "prod""#
            .replace("context.namespace.getTag", "context.namespace.hasTag(\"env\") && context.namespace.getTag")
            .as_str(),
        r#"context.securityContext == {kind: ContextKind::"SecurityContext", name: "analysts"}"#,
        r#"context.level == Level::"Controlled" && context.isolation == Isolation::"GVisor""#,
    ] {
        assert!(end(provider(), condition).is_some(), "{condition}");
    }
}

#[test]
fn an_image_is_its_name_whatever_its_port_tag_and_digest() {
    let zeros = format!("sha256:{}", "0".repeat(64));
    for (reference, image) in [
        (format!("registry.test:5000/a/b:1.2@{zeros}"), "registry.test:5000/a/b"),
        (format!("registry.test:5000/a@{zeros}"), "registry.test:5000/a"),
        (format!("registry.test/a@{zeros}"), "registry.test/a"),
    ] {
        let mut provider = provider();
        provider.spec.source.image.as_mut().unwrap().reference = reference;
        assert!(end(provider, &format!("resource.image == \"{image}\"")).is_some(), "{image}");
    }
    let mut signed = provider();
    signed.spec.signature =
        Some(serde_json::from_value(json!({"cosign": {"publicKey": "-----BEGIN PUBLIC KEY-----"}})).unwrap());
    let provider = Some(AnyProvider::Namespaced(Arc::new(signed)));
    let text = r#"forbid(principal, action, resource) when { resource.signature == Signature::"Unverified" };"#;
    let found = policed(
        References { provider, trust: Trust::Offline, ..found(context(), crate::world::provider()) },
        &[policy("p", 1, "Enforce", text)],
    );
    let review = ccos_plan::review(&execution(), &found, &cluster().isolations, now());
    assert!(format!("{review:?}").contains("PolicyDenied"), "{review:?}");
}

#[test]
fn a_text_is_parsed_when_it_changes_and_not_at_each_decision() {
    let shelf = Shelf::default();
    let text = "forbid(principal == User::\"eve\", action, resource);";
    let (a, b) = (policy("a", 1, "Enforce", text), policy("b", 1, "Audit", text));
    let first = shelf.current(&[a.clone(), b.clone()]);
    let again = shelf.current(&[b.clone(), a.clone()]);
    assert!(Arc::ptr_eq(&first.policies, &again.policies), "in whatever order a cache has them");
    assert_eq!(first.revision, again.revision);
    let changed = shelf.current(&[policy("a", 2, "Enforce", "forbid(principal, action, resource);"), b.clone()]);
    assert!(changed.revision > again.revision);
    let gone = shelf.current(&[b]);
    assert!(gone.revision > changed.revision);
    assert!(shelf.current(&[]).policies.is_empty());
}

#[test]
fn an_object_of_the_same_name_made_anew_is_another_one() {
    let shelf = Shelf::default();
    let old = policy("a", 1, "Enforce", "forbid(principal == User::\"eve\", action, resource);");
    let mut new = (*policy("a", 1, "Enforce", "forbid(principal, action, resource);")).clone();
    new.metadata.uid = Some("another".to_owned());
    let before = shelf.current(&[old]);
    assert!(shelf.current(&[Arc::new(new)]).revision > before.revision);
}

#[test]
fn all_that_is_wrong_with_a_text_is_said_of_its_field() {
    let wrong =
        policy("p", 1, "Enforce", "forbid(principal, action, resource)\nwhen { resource.x == 1 || context.y };");
    let errors = wire::policy(&wrong).unwrap_err();
    assert!(errors.0.len() >= 2, "{errors}");
    assert!(errors.0.iter().all(|error| error.field == "spec.cedar"), "{errors}");
    assert!(errors.0[0].message.starts_with("line 2, column 8: "), "{errors}");
}
