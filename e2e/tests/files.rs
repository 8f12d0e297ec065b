//! Code sees the files that it was granted, and no others.

use ccos_e2e::{Context, EndReason, Execution, Namespace, Reason, context, execution, namespace};
use serde_json::{Value, json};

/// A context whose volume `/data` has something to read and something to hide.
fn data() -> Context {
    context("analysts").config_map("data", "/data", &[("open", "open"), ("private", "private"), ("other", "other")])
}

/// Runs attacks, each a word and what it is about, and wants these answers.
#[track_caller]
fn answers(ns: &Namespace, execution: Execution, expected: &[(&str, Value)]) {
    let attacks: Vec<&str> = expected.iter().map(|(attack, _)| *attack).collect();
    let ended =
        ns.accepts(execution.python(include_str!("probes/files.py")).set("inputs.attacks", json!(attacks))).completes();
    let found = ended.result();
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(attack, answer)| found[attack] != *answer)
        .map(|(attack, answer)| format!("{attack}: expected {answer}, but found {}", found[attack]))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn code_reads_what_it_requires_and_nothing_else_of_what_its_context_grants() {
    let ns = namespace("reads");
    ns.apply(data().reads("/data/**").reads("/etc/**"));
    answers(
        &ns,
        execution("part").reads("/data/open"),
        &[
            ("open /data/open", json!("open")),
            ("open /data/private", json!("ENOENT")),
            ("open /data/..data/private", json!("ENOENT")),
            // Somebody else's file, in a read-only mount.
            ("write /data/open", json!("EACCES")),
            ("open /etc/debian_version", json!("ENOENT")),
            ("open /etc/shadow", json!("ENOENT")),
        ],
    );
    answers(
        &ns,
        execution("all").reads("/data").reads("/etc"),
        &[
            ("open /data/open", json!("open")),
            ("open /data/private", json!("private")),
            ("write /data/new", json!("EROFS")),
            ("exists /etc", json!("yes")),
        ],
    );
}

