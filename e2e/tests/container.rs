//! Isolation Container: what Landlock, filters and limits hold in a container of the node's own kernel. The same attacks, and
//! each mechanism taken out so that they succeed, are in `operator/runner/tests/runc.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use ccos_e2e::{Context, EndReason, Execution, Namespace, Reason, context, execution, namespace};
use serde_json::json;

const MIB: u64 = 1 << 20;

/// A context whose volume `/data` has something to read and something to hide.
fn data() -> Context {
    context("analysts").config_map("data", "/data", &[("open", "open"), ("private", "private")])
}

fn contained(name: &str) -> Execution {
    execution(name).set("isolation", "Container")
}

/// Runs the attacks; none may be answered otherwise.
#[track_caller]
fn holds(ns: &Namespace, execution: Execution, attacks: &[(&str, &str)]) {
    let ended = ns.accepts(execution.attacks(attacks)).completes();
    assert_eq!(*ended.result(), json!({"as expected": attacks.len()}));
}

#[test]
fn a_glob_grants_what_is_like_it_and_nothing_beside() {
    let ns = namespace("contained-globs");
    ns.apply(data().reads("/data/**").reads("/etc/**"));
    holds(
        &ns,
        contained("like").reads("/data/o*").reads("/etc/*i*"),
        &[
            ("open:/data/open", "open"),
            ("open:/data/private", "EACCES"),
            ("open:/etc/visible", "image"),
            ("open:/etc/shadow", "EACCES"),
            // Like it by its name, and leads out.
            ("open:/etc/alias", "EACCES"),
        ],
    );
    ns.rejects(contained("unlike").reads("/data").blocks("/data/p*"))
        .with(Reason::Unenforceable, "requires.permissions.filesystem.blocked[0]");
}

