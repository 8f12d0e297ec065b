//! Inputs are held against the capability's schema before anything runs, results against it before anybody reads them.

use ccos_crds::{CapabilityExecution, CapabilityProvider, Json};
use ccos_plan::build::names::OUTPUT_SCHEMA;
use ccos_plan::review::{References, Verdict, review};
use ccos_plan::status::{self, Ended, Seen};
use ccos_plan::step;
use ccos_plan::{AnyProvider, wire};
use ccos_policy::{Decision, Reason, Use};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::world::{cluster, context, execution, found, granted, now, operator, provider};

fn taking(schema: Value) -> CapabilityProvider {
    let mut provider = provider();
    provider.spec.capabilities[0].input_schema = Some(Json::from(schema));
    provider
}

fn giving(inputs: Value) -> CapabilityExecution {
    let mut object = execution();
    object.spec.inputs = Some(Json::from(inputs));
    object.spec.inputs_from.clear();
    object
}

/// Reason and field of each denial.
fn denials(object: &CapabilityExecution, provider: CapabilityProvider) -> Vec<(Reason, String)> {
    match review(object, &found(context(), provider), &cluster().isolations, now()) {
        Verdict::Decided(Decision::Admitted(_)) => Vec::new(),
        Verdict::Decided(Decision::Denied(denials)) => {
            denials.iter().map(|denial| (denial.reason(), denial.field.to_string())).collect()
        }
        Verdict::Invalid(errors) => panic!("{errors}"),
    }
}

fn invalid(field: &str) -> (Reason, String) {
    (Reason::InvalidInputs, field.to_owned())
}

#[test]
fn inputs_that_do_not_fit_are_denied_by_pointer_beside_all_other_reasons() {
    let schema = json!({"type": "object", "properties": {"groupBy": {"enum": ["region"]}, "top": {"type": "array", "items": {"minimum": 1}}}});
    assert_eq!(denials(&giving(json!({"groupBy": "region", "top": [1]})), taking(schema.clone())), []);
    let bad = json!({"groupBy": "age", "top": [1, 0]});
    assert_eq!(
        denials(&giving(bad.clone()), taking(schema.clone())),
        [invalid("inputs/groupBy"), invalid("inputs/top/1")]
    );
    let mut provider = taking(schema);
    provider.spec.capabilities[0].requires.as_mut().unwrap().limits.as_mut().unwrap().memory =
        Some(ccos_crds::Quantity("1Gi".to_owned()));
    let reasons: Vec<Reason> = denials(&giving(bad), provider).into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, [Reason::InvalidInputs, Reason::InvalidInputs, Reason::LimitExceeded]);
}

#[test]
fn inputs_of_one_who_may_not_use_the_context_are_not_looked_at() {
    let object = giving(json!({"city": 1}));
    let mut found = found(context(), taking(json!({"properties": {"city": {"type": "string"}}})));
    let reasons = |found: &References| match review(&object, found, &cluster().isolations, now()) {
        Verdict::Decided(Decision::Denied(denials)) => {
            denials.iter().map(ccos_policy::Denial::reason).collect::<Vec<_>>()
        }
        _ => Vec::new(),
    };
    assert_eq!(reasons(&found), [Reason::InvalidInputs]);
    found.may_use = Use::Forbidden("user \"eve\"".to_owned());
    assert_eq!(reasons(&found), [Reason::UseForbidden]);
}

/// A digest is over doubles, so that two such numbers have the same: whoever may update an execution, and not use its
/// context, could put one in the place of the other after admission.
#[test]
fn a_number_that_a_digest_does_not_tell_from_another_is_refused() {
    let digest = |number: i64| ccos_plan::receipt::spec_digest(&giving(json!({"account": number})).spec).unwrap();
    assert_eq!(digest(1_234_567_890_123_456_789), digest(1_234_567_890_123_456_700));
    let error =
        |inputs: Value| match review(&giving(inputs), &found(context(), provider()), &cluster().isolations, now()) {
            Verdict::Invalid(errors) => Some((errors.0[0].field.clone(), errors.0[0].message.clone())),
            Verdict::Decided(_) => None,
        };
    for (inputs, field) in [
        (json!({"all": [1, {"a/b": 9_007_199_254_740_992_u64}]}), "spec.inputs/all/1/a~1b"),
        (json!({"a": i64::MIN}), "spec.inputs/a"),
        (json!({"a": u64::MAX}), "spec.inputs/a"),
    ] {
        let (found, message) = error(inputs).unwrap();
        assert_eq!(found, field);
        assert!(message.contains("write it as a text"), "{message}");
    }
    let exact = json!([9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64, 1e300, "1234567890123456789"]);
    assert_eq!(error(json!({"all": exact})), None);
}

