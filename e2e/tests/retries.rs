//! Attempts: when there is another, with what, and until when.

use ccos_e2e::{EndReason, Ended, Reason, context, execution, namespace, until};
use serde_json::{Value, json};

fn attempts(ended: &Ended) -> Vec<Value> {
    ended.object["status"]["attempts"].as_array().cloned().unwrap_or_default()
}

fn reasons(ended: &Ended) -> Vec<String> {
    attempts(ended).iter().map(|attempt| attempt["reason"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn an_end_that_is_named_is_tried_again_up_to_the_limit_each_time_in_a_pod_of_its_own() {
    let ns = namespace("retries");
    ns.apply(context("analysts").capacity(2));
    let fails = |name: &str| execution(name).shell("exit 3");
    let named = ns.accepts(fails("named").set("retries", json!({"limit": 2, "on": ["NonZeroExit"]})));
    let unnamed = ns.accepts(fails("unnamed").set("retries", json!({"limit": 2, "on": ["Signaled"]})));
    let ended = named.ends(EndReason::NonZeroExit);
    assert_eq!(reasons(&ended), ["NonZeroExit"; 3]);
    let child = named.child();
    let pods: Vec<Value> = attempts(&ended).iter().map(|attempt| attempt["podName"].clone()).collect();
    assert_eq!(pods, [json!(child), json!(format!("{child}-2")), json!(format!("{child}-3"))]);
    for attempt in attempts(&ended) {
        assert_eq!(attempt["exitCode"], 3, "{attempt:#}");
        assert!(attempt["startedAt"].is_string() && attempt["finishedAt"].is_string(), "{attempt:#}");
    }
    let ended = unnamed.ends(EndReason::NonZeroExit);
    assert_eq!(reasons(&ended), ["NonZeroExit"]);
    assert_eq!(ns.ever("pods").len(), 4);
    // One policy for all attempts of each: an earlier one must not open a later one's pod.
    assert_eq!(ns.ever("networkpolicies").len(), 2);
}

#[test]
fn a_pod_that_is_lost_counts_by_itself_and_the_next_attempt_may_complete() {
    let ns = namespace("lost-again");
    ns.apply(context("analysts"));
    let runs = ns.accepts(execution("runs").sleeps(10).set("retries.limit", 1));
    runs.starts();
    ns.kubectl(["delete", "pod", &runs.child(), "--wait=false"]);
    let ended = runs.completes();
    assert_eq!(reasons(&ended), ["PodLost", "Completed"]);
    // Its usage is the last attempt's.
    assert!(ended.time("wallTime").as_secs() >= 9, "{ended:#?}");
}

#[test]
fn who_loses_the_right_between_two_attempts_gets_no_other() {
    let ns = namespace("retries-revoked");
    ns.apply(context("analysts"));
    ns.allow("ann", &[]);
    let fails = execution("fails").shell("exit 3").set("retries", json!({"limit": 9, "on": ["NonZeroExit"]}));
    let fails =
        ns.user("ann").rejects_at_first(&fails, Reason::UseForbidden, "contextRef", || ns.allow("ann", &["analysts"]));
    until("two attempts", 60, || {
        (fails.object()["status"]["attempts"].as_array().map_or(0, Vec::len) >= 2).then_some(())
    });
    ns.kubectl(["delete", "rolebindings", "--all"]);
    let ended = fails.ends(EndReason::UseRevoked);
    assert!(attempts(&ended).len() < 10, "{ended:#?}");
}

#[test]
fn what_is_cancelled_between_two_attempts_ends() {
    let ns = namespace("retries-cancelled");
    ns.apply(context("analysts"));
    let fails = execution("fails").shell("exit 3").set("retries", json!({"limit": 9, "on": ["NonZeroExit"]}));
    let fails = ns.accepts(fails);
    until("an attempt has ended", 60, || fails.object()["status"]["attempts"][0]["reason"].is_string().then_some(()));
    fails.desire("Cancelled");
    let ended = fails.ends(EndReason::Cancelled);
    assert!(attempts(&ended).len() < 10, "{ended:#?}");
}
