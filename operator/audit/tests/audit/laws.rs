//! Whatever is done to one line of a trail is found.

use proptest::prelude::{ProptestConfig, Strategy as _, any, prop_assert, proptest};
use proptest::sample::Index;

use crate::given::trail;

proptest! {
    // Each verifies a dozen signatures, which is slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_changed_character_is_found(executions in 0_u32..4, line in any::<Index>(), at in any::<Index>(), with in (b' '..=b'~').prop_map(char::from)) {
        let trail = trail(executions);
        let mut lines = trail.lines.clone();
        let line = *line.get(&trail.audited());
        let mut characters: Vec<char> = lines[line].chars().collect();
        let at = at.index(characters.len());
        if characters[at] != with {
            characters[at] = with;
            lines[line] = characters.into_iter().collect();
            prop_assert!(!trail.verify(&lines).clean, "{}", lines[line]);
        }
    }

    #[test]
    fn a_character_more_or_less_is_found(line in any::<Index>(), at in any::<Index>(), with in (b'!'..=b'~').prop_map(char::from), more in any::<bool>()) {
        let trail = trail(2);
        let mut lines = trail.lines.clone();
        let line = *line.get(&trail.audited());
        // Not before the first character, where collectors write.
        let at = 1 + at.index(lines[line].len() - 1);
        if more { lines[line].insert(at, with) } else { lines[line].remove(at); }
        prop_assert!(!trail.verify(&lines).clean, "{}", lines[line]);
    }

    #[test]
    fn a_missing_line_is_found(executions in 0_u32..4, line in any::<Index>()) {
        let trail = trail(executions);
        let mut lines = trail.lines.clone();
        lines.remove(*line.get(&trail.audited()));
        prop_assert!(!trail.verify(&lines).clean);
    }

    #[test]
    fn a_line_put_elsewhere_is_found_if_that_is_beyond_another_of_its_chain(from in any::<Index>(), to in any::<Index>()) {
        let trail = trail(4);
        let from = *from.get(&trail.audited());
        let mut lines = trail.lines.clone();
        let moved = lines.remove(from);
        let to = to.index(lines.len());
        lines.insert(to, moved.clone());
        let writer = if moved.contains(r#""writer":"webhook""#) { "webhook" } else { "controller" };
        let own = |lines: &[String]| lines.iter().filter(|line| line.contains(&format!(r#""writer":"{writer}""#))).cloned().collect::<Vec<_>>();
        prop_assert!(trail.verify(&lines).clean == (own(&lines) == own(&trail.lines)));
    }

    #[test]
    fn a_line_that_is_there_twice_is_found(from in any::<Index>(), to in any::<Index>()) {
        let trail = trail(4);
        let mut lines = trail.lines.clone();
        let copy = lines[*from.get(&trail.audited())].clone();
        lines.insert(to.index(lines.len()), copy);
        prop_assert!(!trail.verify(&lines).clean);
    }

    #[test]
    fn no_line_makes_it_panic(lines in proptest::collection::vec(r#"(\{"audit":"ccos/1",)?.{0,60}"#, 0..8)) {
        let trail = trail(0);
        trail.verify(&lines);
    }
}
