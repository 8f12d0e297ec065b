use ccos_profile::ProcessCreation;

use super::*;
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
    Isolation { uid: 1000, gid: 1000, disk_bytes: 1 << 20, relay: Some((vec![443], 11)), steps }
}

fn confinement() -> Confinement {
    Confinement {
        input: path("/run/ccos/input.json"),
        outputs: (5, 7),
        setup: 9,
        limits: vec![Limit { resource: Resource::CpuSeconds, soft: 60, hard: 61 }],
        working_dir: path("/"),
        filters: syscalls::compile(ProcessCreation::Denied).unwrap(),
    }
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
    renounce(&mut kernel, vec![3, 4, 5]).unwrap();
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
