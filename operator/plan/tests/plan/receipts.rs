//! A receipt is good for one object, as it was admitted, when it was admitted, by the webhook.

use ccos_crds::CapabilityExecution;
use ccos_crds::execution::DesiredState;
use ccos_plan::receipt::{Claims, Keys, ReceiptError, check, check_references, shows_nonce};
use ccos_plan::step::{self, Permit};
use serde_json::{Value, json};

use crate::world::{claims, cluster, context, execution, found, keys, now, provider, stamped, time};

fn good() -> Claims {
    claims(&execution(), &found(context(), provider()))
}

fn verdict(object: &CapabilityExecution) -> Result<(), ReceiptError> {
    check(object, &keys(), |_| false).map(|_| ())
}

/// The receipt's text, with its claims changed after they were signed.
fn tampered(change: impl FnOnce(&mut Value)) -> CapabilityExecution {
    let mut object = stamped(execution(), good());
    let annotations = object.metadata.annotations.as_mut().unwrap();
    let text = annotations.get_mut(ccos_crds::RECEIPT_ANNOTATION).unwrap();
    let mut value: Value = serde_json::from_str(text).unwrap();
    change(&mut value);
    *text = value.to_string();
    object
}

#[test]
fn what_the_webhook_stamped_may_run() {
    assert_eq!(verdict(&stamped(execution(), good())), Ok(()));
}

#[test]
fn without_a_receipt_nothing_runs() {
    assert_eq!(verdict(&execution()), Err(ReceiptError::Missing));
}

#[test]
fn a_claim_that_was_changed_is_a_forgery() {
    assert_eq!(
        verdict(&tampered(|value| value["claims"]["requester"]["user"] = json!("eve"))),
        Err(ReceiptError::Forged)
    );
}

#[test]
fn a_signature_by_another_key_is_a_forgery() {
    let object = stamped(execution(), good());
    assert_eq!(check(&object, &Keys::default(), |_| false).map(|_| ()), Err(ReceiptError::UnknownKey(kid())));
}

fn kid() -> String {
    ccos_plan::receipt::kid(&crate::world::key().verifying_key())
}

#[test]
fn what_is_no_receipt_is_malformed() {
    for text in ["", "{}", "null", "[1]", "\u{0}", &"[".repeat(100_000)] {
        let mut object = execution();
        object.metadata.annotations = Some([(ccos_crds::RECEIPT_ANNOTATION.to_owned(), text.to_owned())].into());
        assert!(matches!(verdict(&object), Err(ReceiptError::Malformed(_))), "{text:.20}");
    }
}

#[test]
fn a_dry_runs_receipt_is_void() {
    assert_eq!(verdict(&stamped(execution(), Claims { void: true, ..good() })), Err(ReceiptError::Void));
}

#[test]
fn a_receipt_of_another_namespace_or_name_is_foreign() {
    for claims in
        [Claims { namespace: "other".to_owned(), ..good() }, Claims { name: Some("other".to_owned()), ..good() }]
    {
        assert!(matches!(verdict(&stamped(execution(), claims)), Err(ReceiptError::Foreign { .. })));
    }
}

#[test]
fn a_generated_name_is_not_known_at_admission() {
    assert_eq!(verdict(&stamped(execution(), Claims { name: None, ..good() })), Ok(()));
}

#[test]
fn a_changed_spec_is_not_what_was_admitted_but_desired_state_may_change() {
    let mut object = stamped(execution(), good());
    object.spec.desired_state = Some(DesiredState::Cancelled);
    assert_eq!(verdict(&object), Ok(()));
    object.spec.inputs = Some(json!({"groupBy": "product"}).into());
    assert_eq!(verdict(&object), Err(ReceiptError::SpecChanged));
}

#[test]
fn a_receipt_is_fresh_for_sixty_seconds() {
    for (created, fresh) in
        [("2026-11-24T06:11:00Z", true), ("2026-11-24T06:11:01Z", false), ("2026-11-24T06:08:59Z", false)]
    {
        let mut object = stamped(execution(), good());
        object.metadata.creation_timestamp = Some(time(created));
        assert_eq!(verdict(&object).is_ok(), fresh, "{created}");
    }
}

#[test]
fn a_nonce_is_good_once() {
    let object = stamped(execution(), good());
    assert_eq!(check(&object, &keys(), |_| true).map(|_| ()), Err(ReceiptError::Replayed));
    assert!(shows_nonce(&object, "0123456789abcdef"));
    assert!(!shows_nonce(&object, "0123456789abcde"));
    assert!(!shows_nonce(&execution(), "0123456789abcdef"));
    // A copy on another object would end the one that it was given to.
    let (mut renamed, mut moved) = (object.clone(), object);
    renamed.metadata.name = Some("other".to_owned());
    moved.metadata.namespace = Some("other".to_owned());
    assert!(!shows_nonce(&renamed, "0123456789abcdef") && !shows_nonce(&moved, "0123456789abcdef"));
}

#[test]
fn a_replaced_context_or_provider_is_another_one() {
    let check = |context, provider| {
        let found = found(context, provider);
        check_references(&good(), found.context.as_ref().unwrap(), found.provider.as_ref().unwrap(), "csv.summary")
    };
    assert_eq!(check(context(), provider()), Ok(()));
    let (mut other_context, mut other_provider, mut other_image) = (context(), provider(), provider());
    other_context.metadata.uid = Some("c1".to_owned());
    assert_eq!(check(other_context, provider()), Err(ReceiptError::Replaced("context")));
    other_provider.metadata.uid = Some("p1".to_owned());
    assert_eq!(check(context(), other_provider), Err(ReceiptError::Replaced("provider")));
    other_image.spec.source.image.as_mut().unwrap().reference.push('0');
    let mut other_command = provider();
    other_command.spec.capabilities[0].command = Some(vec!["/bin/sh".to_owned()]);
    assert_eq!(check(context(), other_command), Err(ReceiptError::Replaced("capability")));
    assert_eq!(check(context(), other_image), Err(ReceiptError::Replaced("provider's source")));
}

/// Whoever may write contexts, and is told nothing of the Secrets that others' executions are given, puts a script of his
/// own in the place of theirs while they wait.
#[test]
fn what_a_waiting_execution_mounts_is_not_changed_under_it() {
    let object = execution();
    let claims = good();
    let mut evil = context();
    evil.metadata.generation = Some(2);
    evil.spec.volumes[0].config_map.as_mut().unwrap().name = "evil".to_owned();
    match step::permit(&object, claims.clone(), &found(evil, provider()), &cluster(), now()) {
        Permit::Refused(end) => {
            assert_eq!(end.reason, "ReceiptInvalid");
            assert!(
                end.message.contains("the context's list of volumes that it speaks of was replaced"),
                "{}",
                end.message
            );
        }
        Permit::Granted(_) => panic!("it would run evil's files"),
    }
    // A grant may grow or shrink: that is decided again.
    let mut wider = context();
    wider.metadata.generation = Some(2);
    wider.spec.limits.as_mut().unwrap().memory = Some(ccos_crds::Quantity("512Mi".to_owned()));
    assert!(matches!(step::permit(&object, claims, &found(wider, provider()), &cluster(), now()), Permit::Granted(_)));
}
