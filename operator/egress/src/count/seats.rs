//! Connections at one time of one execution, here and at the other replicas.
//!
//! A replica gives out a seat only while it *holds* the execution: it has asked every other replica that could have
//! connections of it, each has promised to open no more, and said how many it has. Those count here until they end.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSeat {
    /// As many are open as may be.
    Full,
    /// Another replica may have opened some since.
    NotHeld,
}

/// The seats.
#[derive(Debug)]
pub struct Seats {
    max: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    /// Goes up when the execution is given away, so that an answer from before is worth nothing.
    generation: u64,
    open: u32,
    /// Open at other replicas, by the UID of their pod; never more than this, since they open no more.
    elsewhere: Vec<(String, u32)>,
    /// What was told of those that ended before all others had answered.
    early: Vec<(String, u32)>,
}

impl State {
    fn lower(&mut self, at: &str, open: u32) {
        for (_, known) in self.elsewhere.iter_mut().filter(|(peer, _)| peer == at) {
            *known = open.min(*known);
        }
        self.elsewhere.retain(|(_, open)| *open > 0);
    }
}

impl Seats {
    /// Not held by anyone yet.
    pub(super) fn new(max: u32) -> Self {
        Self { max, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with it was counting.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    #[must_use]
    pub const fn max(&self) -> u32 {
        self.max
    }

    /// Takes one, counted in the same step, so that two can't take the last.
    pub(super) fn take(&self) -> Result<(), NoSeat> {
        let mut state = self.state();
        if !state.held {
            return Err(NoSeat::NotHeld);
        }
        let elsewhere: u64 = state.elsewhere.iter().map(|(_, open)| u64::from(*open)).sum();
        if u64::from(state.open) + elsewhere >= u64::from(self.max) {
            return Err(NoSeat::Full);
        }
        state.open += 1;
        Ok(())
    }

    /// Takes one whatever others have.
    #[cfg(feature = "sabotage")]
    pub(super) fn force(&self) -> Result<(), NoSeat> {
        let mut state = self.state();
        if state.open >= self.max {
            return Err(NoSeat::Full);
        }
        state.open += 1;
        Ok(())
    }

    /// Gives one back.
    pub(super) fn back(&self) {
        let mut state = self.state();
        state.open = state.open.saturating_sub(1);
    }

    /// Whether this replica may give out seats.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.state().held
    }

    /// What [`Self::hold`] wants back, from before the others were asked.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// All others were asked, and have this many open. `false`: it was given away meanwhile, and they have to be asked again.
    #[must_use]
    pub fn hold(&self, generation: u64, elsewhere: Vec<(String, u32)>) -> bool {
        let mut state = self.state();
        if state.generation != generation {
            return false;
        }
        state.held = true;
        state.elsewhere = elsewhere;
        for (peer, open) in std::mem::take(&mut state.early) {
            state.lower(&peer, open);
        }
        state.elsewhere.retain(|(_, open)| *open > 0);
        true
    }

    /// Opens no more here, and says how many are open.
    pub fn give(&self) -> u32 {
        let mut state = self.state();
        state.held = false;
        state.generation += 1;
        state.elsewhere.clear();
        state.early.clear();
        state.open
    }

    /// How many are open here.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.state().open
    }

    /// Another replica has so many left. More than before is not believed: it promised to open none.
    pub fn left(&self, at: &str, open: u32) {
        let mut state = self.state();
        if state.held {
            state.lower(at, open);
        } else {
            // One for each other replica: the last one counts.
            state.early.retain(|(peer, _)| peer != at);
            state.early.push((at.to_owned(), open));
        }
    }

    /// Whether another replica has some, as far as is known here.
    #[must_use]
    pub fn has_left(&self, at: &str) -> bool {
        self.state().elsewhere.iter().any(|(peer, _)| peer == at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(peer: &str, open: u32) -> Vec<(String, u32)> {
        vec![(peer.to_owned(), open)]
    }

    #[test]
    fn without_the_promises_of_the_others_there_is_no_seat() {
        let seats = Seats::new(3);
        assert_eq!(seats.take(), Err(NoSeat::NotHeld));
        assert!(seats.hold(seats.generation(), at("other", 2)));
        assert_eq!(seats.take(), Ok(()));
        assert_eq!(seats.take(), Err(NoSeat::Full));
        seats.left("other", 1);
        assert_eq!(seats.take(), Ok(()));
        assert_eq!(seats.take(), Err(NoSeat::Full));
        seats.left("other", 9);
        assert!(seats.has_left("other"));
        seats.back();
        assert_eq!((seats.take(), seats.take()), (Ok(()), Err(NoSeat::Full)));
    }

    #[test]
    fn what_ends_while_the_last_one_is_asked_is_not_forgotten() {
        let seats = Seats::new(1);
        seats.left("other", 0);
        assert!(seats.hold(seats.generation(), at("other", 1)));
        assert_eq!(seats.take(), Ok(()));
    }

    #[test]
    fn what_was_given_away_is_not_held_by_an_answer_from_before() {
        let seats = Seats::new(1);
        let before = seats.generation();
        assert_eq!(seats.give(), 0);
        assert!(!seats.hold(before, Vec::new()));
        assert_eq!(seats.take(), Err(NoSeat::NotHeld));
        assert!(seats.hold(seats.generation(), Vec::new()));
        assert_eq!(seats.take(), Ok(()));
        assert_eq!(seats.give(), 1);
        assert_eq!(seats.take(), Err(NoSeat::NotHeld));
    }
}
