//! What is admitted is within its grant, and nothing else is admitted.

use ccos_e2e::cluster::image;
use ccos_e2e::fixture::{CAPABILITY, Fixture as _, pod};
use ccos_e2e::namespace::unique;
use ccos_e2e::{EndReason, Reason, context, execution, kubectl, namespace, provider, until};
use ccos_profile::place;
use serde_json::{Value, json};

#[test]
fn a_requirement_within_the_grant_is_admitted_and_one_beyond_it_is_rejected_with_all_reasons() {
    let ns = namespace("grant");
    ns.apply(context("analysts").reads("/data/**").reads("/etc/ssl/certs").set("limits.memory", "512Mi"));
    ns.would_accept(execution("paris").reads("/data/in").limit("memory", "512Mi"));
    let rejected = ns.rejects(
        execution("paris")
            .reads("/etc/**")
            .writes("/data/out")
            .connects(json!({"host": "api.example.com", "ports": [{"port": 443}]}))
            .limit("memory", "2Gi"),
    );
    let rejected = rejected
        .with(Reason::FileReadDenied, "requires.permissions.filesystem.read[0]")
        .with(Reason::FileWriteDenied, "requires.permissions.filesystem.write[0]")
        .with(Reason::NetworkDenied, "requires.permissions.network.outbound[0]")
        .with(Reason::LimitExceeded, "requires.limits.memory")
        .of(4);
    let by = format!("; required by {CAPABILITY} of CapabilityProvider \"paris\"");
    let lines: Vec<&str> = rejected.message().lines().collect();
    assert!(
        lines[0].ends_with(r#"CapabilityExecution "paris" requires more than SecurityContext "analysts" grants:"#),
        "{rejected}"
    );
    assert_eq!(
        lines[1..],
        [
            format!(
                r#"  requires.permissions.filesystem.read[0] "/etc/**": not granted, e.g. /etc; granted: /data/**, /etc/ssl/certs{by}"#
            ),
            format!(r#"  requires.permissions.filesystem.write[0] "/data/out": not granted; granted: nothing{by}"#),
            format!(
                r#"  requires.permissions.network.outbound[0] "api.example.com port 443": not granted, e.g. api.example.com:443; granted: nothing{by}"#
            ),
            format!("  requires.limits.memory 2Gi: exceeds 512Mi{by}"),
        ]
    );
}

#[test]
fn blocked_path_wins_over_a_grant() {
    let ns = namespace("blocked-wins");
    ns.apply(context("analysts").reads("/data/**").blocks("/data/private/**"));
    ns.would_accept(execution("open").reads("/data/open"));
    ns.rejects(execution("secret").reads("/data/private/key"))
        .with(Reason::FileReadDenied, "requires.permissions.filesystem.read[0]")
        .saying("blocked by /data/private/**");
    ns.rejects(execution("all").reads("/data"))
        .with(Reason::FileReadDenied, "requires.permissions.filesystem.read[0]")
        .saying("blocked by /data/private/**");
}

#[test]
fn data_does_not_grant_database() {
    let ns = namespace("segments");
    ns.apply(context("analysts").reads("/data"));
    ns.would_accept(execution("data").reads("/data/base"));
    ns.rejects(execution("base").reads("/database"))
        .with(Reason::FileReadDenied, "requires.permissions.filesystem.read[0]");
}

#[test]
fn an_execution_narrows_its_capability_and_never_widens_it() {
    let ns = namespace("narrows");
    ns.apply(context("analysts").reads("/data/**"));
    let of_data = |name: &str| execution(name).reads("/data/in");
    ns.would_accept(of_data("narrow").set("requires.permissions.filesystem.read", json!(["/data/in/today"])));
    ns.would_accept(of_data("none").set("requires.permissions.filesystem.read", json!([])));
    // Granted by the context, and still not the capability's.
    ns.rejects(of_data("wide").set("requires.permissions.filesystem.read", json!(["/data"])))
        .with(Reason::FileReadDenied, "requires.permissions.filesystem.read[0]")
        .saying("wider than the capability's");
}

#[test]
fn a_requester_without_use_is_rejected_and_one_with_it_is_accepted() {
    let ns = namespace("use");
    ns.apply(context("analysts"));
    ns.allow("ann", &[]);
    ns.allow("bob", &["others"]);
    ns.user("bob").rejects(execution("others")).with(Reason::UseForbidden, "contextRef");
    let ran = ns.user("ann").rejects_at_first(&execution("mine"), Reason::UseForbidden, "contextRef", || {
        ns.allow("ann", &["analysts"]);
    });
    ran.completes();
}

#[test]
fn a_cluster_context_serves_every_namespace_to_those_who_may_use_it() {
    let ns = namespace("cluster-context");
    let name = unique("analysts");
    ns.apply(context(&name).for_all_namespaces().reads("/data/**").capacity(2));
    ns.apply(provider(&name).for_all_namespaces());
    ns.allow("ann", &[&name]);
    let shared = |id: &str| execution(id).under_cluster(&name).of("ClusterCapabilityProvider", &name);
    // The right to use a namesake of the namespace is not the right to use it.
    ns.user("ann").rejects(shared("hers")).with(Reason::UseForbidden, "contextRef");
    ns.rejects(execution("wide").under_cluster(&name).reads("/etc"))
        .with(Reason::FileReadDenied, "requires.permissions.filesystem.read[0]")
        .saying(&format!("ClusterSecurityContext {name:?}"));
    ns.accepts(shared("his")).completes();
}

#[test]
fn an_execution_that_names_no_context_gets_the_default_of_its_namespace() {
    let ns = namespace("default-context");
    ns.apply(context("analysts"));
    let nameless = |name: &str| execution(name).without("contextRef");
    ns.rejects(nameless("early"))
        .with(Reason::ContextNotFound, "contextRef")
        .saying("has no label security.ccos.dev/default-context");
    kubectl(["label", "namespace", &ns.name, "security.ccos.dev/default-context=analysts"]).succeeds();
    let ran = ns.accepts(nameless("ran"));
    ran.completes();
    assert_eq!(ran.object()["spec"]["contextRef"], json!({"kind": "SecurityContext", "name": "analysts"}));
    // The label is no right.
    ns.allow("ann", &[]);
    let hers = ns.user("ann").rejects_at_first(&nameless("hers"), Reason::UseForbidden, "contextRef", || {
        ns.allow("ann", &["analysts"]);
    });
    hers.completes();
    // What was filled in stays.
    let answer = ns.merge(None, "ran", &json!({"spec": {"contextRef": null}}));
    assert_eq!(answer.code, 422, "{:#}", answer.body);
}

#[test]
fn what_does_not_exist_is_named() {
    let ns = namespace("missing");
    ns.rejects(execution("nothing")).with(Reason::ContextNotFound, "contextRef");
    ns.apply(context("analysts"));
    ns.rejects(execution("nobody").of("CapabilityProvider", "nobody"))
        .with(Reason::CapabilityNotFound, "capabilityRef");
    ns.rejects(execution("other").set("capabilityRef.id", "tools.other"))
        .with(Reason::CapabilityNotFound, "capabilityRef");
}

#[test]
fn an_expired_context_admits_nothing() {
    let ns = namespace("expired");
    ns.apply(context("analysts").set("expiry", json!({"type": "At", "at": "2030-01-01T00:00:00Z"})));
    ns.would_accept(execution("before"));
    ns.apply(context("analysts").set("expiry", json!({"type": "At", "at": "2020-01-01T00:00:00Z"})));
    ns.rejects(execution("after")).with(Reason::ContextExpired, "contextRef");
}

#[test]
fn a_full_context_takes_the_right_to_escalate() {
    let ns = namespace("escalate");
    ns.role("ann", &json!([
        {"apiGroups": ["security.ccos.dev"], "resources": ["securitycontexts"], "verbs": ["create", "update", "patch", "get"]},
    ]));
    let full = || context("all").set("level", "Full");
    let ann = ns.user("ann");
    ann.would_be_allowed(context("some").reads("/data"));
    ann.rejects(full()).cause("FieldValueForbidden", "spec.level").code(403).saying("escalate");
    ns.role(
        "ann",
        &json!([
            {"apiGroups": ["security.ccos.dev"], "resources": ["securitycontexts"], "verbs": ["escalate"]},
        ]),
    );
    until("the new right", 20, || (ns.create(Some("ann"), &full(), "?dryRun=All").code == 201).then_some(()));
}

/// The ceiling is that of `e2e/install.sh`: the chart's default, `/etc/shadow` out of reach, and 1Gi of memory.
#[test]
fn a_context_above_the_ceiling_takes_the_right_to_escalate() {
    let ns = namespace("ceiling");
    let contexts = |verbs: &[&str]| json!([{"apiGroups": ["security.ccos.dev"], "resources": ["securitycontexts"], "verbs": verbs}]);
    ns.role("ann", &contexts(&["create", "update", "patch", "get"]));
    let ann = ns.user("ann");
    let all = || context("all").reads("/**").set("limits.memory", "2Gi");
    let metadata = || {
        let everywhere = json!([{"cidr": "0.0.0.0/0", "ports": [{"port": 80}]}]);
        context("metadata").set("permissions.network.outbound", everywhere)
    };
    until("ann may write contexts", 20, || {
        (ns.create(Some("ann"), &context("some"), "?dryRun=All").code == 201).then_some(())
    });
    ann.rejects(all())
        .with(Reason::CeilingExceeded, "spec.permissions.filesystem.read[0]")
        .with(Reason::CeilingExceeded, "spec.limits.memory")
        .saying("\"/**\": above the cluster's ceiling, which blocks /etc/shadow")
        .saying("2Gi: exceeds 1Gi, the cluster's ceiling")
        .of(2);
    ann.rejects(metadata())
        .with(Reason::CeilingExceeded, "spec.permissions.network.outbound[0]")
        .saying("which blocks 127.0.0.0/8, e.g. 127.0.0.0:80");
    // Inside: what the ceiling blocks, they block too.
    ann.would_be_allowed(context("all").reads("/**").blocks("/etc/shadow"));
    let local = json!([{"cidr": "127.0.0.0/8"}, {"cidr": "169.254.0.0/16"}]);
    ann.would_be_allowed(metadata().set("permissions.network.blocked", local));

    ns.role("ann", &contexts(&["escalate"]));
    until("the new right", 20, || (ns.create(Some("ann"), &all(), "").code == 201).then_some(()));
    // What was granted is granted, and it shows that it is above.
    ns.accepts(execution("above").under("all").reads("/bin")).completes();
    let within = "--for=jsonpath={.status.conditions[?(@.type==\"WithinCeiling\")].reason}=CeilingExceeded";
    ns.kubectl(["wait", "secctx/all", within, "--timeout=30s"]);
}

#[test]
fn the_author_of_a_context_can_read_what_it_mounts() {
    let ns = namespace("volumes");
    ns.kubectl(["create", "secret", "generic", "keys", "--from-literal=key=s3cret"]);
    ns.role(
        "ann",
        &json!([{"apiGroups": ["security.ccos.dev"], "resources": ["securitycontexts"], "verbs": ["create"]}]),
    );
    let mounts = || context("mounts").volume("keys", "/keys", json!({"secret": {"secretName": "keys"}}));
    ns.user("ann").rejects(mounts()).cause("FieldValueForbidden", "spec.volumes[0].secret.secretName").code(403);
    ns.would_accept(mounts());
}

#[test]
fn a_requester_who_cannot_read_a_secret_cannot_have_it_read() {
    let ns = namespace("secrets");
    ns.apply(context("analysts").environment("TOKEN"));
    ns.kubectl(["create", "secret", "generic", "keys", "--from-literal=key=s3cret"]);
    ns.allow("ann", &["analysts"]);
    let with_secret = execution("secret")
        .shell("read -r x; echo \"[\\\"$TOKEN\\\", $x]\"")
        .requires_variable("TOKEN")
        .set("env", json!([{"name": "TOKEN", "secretKeyRef": {"name": "keys", "key": "key"}}]))
        .set("inputsFrom", json!([{"secretKeyRef": {"name": "keys", "key": "key"}, "as": "key"}]));
    until("ann may use it", 20, || {
        (ns.create(Some("ann"), &execution("plain"), "?dryRun=All").code == 201).then_some(())
    });
    ns.user("ann").rejects(with_secret.clone()).with(Reason::UseForbidden, "inputsFrom[0].secretKeyRef");
    let ran = ns.user("ann").rejects_at_first(&with_secret, Reason::UseForbidden, "env[0].secretKeyRef", || {
        ns.role(
            "ann",
            &json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["keys"], "verbs": ["get"]}]),
        );
    });
    assert_eq!(*ran.completes().result(), json!(["s3cret", {"key": "s3cret"}]));
}

