//! Contexts, parsed once: a review then costs the decision, and not the reading of what is granted and the making of its
//! index.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ccos_policy::Context;
use jiff::Timestamp;

use crate::object::AnyContext;
use crate::wire::{self, FieldErrors};

/// What was parsed of stored contexts, by their UID. Whoever keeps it sees to it that it holds no more than there are:
/// [`ParsedContexts::retain`].
#[derive(Debug, Default)]
pub struct ParsedContexts(Mutex<HashMap<String, Parsed>>);

#[derive(Debug)]
struct Parsed {
    /// Of this spec. Not the resourceVersion: status is written all the time, and says nothing of what is granted.
    generation: i64,
    context: Result<Context, FieldErrors>,
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
        if let Some(found) = self.lock().get(uid).filter(|found| found.generation == generation) {
            return found.context.clone();
        }
        // Without the lock: a context that is long to read holds up nobody but those who ask for it.
        let context = wire::context(object, now);
        self.lock().insert(uid.clone(), Parsed { generation, context: context.clone() });
        context
    }

    /// Forgets all but these, by their UID.
    pub fn retain(&self, is_stored: impl Fn(&str) -> bool) {
        self.lock().retain(|uid, _| is_stored(uid));
    }

    /// How many are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// A poisoned lock holds a map that is whole: each change to it is one call.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Parsed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
