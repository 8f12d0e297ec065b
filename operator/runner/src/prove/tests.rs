use super::*;
use crate::kernel::Call;
use crate::kernel::recorder::Recorder;
use crate::lockdown::{Confinement, lock_down};
use crate::view::Source;

const STATUS: &str = "Name:\trunner\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
    CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

const MOUNTS: &str = "33 25 0:26 / / ro,nosuid,nodev,noexec - tmpfs none ro\n\
    35 33 0:27 /0 /tmp rw,nosuid,nodev,noexec - tmpfs none rw\n\
    36 33 0:23 /a\\040b /a\\040b rw - 9p none ro\n\
    37 33 0:23 /a\\040b /a\\040b ro,nosuid,nodev,noexec - 9p none ro\n";

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::parse(text).unwrap()
}

fn probes() -> Probes {
    let source = Source { root: "/ccos/image".to_owned(), path: path("/a b") };
    Probes {
        canaries: vec![path("/ccos-runner")],
        blocked: vec![path("/data/private")],
        steps: vec![
            Step::Scratch { at: path("/tmp"), bits: 0o1777 },
            Step::Show { source, at: path("/a b"), mode: Mode::ReadOnly },
        ],
        outside: ["192.0.2.1:443", "192.0.2.2:3128"].map(|address| address.parse().unwrap()).into(),
        outbound: Some(Outbound {
            named: Some(Named {
                name: "a.test".parse().unwrap(),
                address: Ipv4Addr::new(127, 192, 0, 1),
                question: dns::question(&"a.test".parse().unwrap()).unwrap(),
            }),
            closed: "127.192.0.1:65535".parse().unwrap(),
        }),
        shared_memory: 7,
        scratch: path("/tmp"),
        disk_bytes: 5000,
        limits: [Resource::FileDescriptors, Resource::Processes, Resource::CpuSeconds, Resource::FileBytes]
            .map(|resource| Limit { resource, soft: 8, hard: 9 })
            .into(),
        process_creation: ProcessCreation::Denied,
        granted_names: ["PATH".to_owned()].into(),
        given_names: ["PATH".to_owned()].into(),
        pod: None,
    }
}

fn tried(mut kernel: Recorder, probes: &Probes) -> (Result<Vec<Proof>, ConfinementFailed>, Vec<String>) {
    let limits = if kernel.limits.is_empty() { probes.limits.clone() } else { Vec::new() };
    kernel
        .call(&Call::MountScratch { bytes: if kernel.scratch_bytes == 0 { 5000 } else { kernel.scratch_bytes } })
        .unwrap();
    let working_dir = path("/");
    let confinement = Confinement {
        input: path("/i"),
        outputs: (1, 2),
        setup: 3,
        limits,
        working_dir,
        landlock: None,
        connects: Vec::new(),
        filters: Vec::new(),
    };
    let confined = lock_down(&mut kernel, confinement).unwrap();
    kernel.log.clear();
    let answer = prove(&mut kernel, confined, probes).map(|proven| proven.proofs);
    (answer, kernel.log)
}

fn reply(address: &str) -> Vec<u8> {
    let name = hickory_proto::rr::Name::from_ascii("a.test.").unwrap();
    let data = hickory_proto::rr::RData::A(hickory_proto::rr::rdata::A(address.parse().unwrap()));
    let mut reply = hickory_proto::op::Message::response(1, hickory_proto::op::OpCode::Query);
    reply.add_answer(hickory_proto::rr::Record::from_rdata(name, 60, data));
    reply.to_vec().unwrap()
}

fn held() -> Recorder {
    let reply = Some(reply("127.192.0.1"));
    Recorder { status: STATUS.to_owned(), mounts: MOUNTS.to_owned(), reply, ..Recorder::default() }
}

#[test]
fn all_that_holds_is_proven() {
    let (proofs, _) = tried(held(), &probes());
    let fields: Vec<_> = proofs.unwrap().into_iter().map(|proof| proof.field).collect();
    assert_eq!(
        fields,
        [COMMANDS, FILES, NETWORK, NAMES, PROCESSES, ENVIRONMENT, IPC, DESCRIPTORS, THREADS, CPU_TIME, DISK, WALL_TIME]
    );
}

#[test]
fn whatever_gets_through_is_named_and_ends_the_proof() {
    let (_, log) = tried(held(), &probes());
    let probes_tried: Vec<_> = log.iter().filter_map(|line| line.strip_prefix("try ")).collect();
    assert!(probes_tried.len() > 15, "{probes_tried:?}");
    for probe in probes_tried {
        let kernel = Recorder { lets_through: Some(probe.to_owned()), ..held() };
        let (answer, log) = tried(kernel, &probes());
        match answer {
            Err(ConfinementFailed::GotThrough { probe: named, .. }) => assert_eq!(named, probe),
            other => panic!("{probe}: {other:?}"),
        }
        assert_eq!(log.last().unwrap(), &format!("try {probe}"));
        // A failure that is no refusal proves nothing.
        let kernel = Recorder { answers: Some((probe.to_owned(), Errno::MFILE)), ..held() };
        let (answer, _) = tried(kernel, &probes());
        assert!(matches!(answer, Err(ConfinementFailed::Unclear { errno: Errno::MFILE, .. })), "{probe}: {answer:?}");
    }
}

