//! Inclusion of paths and names, judged by a naive oracle that walks segments and shares no code with its subject.

use std::sync::LazyLock;

use ccos_policy::pattern::automaton::{Bounds, Budget, Exhausted};
use ccos_policy::pattern::inclusion::Held;
use ccos_policy::{List, NamePattern, PathPattern, Reach};
use proptest::prelude::*;

use crate::given::{names, path, paths};

/// Required, granted, blocked, and blocked by the requirement itself.
type Inside<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
/// And the counterexample.
type Outside<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str], &'a str);

fn outside(required: &str, granted: &[&str], blocked: &[&str], without: &[&str]) -> Option<String> {
    let (required, granted, blocked, without) = (path(required), paths(granted), paths(blocked), paths(without));
    let whole =
        Bounds::new(Reach::Below, &granted, &blocked, &without).counterexample(&required, &mut Budget::default());
    let found = Held::new(Reach::Below, &granted, &blocked, &without).counterexample(&required, &mut Budget::default());
    assert_eq!(found, whole, "the index and the automaton");
    found.unwrap()
}

#[test]
fn what_lies_inside() {
    let cases: &[Inside] = &[
        ("/data", &["/data"], &[], &[]),
        ("/data/**", &["/data"], &[], &[]),
        ("/data", &["/data/**"], &[], &[]),
        ("/data/x/y", &["/data"], &[], &[]),
        ("/data/*.csv", &["/data/**"], &[], &[]),
        ("/data/*", &["/data/?*"], &[], &[]),
        ("/a/?b", &["/a/*b"], &[], &[]),
        ("/a/**/b", &["/a/**"], &[], &[]),
        ("/a/**/x/**/b", &["/a/**/b"], &[], &[]),
        ("/anything", &["/**"], &[], &[]),
        // A union covers what none of it covers.
        ("/a/*", &["/a/?", "/a/??*"], &[], &[]),
        ("/a/**", &["/a/*/**", "/a"], &[], &[]),
        ("/**/x", &["/x/**", "/*/**"], &[], &[]),
        // What the requirement itself blocks need not be granted, and may be blocked.
        ("/data", &["/data"], &["/data/private"], &["/data/private"]),
        ("/data", &["/data"], &["/data/private/keys"], &["/data/private"]),
        ("/data", &["/data"], &["/data/*/keys"], &["/data/**/keys"]),
        ("/data", &["/data"], &["/database", "/dat", "/data2/**"], &[]),
        ("/", &["/a"], &[], &["/**"]),
    ];
    for (required, granted, blocked, without) in cases {
        assert_eq!(outside(required, granted, blocked, without), None, "{required} in {granted:?}");
    }
}

#[test]
fn what_does_not_has_a_shortest_counterexample() {
    let cases: &[Outside] = &[
        ("/etc/**", &["/data/**"], &[], &[], "/etc"),
        ("/database", &["/data"], &[], &[], "/database"),
        ("/Data", &["/data"], &[], &[], "/Data"),
        ("/data", &["/data/x"], &[], &[], "/data"),
        ("/data", &["/data/*"], &[], &[], "/data"),
        ("/", &["/data"], &[], &[], "/"),
        ("/data/**", &[], &[], &[], "/data"),
        ("/data", &["/data"], &["/data/private/**"], &[], "/data/private"),
        ("/data", &["/data"], &["/data/private"], &["/data/private/keys"], "/data/private"),
        ("/data/private/key", &["/data"], &["/data/private"], &[], "/data/private/key"),
        ("/a/*", &["/a/?", "/a/???*"], &[], &[], "/a/aa"),
        ("/a/*", &["/a/a*", "/a/b*"], &[], &[], "/a/c"),
        ("/a/**", &["/a", "/b"], &["/a/**/x"], &[], "/a/x"),
        // A blocked glob covers what lies below its matches.
        ("/data/x/keys/k1", &["/data"], &["/data/*/keys"], &[], "/data/x/keys/k1"),
        // "." and ".." are no names, so they are no counterexamples either.
        ("/a/?", &["/a/?"], &["/a/a"], &[], "/a/a"),
        ("/a/.?", &["/a/.a"], &[], &[], "/a/.b"),
    ];
    for (required, granted, blocked, without, expected) in cases {
        assert_eq!(outside(required, granted, blocked, without).as_deref(), Some(*expected), "{required}");
    }
}

