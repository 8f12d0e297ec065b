//! Laws of the decision as a whole: nothing admitted is outside of a grant, grants only ever help, and blocks never do.

use ccos_policy::{
    Admitted, Decision, Denials, Isolation, Level, List, PathPattern, ProcessCreation, Reach, RequiredPermissions,
    VolumeMount, decide,
};
use proptest::prelude::*;

use crate::given::{Case, case, names, path, paths};

const PATHS: [&str; 12] =
    ["/", "/a", "/a/b", "/a/b/**", "/a/*", "/a/**/x", "/ab", "/app", "/tmp/x", "/c", "/c/d/**", "/?"];
const NAMES: [&str; 5] = ["A", "AB", "A*", "*", "?B"];
/// Paths that tell the patterns above apart.
const SAMPLES: [&str; 16] = [
    "/",
    "/a",
    "/a/b",
    "/a/b/c",
    "/a/x",
    "/a/b/x",
    "/a/x/y",
    "/ab",
    "/app",
    "/app/fetch",
    "/tmp/x",
    "/c",
    "/c/d",
    "/c/d/e",
    "/z",
    "/zz/y",
];

/// Grants: often all there is, or the laws would speak of denials only.
fn some_paths() -> impl Strategy<Value = List<PathPattern>> {
    let one = prop_oneof![1 => Just("/"), 1 => Just("/**"), 3 => prop::sample::select(&PATHS[..])];
    prop::collection::vec(one.prop_map(path), 0..4).prop_map(List::from)
}

/// Requirements and blocks: mostly what can be held.
fn few_paths() -> impl Strategy<Value = List<PathPattern>> {
    let one = prop_oneof![
        6 => prop::sample::select(vec!["/a/b", "/ab", "/a/b/**", "/c/d", "/c", "/a/x"]),
        1 => prop::sample::select(&PATHS[..]),
    ];
    prop::collection::vec(one.prop_map(path), 0..3).prop_map(List::from)
}

fn some_names() -> impl Strategy<Value = List<ccos_policy::NamePattern>> {
    prop::collection::vec(prop::sample::select(&NAMES[..]).prop_map(|name| name.parse().unwrap()), 0..3)
        .prop_map(List::from)
}

fn required(present: f64) -> impl Strategy<Value = RequiredPermissions> {
    let list = move || prop::option::weighted(present, few_paths());
    let environment = move || prop::option::weighted(present / 2.0, some_names());
    let processes = prop::option::weighted(present / 2.0, any::<bool>());
    (list(), list(), list(), list(), list(), environment(), environment(), processes).prop_map(
        |(read, write, execute, blocked, commands, environment_read, environment_write, processes)| {
            RequiredPermissions {
                read,
                write,
                execute,
                blocked,
                commands,
                environment_read,
                environment_write,
                process_creation: processes
                    .map(|yes| if yes { ProcessCreation::Allowed } else { ProcessCreation::Denied }),
                ..RequiredPermissions::default()
            }
        },
    )
}

fn a_case() -> impl Strategy<Value = Case> {
    let level = prop_oneof![
        1 => Just(Level::Pure),
        4 => Just(Level::Controlled),
        2 => Just(Level::Sandboxed),
        4 => Just(Level::Full),
    ];
    let blocked = prop_oneof![3 => Just(List::default()), 2 => few_paths()];
    let granted = (some_paths(), some_paths(), some_paths(), blocked, some_paths(), some_names(), any::<bool>());
    let isolation = prop::sample::select(vec![None, None, None, Some(Isolation::Kata), Some(Isolation::Container)]);
    let volume = prop::option::of((prop::sample::select(vec!["/a", "/c/d"]), any::<bool>()));
    (level, granted, required(0.7), required(0.15), isolation, volume).prop_map(
        |(level, (read, write, execute, blocked, commands, variables, processes), needs, own, isolation, volume)| {
            case()
                .context(|c| {
                    c.level = level;
                    c.permissions.filesystem = ccos_policy::Filesystem { read, write, execute, blocked };
                    c.permissions.system.commands = commands;
                    c.permissions.environment.read = variables;
                    if processes {
                        c.permissions.system.process_creation = ProcessCreation::Allowed;
                    }
                    c.volumes.extend(volume.map(|(mount, writable)| VolumeMount {
                        mount_path: path(mount),
                        writable,
                        in_memory: false,
                    }));
                })
                .needs(|r| *r = needs)
                .narrows(|r| *r = own)
                .asks(|r| r.isolation = isolation)
        },
    )
}

