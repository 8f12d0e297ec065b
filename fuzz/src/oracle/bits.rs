//! Sets of texts, by their places in a list.

/// A set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// Of all texts for which it holds.
    pub fn of<T>(texts: &[T], holds: impl Fn(&T) -> bool) -> Self {
        let word =
            |texts: &[T]| texts.iter().enumerate().fold(0, |word, (at, text)| word | u64::from(holds(text)) << at);
        Self(texts.chunks(64).map(word).collect())
    }

    /// The first of those that are required, and not granted or blocked, unless left out.
    #[must_use]
    pub fn first_outside(required: &Self, granted: &[&Self], blocked: &[&Self], without: &[&Self]) -> Option<usize> {
        required.0.iter().enumerate().find_map(|(at, &required)| {
            let any = |sets: &[&Self]| sets.iter().fold(0, |word, set| word | set.0[at]);
            let outside = required & !any(without) & (!any(granted) | any(blocked));
            (outside != 0).then(|| at * 64 + outside.trailing_zeros() as usize)
        })
    }
}
