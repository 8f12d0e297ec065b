//! System calls that the workload can't make.
//!
//! A list of denials, not of permissions: the workload is any program, behind gVisor's own kernel. What is denied
//! here would undo the view, or reach what no other mechanism covers.

use std::collections::BTreeMap;

use ccos_profile::ProcessCreation;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};
use thiserror::Error;

/// What the caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Not permitted.
    Perm,
    /// Not known: the caller falls back to an older call.
    NoSys,
    /// No such kind of address.
    AddressFamily,
}

/// For which arguments the rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// All.
    Always,
    /// Argument `.0` has any bit of `.1`.
    AnyBit(u8, u64),
    /// Argument `.0` has no bit of `.1`.
    NoBit(u8, u64),
    /// Argument `.0` is `.1`.
    Is(u8, u64),
    /// The bits `.1` of argument `.0` are `.2`.
    Masked(u8, u64, u64),
    /// The bits `.1` of argument `.0`, the lowest ones, are none of `.2`.
    MaskedIsNot(u8, u64, &'static [u64]),
    /// Argument `.0` is `.1`, and argument `.2` is `.3`.
    IsBoth(u8, u64, u8, u64),
    /// Argument `.0` is none of `.1`.
    IsNot(u8, &'static [u64]),
    /// Argument `.0` is `.1`, and argument `.2` is not `.3`.
    IsButNot(u8, u64, u8, u64),
}

/// One denial.
#[derive(Clone, Copy, Debug)]
pub struct SyscallRule {
    /// Its number on this architecture.
    pub syscall: i64,
    /// Its name, for people.
    pub name: &'static str,
    /// For which arguments.
    pub when: When,
    /// The answer.
    pub answer: Answer,
    /// Why.
    pub because: &'static str,
}

/// A filter could not be made.
#[derive(Debug, Error)]
#[error("seccomp filter: {0}")]
pub struct FilterError(#[from] BackendError);

macro_rules! rules {
    ($($because:literal: $($syscall:ident $(if $when:expr)?),+ => $answer:ident;)*) => {
        &[$($(SyscallRule {
            syscall: libc::$syscall,
            name: stringify!($syscall),
            when: rules!(@when $($when)?),
            answer: Answer::$answer,
            because: $because,
        }),+),*]
    };
    (@when) => { When::Always };
    (@when $when:expr) => { $when };
}

const NAMESPACE_BITS: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

const FAMILIES: &[u64] = &[libc::AF_UNIX as u64, libc::AF_INET as u64, libc::AF_INET6 as u64, libc::AF_NETLINK as u64];

/// fcntl(2) and ioctl(2) by which a descriptor gets an owner and a signal; libc has not all of them
/// (asm-generic/fcntl.h, asm-generic/sockios.h).
const F_SETOWN: u64 = 8;
const F_SETSIG: u64 = 10;
const F_SETOWN_EX: u64 = 15;
const FIOSETOWN: u64 = 0x8901;
const SIOCSPGRP: u64 = 0x8902;

/// linux/ioprio.h.
const IOPRIO_WHO_PROCESS: u64 = 1;

/// linux/tcp.h.
const TCP_ULP: u64 = 31;

/// What of a socket's type is no flag (linux/net.h).
const SOCKET_TYPE: u64 = 0xf;

/// Denied to every workload.
pub const ALWAYS: &[SyscallRule] = rules! {
    "a user namespace gives all capabilities inside it":
        SYS_unshare, SYS_setns, SYS_clone if When::AnyBit(0, NAMESPACE_BITS) => Perm;
    "its flags are behind a pointer; libc falls back to clone on ENOSYS only":
        SYS_clone3 => NoSys;
    "mounts are the view":
        SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsmount,
        SYS_fsconfig, SYS_fspick, SYS_mount_setattr => Perm;
    "a file in no mount has no noexec":
        SYS_memfd_create, SYS_memfd_secret => Perm;
    "executes a descriptor; execve says by its path what is executed":
        SYS_execveat => Perm;
    "reaches into other processes":
        SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise, SYS_kcmp,
        SYS_pidfd_getfd => Perm;
    "makes the kernel send signals, of any number, to any process of the uid: to the init, too":
        SYS_fcntl if When::Is(1, F_SETOWN), SYS_fcntl if When::Is(1, F_SETOWN_EX), SYS_fcntl if When::Is(1, F_SETSIG),
        SYS_ioctl if When::Is(1, FIOSETOWN), SYS_ioctl if When::Is(1, SIOCSPGRP) => Perm;
    "files by their number, past every path":
        SYS_name_to_handle_at, SYS_open_by_handle_at => Perm;
    "rings make calls that no filter sees":
        SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register => Perm;
    "part of the kernel that a workload has no use for, and others broke out through":
        SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_fanotify_init,
        SYS_lookup_dcookie, SYS_vhangup, SYS_modify_ldt => Perm;
    "the machine's":
        SYS_kexec_load, SYS_kexec_file_load, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot,
        SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl, SYS_quotactl_fd, SYS_syslog, SYS_settimeofday,
        SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_iopl, SYS_ioperm, SYS_sethostname,
        SYS_setdomainname => Perm;
    "a personality can turn address randomisation and W^X off; 0 and 0xffffffff are none and a question":
        SYS_personality if When::IsNot(0, &[0, 0xffff_ffff]) => Perm;
    "types into the terminal of whoever watches":
        SYS_ioctl if When::Is(1, libc::TIOCSTI) => Perm;
};

/// Denied in namespaces of one's own.
pub const IN_NAMESPACES: &[SyscallRule] = rules! {
    "kinds of network that the network namespace does not hold, or nobody tested":
        SYS_socket if When::IsNot(0, FAMILIES),
        SYS_socket if When::IsButNot(0, libc::AF_NETLINK as u64, 2, libc::NETLINK_ROUTE as u64) => AddressFamily;
};

/// Denied in the pod's namespaces where nothing may be connected to.
pub const WITHOUT_NETWORK: &[SyscallRule] = rules! {
    "the network is the pod's, and Landlock lets sockets that are files through": SYS_socket => AddressFamily;
};

/// Denied in the pod's namespaces where the relay may be connected to.
pub const BESIDE_THE_RELAY: &[SyscallRule] = rules! {
    "the relay takes TCP and answers names by UDP; what else there is Landlock does not hold (linux/mptcp.h: a way to TCP past it)":
        SYS_socket if When::IsNot(0, &[libc::AF_INET as u64]),
        SYS_socket if When::MaskedIsNot(1, SOCKET_TYPE, &[libc::SOCK_STREAM as u64, libc::SOCK_DGRAM as u64]),
        SYS_socket if When::IsNot(2, &[0, libc::IPPROTO_TCP as u64, libc::IPPROTO_UDP as u64]) => AddressFamily;
    "connects without connect(2), and so without Landlock":
        SYS_sendto if When::AnyBit(3, libc::MSG_FASTOPEN as u64),
        SYS_sendmsg if When::AnyBit(2, libc::MSG_FASTOPEN as u64),
        SYS_sendmmsg if When::AnyBit(3, libc::MSG_FASTOPEN as u64) => Perm;
    "makes of a TCP socket one of another kind":
        SYS_setsockopt if When::IsBoth(1, libc::IPPROTO_TCP as u64, 2, TCP_ULP) => Perm;
    "nothing comes in; without bind(2) the kernel chooses a port, and asks no Landlock": SYS_listen => Perm;
};

/// Denied in the pod's namespaces.
pub const IN_THE_POD: &[SyscallRule] = rules! {
    "a pair of streams leads nowhere else; datagrams can be sent to any name":
        SYS_socketpair if When::IsNot(0, &[libc::AF_UNIX as u64]),
        SYS_socketpair if When::Masked(1, SOCKET_TYPE, libc::SOCK_DGRAM as u64),
        SYS_socketpair if When::Masked(1, SOCKET_TYPE, libc::SOCK_RAW as u64) => AddressFamily;
    "shared memory, queues and semaphores of the pod's namespace, outside of every limit of disk":
        SYS_shmget, SYS_shmat, SYS_shmctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl,
        SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl,
        SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr => Perm;
    "Landlock knows no attributes: they would be written to files that may only be read":
        SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr => NoSys;
    "watches tell the names of folders that may not be listed; the kernel counts them for the node's root, who has 128":
        SYS_inotify_init, SYS_inotify_init1, SYS_inotify_add_watch => NoSys;
    "the kernel counts asynchronous requests for the whole node, which has 65,536": SYS_io_setup => NoSys;
    "the runner shares the uid: it must not be made to wait":
        SYS_setpriority if When::IsNot(0, &[libc::PRIO_PROCESS as u64]),
        SYS_ioprio_set if When::IsNot(0, &[IOPRIO_WHO_PROCESS]) => Perm;
};

/// Denied where processes may not be created.
pub const PROCESS_CREATION: &[SyscallRule] = rules! {
    "processes may not be created; threads may":
        SYS_fork, SYS_vfork, SYS_clone if When::NoBit(0, libc::CLONE_THREAD as u64) => Perm;
};

/// As [`IN_THE_POD`] says of attributes, by calls that libc has no names for: setxattrat and removexattrat of Linux 6.13,
/// `file_setattr` of 6.17.
const NEW_ATTRIBUTES: [i64; 3] = [463, 466, 469];

/// Denied to every workload, about a process of the runner: it has the same uid.
fn about(process: u64) -> Vec<SyscallRule> {
    rules! {
        "a process of the runner, of the same uid, holds the CPU time: no signals, no other limits for it":
            SYS_kill if When::Is(0, process), SYS_tkill if When::Is(0, process), SYS_tgkill if When::Is(0, process),
            SYS_rt_sigqueueinfo if When::Is(0, process), SYS_rt_tgsigqueueinfo if When::Is(0, process),
            SYS_pidfd_open if When::Is(0, process), SYS_prlimit64 if When::Is(0, process),
            SYS_sched_setaffinity if When::Is(0, process), SYS_sched_setscheduler if When::Is(0, process),
            SYS_sched_setparam if When::Is(0, process), SYS_sched_setattr if When::Is(0, process) => Perm;
    }
    .to_vec()
}

/// Whose namespaces the workload is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// Its own, with the init as their process 1.
    Own,
    /// The pod's, with the runner as process 1.
    Pod {
        /// Whether the relay beside it may be connected to.
        connects: bool,
    },
}

/// Compiles the filters, in the order in which they are installed.
///
/// # Errors
/// [`FilterError`]: a bug in the tables.
pub fn compile(
    process_creation: ProcessCreation,
    namespaces: Namespaces,
) -> Result<Vec<(&'static str, BpfProgram)>, FilterError> {
    let denied: &[SyscallRule] = match process_creation {
        ProcessCreation::Allowed => &[],
        ProcessCreation::Denied => PROCESS_CREATION,
    };
    let (inside, network): (&[SyscallRule], &[SyscallRule]) = match namespaces {
        Namespaces::Own => (IN_NAMESPACES, &[]),
        Namespaces::Pod { connects: false } => (IN_THE_POD, WITHOUT_NETWORK),
        Namespaces::Pod { connects: true } => (IN_THE_POD, BESIDE_THE_RELAY),
    };
    let named = |syscall| SyscallRule {
        syscall,
        name: "",
        when: When::Always,
        answer: Answer::NoSys,
        because: "Landlock knows no attributes",
    };
    let unnamed = NEW_ATTRIBUTES.map(named);
    let first = about(1);
    // seccompiler has one answer for all rules of a filter, so a filter for each answer. The kernel runs all of them,
    // and a denial by any wins over a permission by another.
    let of = |answer| {
        ALWAYS
            .iter()
            .chain(inside)
            .chain(network)
            .chain(denied)
            .chain(&unnamed)
            .chain(&first)
            .filter(move |rule| rule.answer == answer)
    };
    Ok(vec![
        ("other architectures", other_architectures()),
        ("EAFNOSUPPORT", filter(of(Answer::AddressFamily), libc::EAFNOSUPPORT)?),
        ("ENOSYS", filter(of(Answer::NoSys), libc::ENOSYS)?),
        ("EPERM", filter(of(Answer::Perm), libc::EPERM)?),
    ])
}

/// What is denied about the runner's processes in the pod's namespaces, whose numbers are known late.
///
/// # Errors
/// [`FilterError`]: a bug in the tables.
pub fn guard(processes: &[i32]) -> Result<(&'static str, BpfProgram), FilterError> {
    let rules: Vec<_> = processes
        .iter()
        .flat_map(|process| {
            let process = u64::from(process.unsigned_abs());
            let waits = rules! {
                "the runner shares the uid: it must not be made to wait":
                    SYS_setpriority if When::Is(1, process), SYS_ioprio_set if When::Is(1, process) => Perm;
            };
            about(process).into_iter().chain(waits.to_vec())
        })
        .collect();
    Ok(("EPERM about the runner", filter(rules.iter(), libc::EPERM)?))
}

fn filter<'a>(rules: impl Iterator<Item = &'a SyscallRule>, errno: i32) -> Result<BpfProgram, FilterError> {
    let mut map: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for rule in rules {
        let when = conditions(rule.when)?;
        map.entry(rule.syscall).or_default().extend(when);
    }
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    // Each filter kills on another architecture than this.
    Ok(SeccompFilter::new(map, SeccompAction::Allow, answer, TargetArch::x86_64)?.try_into()?)
}

