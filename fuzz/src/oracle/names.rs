//! Names of up to five characters.

use ccos_policy::pattern::automaton::Bounds;
use ccos_policy::pattern::budget::Budget;
use ccos_policy::pattern::inclusion::Held;
use ccos_policy::{List, NamePattern, Reach};
use fastrand::Rng;

use super::{Bits, Difference, World, compare, some};

/// Patterns, and which of the texts each means.
pub struct Names {
    /// The shortest first.
    texts: Vec<String>,
    patterns: Vec<(String, NamePattern, Bits)>,
}

impl Names {
    /// A world with so many patterns, or with all that it has.
    #[must_use]
    pub fn new(random: &mut Rng, patterns: usize) -> Self {
        // `C` stands for what no pattern names; a name does not begin with a digit.
        let mut texts = strings(&["A", "B", "C", "1"], 5);
        texts.retain(|text| !text.starts_with('1'));
        let mut all = strings(&["A", "B", "1", "*", "?"], 4);
        random.shuffle(&mut all);
        let pattern = |text: String| {
            let parsed = text.parse().ok()?;
            let set = Bits::of(&texts, |name: &String| glob(text.as_bytes(), name.as_bytes()));
            Some((text, parsed, set))
        };
        let patterns = all.into_iter().filter_map(pattern).take(patterns).collect();
        Self { texts, patterns }
    }
}

impl World for Names {
    const NAME: &'static str = "names";

    fn judge(&self, random: &mut Rng) -> Result<(), Difference> {
        let (text, required, set) = &self.patterns[random.usize(..self.patterns.len())];
        let granted = some(random, self.patterns.len(), 0..=6);
        let granted: Vec<_> = granted.into_iter().map(|at| &self.patterns[at]).collect();
        let sets: Vec<&Bits> = granted.iter().map(|(_, _, set)| set).collect();
        let shortest = Bits::first_outside(set, &sets, &[], &[]).map(|at| self.texts[at].as_str());
        let is_name = |name: &str| {
            let rest = |c: char| c == '_' || c.is_ascii_alphanumeric();
            name.starts_with(|c: char| rest(c) && !c.is_ascii_digit()) && name.chars().all(rest)
        };
        let is_counterexample = |name: &str| {
            let means = |text: &str| glob(text.as_bytes(), name.as_bytes());
            is_name(name) && means(text) && !granted.iter().any(|(text, _, _)| means(text))
        };
        let list: List<NamePattern> = granted.iter().map(|(_, parsed, _)| parsed.clone()).collect();
        let none = List::default();
        let index = Held::new(Reach::Itself, &list, &none, &none).counterexample(required, &mut Budget::default());
        let automaton =
            Bounds::new(Reach::Itself, &list, &none, &none).counterexample(required, &mut Budget::default());
        for (who, answer) in [("index", index), ("automaton", automaton)] {
            let judged = match &answer {
                Ok(found) => compare(found.as_deref(), shortest, is_counterexample),
                Err(exhausted) => Err(format!("{exhausted:?}")),
            };
            judged.map_err(|difference| {
                let texts: Vec<_> = granted.iter().map(|(text, _, _)| text).collect();
                format!("{who}: {difference}: required {text:?}, granted {texts:?}")
            })?;
        }
        Ok(())
    }
}

/// All strings of up to so many of the letters, the shortest first.
fn strings(letters: &[&str], most: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut last = vec![String::new()];
    for _ in 0..most {
        last = last.iter().flat_map(|text| letters.iter().map(move |letter| format!("{text}{letter}"))).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// Whether a glob of one segment or name means a text of ASCII.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skipped| glob(rest, &text[skipped..])),
        ([b'?', rest @ ..], [_, text @ ..]) => glob(rest, text),
        ([first, rest @ ..], [c, text @ ..]) => first == c && glob(rest, text),
        ([_, ..], []) => false,
    }
}
