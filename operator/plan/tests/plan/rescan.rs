//! What exists, held against what is granted today.

use std::sync::Arc;

use ccos_crds::{CapabilityExecution, ExecutionPolicy, SecurityContext};
use ccos_plan::policing::Shelf;
use ccos_plan::receipt::Requester;
use ccos_plan::report::{Finding, Outcome, Report};
use ccos_plan::rescan;
use ccos_plan::review::References;
use ccos_plan::{AnyContext, AnyProvider, ParsedContexts, Policing, Trust, wire};
use ccos_supply::watchlist::Watchlist;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{cluster, context, execution, found, now, provider};

/// An execution at a stage.
fn at(stage: &str) -> CapabilityExecution {
    let finished = json!({"type": "Finished", "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": "2026-11-24T06:10:00Z"});
    let status = match stage {
        "waiting" => json!(null),
        "running" => json!({"attempts": [{"podName": "summary"}]}),
        "finished" => json!({"attempts": [{"podName": "summary", "reason": "Completed"}], "conditions": [finished]}),
        other => panic!("{other}"),
    };
    let mut object = execution();
    object.status = serde_json::from_value(status).unwrap();
    object
}

fn look(object: &CapabilityExecution, found: &References, now: Timestamp) -> Finding {
    rescan::execution(object, found, &ParsedContexts::default(), &cluster().isolations, now)
}

fn said(stage: &str, found: &References) -> (Outcome, Option<String>) {
    let finding = look(&at(stage), found, now());
    (finding.result, finding.rule)
}

fn reason(outcome: Outcome, reason: &str) -> (Outcome, Option<String>) {
    (outcome, Some(reason.to_owned()))
}

fn narrowed() -> SecurityContext {
    let mut context = context();
    context.metadata.generation = Some(2);
    let permissions = context.spec.permissions.as_mut().unwrap();
    permissions.filesystem.as_mut().unwrap().read = Some(vec!["/app".to_owned()]);
    context
}

fn policed(mode: &str) -> References {
    let object = json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "ExecutionPolicy", "metadata": {"name": "night", "uid": "n", "generation": 1},
        "spec": {"mode": mode, "cedar": "@id(\"late\") @advice(\"wait\") forbid(principal, action, resource);"},
    });
    let stored: Arc<ExecutionPolicy> = Arc::new(serde_json::from_value(object).unwrap());
    let policies = Shelf::default().current(&[stored]).policies;
    let (requester, labels) = (Requester { user: "ann".to_owned(), ..Requester::default() }, [].into());
    References { policing: Policing::Asked { policies, requester, labels }, ..found(context(), provider()) }
}

