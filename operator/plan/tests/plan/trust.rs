//! Who is believed: by the controller's word in a provider's status, and by the lists.

use std::sync::Arc;

use ccos_crds::CapabilityProvider;
use ccos_plan::review::{References, Verdict, review};
use ccos_plan::step::{self, Permit};
use ccos_plan::trust::{self, Found, Resolution, Trust, Verification};
use ccos_plan::{AnyProvider, status};
use ccos_policy::{Decision, Reason};
use ccos_supply::image::Digest;
use ccos_supply::watchlist::Watchlist;
use serde_json::{Value, json};

use crate::world::{claims, cluster, context, execution, found, granted, now, operator, provider, stamped};

fn digest(digit: &str) -> Digest {
    Digest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap()
}

fn tagged() -> CapabilityProvider {
    let mut provider = provider();
    "registry.test/python:3".clone_into(&mut provider.spec.source.image.as_mut().unwrap().reference);
    provider
}

fn signed(mut provider: CapabilityProvider) -> CapabilityProvider {
    let key = json!({"cosign": {"publicKey": "-----BEGIN PUBLIC KEY-----"}});
    provider.spec.signature = Some(serde_json::from_value(key).unwrap());
    provider
}

fn verified(digest: Digest) -> Verification {
    Verification::Verified { digest, against: "sha256:key".to_owned(), by: "it".to_owned() }
}

/// As the controller leaves it.
fn looked_at(
    mut provider: CapabilityProvider,
    resolution: Resolution,
    verification: Verification,
) -> CapabilityProvider {
    let any = AnyProvider::Namespaced(Arc::new(provider.clone()));
    provider.status = Some(trust::status(&any, &Found { resolution, verification }, &Watchlist::default(), now()));
    provider
}

fn list(record: &Value) -> Watchlist {
    Watchlist::read([("list".to_owned(), record.to_string().as_str())])
}

fn against(provider: CapabilityProvider, watchlist: Watchlist) -> References {
    References { trust: Trust::Cluster(Arc::new(watchlist)), ..found(context(), provider) }
}

/// Why it is denied, if it is.
fn denied(found: &References) -> Option<String> {
    match review(&execution(), found, &cluster().isolations, now()) {
        Verdict::Decided(Decision::Admitted(_)) => None,
        Verdict::Decided(Decision::Denied(denials)) => {
            let denial = denials.first().unwrap();
            assert_eq!(
                (denial.reason(), denial.field.as_str(), denials.len()),
                (Reason::ProviderInvalid, "capabilityRef", 1)
            );
            Some(denial.message())
        }
        Verdict::Invalid(errors) => panic!("{errors}"),
    }
}

fn unlisted(provider: CapabilityProvider) -> References {
    against(provider, Watchlist::default())
}

#[test]
fn a_tag_runs_once_it_was_looked_up_for_this_reference_and_version_and_then_by_digest() {
    assert!(denied(&unlisted(tagged())).unwrap().contains("not looked up yet: wait for its condition Pinned"));
    let pinned = looked_at(tagged(), Resolution::Resolved(digest("a")), Verification::NotDemanded);
    let good = unlisted(pinned.clone());
    assert_eq!(denied(&good), None);
    let pod = step::children(&execution(), &granted(&execution(), &good), &good, &cluster(), (&operator(), None));
    let pod = pod.unwrap().pod;
    let text = serde_json::to_string(&pod).unwrap();
    assert!(text.contains(&format!("registry.test/python@{}", digest("a"))) && !text.contains("python:3"), "{text}");

    let mut bumped = pinned.clone();
    bumped.spec.version = "1.0.1".to_owned();
    assert!(denied(&unlisted(bumped)).is_some());
    let mut moved = pinned;
    moved.spec.source.image.as_mut().unwrap().reference = "registry.test/python:4".to_owned();
    assert!(denied(&unlisted(moved)).is_some());
    let failed = Resolution::Unresolved { reason: "RegistryFailed", why: "no route".to_owned() };
    let failed = looked_at(tagged(), failed, Verification::NotDemanded);
    assert!(denied(&unlisted(failed)).unwrap().contains("RegistryFailed: no route"));
}

#[test]
fn what_was_admitted_by_one_digest_does_not_run_by_another() {
    let one = unlisted(looked_at(tagged(), Resolution::Resolved(digest("a")), Verification::NotDemanded));
    let object = stamped(execution(), claims(&execution(), &one));
    let permit = |found: &References| match step::permit(&object, claims(&execution(), &one), found, &cluster(), now())
    {
        Permit::Granted(_) => "granted",
        Permit::Refused(end) => end.reason,
    };
    assert_eq!(permit(&one), "granted");
    // The tag moved, and what runs did not.
    let moved = Resolution::Moved { runs: digest("a"), tag: digest("b") };
    assert_eq!(permit(&unlisted(looked_at(tagged(), moved, Verification::NotDemanded))), "granted");
    let other = unlisted(looked_at(tagged(), Resolution::Resolved(digest("b")), Verification::NotDemanded));
    assert_eq!(permit(&other), "ReceiptInvalid");
}