#[test]
fn a_glob_shows_what_is_like_it_and_nothing_beside() {
    let ns = namespace("globs");
    ns.apply(data().reads("/data/**").reads("/usr/**").reads("/etc/**"));
    answers(
        &ns,
        execution("like").reads("/data/o*").reads("/usr/share/zoneinfo/Europe/P*").blocks("/data/other"),
        &[
            ("open /data/open", json!("open")),
            ("open /data/private", json!("ENOENT")),
            // Like it, and blocked.
            ("open /data/other", json!("ENOENT")),
            ("open /data/..data/private", json!("ENOENT")),
            ("write /data/new", json!("EROFS")),
        ],
    );
    answers(
        &ns,
        execution("unlike").blocks("/usr/lib/python3*/q?opri.p*"),
        &[
            ("exists /usr/lib/python3.11/pty.py", json!("yes")),
            ("exists /usr/lib/python3.11/quopri.py", json!("ENOENT")),
        ],
    );
    ns.apply(
        data().volume("cache", "/cache", json!({"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})).reads("/**"),
    );
    ns.rejects(execution("changing").reads("/cache/*.csv"))
        .with(Reason::Unenforceable, "requires.permissions.filesystem.read[0]");
}

#[test]
fn nothing_of_the_runner_the_pod_or_the_node_is_in_reach() {
    let ns = namespace("outside");
    ns.apply(context("analysts"));
    ns.kubectl(["create", "secret", "generic", "other", "--from-literal=key=s3cret"]);
    // Another one, with inputs of its own, in the same namespace at the same time.
    let other = ns.accepts(execution("other").sleeps(30).set("inputs.secret", "of another execution"));
    answers(
        &ns,
        execution("curious"),
        &[
            ("list /", json!("dev etc lib lib64 proc run tmp usr")),
            ("list /run", json!("ccos")),
            ("list /run/ccos", json!("input.json")),
            ("open /ccos/profile/profile.json", json!("ENOENT")),
            ("exists /ccos", json!("ENOENT")),
            ("exists /ccos-runner", json!("ENOENT")),
            ("exists /var", json!("ENOENT")),
            ("open /var/run/secrets/kubernetes.io/serviceaccount/token", json!("ENOENT")),
            ("open /run/secrets/kubernetes.io/serviceaccount/token", json!("ENOENT")),
            ("open /dev/termination-log", json!("ENOENT")),
            ("open /etc/shadow", json!("ENOENT")),
            ("exists /sys", json!("ENOENT")),
            ("list /proc/1/root", json!("EACCES")),
            ("open /proc/1/environ", json!("EACCES")),
            ("list /proc/1/fd", json!("EACCES")),
            ("open /proc/self/root/ccos/profile/profile.json", json!("ENOENT")),
            ("open /proc/self/cwd/../../ccos/profile/profile.json", json!("ENOENT")),
            ("write /run/ccos/input.json", json!("EACCES")),
            ("write /new", json!("EROFS")),
            ("write /usr/bin/new", json!("EROFS")),
            ("write /usr/lib/new", json!("EACCES")),
            ("processes", json!(1)),
        ],
    );
    other.desire("Cancelled");
    other.ends(EndReason::Cancelled);
}

#[test]
fn links_lead_out_of_no_view() {
    let ns = namespace("links");
    ns.apply(data().reads("/data/open").writes("/work"));
    answers(
        &ns,
        execution("links").reads("/data/open").writes("/work"),
        &[
            ("link /work/a /etc/shadow", json!("ok")),
            ("open /work/a", json!("ENOENT")),
            ("link /work/b /proc/1/root/etc/shadow", json!("ok")),
            ("open /work/b", json!("EACCES")),
            ("link /work/c ../../../ccos/profile/profile.json", json!("ok")),
            ("open /work/c", json!("ENOENT")),
            ("link /work/d /data/private", json!("ok")),
            ("open /work/d", json!("ENOENT")),
            ("hardlink /work/e /data/open", json!("EXDEV")),
        ],
    );
}

#[test]
fn what_is_blocked_is_out_of_reach_whatever_grants_it() {
    let ns = namespace("blocked");
    ns.apply(data().reads("/data/**"));
    answers(
        &ns,
        execution("blocked").reads("/data").blocks("/data/private"),
        &[
            ("open /data/open", json!("open")),
            ("open /data/private", json!("ENOENT")),
            ("open /data/..data/private", json!("ENOENT")),
        ],
    );
}

#[test]
fn blocked_holds_in_a_writable_volume_too() {
    let ns = namespace("blocked-write");
    let scratch = context("analysts").volume(
        "scratch",
        "/scratch",
        json!({"emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}),
    );
    ns.apply(scratch.reads("/scratch/**").writes("/scratch/**"));
    answers(
        &ns,
        execution("blocked").reads("/scratch").writes("/scratch").blocks("/scratch/private"),
        &[
            ("write /scratch/open", json!("ok")),
            ("open /scratch/open", json!("written")),
            ("write /scratch/private", json!("EACCES")),
            ("write /scratch/private/key", json!("EACCES")),
            ("rename /scratch/private /scratch/moved", json!("EBUSY")),
            ("rename /scratch/open /scratch/private", json!("EISDIR")),
        ],
    );
}

#[test]
fn the_workspace_is_written_and_the_result_is_inline() {
    let ns = namespace("workspace");
    ns.apply(data().reads("/data/**").writes("/workspace/**"));
    let code = "
import os
os.makedirs('/workspace/a/b')
with open('/workspace/a/b/out', 'w') as out: out.write(open('/data/open').read() * 2)
os.rename('/workspace/a/b/out', '/workspace/moved')
print(json.dumps({'read': open('/workspace/moved').read(), 'city': inputs['city'], 'file': json.load(open(os.environ['CCOS_INPUT_FILE']))['city'], 'cwd': os.getcwd()}))
";
    let code = format!("import json\n{code}");
    let run =
        execution("work").reads("/data").writes("/workspace").capability("workingDir", "/workspace").python(&code);
    let ended = ns.accepts(run.set("inputs.city", "Paris")).completes();
    assert_eq!(*ended.result(), json!({"read": "openopen", "city": "Paris", "file": "Paris", "cwd": "/workspace"}));
    assert_eq!(ended.attempt()["exitCode"], 0);
    let file =
        "import json, os\njson.dump({'by': 'file'}, open(os.environ['CCOS_RESULT_FILE'], 'w')); print('a log line')";
    assert_eq!(*ns.accepts(execution("file").python(file)).completes().result(), json!({"by": "file"}));
}

#[test]
fn nothing_that_is_writable_is_executable() {
    let ns = namespace("noexec");
    ns.apply(context("analysts").writes("/workspace/**").commands("/usr/bin/python3").processes());
    answers(
        &ns,
        execution("denied").writes("/workspace").processes().limit("disk", "16Mi").limit("memory", "96Mi"),
        &[
            ("copy-exec /workspace/x", json!("EACCES")),
            ("copy-exec /tmp/x", json!("EACCES")),
            ("copy-exec /dev/shm/x", json!("EACCES")),
            ("map-exec /workspace/x", json!("EPERM")),
            ("memfd-exec", json!("EPERM")),
            ("exec /usr/bin/python3", json!("started")),
        ],
    );
}

#[test]
fn a_program_that_is_not_listed_does_not_execute() {
    let ns = namespace("commands");
    ns.apply(context("analysts").reads("/usr/bin").commands("/usr/bin/**").processes());
    let sees = |name: &str| execution(name).reads("/usr/bin").processes();
    answers(
        &ns,
        sees("unlisted"),
        &[("exists /usr/bin/py3clean", json!("yes")), ("exec /usr/bin/py3clean", json!("EACCES"))],
    );
    let listed = sees("listed").commands("/usr/bin/py3clean").commands("/usr/bin/python3");
    answers(&ns, listed, &[("exec /usr/bin/py3clean", json!("started"))]);
    ns.apply(context("analysts").processes());
    ns.rejects(execution("denied").commands("/usr/bin/py3clean"))
        .with(Reason::CommandDenied, "requires.permissions.system.commands[0]");
}

#[test]
fn fork_is_refused_where_processes_are_denied_and_works_where_they_are_allowed() {
    let ns = namespace("fork");
    ns.apply(context("analysts").processes().commands("/usr/bin/python3"));
    answers(
        &ns,
        execution("denied"),
        &[("fork", json!("EPERM")), ("exec /usr/bin/python3", json!("EPERM")), ("thread", json!("ok"))],
    );
    answers(&ns, execution("allowed").processes(), &[("fork", json!("ok")), ("thread", json!("ok"))]);
}

#[test]
fn privileges_are_out_of_reach() {
    let ns = namespace("privileges");
    ns.apply(context("analysts").processes());
    answers(
        &ns,
        execution("privileges").processes(),
        &[
            ("uid", json!(1000)),
            ("capabilities", json!("0000000000000000")),
            ("no-new-privileges", json!("1")),
            ("setuid", json!("EINVAL")),
            ("unshare", json!("EPERM")),
            ("mount", json!("EPERM")),
            ("chroot", json!("EPERM")),
            ("ptrace", json!("EPERM")),
            ("kernel-log", json!("EPERM")),
            ("kill 1", json!("EPERM")),
            ("raw-socket", json!("EAFNOSUPPORT")),
        ],
    );
}

#[test]
fn the_environment_is_exactly_what_was_given() {
    let ns = namespace("environment");
    ns.apply(context("analysts").environment("APP_*"));
    let code = "import json, os\nprint(json.dumps(dict(os.environ)))";
    let ended = ns.accepts(execution("environment").python(code).variable("APP_MODE", "fast")).completes();
    assert_eq!(
        *ended.result(),
        json!({
            "APP_MODE": "fast",
            "CCOS_INPUT_FILE": "/run/ccos/input.json",
            "CCOS_RESULT_FILE": "/tmp/ccos-result.json",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        })
    );
}

#[test]
fn python_works() {
    let ns = namespace("python");
    ns.apply(context("analysts"));
    let code = "
import csv, ctypes, hashlib, json, sqlite3, ssl, statistics, tempfile, threading, time, zoneinfo
t = threading.Thread(target=lambda: None); t.start(); t.join()
with tempfile.TemporaryFile() as f: f.write(b'x')
db = sqlite3.connect(':memory:'); one = db.execute('select 1').fetchone()[0]
print(json.dumps([one, statistics.median([1, 3]), hashlib.sha256(b'').hexdigest()[:8]]))
";
    assert_eq!(*ns.accepts(execution("python").python(code)).completes().result(), json!([1, 2, "e3b0c442"]));
}

#[test]
fn it_runs_in_gvisor_and_every_restriction_is_proven() {
    let ns = namespace("proven");
    ns.apply(context("analysts"));
    let code = "import json, os\nprint(json.dumps(os.uname().release + ' ' + os.uname().nodename))";
    let ended = ns.accepts(execution("proven").python(code)).completes();
    assert!(ended.result().as_str().unwrap().starts_with("4.19.0-gvisor"), "{}", ended.result());
    let enforcement = ended.object["status"]["enforcement"].as_array().unwrap();
    let fields: Vec<&str> = enforcement.iter().map(|one| one["field"].as_str().unwrap()).collect();
    for field in
        ["permissions.filesystem", "permissions.network", "permissions.system.processCreation", "limits.threads"]
    {
        assert!(fields.contains(&field), "{fields:?}");
    }
    assert!(enforcement.iter().all(|one| one["proven"] == "True"), "{enforcement:#?}");
    assert_eq!(ended.condition("Isolated")["reason"], "Proven");
    assert_eq!(ended.object["status"]["decision"]["isolation"], "GVisor");
}
