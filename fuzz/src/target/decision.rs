//! Any question: it is answered in time, the same whether an index was there before or not and in whatever order grants
//! are listed, and nothing that is admitted is blocked or not granted.

use ccos_policy::decision::{Cause, Why};
use ccos_policy::{
    Capability, Context, Decision, Expiry, Found, HostPattern, Isolation, IsolationProfile, Isolations, Level, Limits,
    List, NamePattern, NoPolicies, OnExpiry, Outbound, PathPattern, Peer, Permissions, PortRange, ProcessCreation,
    Reach, Request, RequiredPermissions, Requires, Snapshot, Use, VolumeMount, decide,
};
use fastrand::Rng;

use super::text;

/// One case.
pub fn fuzz(random: &mut Rng) {
    let request = Request {
        now: "2026-01-01T12:00:00Z".parse().unwrap(),
        requires: requires(random, 20),
        environment: (0..random.usize(..3)).map(|_| text::soup(random, 2)).collect(),
        isolation: (random.u8(..8) == 0).then(|| isolation(random)),
        unheld: Vec::new(),
    };
    let snapshot = Snapshot {
        policies: std::sync::Arc::new(NoPolicies),
        context: if random.u8(..50) == 0 { Found::Missing("it".to_owned()) } else { Found::Valid(context(random)) },
        may_use: if random.u8(..50) == 0 { Use::Forbidden("eve".to_owned()) } else { Use::Allowed },
        capability: Found::Valid(Capability {
            display: "capability".to_owned(),
            requires: requires(random, 90),
            command: "/app/run".parse().unwrap(),
            unheld: Vec::new(),
        }),
        isolations: Isolations(
            [(Isolation::GVisor, IsolationProfile { user_namespaces: true, ..IsolationProfile::default() })].into(),
        ),
    };
    let answer = decide(&request, &snapshot);
    assert_eq!(decide(&request, &snapshot), answer, "asked again");
    let turned = Snapshot { context: turned(&snapshot.context), ..snapshot.clone() };
    let other = decide(&request, &turned);
    assert_eq!(
        matches!(answer, Decision::Admitted(_)),
        matches!(other, Decision::Admitted(_)),
        "in another order:\n{request:?}\n{snapshot:?}"
    );
    match &answer {
        Decision::Admitted(admitted) => judge(random, admitted.permissions(), &snapshot),
        Decision::Denied(denials) => {
            assert!(!denials.to_string().is_empty());
            denials.iter().for_each(|denial| explained(&denial.cause, &snapshot));
        }
    }
}

/// Paths that the execution gets are granted and not blocked.
fn judge(random: &mut Rng, got: &Permissions, snapshot: &Snapshot) {
    let Found::Valid(context) = &snapshot.context else { panic!("admitted without a context") };
    let grants = &context.permissions;
    let means = |list: &[PathPattern], reach, path: &str| list.iter().any(|pattern| pattern.matches(reach, path));
    let lists = [
        (Reach::Below, &got.filesystem.read, &grants.filesystem.read),
        (Reach::Below, &got.filesystem.write, &grants.filesystem.write),
        (Reach::Below, &got.filesystem.execute, &grants.filesystem.execute),
        (Reach::Itself, &got.system.commands, &grants.system.commands),
    ];
    for (reach, got_list, granted) in lists {
        for pattern in got_list {
            let base = pattern.literal_base();
            let below = format!("{}{}", if base == "/" { "" } else { base }, text::literal(random, 3));
            for path in [base, &below] {
                if means(got_list, reach, path) && !means(&got.filesystem.blocked, Reach::Below, path) {
                    let granted = context.level == Level::Full || means(granted, reach, path);
                    assert!(granted && context.level != Level::Pure, "{path} is not granted:\n{got:?}\n{snapshot:?}");
                    assert!(!means(&grants.filesystem.blocked, Reach::Below, path), "{path} is blocked:\n{snapshot:?}");
                }
            }
        }
    }
}

/// A denial's example is one.
fn explained(cause: &Cause, snapshot: &Snapshot) {
    let Found::Valid(context) = &snapshot.context else { return };
    let (reach, outside) = match cause {
        Cause::FileRead(outside) | Cause::FileWrite(outside) | Cause::FileExecute(outside) => (Reach::Below, outside),
        Cause::Command(outside) => (Reach::Itself, outside),
        _ => return,
    };
    match &outside.why {
        Why::NotGranted { counterexample } => {
            assert!(outside.required.matches(reach, counterexample), "{outside:?}");
            assert!(!outside.granted.iter().any(|pattern| pattern.matches(reach, counterexample)), "{outside:?}");
        }
        Why::Blocked { counterexample, by } => {
            assert!(outside.required.matches(reach, counterexample), "{outside:?}");
            let by: PathPattern = by.parse().unwrap();
            assert!(by.matches(Reach::Below, counterexample), "{outside:?} {context:?}");
        }
        Why::TooComplex => {}
    }
}

