//! What to do next, and what status says, from what is there.

use ccos_crds::execution::DesiredState;
use ccos_crds::security_context::Isolation;
use ccos_crds::{CapabilityExecution, SecurityContext, conditions};
use ccos_plan::end::{EndReason, WaitReason};
use ccos_plan::fence;
use ccos_plan::review::References;
use ccos_plan::status::{self, Draft, Seen};
use ccos_plan::step::{self, Permit};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::node::v1::RuntimeClass;
use serde_json::{Value, json};

use crate::world::{claims, cluster, context, execution, found, granted, now, operator, provider, stamped, time};

fn pod(status: Value) -> Pod {
    let labels = ccos_plan::build::names::labels(&execution());
    serde_json::from_value(json!({
        "metadata": {"name": "summary-e0e0e0e01111", "labels": labels, "creationTimestamp": "2026-11-24T06:10:00Z"},
        "status": status,
    }))
    .unwrap()
}

fn terminated(message: &str, reason: &str, exit_code: i32) -> Pod {
    pod(json!({
        "phase": "Failed",
        "containerStatuses": [{"name": "runner", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": exit_code, "reason": reason, "message": message,
                "startedAt": "2026-11-24T06:10:01Z", "finishedAt": "2026-11-24T06:10:02Z"}}}],
    }))
}

fn end_of(pod: &Pod) -> &'static str {
    match status::observe(pod) {
        Seen::Ended(ended) => ended.end.reason,
        other => panic!("{other:?}"),
    }
}

fn report(end: &str) -> String {
    json!({"version": 1, "end": end, "exitCode": 0, "result": {"rows": 3}, "proven": [],
        "usage": {"cpuTimeMillis": 20, "peakMemoryBytes": 1_048_576, "wallTimeMillis": 1500, "diskBytes": 0}})
    .to_string()
}

pub(crate) fn condition<'a>(object: &'a CapabilityExecution, kind: &str) -> (&'a str, &'a str) {
    let all = &object.status.as_ref().unwrap().conditions;
    all.iter().find(|one| one.type_ == kind).map(|one| (one.status.as_str(), one.reason.as_str())).unwrap()
}

pub(crate) fn with(mut object: CapabilityExecution, draft: Draft) -> CapabilityExecution {
    object.status = Some(draft.changed(&object).expect("the status changes"));
    object
}

pub(crate) fn started() -> (CapabilityExecution, References) {
    let found = found(context(), provider());
    let object = stamped(execution(), claims(&execution(), &found));
    let draft = Draft::of(&object, now()).starting(&granted(&object, &found), "summary-e0e0e0e01111");
    (with(object, draft), found)
}

#[test]
fn the_runners_report_is_the_end() {
    for (end, reason) in [
        ("Completed", "Completed"),
        ("WallTimeExceeded", "WallTimeExceeded"),
        ("ConfinementFailed", "ConfinementFailed"),
    ] {
        assert_eq!(end_of(&terminated(&report(end), "Error", 1)), reason);
    }
}

#[test]
fn the_kernels_word_on_memory_beats_the_runners() {
    assert_eq!(end_of(&terminated(&report("Signaled"), "OOMKilled", 137)), "MemoryExceeded");
    assert_eq!(end_of(&terminated("", "OOMKilled", 128)), "MemoryExceeded");
}

#[test]
fn a_runner_that_says_nothing_or_nonsense_is_an_internal_error_and_never_completed() {
    for message in [
        "",
        "{}",
        "null",
        r#"{"version":2,"end":"Completed","proven":[]}"#,
        r#"{"version":1,"end":"Completed","proven":[],"x":1}"#,
    ] {
        assert_eq!(end_of(&terminated(message, "Completed", 0)), "InternalError", "{message}");
    }
}

#[test]
fn who_was_told_to_stop_by_the_node_was_not_cancelled() {
    let mut pod = terminated(&report("Cancelled"), "Error", 1);
    assert_eq!(end_of(&pod), "Cancelled");
    pod.status.as_mut().unwrap().reason = Some("Evicted".to_owned());
    assert_eq!(end_of(&pod), "Evicted");
}

