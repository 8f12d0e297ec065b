//! The same attacks in a pod of an execution, where each is refused, and in a plain pod of the same shape, where each succeeds: the
//! same image, volumes, user, runtime and Pod Security, and no runner. A pod for each shape and isolation.
//!
//! What no plain pod can do is not here, though the filters refuse it too: see `container.rs`, `files.rs` and the lanes of
//! `operator/runner/tests`, which leave out one mechanism at a time.

use std::net::TcpListener;

use ccos_e2e::fixture::pod;
use ccos_e2e::{Context, Execution, Namespace, cluster, context, execution, namespace};
use serde_json::{Value, json};

/// Nothing may be written, nothing started, nothing connected to; `/data/open` and `/shared` are read.
const READS: &[&str] = &[
    // Files of volumes, of the image, of the node's kernel.
    "open:/data/private",
    "open:/data/..data/private",
    "open:/data/../etc/shadow",
    "open:/vault/key",
    "open:/vault/..data/key",
    "list:/vault",
    "open:/etc/shadow",
    "open:/etc/visible",
    "open:/etc/alias",
    "open:/etc/hostname",
    "open:/secret",
    "open:/app/other",
    "open:/proc/self/root/etc/shadow",
    "open:/proc/self/cwd/etc/shadow",
    "open:/proc/self/root/proc/self/root/secret",
    "list:/sys",
    "list:/sys/class",
    "list:/sys/devices",
    "list:/sys/fs",
    "list:/sys/kernel",
    // What a pod is given.
    "open:/var/run/secrets/kubernetes.io/serviceaccount/token",
    "open:/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
    "open:/var/run/secrets/kubernetes.io/serviceaccount/namespace",
    "list:/var/run/secrets",
    "variable:KUBERNETES_SERVICE_HOST",
    "variable:KUBERNETES_SERVICE_PORT_HTTPS",
    "variable:KUBERNETES_PORT",
    "variable:HOSTNAME",
    "open:/dev/termination-log",
    "open-write:/dev/termination-log",
    // Process 1, which is of the same user.
    "open:/proc/1/environ",
    "open:/proc/1/maps",
    "list:/proc/1/fd",
    "list:/proc/1/root",
    "list:/proc/1/cwd",
    "list:/proc/1/task/1/fd",
    "open:/proc/1/root/etc/shadow",
    "init:environ",
    "init:fd",
    "init:root",
    "init:limit",
    "kill:1,0",
    "kill:1,18",
    "syscall:302,1,7,0,0", // prlimit64
    "syscall:234,1,1,0",   // tgkill
    "syscall:200,1,0",     // tkill
    "syscall:72,1,8,1",    // fcntl F_SETOWN
    "syscall:72,1,10,9",   // fcntl F_SETSIG
    "syscall:310,1,0,0,0", // process_vm_readv
    "syscall:311,1,0,0,0", // process_vm_writev
    // A volume that is read.
    "write:/shared/new",
    "mkdir:/shared/folder",
    "fifo:/shared/pipe",
    "symlink:/shared/link>/etc/shadow",
    // Processes.
    "fork",
    "spawn:/app/other",
    "spawn:/app/attack",
    // The network.
    "connect:10.96.0.1:443",    // the API server
    "connect:10.245.0.2:6443",  // the same, at the node's address
    "connect:10.245.0.2:10250", // the kubelet
    "connect:10.96.0.10:53",
    "connect:OUTSIDE",
    "connect:kubernetes.default.svc.cluster.local:443",
    "send:10.96.0.10:53",
    "send:10.245.0.11:53",
    "send:8.8.8.8:53",
    "send:169.254.169.254:80",
    "resolve:kubernetes.default.svc.cluster.local",
    "resolve:kube-dns.kube-system.svc.cluster.local",
    "resolve:world-a.test",
];

/// `/work` and `/shared` are written, processes are allowed, and no program but the command is.
const WRITES: &[&str] = &[
    "child:exec:/tmp/copy",
    "child:exec:/work/copy",
    "child:exec:/shared/copy",
    "child:exec:/work/again",
    "child:exec:/work/link",
    "child:exec:/proc/self/root/work/copy",
    "child:exec:/proc/self/cwd/tmp/copy",
    "child:memfd",
    "spawn:/app/other",
    "spawn:/work/copy",
    "child:open:/etc/shadow",
    "child:open:/secret",
    "child:child:open:/etc/shadow",
    "child:open:/data/private",
    "in-thread:open:/etc/shadow",
    "in-thread:open:/vault/key",
    "in-thread:connect:10.96.0.1:443",
    "child:connect:10.96.0.1:443",
    "child:kill:1,0",
    "child:open:/proc/1/environ",
    "child:list:/proc/1/fd",
    "open:/work/shadow",
    "open:/shared/shadow",
];

