//! What one context grants beyond another.

use ccos_policy::{
    Beyond, Bytes, Context, Found, Isolation, Level, List, Over, PathPattern, ProcessCreation, Reach, Reason, all,
    beyond,
};

use crate::given::{case, names, outbounds, paths, peer};

fn context(change: impl FnOnce(&mut Context)) -> Context {
    match case().context(change).snapshot.context {
        Found::Valid(context) => context,
        other => panic!("{other:?}"),
    }
}

fn reads(read: &[&str], blocked: &[&str]) -> Context {
    context(|context| {
        context.permissions.filesystem.read = paths(read);
        context.permissions.filesystem.blocked = paths(blocked);
    })
}

fn says(context: &Context, other: &Context) -> Vec<String> {
    let line = |Beyond { field, granted, over }: &Beyond| match over {
        Over::Example(example) => format!("{field} {granted}: e.g. {example}"),
        Over::Blocked { example, by } => format!("{field} {granted}: e.g. {example}, blocked by {by}"),
        Over::Most(most) => format!("{field} {granted}: most {most}"),
        Over::NotAllowed => format!("{field} {granted}"),
        Over::TooComplex => format!("{field} {granted}: ?"),
    };
    beyond(context, other).iter().map(line).collect()
}

#[test]
fn all_that_a_context_grants_is_beyond_nothing() {
    let fields = |context: &Context| -> Vec<String> {
        all(context).iter().map(|Beyond { field, granted, .. }| format!("{field} {granted}")).collect()
    };
    let full = fields(&context(|context| context.level = Level::Full));
    for line in [
        "permissions.filesystem.read everything, at level Full",
        "permissions.network.outbound everything, at level Full",
        "permissions.system.processCreation everything",
        "limits.memory 1Gi",
        "isolation.allowed Container",
    ] {
        assert!(full.iter().any(|known| known.starts_with(line)), "{line}: {full:#?}");
    }
    // Bounds below those of another level are bounds, too, and what is blocked is not granted.
    let small = context(|context| {
        context.permissions.filesystem.read = paths(&["/data", "/etc"]);
        context.permissions.filesystem.blocked = paths(&["/etc"]);
        context.limits.memory = Some(Bytes(1 << 20));
        context.isolations_allowed = vec![Isolation::Kata];
    });
    let small = fields(&small);
    assert_eq!(small.first().map(String::as_str), Some("permissions.filesystem.read[0] /data"));
    assert!(small.contains(&"limits.memory 1Mi".to_owned()), "{small:#?}");
    assert_eq!(small.last().map(String::as_str), Some("isolation.allowed Kata"));
}

const NOTHING: [String; 0] = [];

#[test]
fn other_words_for_the_same_are_no_difference() {
    for (one, other) in [
        (reads(&["/data", "/data/in"], &[]), reads(&["/data/**"], &[])),
        (reads(&["/a", "/b"], &["/b"]), reads(&["/a"], &[])),
        (reads(&["/x/?", "/x/*"], &[]), reads(&["/x/*"], &[])),
    ] {
        assert_eq!(says(&one, &other), NOTHING);
        assert_eq!(says(&other, &one), NOTHING);
    }
}

#[test]
fn each_list_has_its_shortest_example() {
    let wide = context(|context| {
        let permissions = &mut context.permissions;
        permissions.filesystem.read = paths(&["/data/**", "/data/*.csv", "/etc/**"]);
        permissions.filesystem.write = paths(&["/work"]);
        permissions.system.commands = paths(&["/usr/bin/*"]);
        permissions.system.process_creation = ProcessCreation::Allowed;
        permissions.environment.read = names(&["APP_*"]);
        permissions.network.outbound = outbounds(&["*.example.com 443", "10.0.0.0/8 80-90"]);
        permissions.network.max_connections = Some(16);
        context.limits.memory = Some(Bytes(1 << 30));
        context.isolations_allowed = vec![Isolation::GVisor, Isolation::Kata];
    });
    let narrow = context(|context| {
        let permissions = &mut context.permissions;
        permissions.filesystem.read = paths(&["/data/**"]);
        permissions.environment.read = names(&["APP_MODE"]);
        permissions.network.outbound = outbounds(&["*.example.com 443", "10.0.0.0/9 80-90"]);
        permissions.network.blocked = vec![peer("secret.example.com")].into();
        permissions.network.max_connections = Some(4);
        context.isolations_allowed = vec![Isolation::GVisor];
    });
    assert_eq!(
        says(&wide, &narrow),
        [
            "permissions.environment.read[0] APP_*: e.g. APP_",
            "permissions.filesystem.read[2] /etc/**: e.g. /etc",
            "permissions.filesystem.write[0] /work: e.g. /work",
            "permissions.network.maxConnections 16: most 4",
            "permissions.network.outbound[0] *.example.com port 443: e.g. secret.example.com:443, blocked by secret.example.com",
            "permissions.network.outbound[1] 10.0.0.0/8 ports 80-90: e.g. 10.128.0.0:80",
            "permissions.system.commands[0] /usr/bin/*: e.g. /usr/bin/a",
            "permissions.system.processCreation Allowed",
            "limits.memory 1Gi: most 256Mi",
            "isolation.allowed Kata",
        ]
    );
    assert_eq!(says(&narrow, &wide), NOTHING);
}

