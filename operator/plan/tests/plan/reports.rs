//! What a runner reports while its pod still lives.

use ccos_crds::conditions;
use ccos_plan::reported::{self, Unacceptable};
use ccos_plan::status::Draft;
use ccos_plan::step;
use ccos_profile::{Delivery, End, Report, Usage, VERSION, digest};
use k8s_openapi::api::core::v1::Pod;

use crate::lifecycle::condition;
use crate::world::{cluster, context, execution, found, granted, now, operator, provider};

fn pod() -> Pod {
    let found = found(context(), provider());
    step::children(&execution(), &granted(&execution(), &found), &found, &cluster(), (&operator(), None)).unwrap().pod
}

fn report(end: End) -> Report {
    Report {
        version: VERSION,
        end,
        message: String::new(),
        exit_code: Some(0),
        signal: None,
        result: None,
        result_digest: None,
        usage: Some(Usage { wall_time_millis: 1500, ..Usage::default() }),
        proven: Vec::new(),
        network: None,
    }
}

fn large(text: &str) -> Delivery {
    let report = Report { result_digest: Some(digest(text.as_bytes())), ..report(End::Completed) };
    Delivery { report, result: Some(text.to_owned()) }
}

#[test]
fn a_delivery_that_contradicts_itself_is_not_taken() {
    let good = large("[1]");
    assert_eq!(reported::accepted(good.clone(), &pod()), Ok(good.clone()));
    let Delivery { report: whole, result } = good;
    for bad in [
        Delivery { report: Report { version: 0, ..whole.clone() }, result: result.clone() },
        Delivery { report: whole.clone(), result: None },
        Delivery { report: whole.clone(), result: Some("[2]".to_owned()) },
        Delivery { report: Report { result_digest: None, ..whole.clone() }, result: result.clone() },
        Delivery { report: Report { end: End::NonZeroExit, ..whole.clone() }, result: result.clone() },
        Delivery { report: Report { result: Some(1.into()), ..whole }, result },
        large("[1"),
        large(&format!("{}{}", "[".repeat(200), "]".repeat(200))),
        large(&format!("\"{}\"", "x".repeat(1 << 20))),
    ] {
        let refused = reported::accepted(bad.clone(), &pod());
        assert!(matches!(refused, Err(Unacceptable::Malformed(_))), "{bad:?}");
    }
}

#[test]
fn a_large_result_is_held_against_the_schema_that_its_pod_was_made_with() {
    let mut pod = pod();
    let schema = r#"{"type": "array"}"#.to_owned();
    pod.metadata.annotations.get_or_insert_default().insert("security.ccos.dev/output-schema".to_owned(), schema);
    assert!(reported::accepted(large("[1]"), &pod).is_ok());
    let refused = reported::accepted(large("{}"), &pod).unwrap_err();
    assert!(matches!(&refused, Unacceptable::Unfit(why) if why.contains("outputSchema")), "{refused}");
}

#[test]
fn a_report_ends_the_execution_before_its_pod_shows_it() {
    let name = pod().metadata.name.unwrap();
    let ended = reported::ended(&pod(), large("[1]").report, now());
    let status = Draft::of(&execution(), now()).attempt(&name).ended(Some(&name), &ended).status().clone();
    let result = status.result.clone().unwrap();
    assert_eq!(result.config_map_ref.unwrap().name, format!("{name}-result"));
    assert_eq!(format!("sha256:{}", result.sha256.unwrap()), digest(b"[1]"));
    let attempt = status.attempts.first().unwrap();
    let took = attempt.finished_at.as_ref().unwrap().0.duration_since(attempt.started_at.as_ref().unwrap().0);
    assert_eq!(took.as_millis(), 1500);
    let mut object = execution();
    object.status = Some(status);
    assert_eq!(condition(&object, conditions::SUCCEEDED), ("True", "Completed"));
    assert_eq!(condition(&object, conditions::FINISHED), ("True", "Completed"));
}

#[test]
fn somebody_elses_doing_is_told_by_the_pod() {
    assert!(reported::is_conclusive(&report(End::Completed)));
    assert!(reported::is_conclusive(&Report { exit_code: Some(1), ..report(End::NonZeroExit) }));
    assert!(!reported::is_conclusive(&report(End::Cancelled)));
    // The kernel may have ended it, or a child of it, for want of memory.
    assert!(!reported::is_conclusive(&Report { exit_code: None, signal: Some(9), ..report(End::Signaled) }));
    assert!(!reported::is_conclusive(&Report { exit_code: Some(137), ..report(End::NonZeroExit) }));
}

#[test]
fn a_result_is_kept_beside_its_execution() {
    let kept = reported::config_map(&pod(), "[1]".to_owned());
    assert_eq!(kept.immutable, Some(true));
    assert_eq!(kept.data.unwrap().get(reported::RESULT_KEY).map(String::as_str), Some("[1]"));
    assert_eq!(kept.metadata.owner_references, pod().metadata.owner_references);
}
