use ccos_profile::ProcessCreation;

use super::*;
use crate::grants::Right;
use crate::kernel::recorder::Recorder;
use crate::kernel::{Limit, Resource};
use crate::view::{Mode, Source};

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::parse(text).unwrap()
}

fn isolation() -> Isolation {
    let source = Source { root: "/ccos/image".to_owned(), path: path("/app/run") };
    let steps = vec![
        Step::Folder { at: path("/app") },
        Step::Show { source, at: path("/app/run"), mode: Mode::Executable },
        Step::Processes { at: path("/proc") },
        Step::Cover { at: path("/proc/1") },
        Step::Scratch { at: path("/tmp"), bits: 0o1777 },
    ];
    let addresses = vec![Address { address: [10, 1, 2, 0].into(), prefix: 24 }];
    let relay = Inside { addresses, ports: vec![443], to: 11 };
    Isolation::View { uid: 1000, gid: 1000, disk_bytes: 1 << 20, relay: Some(relay), steps }
}

fn confinement() -> Confinement {
    Confinement {
        input: path("/run/ccos/input.json"),
        outputs: (5, 7),
        setup: 9,
        limits: vec![Limit { resource: Resource::CpuSeconds, soft: 60, hard: 61 }],
        working_dir: path("/"),
        landlock: None,
        connects: Vec::new(),
        filters: syscalls::compile(ProcessCreation::Denied, Namespaces::Own).unwrap(),
    }
}

fn in_pod(connects: bool) -> (Isolation, Confinement) {
    let grant = |at: &str, is_folder, right| Grant {
        source: Source { root: "/".to_owned(), path: path(at) },
        is_folder,
        right,
    };
    let landlock = vec![
        grant("/usr/lib", true, Right::Read),
        grant("/tmp", true, Right::Scratch),
        grant("/dev/null", false, Right::Device),
        grant("/run/ccos/input.json", false, Right::Read),
        grant("/app/run", false, Right::Execute),
        grant("/data", true, Right::Write),
    ];
    let mut filters = syscalls::compile(ProcessCreation::Denied, Namespaces::Pod { connects }).unwrap();
    filters.push(syscalls::guard(&[1, 7]).unwrap());
    let relay = Beside { ports: vec![443], to: 11, proxy: "10.96.0.9:3128".parse().unwrap() };
    let relay = connects.then_some(relay);
    let isolation = Isolation::Pod { input: path("/run/ccos/input.json"), text: "{}".to_owned(), relay };
    let connects = if connects { vec![53, 443] } else { Vec::new() };
    (isolation, Confinement { landlock: Some(landlock), connects, filters, ..confinement() })
}

/// The order is the specification: whoever changes it argues for it.
#[test]
fn the_order_is_the_one_that_is_written_down() {
    let mut kernel = Recorder::default();
    isolate(&mut kernel, &isolation()).unwrap();
    kernel.log.push("fork".to_owned());
    let _: Confined = lock_down(&mut kernel, confinement()).unwrap();
    assert_eq!(kernel.log.join("\n") + "\n", include_str!("order.txt"));
}

#[test]
fn the_order_in_the_pod_is_the_one_that_is_written_down() {
    for (connects, order) in
        [(false, include_str!("order-in-pod.txt")), (true, include_str!("order-beside-the-relay.txt"))]
    {
        let mut kernel = Recorder::default();
        let (isolation, confinement) = in_pod(connects);
        shelter(&mut kernel).unwrap();
        kernel.log.push("fork".to_owned());
        isolate(&mut kernel, &isolation).unwrap();
        kernel.log.push("fork".to_owned());
        let _: Confined = lock_down(&mut kernel, confinement).unwrap();
        assert_eq!(kernel.log.join("\n") + "\n", order);
    }
}

#[test]
fn landlock_that_fails_is_the_last_step() {
    let landlock = include_str!("order-beside-the-relay.txt").lines().filter(|call| call.starts_with("landlock"));
    let listen = "listen for names and on 1 ports of this pod alone, hand out";
    for call in landlock.chain(["reaps orphans", "input /run/ccos/input.json (2 bytes)", listen]) {
        let mut kernel = Recorder { fails: Some(call.to_owned()), ..Recorder::default() };
        let (isolation, confinement) = in_pod(true);
        let failed = isolate(&mut kernel, &isolation).and_then(|()| lock_down(&mut kernel, confinement)).unwrap_err();
        assert_eq!(failed, LockdownError::Step { call: call.to_owned(), errno: Errno::PERM });
        assert_eq!(kernel.log.last().unwrap(), call);
    }
}

#[test]
fn a_step_that_fails_is_the_last() {
    let all: Vec<String> = include_str!("order.txt").lines().map(str::to_owned).collect();
    for (index, call) in all.iter().enumerate().filter(|(_, call)| *call != "fork") {
        let mut kernel = Recorder { fails: Some(call.clone()), ..Recorder::default() };
        let isolated = isolate(&mut kernel, &isolation());
        let failed = match isolated {
            Ok(()) => {
                kernel.log.push("fork".to_owned());
                lock_down(&mut kernel, confinement()).unwrap_err()
            }
            Err(error) => error,
        };
        let errno = Errno::PERM;
        let expected = match call.as_str() {
            "enter /" => LockdownError::WorkingDir { path: path("/"), errno },
            call => LockdownError::Step { call: call.to_owned(), errno },
        };
        assert_eq!(failed, expected);
        assert_eq!(kernel.log, all[..=index]);
    }
}

#[test]
fn the_init_keeps_its_pipes_and_no_right() {
    let mut kernel = Recorder::default();
    renounce(&mut kernel, Namespaces::Own, vec![3, 4, 5]).unwrap();
    assert_eq!(
        kernel.log,
        [
            "close descriptors from 3 but 3",
            "not dumpable",
            "no new privileges",
            "drop bounding set",
            "clear ambient set",
            "drop capabilities",
        ]
    );
}