#[test]
fn a_level_grants_what_nobody_wrote() {
    let full = context(|context| {
        context.level = Level::Full;
        context.permissions.filesystem.blocked = paths(&["/root"]);
    });
    let controlled = context(|context| {
        context.permissions.filesystem.read = paths(&["/**"]);
        context.permissions.network.outbound = outbounds(&["*.example 443"]);
    });
    let said = says(&full, &controlled);
    for (field, example) in [
        ("permissions.filesystem.write", "/"),
        ("permissions.network.outbound", "example0:1"),
        ("permissions.ipc.connect", "/"),
        ("permissions.environment.read", "a"),
    ] {
        assert!(said.contains(&format!("{field} everything, at level Full: e.g. {example}")), "{field}: {said:#?}");
    }
    assert!(!said.iter().any(|line| line.starts_with("permissions.filesystem.read")), "{said:#?}");
    // What it blocks, the other grants.
    assert_eq!(says(&controlled, &full), ["permissions.filesystem.read[0] /**: e.g. /root, blocked by /root"]);
    assert_eq!(says(&full, &full.clone()), NOTHING);
    let pure = context(|context| context.level = Level::Pure);
    assert_eq!(says(&pure, &controlled), NOTHING);
    let sandboxed = context(|context| context.level = Level::Sandboxed);
    let said = says(&controlled, &sandboxed);
    assert!(said.contains(&"isolation.allowed Container".to_owned()), "{said:#?}");
    assert!(said.contains(&"limits.threads 64: most 32".to_owned()), "{said:#?}");
}

#[test]
fn a_bound_that_is_gone_is_a_difference() {
    let bounded = context(|context| {
        context.permissions.network.max_connections = Some(4);
        context.limits.network_bytes_per_second = Some(Bytes(1 << 20));
    });
    let unbounded = context(|_| {});
    assert_eq!(
        says(&unbounded, &bounded),
        ["permissions.network.maxConnections unbounded: most 4", "limits.networkBytesPerSecond unbounded: most 1Mi"]
    );
    assert_eq!(says(&bounded, &unbounded), NOTHING);
}

/// The decision itself says so of each example.
#[test]
fn an_example_is_granted_by_the_one_and_denied_by_the_other() {
    let lists: [&[&str]; 6] =
        [&["/a/**"], &["/a/*"], &["/a", "/b/c"], &["/**/x"], &["/a/?b/**"], &["/b/*/c/**", "/a/b"]];
    let mut examples = 0;
    for (one, other) in lists.iter().flat_map(|one| lists.iter().map(move |other| (one, other))) {
        for blocked in [&[][..], &["/a/b"][..]] {
            for Beyond { over, .. } in beyond(&reads(one, blocked), &reads(other, &[])) {
                let Over::Example(example) = over else { panic!("{over:?}") };
                examples += 1;
                let asked = case().context(|context| *context = reads(other, &[]));
                let denied = asked.requires(|required| required.read = Some(paths(&[&example]))).denied();
                assert!(denied.iter().any(|denial| denial.reason() == Reason::FileReadDenied), "{example}: {denied}");
                let granted = reads(one, blocked).permissions.filesystem;
                let is_in = |patterns: &List<PathPattern>| patterns.iter().any(|p| p.matches(Reach::Below, &example));
                assert!(is_in(&granted.read) && !is_in(&granted.blocked), "{example} of {one:?}");
            }
        }
    }
    assert!(examples > 20, "{examples}");
}
