//! Who holds capacity, while the cache does not show it yet.

use std::collections::HashMap;

use ccos_plan::capacity::Weight;
use tokio::sync::Mutex;

/// Executions that were given a place, by UID.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// INVARIANT: decided and entered under one lock, so that two executions never see the same free place.
    pub(crate) places: Mutex<HashMap<String, Weight>>,
}

impl Queue {
    /// Gives a place back: it ended, or its pod could not be made.
    pub(crate) async fn release(&self, uid: &str) {
        self.places.lock().await.remove(uid);
    }
}
