//! What a decision costs: 10 and 128 patterns a list (the wire's maximum), each required one held against all granted
//! ones and all blocked ones, admitted and denied by the last.
//!
//! The peer, globset, answers an easier question: whether each *path* matches one of the grants. It is here for
//! orientation, and it is biased in globset's favour: it proves nothing about patterns, and its set is compiled before
//! the clock starts, while ours is compiled in each decision, as the webhook must.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark is a test, too")]

use ccos_policy::{
    Capability, Context, Decision, Expiry, Found, Isolation, IsolationProfile, Isolations, Level, Limits, OnExpiry,
    PathPattern, Permissions, Reason, Request, Requires, Snapshot, Use, decide,
};
use divan::{Bencher, black_box};
use globset::{Glob, GlobSet, GlobSetBuilder};

fn main() {
    divan::main();
}

const PATTERNS: [usize; 2] = [10, 128];

fn path(text: &str) -> PathPattern {
    text.parse().unwrap()
}

fn required(patterns: usize) -> Vec<String> {
    (0..patterns).map(|n| format!("/data/team-{n}/reports/2026")).collect()
}

fn question(patterns: usize, denied: Option<&str>) -> (Request, Snapshot) {
    let list = |format: &dyn Fn(usize) -> String| (0..patterns).map(|n| path(&format(n))).collect::<Vec<_>>();
    let mut permissions = Permissions::default();
    permissions.filesystem.read = list(&|n| format!("/data/team-{n}/**"));
    permissions.filesystem.blocked = list(&|n| format!("/data/team-{n}/private-*"));
    let mut needs = Requires::default();
    let mut read: Vec<PathPattern> = required(patterns).iter().map(|text| path(text)).collect();
    read.truncate(patterns - usize::from(denied.is_some()));
    read.extend(denied.map(path));
    needs.permissions.read = Some(read);
    let context = Context {
        display: "SecurityContext \"analysts\"".to_owned(),
        level: Level::Controlled,
        permissions,
        limits: Limits::default(),
        isolations_allowed: Vec::new(),
        isolation_default: None,
        volumes: Vec::new(),
        expiry: Expiry { at: None, on_expiry: OnExpiry::Stop },
        unheld: Vec::new(),
    };
    let capability = Capability {
        display: "weather.fetch of CapabilityProvider \"weather\"".to_owned(),
        requires: needs,
        command: path("/app/fetch"),
        unheld: Vec::new(),
    };
    let request = Request {
        now: "2026-01-01T12:00:00Z".parse().unwrap(),
        requires: Requires::default(),
        environment: Vec::new(),
        isolation: None,
        unheld: Vec::new(),
    };
    let gvisor = IsolationProfile { runtime_class: Some("gvisor".to_owned()), user_namespaces: true };
    let snapshot = Snapshot {
        context: Found::Valid(context),
        may_use: Use::Allowed,
        capability: Found::Valid(capability),
        isolations: Isolations([(Isolation::GVisor, gvisor)].into()),
    };
    (request, snapshot)
}

#[divan::bench(args = PATTERNS)]
fn admitted(bencher: Bencher, patterns: usize) {
    let (request, snapshot) = question(patterns, None);
    bencher.bench_local(|| decide(black_box(&request), black_box(&snapshot)));
    assert!(matches!(decide(&request, &snapshot), Decision::Admitted(_)));
}

#[divan::bench(args = PATTERNS)]
fn denied_by_the_last(bencher: Bencher, patterns: usize) {
    let (request, snapshot) = question(patterns, Some("/etc/**"));
    bencher.bench_local(|| decide(black_box(&request), black_box(&snapshot)));
    match decide(&request, &snapshot) {
        Decision::Admitted(_) => panic!("admitted"),
        Decision::Denied(denials) => {
            let only: Vec<_> = denials.iter().map(|denial| (denial.reason(), denial.field.to_string())).collect();
            let field = format!("requires.permissions.filesystem.read[{}]", patterns - 1);
            assert_eq!(only, [(Reason::FileReadDenied, field)]);
        }
    }
}

/// What an attacker may write: globs whose subsets multiply. The budget ends it; what is left is the worst case.
#[divan::bench]
fn denied_as_too_complex(bencher: Bencher) {
    let (mut request, mut snapshot) = question(128, None);
    // Each remembers whether its letter came four characters ago; together, the last four characters.
    let hostile = |n: u8| path(&format!("/*{}???", char::from(b'!' + n)));
    if let Found::Valid(context) = &mut snapshot.context {
        let letters = (0..90).filter(|n| !b"*/?[\\]".contains(&(b'!' + n)));
        context.permissions.filesystem.read = letters.map(hostile).chain([path("/*")]).collect();
    }
    request.requires.permissions.read = Some(vec![path("/*"); 128]);
    bencher.bench_local(|| decide(black_box(&request), black_box(&snapshot)));
    match decide(&request, &snapshot) {
        Decision::Admitted(_) => panic!("admitted"),
        Decision::Denied(denials) => assert!(denials.to_string().contains("too complex to decide")),
    }
}

#[divan::bench(args = PATTERNS)]
fn globset_paths_only(bencher: Bencher, patterns: usize) {
    let set: GlobSet = (0..patterns)
        .fold(&mut GlobSetBuilder::new(), |set, n| set.add(Glob::new(&format!("/data/team-{n}/**")).unwrap()))
        .build()
        .unwrap();
    let paths = required(patterns);
    bencher.bench_local(|| paths.iter().all(|path| black_box(&set).is_match(black_box(path))));
    assert!(paths.iter().all(|path| set.is_match(path)));
}