/// All arguments here are 32 bits wide for the kernel: comparing 64 would let a caller differ in the upper half.
fn conditions(when: When) -> Result<Vec<SeccompRule>, BackendError> {
    let condition = |argument, op, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value);
    Ok(match when {
        When::Always => Vec::new(),
        When::AnyBit(argument, bits) => (0..32)
            .map(|bit| 1_u64 << bit)
            .filter(|bit| bits & bit != 0)
            .map(|bit| SeccompRule::new(vec![condition(argument, SeccompCmpOp::MaskedEq(bit), bit)?]))
            .collect::<Result<_, _>>()?,
        When::NoBit(argument, bits) => {
            vec![SeccompRule::new(vec![condition(argument, SeccompCmpOp::MaskedEq(bits), 0)?])?]
        }
        When::Is(argument, value) => vec![SeccompRule::new(vec![condition(argument, SeccompCmpOp::Eq, value)?])?],
        When::Masked(argument, mask, value) => {
            vec![SeccompRule::new(vec![condition(argument, SeccompCmpOp::MaskedEq(mask), value)?])?]
        }
        When::MaskedIsNot(argument, mask, allowed) => (0..=mask)
            .filter(|value| !allowed.contains(value))
            .map(|value| SeccompRule::new(vec![condition(argument, SeccompCmpOp::MaskedEq(mask), value)?]))
            .collect::<Result<_, _>>()?,
        When::IsBoth(first, value, second, other) => vec![SeccompRule::new(vec![
            condition(first, SeccompCmpOp::Eq, value)?,
            condition(second, SeccompCmpOp::Eq, other)?,
        ])?],
        When::IsNot(argument, values) => {
            let all = values.iter().map(|value| condition(argument, SeccompCmpOp::Ne, *value));
            vec![SeccompRule::new(all.collect::<Result<_, _>>()?)?]
        }
        When::IsButNot(first, value, second, other) => vec![SeccompRule::new(vec![
            condition(first, SeccompCmpOp::Eq, value)?,
            condition(second, SeccompCmpOp::Ne, other)?,
        ])?],
    })
}

