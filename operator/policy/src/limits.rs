//! Bounds of an attempt: what each level gives, what is reasonable, and amounts that carry their unit.

pub mod amount;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::request::Level;

pub use amount::AmountError;

/// An amount of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Bytes(pub u64);

/// Thousandths of a CPU core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Cores {
    /// 1000 is one core.
    pub millis: u64,
}

/// A span of time in milliseconds. Not `std::time::Duration`: this is what the wire can say (Gateway API durations).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Millis(pub u64);

/// Limits as somebody wrote them; `None` is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the one of the same name on the wire")]
pub struct Limits {
    pub memory: Option<Bytes>,
    pub cpu: Option<Cores>,
    pub cpu_time: Option<Millis>,
    pub wall_time: Option<Millis>,
    pub disk: Option<Bytes>,
    pub file_descriptors: Option<u64>,
    pub threads: Option<u64>,
    pub network_bytes_per_second: Option<Bytes>,
}

/// Limits that hold for an attempt: none is absent but the bandwidth, which only a network needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each field is the one of the same name on the wire")]
pub struct LimitsInForce {
    pub memory: Bytes,
    pub cpu: Cores,
    pub cpu_time: Millis,
    pub wall_time: Millis,
    pub disk: Bytes,
    pub file_descriptors: u64,
    pub threads: u64,
    pub network_bytes_per_second: Option<Bytes>,
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each variant is the field of the same name")]
pub enum LimitKind {
    Memory,
    Cpu,
    CpuTime,
    WallTime,
    Disk,
    FileDescriptors,
    Threads,
    NetworkBytesPerSecond,
}

impl LimitKind {
    /// All of them, in the order of the wire.
    pub const ALL: [Self; 8] = [
        Self::Memory,
        Self::Cpu,
        Self::CpuTime,
        Self::WallTime,
        Self::Disk,
        Self::FileDescriptors,
        Self::Threads,
        Self::NetworkBytesPerSecond,
    ];

    /// The name of the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::CpuTime => "cpuTime",
            Self::WallTime => "wallTime",
            Self::Disk => "disk",
            Self::FileDescriptors => "fileDescriptors",
            Self::Threads => "threads",
            Self::NetworkBytesPerSecond => "networkBytesPerSecond",
        }
    }

    /// The seed's "reasonable" maximum: what a context has to name itself before an execution may require more.
    #[must_use]
    pub const fn reasonable(self) -> Option<Amount> {
        match self {
            Self::Memory => Some(Amount::Bytes(Bytes(1 << 30))),
            Self::CpuTime => Some(Amount::Time(Millis(5 * 60 * 1000))),
            Self::Cpu
            | Self::WallTime
            | Self::Disk
            | Self::FileDescriptors
            | Self::Threads
            | Self::NetworkBytesPerSecond => None,
        }
    }
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A limit's value, with its unit. Two of one [`LimitKind`] are of one variant and compare by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Amount {
    /// Memory, disk, or bytes a second.
    Bytes(Bytes),
    /// CPU.
    Cores(Cores),
    /// CPU time or wall time.
    Time(Millis),
    /// Descriptors or threads.
    Count(u64),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Cores(cores) => cores.fmt(f),
            Self::Time(time) => time.fmt(f),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl Limits {
    /// One of them; `None` is absent.
    #[must_use]
    pub fn get(&self, kind: LimitKind) -> Option<Amount> {
        match kind {
            LimitKind::Memory => self.memory.map(Amount::Bytes),
            LimitKind::Cpu => self.cpu.map(Amount::Cores),
            LimitKind::CpuTime => self.cpu_time.map(Amount::Time),
            LimitKind::WallTime => self.wall_time.map(Amount::Time),
            LimitKind::Disk => self.disk.map(Amount::Bytes),
            LimitKind::FileDescriptors => self.file_descriptors.map(Amount::Count),
            LimitKind::Threads => self.threads.map(Amount::Count),
            LimitKind::NetworkBytesPerSecond => self.network_bytes_per_second.map(Amount::Bytes),
        }
    }

    /// These, and where one is absent, the other's.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            memory: self.memory.or(other.memory),
            cpu: self.cpu.or(other.cpu),
            cpu_time: self.cpu_time.or(other.cpu_time),
            wall_time: self.wall_time.or(other.wall_time),
            disk: self.disk.or(other.disk),
            file_descriptors: self.file_descriptors.or(other.file_descriptors),
            threads: self.threads.or(other.threads),
            network_bytes_per_second: self.network_bytes_per_second.or(other.network_bytes_per_second),
        }
    }

    /// These, and where one is absent, the level's: never unlimited. Only the bandwidth stays absent.
    #[must_use]
    pub fn or_default(self, default: LimitsInForce) -> LimitsInForce {
        LimitsInForce {
            memory: self.memory.unwrap_or(default.memory),
            cpu: self.cpu.unwrap_or(default.cpu),
            cpu_time: self.cpu_time.unwrap_or(default.cpu_time),
            wall_time: self.wall_time.unwrap_or(default.wall_time),
            disk: self.disk.unwrap_or(default.disk),
            file_descriptors: self.file_descriptors.unwrap_or(default.file_descriptors),
            threads: self.threads.unwrap_or(default.threads),
            network_bytes_per_second: self.network_bytes_per_second.or(default.network_bytes_per_second),
        }
    }
}

