//! Attacks from inside, in gVisor, as the pod would run it: uid 1000, no capabilities, no new privileges, read-only
//! root. Run by `tests/gvisor.sh`. An attack that must fail has a twin that succeeds, without the mechanism where
//! there is one to leave out (`CCOS_SABOTAGE`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers"
)]

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
    for (attack, answer) in expected {
        assert_eq!(found.get(attack), Some(answer), "{attack}: {found:#}\n{}", run.stderr);
    }
    run
}

/// May connect to `a.test` at 80 and to all of `b.test` at 8081, but for what is private there.
fn names(name: &str) -> Pod {
    let outbound = json!([
        {"host": "a.test", "ports": [{"port": 80, "endPort": 80}]},
        {"host": "*.b.test", "ports": [{"port": 8081, "endPort": 8081}]},
    ]);
    Pod::new(name).connects(&outbound, &json!([{"host": "private.b.test"}, {"cidr": "169.254.0.0/16"}]))
}

/// Others may connect to 80 and 8080, and do to 8080.
fn visited(name: &str, attacks: &[&str]) -> Pod {
    let sources = json!([{"ports": [{"port": 80, "endPort": 80}, {"port": 8080, "endPort": 8080}]}]);
    Pod::new(name).visited(&sources, &json!([]), &[8080]).attack(attacks)
}

