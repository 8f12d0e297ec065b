//! What admission adds to a create, beside a ValidatingAdmissionPolicy with the same rules, and what a webhook holds in memory.

use std::time::{Duration, Instant};

use ccos_e2e::api::{Api, path};
use ccos_e2e::fixture::{Fixture as _, yaml};
use ccos_e2e::{Namespace, context, execution, kubectl, namespace, until};
use serde_json::{Value, json};

use crate::{millis, percentile};

/// Requests of each kind in a round; the first of a round are not counted.
const REQUESTS: usize = 125;
const WARM_UP: usize = 25;
const ROUNDS: usize = 4;
/// Fifty a second.
const PACE: Duration = Duration::from_millis(20);

/// How many contexts the webhooks keep in memory.
const CONTEXTS: usize = 5000;

/// A group whose kind has the schema of ours, and no webhook.
const PEER: &str = "bench.ccos.dev";
/// The label of namespaces where the policy holds.
const POLICED: &str = "bench.ccos.dev/policed";

/// What one admission costs, then the memory of many contexts.
pub(crate) fn measure() {
    let (ours, open, policed) = (namespace("bench"), namespace("bench-open"), namespace("bench-policed"));
    let _peer = Peer::install();
    kubectl(["label", "namespace", &policed.name, &format!("{POLICED}=true")]).succeeds();
    for ns in [&ours, &open, &policed] {
        ns.apply(grants());
    }
    ours.apply(provider());
    let admitted = asks("/data/3/in.csv");
    let denied = asks("/data/3/private/in.csv");
    // It holds some seconds after it was made.
    until("the policy refuses", 60, || (create(&policed, PEER, &denied).1 == 422).then_some(()));

    let mut kinds = [
        Kind::new("the kind alone: schema, no admission", &open, PEER, &admitted, 201),
        Kind::new("a ValidatingAdmissionPolicy with these rules, admitted", &policed, PEER, &admitted, 201),
        Kind::new("a ValidatingAdmissionPolicy with these rules, denied", &policed, PEER, &denied, 422),
        Kind::new("ccos, admitted: two webhooks, one SubjectAccessReview, a receipt", &ours, "", &admitted, 201),
        Kind::new("ccos, denied, with each reason", &ours, "", &denied, 403),
    ];
    for _ in 0..ROUNDS {
        kinds.iter_mut().for_each(Kind::round);
    }
    println!(
        "\n| dry-run create, 50 a second, {} of each in {ROUNDS} turns | p50 | p99 |\n|---|---|---|",
        kinds[0].times.len()
    );
    for kind in &mut kinds {
        kind.times.sort_unstable();
        println!(
            "| {} | {} | {} |",
            kind.what,
            millis(percentile(&kind.times, 50)),
            millis(percentile(&kind.times, 99))
        );
    }
    for percent in [50, 99] {
        let of = |kind: &Kind| percentile(&kind.times, percent).as_secs_f64() * 1000.0;
        let [base, peer, mine] = [of(&kinds[0]), of(&kinds[1]), of(&kinds[3])];
        println!(
            "\nAdded to the p{percent} of an admitted create: {:.1} ms by ccos, {:.1} ms by the policy; {:.2} of the whole.",
            mine - base,
            peer - base,
            mine / peer
        );
    }
    memory(&ours);
}

/// Ten lists' worth of what a team would grant.
fn grants() -> impl ccos_e2e::fixture::Fixture {
    let mut context = context("analysts").capacity(4).blocks("/data/3/private/**").commands("/app/run");
    for number in 0..10 {
        context = context.reads(&format!("/data/{number}/**")).writes(&format!("/workspace/{number}/**"));
    }
    context.environment("LANG").set("limits", json!({"memory": "512Mi", "cpu": "500m", "wallTime": "5m"}))
}

fn provider() -> impl ccos_e2e::fixture::Fixture {
    let requires = needs("/data/3");
    ccos_e2e::provider("tools").capability("requires", requires)
}

fn needs(read: &str) -> Value {
    json!({
        "permissions": {
            "filesystem": {"read": [read, "/data/5/**"], "write": ["/workspace/1/**"]},
            "environment": {"read": ["LANG"]},
        },
        "limits": {"memory": "64Mi", "cpu": "100m"},
    })
}

/// An execution that says itself what it needs: a policy of the API server sees no other object but its parameter.
fn asks(read: &str) -> Value {
    let mut object = execution("bench").of("CapabilityProvider", "tools").object().clone();
    object["spec"]["requires"] = needs(read);
    object
}

struct Kind<'a> {
    what: &'static str,
    namespace: &'a Namespace,
    group: &'static str,
    object: &'a Value,
    code: u16,
    times: Vec<Duration>,
}

impl<'a> Kind<'a> {
    fn new(what: &'static str, namespace: &'a Namespace, group: &'static str, object: &'a Value, code: u16) -> Self {
        Self { what, namespace, group, object, code, times: Vec::new() }
    }

    /// Over one connection that is kept open, at an even pace.
    fn round(&mut self) {
        let api = Api::new();
        let mut next = Instant::now();
        for number in 0..REQUESTS {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next += PACE;
            let start = Instant::now();
            let code = create_with(&api, self.namespace, self.group, self.object);
            let took = start.elapsed();
            assert_eq!(code, self.code, "{}", self.what);
            if number >= WARM_UP {
                self.times.push(took);
            }
        }
    }
}

fn create(namespace: &Namespace, group: &str, object: &Value) -> (Api, u16) {
    let api = Api::new();
    let code = create_with(&api, namespace, group, object);
    (api, code)
}