#[test]
fn a_spec_that_was_admitted_does_not_change_but_for_desired_state() {
    let ns = namespace("immutable");
    ns.apply(context("analysts"));
    let held = ns.accepts(execution("held").set("desiredState", "Suspended"));
    for (field, patch) in [
        ("spec.inputs", json!({"inputs": {"a": 1}})),
        ("spec.env", json!({"env": [{"name": "A", "value": "b"}]})),
        ("spec.isolation", json!({"isolation": "Kata"})),
        ("spec.requires", json!({"requires": {"permissions": {"filesystem": {"read": []}}}})),
        ("spec.ttlSecondsAfterFinished", json!({"ttlSecondsAfterFinished": 0})),
    ] {
        let answer = ns.merge(None, "held", &json!({"spec": patch}));
        let refused = ccos_e2e::Refused { answer, manifest: patch.to_string() };
        refused.invalid(field).saying("create a new CapabilityExecution");
    }
    let answer = ns.merge(None, "held", &json!({"spec": {"contextRef": {"name": "others"}}}));
    assert_eq!(answer.code, 422, "{:#}", answer.body);
    let receipt = json!({"metadata": {"annotations": {"security.ccos.dev/receipt": "{}"}}});
    let before = held.object()["metadata"]["annotations"].clone();
    let answer = ns.merge(None, "held", &receipt);
    assert!(answer.code == 422 || answer.body["metadata"]["annotations"] == before, "{:#}", answer.body);
    assert_eq!(held.object()["metadata"]["annotations"], before);

    held.desire("Running");
    held.completes();
}

