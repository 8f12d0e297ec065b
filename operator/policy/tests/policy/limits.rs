//! Limits: who bounds them, who gives them, and what is reasonable.

use ccos_policy::Reason::*;
use ccos_policy::{Bytes, Cores, Level, LimitKind, Limits, Millis, Reason};

use crate::given::{case, outbounds};

fn memory(text: &str) -> Limits {
    Limits { memory: Some(text.parse().unwrap()), ..Limits::default() }
}

fn cpu_time(text: &str) -> Limits {
    Limits { cpu_time: Some(text.parse().unwrap()), ..Limits::default() }
}

/// One above the defaults of `Controlled`.
fn above(kind: LimitKind) -> Limits {
    let default = Level::Controlled.default_limits();
    let mut limits = Limits::default();
    match kind {
        LimitKind::Memory => limits.memory = Some(Bytes(default.memory.0 + 1)),
        LimitKind::Cpu => limits.cpu = Some(Cores { millis: default.cpu.millis + 1 }),
        LimitKind::CpuTime => limits.cpu_time = Some(Millis(default.cpu_time.0 + 1)),
        LimitKind::WallTime => limits.wall_time = Some(Millis(default.wall_time.0 + 1)),
        LimitKind::Disk => limits.disk = Some(Bytes(default.disk.0 + 1)),
        LimitKind::FileDescriptors => limits.file_descriptors = Some(default.file_descriptors + 1),
        LimitKind::Threads => limits.threads = Some(default.threads + 1),
        LimitKind::NetworkBytesPerSecond => limits.network_bytes_per_second = Some(Bytes(1)),
    }
    limits
}

#[test]
fn each_limit_is_bounded_by_the_context_else_by_the_level() {
    for kind in LimitKind::ALL {
        let field = format!("requires.limits.{kind}");
        let by_level = case().asks(|r| r.requires.limits = above(kind));
        if kind == LimitKind::NetworkBytesPerSecond {
            let _ = by_level.admitted();
        } else {
            by_level.denied_for(&[(LimitExceeded, &field)]);
        }
        let granted = by_level.context(|c| c.limits = above(kind));
        let _ = granted.admitted();
        granted
            .context(|c| c.limits = one(kind))
            .asks(|r| r.requires.limits = two(kind))
            .denied_for(&[(LimitExceeded, &field)]);
    }
}

fn all(amount: u64) -> Limits {
    Limits {
        memory: Some(Bytes(amount)),
        cpu: Some(Cores { millis: amount }),
        cpu_time: Some(Millis(amount)),
        wall_time: Some(Millis(amount)),
        disk: Some(Bytes(amount)),
        file_descriptors: Some(amount),
        threads: Some(amount),
        network_bytes_per_second: Some(Bytes(amount)),
    }
}

fn only(kind: LimitKind, from: Limits) -> Limits {
    let mut limits = Limits::default();
    match kind {
        LimitKind::Memory => limits.memory = from.memory,
        LimitKind::Cpu => limits.cpu = from.cpu,
        LimitKind::CpuTime => limits.cpu_time = from.cpu_time,
        LimitKind::WallTime => limits.wall_time = from.wall_time,
        LimitKind::Disk => limits.disk = from.disk,
        LimitKind::FileDescriptors => limits.file_descriptors = from.file_descriptors,
        LimitKind::Threads => limits.threads = from.threads,
        LimitKind::NetworkBytesPerSecond => limits.network_bytes_per_second = from.network_bytes_per_second,
    }
    limits
}

fn one(kind: LimitKind) -> Limits {
    only(kind, all(1))
}

fn two(kind: LimitKind) -> Limits {
    only(kind, all(2))
}

