//! Limits hold, and the end says which one it was.

use std::time::Duration;

use ccos_e2e::{EndReason, context, execution, namespace};
use serde_json::json;

const MIB: u64 = 1 << 20;

#[test]
fn wall_time_ends_the_whole_tree() {
    let ns = namespace("wall-time");
    ns.apply(context("analysts").processes().commands("/bin/**"));
    let script = "/bin/sleep 60 & /bin/sleep 60";
    let sleeps = execution("late").shell(script).processes().commands("/bin/sleep").commands("/bin/busybox");
    let ended = ns.accepts(sleeps.limit("wallTime", "2s")).ends(EndReason::WallTimeExceeded);
    let wall = ended.time("wallTime");
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&wall), "{wall:?}");
    ns.accepts(execution("in-time").sleeps(1).limit("wallTime", "10s")).completes();
}

#[test]
fn cpu_time_is_counted_and_ends_it() {
    let ns = namespace("cpu-time");
    ns.apply(context("analysts"));
    let spin = |seconds: f64| {
        format!(
            "import json, time\nuntil = time.process_time() + {seconds}\nwhile time.process_time() < until: pass\nprint(1)"
        )
    };
    let ended =
        ns.accepts(execution("spins").python(&spin(30.0)).limit("cpuTime", "2s")).ends(EndReason::CPUTimeExceeded);
    let cpu = ended.time("cpuTime");
    assert!((Duration::from_millis(1900)..Duration::from_secs(4)).contains(&cpu), "{cpu:?}");
    let ended = ns.accepts(execution("computes").python(&spin(0.5)).limit("cpuTime", "20s")).completes();
    let (cpu, wall) = (ended.time("cpuTime"), ended.time("wallTime"));
    // gVisor's own count, by which the code spins, runs ahead under a quota; what is told is bounded by it.
    assert!((Duration::from_millis(150)..Duration::from_secs(10)).contains(&cpu), "{cpu:?} of {wall:?}");
}

#[test]
fn memory_ends_it() {
    let ns = namespace("memory");
    ns.apply(context("analysts"));
    let eat =
        |mib: u32| format!("x = bytearray({mib} << 20)\nfor at in range(0, len(x), 4096): x[at] = 1\nprint(len(x))");
    ns.accepts(execution("eats").python(&eat(300)).limit("memory", "64Mi")).ends(EndReason::MemoryExceeded);
    let ended = ns.accepts(execution("nibbles").python(&eat(20)).limit("memory", "64Mi")).completes();
    let peak = ended.bytes("peakMemory");
    assert!((20 * MIB..64 * MIB).contains(&peak), "{peak}");
}

#[test]
fn disk_is_one_sum_over_all_that_is_writable() {
    let ns = namespace("disk");
    ns.apply(context("analysts").writes("/workspace/**"));
    let fill = "
import errno, json
written = 0
try:
    for folder in '/tmp', '/dev/shm', '/workspace':
        with open(folder + '/fill', 'wb', buffering=0) as file:
            for _ in range(inputs['each']):
                written += file.write(bytes(1 << 16))
    print(json.dumps([written, 'ok']))
except OSError as error:
    print(json.dumps([written, errno.errorcode[error.errno]]))
    if inputs['fail']: raise
";
    let fills = |name: &str, each: u32, fail: bool| {
        let writes = execution(name).writes("/workspace").limit("disk", "4Mi").python(fill);
        ns.accepts(writes.set("inputs.each", each).set("inputs.fail", fail))
    };
    let fits = fills("fits", 16, true).completes();
    assert_eq!(*fits.result(), json!([3 * MIB, "ok"]));
    assert!((3 * MIB..=4 * MIB).contains(&fits.bytes("diskWritten")), "{}", fits.bytes("diskWritten"));
    let told = fills("told", 64, false).completes();
    assert_eq!(told.result()[1], "ENOSPC");
    assert!((3 * MIB..=4 * MIB).contains(&told.result()[0].as_u64().unwrap()), "{}", told.result());
    fills("full", 64, true).ends(EndReason::DiskExceeded);
}