/// What has to be there for these.
const SET_UP: &[&str] = &[
    "copy:/tmp/copy",
    "copy:/dev/shm/copy",
    "copy:/work/copy",
    "copy:/shared/copy",
    "hardlink:/work/again>/work/copy",
    "symlink:/work/link>/work/copy",
    "symlink:/work/shadow>/etc/shadow",
    "symlink:/shared/shadow>/proc/1/root/etc/shadow",
];

/// In GVisor alone: a node's kernel refuses a plain pod namespaces, containerd mounts its /dev/shm without execution, and
/// Landlock can't take a part out of a tree.
const NAMESPACES: &[&str] = &[
    "child:exec:/dev/shm/copy",
    "child:syscall:272,268435456",  // unshare CLONE_NEWUSER
    "child:syscall:272,268566528",  // and CLONE_NEWNS
    "child:syscall:272,1342177280", // and CLONE_NEWNET
    "child:syscall:272,402653184",  // and CLONE_NEWIPC
    "child:syscall:272,335544320",  // and CLONE_NEWUTS
    "child:syscall:272,805306368",  // and CLONE_NEWPID
];
const BLOCKED: &[&str] = &[
    "open:/data/private",
    "open:/data/..data/private",
    "write:/shared/private",
    "open:/shared/private",
    "rename:/shared/private>/shared/moved",
];

/// In Container alone: in GVisor a view and namespaces of one's own have an empty one of these.
const IN_THE_POD: &[&str] = &[
    "list:/",
    "list:/data",
    "list:/etc",
    "list:/app",
    "list:/dev",
    "socket:1,1,0", // Unix
    "socket:1,2,0",
    "socket:2,1,0", // IPv4
    "socket:2,2,0",
    "socket:10,1,0", // IPv6
    "socket:16,3,0", // netlink
    "socketpair:2",  // datagrams
    "listen:0.0.0.0:8080",
    "bind:0.0.0.0:5353",
    "init:nice",
    "open:/proc/1/mem",      // of which gVisor shows nobody another's
    "syscall:434,1,0",       // pidfd_open
    "syscall:141,0,1,19",    // setpriority of process 1
    "syscall:251,1,1,24583", // ioprio_set of process 1
    "syscall:135,8",         // personality
    "syscall:29,7,4096,896", // shmget
    "syscall:64,7,1,896",    // semget
    "syscall:68,7,896",      // msgget
];

/// A shape of pod, and what is tried in it.
struct Shape {
    name: &'static str,
    attacks: Vec<&'static str>,
    set_up: &'static [&'static str],
    held: fn(Execution) -> Execution,
}