#[test]
fn what_a_narrowed_context_no_longer_grants_fails_while_it_exists_and_is_a_warning_once_it_is_over() {
    let before = found(context(), provider());
    let after = found(narrowed(), provider());
    for stage in ["waiting", "running", "finished"] {
        assert_eq!(said(stage, &before), (Outcome::Pass, None), "{stage}");
    }
    assert_eq!(said("waiting", &after), reason(Outcome::Fail, "FileReadDenied"));
    assert_eq!(said("running", &after), reason(Outcome::Fail, "FileReadDenied"));
    assert_eq!(said("finished", &after), reason(Outcome::Warn, "FileReadDenied"));
    let finding = serde_json::to_value(look(&at("running"), &after, now())).unwrap();
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains(r#"requires.permissions.filesystem.read[0] "/data/**": not granted"#), "{message}");
    assert_eq!(
        finding,
        json!({
            "source": "ccos", "policy": "SecurityContext \"analysts\"", "rule": "FileReadDenied", "category": "confinement",
            "severity": "high", "result": "fail", "scored": true, "message": message,
            "resources": [{
                "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution", "namespace": "data", "name": "summary",
                "uid": "e0e0e0e0-1111-2222-3333-444444444444",
            }],
            "properties": {"stage": "running", "reasons": "FileReadDenied"},
        })
    );
}

#[test]
fn what_is_over_has_nothing_to_be_held_against_when_that_is_gone() {
    let here = found(context(), provider());
    let lost = References { context: None, ..here.clone() };
    assert_eq!(said("waiting", &lost), reason(Outcome::Fail, "ContextNotFound"));
    assert_eq!(said("finished", &lost), reason(Outcome::Skip, "ContextNotFound"));
    let lost = References { provider: None, ..here };
    assert_eq!(said("running", &lost), reason(Outcome::Fail, "CapabilityNotFound"));
    assert_eq!(said("finished", &lost), reason(Outcome::Skip, "CapabilityNotFound"));
}

#[test]
fn what_a_context_lets_run_to_its_end_after_its_expiry_is_a_warning() {
    let later = now().checked_add(SignedDuration::from_hours(2)).unwrap();
    let here = found(context(), provider());
    let at_that_time = |stage: &str| {
        let finding = look(&at(stage), &here, later);
        (finding.result, finding.rule)
    };
    assert_eq!(at_that_time("waiting"), reason(Outcome::Fail, "ContextExpired"));
    assert_eq!(at_that_time("running"), reason(Outcome::Warn, "ContextExpired"));
    assert_eq!(at_that_time("finished"), reason(Outcome::Skip, "ContextExpired"));
}

#[test]
fn inputs_that_the_cache_does_not_keep_are_not_missed() {
    let mut provider = provider();
    let schema = json!({"type": "object", "required": ["groupBy"], "properties": {"groupBy": {"type": "string"}}});
    provider.spec.capabilities[0].input_schema = Some(serde_json::from_value(schema).unwrap());
    let mut object = at("running");
    object.spec.inputs = None;
    assert_eq!(look(&object, &found(context(), provider.clone()), now()).result, Outcome::Pass);
    // And all else is said.
    let finding = look(&object, &found(narrowed(), provider), now());
    assert_eq!((finding.result, finding.properties["reasons"].as_str()), (Outcome::Fail, "FileReadDenied"));
}

#[test]
fn a_policy_says_whom_it_would_stop_before_it_is_enforced_and_what_runs_in_spite_of_it_afterwards() {
    for mode in ["Warn", "Audit"] {
        let finding = look(&at("running"), &policed(mode), now());
        assert_eq!((finding.result, finding.rule.as_deref()), (Outcome::Warn, Some("PolicyDenied")));
        assert_eq!(finding.properties["policies"], "night");
        let message = finding.message.unwrap();
        assert!(message.contains(r#"ExecutionPolicy "night" forbids it by policy "late": wait"#), "{message}");
    }
    assert_eq!(said("running", &policed("Enforce")), reason(Outcome::Fail, "PolicyDenied"));
}

fn of_provider(lists: &[(&str, Value)], change: impl Fn(&mut ccos_crds::CapabilityProvider)) -> (Outcome, String) {
    let mut object = provider();
    change(&mut object);
    let lists = lists.iter().map(|(name, list)| ((*name).to_owned(), list.to_string())).collect::<Vec<_>>();
    let lists = Watchlist::read(lists.iter().map(|(name, list)| (name.clone(), list.as_str())));
    let trust = Trust::Cluster(Arc::new(lists));
    let finding = rescan::provider(&AnyProvider::Namespaced(Arc::new(object)), &trust);
    assert_eq!(finding.resources[0].kind, "CapabilityProvider");
    (finding.result, finding.message.unwrap_or_default())
}

#[test]
fn a_provider_is_held_against_the_lists_and_what_can_not_be_known_is_no_verdict() {
    let listed = json!({"id": "MAL-1", "summary": "steals keys", "affected": [{"package": {"ecosystem": "ccos", "name": "csv"}}]});
    let tagged = |object: &mut ccos_crds::CapabilityProvider| {
        object.spec.source.image.as_mut().unwrap().reference = "registry.test/python:3".to_owned();
    };
    assert_eq!(of_provider(&[], |_| {}), (Outcome::Pass, String::new()));
    let (outcome, message) = of_provider(&[("list", listed.clone())], |_| {});
    assert_eq!(outcome, Outcome::Fail);
    assert!(message.contains("MAL-1"), "{message}");
    let (outcome, message) = of_provider(&[("list", json!("torn"))], |_| {});
    assert_eq!(outcome, Outcome::Error);
    assert!(message.contains("can't be read"), "{message}");
    // Who is listed is, whatever else can't be read.
    assert_eq!(of_provider(&[("list", listed), ("other", json!("torn"))], |_| {}).0, Outcome::Fail);
    assert_eq!(of_provider(&[], tagged).0, Outcome::Error, "not looked up yet");
    let invalid = of_provider(&[], |object| object.spec.version = "one".to_owned());
    assert_eq!(invalid.0, Outcome::Error);
    assert!(invalid.1.contains("spec.version"), "{}", invalid.1);
}

#[test]
fn what_is_not_known_of_a_provider_fails_no_execution() {
    let unread = Watchlist::read([("list".to_owned(), "torn")]);
    let unknown = References { trust: Trust::Cluster(Arc::new(unread)), ..found(context(), provider()) };
    assert_eq!(said("running", &unknown), reason(Outcome::Error, "ProviderInvalid"));
    let bad = json!({"id": "MAL-1", "affected": [{"package": {"ecosystem": "ccos", "name": "csv"}}]}).to_string();
    let known = Trust::Cluster(Arc::new(Watchlist::read([("list".to_owned(), bad.as_str())])));
    assert_eq!(said("running", &References { trust: known, ..unknown }), reason(Outcome::Fail, "ProviderInvalid"));
}

#[test]
fn a_context_above_the_ceiling_is_a_warning_since_somebody_may_have_the_right_to_it() {
    let ceiling = |memory: &str| wire::ceiling(&json!({"limits": {"memory": memory}})).unwrap();
    let look = |memory: &str, object: SecurityContext| {
        let object = AnyContext::Namespaced(Arc::new(object));
        let finding = rescan::context(&object, &ParsedContexts::default(), &ceiling(memory), now());
        (finding.result, finding.rule)
    };
    assert_eq!(look("256Mi", context()), (Outcome::Pass, None));
    assert_eq!(look("128Mi", context()), reason(Outcome::Warn, "CeilingExceeded"));
    let mut broken = context();
    broken.spec.permissions.as_mut().unwrap().filesystem.as_mut().unwrap().read = Some(vec!["/a/../b".to_owned()]);
    assert_eq!(look("256Mi", broken), reason(Outcome::Error, "Invalid"));
}

/// A finding of the execution of this name.
fn of(name: &str, found: &References) -> Finding {
    let mut object = at("running");
    object.metadata.name = Some(name.to_owned());
    object.metadata.uid = Some(format!("uid-{name}"));
    look(&object, found, now())
}

#[test]
fn a_report_has_the_worst_first_and_is_the_same_in_whatever_order_things_were_found() {
    let (good, bad) = (found(context(), provider()), found(narrowed(), provider()));
    let one = [of("b", &good), of("c", &bad), of("a", &bad), of("d", &policed("Warn"))];
    let other: Vec<Finding> = one.iter().rev().cloned().collect();
    let report = rescan::report(Some("data"), one.to_vec(), None, now());
    assert_eq!(report, rescan::report(Some("data"), other, None, now()));
    let order: Vec<&str> = report.results.iter().map(|finding| finding.resources[0].name.as_str()).collect();
    assert_eq!(order, ["a", "c", "d", "b"]);
    let written = serde_json::to_value(&report).unwrap();
    assert_eq!(written["summary"], json!({"pass": 1, "fail": 2, "warn": 1, "error": 0, "skip": 0}));
    assert_eq!(
        written["metadata"],
        json!({"name": "ccos", "namespace": "data", "labels": {"app.kubernetes.io/managed-by": "ccos"}})
    );
    assert_eq!((&written["kind"], &written["apiVersion"]), (&json!("Report"), &json!("openreports.io/v1alpha1")));
    assert_eq!(serde_json::to_value(rescan::report(None, Vec::new(), None, now())).unwrap()["kind"], "ClusterReport");
}

#[test]
fn a_report_that_says_nothing_new_is_the_same_and_what_is_new_has_its_own_moment() {
    let (good, bad) = (found(context(), provider()), found(narrowed(), provider()));
    let later = now().checked_add(SignedDuration::from_mins(5)).unwrap();
    let first = rescan::report(Some("data"), vec![of("a", &bad), of("b", &good)], None, now());
    // As it comes back from the API server.
    let mut stored: Report = serde_json::from_value(serde_json::to_value(&first).unwrap()).unwrap();
    stored.metadata.resource_version = Some("7".to_owned());
    let second = rescan::report(Some("data"), vec![of("b", &good), of("a", &bad)], Some(&stored), later);
    assert!(second.says_as(&stored));
    let third = rescan::report(Some("data"), vec![of("b", &bad), of("a", &bad)], Some(&stored), later);
    assert!(!third.says_as(&stored));
    assert_eq!(third.results[0].timestamp, first.results[0].timestamp);
    assert_eq!(third.results[1].timestamp, Some(later.into()));
    // One of the same name is another.
    let mut again = of("a", &bad);
    again.resources[0].uid = Some("another".to_owned());
    let fourth = rescan::report(Some("data"), vec![again, of("b", &good)], Some(&stored), later);
    assert_eq!(fourth.results[0].timestamp, Some(later.into()));
}

#[test]
fn a_report_fits_into_etcd_however_many_fail_for_however_long_a_reason() {
    let mut finding = of("a", &found(narrowed(), provider()));
    let name = "n".repeat(253);
    finding.resources[0].name = name.clone();
    finding.policy = format!("ClusterSecurityContext {name:?}");
    finding.message = Some("\"".repeat(finding.message.unwrap().len().max(768)));
    finding.properties.insert("policies".to_owned(), "p".repeat(256));
    let many = (0..2_000).map(|at| {
        let mut finding = finding.clone();
        finding.resources[0].uid = Some(format!("{at:036}"));
        finding
    });
    let passes = (0..100).map(|at| of(&format!("p{at}"), &found(context(), provider())));
    let report = rescan::report(Some("data"), passes.chain(many).collect(), None, now());
    assert_eq!((report.results.len(), report.summary.fail, report.summary.pass), (500, 2_000, 100));
    assert!(report.results.iter().all(|finding| finding.result == Outcome::Fail));
    let length = serde_json::to_string(&report).unwrap().len();
    assert!(length < 1_500_000, "{length}");
    assert_eq!(serde_json::to_value(&report).unwrap()["configuration"], json!({"limits": {"maxResults": 500}}));

    // A message is cut, whatever makes it long.
    let mut context = narrowed();
    context.metadata.name = Some("x".repeat(5_000));
    let mut object = at("running");
    object.spec.context_ref.name = "x".repeat(5_000);
    assert_eq!(look(&object, &found(context, provider()), now()).message.unwrap().len(), 768);
}

#[test]
fn a_context_is_read_once_for_each_generation_and_forgotten_with_its_object() {
    let kept = ParsedContexts::default();
    let any = |object: SecurityContext| AnyContext::Namespaced(Arc::new(object));
    let first = kept.read(&any(context()), now()).unwrap();
    // It is taken from there: an object of the same generation that says something else can't exist.
    let mut same = narrowed();
    same.metadata.generation = Some(1);
    same.metadata.resource_version = Some("8".to_owned());
    assert_eq!(kept.read(&any(same), now()).unwrap(), first);
    assert_ne!(kept.read(&any(narrowed()), now()).unwrap(), first);
    assert_eq!(kept.count(), 1);
    // One that is being written is not kept: it has no moment of creation yet.
    let mut unstored = context();
    unstored.metadata.uid = Some("c1".to_owned());
    unstored.metadata.creation_timestamp = None;
    assert!(kept.read(&any(unstored), now()).is_ok());
    assert_eq!(kept.count(), 1);
    // What can't be understood is known, too.
    let mut broken = context();
    broken.metadata.uid = Some("c2".to_owned());
    broken.spec.limits.as_mut().unwrap().memory = Some(ccos_crds::Quantity("much".to_owned()));
    assert_eq!(kept.read(&any(broken.clone()), now()), kept.read(&any(broken), now()));
    assert_eq!(kept.count(), 2);
    kept.retain(|uid| uid == "c2");
    assert_eq!(kept.count(), 1);
}

#[test]
fn what_is_kept_of_contexts_is_bounded_by_their_patterns_and_loses_what_was_asked_for_least_lately() {
    let large = |uid: usize| {
        let mut object = context();
        object.metadata.uid = Some(uid.to_string());
        let all = |kind: &str| Some((0..128).map(|at| format!("/{kind}/{at}/*")).collect::<Vec<_>>());
        let filesystem = object.spec.permissions.as_mut().unwrap().filesystem.as_mut().unwrap();
        (filesystem.read, filesystem.write, filesystem.execute) = (all("r"), all("w"), all("x"));
        filesystem.blocked = all("b");
        AnyContext::Namespaced(Arc::new(object))
    };
    let kept = ParsedContexts::default();
    for uid in 0..100 {
        assert!(kept.read(&large(uid), now()).is_ok());
        // Asked for all the time.
        assert!(kept.read(&large(0), now()).is_ok());
    }
    assert_eq!(kept.count(), 15);
    let there = std::cell::RefCell::new(Vec::new());
    kept.retain(|uid| {
        there.borrow_mut().push(uid.parse::<usize>().unwrap());
        true
    });
    let mut there = there.into_inner();
    there.sort_unstable();
    assert_eq!((there[0], there[1], there[14]), (0, 86, 99));
}