#[test]
fn nodes_end_pods_for_their_own_reasons() {
    for (reason, end) in
        [("Evicted", "Evicted"), ("DeadlineExceeded", "WallTimeExceeded"), ("NodeShutdown", "NodeLost")]
    {
        assert_eq!(end_of(&pod(json!({"phase": "Failed", "reason": reason, "message": "m"}))), end);
    }
}

#[test]
fn a_finished_execution_shows_result_usage_and_times() {
    let (object, _) = started();
    let Seen::Ended(ended) = status::observe(&terminated(&report("Completed"), "Completed", 0)) else { panic!() };
    let draft = Draft::of(&object, now()).ended(Some("summary-e0e0e0e01111"), &ended);
    let object = with(object, draft);
    assert!(status::finished(&object));
    assert_eq!(condition(&object, conditions::SUCCEEDED), ("True", "Completed"));
    insta::assert_snapshot!("finished", serde_saphyr::to_string(object.status.as_ref().unwrap()).unwrap());
}

#[test]
fn a_change_after_the_end_is_observed_and_changes_nothing_else() {
    let (mut object, _) = started();
    let Seen::Ended(ended) = status::observe(&terminated(&report("Completed"), "Completed", 0)) else { panic!() };
    object = with(object.clone(), Draft::of(&object, now()).ended(Some("summary-e0e0e0e01111"), &ended));
    assert_eq!(Draft::of(&object, now()).observed().changed(&object), None);
    object.metadata.generation = Some(2);
    let object = with(object.clone(), Draft::of(&object, now()).observed());
    assert!(object.status.as_ref().unwrap().conditions.iter().all(|one| one.observed_generation == Some(2)));
    assert_eq!(condition(&object, conditions::SUCCEEDED), ("True", "Completed"));
}

#[test]
fn a_status_that_says_the_same_is_not_written() {
    let (object, found) = started();
    let later = "2026-11-24T07:00:00Z".parse().unwrap();
    let same = Draft::of(&object, later).starting(&granted(&object, &found), "summary-e0e0e0e01111");
    assert_eq!(same.changed(&object), None);
}

#[test]
fn the_reason_of_a_stop_outlives_the_pod() {
    let (object, _) = started();
    let end = ccos_plan::end::End::new(EndReason::ContextExpired, "why: because");
    let draft = Draft::of(&object, now()).stopping(&end);
    let object = with(object, draft);
    assert_eq!(status::stopping(&object), Some(end));
    assert!(!status::finished(&object));
}

#[test]
fn what_was_admitted_is_permitted_and_decided_again() {
    let found = found(context(), provider());
    let object = stamped(execution(), claims(&execution(), &found));
    let permit = step::permit(&object, claims(&object, &found), &found, &cluster(), now());
    assert!(matches!(permit, Permit::Granted(_)), "{permit:?}");
}

fn refusal(change: impl FnOnce(&mut CapabilityExecution, &mut References)) -> &'static str {
    let mut found = found(context(), provider());
    let mut object = stamped(execution(), claims(&execution(), &found));
    let claims = claims(&object, &found);
    change(&mut object, &mut found);
    match step::permit(&object, claims, &found, &cluster(), now()) {
        Permit::Refused(end) => end.reason,
        Permit::Granted(_) => "granted",
    }
}

fn replace(found: &mut References, change: impl FnOnce(&mut SecurityContext)) {
    let mut context = context();
    change(&mut context);
    context.metadata.generation = Some(2);
    *found = self::found(context, provider());
}

#[test]
fn what_changed_between_admission_and_start_ends_it_with_its_reason() {
    assert_eq!(refusal(|object, _| object.spec.desired_state = Some(DesiredState::Cancelled)), "Cancelled");
    assert_eq!(
        refusal(|_, found| found.may_use = ccos_policy::Use::Forbidden("user \"ann\"".to_owned())),
        "UseRevoked"
    );
    assert_eq!(refusal(|_, found| found.context = None), "ContextNotFound");
    let dying =
        |context: &mut SecurityContext| context.metadata.deletion_timestamp = Some(time("2026-11-24T06:10:00Z"));
    assert_eq!(refusal(|_, found| replace(found, dying)), "ContextNotFound");
    assert_eq!(refusal(|_, found| replace(found, |context| context.spec.permissions = None)), "FileReadDenied");
    assert_eq!(
        refusal(|_, found| replace(found, |context| {
            context.spec.expiry = Some(serde_json::from_value(json!({"type": "After", "after": "1m"})).unwrap());
        })),
        "ContextExpired"
    );
    assert_eq!(
        refusal(|_, found| replace(found, |context| context.metadata.uid = Some("c1".to_owned()))),
        "ReceiptInvalid"
    );
}