#[test]
fn dots_alone_are_no_name() {
    assert_eq!(outside("/..?", &["/..a"], &[], &[]).as_deref(), Some("/..b"));
    let granted: Vec<String> =
        ('\u{20}'..'\u{7f}').filter(|c| !"/.*?[]{}\\".contains(*c)).map(|c| format!("/.{c}")).collect();
    let granted: Vec<&str> = granted.iter().map(String::as_str).collect();
    assert_eq!(outside("/.?", &granted, &[], &[]).as_deref(), Some("/.À"), "the next character, not `..`");
}

#[test]
fn running_out_of_budget_is_not_an_answer() {
    let mut bounds = Bounds::new(Reach::Below, &paths(&["/a/**"]), &[], &[]);
    assert_eq!(bounds.counterexample(&path("/a/b"), &mut Budget::of(3)), Err(Exhausted));
    assert_eq!(bounds.counterexample(&path("/a/b"), &mut Budget::of(1000)), Ok(None), "the bounds are as before");
}

#[test]
fn hostile_patterns_end_within_the_budget() {
    let hostile = |letter: char, n: usize| format!("/*{letter}*?{}?", "x".repeat(n));
    let granted: Vec<PathPattern> = (0..128).map(|n| path(&hostile((b'a' + n % 26) as char, usize::from(n)))).collect();
    let mut bounds = Bounds::new(Reach::Itself, &granted, &[], &[]);
    let mut budget = Budget::default();
    for _ in 0..4 {
        // Either answer will do; it must come.
        let _answer: Result<Option<String>, Exhausted> = bounds.counterexample(&path("/*"), &mut budget);
    }
}

#[test]
fn names_are_included_exactly() {
    let cases: &[(&str, &[&str], Option<&str>)] = &[
        ("APP_MODE", &["APP_*"], None),
        ("APP_*", &["APP_*"], None),
        ("APP_X*", &["APP_*"], None),
        ("APP_*", &["*"], None),
        ("*_KEY", &["*KEY"], None),
        ("APP_*", &["APP_?*", "APP_"], None),
        ("APP_*", &["APP_?*"], Some("APP_")),
        ("LANG", &["lang"], Some("LANG")),
        ("*", &["A*"], Some("a")),
        ("LANG", &[], Some("LANG")),
    ];
    for (required, granted, expected) in cases {
        let required: NamePattern = required.parse().unwrap();
        let found = Bounds::new(Reach::Itself, &names(granted), &[], &[])
            .counterexample(&required, &mut Budget::default())
            .unwrap();
        assert_eq!(found.as_deref(), *expected, "{required} in {granted:?}");
    }
}

// The oracle.

/// All paths of up to three segments of up to two characters: `c` stands for what no pattern names.
static UNIVERSE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let letters = ["a", "b", "c", "."];
    let mut segments: Vec<String> = letters.iter().map(ToString::to_string).collect();
    segments.extend(letters.iter().flat_map(|x| letters.iter().map(move |y| format!("{x}{y}"))));
    segments.retain(|segment| segment != "." && segment != "..");
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..3 {
        last = last.iter().flat_map(|path| segments.iter().map(move |segment| format!("{path}/{segment}"))).collect();
        all.extend(last.iter().cloned());
    }
    "/".clone_into(&mut all[0]);
    all.sort_by_key(String::len);
    all
});

/// All names of up to four characters: `C` stands for what no pattern names.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut all: Vec<String> = ["A", "B", "C"].map(String::from).to_vec();
    let mut last = all.clone();
    for _ in 0..3 {
        last = last.iter().flat_map(|name| ["A", "B", "C", "1"].map(|c| format!("{name}{c}"))).collect();
        all.extend(last.iter().cloned());
    }
    all
});

fn segments(text: &str) -> Vec<&str> {
    text.split('/').filter(|segment| !segment.is_empty()).collect()
}

fn means(pattern: &str, reach: Reach, path: &str) -> bool {
    match reach {
        Reach::Itself => walk(&segments(pattern), &segments(path)),
        Reach::Below => blocks(pattern, path),
    }
}

fn walk(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], path) => path.is_empty(),
        (["**", rest @ ..], _) => (0..=path.len()).any(|skipped| walk(rest, &path[skipped..])),
        ([first, rest @ ..], [name, names @ ..]) => {
            glob(&first.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>()) && walk(rest, names)
        }
        ([_, ..], []) => false,
    }
}

fn glob(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], name) => name.is_empty(),
        (['*', rest @ ..], _) => (0..=name.len()).any(|skipped| glob(rest, &name[skipped..])),
        (['?', rest @ ..], [_, name @ ..]) => glob(rest, name),
        ([first, rest @ ..], [c, name @ ..]) => first == c && glob(rest, name),
        ([_, ..], []) => false,
    }
}

