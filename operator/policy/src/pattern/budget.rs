//! What a decision may cost. Hostile patterns exist whose inclusion takes exponentially many steps; running out of them is
//! a denial that says so, never an admission.

/// Steps that one decision may take. An honest one takes thousands (`tests/policy/cost.rs`); this many are less than ten
/// milliseconds, for whatever an attacker writes.
const STEPS: u64 = 1 << 18;

/// Steps that one requirement may take: bounds the memory of the walk, a few bytes a step.
pub(super) const STEPS_PER_REQUIREMENT: u64 = 1 << 17;

/// What a decision may still cost. Running out is a denial, never an admission.
#[derive(Clone, Debug)]
pub struct Budget {
    pub(super) left: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: STEPS }
    }
}

/// There is no budget left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// A budget of so many steps.
    #[must_use]
    pub const fn of(left: u64) -> Self {
        Self { left }
    }

    /// Steps that are left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Pays.
    /// # Errors
    /// [`Exhausted`] if there isn't that much left.
    pub fn pay(&mut self, steps: usize) -> Result<(), Exhausted> {
        self.left = u64::try_from(steps).ok().and_then(|steps| self.left.checked_sub(steps)).ok_or(Exhausted)?;
        Ok(())
    }
}
