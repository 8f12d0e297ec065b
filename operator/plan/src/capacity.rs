//! The queue: who may start, of those that share a context's capacity. Within a namespace, first come, first served; the
//! namespaces that share a context take turns, so that two hundred of one don't keep another's single one waiting.

use ccos_crds::CapabilityExecution;
use std::collections::{BTreeMap, HashMap};

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

    /// What one alone would hold above them, so that it never starts, and what they are.
    #[must_use]
    pub fn exceeded_by(self, weight: Weight) -> Option<String> {
        let memory = self.memory.filter(|limit| weight.memory.0 > limit.0);
        let memory = memory.map(|limit| format!("{} of memory, more than the {limit} of spec.capacity", weight.memory));
        let cpu = || self.cpu.filter(|limit| weight.cpu.millis > limit.millis);
        memory.or_else(|| cpu().map(|limit| format!("{} of CPU, more than the {limit} of spec.capacity", weight.cpu)))
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
    Holds {
        /// How much.
        weight: Weight,
        /// Its namespace.
        namespace: String,
    },
    /// It waits for capacity, since then.
    Waits(Ticket),
}

/// The place in a namespace's queue: older first, and among those of the same second by UID, so that all see one order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    /// When the execution was created.
    pub created: Timestamp,
    /// Its UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
}

impl Ticket {
    /// An execution's place.
    #[must_use]
    pub fn of(object: &CapabilityExecution) -> Self {
        Self {
            created: object.creation_timestamp().map_or(Timestamp::MAX, |time| time.0),
            uid: object.uid().unwrap_or_default(),
            namespace: object.namespace().unwrap_or_default(),
        }
    }
}

/// Whether it is an execution's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may start.
    Go,
    /// It waits.
    Wait(Wait),
}

/// Why an execution waits, and how long the line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// For people.
    pub message: String,
    /// How many wait, itself included.
    pub waiting: u64,
    /// Whether it is more than the capacity by itself: nobody has to wait for it.
    pub never: bool,
}

impl Turn {
    /// It waits for something that has no line.
    #[must_use]
    pub fn wait(message: impl Into<String>) -> Self {
        Self::Wait(Wait { message: message.into(), waiting: 1, never: false })
    }
}

/// When a namespace last began one under a context: larger is later, and one that is not here never did.
pub type Served = HashMap<String, u64>;