#[test]
fn an_absent_limit_is_the_capabilitys_else_the_contexts_else_the_levels() {
    let level = case();
    assert_eq!(level.admitted().limits(), &Level::Controlled.default_limits());
    let context = level.context(|c| c.limits = all(40)).needs(|r| r.outbound = None);
    assert_eq!(context.admitted().limits().memory, Bytes(40));
    let capability = context.capability(|c| c.requires.limits = all(30));
    assert_eq!(capability.admitted().limits().threads, 30);
    let own = capability.asks(|r| r.requires.limits = all(20));
    assert_eq!(own.admitted().limits().cpu_time, Millis(20));
    assert_eq!(own.admitted().limits().network_bytes_per_second, None, "there is no network");
}

#[test]
fn a_limit_above_the_capabilitys_own_is_widening() {
    case()
        .capability(|c| c.requires.limits = memory("64Mi"))
        .asks(|r| r.requires.limits = memory("65Mi"))
        .says("requires.limits.memory 65Mi: exceeds 64Mi, the capability's own");
}

#[test]
fn a_message_has_the_users_units_and_says_whose_the_bound_is() {
    let case = case().asks(|r| r.requires.limits = memory("512Mi"));
    case.says("requires.limits.memory 512Mi: exceeds 256Mi, the default of level Controlled");
    case.clone().context(|c| c.limits = memory("300Mi")).says("requires.limits.memory 512Mi: exceeds 300Mi");
    case.asks(|r| r.requires.limits = Limits::default())
        .capability(|c| c.requires.limits = cpu_time("90s"))
        .says("requires.limits.cpuTime 1m30s: exceeds 1m, the default of level Controlled; required by weather.fetch of CapabilityProvider \"weather\"");
}

#[test]
fn more_than_is_reasonable_needs_a_context_that_says_so() {
    type Row = (Limits, Option<Limits>, Option<Reason>);
    let rows: [Row; 7] = [
        (memory("1Gi"), None, None),
        (memory("1025Mi"), None, Some(LimitUnreasonable)),
        (memory("2Gi"), Some(memory("2Gi")), None),
        (memory("2Gi"), Some(memory("1536Mi")), Some(LimitExceeded)),
        (cpu_time("5m"), None, None),
        (cpu_time("5m1ms"), None, Some(LimitUnreasonable)),
        (cpu_time("6m"), Some(cpu_time("10m")), None),
    ];
    for (required, granted, reason) in rows {
        let case = case()
            .context(|c| c.level = Level::Full)
            .context(|c| c.limits = granted.unwrap_or_default())
            .asks(|r| r.requires.limits = required);
        match reason {
            None => assert_eq!(case.admitted().limits().memory, required.memory.unwrap_or(Bytes(1 << 30))),
            Some(reason) => assert_eq!(case.denied().first().unwrap().reason(), reason),
        }
    }
    case()
        .context(|c| c.level = Level::Full)
        .asks(|r| r.requires.limits = memory("2Gi"))
        .says("requires.limits.memory 2Gi: exceeds 1Gi, the most without a context that says more in limits.memory");
}

#[test]
fn every_level_has_reasonable_defaults() {
    for level in [Level::Pure, Level::Controlled, Level::Full, Level::Sandboxed] {
        let defaults = level.default_limits();
        for kind in LimitKind::ALL {
            if let (Some(default), Some(reasonable)) = (defaults.get(kind), kind.reasonable()) {
                assert!(default <= reasonable, "{level} {kind}");
            }
        }
    }
}

#[test]
fn what_trusts_least_lives_shortest() {
    let minutes = |level: Level| level.default_lifetime().map(|lifetime| lifetime.as_secs() / 60);
    assert_eq!(minutes(Level::Sandboxed), Some(10));
    assert_eq!(minutes(Level::Controlled), Some(60));
    assert_eq!((minutes(Level::Pure), minutes(Level::Full)), (None, None));
}

#[test]
fn bandwidth_is_in_force_only_with_a_network() {
    // Networks are not held yet, so only its absence can be seen.
    let limits = Limits { network_bytes_per_second: Some(Bytes(1000)), ..Limits::default() };
    let case = case().context(|c| c.limits = limits);
    assert_eq!(case.admitted().limits().network_bytes_per_second, None);
    let _ = case.needs(|r| r.outbound = Some(outbounds(&["x.com 1"]))).denied();
}