#[test]
fn descriptors_and_threads_are_counted() {
    let ns = namespace("counted");
    ns.apply(context("analysts"));
    let code = "
import errno, json, os, threading
files, threads, hold = [], [], threading.Event()
try:
    while True: threads.append(threading.Thread(target=hold.wait)); threads[-1].start()
except RuntimeError as error: why = str(error)
hold.set()
try:
    while True: files.append(os.open('/dev/null', os.O_RDONLY))
except OSError as error: print(json.dumps([files[-1], errno.errorcode[error.errno], len(threads) - 1, why]))
";
    let ended =
        ns.accepts(execution("counts").python(code).limit("fileDescriptors", 32).limit("threads", 5)).completes();
    assert_eq!(*ended.result(), json!([31, "EMFILE", 4, "can't start new thread"]));
}

#[test]
fn a_fork_bomb_stays_in_its_pod() {
    let ns = namespace("bomb");
    ns.apply(context("analysts").processes());
    let code = "
import os
while True:
    try: os.fork()
    except OSError: pass
";
    let bomb =
        execution("bomb").python(code).processes().limit("threads", 16).limit("cpuTime", "30s").limit("wallTime", "4s");
    ns.accepts(bomb).ends(EndReason::WallTimeExceeded);
}

#[test]
fn the_end_says_what_the_code_did() {
    let ns = namespace("ends");
    ns.apply(context("analysts"));
    let flood = "import sys\nfor _ in range(12): sys.stdout.write('x' * (1 << 20))";
    let large = "import json\nprint(json.dumps('x' * (1 << 20)))";
    let cases = [
        (
            execution("exits").shell("echo broken >&2; exit 7"),
            EndReason::NonZeroExit,
            "exit status 7; standard error ends with \"broken\"",
        ),
        (execution("signaled").shell("kill -SEGV $$"), EndReason::Signaled, "ended by signal 11"),
        (
            execution("text").shell("echo hello"),
            EndReason::InvalidResult,
            "standard output: expected JSON, but found \"hello",
        ),
        (
            execution("large").python(large),
            EndReason::ResultTooLarge,
            "expected at most 1048576 bytes of JSON, but found more than is read",
        ),
        (execution("floods").python(flood), EndReason::OutputTooLarge, "but found more"),
        (execution("silent").runs(&["/bin/true"]), EndReason::Completed, ""),
    ];
    let running: Vec<_> = cases.into_iter().map(|(one, end, message)| (ns.accepts(one), end, message)).collect();
    for (one, end, message) in running {
        let ended = one.ends(end);
        assert!(ended.message().contains(message), "{}: {}", one.name(), ended.message());
        assert_eq!(ended.condition("Finished")["reason"], end.as_str());
        assert_eq!(ended.attempt()["reason"], end.as_str());
        let code = match end {
            EndReason::NonZeroExit => json!(7),
            EndReason::Signaled => json!(null),
            _ => continue,
        };
        assert_eq!(ended.attempt()["exitCode"], code);
    }
}

#[test]
fn a_limit_that_is_absent_is_the_levels() {
    let ns = namespace("absent");
    ns.apply(context("analysts").set("level", "Sandboxed"));
    let code = "import json, resource as r\nprint(json.dumps([r.getrlimit(r.RLIMIT_NOFILE)[0], r.getrlimit(r.RLIMIT_CORE)[1]]))";
    let bare = execution("bare").python(code).capability("requires", json!({}));
    assert_eq!(*ns.accepts(bare).completes().result(), json!([128, 1]), "no core, and no handler of cores");
    let pods = ns.list("pods");
    let limits = &pods[0]["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(limits["cpu"], "500m", "{limits}");
    // 128Mi of the level, and 16Mi of the runner.
    assert_eq!(limits["memory"], (144 * MIB).to_string(), "{limits}");
}
