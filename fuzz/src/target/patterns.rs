//! Any text as each kind of pattern: no panic, what is shown can be parsed again, and what an index says of a path or a
//! name is what the automaton says.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use ccos_policy::pattern::automaton::Bounds;
use ccos_policy::pattern::budget::Budget;
use ccos_policy::pattern::inclusion::Held;
use ccos_policy::{
    Bytes, Cidr, Cores, HostName, HostPattern, List, Millis, NamePattern, PathPattern, PortRange, Reach,
};
use fastrand::Rng;

use super::text;

/// One case.
pub fn fuzz(random: &mut Rng) {
    let text = match random.u8(..4) {
        0 => text::noise(random, 40),
        1 => text::path(random, 6),
        _ => text::soup(random, 12),
    };
    shown_is_parsed::<HostPattern>(&text);
    shown_is_parsed::<HostName>(&text);
    shown_is_parsed::<Cidr>(&text);
    shown_is_parsed::<PortRange>(&text);
    shown_is_parsed::<Bytes>(&text);
    shown_is_parsed::<Cores>(&text);
    shown_is_parsed::<Millis>(&text);
    if let Some(pattern) = shown_is_parsed::<NamePattern>(&text) {
        let name: NamePattern = ["A", "AB", "a_1", "_"][random.usize(..4)].parse().unwrap();
        let (list, none) = (List::from(vec![pattern.clone()]), List::default());
        let found = Held::new(Reach::Itself, &list, &none, &none).counterexample(&name, &mut Budget::default());
        assert_eq!(found.unwrap().is_none(), pattern.matches(name.as_str()), "{pattern:?} {name:?}");
    }
    if let Some(pattern) = shown_is_parsed::<PathPattern>(&text) {
        for _ in 0..4 {
            matches_alike(&pattern, &text::literal(random, 5));
        }
        // Itself, with each wildcard replaced.
        let replaced: String = pattern.as_str().replace("**", "x/y").replace('*', "aé").replace('?', "é");
        matches_alike(&pattern, &replaced);
    }
}

fn shown_is_parsed<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let parsed: T = text.parse().ok()?;
    let shown = parsed.to_string();
    let again = shown.parse::<T>().unwrap_or_else(|error| panic!("{text:?} is shown as {shown:?}: {error:?}"));
    assert_eq!(again, parsed, "{text:?} is shown as {shown:?}");
    Some(parsed)
}

/// A literal path is inside of a pattern if the pattern means it, by the index as by the automaton.
fn matches_alike(pattern: &PathPattern, path: &str) {
    let literal: PathPattern = path.parse().unwrap();
    let (list, none) = (List::from(vec![pattern.clone()]), List::default());
    for reach in [Reach::Below, Reach::Itself] {
        let matches = pattern.matches(reach, path);
        let index = Held::new(reach, &list, &none, &none).counterexample(&literal, &mut Budget::default()).unwrap();
        let whole = Bounds::new(reach, &list, &none, &none).counterexample(&literal, &mut Budget::default()).unwrap();
        assert_eq!(index.is_none(), matches, "{pattern:?} {path:?} {reach:?}");
        assert_eq!(index, whole, "{pattern:?} {path:?} {reach:?}");
    }
}