impl LimitsInForce {
    /// One of them; `None` is a bandwidth that nothing bounds.
    #[must_use]
    pub fn get(&self, kind: LimitKind) -> Option<Amount> {
        let Self { memory, cpu, cpu_time, wall_time, disk, file_descriptors, threads, network_bytes_per_second } =
            *self;
        match kind {
            LimitKind::Memory => Some(Amount::Bytes(memory)),
            LimitKind::Cpu => Some(Amount::Cores(cpu)),
            LimitKind::CpuTime => Some(Amount::Time(cpu_time)),
            LimitKind::WallTime => Some(Amount::Time(wall_time)),
            LimitKind::Disk => Some(Amount::Bytes(disk)),
            LimitKind::FileDescriptors => Some(Amount::Count(file_descriptors)),
            LimitKind::Threads => Some(Amount::Count(threads)),
            LimitKind::NetworkBytesPerSecond => network_bytes_per_second.map(Amount::Bytes),
        }
    }
}

impl Level {
    /// What an attempt may use where neither the execution, nor the capability, nor the context says so.
    ///
    /// | level | memory | cpu | cpuTime | wallTime | disk | fileDescriptors | threads |
    /// |---|---|---|---|---|---|---|---|
    /// | Pure | 128Mi | 500m | 10s | 30s | 16Mi | 64 | 16 |
    /// | Controlled | 256Mi | 500m | 1m | 5m | 64Mi | 256 | 64 |
    /// | Sandboxed | 128Mi | 500m | 30s | 1m | 32Mi | 128 | 32 |
    /// | Full | 1Gi | 1 | 5m | 1h | 256Mi | 1024 | 256 |
    ///
    /// Pure computes from inputs that are at most 256 KiB. Sandboxed is code that nobody trusts: what it takes to be
    /// useful, not to be a nuisance. Full ends at what the seed calls reasonable.
    #[must_use]
    pub const fn default_limits(self) -> LimitsInForce {
        let (memory, cores, cpu_seconds, wall_seconds, disk, file_descriptors, threads) = match self {
            Self::Pure => (128, 500, 10, 30, 16, 64, 16),
            Self::Controlled => (256, 500, 60, 300, 64, 256, 64),
            Self::Sandboxed => (128, 500, 30, 60, 32, 128, 32),
            Self::Full => (1024, 1000, 300, 3600, 256, 1024, 256),
        };
        LimitsInForce {
            memory: Bytes(memory << 20),
            cpu: Cores { millis: cores },
            cpu_time: Millis(cpu_seconds * 1000),
            wall_time: Millis(wall_seconds * 1000),
            disk: Bytes(disk << 20),
            file_descriptors,
            threads,
            network_bytes_per_second: None,
        }
    }

    /// How long a context of this level lives that does not say so itself; `None`: it does not expire.
    #[must_use]
    pub const fn default_lifetime(self) -> Option<Duration> {
        match self {
            Self::Controlled => Some(Duration::from_hours(1)),
            Self::Sandboxed => Some(Duration::from_mins(10)),
            Self::Pure | Self::Full => None,
        }
    }
}