/// x32 calls have this bit in their number and the same architecture: no rule above would match them.
const X32_BIT: u32 = 0x4000_0000;

/// Kills on x32; i386 is killed by the other filters. Written by hand, since seccompiler compares numbers only.
fn other_architectures() -> BpfProgram {
    let instruction = |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k };
    vec![
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0), // seccomp_data.nr
        instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32_BIT),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_syscall_has_one_answer() {
        for rules in [ALWAYS, PROCESS_CREATION, IN_NAMESPACES, IN_THE_POD, BESIDE_THE_RELAY, &about(1)] {
            let mut answers = BTreeMap::new();
            for rule in rules {
                assert_eq!(*answers.entry(rule.syscall).or_insert(rule.answer), rule.answer, "{}", rule.name);
            }
        }
    }

    /// A rule without conditions beside one with some would be lost: seccompiler takes an empty list for "always".
    #[test]
    fn what_is_always_denied_has_no_other_rule() {
        for (inside, network) in
            [(IN_NAMESPACES, &[][..]), (IN_THE_POD, WITHOUT_NETWORK), (IN_THE_POD, BESIDE_THE_RELAY)]
        {
            let first = about(1);
            let all: Vec<_> =
                ALWAYS.iter().chain(inside).chain(network).chain(PROCESS_CREATION).chain(&first).collect();
            for always in all.iter().filter(|rule| rule.when == When::Always) {
                assert_eq!(all.iter().filter(|rule| rule.syscall == always.syscall).count(), 1, "{}", always.name);
            }
        }
    }

    #[test]
    fn process_creation_adds_to_one_filter_only() {
        let allowed = compile(ProcessCreation::Allowed, Namespaces::Own).unwrap();
        let denied = compile(ProcessCreation::Denied, Namespaces::Own).unwrap();
        let changed: Vec<_> = allowed.iter().zip(&denied).filter(|(a, d)| a.1 != d.1).map(|(a, _)| a.0).collect();
        assert_eq!(changed, ["EPERM"]);
    }
}