#[test]
fn a_signature_that_is_demanded_has_to_be_found_over_the_digest_that_runs() {
    let zero = || Resolution::ByDigest(digest("0"));
    assert!(denied(&unlisted(signed(provider()))).unwrap().contains("wait for its condition Verified"));
    assert_eq!(denied(&unlisted(looked_at(signed(provider()), zero(), verified(digest("0"))))), None);
    let other = looked_at(signed(provider()), zero(), verified(digest("1")));
    assert!(denied(&unlisted(other)).is_some(), "over another image");
    for verification in [
        Verification::Refused { reason: "NotSigned", why: "there is none".to_owned() },
        Verification::Unknown { reason: "RegistryFailed", why: "no route".to_owned() },
    ] {
        assert!(denied(&unlisted(looked_at(signed(provider()), zero(), verification))).is_some());
    }
    // Of an earlier spec: the key may be another.
    let mut changed = looked_at(signed(provider()), zero(), verified(digest("0")));
    changed.metadata.generation = Some(2);
    assert!(denied(&unlisted(changed)).is_some());
    // A status that says no more than the condition.
    let mut bare = looked_at(signed(provider()), zero(), verified(digest("0")));
    bare.status.as_mut().unwrap().verified = None;
    assert!(denied(&unlisted(bare)).is_some());
    // What nobody demanded is not missed.
    assert_eq!(denied(&unlisted(provider())), None);
}

#[test]
fn a_listed_provider_is_denied_by_the_records_id_and_a_list_that_cannot_be_read_denies_all() {
    let record = |name: &str| {
        json!({"id": "MAL-2026-0001", "summary": "steals keys",
        "affected": [{"package": {"ecosystem": "ccos", "name": name}}]})
    };
    assert_eq!(denied(&against(provider(), list(&record("other")))), None);
    let why = denied(&against(provider(), list(&record("csv")))).unwrap();
    assert_eq!(why, "CapabilityProvider \"csv\": listed as MAL-2026-0001 by its name: steals keys");
    assert!(denied(&against(provider(), list(&json!({})))).unwrap().contains("list: is no OSV record"));
    // By what the tag named.
    let digests =
        json!({"id": "MAL-1", "affected": [{"database_specific": {"ccos": {"digests": [digest("a").as_str()]}}}]});
    let pinned = looked_at(tagged(), Resolution::Resolved(digest("a")), Verification::NotDemanded);
    assert!(denied(&against(pinned, list(&digests))).unwrap().contains("listed as MAL-1 by its digest"));
    // Offline there is no list, and nothing is denied that the cluster might allow.
    let offline = References { trust: Trust::Offline, ..found(context(), signed(tagged())) };
    assert_eq!(denied(&offline), None);
}

#[test]
fn a_provider_that_turns_malicious_stops_what_it_runs() {
    let record = json!({"id": "MAL-1", "affected": [{"package": {"ecosystem": "ccos", "name": "csv"}}]});
    let good = unlisted(provider());
    let mut object = stamped(execution(), claims(&execution(), &good));
    let draft = status::Draft::of(&object, now()).starting(&granted(&object, &good), "pod");
    object.status = draft.changed(&object);
    assert_eq!(step::stop(&object, &good, &cluster(), now()), None);
    let end = step::stop(&object, &against(provider(), list(&record)), &cluster(), now()).unwrap();
    assert_eq!(
        (end.reason, end.message.as_str()),
        ("ProviderInvalid", "CapabilityProvider \"csv\" is listed as MAL-1 by its name")
    );
    // The reason outlives the pod.
    object.status = status::Draft::of(&object, now()).stopping(&end).changed(&object);
    assert_eq!(status::stopping(&object), Some(end));
}

#[test]
fn conditions_say_what_was_found_out() {
    let said = |provider: CapabilityProvider, watchlist: &Watchlist, resolution, verification| {
        let any = AnyProvider::Namespaced(Arc::new(provider));
        let status = trust::status(&any, &Found { resolution, verification }, watchlist, now());
        let all = status.conditions.iter().map(|one| format!("{}={} {}", one.type_, one.status, one.reason));
        all.collect::<Vec<_>>().join(", ")
    };
    let (none, by_digest) = (Watchlist::default(), || Resolution::ByDigest(digest("0")));
    assert_eq!(
        said(provider(), &none, by_digest(), Verification::NotDemanded),
        "Valid=True Valid, Pinned=True ByDigest"
    );
    let moved = Resolution::Moved { runs: digest("a"), tag: digest("b") };
    assert_eq!(
        said(signed(tagged()), &none, moved, verified(digest("a"))),
        "Valid=True Valid, Pinned=True TagMoved, Verified=True Verified"
    );
    let record = json!({"id": "MAL-1", "affected": [{"package": {"ecosystem": "ccos", "name": "csv"}}]});
    let listed = said(provider(), &list(&record), by_digest(), Verification::NotDemanded);
    assert_eq!(listed, "Valid=False Listed, Pinned=True ByDigest");
    let unreadable = said(provider(), &list(&json!(1)), by_digest(), Verification::NotDemanded);
    assert_eq!(unreadable, "Valid=Unknown WatchlistUnreadable, Pinned=True ByDigest");
}

#[test]
fn what_is_not_looked_at_yet_is_not_settled() {
    let settled = |provider: CapabilityProvider| trust::is_settled(&AnyProvider::Namespaced(Arc::new(provider)));
    assert!(settled(provider()), "a digest and no signature: there is nothing to look for");
    assert!(!settled(tagged()) && !settled(signed(provider())));
    let resolved = looked_at(tagged(), Resolution::Resolved(digest("a")), Verification::NotDemanded);
    assert!(settled(resolved.clone()));
    let mut bumped = resolved;
    bumped.metadata.generation = Some(2);
    assert!(!settled(bumped), "of an earlier spec");
    let zero = || Resolution::ByDigest(digest("0"));
    let refused = Verification::Refused { reason: "NotSigned", why: "there is none".to_owned() };
    assert!(settled(looked_at(signed(provider()), zero(), refused)), "a no is an answer");
    let unknown = Verification::Unknown { reason: "RegistryFailed", why: "no route".to_owned() };
    assert!(!settled(looked_at(signed(provider()), zero(), unknown)));
}
