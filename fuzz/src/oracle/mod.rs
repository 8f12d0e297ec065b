//! The decision against brute force: in a world of a few thousand texts, whether a requirement lies inside what is granted
//! without what is blocked is a matter of looking at each. Written from the documentation of the patterns, not from
//! their code: nothing here parses or matches with the help of what it judges.
//!
//! Judged are the answer, the counterexample (it must be one), and its length (none may be shorter).

mod bits;
mod names;
mod networks;
mod paths;

use fastrand::Rng;

pub use bits::Bits;
pub use names::Names;
pub use networks::Networks;
pub use paths::Paths;

/// What disagreed, to be read by people.
pub type Difference = String;

/// A world of texts, in which cases are made up and judged.
pub trait World {
    /// What it is about.
    const NAME: &'static str;

    /// Makes up one case and judges it.
    ///
    /// # Errors
    /// The case, and what disagreed.
    fn judge(&self, random: &mut Rng) -> Result<(), Difference>;
}

/// Holds the subject's answer against what trying all has shown.
fn compare(
    found: Option<&str>,
    shortest: Option<&str>,
    is_counterexample: impl Fn(&str) -> bool,
) -> Result<(), Difference> {
    match (found, shortest) {
        (None, Some(text)) => Err(format!("said to be inside, but {text:?} is not")),
        (Some(found), _) if !is_counterexample(found) => Err(format!("{found:?} is no counterexample")),
        (Some(found), Some(text)) if found.chars().count() > text.chars().count() => {
            Err(format!("{found:?} is longer than {text:?}"))
        }
        // Both none, or a counterexample; it may be too long for the world.
        (None, None) | (Some(_), _) => Ok(()),
    }
}

/// `from..=to` of the items, drawn at random.
fn some(random: &mut Rng, of: usize, counts: std::ops::RangeInclusive<usize>) -> Vec<usize> {
    (0..random.usize(counts)).map(|_| random.usize(..of)).collect()
}