fn create_with(api: &Api, namespace: &Namespace, group: &str, object: &Value) -> u16 {
    let mut path = path("CapabilityExecution", &namespace.name);
    let mut object = object.clone();
    if !group.is_empty() {
        path = path.replace("security.ccos.dev", group);
        object["apiVersion"] = json!(format!("{group}/v1alpha1"));
    }
    api.create(&format!("{path}?dryRun=All"), &object, None).code
}

/// The peer: our schema under another group, and the rules in CEL; both go with it.
struct Peer;

impl Peer {
    fn install() -> Self {
        let mut crd = kubectl(["get", "crd", "capabilityexecutions.security.ccos.dev"]).json();
        crd["metadata"] = json!({"name": format!("capabilityexecutions.{PEER}")});
        crd["spec"]["group"] = json!(PEER);
        crd["spec"]["names"] = json!({
            "kind": "CapabilityExecution", "plural": "capabilityexecutions", "singular": "capabilityexecution",
        });
        crd.as_object_mut().unwrap().remove("status");
        apply(&crd);
        let name = format!("crd/capabilityexecutions.{PEER}");
        kubectl(["wait", "--for=condition=Established", &name, "--timeout=30s"]).succeeds();
        apply(&policy());
        apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": PEER},
            "spec": {
                "policyName": PEER, "validationActions": ["Deny"],
                "paramRef": {"name": "analysts", "parameterNotFoundAction": "Deny"},
                "matchResources": {"namespaceSelector": {"matchLabels": {POLICED: "true"}}},
            },
        }));
        Self
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            let _ = kubectl(["delete", kind, PEER]).run();
        }
        let _ = kubectl(["delete", "crd", &format!("capabilityexecutions.{PEER}")]).run();
    }
}

/// The same rules, as far as the API server's language can say them: literal paths and a trailing `/**`, blocked ones, names,
/// limits, and the right to use the context.
fn policy() -> Value {
    let below = |one: &str, other: &str| format!("({one} == {other} || {one}.startsWith({other} + '/'))");
    let base = |path: &str| format!("({path}.endsWith('/**') ? {path}.substring(0, size({path}) - 3) : {path})");
    let list = |of: &str, field: &str| format!("{of}.?filesystem.?{field}.orValue([])");
    let paths = |field: &str| {
        format!(
            "{needs}.all(n, {grants}.exists(g, {inside}) && !{blocked}.exists(b, {meets} || {met}))",
            needs = list("variables.needs", field),
            grants = list("variables.grants", field),
            blocked = list("variables.grants", "blocked"),
            inside = below(&base("n"), &base("g")),
            meets = below(&base("n"), &base("b")),
            met = below(&base("b"), &base("n")),
        )
    };
    let limit = |name: &str| {
        format!(
            "!has(object.spec.requires.limits.{name}) || !has(params.spec.limits) || !has(params.spec.limits.{name}) || \
             quantity(object.spec.requires.limits.{name}).compareTo(quantity(params.spec.limits.{name})) <= 0"
        )
    };
    let names = "variables.needs.?environment.?read.orValue([]).all(n, \
                 variables.grants.?environment.?read.orValue([]).exists(g, n == g))";
    let uses = "authorizer.group('security.ccos.dev').resource('securitycontexts').namespace(request.namespace)\
                .name('analysts').check('use').allowed()";
    let rules = [paths("read"), paths("write"), names.to_owned(), limit("memory"), limit("cpu"), uses.to_owned()];
    let rules: Vec<Value> = rules.iter().map(|rule| json!({"expression": rule})).collect();
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": PEER},
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": {"apiVersion": "security.ccos.dev/v1alpha1", "kind": "SecurityContext"},
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [PEER], "apiVersions": ["v1alpha1"], "operations": ["CREATE"],
                "resources": ["capabilityexecutions"],
            }]},
            "variables": [
                {"name": "needs", "expression": "object.spec.requires.permissions"},
                {"name": "grants", "expression": "params.spec.permissions"},
            ],
            "validations": rules,
        },
    })
}

fn apply(object: &Value) {
    kubectl(["apply", "-f", "-"]).input(yaml(object)).succeeds();
}

/// Resident memory of each webhook, read on this machine, without and with many contexts.
fn memory(ns: &Namespace) {
    let before = resident();
    if before.is_empty() {
        println!("\nMemory of the webhooks: not measured, they do not run on this machine.");
        return;
    }
    let api = Api::new();
    let path = path("SecurityContext", &ns.name);
    for number in 0..CONTEXTS {
        let mut object = grants().object().clone();
        object["metadata"]["name"] = json!(format!("bench-{number}"));
        let answer = api.create(&path, &object, None);
        assert_eq!(answer.code, 201, "{:#}", answer.body);
    }
    println!("\n| resident memory of a webhook | greatest |\n|---|---|");
    println!("| as installed | {} MiB |", greatest(&before));
    println!("| with {CONTEXTS} contexts of 24 patterns | {} MiB |", greatest(&resident()));
}

fn greatest(kib: &[u64]) -> u64 {
    kib.iter().max().copied().unwrap_or_default().div_ceil(1024)
}

/// Of each process of this name, in KiB.
fn resident() -> Vec<u64> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let status = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
    let webhooks = status.filter(|text| text.lines().next() == Some("Name:\tccos-webhook"));
    let sizes = webhooks.filter_map(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.to_owned();
        line.split_whitespace().next()?.parse().ok()
    });
    sizes.collect()
}