#[test]
fn cancelled_is_final() {
    let ns = namespace("final");
    ns.apply(context("analysts"));
    let held = ns.accepts(execution("held").set("desiredState", "Suspended"));
    held.desire("Cancelled");
    for state in [json!("Running"), json!("Suspended"), Value::Null] {
        let answer = ns.merge(None, "held", &json!({"spec": {"desiredState": state}}));
        let refused = ccos_e2e::Refused { answer, manifest: String::new() };
        refused.code(422).saying("Cancelled is final");
    }
    held.ends(EndReason::Cancelled);
}

#[test]
fn invalid_objects_are_told_each_field() {
    let ns = namespace("invalid");
    ns.rejects(context("pattern").reads("/data/[ab]")).invalid("spec.permissions.filesystem.read[0]");
    ns.rejects(context("dots").reads("/data/../etc")).invalid("spec.permissions.filesystem.read[0]");
    // A pattern that isn't understood would block nothing.
    ns.rejects(context("blocked").blocks("/data/{a,b}")).invalid("spec.permissions.filesystem.blocked[0]");
    ns.rejects(context("both").reads("data").blocks("/a//b"))
        .invalid("spec.permissions.filesystem.read[0]")
        .invalid("spec.permissions.filesystem.blocked[0]");
    ns.rejects(context("host").set("permissions.network.blocked", json!([{"host": "a..b"}])))
        .invalid("spec.permissions.network.blocked[0].host");
    ns.rejects(context("pure").set("level", "Pure").reads("/data")).code(422).saying("level Pure grants nothing");
    ns.rejects(context("level").set("level", "Wild")).invalid("spec.level");
    ns.rejects(provider("version").set("version", "one")).invalid("spec.version");
    ns.rejects(provider("command").capability("command", json!(["true"]))).invalid("spec.capabilities[0].command[0]");
    ns.apply(context("analysts"));
    ns.rejects(execution("own").variable("CCOS_INPUT_FILE", "x")).invalid("spec.env[0].name");
    ns.rejects(execution("retries").set("retries", json!({"limit": 1, "on": ["NonZeroExit", "Cancelled"]})))
        .invalid("spec.retries.on[1]");
    ns.rejects(execution("large").set("inputs", json!({"text": "x".repeat(300 * 1024)}))).invalid("spec.inputs");
}

