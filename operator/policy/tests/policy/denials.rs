//! What a rejection looks like.

use std::collections::BTreeSet;

use ccos_policy::decision::{Cause, Excess};
use ccos_policy::{Denial, Denials, FieldPath, Limits, ProcessCreation, Reason, Use};

use crate::given::{case, names, outbounds, paths};

fn several() -> crate::given::Case {
    case()
        .grants(|p| {
            p.filesystem.read = paths(&["/data/**", "/etc/ssl/certs"]);
            p.filesystem.blocked = paths(&["/data/private/**"]);
            p.network.outbound = outbounds(&["*.example.com 443"]);
            p.environment.read = names(&["LANG", "APP_*"]);
        })
        .context(|c| c.limits = Limits { memory: Some("512Mi".parse().unwrap()), ..Limits::default() })
        .context(|c| c.isolations_allowed = vec![ccos_policy::Isolation::GVisor, ccos_policy::Isolation::Kata])
        .needs(|r| {
            r.read = Some(paths(&["/"]));
            r.write = Some(paths(&["/out/*.csv"]));
            r.outbound = Some(outbounds(&["api.example.com 443", "*.example.org 443,8000-8080"]));
        })
        .narrows(|r| {
            r.read = Some(paths(&["/etc/**", "/data", "/data/x"]));
            r.process_creation = Some(ProcessCreation::Allowed);
        })
        .asks(|r| {
            r.environment = vec!["LD_PRELOAD".to_owned()];
            r.isolation = Some(ccos_policy::Isolation::Container);
            r.requires.limits.memory = Some("2Gi".parse().unwrap());
            r.requires.limits.cpu_time = Some("10m".parse().unwrap());
        })
}

