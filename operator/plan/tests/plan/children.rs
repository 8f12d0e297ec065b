//! The objects that an execution becomes.

use ccos_crds::security_context::Isolation;
use ccos_plan::build::Children;
use ccos_plan::step;

use crate::world::{CONTEXT, PROVIDER, cluster, context, execution, found, granted, provider};

fn children(isolation: Isolation) -> Children {
    let mut object = execution();
    object.spec.isolation = Some(isolation);
    let found = found(context(), provider());
    step::children(&object, &granted(&object, &found), &found, &cluster()).unwrap()
}

#[test]
fn a_gvisor_execution_becomes() {
    let Children { network_policy, profile, pod } = children(Isolation::GVisor);
    insta::assert_snapshot!("gvisor-pod", serde_saphyr::to_string(&pod).unwrap());
    insta::assert_snapshot!("network-policy", serde_saphyr::to_string(&network_policy).unwrap());
    let text = profile.data.unwrap().remove("profile.json").unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    insta::assert_snapshot!("profile", serde_json::to_string_pretty(&value).unwrap());
    assert_eq!(profile.immutable, Some(true));
}

#[test]
fn a_kata_execution_becomes() {
    let Children { pod, .. } = children(Isolation::Kata);
    insta::assert_snapshot!("kata-pod", serde_saphyr::to_string(&pod).unwrap());
}

#[test]
fn a_contained_execution_becomes() {
    let mut object = execution();
    object.spec.isolation = Some(Isolation::Container);
    // What is blocked inside a grant is for the others.
    let unblocked = |text: &str| text.replace("/data/private", "/private");
    let context = serde_saphyr::from_str(&unblocked(CONTEXT).replace("[GVisor, Kata]", "[Container]")).unwrap();
    let found = found(context, serde_saphyr::from_str(&unblocked(PROVIDER)).unwrap());
    let Children { pod, profile, .. } = step::children(&object, &granted(&object, &found), &found, &cluster()).unwrap();
    insta::assert_snapshot!("container-pod", serde_saphyr::to_string(&pod).unwrap());
    let data = profile.data.unwrap();
    assert!(data["passwd"].contains("ccos:x:1000:1000:"));
    let profile: ccos_profile::Profile = serde_json::from_str(&data["profile.json"]).unwrap();
    assert_eq!((profile.image_root.as_str(), profile.landlock_abi), ("/", Some(7)));
    assert_eq!(profile.volumes[0].source, profile.volumes[0].mount_path);
}

#[test]
fn a_volume_that_nothing_requires_is_not_mounted() {
    let Children { pod, .. } = children(Isolation::GVisor);
    let volumes = pod.spec.unwrap().volumes.unwrap();
    assert!(volumes.iter().any(|volume| volume.name == "context-sales"));
    assert!(!volumes.iter().any(|volume| volume.name == "context-unused"));
}

#[test]
fn the_same_execution_becomes_the_same_objects() {
    assert_eq!(children(Isolation::GVisor), children(Isolation::GVisor));
}

#[test]
fn names_come_from_the_uid_so_that_namesakes_share_nothing() {
    let (one, mut other) = (execution(), execution());
    other.metadata.uid = Some("f0e0e0e0-1111-2222-3333-444444444444".to_owned());
    assert_ne!(ccos_plan::build::names::child(&one), ccos_plan::build::names::child(&other));
}

#[test]
fn a_long_name_stays_a_host_name() {
    let mut object = execution();
    object.metadata.name = Some(format!("{}.{}", "a".repeat(39), "b".repeat(200)));
    let name = ccos_plan::build::names::child(&object);
    assert!(name.len() <= 63, "{name}");
    assert!(!name.contains('.') && !name.contains("--"), "{name}");
}