#[test]
fn a_field_that_nobody_knows_is_refused() {
    let ns = namespace("unknown");
    ns.apply(context("analysts"));
    let typo = execution("typo").set("requires.permissions.filesystem.reads", json!(["/data"]));
    let answer = kubectl(["create", "-f", "-"]).inside(&ns.name).input(typo.manifest()).run();
    assert!(
        !answer.ok && answer.err.contains("unknown field \"spec.requires.permissions.filesystem.reads\""),
        "{answer:?}"
    );
}

#[test]
fn a_dry_run_creates_nothing_and_its_receipt_is_void() {
    let ns = namespace("dry-run");
    ns.apply(context("analysts"));
    let answer = ns.create(None, &execution("dry"), "?dryRun=All");
    assert_eq!(answer.code, 201, "{:#}", answer.body);
    let receipt = answer.body["metadata"]["annotations"]["security.ccos.dev/receipt"].as_str().unwrap();
    let receipt: Value = serde_json::from_str(receipt).unwrap();
    assert_eq!(receipt["claims"]["void"], true, "{receipt:#}");
    assert_eq!(ns.list("capabilityexecutions"), Vec::<Value>::new());
    let ran = ns.accepts(execution("dry"));
    let stored = ran.object()["metadata"]["annotations"]["security.ccos.dev/receipt"].as_str().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap()["claims"]["void"], false, "{stored}");
}

