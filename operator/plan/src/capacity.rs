//! The queue: who may start, of those that share a context's capacity. First come, first served.

use ccos_crds::CapabilityExecution;
use ccos_crds::security_context::Capacity;
use ccos_policy::{Bytes, Cores};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::wire::FieldErrors;
use crate::wire::faults::Faults;

/// Executions of a context that says nothing: a bound that a small cluster survives.
pub const DEFAULT_EXECUTIONS: u64 = 16;

/// What all executions of a context may hold at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many.
    pub executions: u64,
    /// Their memory; absent: what so many may use.
    pub memory: Option<Bytes>,
    /// Their CPU; absent: what so many may use.
    pub cpu: Option<Cores>,
}

impl Bounds {
    /// Reads a context's capacity, noting faults.
    pub(crate) fn read(faults: &mut Faults, path: &str, capacity: &Capacity) -> Self {
        let Capacity { executions, memory, cpu } = capacity;
        let executions = match executions.map(u64::try_from) {
            None => DEFAULT_EXECUTIONS,
            Some(Ok(count)) if count > 0 => count,
            Some(Ok(_) | Err(_)) => {
                faults.add(format!("{path}.executions"), "expected a number above 0");
                DEFAULT_EXECUTIONS
            }
        };
        Self {
            executions,
            memory: memory.as_ref().and_then(|text| faults.parse(&format!("{path}.memory"), &text.0)),
            cpu: cpu.as_ref().and_then(|text| faults.parse(&format!("{path}.cpu"), &text.0)),
        }
    }

    /// A context's capacity.
    ///
    /// # Errors
    /// The fields that can't be understood.
    pub fn of(capacity: Option<&Capacity>) -> Result<Self, FieldErrors> {
        let mut faults = Faults::default();
        let bounds = Self::read(&mut faults, "spec.capacity", &capacity.cloned().unwrap_or_default());
        faults.none_or(bounds)
    }
}

/// What one attempt holds, the runner's and the runtime's overhead included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Memory.
    pub memory: Bytes,
    /// CPU.
    pub cpu: Cores,
}

/// Another execution of the same context that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It holds capacity.
    Holds(Weight),
    /// It waits for capacity, since then.
    Waits(Ticket),
}

/// The place in the queue: older first, and among those of the same second by UID, so that all see one order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// When the execution was created.
    pub created: Timestamp,
    /// Its UID.
    pub uid: String,
}

impl Ticket {
    /// An execution's place.
    #[must_use]
    pub fn of(object: &CapabilityExecution) -> Self {
        Self {
            created: object.creation_timestamp().map_or(Timestamp::MAX, |time| time.0),
            uid: object.uid().unwrap_or_default(),
        }
    }
}

/// Whether it is an execution's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may start.
    Go,
    /// It waits; the text says for what.
    Wait(String),
}

/// Decides whose turn it is.
#[must_use]
pub fn turn(mine: &Ticket, weight: Weight, peers: &[Peer], bounds: Bounds, context: &str) -> Turn {
    let mut ahead = 0_u64;
    let mut holding = 0_u64;
    let (mut memory, mut cpu) = (weight.memory.0, weight.cpu.millis);
    for peer in peers {
        match peer {
            Peer::Waits(ticket) if ticket < mine => ahead += 1,
            Peer::Waits(_) => {}
            Peer::Holds(weight) => {
                holding += 1;
                memory = memory.saturating_add(weight.memory.0);
                cpu = cpu.saturating_add(weight.cpu.millis);
            }
        }
    }
    let full = if holding >= bounds.executions {
        Some(format!("{holding} of {} executions of {context} run", bounds.executions))
    } else if let Some(limit) = bounds.memory.filter(|limit| memory > limit.0) {
        Some(format!("with this one, executions of {context} would hold {} of its {limit} memory", Bytes(memory)))
    } else {
        bounds.cpu.filter(|limit| cpu > limit.millis).map(|limit| {
            format!("with this one, executions of {context} would hold {} of its {limit} CPU", Cores { millis: cpu })
        })
    };
    match (full, ahead) {
        (None, 0) => Turn::Go,
        (None, ahead) => Turn::Wait(format!("{ahead} came before it")),
        (Some(full), ahead) => Turn::Wait(format!("{full}; {ahead} came before it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Weight = Weight { memory: Bytes(1 << 20), cpu: Cores { millis: 100 } };
    const THREE: Bounds = Bounds { executions: 3, memory: None, cpu: None };

    fn ticket(second: i64, uid: &str) -> Ticket {
        Ticket { created: Timestamp::from_second(second).unwrap(), uid: uid.to_owned() }
    }

    #[test]
    fn the_fourth_of_three_waits() {
        let peers = vec![Peer::Holds(SMALL); 3];
        assert!(matches!(turn(&ticket(9, "d"), SMALL, &peers, THREE, "C"), Turn::Wait(_)));
        assert_eq!(turn(&ticket(9, "d"), SMALL, &peers[..2], THREE, "C"), Turn::Go);
    }

    #[test]
    fn first_come_first_served_and_same_second_by_uid() {
        let peers = [Peer::Waits(ticket(5, "b"))];
        assert!(matches!(turn(&ticket(6, "a"), SMALL, &peers, THREE, "C"), Turn::Wait(_)));
        assert_eq!(turn(&ticket(5, "a"), SMALL, &peers, THREE, "C"), Turn::Go);
        assert_eq!(turn(&ticket(4, "z"), SMALL, &peers, THREE, "C"), Turn::Go);
    }

    #[test]
    fn memory_and_cpu_bound_the_sum() {
        let peers = [Peer::Holds(SMALL)];
        let memory = Bounds { memory: Some(Bytes((2 << 20) - 1)), ..THREE };
        assert!(matches!(turn(&ticket(1, "a"), SMALL, &peers, memory, "C"), Turn::Wait(_)));
        let exactly = Bounds { memory: Some(Bytes(2 << 20)), cpu: Some(Cores { millis: 200 }), ..THREE };
        assert_eq!(turn(&ticket(1, "a"), SMALL, &peers, exactly, "C"), Turn::Go);
        let cpu = Bounds { cpu: Some(Cores { millis: 199 }), ..THREE };
        assert!(matches!(turn(&ticket(1, "a"), SMALL, &peers, cpu, "C"), Turn::Wait(_)));
    }
}
