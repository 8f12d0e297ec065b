//! Paths of up to five segments.

use ccos_policy::pattern::automaton::Bounds;
use ccos_policy::pattern::budget::Budget;
use ccos_policy::pattern::inclusion::Held;
use ccos_policy::{List, PathPattern, Reach};
use fastrand::Rng;

use super::{Bits, Difference, World, compare, some};

const SEGMENTS: [&str; 14] = ["a", "b", "ab", ".a", "a", "ba", "*", "?", "a*", "*b", "?a", "*a*", ".?", "**"];

/// Patterns, and which of the texts each means.
pub struct Paths {
    /// The shortest first.
    texts: Vec<String>,
    patterns: Vec<Pattern>,
}

struct Pattern {
    text: String,
    parsed: PathPattern,
    itself: Bits,
    below: Bits,
}

impl Paths {
    /// A world with so many patterns, or with all that it has.
    #[must_use]
    pub fn new(random: &mut Rng, patterns: usize) -> Self {
        let texts = texts();
        let mut all = vec!["/".to_owned()];
        let mut last = vec![String::new()];
        for _ in 0..3 {
            last = last.iter().flat_map(|path| SEGMENTS.map(|segment| format!("{path}/{segment}"))).collect();
            all.extend(last.iter().cloned());
        }
        all.sort_unstable();
        all.dedup();
        random.shuffle(&mut all);
        let pattern = |text: String| {
            let parsed = text.parse().ok()?;
            let set = |reach| Bits::of(&texts, |path: &String| means(&text, reach, path));
            let (itself, below) = (set(Reach::Itself), set(Reach::Below));
            Some(Pattern { text, parsed, itself, below })
        };
        let patterns = all.into_iter().filter_map(pattern).take(patterns).collect();
        Self { texts, patterns }
    }
}

impl World for Paths {
    const NAME: &'static str = "paths";

    fn judge(&self, random: &mut Rng) -> Result<(), Difference> {
        let reach = if random.u8(..4) == 0 { Reach::Itself } else { Reach::Below };
        let of = |places: Vec<usize>| places.into_iter().map(|at| &self.patterns[at]).collect::<Vec<_>>();
        let count = self.patterns.len();
        let required = &self.patterns[random.usize(..count)];
        let (granted, blocked, without) =
            (of(some(random, count, 0..=6)), of(some(random, count, 0..=3)), of(some(random, count, 0..=2)));

        let set = |pattern: &&'_ Pattern| match reach {
            Reach::Itself => pattern.itself.clone(),
            Reach::Below => pattern.below.clone(),
        };
        let granted_sets: Vec<Bits> = granted.iter().map(set).collect();
        let shortest = Bits::first_outside(
            &set(&required),
            &granted_sets.iter().collect::<Vec<_>>(),
            &blocked.iter().map(|pattern| &pattern.below).collect::<Vec<_>>(),
            &without.iter().map(|pattern| &pattern.below).collect::<Vec<_>>(),
        );
        let shortest = shortest.map(|at| self.texts[at].as_str());
        let any = |patterns: &[&Pattern], reach, path: &str| patterns.iter().any(|p| means(&p.text, reach, path));
        let is_counterexample = |path: &str| {
            is_path(path)
                && means(&required.text, reach, path)
                && !any(&without, Reach::Below, path)
                && (!any(&granted, reach, path) || any(&blocked, Reach::Below, path))
        };

        let list = |patterns: &[&Pattern]| patterns.iter().map(|p| p.parsed.clone()).collect::<List<_>>();
        let (grants, blocks, leaves_out) = (list(&granted), list(&blocked), list(&without));
        let mut budget = Budget::default();
        let index = Held::new(reach, &grants, &blocks, &leaves_out).counterexample(&required.parsed, &mut budget);
        let automaton =
            Bounds::new(reach, &grants, &blocks, &leaves_out).counterexample(&required.parsed, &mut Budget::default());
        for (who, answer) in [("index", index), ("automaton", automaton)] {
            let judged = match &answer {
                Ok(found) => compare(found.as_deref(), shortest, is_counterexample),
                Err(exhausted) => Err(format!("{exhausted:?}")),
            };
            judged.map_err(|difference| {
                let texts = |patterns: &[&Pattern]| patterns.iter().map(|p| p.text.clone()).collect::<Vec<_>>();
                format!(
                    "{who}: {difference}: {reach:?}, required {:?}, granted {:?}, blocked {:?}, without {:?}",
                    required.text,
                    texts(&granted),
                    texts(&blocked),
                    texts(&without)
                )
            })?;
        }
        Ok(())
    }
}

/// Paths of up to three segments of up to two characters, and longer ones of single letters. `c` stands for what no
/// pattern names.
fn texts() -> Vec<String> {
    let letters = ["a", "b", "c", "."];
    let mut names: Vec<String> = letters.iter().map(ToString::to_string).collect();
    names.extend(letters.iter().flat_map(|x| letters.iter().map(move |y| format!("{x}{y}"))));
    names.retain(|name| name != "." && name != "..");
    let below = |paths: &[String], names: &[String]| -> Vec<String> {
        paths.iter().flat_map(|path| names.iter().map(move |name| format!("{path}/{name}"))).collect()
    };
    let mut all = vec!["/".to_owned()];
    let mut last = vec![String::new()];
    for _ in 0..3 {
        last = below(&last, &names);
        all.extend(last.iter().cloned());
    }
    let singles: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
    let mut deep = vec![String::new()];
    for depth in 1..=5 {
        deep = below(&deep, &singles);
        if depth > 3 {
            all.extend(deep.iter().cloned());
        }
    }
    all.sort_by_key(String::len);
    all
}

/// Whether it is a path at all.
fn is_path(path: &str) -> bool {
    path == "/" || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|n| !matches!(n, "" | "." | "..")))
}

fn segments(text: &str) -> Vec<&str> {
    text.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// What the documentation says of patterns: those of files mean all below their matches, too.
fn means(pattern: &str, reach: Reach, path: &str) -> bool {
    let (pattern, path) = (segments(pattern), segments(path));
    match reach {
        Reach::Itself => walk(&pattern, &path),
        Reach::Below => (0..=path.len()).any(|depth| walk(&pattern, &path[..depth])),
    }
}

fn walk(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], path) => path.is_empty(),
        (["**", rest @ ..], _) => (0..=path.len()).any(|skipped| walk(rest, &path[skipped..])),
        ([first, rest @ ..], [name, names @ ..]) => {
            super::names::glob(first.as_bytes(), name.as_bytes()) && walk(rest, names)
        }
        ([_, ..], []) => false,
    }
}