#[test]
fn a_receipt_that_a_client_brings_is_discarded() {
    let ns = namespace("discarded");
    ns.apply(context("analysts"));
    let brought =
        execution("brought").annotated("security.ccos.dev/receipt", r#"{"kid":"x","claims":{},"signature":""}"#);
    let ran = ns.accepts(brought);
    assert_ne!(
        ran.object()["metadata"]["annotations"]["security.ccos.dev/receipt"],
        json!(r#"{"kid":"x","claims":{},"signature":""}"#)
    );
    ran.completes();
}

#[test]
fn an_object_on_its_way_out_is_left_alone() {
    let ns = namespace("leaving");
    ns.apply(context("analysts"));
    let held = ns.accepts(execution("held").set("desiredState", "Suspended"));
    ns.kubectl([
        "patch",
        "capex",
        "held",
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":["e2e.ccos.dev/hold"]}}"#,
    ]);
    ns.kubectl(["delete", "capex", "held", "--wait=false"]);
    let leaving = held.object();
    assert!(leaving["metadata"]["deletionTimestamp"].is_string(), "{leaving:#}");
    // Its context is gone, and it may still leave.
    ns.kubectl(["delete", "securitycontext", "analysts"]);
    ns.kubectl(["patch", "capex", "held", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
    held.is_deleted();
}

/// What a release does not hold is refused, never ignored; and the message says what to write instead.
#[test]
fn what_cannot_be_held_is_unenforceable_with_advice() {
    let ns = namespace("unenforceable");
    let outbound = json!({"cidr": "2001:db8::/32", "ports": [{"port": 443}]});
    let all = context("analysts")
        .reads("/data/**")
        .set("permissions.network.outbound", json!([outbound]))
        .set("permissions.ipc.connect", json!(["/run/app.sock"]))
        .set("isolation.allowed", json!(["GVisor", "Container", "Wasm"]));
    ns.apply(all.volume("scratch", "/data", json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})));
    ns.would_accept(execution("plain").reads("/data/a"));
    let refused = |execution, field: &str, advice: &str| {
        ns.rejects(execution).with(Reason::Unenforceable, field).saying(advice);
    };
    refused(execution("network").connects(outbound), "requires.permissions.network.outbound[0]", "write a host");
    refused(
        execution("ipc").capability("requires.permissions.ipc.connect", json!(["/run/app.sock"])),
        "requires.permissions.ipc.connect[0]",
        "remove it",
    );
    refused(execution("wasm").set("isolation", "Wasm"), "isolation", "use GVisor");
    refused(execution("wasm").set("isolation", "Wasm"), "isolation", "use GVisor");
    refused(execution("glob").reads("/data/*.csv"), "requires.permissions.filesystem.read[0]", r#"write "/data""#);
}

#[test]
fn a_context_that_cannot_be_held_warns_its_author_and_admits_nothing() {
    let ns = namespace("unheld");
    let unsized_volume = json!([{"name": "scratch", "mountPath": "/scratch", "emptyDir": {}}]);
    let unheld = context("analysts").set("volumes", unsized_volume);
    let answer = kubectl(["apply", "-f", "-"]).inside(&ns.name).input(unheld.manifest()).run();
    let warning = "Warning: spec.volumes[0].emptyDir: executions under it are refused";
    assert!(answer.ok && answer.err.contains(warning), "{answer:?}");
    ns.rejects(execution("unheld")).with(Reason::Unenforceable, "spec.volumes[0].emptyDir");
    // Larger than all the disk that an attempt may have.
    let large = json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Ti"}});
    ns.rejects(context("large").volume("scratch", "/scratch", large)).invalid("spec.volumes");
}

#[test]
fn an_isolation_that_the_context_does_not_allow_is_denied() {
    let ns = namespace("isolation");
    ns.apply(context("analysts").set("isolation", json!({"allowed": ["GVisor"], "default": "GVisor"})));
    ns.would_accept(execution("gvisor").set("isolation", "GVisor"));
    ns.rejects(execution("kata").set("isolation", "Kata")).with(Reason::IsolationNotAllowed, "isolation");
}

/// Whoever gets hold of the controller's token can make children of executions with it, and nothing else. RBAC alone would
/// let it create any pod, in every namespace.
#[test]
fn the_controllers_token_makes_no_pods_of_its_own() {
    let ns = namespace("token");
    let plain = pod("plain", &image("CCOS_BUSYBOX_IMAGE"), &["/bin/true"], &[]);
    let create = |who: &[&str]| {
        let arguments = who.iter().copied().chain(["create", "--dry-run=server", "-f", "-"]);
        kubectl(arguments).inside(&ns.name).input(plain.to_string()).run()
    };
    let controller = ["--as", "system:serviceaccount:ccos-system:ccos-controller"];
    let answer = create(&controller);
    assert!(
        !answer.ok && answer.err.contains("the controller makes only children of CapabilityExecutions"),
        "{answer:?}"
    );
    assert!(create(&[]).ok, "an administrator may");
}

/// An owner can be made up. So what a pod of such an owner may be is all that stands between the token and what the pod
/// mounts: the key of receipts above all.
#[test]
fn the_controllers_token_reads_no_key_by_a_pod_with_an_owner_that_it_made_up() {
    let ns = namespace("made-up");
    let create = |namespace: &str, object: &Value| {
        let controller = ["--as", "system:serviceaccount:ccos-system:ccos-controller"];
        let arguments = controller.into_iter().chain(["create", "--dry-run=server", "-f", "-"]);
        kubectl(arguments).inside(namespace).input(object.to_string()).run()
    };
    let with = |pointer: &str, value: Value| {
        let mut child = child_pod();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        child.pointer_mut(parent).unwrap()[field] = value;
        child
    };
    let secret = with("/spec/volumes", json!([{"name": "keys", "secret": {"secretName": "ccos-receipt-key"}}]));
    // The twin: what it needs for executions.
    let answer = create(&ns.name, &secret);
    assert!(answer.ok, "{answer:?}");
    let projected = |sources: Value| with("/spec/volumes", json!([{"name": "all", "projected": {"sources": sources}}]));
    let token = |audience: &str| projected(json!([{"serviceAccountToken": {"audience": audience, "path": "token"}}]));
    let answer = create(&ns.name, &token("ccos-report"));
    assert!(answer.ok, "{answer:?}");

    // Where there is no runtime class it is the runner that confines: nothing may lie on it.
    let contained = |mounts: Value| contained_pod(&with("/spec/runtimeClassName", Value::Null), mounts);
    let answer = create(&ns.name, &contained(json!([{"name": "other", "mountPath": "/1/2/3/4/5/6/7/8"}])));
    assert!(answer.ok, "{answer:?}");
    let over = json!({"name": "other", "mountPath": format!("{}{}", runner_volume(), place::RUNNER), "subPath": "a"});
    let exec = json!({"exec": {"command": ["/bin/true"]}});

    let operator = ccos_e2e::cluster::OPERATOR;
    let variable = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}}]);
    for (namespace, object, says) in [
        (operator, secret, "nothing in the operator's own namespace"),
        (operator, child_of("v1", "ConfigMap", &json!({"data": {}})), "nothing in the operator's own namespace"),
        (&ns.name, with("/metadata/ownerReferences/0/apiVersion", json!("security.ccos.dev/v9")), "only children of"),
        (&ns.name, with("/spec/containers/0/env", variable), "variables that are written out"),
        (&ns.name, with("/spec/containers/0/envFrom", json!([{"secretRef": {"name": "keys"}}])), "written out"),
        // By Pod Security first, where a namespace has that.
        // What the kubelet would start beside the runner.
        (&ns.name, with("/spec/containers/0/lifecycle", json!({"postStart": exec})), "starts nothing else"),
        (&ns.name, with("/spec/containers/0/livenessProbe", exec.clone()), "starts nothing else"),
        (&ns.name, with("/spec/containers/0/startupProbe", exec.clone()), "starts nothing else"),
        (&ns.name, contained(json!([over])), "this release's runner"),
        (&ns.name, contained(json!([{"name": "other", "mountPath": "ccos/runner"}])), "this release's runner"),
        (&ns.name, with("/spec/volumes", json!([{"name": "node", "hostPath": {"path": "/"}}])), "forbidden"),
        (&ns.name, with("/spec/volumes", json!([{"name": "pod", "downwardAPI": {}}])), "volumes of images"),
        (&ns.name, with("/spec/volumes", json!([{"name": "net", "nfs": {"server": "a", "path": "/"}}])), "forbidden"),
        (&ns.name, token("https://kubernetes.default.svc"), "those for the operator itself"),
        (&ns.name, projected(json!([{"secret": {"name": "keys"}}])), "those for the operator itself"),
        ("kube-system", quota("ccos-executions", &json!({"hard": {"pods": "0"}})), "only quotas of executions"),
        (&ns.name, quota("others", &of_executions()), "only quotas of executions"),
        (
            "kube-system",
            child_of("networking.k8s.io/v1", "NetworkPolicy", &json!({"spec": {"podSelector": {}}})),
            "only network policies",
        ),
    ] {
        let answer = create(namespace, &object);
        assert!(!answer.ok && answer.err.contains(says), "expected {says:?}: {answer:?}");
    }
    let answer = create(&ns.name, &quota("ccos-executions", &of_executions()));
    assert!(answer.ok, "{answer:?}");
}

