//! What a context may grant whose author has no right to escalate.

use ccos_policy::{
    Ceiling, Context, Found, Isolation, Level, List, ProcessCreation, Reason, RequiredPermissions, exceeds,
};

use crate::given::{case, names, outbounds, path, paths, peer};

fn context(change: impl FnOnce(&mut Context)) -> Context {
    match case().context(change).snapshot.context {
        Found::Valid(context) => context,
        other => panic!("{other:?}"),
    }
}

fn ceiling(change: impl FnOnce(&mut RequiredPermissions)) -> Ceiling {
    let mut ceiling = Ceiling::default();
    change(&mut ceiling.permissions);
    ceiling
}

/// Each line of what is beyond, which always has this one reason.
#[track_caller]
fn says(context: &Context, ceiling: &Ceiling) -> Vec<String> {
    let denials = exceeds(context, ceiling);
    denials
        .iter()
        .flatten()
        .map(|denial| {
            assert_eq!(denial.reason(), Reason::CeilingExceeded);
            denial.to_string()
        })
        .collect()
}

#[test]
fn an_absent_list_bounds_nothing_and_an_empty_one_allows_none() {
    let all = context(|context| context.permissions.filesystem.read = paths(&["/**"]));
    assert_eq!(says(&all, &Ceiling::default()), Vec::<String>::new());
    assert_eq!(
        says(&all, &ceiling(|ceiling| ceiling.read = Some(List::default()))),
        [r#"spec.permissions.filesystem.read[0] "/**": above the cluster's ceiling, e.g. /; it allows: nothing"#]
    );
}

#[test]
fn a_grant_outside_is_named_with_an_example_and_what_is_allowed() {
    let ceiling = ceiling(|ceiling| ceiling.read = Some(paths(&["/data/**", "/opt"])));
    let inside = context(|context| context.permissions.filesystem.read = paths(&["/data/in", "/opt/*.txt"]));
    assert_eq!(says(&inside, &ceiling), Vec::<String>::new());
    let outside = context(|context| context.permissions.filesystem.read = paths(&["/data/in", "/*/x"]));
    assert_eq!(
        says(&outside, &ceiling),
        [
            r#"spec.permissions.filesystem.read[1] "/*/x": above the cluster's ceiling, e.g. /a/x; it allows: /data/**, /opt"#
        ]
    );
}

#[test]
fn what_the_ceiling_blocks_a_context_blocks_too_or_does_not_grant() {
    let ceiling = ceiling(|ceiling| ceiling.blocked = Some(vec![path("/etc/shadow")].into()));
    let mut all = context(|context| context.permissions.filesystem.read = paths(&["/**"]));
    assert_eq!(
        says(&all, &ceiling),
        [r#"spec.permissions.filesystem.read[0] "/**": above the cluster's ceiling, which blocks /etc/shadow"#]
    );
    all.permissions.filesystem.blocked = paths(&["/etc/*"]);
    assert_eq!(says(&all, &ceiling), Vec::<String>::new());
    all.permissions.filesystem.blocked = paths(&["/etc/*/x"]);
    assert_eq!(says(&all, &ceiling).len(), 1);
}

#[test]
fn networks_are_bounded_by_address_and_port_and_what_is_blocked_is_blocked_too() {
    let metadata = ceiling(|ceiling| ceiling.network_blocked = Some(vec![peer("169.254.0.0/16")].into()));
    let mut all = context(|context| context.permissions.network.outbound = outbounds(&["0.0.0.0/0 443"]));
    assert_eq!(
        says(&all, &metadata),
        [
            r#"spec.permissions.network.outbound[0] "0.0.0.0/0 port 443": above the cluster's ceiling, which blocks 169.254.0.0/16, e.g. 169.254.0.0:443"#
        ]
    );
    all.permissions.network.blocked = vec![peer("169.254.0.0/15")].into();
    assert_eq!(says(&all, &metadata), Vec::<String>::new());
    let https = ceiling(|ceiling| ceiling.outbound = Some(outbounds(&["0.0.0.0/0 443"])));
    assert_eq!(says(&all, &https), Vec::<String>::new());
    all.permissions.network.outbound = outbounds(&["0.0.0.0/0 80"]);
    assert_eq!(says(&all, &https).len(), 1);
}

#[test]
fn a_bound_that_the_context_leaves_out_is_its_levels_or_none() {
    let mut ceiling = Ceiling::default();
    ceiling.limits.memory = Some("128Mi".parse().unwrap());
    ceiling.limits.network_bytes_per_second = Some("1Mi".parse().unwrap());
    ceiling.permissions.max_connections = Some(8);
    let silent = context(|context| context.permissions.network.outbound = outbounds(&["a.test 443"]));
    assert_eq!(
        says(&silent, &ceiling),
        [
            "spec.limits.memory 256Mi: the default of level Controlled: exceeds 128Mi, the cluster's ceiling",
            "spec.limits.networkBytesPerSecond: absent, so that nothing bounds it; the cluster's ceiling allows 1Mi",
            "spec.permissions.network.maxConnections: absent, so that nothing bounds it; the cluster's ceiling allows 8",
        ]
    );
    let own = context(|context| context.limits.memory = Some("129Mi".parse().unwrap()));
    assert_eq!(says(&own, &ceiling), ["spec.limits.memory 129Mi: exceeds 128Mi, the cluster's ceiling"]);
    let inside = context(|context| {
        context.limits = ceiling.limits;
        context.permissions.network.max_connections = Some(8);
        context.permissions.network.outbound = outbounds(&["a.test 443"]);
    });
    assert_eq!(says(&inside, &ceiling), Vec::<String>::new());
}

#[test]
fn levels_isolations_processes_and_names_are_bounded_too() {
    let ceiling = Ceiling {
        levels: Some(vec![Level::Sandboxed]),
        isolations: Some(vec![Isolation::GVisor, Isolation::Kata]),
        ..ceiling(|ceiling| {
            ceiling.process_creation = Some(ProcessCreation::Denied);
            ceiling.environment_read = Some(names(&["APP_*"]));
        })
    };
    let context = context(|context| {
        context.isolations_allowed = vec![Isolation::GVisor, Isolation::Wasm];
        context.permissions.system.process_creation = ProcessCreation::Allowed;
        context.permissions.environment.read = names(&["APP_A", "*"]);
    });
    assert_eq!(
        says(&context, &ceiling),
        [
            "spec.isolation.allowed Wasm: above the cluster's ceiling; it allows: GVisor, Kata",
            "spec.level Controlled: above the cluster's ceiling; it allows: Sandboxed",
            r#"spec.permissions.environment.read[1] "*": above the cluster's ceiling, e.g. a; it allows: APP_*"#,
            "spec.permissions.system.processCreation Allowed: above the cluster's ceiling; it allows: Denied",
        ]
    );
}

#[test]
fn a_context_that_lists_no_isolation_allows_those_of_its_level() {
    let ceiling =
        Ceiling { isolations: Some(vec![Isolation::GVisor, Isolation::Kata, Isolation::Wasm]), ..Ceiling::default() };
    assert_eq!(
        says(&context(|_| {}), &ceiling),
        [
            "spec.isolation.allowed Container: granted where none is listed; above the cluster's ceiling; it allows: GVisor, Kata, Wasm"
        ]
    );
    assert_eq!(says(&context(|context| context.level = Level::Sandboxed), &ceiling), Vec::<String>::new());
}

#[test]
fn full_is_above_every_ceiling_and_pure_grants_nothing_to_hold_against_it() {
    let full = context(|context| context.level = Level::Full);
    assert_eq!(
        says(&full, &Ceiling::default()),
        ["spec.level Full: above the cluster's ceiling; it allows: Pure, Controlled, Sandboxed"]
    );
    let none = ceiling(|ceiling| ceiling.read = Some(List::default()));
    assert_eq!(says(&context(|context| context.level = Level::Pure), &none), Vec::<String>::new());
}
