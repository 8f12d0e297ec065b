//! Attempts, one after the other, and the fence around each.

use ccos_crds::execution::DesiredState;
use ccos_crds::{CapabilityExecution, conditions};
use ccos_plan::end::EndReason;
use ccos_plan::status::{self, Draft};
use ccos_plan::{fence, retry};
use serde_json::{Value, json};

use crate::lifecycle::{condition, started, with};
use crate::world::{execution, granted, now, operator};

/// Started, and one attempt after the other ended so.
fn attempts(reasons: &[EndReason], retries: Value) -> CapabilityExecution {
    let (mut object, found) = started();
    object.spec.retries = serde_json::from_value(retries).unwrap();
    for (at, reason) in reasons.iter().enumerate() {
        if at > 0 {
            let name = ccos_plan::build::names::child(&object);
            object = with(object.clone(), Draft::of(&object, now()).starting(&granted(&object, &found), &name));
        }
        let name = status::attempted(&object).unwrap().to_owned();
        object = with(object.clone(), Draft::of(&object, now()).retrying(&name, &ended(*reason)));
    }
    object
}

fn ended(reason: EndReason) -> status::Ended {
    let end = ccos_plan::end::End::new(reason, "m");
    status::Ended { end, report: None, started_at: None, finished_at: Some(now()) }
}

#[test]
fn only_what_is_no_doing_of_the_code_is_tried_again_by_itself() {
    let (mut object, _) = started();
    let mut retried = |on: Value| -> Vec<&'static str> {
        object.spec.retries = serde_json::from_value(json!({"limit": 1, "on": on})).unwrap();
        let all = EndReason::ALL.iter().filter(|reason| retry::again(&object, &ended(**reason).end));
        all.map(|reason| reason.as_str()).collect()
    };
    assert_eq!(retried(json!([])), ["Evicted", "PodLost", "NodeLost", "RuntimeUnavailable"]);
    assert_eq!(
        retried(json!(["NonZeroExit"])),
        ["NonZeroExit", "Evicted", "PodLost", "NodeLost", "RuntimeUnavailable"]
    );
    let everything: Vec<&str> = EndReason::ALL.iter().map(|reason| reason.as_str()).collect();
    let never = [
        "Completed",
        "Cancelled",
        "ContextExpired",
        "ContextChanged",
        "UseRevoked",
        "ReceiptInvalid",
        "ConfinementFailed",
    ];
    assert!(retried(json!(everything)).iter().all(|reason| !never.contains(reason)));
    object.spec.desired_state = Some(DesiredState::Cancelled);
    assert!(!retry::again(&object, &ended(EndReason::PodLost).end));
}

#[test]
fn there_are_as_many_attempts_as_the_limit_and_one() {
    let lost = [EndReason::PodLost; 9];
    for limit in 0..=9 {
        let object = attempts(&lost[..limit], json!({"limit": limit}));
        let object = if limit == 0 {
            object
        } else {
            let name = ccos_plan::build::names::child(&object);
            let draft = Draft::of(&object, now()).attempt(&name);
            with(object.clone(), draft)
        };
        assert_eq!(object.status.as_ref().unwrap().attempts.len(), limit + 1);
        assert!(!retry::again(&object, &ended(EndReason::PodLost).end), "{limit}");
    }
    let (object, _) = started();
    assert!(!retry::again(&object, &ended(EndReason::PodLost).end), "none without retries");
}

#[test]
fn each_attempt_has_a_pod_of_its_own_and_all_have_one_policy() {
    let name = ccos_plan::build::names::child;
    let first = started().0;
    let second = attempts(&[EndReason::PodLost], json!({"limit": 2}));
    let third = attempts(&[EndReason::PodLost; 2], json!({"limit": 2}));
    assert_eq!(name(&first), "summary-e0e0e0e01111");
    assert_eq!(
        (name(&second), name(&third)),
        ("summary-e0e0e0e01111-2".to_owned(), "summary-e0e0e0e01111-3".to_owned())
    );
    let policy =
        |object| ccos_plan::build::network_policy::network_policy(object, &operator(), false, Vec::new()).metadata.name;
    assert_eq!(policy(&first), policy(&third));
    // Between two attempts it has no pod, and is not over.
    assert_eq!((status::attempted(&second), status::finished(&second)), (None, false));
    assert_eq!(condition(&second, conditions::SUCCEEDED), ("Unknown", "Retrying"));
    // Over, it is the last one's.
    let over = with(
        third.clone(),
        Draft::of(&third, now()).attempt(&name(&third)).ended(Some(&name(&third)), &ended(EndReason::PodLost)),
    );
    assert_eq!(name(&over), name(&third));
}

#[test]
fn attempts_keep_a_distance_that_doubles() {
    let after = |count: usize| {
        let object = attempts(&vec![EndReason::PodLost; count], json!({"limit": 9}));
        retry::next_attempt(&object).unwrap().duration_since(now()).as_secs()
    };
    assert_eq!([1, 2, 3, 7, 8].map(after), [1, 2, 4, 64, 64]);
    assert_eq!(retry::next_attempt(&started().0), None);
}

#[test]
fn a_network_policy_that_is_not_as_it_was_applied_ends_the_execution() {
    let wanted = ccos_plan::build::network_policy::network_policy(&execution(), &operator(), false, Vec::new());
    assert_eq!(fence::fenced(&wanted, Some(&wanted)), Ok(()));
    let reason = |found: Option<&k8s_openapi::api::networking::v1::NetworkPolicy>| {
        fence::fenced(&wanted, found).map_err(|end| end.reason)
    };
    assert_eq!(reason(None), Err("ConfinementFailed"));
    let changed = |change: Value| {
        let mut value = serde_json::to_value(&wanted).unwrap();
        for (pointer, to) in change.as_object().unwrap() {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            value.pointer_mut(parent).unwrap()[name] = to.clone();
        }
        reason(Some(&serde_json::from_value(value).unwrap()))
    };
    // As the API server may write it.
    assert_eq!(changed(json!({"/spec/ingress": null, "/metadata/resourceVersion": "7"})), Ok(()));
    for change in [
        json!({"/spec/egress": [{}]}),
        json!({"/spec/ingress": [{}]}),
        json!({"/spec/policyTypes": ["Ingress"]}),
        json!({"/spec/podSelector": {"matchLabels": {"a": "b"}}}),
        json!({"/metadata/labels": {}}),
    ] {
        assert_eq!(changed(change.clone()), Err("ConfinementFailed"), "{change}");
    }
}