fn shapes(isolation: &str) -> Vec<Shape> {
    let reads = |one: Execution| one.reads("/data/open").reads("/shared");
    let writes = |one: Execution| {
        one.reads("/shared")
            .writes("/shared")
            .writes("/work")
            .processes()
            .limit("disk", "48Mi")
            .limit("memory", "128Mi")
    };
    let blocked = |one: Execution| {
        let one = one.reads("/data").reads("/shared").writes("/shared").limit("disk", "32Mi").limit("memory", "128Mi");
        one.blocks("/data/private").blocks("/shared/private")
    };
    let shape =
        |name, attacks: &[&[&'static str]], set_up, held| Shape { name, attacks: attacks.concat(), set_up, held };
    if isolation == "GVisor" {
        vec![
            shape("reads", &[READS], &[], reads),
            shape("writes", &[WRITES, NAMESPACES], SET_UP, writes),
            shape("blocked", &[BLOCKED], &[], blocked),
        ]
    } else {
        vec![shape("reads", &[READS, IN_THE_POD], &[], reads), shape("writes", &[WRITES], SET_UP, writes)]
    }
}

fn count(isolation: &str) -> usize {
    shapes(isolation).iter().map(|shape| shape.attacks.len()).sum()
}

fn grants() -> Context {
    let shared = json!({"emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}});
    context("analysts")
        .config_map("data", "/data", &[("open", "open"), ("private", "private")])
        .volume("vault", "/vault", json!({"secret": {"secretName": "vault"}}))
        .volume("shared", "/shared", shared)
        .reads("/data/**")
        .reads("/shared/**")
        .writes("/shared/**")
        .writes("/work/**")
        .commands("/app/*")
        .processes()
}

/// A plain pod of the same shape, as Pod Security `restricted` allows it.
fn plain(name: &str, isolation: &str, arguments: &[String]) -> Value {
    let command: Vec<&str> =
        ["/app/attack", "--in-child"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let mut pod = pod(name, &cluster::image("CCOS_ATTACK_IMAGE"), &command, &[]);
    let spec = &mut pod["spec"];
    spec["automountServiceAccountToken"] = json!(true);
    spec["securityContext"]["fsGroup"] = json!(1000);
    if isolation == "GVisor" {
        spec["runtimeClassName"] = json!("gvisor");
    } else {
        spec["hostUsers"] = json!(false);
    }
    let memory = json!({"medium": "Memory", "sizeLimit": "16Mi"});
    spec["volumes"] = json!([
        {"name": "data", "configMap": {"name": "data"}},
        {"name": "vault", "secret": {"secretName": "vault"}},
        {"name": "shared", "emptyDir": memory},
        {"name": "work", "emptyDir": memory},
        {"name": "tmp", "emptyDir": memory},
    ]);
    let mounts =
        ["data", "vault", "shared", "work", "tmp"].map(|name| json!({"name": name, "mountPath": format!("/{name}")}));
    spec["containers"][0]["volumeMounts"] = json!(mounts);
    spec["containers"][0]["resources"]["limits"]["memory"] = json!("160Mi");
    pod
}

/// Each attack of each shape succeeds in a plain pod, and is refused in an execution.
fn refused(ns: &Namespace, isolation: &str) {
    let outside = TcpListener::bind("10.245.0.11:0").unwrap();
    let outside = outside.local_addr().unwrap().to_string();
    ns.kubectl(["create", "secret", "generic", "vault", "--from-literal=key=s3cret"]);
    ns.apply(grants());
    let expect = |shape: &Shape, answer: &str| -> Vec<String> {
        let set_up = shape.set_up.iter().map(|step| format!("{step} = ok"));
        let attacks = shape.attacks.iter().map(|attack| format!("{} = {answer}", attack.replace("OUTSIDE", &outside)));
        // A command has at most 64 arguments.
        let all: Vec<String> = set_up.chain(attacks).collect();
        ["--only-others".to_owned()].into_iter().chain(all.chunks(8).map(|some| some.join(" ; "))).collect()
    };
    let shapes = shapes(isolation);
    for shape in &shapes {
        ns.apply(plain(&format!("plain-{}", shape.name), isolation, &expect(shape, "succeeds")));
    }
    let running: Vec<_> = shapes
        .iter()
        .map(|shape| {
            let command: Vec<String> = ["/app/attack".to_owned()].into_iter().chain(expect(shape, "refused")).collect();
            let one = execution(shape.name)
                .provider("source.image.reference", cluster::image("CCOS_ATTACK_IMAGE"))
                .capability("command", json!(command))
                .set("isolation", isolation);
            ns.accepts((shape.held)(one))
        })
        .collect();
    for (shape, held) in shapes.iter().zip(running) {
        let all = json!({"as expected": shape.set_up.len() + shape.attacks.len()});
        let pod = format!("plain-{}", shape.name);
        ns.kubectl(["wait", "--for=jsonpath={.status.phase}=Succeeded", &format!("pod/{pod}"), "--timeout=90s"]);
        let plain: Value = serde_json::from_str(&ns.kubectl(["logs", &pod])).unwrap();
        assert_eq!(plain, all, "in a plain pod, {}", shape.name);
        assert_eq!(held.completes().result(), &all, "in an execution, {}", shape.name);
    }
}

#[test]
fn what_a_plain_pod_can_do_an_execution_in_gvisor_can_not() {
    refused(&namespace("attacks-gvisor"), "GVisor");
}

#[test]
fn what_a_plain_pod_can_do_an_execution_in_a_container_can_not() {
    refused(&namespace("attacks-container"), "Container");
}

/// The page counts what is here.
#[test]
fn the_threat_model_counts_them() {
    let page = std::fs::read_to_string(cluster::root().join("docs/threat-model.md")).unwrap();
    for isolation in ["GVisor", "Container"] {
        let count = count(isolation);
        assert!(count >= 80, "{isolation}: {count}");
        let row = format!("| `{isolation}` | {count} |");
        assert!(page.contains(&row), "docs/threat-model.md has no row {row:?}");
    }
}
