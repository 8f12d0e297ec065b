//! Contexts, parsed once: a review then costs the decision, and not the reading of what is granted and the making of its
//! index.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ccos_policy::Context;
use ccos_policy::permissions::{Environment, Filesystem, Ipc, Network, Permissions, System};
use jiff::Timestamp;

use crate::object::AnyContext;
use crate::wire::{self, FieldErrors};

/// How much is kept, by [`weight`]. A pattern with its index takes some 2 KB: 16 MiB, whoever writes contexts. Enough for
/// hundreds of usual ones, or eight of the largest; with more, the one that was asked for least lately is read again.
const ROOM: usize = 8_192;

/// What a context weighs besides its patterns.
const BASE: usize = 16;

/// What was parsed of stored contexts, by their UID. Whoever keeps it sees to it that it holds none that is gone:
/// [`ParsedContexts::retain`].
#[derive(Debug, Default)]
pub struct ParsedContexts(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    contexts: HashMap<String, Parsed>,
    /// INVARIANT: the sum of theirs, which [`Kept::put`] and [`Kept::retain`] keep.
    weight: usize,
    /// Counts what is asked.
    asked: u64,
}

#[derive(Debug)]
struct Parsed {
    /// Of this spec. Not the resourceVersion: status is written all the time, and says nothing of what is granted.
    generation: i64,
    context: Result<Context, FieldErrors>,
    weight: usize,
    asked: u64,
}

impl ParsedContexts {
    /// What [`wire::context`] says of it. Copies share their index.
    ///
    /// # Errors
    /// All fields that can't be understood.
    pub fn read(&self, object: &AnyContext, now: Timestamp) -> Result<Context, FieldErrors> {
        let metadata = object.metadata();
        let (Some(uid), Some(generation), Some(_)) = (&metadata.uid, metadata.generation, &metadata.creation_timestamp)
        else {
            // It is not stored: what it says may depend on the moment.
            return wire::context(object, now);
        };
        if let Some(found) = self.lock().find(uid, generation) {
            return found;
        }
        // Without the lock: a context that is long to read holds up nobody but those who ask for it.
        let context = wire::context(object, now);
        self.lock().put(uid, generation, context.clone());
        context
    }

    /// Forgets all but these, by their UID.
    pub fn retain(&self, is_stored: impl Fn(&str) -> bool) {
        self.lock().retain(is_stored);
    }

    /// How many are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().contexts.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, uid: &str, generation: i64) -> Option<Result<Context, FieldErrors>> {
        let found = self.contexts.get_mut(uid).filter(|found| found.generation == generation)?;
        self.asked += 1;
        found.asked = self.asked;
        Some(found.context.clone())
    }

    fn put(&mut self, uid: &str, generation: i64, context: Result<Context, FieldErrors>) {
        self.remove(uid);
        let weight = context.as_ref().map_or(BASE, weight);
        while self.weight + weight > ROOM {
            let Some(last) = self.contexts.iter().min_by_key(|(_, one)| one.asked) else { break };
            let last = last.0.clone();
            self.remove(&last);
        }
        self.asked += 1;
        self.weight += weight;
        self.contexts.insert(uid.to_owned(), Parsed { generation, context, weight, asked: self.asked });
    }

    fn remove(&mut self, uid: &str) {
        if let Some(gone) = self.contexts.remove(uid) {
            self.weight -= gone.weight;
        }
    }

    fn retain(&mut self, is_stored: impl Fn(&str) -> bool) {
        self.contexts.retain(|uid, _| is_stored(uid));
        self.weight = self.contexts.values().map(|one| one.weight).sum();
    }
}

/// How many patterns a context has, and some for the rest.
fn weight(context: &Context) -> usize {
    let Permissions { filesystem, network, system, environment, ipc } = &context.permissions;
    let Filesystem { read, write, execute, blocked } = filesystem;
    let Network { outbound, inbound, blocked: peers, max_connections: _ } = network;
    let System { commands, process_creation: _ } = system;
    let Environment { read: variables, write: set } = environment;
    let Ipc { connect } = ipc;
    let files = read.len() + write.len() + execute.len() + blocked.len() + commands.len() + connect.len();
    BASE + files + outbound.len() + inbound.len() + peers.len() + variables.len() + set.len()
}