/// Each list from its end to its beginning, and without its index.
fn turned(context: &Found<Context>) -> Found<Context> {
    let Found::Valid(context) = context else { return context.clone() };
    let mut context = context.clone();
    let files = &mut context.permissions.filesystem;
    for list in [&mut files.read, &mut files.write, &mut files.execute, &mut files.blocked] {
        *list = list.iter().rev().cloned().collect();
    }
    let network = &mut context.permissions.network;
    network.outbound = network.outbound.iter().rev().cloned().collect();
    network.blocked = network.blocked.iter().rev().cloned().collect();
    let environment = &mut context.permissions.environment;
    environment.read = environment.read.iter().rev().cloned().collect();
    Found::Valid(context)
}

fn context(random: &mut Rng) -> Context {
    let mut permissions = Permissions::default();
    permissions.filesystem.read = paths(random, 8);
    permissions.filesystem.write = paths(random, 4);
    permissions.filesystem.execute = paths(random, 4);
    permissions.filesystem.blocked = paths(random, 3);
    permissions.system.commands = paths(random, 4);
    permissions.environment.read = names(random);
    permissions.network.outbound = rules(random);
    permissions.network.blocked = (0..random.usize(..3)).filter_map(|_| peer(random)).collect();
    if random.bool() {
        permissions.system.process_creation = ProcessCreation::Allowed;
    }
    let mount = text::literal(random, 2).parse().unwrap();
    Context {
        display: "context".to_owned(),
        level: [Level::Controlled, Level::Controlled, Level::Full, Level::Sandboxed, Level::Pure][random.usize(..5)],
        permissions,
        limits: Limits::default(),
        isolations_allowed: Vec::new(),
        isolation_default: None,
        volumes: vec![VolumeMount { mount_path: mount, writable: random.bool(), in_memory: random.bool() }],
        expiry: Expiry { at: None, on_expiry: OnExpiry::Stop },
        unheld: Vec::new(),
    }
}

/// `percent`: how often a list is there.
fn requires(random: &mut Rng, percent: u8) -> Requires {
    let list = |random: &mut Rng| (random.u8(..100) < percent).then(|| paths(random, 3));
    let permissions = RequiredPermissions {
        read: list(random),
        write: list(random),
        execute: list(random),
        blocked: list(random),
        commands: list(random),
        environment_read: (random.u8(..100) < percent / 3).then(|| names(random)),
        outbound: (random.u8(..100) < percent / 5).then(|| rules(random)),
        ..RequiredPermissions::default()
    };
    Requires { permissions, limits: Limits::default() }
}

fn paths(random: &mut Rng, most: usize) -> List<PathPattern> {
    let one = |random: &mut Rng| match random.u8(..4) {
        0 => "/**".parse().ok(),
        1 => text::literal(random, 4).parse().ok(),
        _ => text::path(random, 5).parse().ok(),
    };
    (0..random.usize(..=most)).filter_map(|_| one(random)).collect()
}

fn names(random: &mut Rng) -> List<NamePattern> {
    const NAMES: [&str; 6] = ["A", "AB", "A*", "*", "?B", "A?*_"];
    (0..random.usize(..3)).map(|_| NAMES[random.usize(..6)].parse().unwrap()).collect()
}

fn peer(random: &mut Rng) -> Option<Peer> {
    const PEERS: [&str; 7] = ["x.com", "*.x.com", "a.x.com", "*.com", "10.0.0.0/8", "10.1.0.0/16", "::/0"];
    let text = if random.u8(..8) == 0 { text::soup(random, 4) } else { PEERS[random.usize(..7)].to_owned() };
    text.parse().map(Peer::Cidr).or_else(|_| text.parse::<HostPattern>().map(Peer::Host)).ok()
}

fn rules(random: &mut Rng) -> List<Outbound> {
    let ports = |random: &mut Rng| {
        let first = random.u16(1..10);
        vec![PortRange::new(first, random.u16(first..20)).unwrap()]
    };
    (0..random.usize(..4)).filter_map(|_| Some(Outbound { peer: peer(random)?, ports: ports(random) })).collect()
}

fn isolation(random: &mut Rng) -> Isolation {
    [Isolation::GVisor, Isolation::Kata, Isolation::Container, Isolation::Wasm][random.usize(..4)]
}
