//! Receipts with a few changes: none but the one that was signed is good, and reading them never panics.

use std::sync::{Arc, LazyLock};

use ccos_crds::{CapabilityExecution, RECEIPT_ANNOTATION};
use ccos_plan::receipt::{self, Claims, Keys};
use ccos_plan::review::{References, Verdict, review};
use ccos_plan::{AnyContext, AnyProvider, Policing, Trust};
use ccos_policy::{Decision, Isolation, IsolationProfile, Isolations, Use};
use ed25519_dalek::SigningKey;
use fastrand::Rng;
use jiff::Timestamp;

use super::objects::{CONTEXT, EXECUTION, PROVIDER};
use super::text;

struct Given {
    object: CapabilityExecution,
    keys: Keys,
    receipt: String,
    claims: Claims,
}

static GIVEN: LazyLock<Given> = LazyLock::new(|| {
    let object: CapabilityExecution = serde_saphyr::from_str(EXECUTION).unwrap();
    let context = AnyContext::Namespaced(Arc::new(serde_saphyr::from_str(CONTEXT).unwrap()));
    let provider = AnyProvider::Namespaced(Arc::new(serde_saphyr::from_str(PROVIDER).unwrap()));
    let now: Timestamp = "2026-11-24T06:10:00Z".parse().unwrap();
    let found = References {
        context: Some(context.clone()),
        provider: Some(provider.clone()),
        may_use: Use::Allowed,
        policing: Policing::NotAsked,
        trust: Trust::Offline,
    };
    let gvisor = IsolationProfile { user_namespaces: true, ..IsolationProfile::default() };
    let isolations = Isolations([(Isolation::GVisor, gvisor)].into());
    // Without networks in the requirements: what the execution asks for is held.
    let admitted = match review(&object, &found, &isolations, now) {
        Verdict::Decided(Decision::Admitted(admitted)) => admitted,
        other => panic!("{other:?}"),
    };
    let requester =
        receipt::Requester { user: "jane".to_owned(), groups: vec!["data".to_owned()], ..Default::default() };
    let admission = receipt::Admission {
        void: false,
        nonce: "0123456789abcdef".to_owned(),
        now,
        namespace: "data",
        requester,
        context: &context,
        provider: &provider,
    };
    let claims = receipt::claims(&object, admission, &admitted).unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key();
    let keys = Keys::read([(&receipt::kid(&public), &receipt::encode_key(&public))]);
    let receipt = receipt::sign(claims.clone(), &key).unwrap();
    Given { object, keys, receipt, claims }
});

/// One case.
pub fn fuzz(random: &mut Rng) {
    let Given { object, keys, receipt, claims } = &*GIVEN;
    let changed = match random.u8(..8) {
        0 => text::noise(random, 200),
        1 => receipt.clone(),
        2 => flipped(random, receipt),
        _ => text::mutate(random, receipt),
    };
    match receipt::verify(&changed, keys) {
        // Spaces, and the order of fields, are nobody's business: what counts is what was signed.
        Ok(found) => assert_eq!(found, *claims, "{changed}"),
        Err(error) => {
            assert_ne!(changed, *receipt, "{error}");
            assert!(!error.to_string().is_empty());
        }
    }

    let mut object = object.clone();
    let annotations = object.metadata.annotations.get_or_insert_default();
    annotations.insert(RECEIPT_ANNOTATION.to_owned(), changed);
    let _shows = receipt::shows_nonce(&object, &claims.nonce);
    if random.bool() {
        object.metadata.name = Some(text::soup(random, 2));
    }
    if random.bool() {
        object.metadata.namespace = Some(text::soup(random, 2));
    }
    let used = random.u8(..4) == 0;
    let checked = receipt::check(&object, keys, |_| used);
    let is_its_own =
        object.metadata.name.as_deref() == Some("summary") && object.metadata.namespace.as_deref() == Some("data");
    assert!(checked.is_err() || (is_its_own && !used), "{checked:?} for {:?}", object.metadata);
}

/// One bit of one byte, if that is still text.
fn flipped(random: &mut Rng, text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = random.usize(..bytes.len());
    bytes[at] ^= 1 << random.u8(..7);
    String::from_utf8_lossy(&bytes).into_owned()
}
