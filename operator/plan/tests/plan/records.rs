//! What is written into the audit trail, and what is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use ccos_audit::verify::{Kind, Scope};
use ccos_audit::{Chain, Event, Keys, Level, Report, Verifier, Writer};
use ccos_crds::CapabilityExecution;
use ccos_crds::execution::{CapabilityExecutionStatus, Refusal};
use ccos_crds::security_context::{Audit, AuditLevel, Level as ContextLevel};
use ccos_plan::end::{End, EndReason, WaitReason};
use ccos_plan::receipt::{self, ReceiptError, Requester};
use ccos_plan::record::{self, Review};
use ccos_plan::status::{Draft, Ended};
use ccos_plan::{AnyContext, digest, wire};
use ed25519_dalek::{Signer as _, SigningKey};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use crate::world::{claims, context, execution, found, granted, key, keys, now, provider, stamped};

fn level(of: ContextLevel, audit: Option<AuditLevel>) -> Level {
    let mut object = context();
    object.spec.level = of;
    object.spec.audit = audit.map(|level| Audit { level });
    record::level(Some(&AnyContext::Namespaced(Arc::new(object))))
}

#[test]
fn the_level_is_the_contexts() {
    use AuditLevel::{Comprehensive, Minimal, Standard};
    assert_eq!(level(ContextLevel::Controlled, None), Level::Standard);
    assert_eq!(level(ContextLevel::Controlled, Some(Minimal)), Level::Minimal);
    assert_eq!(level(ContextLevel::Full, Some(Standard)), Level::Standard);
    assert_eq!(level(ContextLevel::Pure, Some(Comprehensive)), Level::Comprehensive);
    assert_eq!(level(ContextLevel::Sandboxed, None), Level::Comprehensive);
    assert_eq!(record::level(None), Level::Comprehensive);
}

#[test]
fn sandboxed_has_no_lower_level() {
    let read = |level, audit| {
        let mut object = context();
        object.spec.level = level;
        object.spec.isolation = None;
        object.spec.audit = Some(Audit { level: audit });
        let read = wire::context(&AnyContext::Namespaced(Arc::new(object)), now());
        read.map(|_| ()).map_err(|errors| errors.0.into_iter().map(|error| error.field).collect::<Vec<_>>())
    };
    assert_eq!(read(ContextLevel::Sandboxed, AuditLevel::Standard), Err(vec!["spec.audit.level".to_owned()]));
    assert_eq!(read(ContextLevel::Sandboxed, AuditLevel::Comprehensive), Ok(()));
    assert_eq!(read(ContextLevel::Controlled, AuditLevel::Minimal), Ok(()));
}

/// The whole life of an execution, as far as it is written at a level.
fn life(level: Level) -> (CapabilityExecution, Vec<(Writer, Event)>) {
    let found = found(context(), provider());
    let claims = claims(&execution(), &found);
    let mut object = stamped(execution(), claims.clone());
    let requester = Requester { user: "ann".to_owned(), groups: vec!["team".to_owned()], ..Requester::default() };
    let raw = serde_json::to_value(&object).unwrap();
    let review = Review {
        kind: "CapabilityExecution",
        namespace: Some("data"),
        name: "summary",
        object: Some(&raw),
        operation: "CREATE",
        requester: &requester,
        level,
    };
    let granted = granted(&execution(), &found);
    let end = End::new(EndReason::Completed, "exit status 0");
    let ended = Ended { end: end.clone(), report: None, started_at: None, finished_at: None };
    let draft = Draft::of(&object, now()).starting(&granted, "summary-1").ended(Some("summary-1"), &ended);
    let written = [
        (Writer::Webhook, Some(review.decided(Some(&object), Ok(Some(&claims))))),
        (Writer::Controller, record::wait(&object, WaitReason::CapacityExhausted, level)),
        (Writer::Controller, Some(record::start(&object, &granted, "summary-1", level))),
        (Writer::Controller, record::stop(&object, &end, level)),
        (Writer::Controller, Some(record::end(&object, draft.status(), &end, &keys(), level))),
    ];
    object.status = draft.changed(&object);
    (object, written.into_iter().filter_map(|(writer, event)| Some((writer, event?))).collect())
}

