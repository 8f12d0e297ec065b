//! What a provider says is checked, and what is believed of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers"
)]

use ccos_e2e::{EndReason, Reason, context, execution, namespace, provider};
use serde_json::json;

#[test]
fn inputs_that_do_not_fit_the_schema_are_rejected_by_pointer_and_those_that_do_run() {
    let ns = namespace("inputs");
    ns.apply(context("analysts"));
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"$ref": "#/$defs/day"}}},
        "required": ["city"],
        "$defs": {"day": {"type": "integer", "minimum": 1}},
    });
    let paris = |name: &str| execution(name).capability("inputSchema", schema.clone());
    ns.rejects(paris("bad").set("inputs", json!({"city": 75, "days": [1, 0]})))
        .with(Reason::InvalidInputs, "inputs/city")
        .with(Reason::InvalidInputs, "inputs/days/1")
        .of(2);
    ns.rejects(paris("none")).with(Reason::InvalidInputs, "inputs").saying("city");
    ns.accepts(paris("good").set("inputs", json!({"city": "Paris", "days": [1]}))).completes();
}

#[test]
fn a_secret_is_a_text_for_the_schema_and_no_more_can_be_asked_of_it() {
    let ns = namespace("unseen");
    ns.apply(context("analysts"));
    ns.kubectl(["create", "secret", "generic", "keys", "--from-literal=key=s3cret"]);
    let secret = |name: &str| {
        execution(name)
            .shell("cat")
            .set("inputsFrom", json!([{"secretKeyRef": {"name": "keys", "key": "key"}, "as": "key"}]))
    };
    let key = |of_key| json!({"properties": {"key": of_key}, "required": ["key"], "additionalProperties": false});
    ns.rejects(secret("long").capability("inputSchema", key(json!({"type": "string", "maxLength": 3}))))
        .with(Reason::InvalidInputs, "inputsFrom[0]")
        .saying("not known at admission");
    let ran = ns.accepts(secret("text").capability("inputSchema", key(json!({"type": "string"})))).completes();
    assert_eq!(*ran.result(), json!({"key": "s3cret"}));
}

#[test]
fn a_result_that_does_not_fit_the_schema_is_no_result() {
    let ns = namespace("outputs");
    ns.apply(context("analysts"));
    let schema = json!({"type": "object", "properties": {"rows": {"type": "integer"}}, "required": ["rows"]});
    let says = |name: &str, text: &str| {
        execution(name).shell(&format!("echo '{text}'")).capability("outputSchema", schema.clone())
    };
    let (good, bad) = (ns.accepts(says("good", r#"{"rows": 3}"#)), ns.accepts(says("bad", r#"{"rows": "three"}"#)));
    assert_eq!(*good.completes().result(), json!({"rows": 3}));
    let bad = bad.ends(EndReason::InvalidResult);
    assert!(bad.message().contains("result/rows: "), "{}", bad.message());
    assert!(bad.result().is_null(), "{}", bad.result());
}

#[test]
fn a_schema_that_leaves_itself_or_is_none_is_refused_when_it_is_applied() {
    let ns = namespace("schemas");
    let of = |schema| provider("weather").capability("inputSchema", schema);
    ns.rejects(of(json!({"type": "objekt"}))).invalid("spec.capabilities[0].inputSchema/type");
    ns.rejects(of(json!({"$ref": "https://registry.local/schema.json"})))
        .invalid("spec.capabilities[0].inputSchema/$ref")
        .saying("nothing outside the schema is read");
    ns.rejects(of(json!({"properties": {"child": {"$ref": "#"}}})))
        .invalid("spec.capabilities[0].inputSchema/properties/child")
        .saying("refers to itself");
    ns.rejects(of(json!({"pattern": "(a)\\1"}))).invalid("spec.capabilities[0].inputSchema/pattern");
    ns.apply(of(json!({"pattern": "^[a-z]+$"})));
}