#[test]
fn without_a_relay_nothing_of_it_is_proven() {
    let (proofs, log) = tried(held(), &Probes { outbound: None, ..probes() });
    assert!(!proofs.unwrap().iter().any(|proof| proof.field == NAMES));
    assert!(!log.iter().any(|line| line.starts_with("ask")), "{log:?}");
}

#[test]
fn a_name_must_be_answered_with_its_own_address() {
    let (answer, _) = tried(Recorder { reply: None, ..held() }, &probes());
    assert!(matches!(answer, Err(ConfinementFailed::Unclear { errno: Errno::TIMEDOUT, .. })), "{answer:?}");
    for (reply, found) in [(reply("192.0.2.7"), "192.0.2.7"), (b"nothing".to_vec(), "none")] {
        let (answer, _) = tried(Recorder { reply: Some(reply), ..held() }, &probes());
        let expected = format!(
            "proof of permissions.network.outbound: address of a.test: expected 127.192.0.1, but found {found}"
        );
        assert_eq!(answer.unwrap_err().to_string(), expected);
    }
}

#[test]
fn where_there_are_only_addresses_no_name_is_asked_for() {
    let outbound = Outbound { named: None, closed: "10.1.2.0:65535".parse().unwrap() };
    let (proofs, log) = tried(Recorder { reply: None, ..held() }, &Probes { outbound: Some(outbound), ..probes() });
    assert!(proofs.unwrap().iter().any(|proof| proof.field == NAMES));
    assert!(log.contains(&"try connect to 10.1.2.0:65535".to_owned()), "{log:?}");
    assert!(!log.iter().any(|line| line.starts_with("ask")), "{log:?}");
}

#[test]
fn where_every_address_is_granted_the_loopback_must_be_the_only_interface() {
    let all = || Probes { outside: Vec::new(), ..probes() };
    let with = |interfaces: &str| {
        let head =
            "Inter-|   Receive                            |  Transmit\n face |bytes    packets |bytes    packets\n";
        tried(Recorder { interfaces: Some(format!("{head}{interfaces}")), ..held() }, &all()).0
    };
    assert!(with("    lo: 0 0 0\n").is_ok());
    let error = with("    lo: 0 0 0\n  eth0: 1 2 3\n").unwrap_err().to_string();
    assert_eq!(error, "proof of permissions.network: interfaces: expected lo, but found lo eth0");
    assert!(matches!(tried(held(), &all()).0, Err(ConfinementFailed::Unclear { .. })));
}

#[test]
fn what_reads_back_differently_is_named() {
    let read_back = |kernel: Recorder, probes: &Probes| match tried(kernel, probes).0 {
        Err(ConfinementFailed::ReadBack { what, expected, found, .. }) => format!("{what}: {expected}, {found}"),
        other => panic!("{other:?}"),
    };
    for (from, to, expected) in [
        ("CapPrm:\t0000000000000000", "CapPrm:\t0000000000000001", "CapPrm: 0000000000000000, 0000000000000001"),
        ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "NoNewPrivs: 1, 0"),
        ("Seccomp:\t2", "Seccomp:\t0", "Seccomp: 2, 0"),
        ("Seccomp:\t2\n", "", "Seccomp: 2, nothing"),
    ] {
        let kernel = Recorder { status: STATUS.replace(from, to), ..held() };
        assert_eq!(read_back(kernel, &probes()), expected);
    }
    for (from, to, expected) in [
        ("/ ro,nosuid", "/ rw,nosuid", "mount /: ro nosuid nodev noexec, rw nosuid nodev noexec"),
        ("ro,nosuid,nodev,noexec - 9p", "ro,nosuid,nodev - 9p", "mount /a b: ro nosuid nodev noexec, ro nosuid nodev"),
        ("35 33 0:27 /0 /tmp", "35 33 0:27 /0 /more", "mount /tmp: rw nosuid nodev noexec, no mount"),
    ] {
        let kernel = Recorder { mounts: MOUNTS.replace(from, to), ..held() };
        assert_eq!(read_back(kernel, &probes()), expected);
    }
    let more = format!("{MOUNTS}38 33 0:23 / /mnt rw - 9p none rw\n");
    assert_eq!(read_back(Recorder { mounts: more, ..held() }, &probes()), "mount /mnt: no mount, rw");
    let limits = vec![Limit { resource: Resource::FileDescriptors, soft: 8, hard: 10 }];
    assert_eq!(read_back(Recorder { limits, ..held() }, &probes()), "limit FileDescriptors: 8 9, 8 10");
    let scratch_bytes = 1 << 20;
    assert_eq!(read_back(Recorder { scratch_bytes, ..held() }, &probes()), "scratch space: 8192, 1048576");
    let leaks = Probes { given_names: ["PATH".to_owned(), "POD_SECRET".to_owned()].into(), ..probes() };
    assert_eq!(read_back(held(), &leaks), "names beyond the granted ones: , POD_SECRET");
}