fn answer(case: &Case) -> Result<Admitted, Denials> {
    match decide(&case.request, &case.snapshot) {
        Decision::Admitted(admitted) => Ok(admitted),
        Decision::Denied(denials) => Err(denials),
    }
}

/// Whether the path or one above it is meant: what a block covers.
fn covers(patterns: &[PathPattern], sample: &str) -> bool {
    let above = sample.match_indices('/').map(|(end, _)| if end == 0 { "/" } else { &sample[..end] });
    above.chain([sample]).any(|path| patterns.iter().any(|pattern| pattern.matches(Reach::Below, path)))
}

fn means(patterns: &[PathPattern], reach: Reach, sample: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(reach, sample))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn what_is_admitted_is_granted_not_blocked_and_within_the_capabilitys(case in a_case()) {
        let Ok(admitted) = answer(&case) else { return Ok(()) };
        let ccos_policy::Found::Valid(context) = &case.snapshot.context else { unreachable!() };
        let ccos_policy::Found::Valid(capability) = &case.snapshot.capability else { unreachable!() };
        let (got, grants, needs) = (admitted.permissions(), &context.permissions, &capability.requires.permissions);
        let own_blocked = needs.blocked.clone().unwrap_or_default();
        let lists = [
            (Reach::Below, &got.filesystem.read, &grants.filesystem.read, &needs.read),
            (Reach::Below, &got.filesystem.write, &grants.filesystem.write, &needs.write),
            (Reach::Below, &got.filesystem.execute, &grants.filesystem.execute, &needs.execute),
            (Reach::Itself, &got.system.commands, &grants.system.commands, &needs.commands),
        ];
        for sample in SAMPLES {
            for (reach, got_list, granted, needed) in lists {
                if means(got_list, reach, sample) && !covers(&got.filesystem.blocked, sample) {
                    let granted = context.level == Level::Full || means(granted, reach, sample);
                    prop_assert!(granted && context.level != Level::Pure, "{} is not granted", sample);
                    prop_assert!(!covers(&grants.filesystem.blocked, sample), "{} is blocked", sample);
                    let needed = needed.as_ref().is_some_and(|needed| means(needed, reach, sample));
                    prop_assert!(needed && !covers(&own_blocked, sample), "{} is not the capability's", sample);
                }
            }
            let executable = means(&got.filesystem.execute, Reach::Below, sample)
                || means(&got.system.commands, Reach::Itself, sample);
            let open = !covers(&got.filesystem.blocked, sample);
            prop_assert!(!(open && executable && means(&got.filesystem.write, Reach::Below, sample)), "{} is writable and executable", sample);
        }
    }

    #[test]
    fn granting_more_changes_nothing_that_is_admitted(case in a_case(), more in some_paths()) {
        if let Ok(admitted) = answer(&case) {
            let wider = case.grants(|p| {
                p.filesystem.read.extend(more.iter().cloned());
                p.filesystem.write.extend(more.iter().cloned());
                p.system.commands.extend(more.iter().cloned());
                p.environment.read.extend(names(&["*"]).iter().cloned());
            });
            prop_assert_eq!(answer(&wider), Ok(admitted));
        }
    }

    #[test]
    fn blocking_more_admits_nothing_that_is_denied(case in a_case(), more in some_paths()) {
        if answer(&case).is_err() {
            prop_assert!(answer(&case.grants(|p| p.filesystem.blocked.extend(more.iter().cloned()))).is_err());
        }
    }

    #[test]
    fn what_is_admitted_can_do_with_less(case in a_case()) {
        if answer(&case).is_ok() {
            let less = case.narrows(|r| {
                r.write = Some(List::default());
                r.read = Some(List::default());
                r.process_creation = Some(ProcessCreation::Denied);
                r.environment_write = Some(List::default());
            });
            prop_assert!(answer(&less).is_ok(), "{}", answer(&less).unwrap_err());
        }
    }

    #[test]
    fn the_order_of_a_list_does_not_matter_to_the_answer(case in a_case()) {
        let reversed = case.clone().grants(|p| {
            p.filesystem.read = p.filesystem.read.iter().rev().cloned().collect();
            p.filesystem.blocked = p.filesystem.blocked.iter().rev().cloned().collect();
        });
        prop_assert_eq!(answer(&case).is_ok(), answer(&reversed).is_ok());
    }
}

#[test]
fn the_laws_are_not_empty() {
    // The generator admits often enough for the laws above to say something.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let admitted = (0..500)
        .filter(|_| answer(&proptest::strategy::ValueTree::current(&a_case().new_tree(&mut runner).unwrap())).is_ok())
        .count();
    assert!(admitted > 60, "{admitted} of 500");
    assert!(paths(&PATHS).len() > 10);
}