#[test]
fn no_inputs_are_an_empty_object_as_for_the_code() {
    let mut object = giving(json!({}));
    object.spec.inputs = None;
    assert_eq!(denials(&object, taking(json!({"type": "object", "maxProperties": 0}))), []);
    assert_eq!(denials(&object, taking(json!({"required": ["city"]}))), [invalid("inputs")]);
}

#[test]
fn a_text_that_only_the_kubelet_reads_is_a_text_and_no_more_can_be_asked_of_it() {
    let taking =
        |note: Value| taking(json!({"properties": {"note": note}, "required": ["note"], "additionalProperties": true}));
    assert_eq!(denials(&execution(), taking(json!({"type": "string"}))), []);
    assert_eq!(denials(&execution(), taking(json!({"type": "integer"}))), [invalid("inputs/note")]);
    assert_eq!(denials(&execution(), taking(json!({"type": "string", "maxLength": 9}))), [invalid("inputsFrom[0]")]);
}

#[test]
fn a_schema_that_is_none_makes_its_provider_invalid_and_says_where() {
    let provider = taking(json!({"properties": {"a": {"$ref": "https://example.com/schema"}}}));
    let errors = wire::provider(&AnyProvider::Namespaced(provider.clone().into())).unwrap_err();
    assert_eq!(errors.0[0].field, "spec.capabilities[0].inputSchema/properties/a/$ref");
    assert_eq!(denials(&giving(json!({})), provider), [(Reason::ProviderInvalid, "capabilityRef".to_owned())]);
    let mut provider = crate::world::provider();
    provider.spec.capabilities[0].output_schema = Some(Json::from(json!({"type": "objekt"})));
    assert_eq!(denials(&giving(json!({})), provider), [(Reason::ProviderInvalid, "capabilityRef".to_owned())]);
}

/// The end of a pod that was made for this schema, and whose code answered this.
fn ended(schema: &Value, end: &str, result: Value) -> Ended {
    let mut provider = provider();
    provider.spec.capabilities[0].output_schema = Some(Json::from(schema.clone()));
    let found = found(context(), provider);
    let pod = step::children(&execution(), &granted(&execution(), &found), &found, &cluster(), (&operator(), None));
    let pod = pod.unwrap().pod;
    let report = json!({"version": 1, "end": end, "exitCode": 0, "result": result, "proven": []});
    let mut pod: Value = serde_json::to_value(&pod).unwrap();
    pod["status"] = json!({"phase": "Succeeded", "containerStatuses": [{
        "name": "runner", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 0, "message": report.to_string()}},
    }]});
    let pod: Pod = serde_json::from_value(pod).unwrap();
    assert!(pod.metadata.annotations.as_ref().unwrap().contains_key(OUTPUT_SCHEMA));
    match status::observe(&pod) {
        Seen::Ended(ended) => status::checked(*ended, &pod),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_result_that_does_not_fit_is_invalid_says_where_and_is_not_kept() {
    let schema = json!({"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]});
    let good = ended(&schema, "Completed", json!({"rows": 3}));
    assert_eq!((good.end.reason, good.report.unwrap().result), ("Completed", Some(json!({"rows": 3}))));
    let bad = ended(&schema, "Completed", json!({"rows": "hunter2"}));
    assert_eq!((bad.end.reason, bad.report.unwrap().result), ("InvalidResult", None));
    assert!(bad.end.message.contains("result/rows: ") && !bad.end.message.contains("hunter2"), "{}", bad.end.message);
    // Nothing at all is null.
    assert_eq!(ended(&schema, "Completed", Value::Null).end.reason, "InvalidResult");
    assert_eq!(ended(&json!({"type": "null"}), "Completed", Value::Null).end.reason, "Completed");
    // Another end says more.
    assert_eq!(ended(&schema, "NonZeroExit", Value::Null).end.reason, "NonZeroExit");
}