/// It may create Secrets and read those of its own names: one that asks for a token would hold the controller's.
#[test]
fn the_webhooks_token_gets_no_other_token() {
    let create = |kind: &str| {
        let annotations = json!({"kubernetes.io/service-account.name": "ccos-controller"});
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": "made-up", "annotations": annotations},
        });
        let webhook = ["--as", "system:serviceaccount:ccos-system:ccos-webhook"];
        let arguments = webhook.into_iter().chain(["create", "--dry-run=server", "-f", "-"]);
        kubectl(arguments).inside(ccos_e2e::cluster::OPERATOR).input(secret.to_string()).run()
    };
    let answer = create("kubernetes.io/service-account-token");
    assert!(!answer.ok && answer.err.contains("only Secrets for its own keys"), "{answer:?}");
    let answer = create("security.ccos.dev/receipt-key");
    assert!(answer.ok, "{answer:?}");
}

fn quota(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": spec})
}

fn of_executions() -> Value {
    let class = json!({"scopeName": "PriorityClass", "operator": "In", "values": ["ccos-execution"]});
    json!({"hard": {"pods": "0"}, "scopeSelector": {"matchExpressions": [class]}})
}

/// An object with an owner that does not exist.
fn child_of(version: &str, kind: &str, rest: &Value) -> Value {
    let owner = json!({
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution", "name": "made-up", "uid": "made-up",
        "controller": true,
    });
    let mut object = json!({
        "apiVersion": version, "kind": kind, "metadata": {"name": "made-up", "ownerReferences": [owner]},
    });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}

