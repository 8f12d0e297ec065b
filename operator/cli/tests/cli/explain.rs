use std::collections::BTreeMap;

use ccos_cli::explain::{Explanation, Found, KeysFound, explanation, print};
use ccos_cli::{Format, Streams};
use ccos_crds::CapabilityExecution;
use ccos_plan::receipt::{Claims, Keys, Requester, encode_key, kid, sign, spec_digest};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn keys() -> KeysFound {
    let public = key().verifying_key();
    KeysFound::Read(Keys::read(&BTreeMap::from([(kid(&public), encode_key(&public))])))
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:00:09Z"})
}

/// With a receipt of this key.
fn execution(signer: &SigningKey, status: &Value) -> CapabilityExecution {
    let mut object: CapabilityExecution = serde_json::from_value(json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution",
        "metadata": {"name": "paris", "namespace": "data", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "contextRef": {"kind": "SecurityContext", "name": "analysts"},
            "capabilityRef": {"kind": "CapabilityProvider", "name": "weather", "id": "weather.fetch"},
        },
        "status": status,
    }))
    .unwrap();
    let claims = Claims {
        version: 1,
        void: false,
        nonce: "n".to_owned(),
        admitted_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        namespace: "data".to_owned(),
        name: Some("paris".to_owned()),
        requester: Requester { user: "ann".to_owned(), ..Requester::default() },
        context_uid: "c".to_owned(),
        context_generation: 1,
        volumes_digest: "sha256:0".to_owned(),
        provider_uid: "p".to_owned(),
        provider_generation: 1,
        source_digest: "sha256:1".to_owned(),

        capability_digest: String::new(),
        spec_digest: spec_digest(&object.spec).unwrap(),
        decision_digest: "sha256:2".to_owned(),
    };
    let receipt = sign(claims, signer).unwrap();
    object.metadata.annotations = Some(BTreeMap::from([("security.ccos.dev/receipt".to_owned(), receipt)]));
    object
}

fn printed(explanation: &Explanation, format: Format) -> String {
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    print(explanation, format, &mut Streams { out: &mut out, notes: &mut notes }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_run_that_failed_says_why_and_what_to_do() {
    let status = json!({
        "conditions": [
            condition("Finished", "True", "MemoryExceeded", "it used more memory than limits.memory"),
            condition("Admitted", "True", "Admitted", "the receipt is valid"),
            condition("Succeeded", "False", "MemoryExceeded", "it used more memory than limits.memory"),
        ],
        "decision": {"isolation": "GVisor", "contextUID": "c", "contextGeneration": 1, "digest": "sha256:2"},
        "enforcement": [{"field": "permissions.filesystem", "mechanism": "mount namespace", "proven": "True"}],
        "usage": {"cpuTime": "1s", "peakMemory": "64Mi"},
        "attempts": [{"podName": "paris-1", "reason": "MemoryExceeded", "exitCode": 137}],
        "result": {"inline": {"ok": "\u{1b}[31m"}},
    });
    let explanation = explanation(&Found { object: execution(&key(), &status), keys: keys() });
    let expected = r#"CapabilityExecution data/paris
  capability  weather.fetch of CapabilityProvider "weather"
  context     SecurityContext "analysts"
  isolation   GVisor

Receipt
  genuine: signed by the webhook, for this object as it is
  admitted for user "ann" at 2026-01-01T00:00:00Z
  decision sha256:2

Conditions
  Admitted   True     Admitted, since 2026-01-01T00:00:09Z
    is its receipt valid, and is it still granted?
    the receipt is valid
  Succeeded  False    MemoryExceeded, since 2026-01-01T00:00:09Z
    did it do its work?
    it used more memory than limits.memory
  Finished   True     MemoryExceeded, since 2026-01-01T00:00:09Z
    is it over, either way?
    it used more memory than limits.memory

End
  MemoryExceeded: it used more memory than limits.memory
  what to do: make the work smaller, or require more limits.memory within the context's; in GVisor and Kata files count too

Enforcement
  permissions.filesystem  mount namespace, proven: True

Attempts
  pod paris-1: MemoryExceeded, exit status 137

Usage
  cpuTime        1s
  peakMemory     64Mi

Result
  {
    "ok": "\u001b[31m"
  }
"#;
    assert_eq!(printed(&explanation, Format::Text), expected);
}

#[test]
fn one_that_waits_says_for_what() {
    let status = json!({"conditions": [
        condition("Queued", "True", "CapacityExhausted", "3 of 3 run"),
        condition("Succeeded", "Unknown", "Queued", "3 of 3 run"),
    ]});
    let explanation = explanation(&Found { object: execution(&key(), &status), keys: keys() });
    let text = printed(&explanation, Format::Text);
    assert!(
        text.contains(
            "State\n  CapacityExhausted: 3 of 3 run\n  what to do: nothing, unless this one alone exceeds spec.capacity"
        ),
        "{text}"
    );
}

#[test]
fn a_receipt_is_genuine_not_genuine_or_not_verified() {
    let seen = |signer: &SigningKey, keys: KeysFound| {
        let receipt = explanation(&Found { object: execution(signer, &json!({})), keys }).receipt;
        (serde_json::to_value(receipt.verified).unwrap(), receipt.why.unwrap_or_default())
    };
    assert_eq!(seen(&key(), keys()), (json!("Yes"), String::new()));
    let (verified, why) = seen(&SigningKey::from_bytes(&[8; 32]), keys());
    assert_eq!(verified, "No");
    assert!(why.contains("unknown key"), "{why}");
    assert_eq!(seen(&key(), KeysFound::Unreadable("forbidden".to_owned())), (json!("Unknown"), "forbidden".to_owned()));

    let mut bare = execution(&key(), &json!({}));
    bare.metadata.annotations = None;
    let text = printed(&explanation(&Found { object: bare, keys: keys() }), Format::Text);
    assert!(text.contains("NOT genuine: there is none: the object did not pass the webhook"), "{text}");
}

#[test]
fn programs_get_the_same_as_json() {
    let explanation = explanation(&Found { object: execution(&key(), &json!({})), keys: keys() });
    let value: Value = serde_json::from_str(&printed(&explanation, Format::Json)).unwrap();
    assert_eq!(value["execution"], "data/paris");
    assert_eq!(value["receipt"]["verified"], "Yes");
    assert_eq!(value["receipt"]["requester"], "ann");
    assert_eq!(value["conditions"], json!([]));
}
