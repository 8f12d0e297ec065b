//! The path of a decision: what it says must be what was decided.

use ccos_policy::decide::trace::{Bounded, Requirement, Source};
use ccos_policy::{Bytes, Decision, Isolation, Level, LimitKind, ProcessCreation, Trace, decide, trace};

use crate::given::{Case, case, names, outbounds, paths, peer};

fn of(case: &Case) -> Trace {
    trace(&case.request, &case.snapshot).unwrap()
}

/// `field required: grants`; "denied" for none.
fn says(case: &Case) -> Vec<String> {
    let line = |Requirement { field, required, by: _, granted_by }: Requirement| {
        let granted = if granted_by.is_empty() { "denied".to_owned() } else { granted_by.join(" and ") };
        format!("{} {required}: {granted}", field.as_str().trim_start_matches("requires.permissions."))
    };
    of(case).requirements.into_iter().map(line).collect()
}

#[test]
fn each_requirement_has_the_grant_that_covers_it() {
    let case = case()
        .grants(|granted| {
            granted.filesystem.read = paths(&["/app", "/data/in", "/data/**"]);
            granted.filesystem.blocked = paths(&["/data/private"]);
            granted.network.outbound = outbounds(&["*.example.com 443", "a.example.com 80", "*.example.com 80"]);
            granted.network.blocked = vec![peer("b.example.com")].into();
            granted.environment.read = names(&["APP_*"]);
        })
        .requires(|required| {
            required.read = Some(paths(&["/data/in/x", "/data/out", "/data/private/x", "/etc"]));
            required.outbound = Some(outbounds(&[
                "a.example.com 80",
                "a.example.com 80-443",
                "c.example.com 80,443",
                "b.example.com 443",
            ]));
            required.environment_read = Some(names(&["APP_MODE"]));
            required.process_creation = Some(ProcessCreation::Allowed);
        });
    assert_eq!(
        says(&case),
        [
            "filesystem.read[0] /data/in/x: /data/in",
            "filesystem.read[1] /data/out: /data/**",
            "filesystem.read[2] /data/private/x: denied",
            "filesystem.read[3] /etc: denied",
            "network.outbound[0] a.example.com port 80: a.example.com port 80",
            "network.outbound[1] a.example.com ports 80-443: denied",
            "network.outbound[2] c.example.com ports 80, 443: *.example.com port 443 and a.example.com port 80 and *.example.com port 80",
            "network.outbound[3] b.example.com port 443: denied",
            "environment.read[0] APP_MODE: APP_*",
            "system.processCreation Allowed: denied",
        ]
    );
}

/// By levels and lists: a requirement is without a grant exactly if the decision has a denial of its field.
#[test]
fn what_has_no_grant_is_what_is_denied() {
    let lists: [&[&str]; 5] = [&["/a"], &["/a/b", "/c"], &["/a/*"], &["/**"], &["/a/?", "/b/**"]];
    let (mut granted, mut denied) = (0, 0);
    for level in [Level::Pure, Level::Controlled, Level::Sandboxed, Level::Full] {
        for (grant, require) in lists.iter().flat_map(|grant| lists.iter().map(move |require| (grant, require))) {
            let case = case()
                .context(|context| {
                    context.level = level;
                    context.permissions.filesystem.read = paths(grant);
                    context.permissions.filesystem.blocked = paths(&["/a/b/c"]);
                })
                .requires(|required| required.read = Some(paths(require)));
            let decision = decide(&case.request, &case.snapshot);
            for Requirement { field, granted_by, .. } in of(&case).requirements {
                let is_denied = match &decision {
                    Decision::Admitted(_) => false,
                    Decision::Denied(denials) => denials
                        .iter()
                        .any(|denial| denial.field == field && denial.reason().as_str() == "FileReadDenied"),
                };
                assert_eq!(granted_by.is_empty(), is_denied, "{level}: {field} of {require:?} under {grant:?}");
                *if is_denied { &mut denied } else { &mut granted } += 1;
            }
        }
    }
    assert!(granted > 15 && denied > 20, "{granted} {denied}");
}

#[test]
fn limits_and_isolation_say_who_chose_them() {
    let case = case()
        .context(|context| {
            context.limits.memory = Some(Bytes(1 << 30));
            context.isolation_default = Some(Isolation::Kata);
        })
        .capability(|capability| capability.requires.limits.memory = Some(Bytes(1 << 20)))
        .asks(|request| request.requires.limits.threads = Some(4));
    let Trace { limits, isolation, isolation_by, isolations_allowed, requirements } = of(&case);
    assert_eq!(requirements, []);
    let of = |kind: LimitKind| {
        let Bounded { amount, by, most, most_by, .. } = limits.iter().find(|one| one.limit == kind).unwrap();
        (amount.to_string(), *by, most.unwrap().to_string(), *most_by)
    };
    assert_eq!(of(LimitKind::Memory), ("1Mi".to_owned(), Source::Capability, "1Gi".to_owned(), Source::Context));
    assert_eq!(of(LimitKind::Threads), ("4".to_owned(), Source::Execution, "64".to_owned(), Source::Default));
    assert_eq!(of(LimitKind::CpuTime), ("1m".to_owned(), Source::Default, "1m".to_owned(), Source::Default));
    assert!(!limits.iter().any(|one| one.limit == LimitKind::NetworkBytesPerSecond));
    assert_eq!((isolation, isolation_by), (Isolation::Kata, Source::Context));
    assert_eq!(isolations_allowed.len(), 4);
    // As the decision has it.
    let admitted = case.admitted();
    assert_eq!(admitted.isolation(), isolation);
    for one in &limits {
        assert_eq!(admitted.limits().get(one.limit), Some(one.amount), "{}", one.limit);
    }
}