/// A pod such as the controller makes.
fn child_pod() -> Value {
    // As the operator's own namespace wants pods.
    let security = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true, "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let container = json!({
        "name": "runner", "image": image("CCOS_BUSYBOX_IMAGE"), "command": ["/bin/true"], "securityContext": security,
    });
    let spec = json!({
        "runtimeClassName": "gvisor", "automountServiceAccountToken": false, "containers": [container], "volumes": [],
    });
    child_of("v1", "Pod", &json!({"spec": spec}))
}

/// As the controller makes one up.
fn runner_volume() -> String {
    place::runner_volume(&"0f".repeat(16))
}

/// The same for isolation Container, with these mounts besides.
fn contained_pod(child: &Value, mounts: Value) -> Value {
    let mut child = child.clone();
    let Value::Array(mut mounts) = mounts else { panic!("{mounts}: expected a list") };
    mounts.push(json!({"name": "image", "mountPath": runner_volume()}));
    let spec = child["spec"].as_object_mut().unwrap();
    spec.remove("runtimeClassName");
    spec.insert("hostUsers".to_owned(), json!(false));
    spec["volumes"] = json!([
        {"name": "image", "image": {"reference": image("CCOS_RUNNER_IMAGE")}},
        {"name": "other", "configMap": {"name": "other", "defaultMode": 0o755}},
    ]);
    spec["containers"][0]["command"] = json!([format!("{}{}", runner_volume(), place::RUNNER)]);
    spec["containers"][0]["volumeMounts"] = json!(mounts);
    child
}

/// Otherwise it would make receipts: with a key of its own among those that verify them.
#[test]
fn the_controllers_token_publishes_no_keys_but_those_of_its_own_audit_trail() {
    let owner = json!([{
        "apiVersion": "security.ccos.dev/v1alpha1", "kind": "CapabilityExecution", "name": "made-up", "uid": "made-up",
        "controller": true,
    }]);
    let patch = json!({"metadata": {"ownerReferences": owner}, "data": {"forged": "key"}}).to_string();
    let change = |name: &str| {
        let controller = ["--as", "system:serviceaccount:ccos-system:ccos-controller"];
        let arguments = ["patch", "configmap", name, "--type=merge", "--dry-run=server", "-p", &patch];
        kubectl(controller.into_iter().chain(arguments)).inside(ccos_e2e::cluster::OPERATOR).run()
    };
    let answer = change("ccos-receipt-keys");
    assert!(
        !answer.ok && answer.err.contains("the controller makes nothing in the operator's own namespace"),
        "{answer:?}"
    );
    let answer = change("ccos-audit-controller");
    assert!(answer.ok, "{answer:?}");
}