#[test]
fn a_rejection_has_every_reason_in_the_order_in_which_the_decision_looks() {
    insta::assert_snapshot!(several().denied().to_string(), @r#"
    requires.permissions.filesystem.read[0] "/etc/**": not granted, e.g. /etc; granted: /data/**, /etc/ssl/certs
    requires.permissions.filesystem.read[1] "/data": blocked by /data/private/**
    requires.permissions.filesystem.write[0] "/out/*.csv": not granted, e.g. /out/.csv; granted: nothing; required by weather.fetch of CapabilityProvider "weather"
    requires.permissions.network.outbound[1] "*.example.org ports 443, 8000-8080": not granted, e.g. example.org:443; granted: *.example.com port 443; required by weather.fetch of CapabilityProvider "weather"
    requires.permissions.system.processCreation Allowed: not granted; granted: Denied
    requires.permissions.system.processCreation Allowed: wider than the capability's, which requires Denied
    env[0].name "LD_PRELOAD": not required; requires.permissions.environment has nothing; add it to environment.read or environment.write of the capability's requires
    requires.limits.memory 2Gi: exceeds 512Mi
    requires.limits.cpuTime 10m: exceeds 5m, the most without a context that says more in limits.cpuTime
    isolation "Container": not allowed; allowed: GVisor, Kata
    isolation "Container": the cluster does not have it; use GVisor
    requires.permissions.filesystem.write[0] "/out/*.csv": Container can't hold a glob of what may be written: what is created later would be another file; name each path, such as /out/a.csv; required by weather.fetch of CapabilityProvider "weather"
    requires.permissions.network.outbound: Container needs the egress proxy, which this cluster has not enabled for it (egress.enabled in the chart's values; in Container isolations.Container.egress, too); or write [], which is held: no network at all; required by weather.fetch of CapabilityProvider "weather"
    "#);
}

#[test]
fn a_message_is_the_line_without_its_field() {
    for denial in several().denied() {
        let (field, message, line) = (denial.field.to_string(), denial.message(), denial.to_string());
        assert!(line == format!("{field} {message}") || line == format!("{field}: {message}"), "{line}");
    }
}

#[test]
fn every_reason_that_the_decision_can_give_is_given() {
    let mut seen = BTreeSet::new();
    let mut note = |denials: Denials| seen.extend(denials.iter().map(Denial::reason));
    note(several().denied());
    note(several().grants(|p| p.filesystem.blocked = paths(&["/"])).denied());
    note(
        case()
            .context(|c| c.expiry.at = Some("2020-01-01T00:00:00Z".parse().unwrap()))
            .needs(|r| {
                r.execute = Some(paths(&["/opt"]));
                r.commands = Some(paths(&["/bin/sh"]));
                r.ipc_connect = Some(paths(&["/run/x"]));
                r.environment_read = Some(names(&["A"]));
                r.environment_write = Some(names(&["A"]));
                r.inbound = Some(ccos_policy::List::from(vec![ccos_policy::Inbound {
                    from: ccos_policy::InboundPeer::Selectors(ccos_policy::Selectors::all()),
                    ports: vec!["1".parse().unwrap()],
                }]));
            })
            .denied(),
    );
    let missing = |text: &str| text.to_owned();
    note(case().sees(|s| s.context = ccos_policy::Found::Missing(missing("x"))).denied());
    note(case().sees(|s| s.capability = ccos_policy::Found::Missing(missing("x"))).denied());
    note(case().sees(|s| s.capability = ccos_policy::Found::Invalid(missing("x"))).denied());
    note(case().sees(|s| s.may_use = Use::Forbidden(missing("x"))).denied());
    // Decided by others, who have the inputs, the policies and the ceiling.
    let others = [Reason::InvalidInputs, Reason::PolicyDenied, Reason::CeilingExceeded];
    let expected: BTreeSet<Reason> = Reason::ALL.iter().copied().filter(|reason| !others.contains(reason)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn denials_are_sorted_by_reason_then_field_as_people_count_and_each_is_there_once() {
    let denial = |field: &str| Denial::new(field, Cause::InvalidInputs("x".to_owned()));
    let late = Denial::new("a", Cause::CeilingExceeded(Excess::Unbounded("8".to_owned())));
    let denials = Denials::from_vec(vec![
        late.clone(),
        denial("inputs[10]"),
        denial("inputs[9]"),
        denial("inputs"),
        denial("inputs[9]"),
    ])
    .unwrap();
    let fields: Vec<_> = denials.iter().map(|denial| denial.field.as_str()).collect();
    assert_eq!(fields, ["inputs", "inputs[9]", "inputs[10]", "a"]);
    assert_eq!(Denials::from_vec(Vec::new()), None);
    assert_eq!(Denials::one(late).and(Denials::one(denial("b"))).len(), 2);
}

#[test]
fn others_make_denials_with_a_text() {
    let of = |cause: Cause| (cause.reason(), Denial::new("x", cause).to_string());
    let text = || "a\nb".to_owned();
    for (cause, reason, line) in [
        (Cause::InvalidInputs(text()), Reason::InvalidInputs, r"x: a\u{a}b"),
        (Cause::ProviderInvalid(text()), Reason::ProviderInvalid, r"x: a\u{a}b"),
        (
            Cause::CeilingExceeded(Excess::Unbounded(text())),
            Reason::CeilingExceeded,
            r"x: absent, so that nothing bounds it; the cluster's ceiling allows a\u{a}b",
        ),
        (
            Cause::ReferenceForbidden {
                requester: r#"user "eve""#.to_owned(),
                object: r#"Secret "data/key""#.to_owned(),
            },
            Reason::UseForbidden,
            r#"x: user "eve" may not get Secret "data/key": needs the verb `get` on it"#,
        ),
    ] {
        assert_eq!(of(cause), (reason, line.to_owned()));
    }
}

#[test]
fn fields_are_ordered_totally() {
    let ordered =
        ["", "a", "a[01]", "a[1]", "a[2]", "a[10]", "a[99999999999999999999]", "a[100000000000000000000]", "b"];
    for (i, left) in ordered.iter().enumerate() {
        for (j, right) in ordered.iter().enumerate() {
            assert_eq!(FieldPath::new(*left).cmp(&FieldPath::new(*right)), i.cmp(&j), "{left} {right}");
        }
    }
}

#[test]
fn long_lists_are_cut_and_counted() {
    let granted: Vec<String> = (0..20).map(|n| format!("/data/{n}")).collect();
    let granted: Vec<&str> = granted.iter().map(String::as_str).collect();
    let case = case().grants(|p| p.filesystem.read = paths(&granted)).requires(|r| r.read = Some(paths(&["/x"])));
    case.says(
        r#"requires.permissions.filesystem.read[0] "/x": not granted; granted: /data/0, /data/1, /data/2, /data/3, /data/4, /data/5, /data/6, /data/7 and 12 more"#,
    );
}

#[test]
fn nothing_that_garbles_a_terminal_gets_out() {
    let line = case()
        .asks(|r| r.environment = vec!["A\x1b[2J\n\u{9b}\u{202e}".to_owned()])
        .needs(|r| r.read = Some(paths(&["/a\u{202e}b"])))
        .capability(|c| c.display = "evil\x07".to_owned())
        .denied()
        .to_string();
    for c in line.chars() {
        assert!(c == '\n' || !c.is_control(), "{c:?} in {line:?}");
        assert!(!matches!(c, '\u{202a}'..='\u{202e}'), "{c:?}");
    }
    assert_eq!(line.lines().count(), 2);
    assert!(line.contains(r"A\u{1b}[2J\u{a}"), "{line}");
    let long = Denial::new(
        "f",
        Cause::Unenforceable { value: Some("x".repeat(2000)), advice: String::new(), instead: None, required_by: None },
    );
    assert!(long.to_string().chars().count() < 300);
}
