//! A node's Kata by its files, and a cluster beside a double of its API server.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::process::Command;

use ccos_cli::doctor::{Line, Report, State, examine, print};
use ccos_cli::{Format, Outcome, Streams};
use ccos_plan::receipt::{encode_key, kid};
use ed25519_dalek::SigningKey;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use crate::check::folder;

const QEMU: &str = include_str!("../../../kata/tests/templates/rust/qemu-runtime-rs.toml");
const GO: &str = include_str!("../../../kata/tests/templates/go/qemu.toml");
const PROFILE: &str = "runnerImage: r\npriorityClassName: ccos-execution\nisolations: {Kata: {runtimeClass: kata-qemu, userNamespaces: true}}\n";

/// Exit code, standard output and error of `ccos doctor` about these files; the first is the configuration.
fn node(title: &str, files: &[(&str, &str)], more: &[&str]) -> (Option<i32>, String, String) {
    let path = folder(title, files);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ccos"));
    command.current_dir(&path).args(["doctor", "--kata-config", files[0].0]).args(more);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_node_of_upstreams_default_holds_and_gets_values() {
    let (code, out, err) = node("doctor-default", &[("configuration.toml", QEMU)], &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let wanted = [
        "ok      runtime.disable_guest_seccomp = true (configuration.toml) [measured]",
        "overhead: {podFixed: {memory: 320Mi, cpu: 250m}}",
        "    Kata: {runtimeClass: kata, userNamespaces: true}",
        " 0 fail,",
    ];
    for text in wanted {
        assert!(out.contains(text), "{text}: {out}");
    }
}

#[test]
fn what_executions_rely_on_and_does_not_hold_is_exit_code_1_and_takes_kata_out() {
    let (code, out, _) = node("doctor-go", &[("configuration.toml", GO)], &[]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("fail    runtime.sandbox_cgroup_only = false (configuration.toml) [measured]"), "{out}");
    assert!(out.contains("    Kata: null"), "{out}");
}

#[test]
fn drop_ins_beside_the_file_count_and_can_be_elsewhere() {
    let off = "[runtime]\nsandbox_cgroup_only = false\n";
    let path = folder("doctor-drop-ins", &[("configuration.toml", QEMU)]);
    std::fs::create_dir_all(path.join("config.d")).unwrap();
    std::fs::create_dir_all(path.join("other")).unwrap();
    std::fs::write(path.join("config.d/50-off.conf"), off).unwrap();
    let doctor = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ccos"));
        command.current_dir(&path).args(["doctor", "--kata-config", "configuration.toml"]).args(more);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, out) = doctor(&[]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("(config.d/50-off.conf)"), "{out}");
    let (code, out) = doctor(&["--kata-config-dir", "other"]);
    assert_eq!(code, Some(0), "{out}");
    let (code, _) = doctor(&["--kata-config-dir", "nowhere"]);
    assert_eq!(code, Some(2));
}

#[test]
fn a_profile_is_compared_with_the_node() {
    let filters = QEMU.replace("disable_guest_seccomp = true", "disable_guest_seccomp = false");
    let says_no = PROFILE.replace("true", "false");
    for (title, configuration, profile, code, state, values) in [
        ("same", QEMU, PROFILE, 0, "ok", json!({"runtimeClass": "kata-qemu", "userNamespaces": true})),
        ("lie", &filters, PROFILE, 1, "fail", json!({"runtimeClass": "kata-qemu", "userNamespaces": false})),
        // Then nothing relies on it.
        ("carried", &filters, &says_no, 0, "ok", json!({"runtimeClass": "kata-qemu", "userNamespaces": false})),
        ("modest", QEMU, &says_no, 0, "warn", json!({"runtimeClass": "kata-qemu", "userNamespaces": true})),
        ("broken", GO, PROFILE, 1, "fail", Value::Null),
    ] {
        let files = [("configuration.toml", configuration), ("profile.yaml", profile)];
        let (found, out, err) =
            node(&format!("doctor-profile-{title}"), &files, &["--profile", "profile.yaml", "-o", "json"]);
        assert_eq!((found, err.as_str()), (Some(code), ""), "{title}: {out}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["kata"]["values"]["isolations"]["Kata"], values, "{title}");
        let checks = report["checks"].as_array().unwrap();
        let compared = checks.iter().find(|line| line["check"] == "isolations.Kata of the profile").unwrap();
        assert_eq!(compared["state"], state, "{title}: {compared}");
    }
}

#[test]
fn what_cannot_be_read_is_exit_code_2_with_file_and_place() {
    let wrong = QEMU.replace("default_vcpus = 1", "default_vcpus = \"one\"");
    for (title, text, said) in [
        (
            "type",
            wrong.as_str(),
            "configuration.toml: hypervisor.qemu.default_vcpus: invalid type: string \"one\", expected a number",
        ),
        ("syntax", "[hypervisor", "configuration.toml: is no TOML"),
        ("other", "[runtime]\n", "configuration.toml: has no table [hypervisor.*]"),
    ] {
        let (code, out, err) = node(&format!("doctor-bad-{title}"), &[("configuration.toml", text)], &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{title}: {err}");
        assert!(err.contains(said), "{title}: {err}");
    }
    let (code, _, err) = node("doctor-bad-profile", &[("c.toml", QEMU), ("p.yaml", "a: [")], &["--profile", "p.yaml"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("p.yaml"), "{err}");
}

/// What the double answers, by path; and what it refuses to show.
#[derive(Clone)]
struct Cluster {
    objects: BTreeMap<String, Value>,
    closed: BTreeSet<&'static str>,
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1/";
const KINDS: [&str; 6] = [
    "capabilityexecutions",
    "capabilityproviders",
    "clustercapabilityproviders",
    "clustersecuritycontexts",
    "executionpolicies",
    "securitycontexts",
];

impl Cluster {
    /// One in which all is well, and nobody but the system may do anything.
    fn well() -> Self {
        let mut cluster = Self { objects: BTreeMap::new(), closed: BTreeSet::new() };
        let named = |name: &str| json!({"name": name});
        let system = "/api/v1/namespaces/ccos-system/configmaps/";
        let profile = "runnerImage: r\npriorityClassName: ccos-execution\nisolations: {GVisor: {runtimeClass: gvisor, userNamespaces: true}}\n";
        cluster.put(
            &format!("{system}ccos-profile"),
            json!({"metadata": named("ccos-profile"), "data": {"profile.yaml": profile}}),
        );
        let key = SigningKey::from_bytes(&[7; 32]).verifying_key();
        let keys = json!({kid(&key): encode_key(&key)});
        cluster
            .put(&format!("{system}ccos-receipt-keys"), json!({"metadata": named("ccos-receipt-keys"), "data": keys}));
        for kind in KINDS {
            let name = format!("{kind}.security.ccos.dev");
            let crd = json!({
                "metadata": named(&name),
                "spec": {"group": "security.ccos.dev", "scope": "Namespaced", "names": {"kind": kind, "plural": kind},
                    "versions": [{"name": "v1alpha1", "served": true, "storage": true}]},
                "status": {"conditions": [{"type": "Established", "status": "True"}]},
            });
            cluster.put(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"), crd);
        }
        let hook = |kinds: &[&str]| {
            json!({"metadata": named("ccos"), "webhooks": [{
                "name": "hook", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
                "clientConfig": {"caBundle": "Q0E="}, "namespaceSelector": {}, "objectSelector": {},
                "rules": [{"apiGroups": ["security.ccos.dev"], "apiVersions": ["v1alpha1"], "operations": ["CREATE", "UPDATE"], "resources": kinds}],
            }]})
        };
        cluster.put(&format!("{ADMISSION}mutatingwebhookconfigurations/ccos"), hook(&KINDS[..1]));
        cluster.put(&format!("{ADMISSION}validatingwebhookconfigurations/ccos"), hook(&KINDS));
        for name in ["ccos-controller", "ccos-provider-status", "ccos-runtime-annotations"] {
            let policy = json!({"metadata": named(name), "spec": {"failurePolicy": "Fail"}});
            cluster.put(&format!("{ADMISSION}validatingadmissionpolicies/{name}"), policy);
            let binding = json!({"metadata": named(name), "spec": {"policyName": name, "validationActions": ["Deny"]}});
            cluster.put(&format!("{ADMISSION}validatingadmissionpolicybindings/{name}"), binding);
        }
        for name in ["ccos-controller", "ccos-webhook"] {
            let deployment = json!({
                "metadata": named(name),
                "spec": {"replicas": 1, "selector": {}, "template": {}},
                "status": {"readyReplicas": 1},
            });
            cluster.put(&format!("/apis/apps/v1/namespaces/ccos-system/deployments/{name}"), deployment);
        }
        let class = json!({"metadata": named("ccos-execution"), "value": 0});
        cluster.put("/apis/scheduling.k8s.io/v1/priorityclasses/ccos-execution", class);
        let overhead = json!({"podFixed": {"memory": "64Mi"}});
        let gvisor = json!({"metadata": named("gvisor"), "handler": "runsc", "overhead": overhead});
        cluster.list("/apis/node.k8s.io/v1/runtimeclasses", &[gvisor]);
        let node = json!({"metadata": named("one"), "status": {
            "conditions": [{"type": "Ready", "status": "True"}], "runtimeHandlers": [{"name": "runsc"}]}});
        cluster.list("/api/v1/nodes", &[node]);
        let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        let admin = json!({"metadata": named("cluster-admin"), "rules": all});
        cluster.list(&format!("{RBAC}clusterroles"), &[admin]);
        let masters = json!({"metadata": named("cluster-admin"), "roleRef": role("ClusterRole", "cluster-admin"),
            "subjects": [{"kind": "Group", "name": "system:masters"}]});
        cluster.list(&format!("{RBAC}clusterrolebindings"), &[masters]);
        cluster.list(&format!("{RBAC}roles"), &[]);
        cluster.list(&format!("{RBAC}rolebindings"), &[]);
        let context = json!({"metadata": {"name": "analysts", "namespace": "data"}});
        cluster.list("/apis/security.ccos.dev/v1alpha1/securitycontexts", &[context]);
        cluster.list("/apis/security.ccos.dev/v1alpha1/capabilityexecutions", &[]);
        cluster
    }

    fn put(&mut self, path: &str, object: Value) {
        self.objects.insert(path.to_owned(), object);
    }

    fn list(&mut self, path: &str, items: &[Value]) {
        self.put(path, json!({"metadata": {}, "items": items}));
    }

    /// With a change of one object, such as `("/…/nodes", "/items/0/status", …)`.
    fn with(mut self, path: &str, pointer: &str, value: Value) -> Self {
        let object = self.objects.get_mut(path).unwrap_or_else(|| panic!("{path}"));
        *object.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} of {path}")) = value;
        self
    }

    fn without(mut self, path: &str) -> Self {
        self.objects.remove(path).unwrap_or_else(|| panic!("{path}"));
        self
    }

    /// Somebody may do this, by a role and a binding in a namespace, or everywhere.
    fn allows(mut self, subject: &Value, namespace: Option<&str>, rules: &Value) -> Self {
        let (kind, given, bindings) = match namespace {
            Some(_) => ("Role", "roles", "rolebindings"),
            None => ("ClusterRole", "clusterroles", "clusterrolebindings"),
        };
        let metadata = json!({"name": "given", "namespace": namespace});
        let role_object = json!({"metadata": metadata, "rules": rules});
        let binding = json!({"metadata": metadata, "roleRef": role(kind, "given"), "subjects": [subject]});
        for (path, object) in [(given, role_object), (bindings, binding)] {
            let list = self.objects.get_mut(&format!("{RBAC}{path}")).unwrap();
            list["items"].as_array_mut().unwrap().push(object);
        }
        self
    }

    fn report(self) -> Report {
        let service = tower::service_fn(move |request: Request<Body>| {
            let (cluster, path) = (self.clone(), request.uri().path().to_owned());
            async move {
                assert_eq!(request.method(), http::Method::GET, "{path}: a doctor only looks");
                let status = |code: u16, reason: &str| {
                    (
                        code,
                        json!({"kind": "Status", "status": "Failure", "code": code, "message": reason, "reason": reason}),
                    )
                };
                let (code, answer) = match cluster.objects.get(&path) {
                    _ if cluster.closed.iter().any(|closed| path.contains(closed)) => status(403, "Forbidden"),
                    Some(object) => (200, object.clone()),
                    None => status(404, "NotFound"),
                };
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { examine(&Client::new(service, "default"), "ccos-system").await })
    }

    /// The checks that are not well, but the one that never is.
    fn ails(self) -> Vec<(String, State, String)> {
        let report = self.report();
        let ails = report.checks.into_iter().filter(|line| line.state != State::Ok);
        ails.map(|line| (line.check, line.state, line.found))
            .filter(|(check, ..)| check != "enforcement of NetworkPolicies")
            .collect()
    }
}

fn role(kind: &str, name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})
}

fn ann() -> Value {
    json!({"kind": "User", "name": "ann"})
}

/// One check ails, so.
#[track_caller]
fn ails(cluster: Cluster, check: &str, state: State, says: &str) {
    let ails = cluster.ails();
    assert_eq!(ails.len(), 1, "{ails:#?}");
    assert_eq!((ails[0].0.as_str(), ails[0].1), (check, state), "{ails:#?}");
    assert!(ails[0].2.contains(says), "{ails:#?}");
}

#[test]
fn nothing_ails_a_cluster_in_which_all_is_well() {
    let report = Cluster::well().report();
    assert_eq!(Cluster::well().ails(), []);
    assert_eq!(report.outcome(), Outcome::Done);
    let unverified: Vec<&Line> = report.checks.iter().filter(|line| line.state == State::Unknown).collect();
    assert_eq!(unverified.len(), 1);
    assert!(unverified[0].found.starts_with("not verified here"), "{unverified:?}");
    let of_the_system = report.checks.iter().find(|line| line.check == "who may use contexts through *: of the system");
    assert_eq!(of_the_system.unwrap().found, "Group \"system:masters\"");
}

#[test]
fn an_installation_with_a_hole_fails() {
    let validating = &format!("{ADMISSION}validatingwebhookconfigurations/ccos");
    let binding = &format!("{ADMISSION}validatingadmissionpolicybindings/ccos-runtime-annotations");
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/securitycontexts.security.ccos.dev";
    let keys = "/api/v1/namespaces/ccos-system/configmaps/ccos-receipt-keys";
    let webhook = "/apis/apps/v1/namespaces/ccos-system/deployments/ccos-webhook";
    let well = Cluster::well;
    let hole = |cluster, check, says| ails(cluster, check, State::Fail, says);
    hole(
        well().with(validating, "/webhooks/0/failurePolicy", json!("Ignore")),
        "validating webhook",
        "failurePolicy Ignore",
    );
    hole(well().with(validating, "/webhooks/0/clientConfig", json!({})), "validating webhook", "no caBundle");
    let some = json!({"matchLabels": {"a": "b"}});
    hole(well().with(validating, "/webhooks/0/namespaceSelector", some), "validating webhook", "has a selector");
    hole(
        well().with(validating, "/webhooks/0/rules/0/resources", json!(KINDS[1..].to_vec())),
        "validating webhook",
        "not asked for UPDATE of capabilityexecutions",
    );
    hole(
        well().without(&format!("{ADMISSION}mutatingwebhookconfigurations/ccos")),
        "mutating webhook",
        "does not exist",
    );
    hole(well().without(binding), "admission policy ccos-runtime-annotations", "no binding");
    hole(
        well().with(binding, "/spec/validationActions", json!(["Audit"])),
        "admission policy ccos-runtime-annotations",
        "does not deny",
    );
    hole(well().without(crd), "kinds", "securitycontexts does not exist");
    hole(well().with(crd, "/spec/versions/0/served", json!(false)), "kinds", "securitycontexts is not served");
    hole(well().without(keys), "receipt keys ccos-system/ccos-receipt-keys", "do not exist");
    hole(well().with(keys, "/data", json!({"a": "b"})), "receipt keys ccos-system/ccos-receipt-keys", "none of its 1");
    hole(well().with(webhook, "/status/readyReplicas", json!(0)), "deployment ccos-system/ccos-webhook", "0 of 1");
    let profile = "/api/v1/namespaces/ccos-system/configmaps/ccos-profile";
    let named = "runnerImage: r\npriorityClassName: ccos-execution\nisolations: {GVisor: {runtimeClass: gvisor, userNamespaces: true, egress: true}}\n";
    let proxied = well().with(profile, "/data/profile.yaml", json!(named));
    hole(proxied, "deployment ccos-system/ccos-egress", "does not exist");
    hole(
        well().without("/apis/scheduling.k8s.io/v1/priorityclasses/ccos-execution"),
        "PriorityClass of executions",
        "does not exist",
    );
}

#[test]
fn a_runtime_that_is_not_there_fails() {
    let classes = "/apis/node.k8s.io/v1/runtimeclasses";
    let well = Cluster::well;
    let gone = well().with(classes, "/items", json!([]));
    ails(gone, "isolation GVisor", State::Fail, "RuntimeClass \"gvisor\" does not exist");
    let other = json!([{"name": "runc"}]);
    let elsewhere = well().with("/api/v1/nodes", "/items/0/status/runtimeHandlers", other);
    ails(elsewhere, "isolation GVisor", State::Fail, "no ready node has the runtime \"runsc\"");
    let bare = well().with(classes, "/items/0/overhead", Value::Null);
    ails(bare, "overhead of RuntimeClass \"gvisor\"", State::Warn, "has none");
}

/// With QEMU a pod without overhead never starts.
#[test]
fn kata_needs_an_overhead_and_its_configuration_is_not_seen() {
    let kata = |overhead: Value| {
        let mut cluster = Cluster::well();
        let profile = PROFILE.replace("kata-qemu", "gvisor");
        cluster = cluster.with(
            "/api/v1/namespaces/ccos-system/configmaps/ccos-profile",
            "/data/profile.yaml",
            json!(profile),
        );
        let ails = cluster.with("/apis/node.k8s.io/v1/runtimeclasses", "/items/0/overhead", overhead).ails();
        assert!(ails.iter().any(|(check, state, _)| check == "configuration of Kata" && *state == State::Unknown));
        ails.into_iter().filter(|(_, state, _)| *state == State::Fail).map(|(check, ..)| check).collect::<Vec<_>>()
    };
    let check = ["overhead of RuntimeClass \"gvisor\""];
    assert_eq!(kata(Value::Null), check);
    assert_eq!(kata(json!({"podFixed": {"memory": "64Mi"}})), check);
    assert_eq!(kata(json!({"podFixed": {"memory": "320Mi"}})), [""; 0]);
}

const REACH: &str = "who may reach into pods of executions";
const USE: &str = "who may use contexts through *";

#[test]
fn whoever_may_reach_into_pods_where_contexts_are_is_named() {
    let rule = |group: &str, resource: &str, verb: &str| json!([{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]);
    for (group, resource, verb, says) in [
        ("", "pods/exec", "create", "pods/exec"),
        ("", "pods/exec", "get", "pods/exec"),
        ("", "*/exec", "create", "pods/exec"),
        ("", "pods/attach", "create", "pods/attach"),
        ("", "pods/ephemeralcontainers", "patch", "pods/ephemeralcontainers"),
        ("", "pods", "patch", "changes pods"),
        ("", "pods", "create", "creates pods"),
        ("apps", "deployments", "create", "creates workloads"),
        ("batch", "*", "create", "creates workloads"),
        ("*", "pods", "*", "changes pods, creates pods"),
    ] {
        let says = format!("User \"ann\" in data, by RoleBinding given: {says}");
        ails(Cluster::well().allows(&ann(), Some("data"), &rule(group, resource, verb)), REACH, State::Warn, &says);
    }
    // The twins: they may only look, or in a namespace without contexts.
    assert_eq!(Cluster::well().allows(&ann(), Some("data"), &rule("", "pods", "get")).ails(), []);
    assert_eq!(Cluster::well().allows(&ann(), Some("data"), &rule("apps", "pods/exec", "create")).ails(), []);
    assert_eq!(Cluster::well().allows(&ann(), Some("other"), &rule("", "pods/exec", "create")).ails(), []);
    let says = "User \"ann\" everywhere, by ClusterRoleBinding given: pods/exec";
    ails(Cluster::well().allows(&ann(), None, &rule("", "pods/exec", "create")), REACH, State::Warn, says);
    // An execution under a ClusterSecurityContext is reason enough.
    let mut cluster = Cluster::well().allows(&ann(), Some("other"), &rule("", "pods/exec", "create"));
    let running = json!({"metadata": {"name": "x", "namespace": "other"}});
    cluster.list("/apis/security.ccos.dev/v1alpha1/capabilityexecutions", &[running]);
    ails(cluster, REACH, State::Warn, "in other");
}

#[test]
fn use_through_a_wildcard_is_named_and_use_by_name_is_not() {
    let rules = |group: &str, resource: &str, verb: &str| json!([{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]);
    for (group, resource, verb) in [
        ("security.ccos.dev", "securitycontexts", "*"),
        ("security.ccos.dev", "*", "use"),
        ("*", "clustersecuritycontexts", "escalate"),
    ] {
        let cluster = Cluster::well().allows(&ann(), Some("data"), &rules(group, resource, verb));
        ails(cluster, USE, State::Warn, "User \"ann\" in data, by RoleBinding given: `*` on contexts");
    }
    let named = rules("security.ccos.dev", "securitycontexts", "use");
    assert_eq!(Cluster::well().allows(&ann(), Some("data"), &named).ails(), []);
}

/// Groups of the system are marked apart, but for those in which everybody is.
#[test]
fn what_everybody_may_do_fails() {
    let rules = json!([{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]);
    let everybody = json!({"kind": "Group", "name": "system:serviceaccounts:data"});
    let cluster = Cluster::well().allows(&everybody, Some("data"), &rules);
    ails(cluster, &format!("{REACH}: everybody"), State::Fail, "system:serviceaccounts:data");
    let account = json!({"kind": "ServiceAccount", "name": "daemon-set-controller", "namespace": "kube-system"});
    assert_eq!(Cluster::well().allows(&account, None, &rules).ails(), []);
    let account = json!({"kind": "ServiceAccount", "name": "builder", "namespace": "ci"});
    ails(Cluster::well().allows(&account, None, &rules), REACH, State::Warn, "ServiceAccount ci/builder");
    // The operator's own, which makes the pods; not another's of that name.
    let ours = |namespace: &str| json!({"kind": "ServiceAccount", "name": "ccos-controller", "namespace": namespace});
    assert_eq!(Cluster::well().allows(&ours("ccos-system"), None, &rules).ails(), []);
    ails(Cluster::well().allows(&ours("ci"), None, &rules), REACH, State::Warn, "ServiceAccount ci/ccos-controller");
}

#[test]
fn lists_are_bounded() {
    let rules = json!([{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]);
    let many = (0..50).fold(Cluster::well(), |cluster, at| {
        cluster.allows(&json!({"kind": "User", "name": format!("user-{at:02}")}), Some("data"), &rules)
    });
    ails(many, REACH, State::Warn, "\"user-19\" in data, by RoleBinding given: pods/exec; and 30 more");
}

#[test]
fn what_may_not_be_read_is_unknown_never_well() {
    let mut closed = Cluster::well();
    closed.closed.extend([RBAC, "ccos-system", "/nodes", "validatingwebhook"]);
    let ails = closed.ails();
    assert!(
        ails.iter().all(|(_, state, found)| *state == State::Unknown && found.contains("you may not read")),
        "{ails:#?}"
    );
    let checks: Vec<&str> = ails.iter().map(|(check, ..)| check.as_str()).collect();
    let wanted = [
        "validating webhook",
        "receipt keys ccos-system/ccos-receipt-keys",
        "deployment ccos-system/ccos-controller",
        "deployment ccos-system/ccos-webhook",
        "profile",
        REACH,
        USE,
    ];
    assert_eq!(checks, wanted);
    let mut nodes = Cluster::well();
    nodes.closed.insert("/nodes");
    assert_eq!(nodes.ails().iter().map(|(check, ..)| check.as_str()).collect::<Vec<_>>(), ["isolation GVisor"]);
}

/// Names are others' words.
#[test]
fn a_name_does_not_write_on_the_terminal() {
    let rules = json!([{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}]);
    let hostile = json!({"kind": "User", "name": "eve\u{1b}[2J\nok      all is well"});
    let report = Cluster::well().allows(&hostile, Some("data"), &rules).report();
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    print(&report, Format::Text, &mut Streams { out: &mut out, notes: &mut notes }).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("eve") && !text.contains('\u{1b}'), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("ok      all is well")), "{text}");
}
