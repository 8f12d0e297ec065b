//! Attacks from inside, in a container of the machine's kernel, as the pod would run it: uid 1000 of a user namespace, no
//! capabilities, no new privileges, read-only root. Run by `tests/runc.sh`. An attack that must fail has a twin that
//! succeeds, without the mechanism where there is one to leave out (`CCOS_SABOTAGE`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers"
)]

mod beside;
mod pod;

use ccos_profile::{End, mechanism};
use serde_json::{Value, json};

use pod::{Pod, Run, missed, missed_attack, missed_proof};

/// Runs the attacks and compares all answers.
fn answers(pod: Pod, expected: &[(&str, Value)]) -> Run {
    let attacks: Vec<&str> = expected.iter().map(|(attack, _)| *attack).collect();
    let run = pod.attack(&attacks).run();
    assert_eq!(run.report.end, End::Completed, "{run:#?}");
    let found = run.report.result.clone().unwrap_or_default();
    let different: Vec<_> = expected.iter().filter(|(attack, answer)| found.get(attack) != Some(answer)).collect();
    assert!(different.is_empty(), "{different:#?}: {found:#}");
    run
}

macro_rules! tests {
    ($($(#[$attribute:meta])* $name:ident $body:block)*) => {
        $($(#[$attribute])* #[test] #[ignore = "needs runc and root: tests/runc.sh"] fn $name() $body)*
    };
}

tests! {
    nothing_but_the_grants_is_in_reach {
        let pod = Pod::contained("outside").volume("data", "/data").read(&["/data/open", "/etc/alias"]);
        let run = answers(pod, &[
            ("open:/data/open", json!("open")),
            ("open:/etc/alias", json!("image")), // a link of the image, followed
            ("open:/data/private/key", json!("EACCES")),
            ("open:/data/link", json!("EACCES")),
            ("open:/data/../etc/shadow", json!("EACCES")),
            ("list:/data", json!("EACCES")),
            ("list:/", json!("EACCES")),
            ("list:/etc", json!("EACCES")),
            ("list:/app", json!("EACCES")),
            ("list:/dev", json!("EACCES")),
            ("open:/etc/shadow", json!("EACCES")),
            ("open:/etc/escape", json!("EACCES")),
            ("open:/ccos/profile/profile.json", json!("EACCES")),
            ("open:/ccos-00112233445566778899aabbccddeeff/deeper/than/any/volume/of/a/context/is/ccos-runner", json!("EACCES")),
            ("list:/ccos/references/0", json!("EACCES")),
            ("open:/ccos/references/0/key", json!("EACCES")),
            ("open:/dev/termination-log", json!("EACCES")),
            ("open-write:/dev/termination-log", json!("EACCES")),
            ("open:/proc/self/root/etc/shadow", json!("EACCES")),
            ("open:/proc/self/cwd/etc/shadow", json!("EACCES")),
            ("open:/proc/self/fd/0", json!("{\"city\":\"Paris\"}")),
            ("descriptors", json!([0, 1, 2])),
            ("environment", json!(["CCOS_INPUT_FILE", "CCOS_RESULT_FILE", "HOME", "LANG", "PATH"])),
            ("stdin", json!("{\"city\":\"Paris\"}")),
            ("open:/run/ccos/input.json", json!("{\"city\":\"Paris\"}")),
            ("list:/run/ccos", json!("EACCES")),
            ("open-write:/run/ccos/input.json", json!("EACCES")),
            ("write:/run/ccos/new", json!("EACCES")),
            ("remove:/run/ccos/input.json", json!("ENOTDIR")),
            ("write:/x", json!("EROFS")),
            ("open-write:/data/open", json!("EROFS")),
            ("truncate:/data/open", json!("EROFS")),
            ("chmod:/data/open", json!("EROFS")),
            ("open:/etc/passwd", json!("ccos:x:1000:1000")),
            ("write:/tmp/x", json!("ok")),
            ("write:/dev/shm/x", json!("ok")),
            ("hardlink:/tmp/way>/data/open", json!("EXDEV")),
            ("symlink:/tmp/link>/etc/shadow", json!("ok")),
            ("open:/tmp/link", json!("EACCES")),
            ("symlink:/tmp/root>/proc/1/root/etc/shadow", json!("ok")),
            ("open:/tmp/root", json!("EACCES")),
        ]);
        assert_eq!(run.code, 0);
    }

    a_glob_grants_what_is_like_it_and_nothing_beside {
        let pod = Pod::contained("globs").globs("read", &["/etc/*i*", "/app/o*"]).globs("programs", &["/app/t*"]);
        answers(pod.creates_processes(), &[
            ("open:/etc/visible", json!("image")),
            ("open:/etc/shadow", json!("EACCES")), // does not match, beside one that does
            ("open:/etc/alias", json!("EACCES")), // matches by its name, and points out
            ("list:/etc", json!("EACCES")),
            ("spawn:/app/third", json!("exit status: 0")),
            ("spawn:/app/other", json!("EACCES")),
        ]);
        let run = Pod::contained("globs-many").many(1000).globs("read", &["/many/*"]);
        answers(run, &[("open:/many/999", json!("999"))]);
    }

    the_runner_is_out_of_reach {
        answers(Pod::contained("runner").creates_processes(), &[
            ("open:/proc/1/environ", json!("EACCES")),
            ("open:/proc/1/mem", json!("EACCES")),
            ("open:/proc/1/maps", json!("EACCES")),
            ("list:/proc/1/fd", json!("EACCES")),
            ("list:/proc/1/root", json!("EACCES")),
            ("list:/proc/1/cwd", json!("EACCES")),
            ("list:/proc/1/task/1/fd", json!("EACCES")),
            ("open:/proc/1/exe", json!("EACCES")),
            ("open-write:/proc/1/oom_score_adj", json!("EACCES")),
            ("open-write:/proc/1/timerslack_ns", json!("EACCES")),
            ("init:environ", json!("EACCES")),
            ("init:fd", json!("EACCES")),
            ("init:root", json!("EACCES")),
            ("init:kill", json!("EPERM")),
            ("init:limit", json!("EPERM")),
            ("init:nice", json!("EPERM")),
            ("init:trace", json!("EPERM")),
            ("kill:1,9", json!("EPERM")),
            ("kill:1,15", json!("EPERM")),
            ("kill:1,0", json!("EPERM")),
            ("kill:-1,9", json!("ok")), // of all that it may reach, which is nobody: the run goes on
            ("syscall:302,1,7,0,0", json!("EPERM")),  // prlimit64
            ("syscall:203,1,8,0", json!("EPERM")),    // sched_setaffinity
            ("syscall:434,1,0", json!("EPERM")),      // pidfd_open
            ("syscall:141,2,1000,19", json!("EPERM")), // setpriority of the user
            ("syscall:141,1,0,19", json!("EPERM")),   // and of a group
            ("syscall:251,3,1000,24583", json!("EPERM")), // ioprio_set of the user
            ("syscall:101,16902,1,0,0", json!("EPERM")), // ptrace PTRACE_SEIZE
            ("syscall:310,1", json!("EPERM")),        // process_vm_readv
            ("syscall:311,1", json!("EPERM")),        // process_vm_writev
            ("syscall:438,3,0,0", json!("EPERM")),    // pidfd_getfd
            ("syscall:312,1,1,0,0,0", json!("EPERM")), // kcmp
            ("syscall:72,1,8,1", json!("EPERM")),     // fcntl F_SETOWN
            ("syscall:16,1,35073,0", json!("EPERM")), // ioctl FIOSETOWN
            ("fork", json!("ok")),
        ]);
    }

    a_link_of_the_image_moves_no_volume_below_another_right {
        let pod = || Pod::contained("linked").linked().volume("data", "/data").read(&["/data/open"]);
        let run = pod().attack(&["started"]).run();
        assert_eq!(run.report.end, End::ConfinementFailed, "{run:#?}");
        assert!(run.report.message.starts_with("/data: expected something mounted there"), "{}", run.report.message);
        // Every program reads its libraries, with all that is below them.
        answers(pod().sabotage("places"), &[
            ("open:/usr/lib/data/private/key", json!("private")),
            ("open:/data/private/key", json!("private")),
        ]);
    }

    what_the_node_counts_for_all_is_out_of_reach {
        answers(Pod::contained("node").read(&["/app"]), &[
            ("watches:1", json!("ENOSYS")),
            ("syscall:253", json!("ENOSYS")), // inotify_init
            ("watch:/ccos", json!("ENOSYS")),
            ("watch:/app", json!("ENOSYS")),
            ("requests:1", json!("ENOSYS")),
        ]);
    }

    a_name_that_is_no_text_ends_nothing {
        let pod = Pod::contained("name").attack(&["rename-itself", "spin:700"]).run();
        assert_eq!(pod.report.end, End::Completed, "{pod:#?}");
        assert!(pod.report.usage.is_some_and(|usage| usage.cpu_time_millis >= 100), "{pod:#?}");
    }

    every_field_is_proven {
        let run = Pod::contained("proven").attack(&["started"]).run();
        let fields: Vec<_> = run.report.proven.iter().map(|proof| format!("{} {}", proof.field, proof.mechanism)).collect();
        assert_eq!(fields, [
            "permissions.filesystem Landlock", "permissions.system.commands Landlock, seccomp",
            "permissions.network seccomp, Landlock", "permissions.system.processCreation seccomp",
            "permissions.environment built from nothing", "permissions.ipc seccomp, Landlock",
            "limits.fileDescriptors RLIMIT_NOFILE", "limits.threads RLIMIT_NPROC, user namespace",
            "limits.cpuTime RLIMIT_CPU, sum", "limits.disk sized tmpfs", "limits.wallTime timer, pid 1",
        ], "{run:#?}");
    }

    /// Without a mechanism the proof names it, and the workload does not start.
    sabotage_is_proven {
        for (without, probe) in [
            ("landlock", "open /ccos/profile/profile.json: expected a refusal, but it got through"),
            ("filters", "proof of permissions.filesystem: Seccomp"),
            ("limits", "proof of limits."),
            ("hide", "open /proc/1/fd: expected a refusal, but it got through"),
        ] {
            let run = Pod::contained("sabotage").sabotage(without).attack(&["started"]).run();
            assert_eq!(run.report.end, End::ConfinementFailed, "{without}: {run:#?}");
            assert!(run.report.message.contains(probe), "{without}: {}", run.report.message);
            assert_eq!((run.report.usage, run.code), (None, 1));
        }
        let run = Pod::contained("oversized").oversized().attack(&["started"]).run();
        assert!(run.report.message.contains("scratch space is at most what is granted"), "{}", run.report.message);
    }

    attacks_succeed_without_their_mechanism {
        for (without, attack, expected) in [
            ("landlock", "open:/ccos/profile/profile.json", "{\\\"command"),
            ("landlock", "open:/etc/shadow", "image"),
            ("landlock", "exec:/tmp/copy", "started"),
            ("landlock", "write:/run/ccos/new", "ok"),
            ("hide", "list:/proc/1/fd", "[\"0\""),
            ("filters", "memfd", "started"),
            ("filters", "fork", "ok"),
            ("filters", "socket:2,2,0", "ok"),
            ("filters", "init:limit", "ok"),
            ("filters", "watches:16", "16"),
            ("filters", "watch:/ccos", "ok"),
            ("filters", "requests:64", "ok"),
            ("filters", "syscall:29,7,4096,896", "shared"), // shmget, a number
            ("limits", "files", "then"),
        ] {
            let pod = Pod::contained("without").unproven().sabotage(without);
            let run = pod.attack(&["copy:/tmp/copy", attack]).run();
            let result = run.report.result.clone().unwrap_or_default();
            let text = result.to_string();
            match expected {
                "shared" => assert!(result[attack].is_number(), "{without}, {attack}: {run:#?}"),
                "then" => assert!(!text.contains("\"63 then"), "{without}, {attack}: {run:#?}"),
                expected => assert!(text.contains(expected), "{without}, {attack}: {run:#?}"),
            }
        }
    }

    /// One that is added to the table has to be missed here as well.
    every_mechanism_of_the_table_is_missed {
        let pod = || Pod::contained("missed").networked();
        let small = || Pod::contained("small").limit("diskBytes", 1 << 20);
        let filters = "proof of permissions.filesystem: Seccomp";
        for mechanism in mechanism::ALL.iter().copied() {
            match mechanism {
                mechanism::OUTBOUND => beside::without_the_network_policy(),
                // What is refused at admission.
                mechanism::INBOUND => assert_eq!(mechanism.by_landlock, "not held"),
                mechanism::FILES => missed(pod, "landlock", "open /ccos/profile/profile.json", "open:/etc/shadow", |_, found| found == "image"),
                mechanism::NETWORK => missed(pod, "filters", filters, "socket:2,2,0", |_, found| found == "ok"),
                mechanism::COMMANDS => missed(pod, "landlock", "open /ccos/profile/profile.json", "exec:/tmp/copy", |run, _| run.report.result == Some(json!({"started": "ok"}))),
                mechanism::PROCESSES => missed(pod, "processes", "proof of permissions.system.processCreation", "fork", |_, found| found == "ok"),
                mechanism::ENVIRONMENT => missed(pod, "environment", "proof of permissions.environment", "variable:POD_SECRET", |_, found| found == "x"),
                mechanism::IPC => missed(pod, "filters", filters, "syscall:29,7,4096,896", |_, found| found.parse::<u64>().is_ok()),
                mechanism::DISK => {
                    let run = small().oversized().attack(&["started"]).run();
                    assert!(run.report.message.contains("proof of limits.disk"), "{run:#?}");
                    missed_attack(small().oversized(), "proof", "fill:/tmp", |_, found| found.parse::<u64>().unwrap() > 1 << 20);
                }
                mechanism::DESCRIPTORS => missed(pod, "descriptors", "proof of limits.fileDescriptors", "files", |_, found| found == "1023 then EMFILE"),
                mechanism::THREADS => missed(|| pod().limit("threads", 5), "threads", "proof of limits.threads", "threads", |_, found| found != "4 then EAGAIN"),
                mechanism::CPU_TIME => missed(|| pod().limit("cpuTimeMillis", 600), "cpu-time", "proof of limits.cpuTime", "spin:3000", |run, _| run.report.end == End::Completed),
                mechanism::WALL_TIME => {
                    missed_proof(pod().behind_a_shell(), "none", "expected to be process 1 of the pod's namespace");
                    missed_attack(pod().limit("wallTimeMillis", 1000), "timer", "sleep:2500", |run, _| run.report.end == End::Completed);
                }
                other => panic!("{other:?}: nothing shows that an attack succeeds without it"),
            }
        }
    }

    a_written_volume_is_written_and_nothing_beside_it {
        let pod = Pod::contained("volume").volume("data", "/data").read(&["/data"]).write(&["/data"]);
        let run = answers(pod, &[
            ("open:/data/private/key", json!("private")),
            ("write:/data/new", json!("ok")),
            ("rename:/data/new>/data/nested/newer", json!("ok")),
            ("hardlink:/data/again>/data/nested/newer", json!("ok")),
            ("rename:/data/open>/tmp/open", json!("EXDEV")),
            ("mkdir:/data/folder", json!("ok")),
            ("symlink:/data/way>/etc/shadow", json!("ok")),
            ("open:/data/way", json!("EACCES")),
            ("fifo:/data/fifo", json!("ok")),
            ("syscall:133,0", json!("Bad address (os error 14)")), // mknod
            ("attribute:/data/new", json!("ENOSYS")),
            ("copy:/data/program", json!("ok")),
            ("exec:/data/program", json!("EACCES")),
        ]);
        assert_eq!(run.data("nested/newer"), Some("written by the workload".to_owned()));
    }

    scratch_space_is_where_it_is_granted {
        answers(Pod::contained("scratch").write(&["/work", "/tmp/sub"]), &[
            ("write:/work/new", json!("ok")),
            ("open:/work/new", json!("written by the w")),
            ("mkdir:/work/a", json!("ok")),
            ("rename:/work/new>/work/a/new", json!("ok")),
            ("write:/tmp/sub/new", json!("ok")),
            ("write:/workspace", json!("EROFS")),
            ("remove:/work/a", json!("ok")),
        ]);
    }

    only_listed_programs_execute {
        let pod = Pod::contained("exec").read(&["/app"]).write(&["/work"]).programs(&["/app/other"]).creates_processes();
        answers(pod, &[
            ("spawn:/app/other", json!("exit status: 0")),
            ("spawn:/app/third", json!("EACCES")),
            ("spawn:/ccos-00112233445566778899aabbccddeeff/deeper/than/any/volume/of/a/context/is/ccos-runner", json!("EACCES")),
            ("spawn:/bin/busybox", json!("EACCES")),
            ("copy:/tmp/copy", json!("ok")),
            ("copy:/dev/shm/copy", json!("ok")),
            ("copy:/work/copy", json!("ok")),
            ("exec:/tmp/copy", json!("EACCES")),
            ("exec:/dev/shm/copy", json!("EACCES")),
            ("exec:/work/copy", json!("EACCES")),
            ("hardlink:/work/again>/work/copy", json!("ok")),
            ("exec:/work/again", json!("EACCES")),
            ("exec:/proc/self/root/tmp/copy", json!("EACCES")),
            ("memfd", json!("EPERM")),
            ("syscall:322,0,0,0,0,0", json!("EPERM")), // execveat
        ]);
    }

    processes_are_denied_and_threads_are_not {
        answers(Pod::contained("fork"), &[
            ("fork", json!("EPERM")),
            ("vfork", json!("EPERM")),
            ("spawn:/app/attack", json!("EPERM")),
            ("clone3", json!("ENOSYS")),
            ("thread", json!("ok")),
        ]);
    }

    there_are_no_sockets_but_pairs {
        let mut expected = vec![
            ("connect:10.96.0.1:443", json!("EAFNOSUPPORT")),
            ("connect:127.0.0.1:80", json!("EAFNOSUPPORT")),
            ("send:10.96.0.10:53", json!("EAFNOSUPPORT")),
            ("loopback", json!("EAFNOSUPPORT")),
            ("abstract:anyone", json!("EAFNOSUPPORT")),
            ("socketpair:1", json!("ok")),
            ("socketpair:524289", json!("ok")), // close on exec
            ("socketpair:5", json!("ok")),
            ("socketpair:2", json!("EAFNOSUPPORT")),
            ("socketpair:3", json!("EAFNOSUPPORT")),
            ("socketpair:2050", json!("EAFNOSUPPORT")), // datagrams, not blocking
        ];
        // Unix, both kinds of IP, netlink, packets, kernel cryptography, Bluetooth, VSOCK, XDP, and one that is none.
        let families = [1, 2, 10, 16, 17, 38, 31, 40, 44, 99].map(|family| format!("socket:{family},1,0"));
        let datagrams = [1, 2, 10, 16].map(|family| format!("socket:{family},2,0"));
        expected.extend(families.iter().chain(&datagrams).map(|attack| (attack.as_str(), json!("EAFNOSUPPORT"))));
        answers(Pod::contained("network").networked(), &expected);
    }

    sockets_of_others_are_out_of_reach {
        let pod = || Pod::contained("sockets").volume("data", "/data").read(&["/data"]).write(&["/data"]).neighbour();
        answers(pod(), &[
            ("connect-path:/data/stream.sock", json!("EAFNOSUPPORT")),
            ("send-path:/data/datagram.sock", json!("EAFNOSUPPORT")),
            ("serve-path:/tmp/own.sock", json!("EAFNOSUPPORT")),
        ]);
        // Without the filters Landlock of this kernel does not keep it.
        let run = pod().sabotage("filters").unproven().attack(&["connect-path:/data/stream.sock"]).run();
        let expected = json!({"connect-path:/data/stream.sock": "hello from the neighbour"});
        assert_eq!(run.report.result, Some(expected), "{run:#?}");
    }

    what_is_shared_in_a_pod_is_not_there {
        answers(Pod::contained("ipc"), &[
            ("syscall:29,7,4096,896", json!("EPERM")), // shmget
            ("syscall:30,0,0,0", json!("EPERM")),      // shmat
            ("syscall:64,7,1,896", json!("EPERM")),    // semget
            ("syscall:68,7,896", json!("EPERM")),      // msgget
            ("syscall:240,0,66,384,0", json!("EPERM")), // mq_open
            ("syscall:241,0", json!("EPERM")),         // mq_unlink
            ("write:/dev/shm/own", json!("ok")),
        ]);
    }

    system_calls_that_undo_it_are_refused {
        answers(Pod::contained("syscalls").creates_processes(), &[
            ("syscall:272,268435456", json!("EPERM")), // unshare CLONE_NEWUSER
            ("syscall:56,268435473", json!("EPERM")), // clone CLONE_NEWUSER | SIGCHLD
            ("syscall:308,0", json!("EPERM")), // setns
            ("syscall:165,0", json!("EPERM")), // mount
            ("syscall:166,0", json!("EPERM")), // umount2
            ("syscall:155,0", json!("EPERM")), // pivot_root
            ("syscall:161,0", json!("EPERM")), // chroot
            ("syscall:428,0", json!("EPERM")), // open_tree
            ("syscall:429,0", json!("EPERM")), // move_mount
            ("syscall:430,0", json!("EPERM")), // fsopen
            ("syscall:442,0", json!("EPERM")), // mount_setattr
            ("syscall:303,0", json!("EPERM")), // name_to_handle_at
            ("syscall:304,0", json!("EPERM")), // open_by_handle_at
            ("syscall:425,8", json!("EPERM")), // io_uring_setup
            ("syscall:321,0", json!("EPERM")), // bpf
            ("syscall:298,0", json!("EPERM")), // perf_event_open
            ("syscall:323,0", json!("EPERM")), // userfaultfd
            ("syscall:250,0", json!("EPERM")), // keyctl
            ("syscall:248,0", json!("EPERM")), // add_key
            ("syscall:249,0", json!("EPERM")), // request_key
            ("syscall:188,0", json!("ENOSYS")), // setxattr
            ("syscall:463,0", json!("ENOSYS")), // setxattrat
            ("syscall:135,4", json!("EPERM")), // personality
            ("syscall:16,0,21522", json!("EPERM")), // ioctl TIOCSTI
            ("syscall:103,3,0,0", json!("EPERM")), // syslog
        ]);
        let run = Pod::contained("x32").attack(&["syscall:1073741863"]).run();
        assert_eq!((run.report.end, run.report.signal), (End::Signaled, Some(31)), "{run:#?}");
    }

    it_holds_for_children_and_threads {
        answers(Pod::contained("tree").creates_processes(), &[
            ("child:open:/etc/shadow", json!("EACCES")),
            ("child:child:open:/ccos/profile/profile.json", json!("EACCES")),
            ("child:memfd", json!("EPERM")),
            ("child:kill:1,15", json!("EPERM")),
            ("child:open:/proc/1/environ", json!("EACCES")),
            ("in-thread:open:/etc/shadow", json!("EACCES")),
        ]);
    }

    a_loader_takes_scratch_space_away {
        let code = "import json, os\n\
            def tries(what):\n    try: return what()\n    except OSError as error: return os.strerror(error.errno)\n\
            print(json.dumps([tries(lambda: open('/tmp/x', 'w') and 'ok'), tries(lambda: open('/dev/shm/x', 'w') and 'ok'), \
            'CCOS_RESULT_FILE' in os.environ, json.load(open(os.environ['CCOS_INPUT_FILE']))['city'], os.listdir('/tmp')]))";
        let run = Pod::contained("python").debian().command(&["/usr/bin/python3", "-c", code]).run();
        let denied = "Permission denied";
        assert_eq!(run.report.result, Some(json!([denied, denied, false, "Paris", []])), "{run:#?}");
        let pod = Pod::contained("python-write").debian().write(&["/work"]);
        let run = pod.command(&["/usr/bin/python3", "-c", code]).run();
        assert_eq!(run.report.end, End::ConfinementFailed, "{run:#?}");
        let expected = "write /work: expected no loader that can be executed, but /usr/bin/python3";
        assert!(run.report.message.contains(expected), "{}", run.report.message);
    }

    what_cannot_be_held_does_not_start {
        let data = || Pod::contained("unheld").volume("data", "/data").read(&["/data"]);
        for (pod, message) in [
            (data().blocked(&["/data/private"]), "blocked /data/private: expected it outside of what is granted"),
            (Pod::contained("root").read(&["/"]), "/: expected what the runner keeps outside of all grants"),
            (Pod::contained("abi").landlock(4_000_000), "landlockAbi: expected at least 4000000"),
        ] {
            let run = pod.attack(&["started"]).run();
            assert_eq!(run.report.end, End::ConfinementFailed, "{run:#?}");
            assert!(run.report.message.contains(message), "{}", run.report.message);
        }
        // Refused at admission, too.
        let sources = json!([{"ports": [{"port": 8080, "endPort": 8080}]}]);
        let run = Pod::contained("carried").visited(&sources, &json!([]), &[8080]).attack(&["started"]).run();
        assert_eq!((run.report.end, run.report.usage), (End::InternalError, None), "{run:#?}");
        let expected = "inbound: expected nothing where landlockAbi is given";
        assert!(run.report.message.contains(expected), "{}", run.report.message);
    }

    limits_end_with_their_reasons {
        answers(Pod::contained("files").limit("fileDescriptors", 32), &[("files", json!("31 then EMFILE"))]);
        answers(Pod::contained("core"), &[("core", json!([1, 1]))]);
        answers(Pod::contained("threads").limit("threads", 5), &[("threads", json!("4 then EAGAIN"))]);
        let disk = Pod::contained("disk").write(&["/work"]).limit("diskBytes", 1 << 20);
        let run = answers(disk, &[("fill:/tmp,/dev/shm,/work", json!(1 << 20))]);
        assert_eq!(run.report.usage.map(|usage| usage.disk_bytes), Some(1 << 20));
        let full = Pod::contained("disk-full").limit("diskBytes", 1 << 20).attack(&["fill:/tmp", "exit:3"]).run();
        assert_eq!((full.report.end, full.report.exit_code), (End::DiskExceeded, Some(3)), "{full:#?}");
        let bomb = Pod::contained("bomb").creates_processes().limit("threads", 12).limit("wallTimeMillis", 3000);
        let bomb = bomb.attack(&["bomb", "sleep:60000"]).run();
        assert_eq!(bomb.report.end, End::WallTimeExceeded, "{bomb:#?}");
        let daemon = Pod::contained("daemon").creates_processes().attack(&["daemon"]).run();
        assert_eq!(daemon.report.end, End::Completed, "{daemon:#?}");
        assert!(daemon.seconds < 3.0, "{daemon:#?}");
        let one = Pod::contained("cpu").limit("cpuTimeMillis", 600).attack(&["spin:20000"]).run();
        assert_eq!(one.report.end, End::CPUTimeExceeded, "{one:#?}");
        let orphans = Pod::contained("cpu-orphans").creates_processes().limit("cpuTimeMillis", 2000);
        let orphans = orphans.attack(&["spin-orphans:300"]).run();
        assert_eq!(orphans.report.end, End::CPUTimeExceeded, "{orphans:#?}");
        let flood = Pod::contained("flood").attack(&["flood"]).run();
        assert_eq!(flood.report.end, End::OutputTooLarge, "{}", flood.report.message);
        let stop = Pod::contained("stop").stop_after(2.0).attack(&["sleep:60000"]).run();
        assert_eq!((stop.report.end, stop.report.signal), (End::Cancelled, Some(15)), "{stop:#?}");
    }

    results_and_scripts_work {
        let run = Pod::contained("result").attack(&["result:{\"a\":1}"]).run();
        assert_eq!((run.report.end, run.report.result.clone()), (End::Completed, Some(json!({"a": 1}))), "{run:#?}");
        let run = Pod::contained("script").command(&["/app/script"]).programs(&["/bin/sh"]).run();
        assert_eq!((run.report.end, run.report.result.clone()), (End::Completed, Some(json!("from a script"))), "{run:#?}");
        let pod = Pod::contained("secrets").references(&["APP_TOKEN"], &["token"]);
        answers(pod, &[("variable:APP_TOKEN", json!("s3cret\n"))]);
    }
}