/// A mount follows the image's links, and a volume has what its writers put there: what knew the way could lie on the runner.
#[test]
fn nobody_who_makes_an_image_or_a_volume_knows_the_way_to_the_runner() {
    let ns = namespace("contained-place");
    ns.apply(context("analysts"));
    for running in ["one", "two"].map(|name| ns.accepts(contained(name))) {
        running.completes();
    }
    let places: BTreeSet<String> = ns
        .list("pods")
        .iter()
        .map(|pod| pod["spec"]["containers"][0]["command"][0].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(places.len(), 2, "{places:?}");
    for place in &places {
        let unknown = place.strip_prefix("/ccos-").and_then(|rest| rest.split('/').next()).unwrap();
        assert!(unknown.len() == 32 && place.matches('/').count() > 9, "{place}");
    }
    // Deeper than the runner, it would be mounted after it.
    let map = json!({"configMap": {"name": "any"}});
    let deep = context("deep").volume("deep", "/way/to/a/place/that/is/deeper/than/the/runner", map);
    ns.rejects(deep).invalid("spec.volumes[0].mountPath").saying("expected at most 8 segments");
}

/// A right on a folder is one on all that is mounted below it.
#[test]
fn a_link_of_the_image_moves_no_volume_below_another_right() {
    let ns = namespace("contained-moved");
    let files = [("open", "open"), ("private", "private")];
    ns.apply(context("analysts").config_map("data", "/moved", &files).reads("/moved/**"));
    let attack = [("open:/usr/lib/moved/private", "EACCES")];
    let ended = ns.accepts(contained("moved").reads("/moved/open").attacks(&attack)).ends(EndReason::ConfinementFailed);
    assert!(ended.message().contains("/moved: expected something mounted there"), "{}", ended.message());
    // In a view it is where it belongs.
    let ended = ns.accepts(execution("viewed").reads("/moved/open").attacks(&[
        ("open:/usr/lib/moved/private", "ENOENT"),
        ("open:/moved/private", "ENOENT"),
        ("open:/moved/open", "open"),
    ]));
    assert_eq!(*ended.completes().result(), json!({"as expected": 3}));
}

#[test]
fn nothing_but_what_is_granted_is_in_reach() {
    let ns = namespace("contained");
    ns.apply(data().reads("/data/**").reads("/etc/**"));
    ns.kubectl(["create", "secret", "generic", "other", "--from-literal=key=s3cret"]);
    holds(
        &ns,
        contained("files").reads("/data/open"),
        &[
            ("open:/data/open", "open"),
            ("open:/data/private", "EACCES"),
            ("open:/data/..data/private", "EACCES"),
            ("open:/data/../etc/shadow", "EACCES"),
            ("list:/data", "EACCES"),
            ("list:/", "EACCES"),
            ("list:/etc", "EACCES"),
            ("list:/app", "EACCES"),
            ("list:/dev", "EACCES"),
            ("list:/sys", "EACCES"),
            ("open:/etc/alias", "EACCES"),
            ("open:/etc/shadow", "EACCES"),
            ("open:/etc/visible", "EACCES"),
            ("list:/etc/escape", "EACCES"),
            ("open:/secret", "EACCES"),
            ("open:/app/other", "EACCES"),
            ("list:/ccos", "EACCES"),
            ("open:/ccos/profile/profile.json", "EACCES"),
            ("open:/proc/1/exe", "EACCES"),
            ("open:/dev/termination-log", "EACCES"),
            ("open-write:/dev/termination-log", "EACCES"),
            ("open:/var/run/secrets/kubernetes.io/serviceaccount/token", "ENOENT"),
            ("open:/run/secrets/kubernetes.io/serviceaccount/token", "ENOENT"),
            ("open:/proc/self/root/etc/shadow", "EACCES"),
            ("open:/proc/self/cwd/etc/shadow", "EACCES"),
            ("open:/proc/self/fd/0", "{}"),
            ("descriptors", "[0,1,2]"),
            ("environment", r#"["CCOS_INPUT_FILE","CCOS_RESULT_FILE","HOME","LANG","PATH"]"#),
            ("open:/run/ccos/input.json", "{}"),
            ("list:/run/ccos", "EACCES"),
            ("open-write:/run/ccos/input.json", "EACCES"),
            ("write:/run/ccos/new", "EACCES"),
            ("write:/x", "EROFS"),
            ("open-write:/data/open", "EACCES"),
            ("open:/etc/passwd", "root:x:0:0:root:"),
            ("write:/tmp/x", "ok"),
            ("write:/dev/shm/x", "ok"),
            ("hardlink:/tmp/way>/etc/shadow", "EXDEV"),
            ("symlink:/tmp/link>/etc/shadow", "ok"),
            ("open:/tmp/link", "EACCES"),
            ("symlink:/tmp/root>/proc/1/root/etc/shadow", "ok"),
            ("open:/tmp/root", "EACCES"),
            ("chmod:/etc/shadow", "EROFS"),
            ("attribute:/tmp/x", "ENOSYS"),
        ],
    );
    holds(
        &ns,
        contained("runner"),
        &[
            ("open:/proc/1/environ", "EACCES"),
            ("open:/proc/1/mem", "EACCES"),
            ("open:/proc/1/maps", "EACCES"),
            ("list:/proc/1/fd", "EACCES"),
            ("list:/proc/1/root", "EACCES"),
            ("list:/proc/1/cwd", "EACCES"),
            ("open:/proc/1/root/ccos/profile/profile.json", "EACCES"),
            ("open-write:/proc/1/oom_score_adj", "EACCES"),
            ("open-write:/proc/self/oom_score_adj", "EACCES"),
            ("init:environ", "EACCES"),
            ("init:fd", "EACCES"),
            ("init:root", "EACCES"),
            ("init:kill", "EPERM"),
            ("init:limit", "EPERM"),
            ("init:nice", "EPERM"),
            ("init:trace", "EPERM"),
            ("kill:1,9", "EPERM"),
            ("kill:1,15", "EPERM"),
            ("kill:-1,9", "ok"),                  // of all that it may reach, which is nobody
            ("syscall:302,1,7,0,0", "EPERM"),     // prlimit64
            ("syscall:434,1,0", "EPERM"),         // pidfd_open
            ("syscall:101,16902,1,0,0", "EPERM"), // ptrace
            ("syscall:310,1", "EPERM"),           // process_vm_readv
            ("syscall:438,3,0,0", "EPERM"),       // pidfd_getfd
            ("syscall:72,1,8,1", "EPERM"),        // fcntl F_SETOWN
            ("fork", "EPERM"),
            ("vfork", "EPERM"),
            ("clone3", "ENOSYS"),
            ("thread", "ok"),
            ("memfd", "EPERM"),
        ],
    );
}

#[test]
fn there_is_no_network_no_shared_memory_and_no_way_out() {
    let ns = namespace("contained-calls");
    ns.apply(context("analysts").processes());
    holds(
        &ns,
        contained("calls").processes(),
        &[
            ("connect:10.96.0.1:443", "EAFNOSUPPORT"),
            ("connect:127.0.0.1:80", "EAFNOSUPPORT"),
            ("send:10.96.0.10:53", "EAFNOSUPPORT"),
            ("abstract:anyone", "EAFNOSUPPORT"),
            ("socket:1,1,0", "EAFNOSUPPORT"),  // Unix
            ("socket:2,1,0", "EAFNOSUPPORT"),  // IPv4
            ("socket:10,2,0", "EAFNOSUPPORT"), // IPv6
            ("socket:16,3,0", "EAFNOSUPPORT"), // netlink
            ("socket:17,3,0", "EAFNOSUPPORT"), // packets
            ("socket:38,5,0", "EAFNOSUPPORT"), // kernel cryptography
            ("socketpair:1", "ok"),
            ("socketpair:2", "EAFNOSUPPORT"),
            ("syscall:29,7,4096,896", "EPERM"),  // shmget
            ("syscall:64,7,1,896", "EPERM"),     // semget
            ("syscall:68,7,896", "EPERM"),       // msgget
            ("syscall:240,0,66,384,0", "EPERM"), // mq_open
            ("syscall:272,268435456", "EPERM"),  // unshare
            ("syscall:56,268435473", "EPERM"),   // clone CLONE_NEWUSER
            ("syscall:308,0", "EPERM"),          // setns
            ("syscall:165,0", "EPERM"),          // mount
            ("syscall:161,0", "EPERM"),          // chroot
            ("syscall:428,0", "EPERM"),          // open_tree
            ("syscall:304,0", "EPERM"),          // open_by_handle_at
            ("syscall:425,8", "EPERM"),          // io_uring_setup
            ("syscall:321,0", "EPERM"),          // bpf
            ("syscall:298,0", "EPERM"),          // perf_event_open
            ("syscall:323,0", "EPERM"),          // userfaultfd
            ("syscall:250,0", "EPERM"),          // keyctl
            ("syscall:322,0,0,0,0,0", "EPERM"),  // execveat
            ("child:open:/etc/shadow", "EACCES"),
            ("child:child:memfd", "EPERM"),
            ("child:kill:1,15", "EPERM"),
            ("in-thread:open:/etc/shadow", "EACCES"),
            ("fork", "ok"),
        ],
    );
}

#[test]
fn what_is_written_is_not_executed_and_only_listed_programs_are() {
    let ns = namespace("contained-exec");
    let scratch =
        context("analysts").volume("shared", "/shared", json!({"emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}));
    ns.apply(scratch.reads("/shared/**").writes("/shared/**").writes("/work/**").commands("/app/*").processes());
    let writes = contained("writes").reads("/shared").writes("/shared").writes("/work").limit("disk", "32Mi");
    holds(
        &ns,
        writes.commands("/app/other").processes().limit("memory", "128Mi"),
        &[
            ("spawn:/app/other", "exit status: 0"),
            ("spawn:/proc/1/exe", "EACCES"),
            ("write:/work/new", "ok"),
            ("open:/work/new", "written by the w"),
            ("mkdir:/work/a", "ok"),
            ("rename:/work/new>/work/a/new", "ok"),
            ("rename:/work/a/new>/tmp/new", "EXDEV"),
            ("write:/shared/new", "ok"),
            ("mkdir:/shared/a", "ok"),
            ("rename:/shared/new>/shared/a/new", "ok"),
            ("hardlink:/shared/again>/shared/a/new", "ok"),
            ("copy:/tmp/copy", "ok"),
            ("exec:/tmp/copy", "EACCES"),
            ("copy:/work/copy", "ok"),
            ("exec:/work/copy", "EACCES"),
            ("copy:/shared/copy", "ok"),
            ("exec:/shared/copy", "EACCES"),
            ("child:fork", "ok"),
        ],
    );
}

#[test]
fn python_works_without_a_place_to_write() {
    let ns = namespace("contained-python");
    ns.apply(data().reads("/data/**").writes("/work/**"));
    let code = "
import csv, hashlib, json, os, sqlite3, statistics, threading, zoneinfo
t = threading.Thread(target=lambda: None); t.start(); t.join()
one = sqlite3.connect(':memory:').execute('select 1').fetchone()[0]
def tries(path):
    try: open(path, 'w')
    except OSError as error: return error.errno
print(json.dumps([one, statistics.median([1, 3]), open('/data/open').read(), os.listdir('/data'), inputs['city'],
    tries('/tmp/x'), tries('/dev/shm/x'), os.uname().release.startswith('4.19.0-gvisor')]))
";
    let run = contained("python").reads("/data").python(code).set("inputs.city", "Paris");
    let ended = ns.accepts(run).completes();
    let listed = json!(["private", "open", "..data"]);
    let found = ended.result();
    assert_eq!(found[3].as_array().unwrap().iter().filter(|name| listed.as_array().unwrap().contains(name)).count(), 3);
    assert_eq!(
        json!([found[0], found[1], found[2], found[4], found[5], found[6], found[7]]),
        json!([1, 2, "open", "Paris", 13, 13, false])
    );

    let enforcement = ended.object["status"]["enforcement"].as_array().unwrap();
    let held: Vec<String> = enforcement
        .iter()
        .map(|one| {
            format!(
                "{} {} {}",
                one["field"].as_str().unwrap(),
                one["mechanism"].as_str().unwrap(),
                one["proven"].as_str().unwrap()
            )
        })
        .collect();
    for line in [
        "permissions.filesystem Landlock True",
        "permissions.network seccomp, Landlock True",
        "limits.threads RLIMIT_NPROC, user namespace True",
        "limits.disk sized tmpfs True",
    ] {
        assert!(held.iter().any(|held| held == line), "{held:#?}");
    }
    assert_eq!(ended.condition("Isolated")["reason"], "Proven");
    assert_eq!(ended.object["status"]["decision"]["isolation"], "Container");

    // Its loader would run what it wrote.
    let ended = ns.accepts(contained("writes").writes("/work").python("pass")).ends(EndReason::ConfinementFailed);
    assert!(ended.message().contains("/usr/bin/python3"), "{}", ended.message());
    assert!(ended.message().contains("use isolation GVisor"), "{}", ended.message());
}

#[test]
fn what_landlock_cannot_hold_is_refused_and_names_gvisor() {
    let ns = namespace("contained-refused");
    let shared = data().volume("shared", "/shared", json!({"emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}));
    ns.apply(shared.reads("/**").writes("/shared/**").writes("/work/**").commands("/usr/**"));
    for (name, one, field) in [
        ("blocked", contained("blocked").reads("/data").blocks("/data/private"), "filesystem.blocked[0]"),
        ("root", contained("root").reads("/"), "filesystem.read[0]"),
        ("part", contained("part").reads("/shared").writes("/shared/part"), "filesystem.write[0]"),
        ("loader", contained("loader").writes("/work").commands("/usr/bin/**"), "filesystem.write[0]"),
    ] {
        let refused = ns.rejects(one);
        refused.with(Reason::Unenforceable, &format!("requires.permissions.{field}"));
        let twin = execution(&format!("{name}-in-gvisor")).reads("/data").blocks("/data/private");
        ns.accepts(twin).completes();
    }
}

#[test]
fn each_limit_ends_it_with_its_reason() {
    let ns = namespace("contained-limits");
    ns.apply(context("analysts").writes("/work/**").processes().commands("/app/attack"));
    let attack = |name: &str, attacks: &[(&str, &str)]| contained(name).attacks(attacks);
    let full =
        attack("disk", &[("fill:/tmp,/dev/shm,/work", "4194304"), ("fill:/tmp", "0"), ("exit:3", "")]).writes("/work");
    let cases = [
        (attack("wall", &[("sleep:60000", "")]).limit("wallTime", "2s"), EndReason::WallTimeExceeded),
        (
            attack("tree", &[("daemon", "ok"), ("sleep:60000", "")]).processes().limit("wallTime", "2s"),
            EndReason::WallTimeExceeded,
        ),
        (attack("cpu", &[("spin:60000", "")]).limit("cpuTime", "1s").limit("cpu", "500m"), EndReason::CPUTimeExceeded),
        (full, EndReason::DiskExceeded),
        (attack("output", &[("flood", "")]).limit("cpu", "500m"), EndReason::OutputTooLarge),
        (attack("memory", &[("eat:200", "")]).limit("memory", "48Mi"), EndReason::MemoryExceeded),
        (
            attack("bomb", &[("bomb", ""), ("sleep:60000", "")])
                .processes()
                .limit("threads", 12)
                .limit("wallTime", "3s"),
            EndReason::WallTimeExceeded,
        ),
        (
            attack("counts", &[("files", "31 then EMFILE"), ("threads", "4 then EAGAIN")])
                .limit("fileDescriptors", 32)
                .limit("threads", 5),
            EndReason::Completed,
        ),
    ];
    let running: Vec<_> = cases.into_iter().map(|(one, end)| (ns.accepts(one), end)).collect();
    for (one, end) in running {
        let ended = one.ends(end);
        match one.name() {
            "counts" => assert_eq!(*ended.result(), json!({"as expected": 2})),
            "wall" => assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&ended.time("wallTime"))),
            "cpu" => {
                let used = ended.time("cpuTime");
                assert!((Duration::from_millis(900)..Duration::from_millis(1600)).contains(&used), "{used:?}");
            }
            "disk" => assert_eq!(ended.bytes("diskWritten"), 4 * MIB),
            _ => {}
        }
    }
}

#[test]
fn its_pod_is_restricted_and_has_users_of_its_own() {
    let ns = namespace("contained-pod");
    // Of the namespace, as of every test's: Pod Security `restricted` is enforced.
    ns.apply(context("analysts"));
    ns.accepts(contained("sleeps").attacks(&[("sleep:1000", "ok")])).completes();
    let pods = ns.list("pods");
    let spec = &pods[0]["spec"];
    assert_eq!(spec["hostUsers"], false, "{spec:#}");
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["runtimeClassName"], json!(null));
}

/// They are in no sum over processes: not seen while they live, and nobody hears of their end.
#[test]
fn cpu_time_of_children_that_nobody_waits_for_is_counted() {
    let ns = namespace("contained-orphans");
    ns.apply(context("analysts").processes());
    let works = contained("orphans").processes().limit("cpu", "500m").limit("cpuTime", "4s").limit("wallTime", "60s");
    let ended = ns.accepts(works.attacks(&[("orphans:200", "ok")])).ends(EndReason::CPUTimeExceeded);
    let cpu = ended.time("cpuTime");
    assert!((Duration::from_secs(4)..Duration::from_secs(6)).contains(&cpu), "{cpu:?}");
}