macro_rules! tests {
    ($($(#[$attribute:meta])* $name:ident $body:block)*) => {
        $($(#[$attribute])* #[test] #[ignore = "needs gVisor and root: tests/gvisor.sh"] fn $name() $body)*
    };
}

tests! {
    nothing_of_the_outside_is_in_the_view {
        let run = answers(Pod::new("view"), &[
            ("list:/", json!(["app", "dev", "etc", "proc", "run", "tmp"])),
            ("list:/dev", json!(["fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero"])),
            ("list:/etc", json!(["group", "hosts", "passwd", "resolv.conf"])),
            ("list:/app", json!(["attack"])),
            ("open:/ccos/profile/profile.json", json!("ENOENT")),
            ("open:/dev/termination-log", json!("ENOENT")),
            ("open:/var/run/secrets/kubernetes.io/serviceaccount/token", json!("ENOENT")),
            ("open:/proc/1/root/ccos/profile/profile.json", json!("EACCES")),
            ("open:/proc/1/status", json!("EACCES")),
            ("open:/proc/self/root/ccos/profile/profile.json", json!("ENOENT")),
            ("open:/secret", json!("ENOENT")),
            ("descriptors", json!([0, 1, 2])),
            ("environment", json!(["CCOS_INPUT_FILE", "CCOS_RESULT_FILE", "HOME", "LANG", "PATH"])),
            ("stdin", json!("{\"city\":\"Paris\"}")),
            ("open:/run/ccos/input.json", json!("{\"city\":\"Paris\"}")),
            ("write:/run/ccos/input.json", json!("EACCES")),
            ("write:/x", json!("EROFS")),
            ("truncate:/etc/group", json!("EACCES")),
            // gVisor does not hold a read-only tmpfs against its files' owner, where only attributes change. These
            // files are the workload's alone; image and volumes hold (see the next tests).
            ("chmod:/etc/passwd", json!("ok")),
            ("truncate:/etc/passwd", json!("ok")),
            ("write:/etc/passwd", json!("EROFS")),
            ("write:/tmp/x", json!("ok")),
            ("write:/dev/shm/x", json!("ok")),
        ]);
        assert_eq!(run.code, 0);
    }

    every_field_is_proven {
        let run = Pod::new("proven").attack(&["started"]).run();
        let fields: Vec<_> = run.report.proven.iter().map(|proof| proof.field.as_str()).collect();
        assert_eq!(fields, [
            "permissions.system.commands", "permissions.filesystem", "permissions.network",
            "permissions.system.processCreation", "permissions.environment", "permissions.ipc",
            "limits.fileDescriptors", "limits.threads", "limits.cpuTime", "limits.disk", "limits.wallTime",
        ], "{run:#?}");
    }

    others_connect_to_the_code_at_granted_ports_and_at_no_others {
        for listens in ["serve:0.0.0.0:8080", "serve:127.0.0.1:8080"] {
            let run = visited("visited", &[listens]).run();
            assert_eq!(run.report.end, End::Completed, "{run:#?}");
            // Whoever it is comes from the loopback.
            assert_eq!(run.report.result, Some(json!({listens: "127.0.0.1 said hello"})), "{run:#?}");
            assert_eq!(run.visits.first(), Some(&(8080, "welcome".to_owned())), "{run:#?}");
            let network = run.report.network.clone().unwrap();
            assert!(network.connections_in >= 1 && network.bytes_received >= 6 && network.bytes_sent >= 7, "{network:?}");
            assert_eq!(run.report.proven.last().map(|proof| proof.field.as_str()), Some("permissions.network.inbound"));
        }
        // Granted, and nobody listens; listened at, and not granted.
        let run = visited("not-granted", &["serve:0.0.0.0:8080", "serve:0.0.0.0:9000"]).limit("wallTimeMillis", 4000);
        let run = run.visits(&[8080, 80, 9000]).run();
        assert_eq!(run.report.end, End::WallTimeExceeded, "{run:#?}");
        let answers: Vec<&str> = run.visits.iter().map(|(_, answer)| answer.as_str()).collect();
        assert_eq!(answers, ["welcome", "error ConnectionReset", "error ConnectionRefused"], "{run:#?}");
    }

    addresses_that_are_not_granted_or_blocked_are_refused_by_the_runner_too {
        let at = |cidr: &str| json!([{"cidr": cidr, "ports": [{"port": 8080, "endPort": 8080}]}]);
        let pods = json!([{"ports": [{"port": 8080, "endPort": 8080}]}]);
        for (name, sources, blocked, reached) in [
            ("block", at("10.255.255.0/30"), json!([]), true),
            ("elsewhere", at("10.255.254.0/24"), json!([]), false),
            ("pods", pods.clone(), json!([]), true),
            ("blocked", pods, json!(["10.255.255.0/24"]), false),
        ] {
            let run = Pod::new(name).visited(&sources, &blocked, &[8080]).limit("wallTimeMillis", 4000);
            let run = run.attack(&["serve:0.0.0.0:8080"]).run();
            let end = if reached { End::Completed } else { End::WallTimeExceeded };
            assert_eq!(run.report.end, end, "{name}: {run:#?}");
        }
    }

    what_others_connect_through_is_out_of_the_codes_reach {
        let own = |of: &str| format!("{of}:{}", 8080);
        let run = answers(visited("channel", &[]), &[
            ("descriptors", json!([0, 1, 2])),
            ("init:fd", json!("EACCES")),
            ("steal", json!("EPERM")),
            ("connect:10.255.255.1:443", json!("ENETUNREACH")),
            ("connect:10.255.255.2:8080", json!("ENETUNREACH")),
            (&own("connect:127.0.0.1"), json!("ECONNREFUSED")),
        ]);
        assert_eq!(run.report.network.clone().unwrap().bytes_sent, 0);
    }

    /// Without a mechanism the proof names it, and the workload does not start.
    sabotage_is_proven {
        for (without, probe) in [
            ("network", "proof of permissions.network"),
            ("ipc", "proof of permissions.ipc: shared memory"),
            ("old-root", "open /ccos/profile/profile.json"),
            ("seal", "create /.ccos-probe"),
            ("limits", "proof of limits."),
            ("capabilities", "CapPrm: expected 0000000000000000"),
            ("filters", "Seccomp: expected 2, but found 0"),
            ("blocked", "open /data/nested/secret"),
            ("pin", "mount /data/nested: expected"),
            ("noexec", "create and execute /tmp/.ccos-probe"),
            ("scratch-size", "scratch space: expected"),
        ] {
            let pod = Pod::new("sabotage").volume("data", "/data").read(&["/etc/visible"]).write(&["/data"]);
            let pod = pod.blocked(&["/data/private", "/data/nested/secret"]).networked().attack(&["started"]);
            let run = pod.sabotage(without).run();
            assert_eq!(run.report.end, End::ConfinementFailed, "{without}: {run:#?}");
            assert!(run.report.message.contains(probe), "{without}: {}", run.report.message);
            assert_eq!((run.report.usage, run.code), (None, 1));
        }
    }

    /// One that is added to the table has to be missed here as well.
    every_mechanism_of_the_table_is_missed {
        let pod = || Pod::new("missed").networked();
        let shared = "syscall:29,213933225,4096,0"; // shmget of the canary
        let connected = names;
        for mechanism in mechanism::ALL.iter().copied() {
            match mechanism {
                mechanism::FILES => missed(pod, "old-root", "open /ccos/profile/profile.json", "open:/ccos/profile/profile.json", |_, found| found.contains("command")),
                mechanism::NETWORK => missed(pod, "network", "proof of permissions.network", "send:10.255.255.1:443", |_, found| found == "ok"),
                mechanism::OUTBOUND => {
                    let run = connected("missed-names").sabotage("network").attack(&["started"]).run();
                    assert!(run.report.message.contains("lock-down: listen for names"), "{run:#?}");
                    let run = connected("missed-relay").sabotage("relay").unproven().attack(&["fetch:a.test:8081"]).run();
                    assert_eq!(run.asked, ["a.test:8081 t0ken"], "{run:#?}");
                }
                mechanism::INBOUND => {
                    let pod = || visited("missed-fence", &["serve:0.0.0.0:8080"]).unpoliced();
                    let run = pod().run();
                    assert_eq!((run.report.end, run.report.usage), (End::ConfinementFailed, None), "{run:#?}");
                    assert!(run.report.message.contains("proof of permissions.network.inbound: connect 10.255.255.1:443"), "{run:#?}");
                    let run = pod().sabotage("fence").run();
                    assert_eq!(run.report.end, End::Completed, "{run:#?}");
                }
                mechanism::COMMANDS => missed(pod, "noexec", "create and execute /tmp/.ccos-probe", "exec:/tmp/copy", |run, _| run.report.result == Some(json!({"started": "ok"}))),
                mechanism::PROCESSES => missed(pod, "processes", "proof of permissions.system.processCreation", "fork", |_, found| found == "ok"),
                mechanism::ENVIRONMENT => missed(pod, "environment", "proof of permissions.environment", "variable:POD_SECRET", |_, found| found == "x"),
                mechanism::IPC => missed(pod, "ipc", "proof of permissions.ipc: shared memory", shared, |_, found| found.parse::<u64>().is_ok()),
                mechanism::DISK => missed(|| pod().limit("diskBytes", 1 << 20), "scratch-size", "proof of limits.disk", "fill:/tmp", |_, found| found.parse::<u64>().unwrap() > 1 << 20),
                mechanism::DESCRIPTORS => missed(pod, "descriptors", "proof of limits.fileDescriptors", "files", |_, found| found == "1023 then EMFILE"),
                mechanism::THREADS => missed(|| pod().limit("threads", 5), "threads", "proof of limits.threads", "threads", |_, found| found != "4 then EAGAIN"),
                mechanism::CPU_TIME => missed(|| pod().limit("cpuTimeMillis", 600), "cpu-time", "proof of limits.cpuTime", "spin:3000", |run, _| run.report.end == End::Completed),
                mechanism::WALL_TIME => {
                    missed_proof(pod(), "pid", "proof of limits.wallTime");
                    missed_attack(pod().limit("wallTimeMillis", 1000), "timer", "sleep:2500", |run, _| run.report.end == End::Completed);
                }
                other => panic!("{other:?}: nothing shows that an attack succeeds without it"),
            }
        }
    }

    a_read_only_tree_that_is_not_is_noticed {
        let pod = || Pod::new("read-only").volume("data", "/data").read(&["/data"]).sabotage("read-only");
        let run = pod().attack(&["started"]).run();
        let expected = "mount /data: expected ro nosuid nodev noexec, but found rw nosuid nodev noexec";
        assert!(run.report.message.contains(expected), "{run:#?}");
        let written = pod().unproven().attack(&["write:/data/open"]).run();
        assert_eq!(written.data("open"), Some("written by the workload".to_owned()));
    }

    attacks_succeed_without_their_mechanism {
        for (without, attack, expected) in [
            ("old-root", "open:/ccos/profile/profile.json", "{\\\"command"),
            ("init", "list:/proc/1/fd", "[\"0\""),
            ("noexec", "exec:/tmp/copy", "started"),
            ("filters", "memfd", "started"),
            ("filters", "fork", "ok"),
            ("blocked", "open:/data/private/key", "private"),
            ("pin", "rename:/data/nested>/data/elsewhere", "ok"),
        ] {
            let pod = Pod::new("without").volume("data", "/data").write(&["/data"]).unproven();
            let pod = pod.blocked(&["/data/private", "/data/nested/secret"]).sabotage(without);
            let run = pod.attack(&["copy:/tmp/copy", attack]).run();
            let result = run.report.result.clone().unwrap_or_default().to_string();
            assert!(result.contains(expected), "{without}, {attack}: {run:#?}");
        }
    }

    blocked_wins_in_a_writable_tree {
        let pod = Pod::new("blocked-write").volume("data", "/data").write(&["/data"]);
        let run = answers(pod.blocked(&["/data/private", "/data/nested/secret", "/data/file", "/data/later/x"]), &[
            ("open:/data/private/key", json!("EACCES")),
            ("list:/data/private", json!("EACCES")),
            ("open-write:/data/private/x", json!("EACCES")),
            ("open:/data/file", json!("EACCES")),
            ("write:/data/file", json!("EACCES")),
            ("rename:/data/private>/data/moved", json!("EBUSY")),
            ("rename:/data/nested>/data/moved", json!("EBUSY")),
            ("rename:/data/later>/data/moved", json!("EBUSY")),
            ("rename:/data/nested/secret>/tmp/moved", json!("EXDEV")),
            ("remove:/data/nested", json!("EACCES")),
            ("mkdir:/data/private/x", json!("EACCES")),
            ("symlink:/data/way>/data/private/key", json!("ok")),
            ("open:/data/way", json!("EACCES")),
            ("write:/data/new", json!("ok")),
            ("rename:/data/new>/data/newer", json!("ok")),
            ("open:/data/newer", json!("written by the w")),
            ("write:/data/nested/new", json!("ok")),
        ]);
        assert_eq!(run.data("newer"), Some("written by the workload".to_owned()));
        assert_eq!(run.data("nested/new"), Some("written by the workload".to_owned()));
        assert_eq!(run.data("private/key"), Some("private".to_owned()));
    }

    blocked_wins_in_a_read_only_tree {
        let pod = Pod::new("blocked-read").volume("data", "/mnt/data").read(&["/", "/mnt/data"]);
        answers(pod.blocked(&["/mnt/data/private", "/mnt/data/later", "/etc/shadow"]), &[
            ("list:/mnt/data", json!(["file", "link", "nested", "open"])),
            ("open:/mnt/data/private/key", json!("ENOENT")),
            ("open:/mnt/data/link", json!("ENOENT")),
            ("open:/mnt/data/open", json!("open")),
            ("write:/mnt/data/open", json!("EROFS")),
            ("write:/mnt/data/later", json!("EROFS")),
            ("open:/etc/shadow", json!("ENOENT")),
            ("open:/secret", json!("image")),
            ("truncate:/mnt/data/open", json!("EROFS")),
            ("chmod:/mnt/data/open", json!("EROFS")),
            ("touch:/mnt/data/open", json!("EROFS")),
            ("write:/secret", json!("EACCES")),
            ("exec:/app/other", json!("EACCES")),
        ]);
    }

    links_lead_only_to_what_is_listed {
        answers(Pod::new("links").volume("data", "/data").read(&["/data/link", "/data/nested", "/etc/alias", "/etc/visible"]), &[
            ("link:/data/link", json!("private/key")),
            ("open:/data/link", json!("ENOENT")),
            ("open:/data/private/key", json!("ENOENT")),
            ("link:/etc/alias", json!("../secret")),
            ("open:/etc/alias", json!("image")),
            ("open:/etc/escape", json!("ENOENT")),
        ]);
    }

    a_glob_shows_what_is_like_it_and_nothing_beside {
        let pod = Pod::new("globs").volume("config", "/config").globs("read", &["/etc/*i*", "/config/k*"]);
        answers(pod.globs("programs", &["/app/o*"]).blocked(&["/etc/private.ini"]).creates_processes(), &[
            ("open:/etc/visible", json!("image")),
            ("open:/etc/shadow", json!("ENOENT")), // does not match, beside one that does
            ("link:/etc/alias", json!("../secret")), // matches by its name, and points out
            ("open:/etc/alias", json!("ENOENT")),
            ("open:/etc/private.ini", json!("ENOENT")), // matches, and is blocked
            ("open:/config/key", json!("value")),
            ("open:/config/other", json!("ENOENT")),
            ("spawn:/app/other", json!("exit status: 0")),
            ("list:/app", json!(["attack", "other"])),
            ("write:/etc/visible", json!("EACCES")),
        ]);
        // Without the pattern it would be there: a folder shows all.
        let whole = Pod::new("globs-whole").read(&["/etc", "/secret"]);
        answers(whole, &[("open:/etc/shadow", json!("image")), ("open:/etc/alias", json!("image"))]);
    }

    a_blocked_glob_takes_out_of_a_folder {
        answers(Pod::new("globs-blocked").read(&["/etc", "/secret"]).globs("blocked", &["/**/s?adow", "/etc/pri*"]), &[
            ("open:/etc/visible", json!("image")),
            ("open:/etc/shadow", json!("ENOENT")),
            ("open:/etc/private.ini", json!("ENOENT")),
            ("open:/etc/alias", json!("image")),
        ]);
    }

    a_thousand_files_of_a_glob_are_a_view_and_more_are_none {
        let pod = |count| Pod::new("globs-many").many(count).globs("read", &["/many/*"]);
        let run = answers(pod(1000), &[("open:/many/999", json!("999"))]);
        assert!(run.seconds < 10.0, "{run:#?}");
        let run = pod(1025).attack(&["started"]).run();
        assert_eq!(run.report.end, End::ConfinementFailed, "{run:#?}");
        assert!(run.report.message.contains("/many/*: expected at most 1024 paths"), "{}", run.report.message);
    }

    a_config_map_works_whole_and_in_part {
        let whole = [("open:/config/key", json!("value")), ("open:/config/other", json!("other"))];
        answers(Pod::new("config").volume("config", "/config").read(&["/config"]), &whole);
        let part = [("open:/config/key", json!("value")), ("open:/config/other", json!("ENOENT"))];
        answers(Pod::new("config-part").volume("config", "/config").read(&["/config/key"]), &part);
        let blocked = Pod::new("config-blocked").volume("config", "/config").read(&["/config"]).blocked(&["/config/other"]);
        answers(blocked, &[("list:/config", json!(["key"])), ("open:/config/..data/other", json!("ENOENT")), part[0].clone(), part[1].clone()]);
    }

    a_folder_of_programs_is_all_below_it {
        let pod = Pod::new("exec-folder").program_folders(&["/app"]).creates_processes();
        answers(pod, &[("spawn:/app/other", json!("exit status: 0")), ("spawn:/app/third", json!("exit status: 0"))]);
    }

    only_listed_programs_execute {
        let pod = Pod::new("exec").read(&["/app"]).write(&["/work"]).programs(&["/app/other"]).creates_processes();
        answers(pod, &[
            ("spawn:/app/other", json!("exit status: 0")),
            ("spawn:/app/third", json!("EACCES")),
            ("copy:/tmp/copy", json!("ok")),
            ("copy:/dev/shm/copy", json!("ok")),
            ("copy:/work/copy", json!("ok")),
            ("exec:/tmp/copy", json!("EACCES")),
            ("exec:/dev/shm/copy", json!("EACCES")),
            ("exec:/work/copy", json!("EACCES")),
            ("memfd", json!("EPERM")),
            ("syscall:322,0,0,0,0,0", json!("EPERM")), // execveat
        ]);
    }

    processes_are_denied_and_threads_are_not {
        answers(Pod::new("fork"), &[
            ("fork", json!("EPERM")),
            ("vfork", json!("EPERM")),
            ("spawn:/app/attack", json!("EPERM")),
            ("clone3", json!("ENOSYS")),
            ("syscall:57", json!("EPERM")),
            ("thread", json!("ok")),
        ]);
        answers(Pod::new("forks").creates_processes(), &[("fork", json!("ok")), ("clone3", json!("ENOSYS"))]);
    }

    there_is_no_network_but_loopback {
        answers(Pod::new("network").networked(), &[
            ("connect:10.96.0.1:443", json!("ENETUNREACH")),
            ("connect:169.254.169.254:80", json!("ENETUNREACH")),
            ("send:10.96.0.10:53", json!("ENETUNREACH")),
            ("connect:127.0.0.1:80", json!("ECONNREFUSED")),
            ("loopback", json!("ok")),
            ("socket:17,3,0", json!("EAFNOSUPPORT")), // AF_PACKET
            ("socket:16,3,12", json!("EAFNOSUPPORT")), // netfilter
            ("socket:16,3,0", json!("ok")), // routes
            ("socket:40,1,0", json!("EAFNOSUPPORT")), // AF_VSOCK
        ]);
    }

    granted_names_are_reached_by_programs_that_know_nothing_of_it {
        let run = answers(names("names"), &[
            ("fetch:a.test:80", json!("hello from a.test:80")),
            ("fetch:x.b.test:8081", json!("hello from x.b.test:8081")),
            ("fetch:A.TEST:80", json!("hello from a.test:80")),
            ("resolve:a.test", json!(["127.192.0.1"])),
            ("ask:a.test", json!("127.192.0.1")),
            ("ask-tcp:y.x.b.test", json!("127.192.0.3")),
            ("ask:a.test,28", json!("code 0")), // AAAA
            ("ask-tcp:a.test,16", json!("code 0")), // TXT
            ("open:/etc/resolv.conf", json!("# Answers for th")),
            ("descriptors", json!([0, 1, 2])),
        ]);
        assert_eq!(run.asked, ["a.test:80 t0ken", "x.b.test:8081 t0ken", "a.test:80 t0ken"]);
        let network = run.report.network.clone().unwrap();
        assert_eq!((network.connections, network.denials, network.denied_more), (3, vec![], 0));
        assert_eq!((network.bytes_sent, network.bytes_received), (3 * 18, 20 + 24 + 20));
        let proven: Vec<_> = run.report.proven.iter().map(|proof| proof.field.as_str()).collect();
        assert!(proven.contains(&"permissions.network.outbound"), "{proven:?}");
    }

    nothing_else_is_reached_and_what_was_tried_is_counted {
        let run = answers(names("else"), &[
            // Addresses: the world's, the API server's, the proxy's own, other name servers.
            ("quick:connect:203.0.113.1:80", json!(["ENETUNREACH", true])),
            ("quick:connect:10.96.0.1:443", json!(["ENETUNREACH", true])),
            ("quick:connect:10.255.255.1:3128", json!(["ENETUNREACH", true])),
            ("quick:connect:8.8.8.8:53", json!(["ENETUNREACH", true])),
            ("quick:send:8.8.8.8:53", json!(["ENETUNREACH", true])),
            ("quick:send:10.255.255.1:443", json!(["ENETUNREACH", true])),
            ("quick:connect:[2001:db8::1]:80", json!(["ENETUNREACH", true])),
            ("quick:connect:[::ffff:203.0.113.1]:80", json!(["ENETUNREACH", true])),
            ("socket:2,3,1", json!("EPERM")), // raw ICMP
            ("socket:17,3,0", json!("EAFNOSUPPORT")), // AF_PACKET
            // Ports that nothing may be connected to at.
            ("quick:connect:127.192.0.1:443", json!(["ECONNREFUSED", true])),
            ("quick:connect:a.test:22", json!(["ECONNREFUSED", true])),
            // Another's port, and an address that is nobody's.
            ("quick:fetch:a.test:8081", json!(["ECONNRESET", true])),
            ("quick:fetch:127.0.0.1:80", json!(["ECONNRESET", true])),
            ("quick:fetch:127.200.0.1:80", json!(["ECONNRESET", true])),
            // Other names, and data in labels.
            ("quick:ask:evil.test", json!(["code 3", true])),
            ("quick:ask-tcp:evil.test", json!(["code 3", true])),
            ("quick:ask:c2VjcmV0LWRhdGE.evil.test,16", json!(["code 3", true])),
            ("quick:ask:private.b.test", json!(["code 3", true])),
            ("quick:ask:metadata.google.internal", json!(["code 3", true])),
            // What the proxy refuses.
            ("quick:fetch:blocked.b.test:8081", json!(["ECONNRESET", true])),
            ("quick:fetch:many.b.test:8081", json!(["ECONNRESET", true])),
            ("quick:fetch:gone.b.test:8081", json!(["ECONNRESET", true])),
            ("quick:fetch:odd.b.test:8081", json!(["ECONNRESET", true])),
            // One that hangs up may be a replica that ended: others are asked, for a while.
            ("fetch:mute.b.test:8081", json!("ECONNRESET")),
            // The way out itself.
            ("open:/ccos/egress/token", json!("ENOENT")),
            ("open:/proc/1/root/ccos/egress/token", json!("EACCES")),
            ("open:/proc/self/root/ccos/egress/token", json!("ENOENT")),
            ("list:/proc/1/fd", json!("EACCES")),
            ("descriptors", json!([0, 1, 2])),
            ("bind:127.0.0.53:53", json!("EADDRINUSE")),
            ("listen:127.0.0.53:53", json!("EADDRINUSE")),
            ("listen:127.192.0.1:80", json!("EADDRINUSE")),
        ]);
        let mut asked: Vec<_> = run.asked.iter().map(|line| line.split('.').next().unwrap()).collect();
        asked.dedup();
        assert_eq!(asked, ["blocked", "many", "gone", "odd", "mute"]);
        let network = run.report.network.clone().unwrap();
        let denials: Vec<_> = network.denials.iter().map(|one| (one.target.as_str(), one.reason.token(), one.count)).collect();
        assert_eq!(denials, [
            ("a.test:8081", "not-granted", 1),
            ("127.0.0.1:80", "not-granted", 1),
            ("127.200.0.1:80", "not-granted", 1),
            ("evil.test.", "not-granted", 2),
            ("c2VjcmV0LWRhdGE.evil.test.", "not-granted", 1),
            ("private.b.test.", "not-granted", 1),
            ("metadata.google.internal.", "not-granted", 1),
            ("blocked.b.test:8081", "blocked", 1),
            ("many.b.test:8081", "too-many-connections", 1),
        ], "{run:#?}");
        assert_eq!((network.connections, network.bytes_sent, network.bytes_received), (0, 0, 0));
        assert!(run.stderr.contains("ccos: blocked.b.test:8081: refused: blocked"), "{}", run.stderr);
        assert!(run.stderr.contains("ccos: gone.b.test:8081: unreachable"), "{}", run.stderr);
    }

    granted_addresses_are_reached_and_those_beside_them_are_not {
        let outbound = json!([
            {"cidr": "203.0.113.0/24", "ports": [{"port": 80, "endPort": 80}]},
            {"cidr": "198.51.100.7/32", "ports": [{"port": 8081, "endPort": 8081}]},
            // The proxy's own is among them: then its port alone is closed here.
            {"cidr": "10.0.0.0/8", "ports": [{"port": 80, "endPort": 80}]},
        ]);
        let run = answers(Pod::new("addresses").connects(&outbound, &json!([])), &[
            ("fetch:203.0.113.0:80", json!("hello from 203.0.113.0:80")),
            ("fetch:203.0.113.77:80", json!("hello from 203.0.113.77:80")),
            ("fetch:203.0.113.255:80", json!("hello from 203.0.113.255:80")),
            ("fetch:198.51.100.7:8081", json!("hello from 198.51.100.7:8081")),
            ("fetch:10.96.0.1:80", json!("hello from 10.96.0.1:80")),
            // Beside a block, at another's port, at a port that is nobody's, and by packets.
            ("quick:connect:203.0.112.255:80", json!(["ENETUNREACH", true])),
            ("quick:connect:203.0.114.0:80", json!(["ENETUNREACH", true])),
            ("quick:connect:198.51.100.8:8081", json!(["ENETUNREACH", true])),
            ("quick:connect:192.0.2.1:80", json!(["ENETUNREACH", true])),
            ("quick:fetch:203.0.113.77:8081", json!(["ECONNRESET", true])),
            ("quick:fetch:127.0.0.1:80", json!(["ECONNRESET", true])),
            ("quick:connect:203.0.113.77:443", json!(["ECONNREFUSED", true])),
            ("quick:connect:10.255.255.1:3128", json!(["ECONNREFUSED", true])),
            ("quick:ask:a.test", json!(["code 3", true])),
            ("descriptors", json!([0, 1, 2])),
        ]);
        assert_eq!(run.asked, [
            "203.0.113.0:80 t0ken", "203.0.113.77:80 t0ken", "203.0.113.255:80 t0ken", "198.51.100.7:8081 t0ken",
            "10.96.0.1:80 t0ken",
        ]);
        let network = run.report.network.clone().unwrap();
        let denials: Vec<_> = network.denials.iter().map(|one| (one.target.as_str(), one.reason.token())).collect();
        assert_eq!(denials, [
            ("203.0.113.77:8081", "not-granted"), ("127.0.0.1:80", "not-granted"), ("a.test.", "not-granted"),
        ]);
        assert_eq!(network.connections, 5);
    }

    every_address_may_be_granted_beside_a_name {
        let outbound = json!([
            {"cidr": "0.0.0.0/0", "ports": [{"port": 80, "endPort": 80}]},
            {"host": "a.test", "ports": [{"port": 8081, "endPort": 8081}]},
        ]);
        let run = answers(Pod::new("everywhere").connects(&outbound, &json!([])), &[
            ("fetch:8.8.8.8:80", json!("hello from 8.8.8.8:80")),
            ("fetch:223.255.255.255:80", json!("hello from 223.255.255.255:80")),
            ("fetch:10.255.255.1:80", json!("hello from 10.255.255.1:80")),
            ("fetch:a.test:8081", json!("hello from a.test:8081")),
            ("quick:fetch:a.test:80", json!(["ECONNRESET", true])),
            ("quick:fetch:8.8.8.8:8081", json!(["ECONNRESET", true])),
            ("quick:fetch:127.0.0.1:80", json!(["ECONNRESET", true])),
            ("quick:connect:10.255.255.1:3128", json!(["ECONNREFUSED", true])),
            ("quick:connect:[2001:db8::1]:80", json!(["ENETUNREACH", true])),
        ]);
        assert_eq!(run.asked.len(), 4, "{:?}", run.asked);
    }

    /// Without a network namespace of its own, nobody gives the pod's loopback addresses.
    without_a_network_namespace_there_are_no_addresses {
        let outbound = json!([{"cidr": "0.0.0.0/0", "ports": [{"port": 8080, "endPort": 8080}]}]);
        let run = Pod::new("shared").connects(&outbound, &json!([])).sabotage("network").attack(&["started"]).run();
        assert_eq!(run.report.end, End::ConfinementFailed, "{run:#?}");
        assert!(run.report.message.contains("lock-down: lo has "), "{run:#?}");
    }

    /// Without the relay's check, another name's port gets as far as the proxy.
    a_port_of_another_name_reaches_the_proxy_without_the_relay_s_check {
        let run = names("unchecked").sabotage("relay").attack(&["fetch:a.test:8081"]).run();
        assert_eq!(run.asked, ["a.test:8081 t0ken"], "{run:#?}");
    }

    without_a_network_namespace_there_are_no_names {
        let run = names("shared").sabotage("network").attack(&["started"]).run();
        assert_eq!(run.report.end, End::ConfinementFailed, "{run:#?}");
        assert!(run.report.message.contains("lock-down: listen for names"), "{run:#?}");
    }

    what_was_sent_before_the_end_arrives {
        let run = names("fire").attack(&["fire:keeps.b.test:8081"]).run();
        assert_eq!(run.asked, ["keeps.b.test:8081 t0ken", "fire and forget"], "{run:#?}");
    }

    the_relay_takes_no_thread_of_the_workload {
        answers(names("relay-threads").limit("threads", 5), &[("threads", json!("4 then EAGAIN"))]);
    }

    rules_that_can_not_be_relayed_start_nothing {
        let ports = json!([{"port": 1, "endPort": 65535}]);
        for (outbound, message) in [
            (json!([{"cidr": "2001:db8::/32", "ports": [{"port": 1, "endPort": 1}]}]), "egress: cidr \"2001:db8::/32\""),
            (json!([{"host": "a.test", "ports": ports}]), "egress: expected at most 64 different ports"),
            (json!([]), "egress: expected hosts or blocks of addresses, but found none"),
        ] {
            let run = Pod::new("no-relay").connects(&outbound, &json!([])).attack(&["started"]).run();
            assert_eq!(run.report.end, End::InternalError, "{run:#?}");
            assert!(run.report.message.contains(message), "{run:#?}");
        }
    }

    system_calls_that_undo_the_view_are_refused {
        answers(Pod::new("syscalls").creates_processes(), &[
            ("syscall:272,268435456", json!("EPERM")), // unshare CLONE_NEWUSER
            ("syscall:56,268435473", json!("EPERM")), // clone CLONE_NEWUSER | SIGCHLD
            ("syscall:56,4563402769", json!("EPERM")), // the same with a bit above 32
            ("syscall:308,0", json!("EPERM")), // setns
            ("syscall:165,0", json!("EPERM")), // mount
            ("syscall:166,0", json!("EPERM")), // umount2
            ("syscall:155,0", json!("EPERM")), // pivot_root
            ("syscall:161,0", json!("EPERM")), // chroot
            ("syscall:428,0", json!("EPERM")), // open_tree
            ("syscall:101,0", json!("EPERM")), // ptrace
            ("syscall:310,1", json!("EPERM")), // process_vm_readv
            ("syscall:425,8", json!("EPERM")), // io_uring_setup
            ("syscall:135,4", json!("EPERM")), // personality
            ("syscall:135,4294967295", json!(0)), // what is it
            ("syscall:321,0", json!("EPERM")), // bpf
        ]);
    }

    sockets_of_others_are_out_of_reach_and_own_ones_work {
        let all = [
            ("connect-path:/data/stream.sock", json!("ECONNREFUSED")),
            ("send-path:/data/datagram.sock", json!("Invalid argument (os error 22)")),
            ("abstract:ccos-neighbour", json!("ECONNREFUSED")),
            ("serve-path:/tmp/own.sock", json!("from myself")),
            ("serve-path:/work/own.sock", json!("from myself")),
            ("serve-path:/data/own.sock", json!("from myself")),
            ("serve-abstract:own", json!("ok")),
            ("serve-path:/own.sock", json!("EROFS")),
        ];
        let pod = || Pod::new("sockets").volume("data", "/data").read(&["/data"]).write(&["/data", "/work"]).neighbour();
        answers(pod(), &all);
        // Where gVisor lets the machine's sockets through, a folder that may be read is enough.
        let open = [("connect-path:/data/stream.sock", json!("hello from the neighbour"))];
        answers(pod().host_sockets(), &open);
        answers(pod().host_sockets().write(&[]), &open);
        answers(pod().host_sockets().write(&[]).read(&["/data/open"]), &[("connect-path:/data/stream.sock", json!("ENOENT"))]);
        answers(pod().host_sockets().write(&[]).read(&["/data/stream.sock"]), &open);
    }

    filters_hold_for_children_and_threads {
        answers(Pod::new("tree").creates_processes(), &[
            ("child:memfd", json!("EPERM")),
            ("child:syscall:272,268435456", json!("EPERM")),
            ("child:child:clone3", json!("ENOSYS")),
            ("in-thread:memfd", json!("EPERM")),
        ]);
        let run = Pod::new("x32").attack(&["syscall:1073741863"]).run();
        assert_eq!((run.report.end, run.report.signal), (End::Signaled, Some(31)), "{run:#?}");
    }

    secrets_come_from_files {
        let pod = Pod::new("secrets").references(&["APP_TOKEN"], &["token"]);
        let run = answers(pod, &[
            ("stdin", json!("{\"city\":\"Paris\",\"token\":\"s3cret\\n\"}")),
            ("variable:APP_TOKEN", json!("s3cret\n")),
            ("open:/ccos/references/0/key", json!("ENOENT")),
        ]);
        assert_eq!(run.code, 0);
    }

    the_command_stays_read_only_in_a_writable_folder {
        answers(Pod::new("own").write(&["/app"]), &[
            ("list:/app", json!(["attack"])),
            ("write:/app/new", json!("ok")),
            ("write:/app/attack", json!("EACCES")),
            ("rename:/app/attack>/app/other", json!("EBUSY")),
            ("exec:/app/new", json!("EACCES")),
        ]);
    }

    the_init_is_out_of_reach {
        answers(Pod::new("init").creates_processes(), &[
            ("kill:1,9", json!("EPERM")),
            ("kill:1,19", json!("EPERM")),
            ("kill:-1,9", json!("ESRCH")),
            ("syscall:302,1,7,0,0", json!("EPERM")), // prlimit64
            // A descriptor's owner is sent signals of any number by the kernel. Seen to stop and to kill the init before.
            ("syscall:72,1,8,1", json!("EPERM")),          // fcntl F_SETOWN
            ("syscall:72,1,4294967304,1", json!("EPERM")), // the same: the kernel looks at the lower half
            ("syscall:72,1,15,0", json!("EPERM")),         // F_SETOWN_EX
            ("syscall:72,1,10,9", json!("EPERM")),         // F_SETSIG
            ("syscall:16,1,35073,0", json!("EPERM")),      // ioctl FIOSETOWN
            ("syscall:16,1,35074,0", json!("EPERM")),      // ioctl SIOCSPGRP
            ("open:/proc/1/mem", json!("EACCES")),
            ("open:/proc/1/environ", json!("EACCES")),
            ("list:/proc/1/fd", json!("EACCES")),
            ("list:/proc/1/task", json!("EACCES")),
        ]);
    }

    descriptors_and_threads_are_limited {
        answers(Pod::new("files").limit("fileDescriptors", 32), &[("files", json!("31 then EMFILE"))]);
        answers(Pod::new("threads").limit("threads", 5), &[("threads", json!("4 then EAGAIN"))]);
    }

    a_fork_bomb_stays_small_and_ends {
        let run = Pod::new("bomb").creates_processes().limit("threads", 12).limit("wallTimeMillis", 3000).attack(&["bomb", "sleep:60000"]).run();
        assert_eq!(run.report.end, End::WallTimeExceeded, "{run:#?}");
        assert!(run.seconds < 8.0, "{run:#?}");
    }

    all_scratch_together_is_limited {
        let pod = Pod::new("disk").write(&["/work"]).limit("diskBytes", 1 << 20);
        let run = answers(pod, &[("fill:/tmp,/dev/shm,/work", json!(1 << 20))]);
        assert_eq!(run.report.usage.map(|usage| usage.disk_bytes), Some(1 << 20));
        let failed = Pod::new("disk-full").limit("diskBytes", 1 << 20).attack(&["fill:/tmp", "exit:3"]).run();
        assert_eq!((failed.report.end, failed.report.exit_code), (End::DiskExceeded, Some(3)), "{failed:#?}");
    }

    wall_time_ends_daemons_too {
        let run = Pod::new("wall").creates_processes().limit("wallTimeMillis", 1000).attack(&["daemon", "sleep:60000"]).run();
        assert_eq!(run.report.end, End::WallTimeExceeded, "{run:#?}");
        assert!((1.0..4.0).contains(&run.seconds), "{run:#?}");
    }

    a_daemon_does_not_outlive_the_first_process {
        let run = Pod::new("daemon").creates_processes().attack(&["daemon"]).run();
        assert_eq!(run.report.end, End::Completed, "{run:#?}");
        assert!(run.seconds < 3.0, "{run:#?}");
    }

    cpu_time_is_summed_over_the_tree {
        let one = Pod::new("cpu").limit("cpuTimeMillis", 600).attack(&["spin:20000"]).run();
        assert_eq!(one.report.end, End::CPUTimeExceeded, "{one:#?}");
        let orphans = Pod::new("cpu-orphans").creates_processes().limit("cpuTimeMillis", 2000).attack(&["spin-orphans:300"]).run();
        assert_eq!(orphans.report.end, End::CPUTimeExceeded, "{orphans:#?}");
        // The soft limit of the kernel, caught.
        let deaf = Pod::new("cpu-deaf").limit("cpuTimeMillis", 1000).attack(&["ignore:24", "spin:20000"]).run();
        assert_eq!(deaf.report.end, End::CPUTimeExceeded, "{deaf:#?}");
    }

    a_name_that_is_no_text_ends_nothing {
        let run = Pod::new("name").attack(&["rename-itself", "spin:700"]).run();
        assert_eq!(run.report.end, End::Completed, "{run:#?}");
        assert!(run.report.usage.is_some_and(|usage| usage.cpu_time_millis >= 100), "{run:#?}");
    }

    output_is_bounded {
        let run = Pod::new("flood").attack(&["flood"]).run();
        assert_eq!(run.report.end, End::OutputTooLarge, "{}", run.report.message);
        assert!(run.stdout.len() >= 1 << 20 && run.stdout.len() <= 9 << 20, "{}", run.stdout.len());
    }

    results_are_checked {
        for (attack, end, message) in [
            ("print:", End::Completed, ""),
            ("print:[1]", End::Completed, ""),
            ("raw", End::InvalidResult, "standard output: expected JSON, but found \"\\x1b[31m\\xff\\xfe not JSON\""),
            ("deep:100000", End::InvalidResult, "recursion limit exceeded"),
            ("result:{\"a\":1}", End::Completed, ""),
            ("result:no", End::InvalidResult, "the result file: expected JSON, but found \"no\""),
            ("exit:7", End::NonZeroExit, "exit status 7"),
            ("abort", End::Signaled, "ended by signal 6"),
        ] {
            let run = Pod::new("results").attack(&[attack]).run();
            assert_eq!(run.report.end, end, "{attack}: {run:#?}");
            assert!(run.report.message.contains(message), "{attack}: {}", run.report.message);
        }
        for attack in ["symlink:/tmp/ccos-result.json>/etc/passwd", "fifo:/tmp/ccos-result.json", "mkdir:/tmp/ccos-result.json"] {
            let run = Pod::new("results").attack(&[attack]).run();
            assert_eq!(run.report.end, End::InvalidResult, "{attack}: {run:#?}");
        }
        let large = Pod::new("large").attack(&[&format!("result:[\"{}\"]", "x".repeat(4000))]).run();
        assert_eq!(large.report.end, End::ResultTooLarge, "{large:#?}");
    }

    told_to_stop_it_stops {
        let run = Pod::new("stop").stop_after(3.0).attack(&["sleep:60000"]).run();
        assert_eq!((run.report.end, run.report.signal), (End::Cancelled, Some(15)), "{run:#?}");
        let deaf = Pod::new("stop-deaf").stop_after(3.0).attack(&["ignore:15", "sleep:60000"]).run();
        assert_eq!((deaf.report.end, deaf.report.signal), (End::Cancelled, Some(9)), "{deaf:#?}");
        assert!(deaf.seconds < 8.0, "{deaf:#?}");
    }

    what_cannot_start_says_why {
        use End::{ConfinementFailed, InternalError, NonZeroExit};
        for (pod, end, message) in [
            (Pod::new("none").command(&["/app/none"]), NonZeroExit, "command /app/none: expected a file in the image, but found nothing there"),
            (Pod::new("folder").command(&["/app"]), NonZeroExit, "command /app: expected a file in the image, but found a folder"),
            (Pod::new("plain").command(&["/secret"]), NonZeroExit, "command /secret: expected an executable file"),
            (Pod::new("script").command(&["/app/script"]), NonZeroExit, "command /app/script: expected its interpreter /bin/sh to be granted; list it in `commands` too"),
            (Pod::new("dir").working_dir("/nowhere").attack(&["started"]), NonZeroExit, "workingDir /nowhere: expected a folder in the view, but found: No such file"),
            (Pod::new("volume").volume("missing", "/missing").attack(&["started"]), ConfinementFailed, "volumes \"/ccos/volumes/missing\""),
            (Pod::new("programs").programs(&["/app"]).attack(&["started"]), ConfinementFailed, "command /app: expected a file, but found a folder; write \"/app/**\" for all below it"),
            (Pod::new("version").version(2).attack(&["started"]), InternalError, "version: expected 1, but found 2"),
        ] {
            let run = pod.run();
            assert_eq!(run.report.end, end, "{run:#?}");
            assert_eq!(run.report.exit_code, (end == NonZeroExit).then_some(127), "{run:#?}");
            assert!(run.report.message.contains(message), "{}", run.report.message);
        }
    }

    python_works_with_its_links_and_libraries {
        let code = "import json, os, sys, ctypes, threading, multiprocessing.pool as p; \
            t = threading.Thread(target=lambda: None); t.start(); t.join(); \
            print(json.dumps([sys.version_info[0], json.load(open(os.environ['CCOS_INPUT_FILE'])), os.listdir('/usr')]))";
        let run = Pod::new("python").debian().command(&["/usr/bin/python3", "-c", code]).run();
        assert_eq!(run.report.result, Some(json!([3, {"city": "Paris"}, ["bin", "lib", "lib64", "local", "share"]])), "{run:#?}");
        let code = "import subprocess; subprocess.run(['/usr/bin/python3', '-c', ''])";
        let denied = Pod::new("python-fork").debian().command(&["/usr/bin/python3", "-c", code]).run();
        assert_eq!(denied.report.end, End::NonZeroExit);
        assert!(denied.report.message.contains("PermissionError: [Errno 1]"), "{}", denied.report.message);
        let allowed = Pod::new("python-forks").debian().creates_processes().command(&["/usr/bin/python3", "-c", code]).run();
        assert_eq!(allowed.report.end, End::Completed, "{allowed:#?}");
        // The loader is executable, but it can't map a program that is not.
        let code = "import os, shutil; shutil.copy('/usr/bin/python3', '/tmp/p'); \
            os.execv('/lib64/ld-linux-x86-64.so.2', ['ld', '/tmp/p', '-c', 'print(1)'])";
        let loaded = Pod::new("python-loader").debian().command(&["/usr/bin/python3", "-c", code]).run();
        assert_eq!((loaded.report.end, loaded.report.exit_code), (End::NonZeroExit, Some(127)), "{loaded:#?}");
        assert!(loaded.report.message.contains("/tmp/p: failed to map segment"), "{}", loaded.report.message);
    }

    scripts_and_links_of_busybox_work {
        let pod = Pod::new("script-ok").command(&["/app/script"]).programs(&["/bin/sh"]);
        let run = pod.run();
        assert_eq!((run.report.end, run.report.result.clone()), (End::Completed, Some(json!("from a script"))), "{run:#?}");
    }
}