/// Decides whose turn it is.
#[must_use]
pub fn turn(mine: &Ticket, weight: Weight, peers: &[Peer], served: &Served, bounds: Bounds, context: &str) -> Turn {
    if let Some(over) = bounds.exceeded_by(weight) {
        let message = format!("this one alone would hold {over} of {context}: it can't start");
        return Turn::Wait(Wait { message, waiting: 1, never: true });
    }
    let (mut holding, mut waiting) = (0_u64, 1_u64);
    let (mut memory, mut cpu) = (weight.memory.0, weight.cpu.millis);
    let mut lines: BTreeMap<&str, Queue<'_>> = BTreeMap::new();
    lines.entry(&mine.namespace).or_default().waits.push(mine);
    for peer in peers {
        match peer {
            Peer::Waits(ticket) => {
                waiting += 1;
                lines.entry(&ticket.namespace).or_default().waits.push(ticket);
            }
            Peer::Holds { weight, namespace } => {
                holding += 1;
                memory = memory.saturating_add(weight.memory.0);
                cpu = cpu.saturating_add(weight.cpu.millis);
                lines.entry(namespace).or_default().holding += 1;
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
    let ahead = ahead(mine, lines.into_iter(), served);
    let place = format!("{} of {waiting} that wait", ordinal(ahead + 1));
    match (full, ahead) {
        (None, 0) => Turn::Go,
        (None, _) => Turn::Wait(Wait { message: place, waiting, never: false }),
        (Some(full), _) => Turn::Wait(Wait { message: format!("{full}; {place}"), waiting, never: false }),
    }
}

/// What a namespace has of a context.
#[derive(Default)]
struct Queue<'a> {
    holding: u64,
    waits: Vec<&'a Ticket>,
}

/// How many come first. Each that waits counts those of its namespace that hold a place or stand before it: who has the
/// fewest is next, so that the namespaces take turns, and a newcomer's first comes before another's second. Of equals, the
/// namespace that has waited longest since it began one: places are free again by the time that somebody is chosen, so
/// that with few of them all would be equal, and the oldest namespace always next.
fn ahead<'a>(mine: &Ticket, lines: impl Iterator<Item = (&'a str, Queue<'a>)>, served: &Served) -> u64 {
    let mut shares: Vec<(u64, Option<u64>, &Ticket)> = Vec::new();
    for (namespace, Queue { holding, mut waits }) in lines {
        waits.sort_unstable();
        let last = served.get(namespace).copied();
        shares.extend((holding..).zip(waits).map(|(share, ticket)| (share, last, ticket)));
    }
    let own = shares.iter().find(|(_, _, ticket)| *ticket == mine).copied();
    let before = shares.iter().filter(|share| own.is_some_and(|own| **share < own));
    u64::try_from(before.count()).unwrap_or(u64::MAX)
}

/// `1st`, `2nd`, `11th`.
fn ordinal(number: u64) -> String {
    let suffix = match (number % 10, number % 100) {
        (1, teen) if teen != 11 => "st",
        (2, teen) if teen != 12 => "nd",
        (3, teen) if teen != 13 => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Weight = Weight { memory: Bytes(1 << 20), cpu: Cores { millis: 100 } };
    const THREE: Bounds = Bounds { executions: 3, memory: None, cpu: None };

    fn ticket(second: i64, uid: &str) -> Ticket {
        of("data", second, uid)
    }

    fn of(namespace: &str, second: i64, uid: &str) -> Ticket {
        let created = Timestamp::from_second(second).unwrap();
        Ticket { created, uid: uid.to_owned(), namespace: namespace.to_owned() }
    }

    fn holds(namespace: &str) -> Peer {
        Peer::Holds { weight: SMALL, namespace: namespace.to_owned() }
    }

    fn message(turn: Turn) -> String {
        match turn {
            Turn::Wait(wait) => wait.message,
            Turn::Go => "go".to_owned(),
        }
    }

    /// Starts one after the other, of as many as wait, and says who it was. So many hold a place at one time: the first
    /// that began ends first.
    fn order(mut waiting: Vec<Ticket>, mut held: Vec<Peer>, capacity: usize) -> Vec<String> {
        let many = Bounds { executions: 1000, memory: None, cpu: None };
        let (mut order, mut served) = (Vec::new(), Served::new());
        while !waiting.is_empty() {
            while held.len() >= capacity {
                held.remove(0);
            }
            let next = waiting.iter().position(|mine| {
                let others = waiting.iter().filter(|one| *one != mine).cloned().map(Peer::Waits);
                let peers: Vec<Peer> = others.chain(held.iter().cloned()).collect();
                turn(mine, SMALL, &peers, &served, many, "C") == Turn::Go
            });
            let next = waiting.remove(next.expect("somebody is next"));
            served.insert(next.namespace.clone(), order.len() as u64);
            held.push(holds(&next.namespace));
            order.push(next.uid);
        }
        order
    }

    #[test]
    fn namespaces_take_turns_and_within_one_it_is_first_come_first_served() {
        let waiting = vec![of("a", 1, "a1"), of("a", 2, "a2"), of("a", 3, "a3"), of("b", 9, "b1"), of("b", 10, "b2")];
        for capacity in [1, 2, 3, 100] {
            let order = order(waiting.clone(), vec![], capacity);
            assert_eq!(order, ["a1", "b1", "a2", "b2", "a3"], "of {capacity} places");
        }
        // Who holds two already comes after who holds none.
        assert_eq!(order(waiting, vec![holds("a"), holds("a")], 100), ["b1", "b2", "a1", "a2", "a3"]);
    }

    #[test]
    fn two_hundred_of_a_namespace_do_not_keep_anothers_one_waiting() {
        let mut waiting: Vec<Ticket> = (0..200).map(|at| of("a", at, &format!("a{at:03}"))).collect();
        waiting.push(of("b", 500, "b"));
        assert_eq!(order(waiting.clone(), vec![holds("a"); 5], 100)[0], "b");
        // Nor where the one place is free whenever somebody is chosen.
        for capacity in [1, 5] {
            let order = order(waiting.clone(), vec![], capacity);
            assert!(order.iter().take(2).any(|uid| uid == "b"), "of {capacity} places: {:?}", &order[..3]);
        }
    }

    #[test]
    fn who_waits_is_told_its_place() {
        let peers = [holds("a"), holds("a"), holds("b"), Peer::Waits(of("a", 1, "x")), Peer::Waits(of("b", 2, "y"))];
        let turn = |mine: &Ticket| message(turn(mine, SMALL, &peers, &Served::new(), THREE, "C"));
        assert_eq!(turn(&of("a", 3, "z")), "3 of 3 executions of C run; 3rd of 3 that wait");
        assert_eq!(turn(&of("b", 1, "z")), "3 of 3 executions of C run; 1st of 3 that wait");
        assert_eq!(turn(&of("c", 9, "z")), "3 of 3 executions of C run; 1st of 3 that wait");
        let ordinals: Vec<String> = [1, 2, 3, 4, 11, 12, 13, 21, 22, 101, 111].map(ordinal).into();
        assert_eq!(ordinals.join(" "), "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 101st 111th");
    }

    #[test]
    fn the_fourth_of_three_waits() {
        let peers = vec![holds("data"); 3];
        assert!(matches!(turn(&ticket(9, "d"), SMALL, &peers, &Served::new(), THREE, "C"), Turn::Wait(_)));
        assert_eq!(turn(&ticket(9, "d"), SMALL, &peers[..2], &Served::new(), THREE, "C"), Turn::Go);
    }

    #[test]
    fn first_come_first_served_and_same_second_by_uid() {
        let peers = [Peer::Waits(ticket(5, "b"))];
        assert!(matches!(turn(&ticket(6, "a"), SMALL, &peers, &Served::new(), THREE, "C"), Turn::Wait(_)));
        assert_eq!(turn(&ticket(5, "a"), SMALL, &peers, &Served::new(), THREE, "C"), Turn::Go);
        assert_eq!(turn(&ticket(4, "z"), SMALL, &peers, &Served::new(), THREE, "C"), Turn::Go);
    }

    #[test]
    fn who_is_more_than_the_capacity_alone_is_told_so_and_waits_in_no_line() {
        let memory = Bounds { memory: Some(Bytes((1 << 20) - 1)), ..THREE };
        let peers = [Peer::Waits(ticket(1, "a"))];
        let Turn::Wait(wait) = turn(&ticket(2, "b"), SMALL, &peers, &Served::new(), memory, "C") else { panic!() };
        let said =
            "this one alone would hold 1Mi of memory, more than the 1048575 of spec.capacity of C: it can't start";
        assert_eq!((wait.message.as_str(), wait.never), (said, true));
        let cpu = Bounds { cpu: Some(Cores { millis: 99 }), ..THREE };
        assert!(cpu.exceeded_by(SMALL).is_some_and(|over| over.starts_with("100m of CPU")));
        assert_eq!(Bounds { memory: Some(Bytes(1 << 20)), cpu: Some(SMALL.cpu), ..THREE }.exceeded_by(SMALL), None);
    }

    #[test]
    fn memory_and_cpu_bound_the_sum() {
        let peers = [holds("data")];
        let memory = Bounds { memory: Some(Bytes((2 << 20) - 1)), ..THREE };
        assert!(matches!(turn(&ticket(1, "a"), SMALL, &peers, &Served::new(), memory, "C"), Turn::Wait(_)));
        let exactly = Bounds { memory: Some(Bytes(2 << 20)), cpu: Some(Cores { millis: 200 }), ..THREE };
        assert_eq!(turn(&ticket(1, "a"), SMALL, &peers, &Served::new(), exactly, "C"), Turn::Go);
        let cpu = Bounds { cpu: Some(Cores { millis: 199 }), ..THREE };
        assert!(matches!(turn(&ticket(1, "a"), SMALL, &peers, &Served::new(), cpu, "C"), Turn::Wait(_)));
    }
}