fn in_pod() -> Probes {
    let fenced = Some(fence::Fenced::for_test());
    Probes { pod: Some(PodProbes { init: 1, filters: 6, is_scratch_writable: true, fenced }), ..probes() }
}

fn held_in_pod() -> Recorder {
    Recorder { status: format!("{STATUS}Seccomp_filters:\t6\n"), ..held() }
}

#[test]
fn the_same_is_proven_in_the_pod_by_other_mechanisms() {
    let (proofs, _) = tried(held_in_pod(), &in_pod());
    let proofs = proofs.unwrap();
    let fields: Vec<_> = proofs.iter().map(|proof| proof.field.as_str()).collect();
    assert_eq!(
        fields,
        [FILES, COMMANDS, NETWORK, NAMES, PROCESSES, ENVIRONMENT, IPC, DESCRIPTORS, THREADS, CPU_TIME, DISK, WALL_TIME]
    );
    assert_eq!(proofs[0].mechanism, "Landlock");
}

#[test]
fn whatever_gets_through_in_the_pod_is_named_and_ends_the_proof() {
    let (_, log) = tried(held_in_pod(), &in_pod());
    let probes_tried: Vec<_> = log.iter().filter_map(|line| line.strip_prefix("try ")).collect();
    assert!(probes_tried.len() > 30, "{probes_tried:?}");
    for probe in probes_tried {
        let kernel = Recorder { lets_through: Some(probe.to_owned()), ..held_in_pod() };
        match tried(kernel, &in_pod()).0 {
            Err(ConfinementFailed::GotThrough { probe: named, .. }) => assert_eq!(named, probe),
            other => panic!("{probe}: {other:?}"),
        }
        let kernel = Recorder { answers: Some((probe.to_owned(), Errno::MFILE)), ..held_in_pod() };
        let (answer, _) = tried(kernel, &in_pod());
        assert!(matches!(answer, Err(ConfinementFailed::Unclear { errno: Errno::MFILE, .. })), "{probe}: {answer:?}");
    }
}

#[test]
fn what_reads_back_differently_in_the_pod_is_named() {
    let one_less = Recorder { status: format!("{STATUS}Seccomp_filters:\t5\n"), ..held() };
    let none = Recorder { status: STATUS.to_owned(), ..held() };
    let scratch_bytes = 1 << 20;
    let fenced = Some(fence::Fenced::for_test());
    let visible = Recorder { owner: 1000, ..held_in_pod() };
    let other = Probes { pod: Some(PodProbes { init: 9, filters: 6, is_scratch_writable: true, fenced }), ..probes() };
    let unfenced =
        Probes { pod: Some(PodProbes { init: 1, filters: 6, is_scratch_writable: true, fenced: None }), ..probes() };
    for (kernel, probes, expected) in [
        (one_less, in_pod(), "Seccomp_filters: 6, 5"),
        (none, in_pod(), "Seccomp_filters: 6, 0"),
        (visible, in_pod(), "owner of /proc/1/environ: 0, 1000"),
        (
            Recorder { scratch_bytes, ..held_in_pod() },
            in_pod(),
            "scratch space is at most what is granted: true, false",
        ),
        (held_in_pod(), other, "parent process: 9, 1"),
        (held_in_pod(), unfenced, "the network policy is in force: true, false"),
    ] {
        match tried(kernel, &probes).0 {
            Err(ConfinementFailed::ReadBack { what, expected: wanted, found, .. }) => {
                assert_eq!(format!("{what}: {wanted}, {found}"), expected);
            }
            other => panic!("{other:?}"),
        }
    }
    // Smaller than granted holds, too.
    let smaller = Recorder { scratch_bytes: 4096, ..held_in_pod() };
    assert!(tried(smaller, &in_pod()).0.is_ok());
    let closed =
        Probes { pod: Some(PodProbes { init: 1, filters: 6, is_scratch_writable: false, fenced }), ..probes() };
    let (_, log) = tried(held_in_pod(), &closed);
    assert!(log.contains(&"try create /tmp/.ccos-probe".to_owned()), "{log:?}");
}
