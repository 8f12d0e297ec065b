//! What deciding costs: what people write is far from the budget, and what is written to explode ends with it.

use ccos_policy::pattern::budget::{Budget, Exhausted};
use ccos_policy::pattern::inclusion::Held;
use ccos_policy::{List, PathPattern, Reach};

use crate::given::{case, path, paths};

fn many(format: impl Fn(usize) -> String) -> List<PathPattern> {
    (0..128).map(|n| path(&format(n))).collect()
}

/// Steps, and the answer.
fn cost(
    required: &str,
    granted: &List<PathPattern>,
    blocked: &List<PathPattern>,
) -> (u64, Result<Option<String>, Exhausted>) {
    let (required, none, mut budget) = (path(required), List::default(), Budget::default());
    let before = budget.left();
    let answer = Held::new(Reach::Below, granted, blocked, &none).counterexample(&required, &mut budget);
    (before - budget.left(), answer)
}

#[test]
fn what_people_write_costs_little_of_the_budget() {
    let none = List::default();
    let teams = many(|n| format!("/data/team-{n}/**"));
    let reports = many(|n| format!("/data/*/2026-*/{n}-*.csv"));
    let private = many(|n| format!("/data/**/private-{n}"));
    let keys = many(|n| format!("/data/*/private-{n}/**/*.key"));
    for (required, granted, blocked, counterexample) in [
        ("/data/team-1/in", &teams, &keys, None),
        ("/data/team-1/in", &teams, &none, None),
        ("/data/x/2026-01/1-a.csv", &reports, &keys, None),
        ("/data/x/2026-01/1-a.csv", &reports, &private, Some("/data/x/2026-01/1-a.csv/private-0")),
        ("/data/*/2026-*/7-*.csv", &reports, &none, None),
        ("/data/*/2026-??/7-*.csv", &reports, &keys, None),
        ("/data/*/2026-??/*.csv", &reports, &none, Some("/data/a/2026-aa/.csv")),
        ("/data/team-7/**/*.csv", &teams, &private, Some("/data/team-7/private-0/.csv")),
        ("/data/**/*.csv", &teams, &private, Some("/data/.csv")),
    ] {
        let (steps, answer) = cost(required, granted, blocked);
        assert_eq!(answer.unwrap().as_deref(), counterexample, "{required}");
        assert!(steps * 8 <= Budget::default().left(), "{required} took {steps} steps");
    }
}

#[test]
fn as_many_paths_as_there_may_be_cost_little_together() {
    let case = case()
        .grants(|p| p.filesystem.read = many(|n| format!("/data/team-{n}/**")))
        .grants(|p| p.filesystem.blocked = many(|n| format!("/data/team-{n}/private-*/**/*.key")))
        .needs(|r| r.read = Some(many(|n| format!("/data/team-{n}/reports"))));
    let _ = case.admitted();
    // Requirements that leave out what is blocked, in the same words, need no walk at all.
    let _ = case
        .needs(|r| {
            r.read = Some(many(|n| format!("/data/team-{n}")));
            r.blocked = Some(many(|n| format!("/data/team-{n}/private")));
        })
        .grants(|p| p.filesystem.blocked = many(|n| format!("/data/team-{n}/private")))
        .admitted();
}

/// Each remembers whether its letter came four characters ago; together, the last four characters.
fn explosive() -> List<PathPattern> {
    let letters = (b'!'..=b'z').filter(|letter| !b"*/?[\\]".contains(letter));
    letters.map(|letter| path(&format!("/*{}???", char::from(letter)))).chain([path("/*")]).collect()
}

#[test]
fn what_explodes_is_denied_and_says_so() {
    let denials = case()
        .grants(|p| p.filesystem.read = explosive())
        .grants(|p| p.filesystem.blocked = explosive().iter().take(40).cloned().collect())
        .requires(|r| r.read = Some(paths(&["/?*"; 128])))
        .denied();
    let text = "too complex to decide together with what is granted; use fewer wildcards";
    assert!(denials.to_string().contains(text), "{denials}");
}

#[test]
fn long_patterns_pay_for_being_read() {
    // A thousand characters each, in all of the lists, for each of the requirements.
    let long = |n: usize| format!("/{n}-*{}", "x".repeat(1000));
    let required = many(|n| format!("/{n}*-*{}", "x".repeat(990)));
    let (granted, none) = (many(long), List::default());
    let mut held = Held::new(Reach::Below, &granted, &none, &none);
    let mut budget = Budget::default();
    let exhausted =
        required.iter().filter(|pattern| held.counterexample(pattern, &mut budget) == Err(Exhausted)).count();
    assert!(exhausted > 100, "{exhausted}");
}
