//! The objects that an execution becomes.

use ccos_crds::security_context::Isolation;
use ccos_plan::build::Children;
use ccos_plan::step;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::world::{CONTEXT, PROVIDER, cluster, context, execution, found, granted, operator, provider};

fn children(isolation: Isolation) -> Children {
    let mut object = execution();
    object.spec.isolation = Some(isolation);
    let found = found(context(), provider());
    step::children(&object, &granted(&object, &found), &found, &cluster(), (&operator(), None)).unwrap()
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

/// One that may connect to something.
fn connecting(isolation: Isolation) -> Children {
    let network = json!({
        "outbound": [{"host": "*.example.com", "ports": [{"port": 443}]}, {"host": "a.test", "ports": [{"port": 8000, "endPort": 8003}]}],
        "blocked": [{"host": "secret.example.com"}, {"cidr": "169.254.0.0/16"}],
        "maxConnections": 16,
    });
    let (mut context, mut provider, mut object) = (context(), provider(), execution());
    let network = |blocked: Value| {
        let mut network = network.clone();
        network["blocked"] = blocked;
        Some(serde_json::from_value(network).unwrap())
    };
    let of_context = json!([{"host": "secret.example.com"}, {"cidr": "169.254.0.0/16"}]);
    context.spec.permissions.as_mut().unwrap().network = network(of_context);
    let required = provider.spec.capabilities[0].requires.as_mut().unwrap();
    required.permissions.as_mut().unwrap().network =
        network(json!([{"host": "secret.example.com"}, {"host": "b.example.com"}]));
    required.limits.as_mut().unwrap().network_bytes_per_second = Some(ccos_crds::Quantity("1Mi".to_owned()));
    object.spec.isolation = Some(isolation);
    let found = found(context, provider);
    let proxy = "10.96.7.8:3128".parse().unwrap();
    step::children(&object, &granted(&object, &found), &found, &cluster(), (&operator(), Some(proxy))).unwrap()
}

#[test]
fn what_it_may_connect_to_is_the_proxy_s_the_runner_s_and_the_policy_s() {
    let Children { network_policy, profile, pod } = connecting(Isolation::GVisor);
    insta::assert_snapshot!("egress-pod", serde_saphyr::to_string(&pod).unwrap());
    insta::assert_snapshot!("egress-network-policy", serde_saphyr::to_string(&network_policy).unwrap());
    let text = profile.data.unwrap().remove("profile.json").unwrap();
    let profile: ccos_profile::Profile = serde_json::from_str(&text).unwrap();
    let egress = profile.egress.unwrap();
    assert_eq!(egress.proxy, "10.96.7.8:3128".parse().unwrap());
    let annotation = &pod.metadata.annotations.unwrap()[ccos_profile::egress::ANNOTATION];
    assert_eq!(serde_json::from_str::<ccos_profile::egress::Rules>(annotation).unwrap(), egress.rules);
    assert_eq!(
        annotation,
        concat!(
            r#"{"outbound":[{"host":"*.example.com","ports":[{"port":443,"endPort":443}]},"#,
            r#"{"host":"a.test","ports":[{"port":8000,"endPort":8003}]}],"#,
            r#""blocked":[{"host":"secret.example.com"},{"host":"b.example.com"},{"cidr":"169.254.0.0/16"}],"#,
            r#""maxConnections":16,"bytesPerSecond":1048576}"#
        )
    );
}

#[test]
fn the_runner_holds_as_many_ports_as_are_admitted() {
    assert_eq!(ccos_policy::decide::MOST_PORTS, ccos_profile::MAX_PORTS);
}

#[test]
fn one_that_connects_to_nothing_has_neither_token_nor_way_out() {
    let proxy = "10.96.7.8:3128".parse().unwrap();
    let found = found(context(), provider());
    let children =
        step::children(&execution(), &granted(&execution(), &found), &found, &cluster(), (&operator(), Some(proxy)));
    assert_eq!(children.unwrap(), self::children(Isolation::GVisor));
}

#[test]
fn a_pod_that_connects_has_memory_for_it() {
    let memory = |children: Children| ccos_plan::build::pod_weight(&children.pod).memory.0;
    assert_eq!(memory(connecting(Isolation::GVisor)) - memory(children(Isolation::GVisor)), 16 << 20);
}

#[test]
fn a_contained_execution_becomes() {
    let mut object = execution();
    object.spec.isolation = Some(Isolation::Container);
    // What is blocked inside a grant is for the others.
    let unblocked = |text: &str| text.replace("/data/private", "/private");
    let context = serde_saphyr::from_str(&unblocked(CONTEXT).replace("[GVisor, Kata]", "[Container]")).unwrap();
    let found = found(context, serde_saphyr::from_str(&unblocked(PROVIDER)).unwrap());
    let Children { pod, profile, .. } =
        step::children(&object, &granted(&object, &found), &found, &cluster(), (&operator(), None)).unwrap();
    insta::assert_snapshot!("container-pod", serde_saphyr::to_string(&pod).unwrap());
    let data = profile.data.unwrap();
    assert!(data["passwd"].contains("ccos:x:1000:1000:"));
    let profile: ccos_profile::Profile = serde_json::from_str(&data["profile.json"]).unwrap();
    assert_eq!((profile.image_root.as_str(), profile.landlock_abi), ("/", Some(7)));
    assert_eq!(profile.volumes[0].source, profile.volumes[0].mount_path);
}

/// The runner's name server and its listeners are in the pod's network there, without a capability.
#[test]
fn a_contained_execution_that_connects_may_use_low_ports_and_no_other_one_may() {
    let sysctls = |children: Children| children.pod.spec.unwrap().security_context.unwrap().sysctls;
    assert_eq!(sysctls(connecting(Isolation::GVisor)), None);
    let mut object = execution();
    object.spec.isolation = Some(Isolation::Container);
    let unblocked = |text: &str| text.replace("/data/private", "/private");
    let children = |outbound: Value| {
        let mut context: ccos_crds::SecurityContext =
            serde_saphyr::from_str(&unblocked(CONTEXT).replace("[GVisor, Kata]", "[Container]")).unwrap();
        let mut provider: ccos_crds::CapabilityProvider = serde_saphyr::from_str(&unblocked(PROVIDER)).unwrap();
        let network = || Some(serde_json::from_value(json!({"outbound": outbound})).unwrap());
        context.spec.permissions.as_mut().unwrap().network = network();
        let required = provider.spec.capabilities[0].requires.as_mut().unwrap();
        required.permissions.as_mut().unwrap().network = network();
        let found = found(context, provider);
        let proxy = Some("10.96.7.8:3128".parse().unwrap());
        step::children(&object, &granted(&object, &found), &found, &cluster(), (&operator(), proxy)).unwrap()
    };
    assert_eq!(sysctls(children(json!([]))), None);
    let there = children(json!([{"host": "a.test", "ports": [{"port": 443}]}]));
    let policy = there.network_policy.spec.as_ref().unwrap().egress.as_ref().unwrap();
    let ports: Vec<_> =
        policy.iter().flat_map(|rule| rule.ports.iter().flatten()).map(|port| port.port.clone()).collect();
    let canary = i32::from(ccos_profile::egress::CANARY_PORT);
    assert!(!ports.contains(&Some(IntOrString::Int(canary))), "{ports:?}");
    let [sysctl] = &sysctls(there).unwrap()[..] else { panic!() };
    assert_eq!((sysctl.name.as_str(), sysctl.value.as_str()), ("net.ipv4.ip_unprivileged_port_start", "0"));
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