fn text(events: &[(Writer, Event)]) -> String {
    events.iter().map(|(_, event)| serde_json::to_string(event).unwrap() + "\n").collect()
}

#[test]
fn no_level_writes_inputs_or_values_of_variables() {
    for level in [Level::Minimal, Level::Standard, Level::Comprehensive] {
        let text = text(&life(level).1);
        // Of the inputs `{groupBy: region}`, and of `MODE=fast`.
        for secret in ["region", "groupBy", "fast"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn each_level_adds_to_the_one_before() {
    let has = |level, words: &[&str]| {
        let text = text(&life(level).1);
        words.iter().map(|word| text.contains(word)).collect::<Vec<_>>()
    };
    let words = [
        "\"nonce\"",
        "\"isolation\":\"GVisor\"",
        "\"Stop\"",
        "\"inputsDigest\"",
        "\"environment\":[\"MODE\"",
        "\"team\"",
        "\"Wait\"",
    ];
    assert_eq!(has(Level::Minimal, &words), [true, false, false, false, false, false, false]);
    assert_eq!(has(Level::Standard, &words[..3]), [true, true, true]);
    assert_eq!(has(Level::Standard, &words[3..]), [false, false, false, false]);
    assert_eq!(has(Level::Comprehensive, &words), [true; 7]);
}

#[test]
fn the_end_has_what_was_refused_as_far_as_it_fits() {
    let denial = |count| Refusal {
        kind: "NetworkDenied".to_owned(),
        target: format!("{count:x>200}.test:443: not-granted"),
        count,
        first_seen: Time(now()),
    };
    let status = CapabilityExecutionStatus {
        denials: (1..=32).map(denial).collect(),
        denied_more: Some(5),
        ..Default::default()
    };
    let end = |level| {
        let end = End::new(EndReason::Completed, "exit status 0");
        match record::end(&execution(), &status, &end, &keys(), level) {
            Event::End(end) => end,
            other => panic!("{other:?}"),
        }
    };
    let standard = end(Level::Standard);
    assert!((5..32).contains(&standard.denials.len()), "{}", standard.denials.len());
    assert_eq!(standard.denials[0]["target"], Value::from(status.denials[0].target.clone()));
    let written: i64 = (1..=i64::try_from(standard.denials.len()).unwrap()).sum();
    assert_eq!(standard.denied_more, Some(5 + (1..=32).sum::<i64>() - written));
    let minimal = end(Level::Minimal);
    assert_eq!((minimal.denials.len(), minimal.denied_more), (0, None));
}

#[test]
fn the_decision_of_a_start_has_the_digest_of_its_line_and_of_the_receipt() {
    let (_, events) = life(Level::Standard);
    let start = events.iter().find_map(|(_, event)| match event {
        Event::Start(start) => Some(start.clone()),
        _ => None,
    });
    let start = start.unwrap();
    assert_eq!(digest::sha256(&start.decision.unwrap()).unwrap(), start.decision_digest);
    assert_eq!(start.decision_digest, claims(&execution(), &found(context(), provider())).decision_digest);
}

fn audit_key(writer: Writer) -> SigningKey {
    SigningKey::from_bytes(&[if writer == Writer::Webhook { 21 } else { 22 }; 32])
}

fn verify(events: &[(Writer, Event)], executions: &[CapabilityExecution]) -> Report {
    let mut known = Keys::default();
    let mut chains = BTreeMap::new();
    for writer in Writer::ALL {
        known.add(writer, &BTreeMap::from([ccos_audit::keys::entry(&audit_key(writer).verifying_key())]));
        chains.insert(writer, Chain::new(writer, audit_key(writer), [writer as u8; 16]));
    }
    let mut verifier = Verifier::new(&known, Scope::default());
    for (writer, event) in events {
        verifier.line(&chains.get_mut(writer).unwrap().append(event, now()).unwrap());
    }
    let executions: Vec<_> = executions.iter().cloned().map(Arc::new).collect();
    for expected in record::all_expected(&executions, &keys()) {
        verifier.expect(&expected);
    }
    verifier.finish()
}

#[test]
fn at_every_level_an_execution_has_the_lines_that_are_looked_for() {
    for level in [Level::Minimal, Level::Standard, Level::Comprehensive] {
        let (object, events) = life(level);
        let report = verify(&events, std::slice::from_ref(&object));
        assert!(report.clean, "{report:#?}");
        // Each of the three is missed: the trail was cut before it.
        for (cut, missed) in [("\"End\"", 1), ("\"Start\"", 2), ("\"Decision\"", 3)] {
            let at = events.iter().position(|(_, event)| text(&[(Writer::Webhook, event.clone())]).contains(cut));
            let report = verify(&events[..at.unwrap()], std::slice::from_ref(&object));
            let kinds: Vec<Kind> = report.findings.iter().map(|finding| finding.kind).collect();
            assert_eq!(kinds, vec![Kind::Truncated; missed], "{cut} {report:#?}");
        }
    }
}

#[test]
fn a_copied_receipt_is_missed_of_nobody_but_its_owner() {
    let (object, events) = life(Level::Standard);
    let mut copy = object.clone();
    copy.metadata.uid = Some("f0".to_owned());
    copy.status = None;
    assert!(verify(&events, &[copy, object]).clean);
}

#[test]
fn an_execution_that_was_deleted_ends_on_record_unless_it_was_over() {
    let (finished, _) = life(Level::Standard);
    assert_eq!(record::deleted(&finished, &keys(), Level::Standard), None);
    let running = CapabilityExecution { status: None, ..finished };
    let Some(Event::End(end)) = record::deleted(&running, &keys(), Level::Standard) else { panic!("no end") };
    assert_eq!((end.reason.as_str(), end.nonce.as_deref()), ("Deleted", Some("0123456789abcdef")));
}

/// Attack: the controller, or who has its key, makes receipts.
#[test]
fn an_audit_key_makes_no_receipts() {
    let claims = claims(&execution(), &found(context(), provider()));
    let forger = audit_key(Writer::Controller);
    let forged = receipt::sign(claims, &forger).unwrap();
    // As published: its entry is no entry of a receipt key, in whichever ConfigMap it stands.
    let (name, text) = ccos_audit::keys::entry(&forger.verifying_key());
    let bare = name.trim_start_matches("key.").to_owned();
    for name in [name, bare] {
        let keys = receipt::Keys::read([(&name, &text)]);
        assert!(keys.is_empty());
        assert!(matches!(receipt::verify(&forged, &keys), Err(ReceiptError::UnknownKey(_))));
    }
    // The twin: the attack works with a key that is published as one of receipts.
    let own = (receipt::kid(&forger.verifying_key()), receipt::encode_key(&forger.verifying_key()));
    assert!(receipt::verify(&forged, &receipt::Keys::read([(&own.0, &own.1)])).is_ok());
}

/// Attack: one key was given both purposes, and a signature of one is passed off as one of the other.
#[test]
fn no_signature_of_a_receipt_is_one_of_a_line_even_by_the_same_key() {
    let mut known = Keys::default();
    known.add(Writer::Webhook, &BTreeMap::from([ccos_audit::keys::entry(&key().verifying_key())]));
    let mut chain = Chain::new(Writer::Webhook, key(), [1; 16]);
    let line = chain.append(&life(Level::Minimal).1[0].1, now()).unwrap();
    let genuine = verified(&known, &line);
    assert!(genuine.clean, "{genuine:#?}");

    // What the webhook would sign, if somebody could make it sign the text of a line as claims.
    let mut value: Value = serde_json::from_str(&line).unwrap();
    value.as_object_mut().unwrap().remove("sig");
    let signature = key().sign(&digest::canonical(&value).unwrap());
    value["sig"] = base64::engine::general_purpose::STANDARD.encode(signature.to_bytes()).into();
    let forged = String::from_utf8(digest::canonical(&value).unwrap()).unwrap();
    let report = verified(&known, &forged);
    assert_eq!(report.findings[0].kind, Kind::Changed, "{report:#?}");
}

fn verified(keys: &Keys, line: &str) -> Report {
    let mut verifier = Verifier::new(keys, Scope::default());
    verifier.line(line);
    verifier.finish()
}