#[test]
fn a_decision_that_differs_from_the_webhooks_on_the_same_objects_is_not_run() {
    let found = found(context(), provider());
    let object = stamped(execution(), claims(&execution(), &found));
    let mut claims = claims(&object, &found);
    claims.decision_digest = "sha256:00".to_owned();
    let permit = step::permit(&object, claims, &found, &cluster(), now());
    assert!(matches!(&permit, Permit::Refused(end) if end.reason == "ReceiptInvalid"), "{permit:?}");
}

#[test]
fn a_running_execution_stops_when_its_context_no_longer_grants_it() {
    let (object, found) = started();
    assert_eq!(step::stop(&object, &found, &cluster(), now()), None);
    let stops = |found: &References, at: &str| {
        step::stop(&object, found, &cluster(), at.parse().unwrap()).map(|end| end.reason)
    };
    assert_eq!(stops(&found, "2026-11-24T07:00:00Z"), Some("ContextExpired"));
    let mut narrowed = found.clone();
    replace(&mut narrowed, |context| context.spec.permissions = None);
    assert_eq!(stops(&narrowed, "2026-11-24T06:10:00Z"), Some("ContextChanged"));
    let gone = References { context: None, ..found.clone() };
    assert_eq!(stops(&gone, "2026-11-24T06:10:00Z"), Some("ContextChanged"));
    let mut drains = found;
    replace(&mut drains, |context| {
        context.spec.expiry =
            Some(serde_json::from_value(json!({"type": "After", "after": "1h", "onExpiry": "Drain"})).unwrap());
    });
    assert_eq!(stops(&drains, "2026-11-24T07:00:00Z"), None);
}

#[test]
fn a_pod_whose_labels_were_changed_has_left_its_fence() {
    let (object, _) = started();
    let mut pod = pod(json!({}));
    assert_eq!(fence::drifted(&object, &pod), None);
    pod.metadata.labels = None;
    assert_eq!(fence::drifted(&object, &pod).map(|end| end.reason), Some("ConfinementFailed"));
}

#[test]
fn a_pod_with_annotations_for_its_runtime_is_not_the_one_that_was_built() {
    let (object, _) = started();
    let annotated = |name: &str| {
        let mut pod = pod(json!({}));
        pod.metadata.annotations = Some([(name.to_owned(), "true".to_owned())].into());
        fence::drifted(&object, &pod).map(|end| (end.reason, end.message))
    };
    assert_eq!(annotated("example.com/team"), None);
    for name in ["io.katacontainers.config.runtime.disable_guest_seccomp", "dev.gvisor.flag.host-uds"] {
        let (reason, message) = annotated(name).unwrap();
        assert_eq!(reason, "ConfinementFailed");
        assert!(message.contains(name), "{message}");
    }
}

/// Nothing that users write becomes an annotation of a pod but the schema of a capability, under a name of our own.
#[test]
fn no_isolation_is_built_with_annotations_for_its_runtime() {
    for isolation in [Isolation::GVisor, Isolation::Kata] {
        let mut object = execution();
        object.spec.isolation = Some(isolation);
        let theirs = ("io.katacontainers.config.runtime.disable_guest_seccomp".to_owned(), "true".to_owned());
        object.metadata.annotations.get_or_insert_default().extend([theirs]);
        let found = found(context(), provider());
        let children =
            ccos_plan::step::children(&object, &granted(&object, &found), &found, &cluster(), (&operator(), None))
                .unwrap();
        let names: Vec<String> = children.pod.metadata.annotations.unwrap_or_default().into_keys().collect();
        let ours = |name: &String| name.starts_with("security.ccos.dev/");
        assert!(names.iter().all(ours), "{names:?}");
    }
}