/// Blocked trees reach below their matches.
fn blocks(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (segments(pattern), segments(path));
    (0..=path.len()).any(|depth| walk(&pattern, &path[..depth]))
}

fn a_path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "ab", "ba", ".a"]),
        2 => prop::sample::select(vec!["*", "?", "a*", "*b", "?a", ".?", "*.", "??", "?*"]),
        1 => Just("**"),
    ];
    let fits = |text: &String| text.parse::<PathPattern>().is_ok();
    prop::collection::vec(segment, 0..4)
        .prop_map(|segments| format!("/{}", segments.join("/")))
        .prop_filter("valid", fits)
}

fn some_paths(most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(a_path(), 0..=most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn included_has_no_counterexample_and_not_included_has_a_shortest_one(
        reach in prop::sample::select(vec![Reach::Below, Reach::Itself]),
        required in a_path(), granted in some_paths(4), blocked in some_paths(2), without in some_paths(2)
    ) {
        let is_counterexample = |path: &str| {
            means(&required, reach, path)
                && !without.iter().any(|pattern| blocks(pattern, path))
                && (!granted.iter().any(|pattern| means(pattern, reach, path)) || blocked.iter().any(|pattern| blocks(pattern, path)))
        };
        let parse = |texts: &[String]| texts.iter().map(|text| path(text)).collect::<List<_>>();
        let (grants, bars, leaves_out) = (parse(&granted), parse(&blocked), parse(&without));
        let pattern = path(&required);
        let whole = Bounds::new(reach, &grants, &bars, &leaves_out)
            .counterexample(&pattern, &mut Budget::default())
            .unwrap();
        let mut held = Held::new(reach, &grants, &bars, &leaves_out);
        let found = held.counterexample(&pattern, &mut Budget::default()).unwrap();
        prop_assert_eq!(found.as_ref().map(String::len), whole.as_ref().map(String::len), "the index and the automaton");
        let by = found.as_ref().and_then(|found| held.blocking(found)).map(ToString::to_string);
        let naive_by = found.as_ref().and_then(|found| blocked.iter().find(|pattern| blocks(pattern, found)).cloned());
        prop_assert_eq!(by, naive_by);
        let naive = UNIVERSE.iter().find(|path| is_counterexample(path));
        match found {
            None => prop_assert_eq!(naive, None),
            Some(found) => {
                prop_assert!(is_counterexample(&found), "{} is not a counterexample", found);
                prop_assert!(segments(&found).iter().all(|segment| !matches!(*segment, "." | "..")), "{}", found);
                if let Some(naive) = naive {
                    prop_assert!(found.len() <= naive.len(), "{} is longer than {}", found, naive);
                }
            }
        }
    }

    #[test]
    fn a_path_matches_as_the_oracle_says(pattern in a_path(), index in any::<prop::sample::Index>()) {
        let name = index.get(&UNIVERSE);
        for reach in [Reach::Below, Reach::Itself] {
            prop_assert_eq!(path(&pattern).matches(reach, name), means(&pattern, reach, name), "{} {}", pattern, name);
        }
    }

    #[test]
    fn names_likewise(
        required in "[AB*?][AB1*?]{0,3}", granted in prop::collection::vec("[AB*?][AB1*?]{0,3}", 0..4)
    ) {
        let naive_match = |pattern: &str, name: &str| {
            glob(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
        };
        let is_counterexample = |name: &str| {
            naive_match(&required, name) && !granted.iter().any(|pattern| naive_match(pattern, name))
        };
        let granted: List<NamePattern> = granted.iter().map(|text| text.parse().unwrap()).collect();
        let (pattern, none) = (required.parse::<NamePattern>().unwrap(), List::default());
        let found = Held::new(Reach::Itself, &granted, &none, &none).counterexample(&pattern, &mut Budget::default());
        let whole = Bounds::new(Reach::Itself, &granted, &none, &none).counterexample(&pattern, &mut Budget::default());
        prop_assert_eq!(found.as_ref().map(|f| f.as_ref().map(String::len)), whole.as_ref().map(|f| f.as_ref().map(String::len)));
        let naive = NAMES.iter().find(|name| is_counterexample(name));
        match found.unwrap() {
            None => prop_assert_eq!(naive, None),
            Some(found) => {
                prop_assert!(is_counterexample(&found), "{} is not a counterexample", found);
                prop_assert!(naive.is_none_or(|naive| found.len() <= naive.len()), "{} is longer", found);
            }
        }
    }
}