#[test]
fn a_runtime_is_there_when_a_ready_node_has_its_handler() {
    let class: RuntimeClass = serde_json::from_value(
        json!({"metadata": {"name": "gvisor"}, "handler": "runsc", "scheduling": {"nodeSelector": {"sandbox": "yes"}}}),
    )
    .unwrap();
    let node = |ready: &str, handler: &str, label: &str| -> Node {
        serde_json::from_value(json!({"metadata": {"labels": {"sandbox": label}}, "status": {
            "conditions": [{"type": "Ready", "status": ready}], "runtimeHandlers": [{"name": handler}]}}))
        .unwrap()
    };
    let there = |nodes: Vec<Node>| {
        let nodes: Vec<_> = nodes.into_iter().map(std::sync::Arc::new).collect();
        step::runtime(Some("gvisor"), &[std::sync::Arc::new(class.clone())], &nodes).is_ok()
    };
    assert!(there(vec![node("True", "runsc", "yes")]));
    assert!(!there(vec![]));
    assert!(!there(vec![node("False", "runsc", "yes")]));
    assert!(!there(vec![node("True", "runc", "yes")]));
    assert!(!there(vec![node("True", "runsc", "no"), node("True", "runc", "yes")]));
    let none: [std::sync::Arc<RuntimeClass>; 0] = [];
    assert!(step::runtime(Some("gvisor"), &none, &[std::sync::Arc::new(node("True", "runsc", "yes"))]).is_err());
}

#[test]
fn who_waits_for_something_else_holds_nobody_up() {
    let found = found(context(), provider());
    let object = stamped(execution(), claims(&execution(), &found));
    assert!(step::queues(&object));
    let held = |reason| {
        let draft = Draft::of(&object, now()).waiting(&granted(&object, &found), reason, "m");
        with(object.clone(), draft)
    };
    assert!(step::queues(&held(WaitReason::CapacityExhausted)));
    assert!(!step::queues(&held(WaitReason::RuntimeUnavailable)));
    let mut suspended = object.clone();
    suspended.spec.desired_state = Some(DesiredState::Suspended);
    assert!(!step::queues(&suspended));
}

#[test]
fn what_every_pod_goes_through_is_not_worth_a_write() {
    let creating = json!({"phase": "Pending", "containerStatuses": [{"name": "runner", "image": "", "imageID": "",
        "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]});
    assert_eq!(status::observe(&pod(creating)), Seen::Starting(String::new()));
    let (object, _) = started();
    let seen = Draft::of(&object, now()).seen("summary-e0e0e0e01111", &Seen::Starting(String::new()));
    assert_eq!(seen.changed(&object), None);
}

#[test]
fn a_pod_that_does_not_start_in_time_says_what_it_waits_for() {
    let waiting = pod(
        json!({"phase": "Pending", "containerStatuses": [{"name": "runner", "image": "", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}}}]}),
    );
    let Seen::Starting(why) = status::observe(&waiting) else { panic!() };
    assert!(!step::overdue(&waiting, &cluster(), now()));
    assert!(step::overdue(&waiting, &cluster(), "2026-11-24T06:11:00Z".parse().unwrap()));
    let end = step::did_not_start(&waiting, &why, None, &cluster());
    assert_eq!(end.reason, "ImagePullFailed");
    assert!(end.message.contains("no such host"), "{}", end.message);
    let creating = pod(json!({"phase": "Pending"}));
    for (warning, reason) in [
        (Some(("FailedMount", "secret \"nope\" not found")), "VolumeUnavailable"),
        (Some(("FailedCreatePodSandBox", "no runtime")), "RuntimeUnavailable"),
        (Some(("FailedScheduling", "no room")), "StartDeadlineExceeded"),
        (None, "StartDeadlineExceeded"),
    ] {
        let end = step::did_not_start(&creating, "ContainerCreating", warning, &cluster());
        assert_eq!(end.reason, reason);
        assert!(end.message.ends_with(warning.map_or("ContainerCreating", |(_, message)| message)), "{}", end.message);
    }
}

#[test]
fn a_right_that_was_taken_away_stops_what_runs() {
    let (object, mut found) = started();
    assert_eq!(step::stop(&object, &found, &cluster(), now()), None);
    found.may_use = ccos_policy::Use::Forbidden("user \"ann\"".to_owned());
    let end = step::stop(&object, &found, &cluster(), now()).unwrap();
    assert_eq!(end.reason, "UseRevoked");
    assert!(end.message.contains("user \"ann\" may no longer use SecurityContext \"analysts\""), "{}", end.message);
}
